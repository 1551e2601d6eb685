"""`wgan train`: train or resume a run, and show its progress."""

from __future__ import annotations

import contextlib
import shlex
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from wgan.cli.streams import say
from wgan.cli.train_settings import Request, faults_of, read, resume_flags
from wgan.errors import Interrupted, NumericError, UsageError, WganError
from wgan.settings import RESUME_OPTIONS, Settings, refuse
from wgan.system.signals import Received, SignalError, at_most, raising
from wgan.system.text import counted, escaped

if TYPE_CHECKING:
    from wgan.runs import Run

_REPORT_SECONDS = 3.0
"""The time that a stopped run, which is saved by then, has for its report."""


def run(words: Sequence[str]) -> int:
    """Run `wgan train`."""
    with raising() as received:
        try:
            return _answer(words, received)
        except SignalError as error:
            signal = error
        except Exception as error:
            if received.signal is None or isinstance(error, WganError):
                raise
            signal = received.signal
        print(f"wgan: stopped by {signal.name} before the run began; it left no files", file=sys.stderr)
        return signal.exit_code


def _answer(words: Sequence[str], received: Received) -> int:
    request = read(words)
    if request.options.resume is not None:
        return _resume(request, request.options.resume, received)
    refuse(faults_of(request.settings))
    _refuse_missing_device(request.settings, words)
    from wgan.runs import begin

    received.raise_again()
    with begin(request.settings, request.options.out, shrink_batch=not request.has_batch_size) as run:
        return _follow(run, request.options.quiet, received)


def _refuse_missing_device(settings: Settings, words: Sequence[str]) -> None:
    import torch

    if settings.device == "cuda" and not torch.cuda.is_available():
        kept = [
            word
            for number, word in enumerate(words)
            if not word.startswith("--device") and words[number - 1 : number] != ["--device"]
        ]
        command = shlex.join(["wgan", "train", *kept, "--device", "cpu"])
        raise UsageError("this machine has no usable CUDA device", remedy=f"On the CPU: {command}")


def _resume(request: Request, directory: Path, received: Received) -> int:
    given = request.given
    if others := given.keys() - {"resume", "quiet", *RESUME_OPTIONS}:
        named = ", ".join("--" + name.replace("_", "-") for name in sorted(others))
        raise UsageError(
            f"{named} cannot be given with --resume: a run continues with its own settings",
            remedy=f"Only {' and '.join(resume_flags())} may change, and DATA if the data has moved. "
            "To change more, begin a new run with --settings RUN/settings.toml.",
        )
    try:
        from wgan.runs import resume

        received.raise_again()
        changes = {name: given.get(name) for name in RESUME_OPTIONS}
        with resume(directory, **changes) as run:
            return _follow(run, request.options.quiet, received)
    except SignalError as signal:
        raise _interrupted(signal, directory) from None
    except Exception as error:
        if received.signal is None or isinstance(error, WganError):
            raise
        raise _interrupted(received.signal, directory) from None


def _interrupted(signal: SignalError, directory: Path) -> Interrupted:
    return Interrupted(
        f"stopped by {signal.name}; the last checkpoint is in {directory}",
        remedy=f"Resume with: wgan train --resume {shlex.quote(str(directory))}",
    )


def _follow(run: Run, quiet: bool, received: Received) -> int:
    """Train to the end and print the result; a run that ends early gets a report too."""
    directory = run.directory
    try:
        received.raise_again()
        evaluation = _train(run, quiet)
    except Interrupted:
        with contextlib.suppress(SignalError), at_most(_REPORT_SECONDS):
            _report(directory)
        raise
    except NumericError:
        with contextlib.suppress(SignalError):
            _report(directory)
        raise
    except SignalError as signal:
        raise _interrupted(signal, directory) from None
    try:
        return _conclude(run, evaluation, quiet)
    except SignalError as signal:
        again = shlex.join(["wgan", "report", str(directory)])
        print(f"wgan: stopped by {signal.name} after the run had finished; for its report: {again}", file=sys.stderr)
        return 0


def _report(directory: Path) -> None:
    """Write the report of a run that failed or was stopped; a fault of the report is only a warning."""
    from wgan.report import write_report

    try:
        write_report(directory)
    except Exception as error:
        reason = escaped(error.in_full if isinstance(error, WganError) else " ".join(str(error).split()))
        print(f"wgan: warning: the report could not be written: {reason}", file=sys.stderr)


def _train(run: Run, quiet: bool) -> dict[str, float]:
    """Train to the end and return the last evaluation."""
    from wgan.report.live import LiveView

    settings, directory = run.settings, run.directory
    evaluation: dict[str, float] = {}
    if quiet:
        for progress in run.run():
            evaluation = progress.evaluation or evaluation
        return evaluation
    for note in run.source.notes:
        say(f"note: {note}")
    engine = run.game.engine.describe()
    with LiveView(settings, run.source.describe(), directory, settings.steps, engine=engine) as view:
        for progress in run.run():
            evaluation = progress.evaluation or evaluation
            view.update(progress)
    return evaluation


def _conclude(run: Run, evaluation: dict[str, float], quiet: bool) -> int:
    """Write the report and print the result of the run."""
    from wgan.cli.runs import evaluation_lines
    from wgan.report import write_report

    report = write_report(run.directory)
    if quiet:
        say(str(run.directory))
        return 0

    if run.ended_early:
        say(f"ended early, after {counted(run.game.steps_done, 'update')}: {run.ended_early}")
    for line in evaluation_lines(evaluation):
        say(line)
    if run.verdict is not None:
        say(f"verdict: {run.verdict}")
    say(f"report: {report}")
    say(f"next:   {_next_command(run)}")
    return 0


def _next_command(run: Run) -> str:
    """A command that draws samples into the run directory: a picture elsewhere could end up among the data."""
    from wgan.cli.where import example
    from wgan.data.export import sample_ending
    from wgan.runs.samples import NUM_SAMPLES

    kind, directory = run.source.codec.kind, run.directory
    out = directory / f"samples{sample_ending(kind)}"
    # The path that was typed, if `wgan` is not on the path: after `make demo` it is .venv/bin/wgan.
    called = sys.argv[0] if Path(sys.argv[0]).name == "wgan" and shutil.which("wgan") is None else "wgan"
    words = [called, "sample", str(directory), "--num", str(NUM_SAMPLES[kind]), "--out", str(out)]
    if run.settings.patience:
        words += ["--checkpoint", "best"]
    conditions = run.source.conditions
    return shlex.join(words if conditions is None else [*words, *example(conditions)])
