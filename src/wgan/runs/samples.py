"""The samples that a run keeps along the way, and the real rows that they are compared with."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from wgan.batch import Batch
from wgan.data import export
from wgan.data.codes import words_of
from wgan.data.columns import Category
from wgan.data.conditions import Conditions
from wgan.data.source import Source, decode_batch
from wgan.errors import CheckpointError
from wgan.randomness import Randomness
from wgan.runs.drawing import Decoding, drawn
from wgan.runs.files import RunFiles
from wgan.system.storage import DamagedError, disk_faults, read_plain, refuse_special, replace_file, seal, sweep, unseal
from wgan.training.game import Game

NUM_SAMPLES = {"images": 64, "points": 1000, "table": 1000}
"""How many samples are kept at each of a run's sample steps, by the kind of the data."""

_ROWS_TO_CHOOSE = 2048
_MOST_ROWS, _FEW_ROWS = 16, 8
_RESTORE = "Restore it from a copy, or remove it: the samples are then left out, or taken as they are."


def write_samples(game: Game, source: Decoding, files: RunFiles, step: int) -> None:
    """Write decoded samples, of the same noise each time, so that sheets along the run can be compared.

    Args:
        game: Of the run.
        source: Its data, or what it keeps of it.
        files: Of the run.
        step: Generator updates done.
    """
    kind, sheet = source.codec.kind, _sheet(source, game.seed)
    with game.engine.limits():
        batch = drawn(game, source, NUM_SAMPLES[kind], "noise of the samples")
        if sheet is not None:
            noise = game.prior.sample(len(sheet.condition), Randomness(game.seed).at("noise of the samples", 0))
            batch = Batch(game.draw(noise, sheet.condition), sheet.condition)
    _write(source, batch, files, files.samples_at(step, kind), sheet)


def write_real_samples(source: Source, files: RunFiles, seed: int) -> None:
    """Write as many held-out rows as samples, for pictures that show the two side by side.

    Args:
        source: The run's data.
        files: Of the run.
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
        _write(source, batch, files, files.real_samples(kind), sheet)


def remove_later_samples(files: RunFiles, step: int) -> None:
    """Remove samples of steps that are done again, and temporary files of a killed process."""
    with disk_faults(files.samples):
        files.samples.mkdir(exist_ok=True)
        sweep(files.root)
        for path in files.samples.iterdir():
            if path.name.startswith(".") or (path.stem.isdigit() and int(path.stem) > step):
                path.unlink()
    _note(files, lambda sums: {name: sums[name] for name in sums if (files.samples / name).exists()})


def _sheet(source: Decoding, seed: int) -> Sheet | None:
    """How images are laid out in pictures; None without conditions."""
    if source.conditions is None or source.codec.kind != "images":
        return None
    return sheet_of(source.conditions, NUM_SAMPLES["images"], Randomness(seed).at("conditions of the sheets"))


def _write(source: Decoding, batch: Batch, files: RunFiles, out: Path, sheet: Sheet | None) -> None:
    codec, num = source.codec, len(batch.values)
    columns = None if sheet is None else sheet.columns
    rows = decode_batch(codec, source.conditions, batch)
    export.write_samples(iter([rows]), num, out, codec.kind, columns=columns)
    _note(files, lambda sums: {**sums, out.name: _checksum(out)})


def remove_samples(path: Path) -> None:
    """Remove a file of samples, if it exists."""
    with disk_faults(path):
        path.unlink(missing_ok=True)
    _note(RunFiles(path.parent.parent), lambda sums: {name: sums[name] for name in sums if name != path.name})


def refuse_changed_samples(files: RunFiles, paths: Iterable[Path]) -> None:
    """Refuse files of samples that were changed after the run wrote them; those without a checksum are accepted.

    Raises:
        CheckpointError: It was changed.
    """
    noted = _noted(files)
    for path in paths:
        if path.name in noted and noted[path.name] != _checksum(path):
            raise CheckpointError(
                f"'{path}' was changed after it was written: it does not have the checksum in "
                f"'{files.sample_checksums}'",
                remedy=_RESTORE,
            )


def _noted(files: RunFiles) -> dict[str, str]:
    """The checksums of the samples, by file name; none in runs of earlier versions.

    Raises:
        CheckpointError: They were changed.
    """
    path = files.sample_checksums
    try:
        return {str(name): str(each) for name, each in unseal(read_plain(path), path.name).items()}
    except FileNotFoundError:
        return {}
    except OSError as error:
        raise CheckpointError(f"'{path}' cannot be read: {error.strerror}", remedy=_RESTORE) from None
    except DamagedError as damage:
        raise CheckpointError(f"'{path}' was changed after it was written: {damage}", remedy=_RESTORE) from None


def _note(files: RunFiles, change: Callable[[Mapping[str, str]], Mapping[str, str]]) -> None:
    before = _noted(files)
    after = dict(change(before))
    if after != before:
        replace_file(files.sample_checksums, seal(after))


def _checksum(path: Path) -> str:
    try:
        refuse_special(path)
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise CheckpointError(f"'{path}' cannot be read: {error.strerror}", remedy=_RESTORE) from None


@dataclass(frozen=True, kw_only=True)
class Sheet:
    """Conditions for a picture of images in rows; each value of the first category has separate rows.

    Attributes:
        condition: Shape (num, C).
        columns: Images in a row.
        part: The entries of a condition that encode the category.
    """

    condition: Tensor
    columns: int
    part: slice

    def matching(self, rows: Batch) -> Batch | None:
        """Rows of the data with the category of each position; rows repeat if there are too few.

        Returns:
            A row for each position; None if some value has no row at all.
        """
        if rows.condition is None:
            return None
        found = rows.condition[:, self.part].argmax(dim=1)
        wanted = self.condition[:, self.part].argmax(dim=1)
        chosen = torch.empty(len(wanted), dtype=torch.int64, device="cpu")
        for value in set(wanted.tolist()):
            matching = (found == value).nonzero()[:, 0]
            if not len(matching):
                return None
            positions = wanted == value
            chosen[positions] = matching[torch.arange(int(positions.sum()), device="cpu") % len(matching)]
        return Batch(rows.values[chosen], rows.condition[chosen])


def sheet_part(conditions: Conditions) -> int | None:
    """The index of the part whose values have separate rows: the first category of few values; None without one."""
    is_fit = (isinstance(part, Category) and part.width <= _MOST_ROWS for part in conditions.parts)
    return next((index for index, fit in enumerate(is_fit) if fit), None)


def sheet_of(conditions: Conditions, num: int, rng: torch.Generator) -> Sheet | None:
    """Lay out at most `num` images by a category; None if no category has few enough values.

    The other conditions are drawn as they occur in the data.
    """
    index = sheet_part(conditions)
    if index is None:
        return None
    part, start = conditions.parts[index], sum(before.width for before in conditions.parts[:index])
    rows = max(1, _FEW_ROWS // part.width)
    columns = num // (rows * part.width)
    requested = [conditions.where({part.name: value}).draw(rows * columns, rng) for value in words_of(part)]
    return Sheet(condition=torch.cat(requested), columns=columns, part=slice(start, start + part.width))
