"""Conditions of images: the folders that contain them, and the columns of a tags.csv or labels.csv."""

from __future__ import annotations

import csv
import io
import tempfile
from collections.abc import Sequence
from pathlib import Path, PurePosixPath

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from wgan.data.columns.raw import RawTable
from wgan.data.images.decoded import DecodedImages
from wgan.data.row_conditions import (
    LABEL,
    RowConditions,
    condition_names,
    conditions_of_table,
    label_column,
    raw_labels,
)
from wgan.data.tables.delimited import read_csv
from wgan.errors import DataError
from wgan.settings import DataOptions
from wgan.system.text import escaped

_MAX_SHOWN = 3


def offered(images: DecodedImages) -> tuple[str, ...]:
    """Names of the available conditions: the columns of the tags, and the classes of folders."""
    columns = _header(images)
    return columns if images.labels is None or LABEL in columns else (*columns, LABEL)


def image_conditions(images: DecodedImages, name: str, options: DataOptions) -> RowConditions | None:
    """The conditions of each image.

    Args:
        images: The images, with their names and tags.
        name: As the user called the data.
        options: `condition` and the options for conditions apply.

    Returns:
        The conditions of all images; None if there are none.

    Raises:
        UsageError: An unknown condition; the message lists the known ones.
        DataError: The tags cannot be read, or have no row for some images.
    """
    if not options.condition:
        return None
    if images.tags is not None and not _header(images):
        raise DataError(
            f"{escaped(name)}/{escaped(images.tags[0])} has no column besides the names of the images",
            remedy="Its first line must name the columns: that of the images, then those of the conditions.",
        )
    condition_names(options, offered(images), escaped(name))
    labels = None
    if images.labels is not None and LABEL not in _header(images):
        labels = label_column(images.labels, len(images.labels), name, images.classes)
    if images.tags is None:
        assert labels is not None
        return conditions_of_table(raw_labels(labels, escaped(name)), options)
    inner, content = images.tags
    with tempfile.TemporaryDirectory(prefix="wgan-") as folder:
        path = Path(folder) / "tags.csv"
        path.write_bytes(content)
        raw = _matched(read_csv(path, name=f"{escaped(name)}/{escaped(inner)}", header=True), images, inner)
        if labels is not None:
            raw = RawTable(
                table=raw.table.append_column(LABEL, labels[LABEL]),
                name=raw.name,
                untyped=True,
                places=raw.places,
                notes=raw.notes,
            )
        return conditions_of_table(raw, options)


def _header(images: DecodedImages) -> tuple[str, ...]:
    """The columns of the tags, without the first one, which holds the names of the images."""
    if images.tags is None:
        return ()
    text = images.tags[1].decode("utf-8-sig", "replace")
    first = next((line for line in text.splitlines() if line.strip()), "")
    delimiter = "," if "," in first else max(";\t|", key=first.count)
    return tuple(next(csv.reader(io.StringIO(first), delimiter=delimiter), [])[1:])


def _matched(raw: RawTable, images: DecodedImages, inner: str) -> RawTable:
    """The rows of the tags in the order of the images, without the column of their names."""
    first = raw.table.column_names[0]
    # ./a.png equals a.png.
    cells = [str(PurePosixPath(cell)) if cell else "" for cell in raw.table[first].to_pylist()]
    rows = {cell: row for row, cell in enumerate(cells)}
    if len(rows) < len(cells):
        twice = next(row for row, cell in enumerate(cells) if rows[cell] != row)
        raise DataError(
            f"{raw.name}, {raw.places([rows[cells[twice]]])[0]}: the image {cells[twice]!r} comes twice",
            remedy="Give each image one row.",
        )
    folder = PurePosixPath(inner).parent
    found = [_row_of(name, folder, rows) for name in images.names]
    missing = [name for name, row in zip(images.names, found, strict=True) if row < 0]
    if missing:
        named = ", ".join(repr(escaped(name)) for name in missing[:_MAX_SHOWN]) + (
            ", ..." if len(missing) > _MAX_SHOWN else ""
        )
        raise DataError(
            f"{raw.name}: {len(missing):,} of {len(found):,} images have no row: {named}",
            remedy="The first column must hold the images' names.",
        )
    order = np.array(found, dtype=np.int64)
    _refuse_shared(raw, images, order, [cells[row] for row in found])
    used = set(found)
    unused = [cell for row, cell in enumerate(cells) if row not in used]

    def places(numbers: Sequence[int]) -> list[str]:
        wanted = sorted({int(order[number]) for number in numbers})
        place_of = dict(zip(wanted, raw.places(wanted), strict=True))
        return [place_of[int(order[number])] for number in numbers]

    table = raw.table.drop_columns([first]).take(pa.array(order))
    notes = raw.notes + ((f"{raw.name}: {_unused_note(unused)}",) if unused else ())
    return RawTable(table=table, name=raw.name, untyped=True, places=places, notes=notes)


def _refuse_shared(raw: RawTable, images: DecodedImages, order: NDArray[np.int64], cells: list[str]) -> None:
    """Refuse a row that matches several images, such as those of the same name in two folders."""
    rows, firsts = np.unique(order, return_index=True)
    if len(rows) == len(order):
        return
    again = min(set(range(len(order))) - set(firsts.tolist()))
    one, other = (escaped(images.names[index]) for index in (int((order == order[again]).argmax()), again))
    raise DataError(
        f"{raw.name}, {raw.places([int(order[again])])[0]}: {cells[again]!r} is the name of several images, "
        f"{one!r} and {other!r}",
        remedy="Give their paths relative to the folder of this file.",
    )


def _unused_note(cells: list[str]) -> str:
    """A note on rows without an image."""
    named = ", ".join(repr(escaped(cell)) for cell in cells[:_MAX_SHOWN]) + (", ..." if len(cells) > _MAX_SHOWN else "")
    return f"1 row names no image: {named}" if len(cells) == 1 else f"{len(cells):,} rows name no image: {named}"


def _row_of(name: str, folder: PurePosixPath, rows: dict[str, int]) -> int:
    """The row of an image, by its path relative to the tags, its name, or its name without ending; -1 for none."""
    path = PurePosixPath(name)
    within = path.relative_to(folder) if path.is_relative_to(folder) else path
    return next((rows[word] for word in (str(within), path.name, path.stem) if word in rows), -1)
