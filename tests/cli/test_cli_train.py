"""`wgan train`: signals in any phase, reports of runs that end early, batch sizes from recipes."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import time
from collections.abc import Callable
from pathlib import Path
from shlex import split

import numpy as np
import pytest

from wgan import report, runs
from wgan.cli import train
from wgan.cli.main import main
from wgan.runs import Run, checkpoints, data
from wgan.settings import from_toml

SMALL = split("ring --steps 4 --batch-size 8 --generator mlp:width=8 --critic mlp:width=8 --eval-size 20 --quiet")


def events(run: Path) -> list[str]:
    return [json.loads(line)["event"] for line in (run / "events.jsonl").read_text().splitlines()]


def with_signals(work: Callable[..., object], *numbers: signal.Signals, before: bool = True) -> Callable[..., object]:
    """Wrap a function so that signals arrive before or after it."""

    def signalled(*args: object, **options: object) -> object:
        if before:
            for number in numbers:
                os.kill(os.getpid(), number)
        result = work(*args, **options)
        if not before:
            for number in numbers:
                os.kill(os.getpid(), number)
        return result

    return signalled


@pytest.mark.parametrize(
    ("number", "code"),
    [(signal.SIGTERM, 143), (signal.SIGUSR1, 138), (signal.SIGINT, 130)],
    ids=lambda value: str(value),
)
def test_a_signal_while_data_is_read_leaves_no_files(tmp_path, monkeypatch, capsys, number, code):
    before = signal.getsignal(number)
    monkeypatch.setattr(data, "open_data", with_signals(data.open_data, number))
    assert main(["train", *SMALL, "--out", str(tmp_path / "new" / "run")]) == code
    assert f"stopped by {number.name} before the run began" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []
    assert signal.getsignal(number) == before


@pytest.mark.parametrize("instead", [None, AttributeError("half imported")])
def test_a_signal_swallowed_by_an_import_still_stops(tmp_path, monkeypatch, instead):
    missing = train._refuse_missing_device

    def swallow(*given: object) -> None:
        with contextlib.suppress(BaseException):
            os.kill(os.getpid(), signal.SIGTERM)
        if instead is not None:
            raise instead
        missing(*given)

    monkeypatch.setattr(train, "_refuse_missing_device", swallow)
    assert main(["train", *SMALL, "--out", str(tmp_path / "run")]) == 143
    assert list(tmp_path.iterdir()) == []


def test_a_signal_after_the_first_checkpoint_leaves_a_resumable_run(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(Run, "save", with_signals(Run.save, signal.SIGTERM, before=False))
    assert main(["train", *SMALL, "--out", str(tmp_path / "run")]) == 75
    assert f"wgan train --resume {tmp_path / 'run'}" in capsys.readouterr().err
    monkeypatch.undo()
    assert main(["train", "--resume", str(tmp_path / "run"), "--quiet"]) == 0


def test_a_signal_while_resuming_leaves_the_run_unchanged(tmp_path, monkeypatch, capsys):
    run = tmp_path / "run"
    with runs.begin(train.read(SMALL)[1], run):
        pass
    monkeypatch.setattr(data, "open_data", with_signals(data.open_data, signal.SIGTERM))
    assert main(["train", "--resume", str(run), "--quiet"]) == 75
    assert f"wgan train --resume {run}" in capsys.readouterr().err
    assert events(run) == ["started", "saved"]


def test_a_run_stays_finished_after_a_signal_during_its_report(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(report, "write_report", with_signals(report.write_report, signal.SIGTERM))
    assert main(["train", *SMALL, "--out", str(tmp_path / "run")]) == 0
    assert "after the run had finished" in capsys.readouterr().err
    assert events(tmp_path / "run")[-1] == "finished"


def stop_in_the_first_update(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Run, "_update", with_signals(Run._update, signal.SIGTERM))


def test_the_report_of_a_stopped_run_is_written_after_it_is_saved(tmp_path, monkeypatch):
    stop_in_the_first_update(monkeypatch)
    saved = []

    def write(run: Path) -> Path:
        saved.extend(checkpoints.steps_saved(run / "checkpoints"))
        return run

    monkeypatch.setattr(report, "write_report", write)
    assert main(["train", *SMALL, "--out", str(tmp_path / "run")]) == 75
    assert saved == [0]
    assert events(tmp_path / "run")[-1] == "stopped"


def test_a_second_interrupt_skips_the_report_of_a_stopped_run(tmp_path, monkeypatch):
    stop_in_the_first_update(monkeypatch)
    monkeypatch.setattr(report, "write_report", with_signals(lambda run: time.sleep(60), signal.SIGINT))
    assert main(["train", *SMALL, "--out", str(tmp_path / "run")]) == 75


def test_the_report_of_a_stopped_run_has_a_time_limit(tmp_path, monkeypatch):
    stop_in_the_first_update(monkeypatch)
    monkeypatch.setattr(train, "_REPORT_SECONDS", 0.05)
    monkeypatch.setattr(report, "write_report", lambda run: time.sleep(60))
    assert main(["train", *SMALL, "--out", str(tmp_path / "run")]) == 75


def test_a_failing_report_does_not_hide_why_the_run_ended(tmp_path, monkeypatch, capsys):
    def fail(run: Path) -> Path:
        raise OSError("no room")

    stop_in_the_first_update(monkeypatch)
    monkeypatch.setattr(report, "write_report", fail)
    assert main(["train", *SMALL, "--out", str(tmp_path / "run")]) == 75
    assert "the report could not be written: no room" in capsys.readouterr().err


def test_a_diverged_run_gets_a_report(tmp_path):
    rates = ["--generator-optimizer", "adam:lr=1000", "--critic-optimizer", "adam:lr=1000"]
    assert main(["train", *SMALL, *rates, "--out", str(tmp_path / "run")]) == 4
    assert events(tmp_path / "run")[-1] == "diverged"
    assert "diverged" in (tmp_path / "run" / "report.html").read_text()


def test_a_rollback_is_reported_in_one_warning(tmp_path, capsys):
    rates = ["--constraint", "clipping:bound=0.01", "--critic-optimizer", "rmsprop:lr=0.3"]
    assert main(["train", *SMALL, *rates, "--out", str(tmp_path / "run")]) == 0
    warned = [line for line in capsys.readouterr().err.splitlines() if "diverged" in line]
    assert len(warned) == 1
    assert warned[0].startswith("wgan: warning: training diverged at step 4: at a learning rate of 0.3 each update")
    assert warned[0].endswith("(0.0025 for the generator, 0.15 for the critic): rollback 1 of 3")
    assert events(tmp_path / "run").count("rolled-back") == 1


def test_the_batch_of_a_recipe_shrinks_to_small_data_and_a_given_one_is_refused(tmp_path, capsys):
    data, run = tmp_path / "small.csv", tmp_path / "run"
    np.savetxt(data, np.random.default_rng(0).normal(size=(100, 2)), delimiter=",", header="a,b", comments="")
    words = ["train", str(data), *split("--steps 1 --quiet --generator mlp:width=8 --critic mlp:width=8")]
    assert main([*words, "--out", str(run)]) == 0
    assert "small.csv' has 90 samples to train on: the batch size is 90, not 256" in capsys.readouterr().err
    assert from_toml(run / "settings.toml").batch_size == 90
    (tmp_path / "given.toml").write_text("batch_size = 128\n")
    for given in (["--batch-size=128"], ["--settings", str(tmp_path / "given.toml")]):
        assert main([*words, *given, "--out", str(tmp_path / "other")]) == 2
        assert "The largest batch size is 90." in capsys.readouterr().err
