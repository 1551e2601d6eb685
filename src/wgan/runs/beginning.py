"""Begin a run in a new directory."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from wgan.data.source import Source
from wgan.errors import UsageError
from wgan.runs.compatibility import source_state
from wgan.runs.context import RunContext, context_of, setup_of
from wgan.runs.data import absolute, open_first
from wgan.runs.directories import new_run
from wgan.runs.files import RunFiles
from wgan.runs.metadata import environment_of
from wgan.runs.record import Journal, Record
from wgan.runs.run import Run
from wgan.runs.setups import with_fitting_batch
from wgan.settings import Settings, check, problems, refuse, sealed_toml
from wgan.settings.recipes import recipe_faults
from wgan.system.memory import memory_faults
from wgan.system.storage import canonical_json, disk_faults, replace_file
from wgan.system.text import counted
from wgan.system.torch_state import in_default_state
from wgan.training.custom import Own, own_parts, try_out
from wgan.training.engine import Engine
from wgan.training.factory import choose_parts

FEW_HELD_OUT = 100
"""Held-out rows below which a run warns that distances from them are unreliable."""

BEFORE_UPDATES = ("before the first update", "Use a smaller batch_size or latent_dim, smaller networks, or less data.")
"""What the memory is needed for while a run begins or resumes, and the remedy if there is none left."""


@in_default_state
@memory_faults(*BEFORE_UPDATES)
def begin(
    settings: Settings,
    directory: Path | None = None,
    *,
    source: Source | None = None,
    shrink_batch: bool = False,
    parts: Mapping[str, Any] | Own | None = None,
) -> Run:
    """Begin a run: make its directory, open the data, build the networks, and save the state before the first update.

    Args:
        settings: What to train, and how.
        directory: A new directory, or None for runs/<data>-<recipe>-NNN.
        source: The data, if it is open already; `settings.data` is then only its name.
        shrink_batch: Whether a batch larger than the data shrinks to it with a warning, or is refused.
        parts: Your own objects and modules in place of words, by setting: `{"generator": my_module}`.

    Returns:
        The run, which owns its directory until it is closed. Its settings name the precision, the number of threads and
        the engine that were chosen, so that a resume uses the same on any machine.

    Raises:
        UsageError: Settings that cannot be used, a directory that cannot be written or holds a run, a batch larger than
            the data.
        DataError: Data that cannot be read or learnt from.
        CheckpointError: The disk is full or failing.
    """
    given = parts if isinstance(parts, Own) else own_parts(parts or {})
    settings = dataclasses.replace(settings, **given.words)
    refuse([*recipe_faults(settings.recipe), *problems(settings)])
    chosen = choose_parts(settings, given.parts)
    settings = dataclasses.replace(settings, data=absolute(settings.data, is_open=source is not None))
    check(settings)
    with new_run(directory, data=settings.data, recipe=settings.recipe) as (files, ownership):
        source = source or open_first(settings, files)
        wanted, settings = settings.batch_size, with_fitting_batch(settings, source, shrink=shrink_batch)
        _refuse_mismatch(settings, source)
        setup = setup_of(settings, source, chosen)
        try_out(setup, given)
        settings = _with_engine(settings, setup.game.engine)
        _write_metadata(files, settings, source, setup.game.engine)
        context = context_of(
            files=files,
            settings=settings,
            setup=setup,
            parts=chosen,
            record=Record(files.metrics, length=0),
            journal=Journal(files.events),
        )
        _write_first_events(context, wanted)
        run = Run(context, ownership)
        run.save()
    return run


def _refuse_mismatch(settings: Settings, source: Source) -> None:
    """Refuse to train against wrong conditions where there are no others."""
    if settings.mismatch and (source.conditions is None or len(source.conditions.codes) < 2):
        why = "there are no conditions" if source.conditions is None else "all rows have the same condition"
        raise UsageError(
            f"mismatch is {settings.mismatch:g}, but {why}", remedy="Name conditions (--condition), or leave it at 0."
        )


def _with_engine(settings: Settings, engine: Engine) -> Settings:
    """The settings with what "auto" chose: the last bits depend on it, and a resume may have other cores."""
    return dataclasses.replace(
        settings,
        precision=engine.precision,
        threads=engine.threads,
        engine="compiled" if engine.compiled else "eager",
    )


def _write_metadata(files: RunFiles, settings: Settings, source: Source, engine: Engine) -> None:
    """Write the files other than checkpoints, and remove those of a run that was killed while it began."""
    with disk_faults(files.root):
        files.samples.mkdir(exist_ok=True)
        files.metrics.unlink(missing_ok=True)
        files.events.unlink(missing_ok=True)
    replace_file(files.settings, sealed_toml(settings))
    replace_file(files.source, canonical_json(source_state(source)))
    replace_file(files.environment, canonical_json(environment_of(engine)))


def _write_first_events(context: RunContext, wanted: int) -> None:
    """Note that the run has started, and warn about a smaller batch and few held-out rows.

    Args:
        context: Of the run.
        wanted: The requested batch size.
    """
    source, settings, journal = context.source, context.settings, context.journal
    journal.add("started", 0, seconds=0.0)
    if settings.batch_size != wanted:
        shrunk = f"'{source.name}' has {counted(settings.batch_size, 'sample')} to train on"
        journal.warn(0, f"{shrunk}: the batch size is {settings.batch_size:,}, not {wanted:,}")
    if context.evaluator is None:
        journal.warn(0, "no rows are held out, so samples are not evaluated and no checkpoint is the best")
    elif source.num_held_out is not None and source.num_held_out < FEW_HELD_OUT:
        few = f"only {counted(source.num_held_out, 'held-out row')}"
        journal.warn(0, f"{few}: distances from so few are unreliable, and 1.0 times the floor is weak evidence")
