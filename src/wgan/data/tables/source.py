"""A table as a `Source`."""

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
        """Say in one line what was found."""
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
        name: As the user called it.
        seed: Of the split.

    Returns:
        The source.

    Raises:
        DataError: The file cannot be read or learnt from; the message says on which line or row.
        UsageError: The options name columns that are not there.
    """
    return _open(read_table(path, name=name, header=options.header), options, seed)


def open_frame(
    frame: object, options: DataOptions, *, name: str, seed: int, labels: pa.Table | None = None
) -> TableSource:
    """Open a data frame of any library that speaks Arrow's PyCapsule interface.

    Args:
        frame: A pandas, polars or Arrow table, or the like.
        options: How to read it.
        name: What to call it in messages.
        seed: Of the split.
        labels: More columns, which are conditions.

    Returns:
        The source.

    Raises:
        DataError: The frame cannot be read or learnt from; the message says at which row.
        UsageError: The options name columns that are not there.
    """
    return _open(_with_labels(read_frame(frame, name=name), labels), options, seed)


def _with_labels(raw: RawTable, labels: pa.Table | None) -> RawTable:
    return raw if labels is None else replace(raw, table=_beside(raw.table, labels, raw.name))


def _beside(table: pa.Table, labels: pa.Table, name: str) -> pa.Table:
    """A table with more columns."""
    if labels.num_rows != table.num_rows:
        raise DataError(f"{name}: {labels.num_rows:,} labels for {table.num_rows:,} rows", remedy="Give one a row.")
    for field, column in zip(labels.schema, labels.columns, strict=True):
        if field.name in table.column_names:
            raise DataError(f"{name}: a column and a label are both called {field.name!r}", remedy="Rename one.")
        table = table.append_column(field, column)
    return table


def _open(raw: RawTable, options: DataOptions, seed: int) -> TableSource:
    name, detected = raw.name, detect(raw, options)
    # The text that was read is many times as large as the encoded rows: release it before they are made.
    del raw
    source = TableSource(detected, name=name, options=options, seed=seed)
    # Arrow's pool would keep what was released for its next table.
    pa.default_memory_pool().release_unused()
    return source


def _popped(arrays: list[pa.Array]) -> Iterator[pa.Array]:
    """The arrays in order, each removed from the list, so that it is released once it has been encoded."""
    arrays.reverse()
    while arrays:
        yield arrays.pop()
