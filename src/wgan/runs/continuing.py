"""With what a stopped run goes on: more steps or fewer, another patience, data that has moved."""

from __future__ import annotations

import dataclasses
import os
import shlex
from pathlib import Path

from wgan.data.names import BUILT_IN
from wgan.errors import UsageError
from wgan.runs import checkpoints
from wgan.runs.files import RunFiles
from wgan.runs.record import Journal
from wgan.runs.selection import why_to_end
from wgan.settings import Settings, problems, refuse
from wgan.system.text import counted


def with_changes(
    settings: Settings,
    steps: int | None,
    patience: int | None,
    data: str | None,
    done: int,
    begun_with: int,
    files: RunFiles,
) -> Settings:
    """The settings with which a run goes on."""
    # The file may say more than the checkpoint: by hand, or from a resume that was killed before its first save.
    longer = _with_steps(settings, settings.steps if steps is None else steps, begun_with, done, files)
    if patience is not None:
        longer = dataclasses.replace(longer, patience=patience)
        refuse(problems(longer))
    return longer if data is None else moved(longer, data)


def still_to_do(
    settings: Settings, checkpoint: checkpoints.Checkpoint, journal: Journal, files: RunFiles
) -> dict[str, float] | None:
    """The numbers of the last update, if what follows an update is still to be done.

    Raises:
        UsageError: Nothing is left to do.
    """
    pending: dict[str, float] | None = checkpoint.facts["pending"]
    done, begun_with = checkpoint.step, int(checkpoint.facts["steps"])
    if pending is not None:
        return pending
    if done == settings.steps != begun_with:
        return _to_be_ended(checkpoint)
    if _is_finished(journal):
        if done == settings.steps:
            raise UsageError(
                f"the run in '{files.root}' has done all its {counted(begun_with, 'step')}",
                remedy=f"Give it more, for example --steps {2 * begun_with}.",
            )
        _refuse_early_end(settings, done, checkpoint, files)
    return None


def moved(settings: Settings, data: str) -> Settings:
    """The settings of a run whose data is elsewhere now."""
    return dataclasses.replace(settings, data=absolute(data, is_open=False))


def absolute(data: str, *, is_open: bool) -> str:
    """A path that leads to the data from any working directory; names of built-in data as they are."""
    if is_open or data in BUILT_IN or not data:
        return data
    try:
        return os.path.abspath(data) if Path(data).exists() else data  # noqa: PTH100 - links stay as they were named
    except (OSError, ValueError):
        return data


def _with_steps(settings: Settings, steps: int, begun_with: int, done: int, files: RunFiles) -> Settings:
    """The settings of a run of so many steps, which may be more or fewer than it was begun with."""
    changed = dataclasses.replace(settings, steps=steps)
    refuse(problems(changed))
    if steps < done:
        where = shlex.quote(str(files.root))
        end = "" if done == begun_with else f" To end it as it is: wgan train --resume {where} --steps {done}."
        raise UsageError(
            f"the run in '{files.root}' has done {done:,} of {counted(begun_with, 'step')}, "
            f"so it cannot end after {steps:,}",
            remedy=f"What is done cannot be undone.{end} For a run of {counted(steps, 'step')}, begin a new one: "
            f"wgan train --settings {shlex.quote(str(files.settings))} --steps {steps}.",
        )
    return changed


def _to_be_ended(checkpoint: checkpoints.Checkpoint) -> dict[str, float]:
    """The numbers of the last step, with which a run is ended as it is.

    Raises:
        UsageError: An earlier version did not note them.
    """
    last = checkpoint.facts.get("last")
    if isinstance(last, dict):
        return last
    raise UsageError(
        f"'{checkpoint.path}' is of an earlier version: the run cannot be ended exactly where it was stopped",
        remedy=f"Let it make another step: --steps {checkpoint.step + 1}.",
    )


def _refuse_early_end(settings: Settings, done: int, checkpoint: checkpoints.Checkpoint, files: RunFiles) -> None:
    if why := why_to_end(settings, done, checkpoint.best):
        raise UsageError(
            f"the run in '{files.root}' ended early at step {done:,}: {why}",
            remedy=f"Give it more patience, for example --patience {2 * settings.patience}, or none: --patience 0.",
        )


def _is_finished(journal: Journal) -> bool:
    endings = [line["event"] for line in journal.lines() if line.get("event") in ("finished", "resumed", "started")]
    return endings[-1:] == ["finished"]
