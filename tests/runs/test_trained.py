"""Samples from a trained generator without its data, and their evaluation."""

import dataclasses
import itertools
import shutil
import warnings
from pathlib import Path

import numpy as np
import pytest
import torch
from small_runs import SETTINGS, finish, points, records, tree

from wgan import runs
from wgan.data import open_data
from wgan.errors import UsageError
from wgan.runs import checkpoints


def test_a_smaller_draw_is_the_beginning_of_a_larger_one(straight):
    trained = runs.load(straight)
    assert (trained.step, trained.settings, trained.layout.shape) == (60, SETTINGS, (2,))
    few, many = trained.values(3, seed=5), trained.values(9_000, seed=5)
    assert torch.equal(few, many[:3])
    assert not torch.equal(few, trained.values(3, seed=6))
    assert not torch.equal(many[:808], many[8192:])
    assert np.array_equal(trained.sample(9_000, seed=5), np.concatenate(list(trained.generate(9_000, seed=5))))
    assert [len(block) for block in itertools.islice(trained.generate(10**9), 2)] == [8192, 8192]


@pytest.mark.parametrize("num", [0, -1])
def test_the_number_of_samples_must_be_positive(straight, num):
    trained = runs.load(straight)
    for draw in (trained.generate, trained.sample, trained.values):
        with pytest.raises(UsageError, match=f"must be at least 1, not {num}"):
            draw(num)


def test_samples_need_no_data_and_come_from_the_average(tmp_path):
    data = points(tmp_path)
    finish(runs.begin(dataclasses.replace(SETTINGS, data=data, steps=10), tmp_path / "run"))
    Path(data).unlink()
    trained = runs.load(tmp_path / "run")
    before = trained.values(4)
    for weight in trained.game.generator.parameters():
        weight.data.zero_()
    assert torch.equal(trained.values(4), before)
    with pytest.raises(UsageError, match="existing path"):
        runs.evaluate(tmp_path / "run")


def test_evaluate_gives_the_numbers_of_the_run(straight):
    best = checkpoints.read_best(straight / "checkpoints")
    assert best is not None
    found = {line["step"]: line for line in records(straight) if "score" in line}
    for which, step in (("last", 60), ("best", best.step)):
        evaluated = runs.evaluate(straight, checkpoint=which)
        assert evaluated == {name: found[step][name] for name in evaluated}


def test_a_path_without_a_run_is_refused(tmp_path):
    for use in (runs.resume, runs.load, runs.evaluate):
        with pytest.raises(UsageError, match="no such directory"):
            use(tmp_path / "nothing")
        with pytest.raises(UsageError, match="it has no checkpoint"):
            use(tmp_path)


def test_a_wrong_path_suggests_similar_runs(straight, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("big", "runs/ring-001"):
        shutil.copytree(straight, tmp_path / name)
    (tmp_path / "bit").mkdir()
    (tmp_path / "big.csv").write_text("a\n1\n")
    for wrong, what, near in (
        ("bi", "no such directory", "big"),
        ("ring-01", "no such directory", "runs/ring-001"),
        ("nowhere/ring-01", "no such directory", "runs/ring-001"),
        ("big.csv", "it is a file, not the directory of a run", "big"),
    ):
        with pytest.raises(UsageError, match=f"no run in '{wrong}': {what}") as caught:
            runs.load(Path(wrong))
        assert caught.value.remedy == f"Did you mean '{near}'?"


def test_loading_a_running_run_does_not_disturb_it(straight, tmp_path):
    with runs.begin(SETTINGS, tmp_path / "run") as run:
        for progress in run.run():
            if progress.step % 7 == 0:
                with warnings.catch_warnings():
                    warnings.simplefilter("error")
                    assert runs.load(tmp_path / "run").step == progress.step // 10 * 10
    assert tree(tmp_path / "run") == tree(straight)


def test_data_in_memory_cannot_be_opened_again(tmp_path):
    source = open_data(np.random.default_rng(0).normal(size=(200, 2)), SETTINGS.input, seed=0, cache=None)
    settings = dataclasses.replace(SETTINGS, data="<ndarray in memory>", steps=5)
    finish(runs.begin(settings, tmp_path / "run", source=source))
    with pytest.raises(UsageError, match="trained on data in memory, <ndarray in memory>, which is no longer there"):
        runs.evaluate(tmp_path / "run")
    assert runs.evaluate(tmp_path / "run", source=source)["w1"] > 0
