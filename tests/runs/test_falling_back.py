"""A run whose updates cannot be compiled after all."""

import dataclasses

import pytest
from small_runs import SETTINGS, events, finish

from wgan import runs
from wgan.training.engine import EngineWarning


def test_a_run_that_falls_back_writes_it_down_each_time(tmp_path, monkeypatch):
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
