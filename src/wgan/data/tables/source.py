"""Table files and data frames as sources."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pyarrow as pa

from wgan.data.columns import Category, Constant, Number
from wgan.data.columns.raw import RawTable, read_frame
from wgan.data.finite import FiniteSource
from wgan.data.tables.codec import TableCodec
from wgan.data.tables.detecting import Detected, detect
from wgan.data.tables.reading import read_table
from wgan.errors import DataError
from wgan.settings import DataOptions


class TableSource(FiniteSource):
    """The rows of a table, stored as `CompactRows` and expanded by batch.

    Bounds, scales and categories are those of all rows, held-out rows included: a category that only held-out rows have
    could not be evaluated otherwise.

    Args:
        detected: The columns of the table. Its arrays are released as they are encoded.
        name: The data's name, as the user gave it.
        options: `held_out` and `unseen` apply.
        seed: Seed of the split.
    """

    codec: TableCodec

    def __init__(self, detected: Detected, *, name: str, options: DataOptions, seed: int) -> None:
        self._num_rows = len(detected.arrays[0])
        super().__init__(
            name,
            detected.codec,
            detected.codec.compact(_popped(detected.arrays), self._num_rows).expand,
            self._num_rows,
            held_out=options.held_out,
            seed=seed,
            notes=detected.notes,
            offers=detected.order,
            row_conditions=detected.row_conditions,
            unseen=options.unseen,
            order=detected.order,
        )

    def describe(self) -> str:
        """Describe the data in one line."""
        columns = self.codec.columns
        counts = {
            word: sum(isinstance(column, how) for column in columns)
            for word, how in (("numeric", Number), ("categorical", Category), ("constant", Constant))
        }
        found = ", ".join(f"{count:,} {word}" for word, count in counts.items() if count)
        noun = "column" if len(columns) == 1 else "columns"
        size = f"{self._num_rows:,} rows, {len(columns):,} {noun} ({found})"
        return f"table {self.name}: {size}, {self.num_held_out:,} held out{self._describe_conditions()}"


def open_table(path: Path, options: DataOptions, *, name: str, seed: int) -> TableSource:
    """Open a file of any format of tables, compressed or not.

    Args:
        path: The file.
        options: How to read it.
        name: Its name, as the user gave it.
        seed: Seed of the split.

    Raises:
        DataError: The file cannot be read or learnt from. The message names the line or row.
        UsageError: The options name columns that do not exist.
    """
    return _open(read_table(path, name=name, header=options.header), options, seed)


def open_frame(
    frame: object, options: DataOptions, *, name: str, seed: int, labels: pa.Table | None = None
) -> TableSource:
    """Open a data frame of any library that supports Arrow's PyCapsule interface.

    Args:
        frame: A pandas, polars or Arrow table, or similar.
        options: How to read it.
        name: Its name in messages.
        seed: Seed of the split.
        labels: Further columns, which are conditions.

    Raises:
        DataError: The frame cannot be read or learnt from. The message names the row.
        UsageError: The options name columns that do not exist.
    """
    raw = read_frame(frame, name=name)
    if labels is not None:
        raw = replace(raw, table=_with_labels(raw.table, labels, name))
    return _open(raw, options, seed)


def _with_labels(table: pa.Table, labels: pa.Table, name: str) -> pa.Table:
    """The table with the labels as further columns.

    Raises:
        DataError: Another number of rows, or two columns of one name.
    """
    if labels.num_rows != table.num_rows:
        raise DataError(f"{name}: {labels.num_rows:,} labels for {table.num_rows:,} rows", remedy="Give one a row.")
    for field, column in zip(labels.schema, labels.columns, strict=True):
        if field.name in table.column_names:
            raise DataError(f"{name}: a column and a label are both called {field.name!r}", remedy="Rename one.")
        table = table.append_column(field, column)
    return table


def _open(raw: RawTable, options: DataOptions, seed: int) -> TableSource:
    name, detected = raw.name, detect(raw, options)
    # The text that was read is many times as large as the encoded rows, so it is released first.
    del raw
    source = TableSource(detected, name=name, options=options, seed=seed)
    # Arrow's pool would keep the released memory for its next table.
    pa.default_memory_pool().release_unused()
    return source


def _popped(arrays: list[pa.Array]) -> Iterator[pa.Array]:
    """The arrays in order, each removed from the list, so that it is released once it has been encoded."""
    arrays.reverse()
    while arrays:
        yield arrays.pop()
