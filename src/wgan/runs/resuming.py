"""Resume a run from its last checkpoint, perhaps with other steps or patience, or with data that has moved."""

from __future__ import annotations

import dataclasses
import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from wgan.data.source import Source
from wgan.errors import UsageError
from wgan.runs import checkpoints
from wgan.runs.beginning import BEFORE_UPDATES
from wgan.runs.compatibility import refuse_other_data, refuse_other_facts, refuse_other_settings, restore
from wgan.runs.context import context_of, setup_of
from wgan.runs.data import moved, open_again
from wgan.runs.directories import own, refuse_no_run
from wgan.runs.files import RunFiles
from wgan.runs.hash_chain import Chain
from wgan.runs.metadata import environment_of, read_environment, read_settings, read_source, settings_seal
from wgan.runs.record import Journal, Record, read_checked
from wgan.runs.run import Run
from wgan.runs.samples import remove_later_samples, remove_samples
from wgan.runs.schedule import is_regular
from wgan.runs.selection import early_end_reason
from wgan.settings import RESUME_OPTIONS, Settings, problems, refuse, sealed_toml
from wgan.system.memory import memory_faults
from wgan.system.storage import Ownership, replace_file, require_space
from wgan.system.text import counted
from wgan.system.torch_state import in_default_state
from wgan.training.custom import Own, own_parts
from wgan.training.engine import Engine
from wgan.training.factory import choose_parts


@in_default_state
@memory_faults(*BEFORE_UPDATES)
def resume(
    directory: str | Path,
    *,
    steps: int | None = None,
    patience: int | None = None,
    data: str | None = None,
    source: Source | None = None,
    parts: Mapping[str, Any] | None = None,
) -> Run:
    """Resume a run from its last intact checkpoint, as if it had never stopped.

    On the same CPU machine it then leaves the same bytes. On CUDA sums may round otherwise each time.

    Args:
        directory: The run's directory.
        steps: Generator updates of the whole run from now on, more or fewer than it was begun with, but no fewer than
            are done. A run of as many as are done is evaluated, sampled and saved as it is.
        patience: Its patience from now on.
        data: Where the data is now, if it has moved.
        source: The data, if it is open already or was never a file.
        parts: Your own objects and modules that the run was begun with, by setting.

    Returns:
        The run, which owns its directory until it is closed.

    Raises:
        UsageError: No run is there, it is in use, it has done more than `steps`, or all its steps, or ended early.
        CheckpointError: No checkpoint can be used, one of the run's files was changed after it was written, or the data
            or settings are not those that it was begun with.
    """
    files = RunFiles(Path(directory))
    refuse_no_run(files)
    values = {"steps": steps, "patience": patience, "data": data}
    changes = {name: values[name] for name in RESUME_OPTIONS if values[name] is not None}
    given = own_parts(parts or {})
    ownership = own(files.root)
    try:
        return _resume(files, ownership, changes, source, given)
    except BaseException:
        ownership.release()
        raise


def _resume(
    files: RunFiles, ownership: Ownership, changes: Mapping[str, Any], source: Source | None, given: Own
) -> Run:
    # Everything is read and checked before the directory is changed.
    before, stored = read_settings(files), read_source(files)
    checkpoint = checkpoints.load(files.checkpoints)
    refuse_other_facts(checkpoint)
    facts = checkpoint.facts
    recorded = read_checked(files.metrics, length=facts["record_bytes"], check=facts.get("record_check"))
    journal = Journal(files.events)
    settings = _changed(before, changes, checkpoint, files)
    pending = _pending(settings, checkpoint, journal, files)
    refuse_other_settings(checkpoint, before, files.root)
    require_space(files.root, files.bytes_to_save())
    given.check(settings, where=str(files.root))
    parts = choose_parts(settings, given.parts)
    source = source or open_again(settings, files)
    refuse_other_data(stored, source, files.root)
    setup = setup_of(settings, source, parts)
    restore(setup.game, checkpoint)

    _write_first_events(files, journal, checkpoint, setup.game.engine)
    recorded = recorded.until(int(facts["record_bytes"]))
    record = _cut_record(files, checkpoint, recorded, journal)
    _remove_samples(files, before, checkpoint, source)
    _write_settings(files, before, settings, checkpoint, journal)
    context = context_of(
        files=files,
        settings=settings,
        setup=setup,
        parts=parts,
        record=record,
        journal=journal,
        lines=recorded.lines,
    )
    run = Run(context, ownership, pending=pending, last=facts.get("last"))
    checkpoints.settle(files.checkpoints, checkpoint, is_regular=lambda step: is_regular(settings, step))
    return run


def _changed(
    settings: Settings, changes: Mapping[str, Any], checkpoint: checkpoints.Checkpoint, files: RunFiles
) -> Settings:
    """The settings with which a run continues."""
    changed = dataclasses.replace(settings, **{name: value for name, value in changes.items() if name != "data"})
    refuse(problems(changed))
    # Without a change there may be more steps than in the checkpoint: the file was edited, or a resume was killed
    # before its first save.
    if changed.steps < checkpoint.step:
        raise _too_few_steps(changed.steps, checkpoint, files)
    return moved(changed, changes["data"]) if "data" in changes else changed


def _too_few_steps(steps: int, checkpoint: checkpoints.Checkpoint, files: RunFiles) -> UsageError:
    done, planned, run = checkpoint.step, int(checkpoint.facts["steps"]), shlex.quote(str(files.root))
    end = "" if done == planned else f" To end it as it is: wgan train --resume {run} --steps {done}."
    return UsageError(
        f"the run in '{files.root}' has done {done:,} of {counted(planned, 'step')}, so it cannot end after {steps:,}",
        remedy=f"Updates cannot be undone.{end} For a run of {counted(steps, 'step')}, begin a new one: "
        f"wgan train --settings {shlex.quote(str(files.settings))} --steps {steps}.",
    )


def _pending(
    settings: Settings, checkpoint: checkpoints.Checkpoint, journal: Journal, files: RunFiles
) -> dict[str, float] | None:
    """The numbers of the last update, if its line of the record is still to be written.

    Raises:
        UsageError: Nothing is left to do.
    """
    pending: dict[str, float] | None = checkpoint.facts["pending"]
    done, planned = checkpoint.step, int(checkpoint.facts["steps"])
    if pending is not None:
        return pending
    if done == settings.steps != planned:
        return _last_numbers(checkpoint)
    if _is_finished(journal):
        if done == settings.steps:
            raise UsageError(
                f"the run in '{files.root}' has done all its {counted(planned, 'step')}",
                remedy=f"Give it more, for example --steps {2 * planned}.",
            )
        if why := early_end_reason(settings, done, checkpoint.best):
            raise UsageError(
                f"the run in '{files.root}' ended early at step {done:,}: {why}",
                remedy=f"Give it more patience, for example --patience {2 * settings.patience}, or none: --patience 0.",
            )
    return None


def _last_numbers(checkpoint: checkpoints.Checkpoint) -> dict[str, float]:
    """The numbers of the last update, which the run is to end with.

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


def _is_finished(journal: Journal) -> bool:
    endings = [line["event"] for line in journal.lines() if line.get("event") in ("finished", "resumed", "started")]
    return endings[-1:] == ["finished"]


def _write_first_events(files: RunFiles, journal: Journal, checkpoint: checkpoints.Checkpoint, engine: Engine) -> None:
    """Note that the run was resumed, and warn about damaged checkpoints and another environment."""
    done = checkpoint.step
    journal.add("resumed", done, seconds=journal.seconds_until(done))
    for reason in checkpoint.passed_over:
        journal.add("warning", done, message=f"{reason}; fell back to step {done}")
    before, now = read_environment(files), environment_of(engine)
    changed = [f"{name} {now[name]} (was {before.get(name)})" for name in now if now[name] != before.get(name)]
    if changed:
        message = "the environment has changed, so the last bits may differ from those of a run without a stop"
        journal.warn(done, f"{message}: {', '.join(changed)}")


def _cut_record(files: RunFiles, checkpoint: checkpoints.Checkpoint, recorded: Chain, journal: Journal) -> Record:
    """The record at the time the checkpoint was saved."""
    is_lost = checkpoint.facts["record_bytes"] and not files.metrics.is_file()
    record = Record(files.metrics, length=int(checkpoint.facts["record_bytes"]), check=recorded.check)
    if is_lost:
        journal.warn(checkpoint.step, f"'{files.metrics}' is missing: a new record begins")
    return record


def _remove_samples(files: RunFiles, settings: Settings, checkpoint: checkpoints.Checkpoint, source: Source) -> None:
    """Remove samples of steps that are done again, and those that `finish` drew at an additional step."""
    done = checkpoint.step
    remove_later_samples(files, done)
    if done % settings.sample_every and done != checkpoint.facts["steps"]:
        remove_samples(files.samples_at(done, source.codec.kind))


def _write_settings(
    files: RunFiles, before: Settings, settings: Settings, checkpoint: checkpoints.Checkpoint, journal: Journal
) -> None:
    """Write the settings if they have changed or carry no checksum, and warn if the learning rates jump."""
    done, planned = checkpoint.step, int(checkpoint.facts["steps"])
    if settings.steps != planned and settings.lr_schedule != "none":
        changed = f"the {settings.lr_schedule} decay of the learning rates now runs to step {settings.steps:,}"
        journal.warn(done, f"{changed} instead of {planned:,}: the rates jump at step {done:,}")
    if settings != before or settings_seal(files, checkpoint.facts) == "none":
        replace_file(files.settings, sealed_toml(settings))
