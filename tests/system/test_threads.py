"""Fits, samples and figures in several threads at once equal those of one thread."""

import importlib
import sys
import threading
import time
import warnings
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch

import wgan
from wgan import WGAN, DataOptions, figures
from wgan.evaluation import compare
from wgan.studies.failures import TWO_MODES, fit_by_fgan, fit_gaussian, vanishing
from wgan.system.signals import StopRequest
from wgan.system.threads import MATMUL_LIBRARY, on_threads, set_own_threads
from wgan.system.warning_filters import quiet
from wgan.training.engine import Engine

POINTS = np.random.default_rng(0).normal(size=(60, 2))
SMALL = "mlp:width=8,depth=1"
pytestmark = pytest.mark.filterwarnings("ignore::wgan.runs.RunWarning")


def model(**params):
    small = {"steps": 3, "critic_steps": 2, "generator": SMALL, "critic": SMALL, "random_state": 0}
    return WGAN(**small | {"settings": {"diagnose": "off"}} | params)


def at_once(work, num=4):
    """The results of the same work in so many threads that begin together."""
    barrier = threading.Barrier(num)

    def one(number):
        barrier.wait()
        return work(number)

    with ThreadPoolExecutor(num) as pool:
        return list(pool.map(one, range(num)))


def in_thread(work):
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(work).result()


class TestNumbersOfThreads:
    def test_the_number_changes_for_this_thread_alone(self):
        before = torch.get_num_threads()
        with on_threads(before + 2):
            assert torch.get_num_threads() == before + 2
            assert in_thread(torch.get_num_threads) == before
        assert torch.get_num_threads() == before
        assert in_thread(torch.get_num_threads) == before

    def test_a_thread_that_comes_while_another_is_limited_has_the_usual_number_before_and_after(self):
        before = torch.get_num_threads()

        def limited():
            with Engine(threads=before + 3).limits():
                inside = torch.get_num_threads()
            return inside, torch.get_num_threads()

        with on_threads(before + 2):
            assert in_thread(limited) == (before + 3, before)

    def test_without_access_to_openmp_another_thread_puts_the_usual_number_back(self, monkeypatch):
        monkeypatch.setattr("wgan.system.threads._direct_setter", lambda: None)
        set_other = wgan.system.threads._setter.__wrapped__()
        before = torch.get_num_threads()
        try:
            set_other(before + 2)
            assert torch.get_num_threads() == before + 2
            assert in_thread(torch.get_num_threads) == before
        finally:
            set_own_threads(before)

    def test_small_work_takes_one_thread(self, monkeypatch):
        seen = set()

        def noticed(place):
            module, name = place.rsplit(".", 1)
            importlib.import_module(module)
            original = getattr(sys.modules[module], name)

            def watched(*args, **kwargs):
                seen.add((place, torch.get_num_threads()))
                return original(*args, **kwargs)

            monkeypatch.setattr(sys.modules[module], name, watched)

        noticed("wgan.studies.failures.vanishing.critic_step")
        noticed("wgan.studies.failures.fgan_fits.train")
        noticed("wgan.studies.failures.fits.divergence_from_gaussian")
        noticed("wgan.evaluation.comparison._compared")
        noticed("wgan.trust.critics._drawn")
        with on_threads(torch.get_num_threads() + 2):
            vanishing(critic_steps=30)
            fit_by_fgan(TWO_MODES, "kl", generator_steps=2, batch_size=8)
            fit_gaussian(TWO_MODES, "kl")
            compare(POINTS[:9], POINTS[9:20], only=["w1"])
            wgan.trust.critics.fit_critic(POINTS[:9], POINTS[9:20], critic_steps=1)
        assert len(seen) == 5
        assert {num for _, num in seen} == {1}


class TestWhoMultiplies:
    def test_threads_that_differ_take_turns_and_leave_what_was_there(self):
        before = torch.backends.mkldnn.matmul.fp32_precision
        inside, faults = [0, 0], []

        def work(number):
            onednn = bool(number % 2)
            for _ in range(30):
                with MATMUL_LIBRARY.use(onednn=onednn), MATMUL_LIBRARY.use(onednn=not onednn):
                    inside[onednn] += 1
                    time.sleep(0.0005)
                    if inside[not onednn] or (torch.backends.mkldnn.matmul.fp32_precision == "bf16") != onednn:
                        faults.append(number)
                    inside[onednn] -= 1

        at_once(work)
        assert not faults
        assert torch.backends.mkldnn.matmul.fp32_precision == before

    def test_a_process_that_permits_rounded_products_gets_exact_ones(self):
        torch.set_float32_matmul_precision("medium")
        try:
            with Engine().limits():
                assert torch.backends.mkldnn.matmul.fp32_precision == "ieee"
            assert torch.backends.mkldnn.matmul.fp32_precision == "bf16"
        finally:
            torch.set_float32_matmul_precision("highest")


class TestFits:
    @pytest.mark.parametrize(
        "params", [{}, {"constraint": "spectral"}, {"settings": {"threads": 2, "precision": "bfloat16"}}]
    )
    def test_equal_fits_at_once_give_the_bytes_of_one_alone(self, params):
        def work(number):
            fitted = model(**params).fit(POINTS)
            return fitted.sample(5), [*fitted._files["metrics.jsonl"]]

        alone = work(0)
        for round_ in range(3):
            for samples, record in at_once(work):
                np.testing.assert_array_equal(samples, alone[0], err_msg=str(round_))
                assert record == alone[1]

    def test_other_fits_beside_it_change_nothing(self):
        alone = [model(random_state=seed).fit(POINTS).sample(3) for seed in range(4)]
        together = at_once(lambda seed: model(random_state=seed).fit(POINTS).sample(3))
        np.testing.assert_array_equal(together, alone)

    def test_the_global_generator_belongs_to_the_caller(self):
        torch.manual_seed(3)
        alone = torch.rand(200)
        torch.manual_seed(3)

        def work(number):
            if number:
                return model().fit(POINTS).sample(2)
            drawn = []
            for _ in range(200):
                drawn.append(torch.rand(1))
                time.sleep(0.0005)
            return torch.cat(drawn)

        assert torch.equal(at_once(work)[0], alone)

    def test_one_model_is_sampled_scored_saved_and_loaded_at_once(self, tmp_path):
        fitted = model().fit(POINTS)
        fitted.save(tmp_path / "run")

        def work(number):
            fitted.save(tmp_path / f"copy-{number}")
            again = WGAN.load(tmp_path / f"copy-{number}")
            source = wgan.open_data(POINTS, DataOptions(), seed=0)
            return (
                fitted.sample(700),
                fitted.score(POINTS),
                again.sample(4),
                wgan.evaluate(tmp_path / "run", source=source),
            )

        alone = work("alone")
        for samples, score, loaded, judged in at_once(work):
            np.testing.assert_array_equal(samples, alone[0])
            np.testing.assert_array_equal(loaded, alone[2])
            assert (score, judged) == (alone[1], alone[3])

    def test_images_in_threads_leave_the_filters_of_warnings(self, tmp_path):
        from PIL import Image

        for number in range(12):
            pixels = np.random.default_rng(number).integers(0, 256, (8, 8), dtype=np.uint8)
            Image.fromarray(pixels).save(tmp_path / f"{number}.png")
        before = list(warnings.filters)
        nets = {"generator": "dcgan:filters=2", "critic": "dcgan:filters=2,norm=none", "batch_size": 4}

        def work(number):
            return model(**nets).fit(str(tmp_path)).sample(2)

        alone = work(0)
        for samples in at_once(work):
            np.testing.assert_array_equal(samples, alone)
        assert warnings.filters == before

    def test_a_grid_search_in_threads_is_the_one_without(self):
        from sklearn.model_selection import GridSearchCV

        def found(num_jobs, backend):
            import joblib

            search = GridSearchCV(model(), {"critic_steps": [1, 2], "random_state": [0, 1]}, cv=2, n_jobs=num_jobs)
            with joblib.parallel_config(backend=backend):
                search.fit(POINTS)
            return search.cv_results_["split0_test_score"].tolist(), search.best_estimator_.sample(3).tolist()

        assert found(2, "threading") == found(1, "threading")

    @pytest.mark.slow
    def test_a_grid_search_in_processes_is_the_one_without(self):
        from sklearn.model_selection import GridSearchCV

        def found(num_jobs):
            search = GridSearchCV(model(), {"critic_steps": [1, 2], "random_state": [0, 1]}, cv=2, n_jobs=num_jobs)
            search.fit(POINTS)
            return search.cv_results_["split0_test_score"].tolist(), search.best_estimator_.sample(3).tolist()

        assert found(2) == found(1)

    @pytest.mark.slow
    @pytest.mark.skipif(not wgan.training.engine.has_compiler(), reason="needs a C++ compiler")
    def test_compiled_fits_at_once_give_the_bytes_of_one_alone(self):
        def work(number):
            return model(settings={"engine": "compiled", "diagnose": "off"}).fit(POINTS).sample(5)

        alone = work(0)
        for samples in at_once(work, num=2):
            np.testing.assert_array_equal(samples, alone)


class TestWhatTheProcessShares:
    def test_figures_drawn_at_once_are_those_drawn_alone_and_the_users_style_stays(self):
        import matplotlib as mpl

        before = dict(mpl.rcParams)

        def work(number):
            theme = figures.DARK if number % 2 else figures.LIGHT
            return figures.svg(figures.confusion({"trust": {"trust": number + 1}}, theme=theme), theme=theme)

        alone = [work(number) for number in range(4)]
        assert at_once(work) == alone
        assert dict(mpl.rcParams) == before

    def test_warning_filters_are_restored_when_the_last_block_ends(self):
        before = list(warnings.filters)
        first, second = quiet("here"), quiet("there")
        first.__enter__()
        second.__enter__()
        first.__exit__(None, None, None)
        warnings.warn_explicit("not shown", UserWarning, "file", 1, module="there")
        second.__exit__(None, None, None)
        assert warnings.filters == before

    def test_several_runs_are_all_requested_to_stop_and_the_handlers_are_restored(self):
        import os
        import signal

        before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT, signal.SIGUSR1)}
        first, second = StopRequest(), StopRequest()
        first.install()
        second.install()
        os.kill(os.getpid(), signal.SIGUSR1)
        assert (first.name, second.name) == ("SIGUSR1", "SIGUSR1")
        first.uninstall()
        assert signal.getsignal(signal.SIGTERM) != before[signal.SIGTERM]
        second.uninstall()
        assert {number: signal.getsignal(number) for number in before} == before
