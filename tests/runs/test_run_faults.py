"""Runs in other threads, ended after damage or where they were stopped, and without a compiler."""

import dataclasses
import signal
import threading

import pytest
import torch
from small_runs import SETTINGS, events, finish, records, stop_at

from wgan import runs
from wgan.training.engine import EngineWarning
from wgan.transport import exact, sinkhorn


def test_a_run_in_another_thread_finishes_and_restores_the_signal_handlers(tmp_path):
    before = signal.getsignal(signal.SIGTERM)
    with runs.begin(SETTINGS, tmp_path / "run") as run:
        worker = threading.Thread(target=lambda: list(run.run()))
        worker.start()
        worker.join()
    assert events(tmp_path / "run", "finished")
    assert signal.getsignal(signal.SIGTERM) is before


def test_a_run_that_is_ended_where_it_was_recorded_has_one_line_for_that_update(tmp_path):
    directory = tmp_path / "run"
    stop_at(runs.begin(SETTINGS, directory), SETTINGS.save_every)
    finish(runs.resume(directory, steps=SETTINGS.save_every))
    steps = [line["step"] for line in runs.metadata.read_recorded(runs.RunFiles(directory))]
    assert len(steps) == len(set(steps))
    assert len(records(directory)) >= len(steps)


def test_finish_after_a_damaged_checkpoint_cuts_the_record_to_the_one_before(tmp_path):
    directory = tmp_path / "run"
    stop_at(runs.begin(SETTINGS, directory), 35)
    newest = directory / "checkpoints" / "00000035" / "tensors.safetensors"
    raw = bytearray(newest.read_bytes())
    raw[-1] ^= 1
    newest.write_bytes(raw)
    ended = runs.finish(directory)
    assert ended.step < 35
    assert records(directory)[-1]["step"] <= ended.step


def test_forbidden_pairs_have_no_gradient_under_any_power():
    for solve in (lambda cost: exact(cost=cost, p=2).cost, lambda cost: sinkhorn(None, None, cost=cost, p=2).value):
        cost = torch.tensor([[1.0, torch.inf], [torch.inf, 2.0]], dtype=torch.float64, requires_grad=True)
        solve(cost).backward()
        assert cost.grad.isfinite().all()
        assert cost.grad[0, 1] == cost.grad[1, 0] == 0


def test_a_run_that_falls_back_to_eager_updates_records_it_each_time(tmp_path, monkeypatch):
    def compile_whole(function):
        def run(*_):
            raise RuntimeError("no compiler")

        return run

    monkeypatch.setattr("wgan.training.updates.compile_whole", compile_whole)
    settings = dataclasses.replace(SETTINGS, engine="compiled", precision="float32", lr_schedule="none")
    with pytest.warns(EngineWarning, match="compiling failed"):
        finish(runs.begin(settings, tmp_path / "run"))
    with pytest.warns(EngineWarning, match="compiling failed"):
        finish(runs.resume(tmp_path / "run", steps=SETTINGS.steps + 2))
    said = [(event["step"], event["message"]) for event in events(tmp_path / "run", "warning")]
    message = "compiling failed (RuntimeError: no compiler); updates run operation by operation"
    assert said == [(0, message), (SETTINGS.steps, message)]
