"""The record has the gradient that reaches the generator, at every evaluation and after any stop."""

import dataclasses
import itertools
import os
import signal
import time
from pathlib import Path

import numpy as np
import pytest
from small_runs import SETTINGS, events, finish, records, run_and, stop_at, tree

from wgan import runs
from wgan.data import open_data
from wgan.errors import Interrupted
from wgan.evaluation.metrics import SampleEvaluator
from wgan.report import write_report
from wgan.runs import checkpoints
from wgan.runs.setups import build_setup
from wgan.settings import DataOptions, from_toml
from wgan.trust.gradients import gradient_stats

# All that the measurement could change or depend on: statistics, a decaying rate in unrolled steps, random labels.
SETTINGS_OF_ALL = dataclasses.replace(
    SETTINGS,
    objective="gan:generator=minimax,flipping=0.1",
    constraint="none",
    generator="mlp:width=16,depth=2,norm=batch",
    critic="mlp:width=16,depth=2,norm=batch",
    unrolled_steps=2,
    packing=2,
    steps=40,
)
OF_GRADIENT = {"gradient_at_samples", "gradient_at_weights"}
OF_SATURATION = {"saturated", "saturated_real", "saturated_fake", "saturation_slope"}


@pytest.fixture(scope="module")
def unbroken(tmp_path_factory) -> Path:
    directory = tmp_path_factory.mktemp("gradients") / "run"
    finish(runs.begin(SETTINGS_OF_ALL, directory))
    return directory


def gradients(directory: Path) -> dict[int, dict[str, float]]:
    """The recorded gradient statistics, by step."""
    names = OF_GRADIENT | OF_SATURATION
    lines = {line["step"]: {name: line[name] for name in line if name in names} for line in records(directory)}
    return {step: found for step, found in lines.items() if found}


def test_each_evaluation_records_the_gradient_of_the_generator(straight, unbroken):
    found = gradients(straight)
    assert list(found) == [20, 40, 60]
    assert all(line.keys() == OF_GRADIENT for line in found.values())
    found = gradients(unbroken)
    assert list(found) == [20, 40]
    assert all(line.keys() == OF_GRADIENT | OF_SATURATION for line in found.values())


def test_the_recorded_gradient_is_that_of_the_saved_state(unbroken):
    settings, saved = from_toml(unbroken / "settings.toml"), checkpoints.load(unbroken / "checkpoints")
    setup = build_setup(settings, open_data("ring", DataOptions(), seed=0))
    game = setup.game
    game.restore(saved.tensors, saved.facts["game"])
    # Sums depend on the number of threads.
    with game.engine.limits():
        found = gradient_stats(setup)
    assert found.numbers() == gradients(unbroken)[40]


def test_gradients_are_recorded_without_held_out_rows(tmp_path):
    settings = dataclasses.replace(SETTINGS, steps=20, eval_every=8, input=DataOptions(held_out=0.0))
    path = tmp_path / "points.npy"
    np.save(path, np.random.default_rng(0).normal(size=(64, 2)).astype(np.float32))
    with pytest.warns(runs.RunWarning, match="no rows are held out"):
        run = runs.begin(dataclasses.replace(settings, data=str(path)), tmp_path / "run")
    finish(run)
    assert list(gradients(tmp_path / "run")) == [8, 16, 20]
    assert not any("score" in line for line in records(tmp_path / "run"))
    assert not events(tmp_path / "run", "evaluated")


@pytest.mark.parametrize("step", [19, 20, 33])
def test_a_stopped_run_records_the_same_bytes(unbroken, tmp_path, step):
    stop_at(runs.begin(SETTINGS_OF_ALL, tmp_path / "run"), step)
    finish(runs.resume(tmp_path / "run"))
    assert tree(tmp_path / "run") == tree(unbroken)


def test_a_run_that_was_killed_records_the_same_bytes(unbroken, tmp_path):
    class Killed(BaseException):
        pass

    def die() -> None:
        raise Killed

    with pytest.raises(Killed):
        run_and(runs.begin(SETTINGS_OF_ALL, tmp_path / "run"), 27, die)
    assert checkpoints.steps_saved(tmp_path / "run" / "checkpoints")[-1] == 20
    finish(runs.resume(tmp_path / "run"))
    assert tree(tmp_path / "run") == tree(unbroken)


def test_after_a_stop_during_an_evaluation_it_is_measured_on_resume(unbroken, tmp_path, monkeypatch):
    """A restored game has other learning rates than the stopped one until its next update."""
    call, calls = SampleEvaluator.__call__, itertools.count(1)

    def slow(self, draw, **options):
        if next(calls) == 1:
            os.kill(os.getpid(), signal.SIGTERM)
            time.sleep(5)
        return call(self, draw, **options)

    monkeypatch.setattr(SampleEvaluator, "__call__", slow)
    monkeypatch.setattr("wgan.runs.run.GRACE_SECONDS", 0.1)
    with runs.begin(SETTINGS_OF_ALL, tmp_path / "run") as run, pytest.raises(Interrupted, match="after 20 of 40"):
        list(run.run())
    assert not gradients(tmp_path / "run")
    finish(runs.resume(tmp_path / "run"))
    assert tree(tmp_path / "run") == tree(unbroken)


def test_a_saturated_discriminator_shows_in_the_record(tmp_path):
    """The data is two points in 16 dimensions, far from all samples: a discriminator can separate them perfectly."""
    path = tmp_path / "points.npy"
    np.save(path, np.repeat(np.where(np.arange(400) % 2, 1.0, -1.0)[:, None], 16, axis=1).astype(np.float32))
    settings = dataclasses.replace(
        SETTINGS,
        data=str(path),
        objective="gan:generator=minimax",
        constraint="none",
        critic_optimizer="adam:lr=0.002",
        generator_optimizer="adam:lr=0.000001",
        critic_steps=10,
        lr_schedule="none",
        batch_size=64,
        eval_every=5,
    )
    finish(runs.begin(settings, tmp_path / "run"))
    found = [*gradients(tmp_path / "run").values()]
    assert found[0]["saturated"] == 0.0
    assert found[-1]["saturated"] == found[-1]["saturated_real"] == found[-1]["saturated_fake"] == 1.0
    for name in ("gradient_at_weights", "gradient_at_samples", "saturation_slope"):
        assert found[-1][name] < 1e-4 * found[0][name]
        assert found[-1][name] < 1e-4
    assert "The discriminator then separates all samples" in write_report(tmp_path / "run").read_text()
