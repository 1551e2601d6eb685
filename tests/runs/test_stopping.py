"""Signals: everything is saved, and the resumed run gives the same bytes."""

import dataclasses
import itertools
import os
import shutil
import signal
import time
from collections.abc import Callable
from typing import Any

import pytest
import torch
from small_runs import SETTINGS, ask, events, finish, records, run_and, stop_at, tree

from wgan import runs
from wgan.data import open_data
from wgan.errors import CheckpointError, Interrupted
from wgan.evaluation.metrics import SampleEvaluator
from wgan.runs import checkpoints
from wgan.settings import DataOptions


@pytest.mark.parametrize(
    ("step", "number"), [(1, signal.SIGTERM), (20, signal.SIGINT), (37, signal.SIGUSR1), (59, signal.SIGTERM)]
)
def test_a_stopped_run_resumes_to_the_same_bytes(straight, tmp_path, step, number):
    stop_at(runs.begin(SETTINGS, tmp_path / "run"), step, number)
    assert checkpoints.steps_saved(tmp_path / "run" / "checkpoints")[-1] == step
    finish(runs.resume(tmp_path / "run"))
    assert tree(tmp_path / "run") == tree(straight)
    assert [line["step"] for line in events(tmp_path / "run", "resumed")] == [step]


def test_a_signal_before_the_first_update_stops_the_run(straight, tmp_path):
    before = signal.getsignal(signal.SIGTERM)
    with runs.begin(SETTINGS, tmp_path / "run") as run:
        ask(signal.SIGTERM)()
        with pytest.raises(Interrupted, match="after 0 of 60"):
            list(run.run())
        assert signal.getsignal(signal.SIGTERM) == before
    finish(runs.resume(tmp_path / "run"))
    assert tree(tmp_path / "run") == tree(straight)


def test_a_signal_after_the_last_step_does_not_stop_the_run(tmp_path):
    run_and(runs.begin(dataclasses.replace(SETTINGS, steps=10), tmp_path / "run"), 10, ask(signal.SIGTERM))
    assert events(tmp_path / "run", "finished")


def test_a_stop_during_an_evaluation_is_saved_at_once_and_evaluated_on_resume(straight, tmp_path, monkeypatch):
    call, calls = SampleEvaluator.__call__, itertools.count(1)

    def slow(self: SampleEvaluator, draw: Callable[[int], torch.Tensor], **options: bool) -> dict[str, Any]:
        if next(calls) == 2:
            os.kill(os.getpid(), signal.SIGTERM)
            time.sleep(20)
        return call(self, draw, **options)

    monkeypatch.setattr(SampleEvaluator, "__call__", slow)
    monkeypatch.setattr("wgan.runs.run.GRACE_SECONDS", 0.1)
    began = time.monotonic()
    with runs.begin(SETTINGS, tmp_path / "run") as run, pytest.raises(Interrupted, match="after 40 of 60"):
        list(run.run())
    assert time.monotonic() - began < 10
    assert [line["step"] for line in records(tmp_path / "run")][-1] == 35
    found = finish(runs.resume(tmp_path / "run"))
    assert [progress.step for progress in found][:2] == [40, 41]
    assert tree(tmp_path / "run") == tree(straight)


@pytest.mark.parametrize("step", [20, 23])
def test_a_slow_update_is_interrupted_and_done_again(straight, tmp_path, monkeypatch, step):
    monkeypatch.setattr("wgan.runs.run.SLOW_UPDATE", 0.0)
    source = open_data("ring", DataOptions(), seed=0)
    sample = source.sample
    run = runs.begin(SETTINGS, tmp_path / "run", source=source)

    def hang(size: int, rng: torch.Generator) -> object:
        if run.game.steps_done == step:
            os.kill(os.getpid(), signal.SIGTERM)
            time.sleep(20)
        return sample(size, rng)

    monkeypatch.setattr(source, "sample", hang)
    began = time.monotonic()
    with run, pytest.raises(Interrupted, match=f"after {step} of 60"):
        list(run.run())
    assert time.monotonic() - began < 10
    finish(runs.resume(tmp_path / "run"))
    assert tree(tmp_path / "run") == tree(straight)


def test_a_second_interrupt_ends_at_once_with_the_old_checkpoint_valid(tmp_path, monkeypatch):
    before = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1)]
    sync = os.fsync

    def interrupt(descriptor: int) -> None:
        ask(signal.SIGINT)()
        sync(descriptor)

    def interrupt_twice() -> None:
        monkeypatch.setattr(os, "fsync", interrupt)
        ask(signal.SIGINT)()

    run = runs.begin(SETTINGS, tmp_path / "run")
    with pytest.raises(KeyboardInterrupt):
        run_and(run, 33, interrupt_twice)
    after = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1)]
    assert after == before
    assert checkpoints.load(tmp_path / "run" / "checkpoints").step == 30
    assert not list((tmp_path / "run" / "checkpoints").glob(".*"))


def test_a_full_disk_ends_the_run_with_the_old_checkpoint_valid(straight, tmp_path, monkeypatch):
    usage = shutil.disk_usage
    run = runs.begin(SETTINGS, tmp_path / "run")

    def fill() -> None:
        monkeypatch.setattr(shutil, "disk_usage", lambda path: usage(path)._replace(free=7))

    with pytest.raises(CheckpointError, match="and 7 are free"):
        run_and(run, 25, fill)
    monkeypatch.setattr(shutil, "disk_usage", usage)
    assert checkpoints.steps_saved(tmp_path / "run" / "checkpoints")[-1] == 20
    finish(runs.resume(tmp_path / "run"))
    assert tree(tmp_path / "run") == tree(straight)
