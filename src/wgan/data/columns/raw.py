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
        table: The table. All columns of a .csv are text.
        name: The data's name, as the user gave it.
        untyped: Whether text may be numbers and dates, as in a .csv.
        plain_numbers: Whether text of plain digits may be a number, which it is not in JSON.
        places: Maps row numbers, from 0 and ascending, to names that a person can look up: "line 7" or "row 6".
        notes: Lines for the user.
    """

    table: pa.Table
    name: str
    untyped: bool
    places: Callable[[Sequence[int]], list[str]]
    plain_numbers: bool = True
    notes: tuple[str, ...] = ()


def read_frame(frame: object, *, name: str) -> RawTable:
    """Read a data frame of any library that supports Arrow's PyCapsule interface (pandas, polars, Arrow).

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
            f"{name} cannot be read: {reason}", remedy="Give every column one type and a unique name."
        ) from None
    return typed_table(table, name)


def _mixed_types(frame: object) -> str:
    """The first cell whose type differs from those above it in a column of Python objects; empty if there is none."""
    columns = list(getattr(frame, "columns", ()))
    if len(set(columns)) < len(columns):
        return ""
    for column in columns:
        cells = [(row, cell) for row, cell in enumerate(frame[column], start=1) if cell is not None]  # type: ignore[index]
        # pandas writes NaN into an empty cell.
        cells = [(row, cell) for row, cell in cells if not (isinstance(cell, float) and cell != cell)]
        for row, cell in cells:
            if isinstance(cell, str) != isinstance(cells[0][1], str):
                return f"row {row:,}, column {str(column)!r}: {cell!r} among values of another type"
    return ""


def typed_table(table: pa.Table, name: str) -> RawTable:
    """A table whose columns have types, without the index of pandas.

    Raises:
        DataError: Damaged columns, or two columns of one name.
    """
    try:
        # Arrow does not check text that a file declares as UTF-8.
        table.validate(full=True)
    except pa.ArrowException as error:
        reason = str(error).splitlines()[0]
        raise DataError(f"{name} holds columns that are damaged: {reason}", remedy="Write the data again.") from None
    notes: tuple[str, ...] = ()
    # pandas stores its index as columns, which are marked in the schema.
    index = [column for column in _index_columns(table) if isinstance(column, str) and column in table.column_names]
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


def _index_columns(table: pa.Table) -> list[Any]:
    """The index columns in pandas' metadata; empty if the metadata is not from pandas."""
    try:
        metadata = table.schema.pandas_metadata
    except (ValueError, RecursionError):
        return []
    columns = metadata.get("index_columns", []) if isinstance(metadata, dict) else []
    return columns if isinstance(columns, list) else []
