"""What images are described by: the folders that they lie in, and the tags.csv or labels.csv beside them."""

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
from wgan.data.images.naming import shown
from wgan.data.images.packs import Pack
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

_SHOWN = 3


def offered(made: Pack) -> tuple[str, ...]:
    """What could be a condition, by name: the columns of the file of tags, and the classes of folders."""
    columns = _header(made)
    return columns if made.labels is None or LABEL in columns else (*columns, LABEL)


def image_conditions(made: Pack, name: str, options: DataOptions) -> RowConditions | None:
    """What the conditions that are asked for say of each image.

    Args:
        made: The images, with their names and the file that describes them.
        name: The data, as the user called it.
        options: `condition` and what belongs to it apply.

    Returns:
        A description for each image, None where no condition is asked for.

    Raises:
        UsageError: A condition that is not there: those that are there are listed.
        DataError: The file of tags cannot be read, or lacks images.
    """
    if not options.condition:
        return None
    if made.tags is not None and not _header(made):
        raise DataError(
            f"{shown(name)}/{shown(made.tags[0])} names nothing in its first line that images could be described by",
            remedy="That line must name the columns: the image's first, then those that describe it.",
        )
    condition_names(options, offered(made), shown(name))
    labels = None
    if made.labels is not None and LABEL not in _header(made):
        labels = label_column(made.labels, len(made.labels), name, made.classes)
    if made.tags is None:
        assert labels is not None
        return conditions_of_table(raw_labels(labels, shown(name)), options)
    inner, content = made.tags
    with tempfile.TemporaryDirectory(prefix="wgan-") as folder:
        path = Path(folder) / "tags.csv"
        path.write_bytes(content)
        raw = _matched(read_csv(path, name=f"{shown(name)}/{shown(inner)}", header=True), made, inner)
        if labels is not None:
            raw = RawTable(
                table=raw.table.append_column(LABEL, labels[LABEL]),
                name=raw.name,
                untyped=True,
                places=raw.places,
                notes=raw.notes,
            )
        return conditions_of_table(raw, options)


def _header(made: Pack) -> tuple[str, ...]:
    """The columns of the file of tags, but for the first, which names the image."""
    if made.tags is None:
        return ()
    text = made.tags[1].decode("utf-8-sig", "replace")
    first = next((line for line in text.splitlines() if line.strip()), "")
    delimiter = "," if "," in first else max(";\t|", key=first.count)
    return tuple(next(csv.reader(io.StringIO(first), delimiter=delimiter), [])[1:])


def _matched(raw: RawTable, made: Pack, inner: str) -> RawTable:
    """The rows of the file of tags in the order of the images, without the column that names them."""
    first = raw.table.column_names[0]
    # ./a.png is a.png; an empty cell names nothing.
    cells = [str(PurePosixPath(cell)) if cell else "" for cell in raw.table[first].to_pylist()]
    rows = {cell: row for row, cell in enumerate(cells)}
    if len(rows) < len(cells):
        twice = next(row for row, cell in enumerate(cells) if rows[cell] != row)
        raise DataError(
            f"{raw.name}, {raw.places([rows[cells[twice]]])[0]}: the image {cells[twice]!r} comes twice",
            remedy="Give each image one row.",
        )
    folder = PurePosixPath(inner).parent
    found = [_row_of(name, folder, rows) for name in made.names]
    lacking = [name for name, row in zip(made.names, found, strict=True) if row < 0]
    if lacking:
        named = ", ".join(repr(shown(name)) for name in lacking[:_SHOWN]) + (", ..." if len(lacking) > _SHOWN else "")
        raise DataError(
            f"{raw.name}: {len(lacking):,} of {len(found):,} images have no row: {named}",
            remedy="The first column must hold the images' names.",
        )
    order = np.array(found, dtype=np.int64)
    _refuse_shared(raw, made, order, [cells[row] for row in found])
    used = set(found)
    idle = [cell for row, cell in enumerate(cells) if row not in used]

    def places(numbers: Sequence[int]) -> list[str]:
        wanted = sorted({int(order[number]) for number in numbers})
        found = dict(zip(wanted, raw.places(wanted), strict=True))
        return [found[int(order[number])] for number in numbers]

    table = raw.table.drop_columns([first]).take(pa.array(order))
    notes = raw.notes + ((f"{raw.name}: {_idle(idle)}",) if idle else ())
    return RawTable(table=table, name=raw.name, untyped=True, places=places, notes=notes)


def _refuse_shared(raw: RawTable, made: Pack, order: NDArray[np.int64], cells: list[str]) -> None:
    """Refuse a row that stands for several images, such as those of one name in two folders."""
    rows, firsts = np.unique(order, return_index=True)
    if len(rows) == len(order):
        return
    again = min(set(range(len(order))) - set(firsts.tolist()))
    one, other = (shown(made.names[place]) for place in (int((order == order[again]).argmax()), again))
    raise DataError(
        f"{raw.name}, {raw.places([int(order[again])])[0]}: {cells[again]!r} is the name of several images, "
        f"{one!r} and {other!r}",
        remedy="Give the path of each from the folder of this file.",
    )


def _idle(cells: list[str]) -> str:
    """What is said of rows that belong to no image."""
    named = ", ".join(repr(shown(cell)) for cell in cells[:_SHOWN]) + (", ..." if len(cells) > _SHOWN else "")
    return f"1 row names no image: {named}" if len(cells) == 1 else f"{len(cells):,} rows name no image: {named}"


def _row_of(name: str, folder: PurePosixPath, rows: dict[str, int]) -> int:
    """The row of an image, by its path from the file's folder, its name, or its name without ending; -1 for none."""
    path = PurePosixPath(name)
    within = path.relative_to(folder) if path.is_relative_to(folder) else path
    return next((rows[word] for word in (str(within), path.name, path.stem) if word in rows), -1)
