"""Tables as they were read, before anything is decided about their columns."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from wgan.errors import DataError


@dataclass(frozen=True, kw_only=True)
class RawTable:
    """A table as it was read, before anything is decided about its columns.

    Attributes:
        table: All columns are text for a .csv.
        name: As the user called it.
        untyped: Whether the text may stand for numbers and dates, as in a .csv.
        plain_numbers: Whether text of plain digits may be a number; not so where numbers are written otherwise (JSON).
        delimiter: What separates the columns of text.
        places: Row numbers, from 0 and ascending, to how a person finds them: "line 7" or "row 6".
        notes: What the reader has to say.
    """

    table: pa.Table
    name: str
    untyped: bool
    places: Callable[[Sequence[int]], list[str]]
    plain_numbers: bool = True
    delimiter: str = ","
    notes: tuple[str, ...] = ()


def read_frame(frame: object, *, name: str) -> RawTable:
    """Read a data frame of any library that speaks Arrow's PyCapsule interface (pandas, polars, Arrow).

    Raises:
        DataError: A column that Arrow cannot hold, or two columns of one name.
    """
    if hasattr(frame, "to_frame") and not hasattr(frame, "columns"):
        frame = frame.to_frame()
    try:
        table = pa.table(frame)
    except (pa.ArrowException, ValueError, TypeError, NotImplementedError, OverflowError) as error:
        reason = _mixed_types(frame) or "; ".join(str(part) for part in error.args) or type(error).__name__
        raise DataError(
            f"{name} cannot be read: {reason}", remedy="Give every column one type and a name of its own."
        ) from None
    return typed_table(table, name)


def _mixed_types(frame: object) -> str:
    """Where a column of Python objects changes its type, if that is what Arrow could not read."""
    columns = list(getattr(frame, "columns", ()))
    if len(set(columns)) < len(columns):
        return ""
    for column in columns:
        cells = [(row, cell) for row, cell in enumerate(frame[column], start=1) if cell is not None]  # type: ignore[index]
        # What pandas puts for an empty cell is a float that is unlike itself.
        cells = [(row, cell) for row, cell in cells if not (isinstance(cell, float) and cell != cell)]
        for row, cell in cells:
            if isinstance(cell, str) != isinstance(cells[0][1], str):
                return f"row {row:,}, column {str(column)!r}: {cell!r} among values of another type"
    return ""


def typed_table(table: pa.Table, name: str) -> RawTable:
    """A table whose columns have types, without what only labels its rows.

    Raises:
        DataError: Columns that do not hold what they say, or two columns of one name.
    """
    try:
        # Arrow believes what a file says of itself: text that is not UTF-8 would be met much later.
        table.validate(full=True)
    except pa.ArrowException as error:
        reason = str(error).splitlines()[0]
        raise DataError(f"{name} holds columns that are damaged: {reason}", remedy="Write the data again.") from None
    notes: tuple[str, ...] = ()
    # pandas keeps its row labels as columns that it marks in the schema: they are no data.
    described = _described_index(table)
    index = [column for column in described if isinstance(column, str) and column in table.column_names]
    if index:
        table = table.drop_columns(index)
        notes += ("the frame's index is left out",)
    seen: set[str] = set()
    for column in table.column_names:
        if column in seen:
            raise DataError(f"{name}: the column name {column!r} comes twice", remedy="Give each its own name.")
        seen.add(column)
    return RawTable(
        table=table,
        name=name,
        untyped=False,
        places=lambda rows: [f"row {row + 1:,}" for row in rows],
        notes=notes,
    )


def _described_index(table: pa.Table) -> list[Any]:
    """What pandas has noted of its row labels; nothing where the note is not one of pandas."""
    try:
        note = table.schema.pandas_metadata
    except (ValueError, RecursionError):
        return []
    described = note.get("index_columns", []) if isinstance(note, dict) else []
    return described if isinstance(described, list) else []
