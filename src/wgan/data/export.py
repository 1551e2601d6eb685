"""Samples to a file, by its ending: streamed in blocks, written beside the target and renamed over it when complete.

The same samples give the same bytes: no file carries a time or a name of its own.
"""

from __future__ import annotations

import errno
import functools
import itertools
import math
import os
import shutil
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, cast

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from PIL import Image

from wgan.data.compression import compressed
from wgan.data.tables.delimited import without_views
from wgan.data.tables.formats import TABLE_FORMATS, TableFormat, written_endings
from wgan.errors import CheckpointError, UsageError
from wgan.system.storage import sync, temporary_beside

if TYPE_CHECKING:
    from torch import Tensor

    from wgan.data.source import Codec, Decoded, Kind, Samples

MAX_TILES = 1024
MAX_DOTS = 100_000
_GAP = 2
_FOLDER = "a folder"
_TAGS = "tags.csv"

Writer = Callable[[Iterator["Samples"], int, Path], str]


def sample_ending(kind: Kind) -> str:
    """The ending of the files in which a run keeps its own samples of this kind, with its dot."""
    return {"images": ".png", "points": ".npy", "table": ".csv"}[kind]


def check_target(out: Path, kind: Kind, *, num: int | None = None, dimensions: int | None = None) -> None:
    """Refuse early what `write_samples` would refuse late.

    Args:
        out: The file or folder to write.
        kind: Kind of the samples.
        num: How many samples, where that is known.
        dimensions: Columns of the points, where that is known.

    Raises:
        UsageError: The ending does not fit the kind or the number of samples, or nothing can be written there.
    """
    ending = _ending(out, kind)
    if num is not None and num < 1:
        raise UsageError(f"the number of samples must be at least 1, not {num}")
    if ending == ".png":
        most = MAX_TILES if kind == "images" else MAX_DOTS
        if num is not None and num > most:
            others = _listed([known for known in _usual_endings(kind) if known != ".png"])
            raise UsageError(f"one picture shows at most {most:,} samples, not {num:,}", remedy=f"Write {others}.")
        if kind == "points" and dimensions not in (None, 2):
            raise UsageError(
                f"only points in the plane can be drawn as a .png, these have {dimensions} columns",
                remedy="Write .npy, .csv or .parquet.",
            )
    if not out.parent.is_dir():
        raise UsageError(f"the folder '{out.parent}' for '{out.name}' does not exist", remedy=f"mkdir -p {out.parent}")
    if not os.access(out.parent, os.W_OK | os.X_OK):
        raise UsageError(f"nothing can be written into the folder '{out.parent}': permission denied")
    if ending == _FOLDER and out.is_dir() and any(out.iterdir()):
        raise UsageError(f"the folder '{out}' is not empty", remedy="Name a new folder: nothing is overwritten.")


def way_back(codec: Codec, out: Path) -> Callable[[Tensor], Decoded]:
    """How samples are to be decoded for a file: arrays as they came, images in files with the bits that they had.

    Args:
        codec: Of the samples.
        out: The file or folder that they are to be written to.
    """
    ending = _ending(out, codec.kind)
    if ending in (".npy", ".npz"):
        return codec.restore
    return getattr(codec, "files", codec.decode) if ending == _FOLDER else codec.decode


def write_samples(blocks: Iterator[Samples], num: int, out: Path, kind: Kind, *, columns: int | None = None) -> str:
    """Write `num` samples to `out`, never holding more than a few blocks in memory.

    Args:
        blocks: Decoded samples in order, at least `num` in all; no more blocks are drawn than are needed.
        num: How many to write.
        out: A file ending in .png (one picture), .npy, .npz, or an ending of `TABLE_FORMATS`; for images also a folder,
            which is filled with 000000.png, 000001.png, ... What `out` held before stays whole until the new file is
            complete. Conditions are written too, in all but .npy and .png: as columns, as arrays beside `x`, as a
            tags.csv.
        kind: Kind of the samples.
        columns: Images in a row of one picture; as in `sheet` where it is not given.

    Returns:
        What was written, in words.

    Raises:
        UsageError: As `check_target`.
        CheckpointError: The disk is full or failing. What was there before is untouched.
    """
    check_target(out, kind, num=num)
    first = next(blocks, None)
    assert first is not None, "no samples came"
    if kind == "points":
        check_target(out, kind, dimensions=math.prod(_values(first).shape[1:]))
    with _replacing(out) as temporary:
        write = FORMATS[kind][_ending(out, kind)]
        if columns is not None and write is _write_sheet:
            write = functools.partial(_write_sheet, columns=columns)
        what = write(_exactly(itertools.chain([first], blocks), num), num, temporary)
    return f"{what} in {out}"


def sheet(images: NDArray[np.uint8], columns: int | None = None) -> Image.Image:
    """Lay images out in rows, two transparent pixels apart, so that the page shows through on white and on black.

    Args:
        images: Shape (N, height, width, channels), N at least 1, with 1, 2, 3 or 4 channels.
        columns: Images in a row; chosen so that the sheet is nearly square where it is not given.

    Returns:
        A picture of mode LA or RGBA, no pixel of an image scaled.
    """
    num, height, width, channels = images.shape
    if columns is None:
        columns = min(num, math.ceil(math.sqrt(num * (height + _GAP) / (width + _GAP))))
    rows = math.ceil(num / columns)
    colours = 1 if channels <= 2 else 3
    size = (rows * (height + _GAP) - _GAP, columns * (width + _GAP) - _GAP, colours + 1)
    canvas = np.full(size, 255, dtype=np.uint8)
    canvas[..., -1] = 0
    for index, image in enumerate(images):
        top, left = (index // columns) * (height + _GAP), (index % columns) * (width + _GAP)
        tile = canvas[top : top + height, left : left + width]
        tile[..., -1] = 255
        tile[..., :channels] = image
    return Image.fromarray(canvas)


def _ending(out: Path, kind: Kind) -> str:
    """The row of `FORMATS` that `out` asks for."""
    noun = "tables" if kind == "table" else kind
    works = f"Formats for {noun}: {_listed(_usual_endings(kind))}."
    try:
        is_folder, is_there = out.is_dir(), os.path.lexists(out)
    except OSError as error:
        raise UsageError(f"'{out}' cannot be written: {error.strerror}") from None
    longest = next((known for known in _TABLES if known.count(".") > 1 and out.name.lower().endswith(known)), "")
    ending = _FOLDER if is_folder or not out.suffix else longest or out.suffix.lower()
    if ending not in FORMATS[kind]:
        come = f"'{out}' is a folder" if is_folder else f"'{out.name}' has {_article(ending)}"
        raise UsageError(f"{come}: {noun} cannot be written in that form", remedy=works)
    if ending == _FOLDER and is_there and not is_folder:
        raise UsageError(f"'{out}' is there and is not a folder", remedy=works)
    return ending


def _usual_endings(kind: Kind) -> list[str]:
    """The endings to name in a message: of each format of tables the usual one."""
    usual = {known.endings[0] for known in TABLE_FORMATS}
    return [ending for ending in FORMATS[kind] if ending not in _TABLES or ending in usual]


def _article(ending: str) -> str:
    return "no ending" if ending == _FOLDER else f"the ending {ending}"


def _listed(words: list[str]) -> str:
    return " or ".join([", ".join(words[:-1]), words[-1]] if len(words) > 1 else words)


def _exactly(blocks: Iterator[Samples], num: int) -> Iterator[Samples]:
    """The first `num` rows; the generator behind `blocks` is not asked for more."""
    left = num
    for block in blocks:
        length = len(block)
        yield block if length <= left else block[:left]
        left -= min(length, left)
        if left == 0:
            return
    raise AssertionError(f"{left} of {num} samples never came")


@contextmanager
def _replacing(out: Path) -> Iterator[Path]:
    """Yield a path beside `out`; what was written there takes its place if the body ends well, and goes if not."""
    temporary = temporary_beside(out)
    try:
        yield temporary
        sync(temporary)
        if out.is_dir():
            out.rmdir()
        temporary.replace(out)
        sync(out.parent)
    except OSError as error:
        raise _cannot_write(out, temporary, error) from error
    finally:
        if temporary.is_dir():
            shutil.rmtree(temporary, ignore_errors=True)
        else:
            temporary.unlink(missing_ok=True)


def _cannot_write(out: Path, temporary: Path, error: OSError) -> UsageError | CheckpointError:
    reason = error.strerror or str(error)
    if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS, errno.ENAMETOOLONG):
        return UsageError(f"'{out}' cannot be written: {reason}")
    written = temporary.stat().st_size if temporary.is_file() else 0
    free = shutil.disk_usage(out.parent).free
    return CheckpointError(
        f"'{out}' could not be written: {reason}, after {written:,} bytes and with {free:,} bytes free",
        remedy="Make room or choose another place. What was there before is untouched.",
    )


def _values(block: Samples) -> NDArray[np.generic]:
    """The points or images of a block, without their conditions."""
    return cast("NDArray[np.generic]", getattr(block, "values", block))


def _words(block: Samples) -> pa.Table | None:
    """The conditions beside points or images, if there are such."""
    return None if isinstance(block, pa.Table) else getattr(block, "words", None)


def _arrays(blocks: Iterator[Samples]) -> Iterator[NDArray[np.generic]]:
    for block in blocks:
        yield _values(block)


def _pixels(blocks: Iterator[Samples]) -> Iterator[NDArray[np.uint8]]:
    for block in blocks:
        yield cast("NDArray[np.uint8]", _values(block))


def as_table(rows: Samples) -> pa.Table:
    """Rows as an Arrow table: a table as it is, points of shape (N, D) with the columns x1 to xD, then conditions."""
    if isinstance(rows, pa.Table):
        return rows
    points, words = _values(rows), _words(rows)
    # Arrow knows native byte order alone.
    values = np.asarray(points, dtype=points.dtype.newbyteorder("="))
    columns = {f"x{column + 1}": np.ascontiguousarray(values[:, column]) for column in range(values.shape[1])}
    table = pa.table(columns)
    for field, column in () if words is None else zip(words.schema, words.columns, strict=True):
        # A condition that is called like one of the points' columns keeps its name with a mark.
        table = table.append_column(f"{field.name}_" if field.name in columns else field.name, column)
    return table


def _write_npy(blocks: Iterator[Samples], num: int, path: Path) -> str:
    arrays = _arrays(blocks)
    first = next(arrays)
    shape = (num, *first.shape[1:])
    needed = num * first[:1].nbytes
    if needed > (free := shutil.disk_usage(path.parent).free):
        raise CheckpointError(
            f"{num:,} samples take {needed:,} bytes and {free:,} are free in '{path.parent}'",
            remedy="Write fewer, or choose another place.",
        )
    with path.open("wb") as file:
        header = {"descr": np.lib.format.dtype_to_descr(first.dtype), "fortran_order": False, "shape": shape}
        np.lib.format.write_array_header_1_0(file, header)
        for block in itertools.chain([first], arrays):
            assert (block.shape[1:], block.dtype) == (first.shape[1:], first.dtype)
            file.write(np.ascontiguousarray(block).data)
    return f"an array of shape {'×'.join(map(str, shape))}, {first.dtype}"


def _write_npz(blocks: Iterator[Samples], num: int, path: Path) -> str:
    """The array `x`, and one for each condition, with no time in the archive."""
    all_words: list[pa.Table] = []

    def arrays() -> Iterator[NDArray[np.generic]]:
        for block in blocks:
            if (words := _words(block)) is not None:
                all_words.append(words)
            yield _values(block)

    streamed = arrays()
    first = next(streamed)
    shape = (num, *first.shape[1:])
    with zipfile.ZipFile(path, "w") as archive:
        header = {"descr": np.lib.format.dtype_to_descr(first.dtype), "fortran_order": False, "shape": shape}
        with archive.open(zipfile.ZipInfo("x.npy"), "w", force_zip64=True) as file:
            np.lib.format.write_array_header_1_0(cast("BinaryIO", file), header)
            for block in itertools.chain([first], streamed):
                file.write(np.ascontiguousarray(block).tobytes())
        words = pa.concat_tables(all_words) if all_words else pa.table({})
        for name in words.column_names:
            column = words[name].to_pylist()
            is_text = any(value is None or not isinstance(value, int | float) for value in column)
            array = np.array(["" if value is None else str(value) for value in column] if is_text else column)
            with archive.open(zipfile.ZipInfo(f"{'x_' if name == 'x' else name}.npy"), "w") as file:
                np.lib.format.write_array(cast("BinaryIO", file), array, allow_pickle=False)
    beside = f", beside {', '.join(words.column_names)}" if all_words else ""
    return f"an array of shape {'×'.join(map(str, shape))}, {first.dtype}{beside}"


def _write_table(
    known: TableFormat, packing: str, blocks: Iterator[Samples], num: int, path: Path, *, columns: int | None = None
) -> str:
    """Rows as a table in one of the formats of `wgan.data.tables.formats`, compressed or not."""
    tables = map(as_table, blocks)
    first = next(tables)
    with path.open("wb") as file, compressed(file, packing) as inner:
        known.write(itertools.chain([first], tables), inner)
    return _rows(num, first)


def _rows(num: int, table: pa.Table) -> str:
    return f"{num:,} row{'s' * (num != 1)} of {table.num_columns} column{'s' * (table.num_columns != 1)}"


def _write_sheet(blocks: Iterator[Samples], num: int, path: Path, *, columns: int | None = None) -> str:
    images = np.concatenate(list(_pixels(blocks)))
    with path.open("wb") as file:
        _save_png(sheet(images, columns), file)
    return _pictures(num, images)


def _write_folder(blocks: Iterator[Samples], num: int, path: Path) -> str:
    path.mkdir()
    digits = max(6, len(str(num - 1)))
    index = 0
    all_words: list[pa.Table] = []
    for block in blocks:
        images = cast("NDArray[np.uint8]", _values(block))
        if (words := _words(block)) is not None:
            all_words.append(words)
        for image in images:
            with (path / f"{index:0{digits}d}.png").open("wb") as file:
                _save_png(Image.fromarray(image[..., 0] if image.shape[-1] == 1 else image), file)
            index += 1
        last = images
    if all_words:
        _write_tags(pa.concat_tables(all_words), [f"{row:0{digits}d}.png" for row in range(num)], path / _TAGS)
        return f"{_pictures(num, last)}, described in {_TAGS},"
    return _pictures(num, last)


def _write_tags(words: pa.Table, names: list[str], path: Path) -> None:
    """What images were asked for, as a file that describes them when they are read as data again."""
    from pyarrow import csv

    table = without_views(words.add_column(0, "file", pa.array(names)))
    csv.write_csv(table, path, csv.WriteOptions(quoting_style="needed"))


def _save_png(image: Image.Image, file: BinaryIO) -> None:
    image.save(file, format="PNG", optimize=False, compress_level=6)


def _pictures(num: int, images: NDArray[np.uint8]) -> str:
    height, width, channels = images.shape[1:]
    return f"{num:,} image{'s' * (num != 1)} of {height}×{width}×{channels}"


def _write_scatter(blocks: Iterator[Samples], num: int, path: Path) -> str:
    from wgan import figures

    points = np.concatenate(list(_arrays(blocks)))
    path.write_bytes(figures.png(figures.scatter(points.astype(np.float64))))
    return f"{num:,} point{'s' * (num != 1)}, drawn"


_TABLES: dict[str, Writer] = {
    ending: functools.partial(_write_table, known, packing) for ending, (known, packing) in written_endings().items()
}
FORMATS: dict[Kind, dict[str, Writer]] = {
    "images": {".png": _write_sheet, _FOLDER: _write_folder, ".npy": _write_npy, ".npz": _write_npz},
    "points": {".npy": _write_npy, ".npz": _write_npz, **_TABLES, ".png": _write_scatter},
    "table": _TABLES,
}
"""What each kind of sample can be written as: a new format is one function and one entry here; one of tables is a row
of `wgan.data.tables.formats.TABLE_FORMATS`."""
