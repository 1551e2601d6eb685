"""Runs whose critic is trained to optimality: counted in the record, and resumed to the same bytes."""

import dataclasses
import itertools
import os
import signal
import time

import pytest
from small_runs import SETTINGS, finish, records, stop_at, tree

from wgan import runs
from wgan.errors import CheckpointError, Interrupted
from wgan.evaluation.metrics import SampleEvaluator

OPTIMAL = dataclasses.replace(SETTINGS, optimality=0.05, max_critic_steps=7, steps=40)


@pytest.fixture(scope="module")
def optimal(tmp_path_factory):
    directory = tmp_path_factory.mktemp("optimal") / "run"
    finish(runs.begin(OPTIMAL, directory))
    return directory


def test_the_record_has_the_number_of_critic_updates_if_it_varies(optimal, straight):
    counts = [line["critic_updates"] for line in records(optimal)]
    assert len(set(counts)) > 1
    assert set(counts) <= {2, 4, 6, 7}
    assert not any("critic_updates" in line for line in records(straight))


@pytest.mark.parametrize("step", [7, 20])
def test_a_stopped_run_resumes_to_the_same_bytes(optimal, tmp_path, step):
    stop_at(runs.begin(OPTIMAL, tmp_path / "run"), step)
    finish(runs.resume(tmp_path / "run"))
    assert tree(tmp_path / "run") == tree(optimal)


def test_after_a_stop_during_an_evaluation_the_record_has_the_same_order(optimal, tmp_path, monkeypatch):
    call, calls = SampleEvaluator.__call__, itertools.count(1)

    def slow(self, draw, **options):
        if next(calls) == 1:
            os.kill(os.getpid(), signal.SIGTERM)
            time.sleep(5)
        return call(self, draw, **options)

    monkeypatch.setattr(SampleEvaluator, "__call__", slow)
    monkeypatch.setattr("wgan.runs.run.GRACE_SECONDS", 0.1)
    with runs.begin(OPTIMAL, tmp_path / "run") as run, pytest.raises(Interrupted, match="after 20 of 40"):
        list(run.run())
    finish(runs.resume(tmp_path / "run"))
    assert tree(tmp_path / "run") == tree(optimal)


def test_the_tolerance_cannot_change_on_resume(optimal):
    path = optimal / "settings.toml"
    path.write_text(
        path.read_text().replace("optimality = 0.05", "optimality = 0.1").replace("steps = 40", "steps = 50")
    )
    with pytest.raises(CheckpointError, match=r"optimality: 0\.1, was 0\.05"):
        runs.resume(optimal)
