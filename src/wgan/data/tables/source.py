"""A table as a `Source`."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import torch
from torch import Tensor

from wgan.batch import Batch
from wgan.data.columns import Category, Constant, Number
from wgan.data.rows import Rows
from wgan.data.source import RowsOf
from wgan.data.tables.detecting import Detected, detect
from wgan.data.tables.formats import read_table
from wgan.data.tables.reading import Raw, read_frame
from wgan.errors import DataError
from wgan.settings import DataOptions


class TableSource:
    """The rows of a table, kept as `CompactRows` and expanded by batch.

    Bounds, scales and categories are found over all rows, those held out among them: a category that only held-out rows
    have could not be judged otherwise.

    Args:
        detected: What was decided about the columns. Its arrays are released as they are encoded.
        name: As the user called it.
        options: `held_out` and `unseen` apply.
        seed: Of the split.
    """

    def __init__(self, detected: Detected, *, name: str, options: DataOptions, seed: int) -> None:
        self.name = name
        self.codec = detected.codec
        self.notes = detected.notes
        self.offers = detected.order
        num_rows = len(detected.arrays[0])
        compact = self.codec.compact(_taken_out(detected.arrays), num_rows)
        self._rows = Rows(
            compact.expand,
            num_rows,
            held_out=options.held_out,
            seed=seed,
            described=detected.described,
            order=detected.order,
            unseen=options.unseen,
        )
        self.conditions = self._rows.conditions
        self.size = len(self._rows.train)
        self.num_held_out = len(self._rows.held)

    def sample(self, size: int, rng: torch.Generator) -> Batch:
        """Draw training rows with replacement, shape (size, D), float32."""
        return self._rows.sample(size, rng)

    def held_out(self, size: int, rng: torch.Generator) -> Tensor:
        """Draw rows that training never sees, without repetition, shape (at most size, D), float32."""
        return self._rows.held_out(size, rng)

    def distinct(self, size: int, rng: torch.Generator) -> Tensor:
        """Draw training rows without repetition, shape (at most size, D), float32."""
        return self._rows.distinct(size, rng)

    def labelled(self, part: RowsOf, size: int, rng: torch.Generator) -> Batch:
        """Draw rows of one part with their conditions, without repetition, shape (at most size, D), float32."""
        return self._rows.labelled(part, size, rng)

    def describe(self) -> str:
        """Say in one line what was found."""
        columns = self.codec.columns
        counts = {
            word: sum(isinstance(column, how) for column in columns)
            for word, how in (("numeric", Number), ("categorical", Category), ("constant", Constant))
        }
        found = ", ".join(f"{count:,} {word}" for word, count in counts.items() if count)
        noun = "column" if len(columns) == 1 else "columns"
        rows = self.size + self.num_held_out + len(self._rows.unseen)
        line = f"table {self.name}: {rows:,} rows, {len(columns):,} {noun} ({found}), {self.num_held_out:,} held out"
        return line + self._rows.describe()

    def fingerprint(self) -> str:
        """A digest of the training rows as the networks see them, and of the codec."""
        return self._rows.digest(self.codec)


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


def _with_labels(raw: Raw, labels: pa.Table | None) -> Raw:
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


def _open(raw: Raw, options: DataOptions, seed: int) -> TableSource:
    name, detected = raw.name, detect(raw, options)
    # The text that was read is many times as large as the encoded rows: release it before they are made.
    del raw
    source = TableSource(detected, name=name, options=options, seed=seed)
    # Arrow's pool would keep what was released for its next table.
    pa.default_memory_pool().release_unused()
    return source


def _taken_out(arrays: list[pa.Array]) -> Iterator[pa.Array]:
    """Take each array out of the list, so that it is released once it has been encoded."""
    arrays.reverse()
    while arrays:
        yield arrays.pop()
