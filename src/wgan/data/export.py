"""Write samples to a file: block by block, to a temporary file that replaces the target when it is complete."""

from __future__ import annotations

import errno
import functools
import itertools
import math
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from wgan.data.sample_formats import FOLDER, SAMPLE_FORMATS, SampleFormat, values_of, write_sheet
from wgan.data.tables.formats import TABLE_FORMATS, written_endings
from wgan.errors import CheckpointError, UsageError
from wgan.system.storage import sync, temporary_beside

if TYPE_CHECKING:
    from torch import Tensor

    from wgan.data.source import Codec, Decoded, Kind, Samples


def sample_ending(kind: Kind) -> str:
    """The ending, with its dot, of the files in which a run stores its own samples of this kind."""
    return {"images": ".png", "points": ".npy", "table": ".csv"}[kind]


def check_target(out: Path, kind: Kind, *, num: int | None = None, dimensions: int | None = None) -> None:
    """Raise the errors of `write_samples` before any sample is drawn.

    Args:
        out: The file or folder to write.
        kind: Kind of the samples.
        num: Number of samples, if known.
        dimensions: Number of columns of points, if known.

    Raises:
        UsageError: The format does not support the kind or the number of samples, or `out` cannot be written.
    """
    ending = _ending(out, kind)
    known = SAMPLE_FORMATS[kind][ending]
    if num is not None and num < 1:
        raise UsageError(f"the number of samples must be at least 1, not {num}")
    if num is not None and known.max_samples is not None and num > known.max_samples:
        others = _alternatives(
            [other for other in _usual_endings(kind) if SAMPLE_FORMATS[kind][other].max_samples is None]
        )
        raise UsageError(
            f"one picture shows at most {known.max_samples:,} samples, not {num:,}", remedy=f"Write {others}."
        )
    if known.dimensions is not None and dimensions not in (None, known.dimensions):
        raise UsageError(
            f"only points in the plane can be drawn as a {ending}, these have {dimensions} columns",
            remedy="Write .npy, .csv or .parquet.",
        )
    if not out.parent.is_dir():
        raise UsageError(f"the folder '{out.parent}' for '{out.name}' does not exist", remedy=f"mkdir -p {out.parent}")
    if not os.access(out.parent, os.W_OK | os.X_OK):
        raise UsageError(f"the folder '{out.parent}' cannot be written: permission denied")
    if ending == FOLDER and out.is_dir() and any(out.iterdir()):
        raise UsageError(f"the folder '{out}' is not empty", remedy="Name a new folder: nothing is overwritten.")


def decoder_for(codec: Codec, out: Path) -> Callable[[Tensor], Decoded]:
    """The method of a codec that decodes samples for a file: images in files, for example, keep 16 bits.

    Args:
        codec: Of the samples.
        out: The file or folder to write.
    """
    decoder: Callable[[Tensor], Decoded] = getattr(codec, _format_of(out, codec.kind).decoding, codec.decode)
    return decoder


def write_samples(blocks: Iterator[Samples], num: int, out: Path, kind: Kind, *, columns: int | None = None) -> str:
    """Write `num` samples to `out`, with at most a few blocks in memory.

    Args:
        blocks: Decoded samples in order, at least `num` in all; no more blocks are drawn than needed.
        num: Number of samples.
        out: A file in one of `SAMPLE_FORMATS`. Conditions are written too, except in .npy and .png: as columns, as
            arrays besides `x`, or as a tags.csv in a folder of images. An existing file is replaced when the new one
            is complete.
        kind: Kind of the samples.
        columns: Images in a row of one picture; see `sheet`.

    Returns:
        A description of what was written.

    Raises:
        UsageError: As `check_target`.
        CheckpointError: The disk is full or fails. An existing file is unchanged.
    """
    check_target(out, kind, num=num)
    first = next(blocks, None)
    assert first is not None, "there are no samples"
    if kind == "points":
        check_target(out, kind, dimensions=math.prod(values_of(first).shape[1:]))
    write = _format_of(out, kind).write
    if columns is not None and write is write_sheet:
        write = functools.partial(write_sheet, columns=columns)
    with _replacing(out) as temporary:
        what = write(_first(itertools.chain([first], blocks), num), num, temporary)
    return f"{what} in {out}"


def _format_of(out: Path, kind: Kind) -> SampleFormat:
    return SAMPLE_FORMATS[kind][_ending(out, kind)]


def _ending(out: Path, kind: Kind) -> str:
    """The key of `SAMPLE_FORMATS[kind]` for `out`."""
    noun = "tables" if kind == "table" else kind
    remedy = f"Formats for {noun}: {_alternatives(_usual_endings(kind))}."
    try:
        is_folder, exists = out.is_dir(), os.path.lexists(out)
    except OSError as error:
        raise UsageError(f"'{out}' cannot be written: {error.strerror}") from None
    endings = written_endings()
    double = next((known for known in endings if known.count(".") > 1 and out.name.lower().endswith(known)), "")
    ending = FOLDER if is_folder or not out.suffix else double or out.suffix.lower()
    if ending not in SAMPLE_FORMATS[kind]:
        noun_of_ending = "no ending" if ending == FOLDER else f"the ending {ending}"
        found = f"'{out}' is a folder" if is_folder else f"'{out.name}' has {noun_of_ending}"
        raise UsageError(f"{found}: {noun} cannot be written in that form", remedy=remedy)
    if ending == FOLDER and exists and not is_folder:
        raise UsageError(f"'{out}' exists and is not a folder", remedy=remedy)
    return ending


def _usual_endings(kind: Kind) -> list[str]:
    """The endings for messages: only the usual one of each format of tables."""
    usual, endings = {known.endings[0] for known in TABLE_FORMATS}, written_endings()
    return [ending for ending in SAMPLE_FORMATS[kind] if ending not in endings or ending in usual]


def _alternatives(words: list[str]) -> str:
    return " or ".join([", ".join(words[:-1]), words[-1]] if len(words) > 1 else words)


def _first(blocks: Iterator[Samples], num: int) -> Iterator[Samples]:
    """The first `num` rows, without asking `blocks` for more."""
    left = num
    for block in blocks:
        length = len(block)
        yield block if length <= left else block[:left]
        left -= min(length, left)
        if left == 0:
            return
    raise AssertionError(f"{left} of {num} samples are missing")


@contextmanager
def _replacing(out: Path) -> Iterator[Path]:
    """Yield a temporary path, which replaces `out` if the block succeeds and is removed if it fails."""
    temporary = temporary_beside(out)
    try:
        yield temporary
        sync(temporary)
        if out.is_dir():
            out.rmdir()
        temporary.replace(out)
        sync(out.parent)
    except OSError as error:
        raise _write_error(out, temporary, error) from error
    finally:
        if temporary.is_dir():
            shutil.rmtree(temporary, ignore_errors=True)
        else:
            temporary.unlink(missing_ok=True)


def _write_error(out: Path, temporary: Path, error: OSError) -> UsageError | CheckpointError:
    reason = error.strerror or str(error)
    if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS, errno.ENAMETOOLONG):
        return UsageError(f"'{out}' cannot be written: {reason}")
    written = temporary.stat().st_size if temporary.is_file() else 0
    free = shutil.disk_usage(out.parent).free
    return CheckpointError(
        f"'{out}' could not be written: {reason}, after {written:,} bytes and with {free:,} bytes free",
        remedy="Free some space or choose another folder. An existing file is unchanged.",
    )
