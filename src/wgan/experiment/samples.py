"""The samples that a run keeps along its way, and the real rows that they are shown beside."""

from __future__ import annotations

from pathlib import Path

from wgan import export
from wgan.batch import Batch
from wgan.data.source import Source, decode_batch
from wgan.experiment.drawing import Sheet, drawn, sheet_of
from wgan.experiment.files import RunFiles
from wgan.game import Game
from wgan.randomness import Randomness
from wgan.storage import disk_faults, sweep

NUM_SAMPLES = {"images": 64, "points": 1000, "table": 1000}
"""How many samples are kept at each of a run's sample steps, by the kind of the data."""

_ROWS_TO_CHOOSE = 2048


def write_samples(game: Game, source: Source, files: RunFiles, step: int) -> None:
    """Decode and keep samples of the same noise each time, so that sheets along the run compare.

    Args:
        game: Of the run.
        source: Its data.
        files: Where its samples go.
        step: Generator updates done.
    """
    kind, sheet = source.codec.kind, _sheet(source, game.seed)
    with game.engine.limits():
        batch = drawn(game, source, NUM_SAMPLES[kind], "noise of the samples")
        if sheet is not None:
            noise = game.prior.sample(len(sheet.condition), Randomness(game.seed).at("noise of the samples", 0))
            batch = Batch(game.draw(noise, sheet.condition), sheet.condition)
    _write(source, batch, files.samples_at(step, kind), sheet)


def write_real_samples(source: Source, files: RunFiles, seed: int) -> None:
    """Keep as many held-out rows as are kept of samples, for pictures that show the two side by side.

    Args:
        source: The run's data.
        files: Where its samples go.
        seed: Of the run.
    """
    kind, sheet = source.codec.kind, _sheet(source, seed)
    rng = Randomness(seed).at("held-out rows of the samples")
    batch = source.labelled("held-out", NUM_SAMPLES[kind] if sheet is None else _ROWS_TO_CHOOSE, rng)
    if sheet is not None and (chosen := sheet.matching(batch)) is not None:
        batch = chosen
    elif sheet is not None:
        batch, sheet = Batch(batch.values[: NUM_SAMPLES[kind]], batch.condition), None
    if len(batch.values):
        _write(source, batch, files.real_samples(kind), sheet)


def remove_later_samples(files: RunFiles, step: int) -> None:
    """Remove samples of steps that are to be done again, and what a stopped writer left."""
    with disk_faults(files.samples):
        files.samples.mkdir(exist_ok=True)
        sweep(files.root)
        for path in files.samples.iterdir():
            if path.name.startswith(".") or (path.stem.isdigit() and int(path.stem) > step):
                path.unlink()


def _sheet(source: Source, seed: int) -> Sheet | None:
    """How images are laid out in pictures, where they can be asked for."""
    if source.conditions is None or source.codec.kind != "images":
        return None
    return sheet_of(source.conditions, NUM_SAMPLES["images"], Randomness(seed).at("conditions of the sheets"))


def _write(source: Source, batch: Batch, out: Path, sheet: Sheet | None) -> None:
    codec, num = source.codec, len(batch.values)
    columns = None if sheet is None else sheet.columns
    rows = decode_batch(codec, source.conditions, batch)
    export.write_samples(iter([rows]), num, out, codec.kind, columns=columns)
