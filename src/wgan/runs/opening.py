"""Begin a run in a new directory, or go on with the one in a directory."""

from __future__ import annotations

import dataclasses
import os
import platform
import shlex
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import torch

from wgan.data import codec_from_state, open_data
from wgan.data.names import BUILT_IN
from wgan.data.points import PointsCodec
from wgan.data.source import Source
from wgan.errors import UsageError
from wgan.evaluation.metrics import SampleEvaluator
from wgan.runs import checkpoints
from wgan.runs.compatibility import refuse_other_data, refuse_other_facts, refuse_other_settings, restore, source_state
from wgan.runs.continuing import absolute, still_to_do, with_changes
from wgan.runs.diagnosis import RunDiagnosis
from wgan.runs.files import RunFiles, new_run, own, refuse_no_run
from wgan.runs.metadata import read_environment, read_settings, read_source, settings_seal
from wgan.runs.record import Journal, Record, read_lines
from wgan.runs.running import Experiment
from wgan.runs.samples import remove_later_samples, remove_samples
from wgan.runs.selection import refuse_blind_choice
from wgan.runs.setups import build_setup
from wgan.runs.sizing import refuse_what_cannot_fit
from wgan.settings import DataOptions, Settings, check, problems, refuse, sealed_toml
from wgan.settings.recipes import recipe_faults
from wgan.system.memory import memory_faults
from wgan.system.storage import Ownership, canonical_json, disk_faults, replace_file, require_space
from wgan.system.text import counted
from wgan.system.torch_state import in_usual_state
from wgan.training.custom import Own, own_parts, try_out
from wgan.training.factory import choose_parts
from wgan.training.game import Game

FEW_HELD_OUT = 100
"""Held-out rows below which a run says that its judge has little to go by."""

CACHE = ".wgan-cache"
"""The folder beside the runs in which images are packed once for all of them."""


_BEGINNING = ("before the first update", "Use a smaller batch_size or latent_dim, smaller networks, or less data.")


@in_usual_state
@memory_faults(*_BEGINNING)
def begin(
    settings: Settings,
    directory: Path | None = None,
    *,
    source: Source | None = None,
    shrink_batch: bool = False,
    parts: Mapping[str, Any] | Own | None = None,
) -> Experiment:
    """Begin a run: make its directory, open the data, build the game, and save the state before the first update.

    Args:
        settings: What to train, and how.
        directory: A new directory, or None for runs/<data>-<recipe>-NNN.
        source: The data, if it is open already; `settings.data` is then no more than a name.
        shrink_batch: Whether a batch larger than the data shrinks to it, with a warning, or is refused.
        parts: Objects and modules of your own in the place of words, by setting: `{"generator": my_module}`.

    Returns:
        The run, which owns its directory until it is closed. Its settings name the precision, the number of
        threads and the engine that were chosen, so that it uses the same wherever it goes on.

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
        source = source or _open(settings, files)
        asked, settings = settings.batch_size, _with_fitting_batch(settings, source, shrink=shrink_batch)
        _refuse_mismatch(settings, source)
        refuse_blind_choice(settings, source)
        refuse_what_cannot_fit(settings, source.codec.layout, _condition_size(source), given.parts)
        setup = build_setup(settings, source, chosen)
        game = setup.game
        try_out(setup, given)
        # Chosen once: the last bits depend on them, and a resumed run may find itself with other cores.
        settings = dataclasses.replace(
            settings,
            precision=game.engine.precision,
            threads=game.engine.threads,
            engine="compiled" if game.engine.compiled else "eager",
        )
        judge = _judge(settings, source)
        with disk_faults(files.root):
            files.samples.mkdir(exist_ok=True)
            files.metrics.unlink(missing_ok=True)
            files.events.unlink(missing_ok=True)
        replace_file(files.settings, sealed_toml(settings))
        replace_file(files.source, canonical_json(source_state(source)))
        replace_file(files.environment, canonical_json(_environment(game)))
        journal = Journal(files.events)
        journal.add("started", 0, seconds=0.0)
        if settings.batch_size != asked:
            shrunk = f"'{source.name}' has {counted(settings.batch_size, 'sample')} to train on"
            journal.warn(0, f"{shrunk}: the batch size is {settings.batch_size:,}, not {asked:,}")
        if judge is None:
            journal.warn(0, "no rows are held out, so samples are not judged and no checkpoint is the best")
        elif source.num_held_out is not None and source.num_held_out < FEW_HELD_OUT:
            few = f"only {counted(source.num_held_out, 'held-out row')}"
            journal.warn(0, f"{few}: distances from so few are unreliable, and 1.0 times the floor is weak evidence")
        experiment = Experiment(
            files=files,
            ownership=ownership,
            settings=settings,
            setup=setup,
            parts=chosen,
            judge=judge,
            examination=RunDiagnosis.of(settings, setup),
            record=Record(files.metrics, length=0),
        )
        experiment.save()
    return experiment


@in_usual_state
@memory_faults(*_BEGINNING)
def resume(
    directory: str | Path,
    *,
    steps: int | None = None,
    patience: int | None = None,
    data: str | None = None,
    source: Source | None = None,
    parts: Mapping[str, Any] | None = None,
) -> Experiment:
    """Go on with a run from its last intact checkpoint, as if it had never stopped.

    On the same CPU machine it then leaves the same bytes; on CUDA sums may round otherwise each time.

    Args:
        directory: The run's directory.
        steps: Generator updates of the whole run from now on, if they are to be more or fewer than it was begun with;
            no fewer than are done. A run of as many as are done is judged, sampled and saved as it is.
        patience: Its patience from now on, if that is to be another.
        data: Where the data is now, if it has moved since.
        source: The data, if it is open already or was never a file.
        parts: The objects and modules of your own that the run was begun with, by setting.

    Returns:
        The run, which owns its directory until it is closed.

    Raises:
        UsageError: No run is there, it is in use, it has done more than `steps`, or all its steps, or ended early.
        CheckpointError: No checkpoint can be used, one of the run's files was changed after it was written, or the data
            or settings are not those that it was begun with.
    """
    files = RunFiles(Path(directory))
    refuse_no_run(files)
    given = own_parts(parts or {})
    ownership = own(files.root)
    try:
        return _resume(files, ownership, steps, patience, data, source, given)
    except BaseException:
        ownership.release()
        raise


def _resume(
    files: RunFiles,
    ownership: Ownership,
    steps: int | None,
    patience: int | None,
    data: str | None,
    source: Source | None,
    given: Own,
) -> Experiment:
    settings, stored = read_settings(files), read_source(files)
    checkpoint = checkpoints.load(files.checkpoints)
    refuse_other_facts(checkpoint)
    facts = checkpoint.facts
    read_lines(files.metrics, length=facts["record_bytes"], check=facts.get("record_check"))
    journal = Journal(files.events)
    done, begun_with = checkpoint.step, int(facts["steps"])
    longer = with_changes(settings, steps, patience, data, done, begun_with, files)
    pending = still_to_do(longer, checkpoint, journal, files)
    refuse_other_settings(checkpoint, settings, files.root)
    require_space(files.root, files.bytes_to_save())
    given.check(longer, where=str(files.root))
    parts = choose_parts(longer, given.parts)
    source = source or open_again(longer, files)
    refuse_other_data(stored, source, files.root)
    refuse_blind_choice(longer, source)
    refuse_what_cannot_fit(longer, source.codec.layout, _condition_size(source), given.parts)
    setup = build_setup(longer, source, parts)
    game = setup.game
    restore(game, checkpoint)

    journal.add("resumed", done, seconds=journal.seconds_until(done))
    for reason in checkpoint.passed_over:
        journal.add("warning", done, message=f"{reason}; fell back to step {done}")
    _compare_environments(files, game, journal, done)
    record = _record_until(files, checkpoint, journal)
    remove_later_samples(files, done)
    if done % settings.sample_every and done != begun_with:
        # `finish` drew them of a run that now goes on.
        remove_samples(files.samples_at(done, source.codec.kind))
    if longer.steps != begun_with and settings.lr_schedule != "none":
        changed = f"the {settings.lr_schedule} decay of the learning rates now runs to step {longer.steps:,}"
        journal.warn(done, f"{changed} instead of {begun_with:,}: the rates jump at step {done:,}")
    if longer != settings or settings_seal(files, facts) == "none":
        replace_file(files.settings, sealed_toml(longer))
    experiment = Experiment(
        files=files,
        ownership=ownership,
        settings=longer,
        setup=setup,
        parts=parts,
        judge=_judge(longer, source),
        examination=RunDiagnosis.of(longer, setup, read_lines(files.metrics)),
        record=record,
        pending=pending,
        last=facts.get("last"),
    )
    checkpoints.settle(files.checkpoints, checkpoint, is_regular=experiment.is_regular)
    return experiment


def _refuse_mismatch(settings: Settings, source: Source) -> None:
    """Refuse wrong conditions where there are none, or only one, before anything is trained."""
    if settings.mismatch and (source.conditions is None or len(source.conditions.codes) < 2):
        why = "there are no conditions" if source.conditions is None else "all rows have the same condition"
        raise UsageError(
            f"mismatch is {settings.mismatch:g}, but {why}", remedy="Name conditions (--condition), or leave it at 0."
        )


def _condition_size(source: Source) -> int:
    return 0 if source.conditions is None else source.conditions.size


def open_again(settings: Settings, files: RunFiles) -> Source:
    """Open the data that a run was begun with.

    Raises:
        UsageError: It was an object in memory, or its path leads nowhere any more.
    """
    settings = dataclasses.replace(settings, input=_as_before(settings.input, files))
    try:
        return _open(settings, files)
    except UsageError as error:
        if settings.data.startswith("<") or settings.data in BUILT_IN or Path(settings.data).exists():
            raise
        run = shlex.quote(str(files.root))
        raise UsageError(
            error.message,
            remedy="If the data has moved, say where it is now: "
            f"wgan train DATA --resume {run}, or wgan evaluate {run} --data DATA.",
        ) from None


def _as_before(options: DataOptions, files: RunFiles) -> DataOptions:
    """The options under which a run of any version sees its data as it did: booleans were once scaled like numbers."""
    codec = codec_from_state(read_source(files)["codec"])
    if not isinstance(codec, PointsCodec) or codec.dtype.kind != "b" or codec.bounded or options.scaling != "auto":
        return options
    return dataclasses.replace(options, scaling="each" if codec.unit is None else "common")


def _open(settings: Settings, files: RunFiles) -> Source:
    if settings.data.startswith("<"):
        raise UsageError(
            f"the run in '{files.root}' was trained on data in memory, {settings.data}, which is not there any more",
            remedy="Open the data in Python and pass it: source=open_data(...).",
        )
    return open_data(settings.data, settings.input, seed=settings.seed, cache=files.root.parent / CACHE)


def _with_fitting_batch(settings: Settings, source: Source, *, shrink: bool) -> Settings:
    if source.size is None or settings.batch_size <= source.size:
        return settings
    if shrink:
        return dataclasses.replace(settings, batch_size=source.size)
    raise UsageError(
        f"batch_size {settings.batch_size:,} is more than '{source.name}' has to train on: "
        f"{counted(source.size, 'sample')}",
        remedy=f"The largest batch size is {source.size}.",
    )


def _judge(settings: Settings, source: Source) -> SampleEvaluator | None:
    if source.num_held_out == 0:
        return None
    return SampleEvaluator(source, size=settings.eval_size, rounds=settings.eval_repeats, seed=settings.seed)


def _environment(game: Game) -> dict[str, Any]:
    """What the last bits of a run depend on beside its settings and data."""
    engine = game.engine
    return {
        "wgan": version("wgan"),
        "python": platform.python_version(),
        "torch": torch.__version__,
        "numpy": np.__version__,
        "platform": platform.platform(),
        "machine": platform.machine(),
        "cpu_capability": torch.backends.cpu.get_cpu_capability(),
        "cores": os.cpu_count(),
        "device": torch.cuda.get_device_name() if engine.device.type == "cuda" else "cpu",
        "threads": engine.threads or torch.get_num_threads(),
        "precision": engine.precision,
        "engine": "compiled" if engine.compiled else "eager",
    }


def _compare_environments(files: RunFiles, game: Game, journal: Journal, step: int) -> None:
    before, now = read_environment(files), _environment(game)
    changed = [f"{name} {now[name]} (was {before.get(name)})" for name in now if now[name] != before.get(name)]
    if changed:
        message = "the run goes on elsewhere than it was begun, so its last bits may differ from an unbroken run's"
        journal.warn(step, f"{message}: {', '.join(changed)}")


def _record_until(files: RunFiles, checkpoint: checkpoints.Checkpoint, journal: Journal) -> Record:
    """The record as it was when the checkpoint was saved."""
    is_lost = checkpoint.facts["record_bytes"] and not files.metrics.is_file()
    record = Record(files.metrics, length=int(checkpoint.facts["record_bytes"]))
    if is_lost:
        journal.warn(checkpoint.step, f"'{files.metrics}' is not there: the record begins anew")
    return record
