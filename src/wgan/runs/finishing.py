"""End a stopped run as it is: draw its last samples, without training."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from wgan.runs.checkpoints import name_of, read_state
from wgan.runs.directories import own, refuse_no_run
from wgan.runs.files import RunFiles
from wgan.runs.record import Journal, Record, read_checked
from wgan.runs.samples import remove_later_samples, write_samples
from wgan.runs.trained import load

ENDED_BY_HAND = "it was ended by hand"
"""The reason in the event that ends such a run."""


@dataclass(frozen=True)
class Finished:
    """The state of a run when it was ended.

    Attributes:
        step: Generator updates done.
        steps: Generator updates planned.
        samples: The file of its last samples.
        doubt: Why the samples may be useless; empty if there is no reason.
        was_over: Whether the run had already ended, after its last step or because training diverged.
    """

    step: int
    steps: int
    samples: Path
    doubt: str
    was_over: bool


def finish(directory: str | Path, *, parts: Mapping[str, Any] | None = None) -> Finished:
    """End a run at its last checkpoint; it can still be resumed.

    The data is not needed, since samples are not evaluated. To evaluate them too, resume the run with as many steps as
    are done.

    Args:
        directory: The run's directory.
        parts: Your own objects and modules that the run was begun with, by setting.

    Raises:
        UsageError: There is no run, or it is still running.
        CheckpointError: No checkpoint can be used, one of the run's files was changed after it was written, or the disk
            is full or failing.
    """
    files = RunFiles(Path(directory))
    refuse_no_run(files)
    ownership = own(files.root)
    try:
        trained = load(files.root, parts=parts)
        # If the newest checkpoint is damaged, an older one was loaded.
        facts = read_state(files.checkpoints / name_of(trained.step))[0]["facts"]
        length = facts.get("record_bytes")
        recorded = read_checked(files.metrics, length=length, check=facts.get("record_check"))
        journal, step = Journal(files.events), trained.step
        lines = [line["event"] for line in journal.lines() if line.get("event") != "verdict"]
        was_over = lines[-1:] in (["finished"], ["diverged"])
        if not was_over:
            # Remove what a killed run had done after its last checkpoint.
            known = None if length is None else recorded.until(length).check
            Record(files.metrics, length=length, check=known).close()
            remove_later_samples(files, step)
        samples = files.samples_at(step, trained.codec.kind)
        if not samples.exists():
            write_samples(trained.game, trained, files, step)
        if not was_over:
            journal.add("finished", step, seconds=journal.seconds_until(step), reason=ENDED_BY_HAND)
        return Finished(step, trained.settings.steps, samples, trained.doubt, was_over)
    finally:
        ownership.release()
