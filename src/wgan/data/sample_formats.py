"""The formats that samples are written in: a row of `SAMPLE_FORMATS` each.

Those of tables are in `wgan.data.tables.formats.TABLE_FORMATS`.

Equal samples give equal bytes: no file contains a time or its own name. This file does not import torch.
"""

from __future__ import annotations

import functools
import itertools
import math
import shutil
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, Literal, cast

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from PIL import Image

from wgan.data.compression import compressed
from wgan.data.tables.delimited import without_views
from wgan.data.tables.formats import TableFormat, written_endings
from wgan.errors import CheckpointError

if TYPE_CHECKING:
    from wgan.data.source import Kind, Samples

FOLDER = "a folder"
"""The key of `SAMPLE_FORMATS` for a folder of files."""

_GAP = 2
_TAGS = "tags.csv"

Writer = Callable[[Iterator["Samples"], int, Path], str]


@dataclass(frozen=True, kw_only=True)
class SampleFormat:
    """A format that samples are written in.

    Attributes:
        write: Writes samples: called with the blocks of decoded samples, their number and the path; returns a
            description of the file.
        decoding: The codec's method that decodes the samples: as arrays of the data's form ("restore"), for image files
            ("files"), or by default ("decode").
        max_samples: The largest number of samples in a file; None if it is unlimited.
        dimensions: The number of columns that points must have; None if it is arbitrary.
    """

    write: Writer
    decoding: Literal["decode", "restore", "files"] = "decode"
    max_samples: int | None = None
    dimensions: int | None = None


def sheet(images: NDArray[np.uint8], columns: int | None = None) -> Image.Image:
    """Arrange images in rows, separated by two transparent pixels.

    Args:
        images: Shape (N, height, width, channels), N at least 1, with 1, 2, 3 or 4 channels.
        columns: Images in a row; by default such that the sheet is nearly square.

    Returns:
        A picture of mode LA or RGBA; images are not scaled.
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


def as_table(rows: Samples) -> pa.Table:
    """Samples as an Arrow table: points of shape (N, D) get the columns x1 to xD, followed by their conditions."""
    if isinstance(rows, pa.Table):
        return rows
    points, conditions = values_of(rows), _conditions_of(rows)
    # Arrow supports native byte order only.
    values = np.asarray(points, dtype=points.dtype.newbyteorder("="))
    columns = {f"x{column + 1}": np.ascontiguousarray(values[:, column]) for column in range(values.shape[1])}
    table = pa.table(columns)
    for field, column in () if conditions is None else zip(conditions.schema, conditions.columns, strict=True):
        # A condition with the name of a column of the points gets an underscore.
        table = table.append_column(f"{field.name}_" if field.name in columns else field.name, column)
    return table


def values_of(block: Samples) -> NDArray[np.generic]:
    """The points or images of a block, without their conditions."""
    return cast("NDArray[np.generic]", getattr(block, "values", block))


def _conditions_of(block: Samples) -> pa.Table | None:
    """The conditions of points or images, or None."""
    return None if isinstance(block, pa.Table) else getattr(block, "words", None)


def _arrays(blocks: Iterator[Samples]) -> Iterator[NDArray[np.generic]]:
    return map(values_of, blocks)


def _write_array(arrays: Iterator[NDArray[np.generic]], num: int, file: BinaryIO) -> str:
    """Write blocks as one array in the .npy format."""
    first = next(arrays)
    shape = (num, *first.shape[1:])
    header = {"descr": np.lib.format.dtype_to_descr(first.dtype), "fortran_order": False, "shape": shape}
    np.lib.format.write_array_header_1_0(file, header)
    for block in itertools.chain([first], arrays):
        assert (block.shape[1:], block.dtype) == (first.shape[1:], first.dtype)
        file.write(np.ascontiguousarray(block).data)
    return f"an array of shape {'×'.join(map(str, shape))}, {first.dtype}"


def _write_npy(blocks: Iterator[Samples], num: int, path: Path) -> str:
    arrays = _arrays(blocks)
    first = next(arrays)
    needed = num * first[:1].nbytes
    if needed > (free := shutil.disk_usage(path.parent).free):
        raise CheckpointError(
            f"{num:,} samples take {needed:,} bytes and {free:,} are free in '{path.parent}'",
            remedy="Write fewer, or choose another folder.",
        )
    with path.open("wb") as file:
        return _write_array(itertools.chain([first], arrays), num, file)


def _write_npz(blocks: Iterator[Samples], num: int, path: Path) -> str:
    """The array `x`, and one for each condition."""
    conditions: list[pa.Table] = []

    def arrays() -> Iterator[NDArray[np.generic]]:
        for block in blocks:
            if (table := _conditions_of(block)) is not None:
                conditions.append(table)
            yield values_of(block)

    with zipfile.ZipFile(path, "w") as archive:
        # A ZipInfo without a date.
        with archive.open(zipfile.ZipInfo("x.npy"), "w", force_zip64=True) as file:
            what = _write_array(arrays(), num, cast("BinaryIO", file))
        table = pa.concat_tables(conditions) if conditions else pa.table({})
        for name in table.column_names:
            column = table[name].to_pylist()
            is_text = any(value is None or not isinstance(value, int | float) for value in column)
            array = np.array(["" if value is None else str(value) for value in column] if is_text else column)
            with archive.open(zipfile.ZipInfo(f"{'x_' if name == 'x' else name}.npy"), "w") as file:
                np.lib.format.write_array(cast("BinaryIO", file), array, allow_pickle=False)
    return f"{what}, with {', '.join(table.column_names)}" if conditions else what


def _write_table(known: TableFormat, compression: str, blocks: Iterator[Samples], num: int, path: Path) -> str:
    """A table in one of `TABLE_FORMATS`, compressed or not."""
    tables = map(as_table, blocks)
    first = next(tables)
    with path.open("wb") as file, compressed(file, compression) as inner:
        known.write(itertools.chain([first], tables), inner)
    return f"{num:,} row{'s' * (num != 1)} of {first.num_columns} column{'s' * (first.num_columns != 1)}"


def write_sheet(blocks: Iterator[Samples], num: int, path: Path, *, columns: int | None = None) -> str:
    """All images in one picture; see `sheet`."""
    images = np.concatenate([cast("NDArray[np.uint8]", array) for array in _arrays(blocks)])
    _save_png(sheet(images, columns), path)
    return _describe_images(num, images)


def _write_folder(blocks: Iterator[Samples], num: int, path: Path) -> str:
    """A folder of .png files, and the conditions in a file that describes them when they are read as data."""
    from pyarrow import csv

    path.mkdir()
    digits = max(6, len(str(num - 1)))
    names = [f"{index:0{digits}d}.png" for index in range(num)]
    unused = iter(names)
    conditions: list[pa.Table] = []
    for block in blocks:
        images = cast("NDArray[np.uint8]", values_of(block))
        if (table := _conditions_of(block)) is not None:
            conditions.append(table)
        for image in images:
            _save_png(Image.fromarray(image[..., 0] if image.shape[-1] == 1 else image), path / next(unused))
    what = _describe_images(num, images)
    if not conditions:
        return what
    table = without_views(pa.concat_tables(conditions).add_column(0, "file", pa.array(names)))
    csv.write_csv(table, path / _TAGS, csv.WriteOptions(quoting_style="needed"))
    return f"{what}, described in {_TAGS},"


def _save_png(image: Image.Image, path: Path) -> None:
    with path.open("wb") as file:
        image.save(file, format="PNG", optimize=False, compress_level=6)


def _describe_images(num: int, images: NDArray[np.uint8]) -> str:
    height, width, channels = images.shape[1:]
    return f"{num:,} image{'s' * (num != 1)} of {height}×{width}×{channels}"


def _write_scatter(blocks: Iterator[Samples], num: int, path: Path) -> str:
    from wgan import figures

    points = np.concatenate(list(_arrays(blocks)))
    path.write_bytes(figures.png(figures.scatter(points.astype(np.float64))))
    return f"{num:,} point{'s' * (num != 1)}, drawn"


_ARRAYS = {
    ".npy": SampleFormat(write=_write_npy, decoding="restore"),
    ".npz": SampleFormat(write=_write_npz, decoding="restore"),
}
_TABLES = {
    ending: SampleFormat(write=functools.partial(_write_table, known, compression))
    for ending, (known, compression) in written_endings().items()
}
SAMPLE_FORMATS: dict[Kind, dict[str, SampleFormat]] = {
    "images": {
        ".png": SampleFormat(write=write_sheet, max_samples=1024),
        FOLDER: SampleFormat(write=_write_folder, decoding="files"),
        **_ARRAYS,
    },
    "points": {**_ARRAYS, **_TABLES, ".png": SampleFormat(write=_write_scatter, max_samples=100_000, dimensions=2)},
    "table": _TABLES,
}
"""The formats of each kind of samples, by the ending of the file."""
