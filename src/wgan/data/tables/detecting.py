"""Decide what each column of a table is, and which columns are conditions."""

from __future__ import annotations

import warnings
from dataclasses import dataclass

import pyarrow as pa

from wgan.data.columns import Constant
from wgan.data.columns.fitting import dropped_note, fit_column, resolve_names, too_few_rows, typed_columns
from wgan.data.columns.raw import RawTable
from wgan.data.columns.types import schema_as_given
from wgan.data.row_conditions import RowConditions, condition_names, fit_conditions
from wgan.data.tables.codec import TableCodec
from wgan.errors import DataError, DataWarning, UsageError
from wgan.settings import DataOptions


@dataclass(frozen=True, kw_only=True)
class Detected:
    """The fitted columns of a table and its rows.

    Attributes:
        codec: The columns that are not conditions.
        arrays: The cells of the rows that are kept, in plain form, one array for each column of the codec.
        notes: Lines for the user.
        row_conditions: The conditions of the rows that are kept; None in an unconditional run.
        order: Names of all columns, conditions included, in the table's order.
    """

    codec: TableCodec
    arrays: list[pa.Array]
    notes: tuple[str, ...]
    row_conditions: RowConditions | None = None
    order: tuple[str, ...] = ()


def detect(raw: RawTable, options: DataOptions) -> Detected:
    """Decide what each column is, and check that it can be learnt.

    Args:
        raw: The table.
        options: `ignore`, `condition`, `missing` and the options on columns apply.

    Raises:
        UsageError: The options name columns that do not exist.
        DataError: Missing or infinite cells that are not to be dropped, text among numbers, too many categories, too
            few rows, or only constant columns.
    """
    options = resolve_names(raw, options)
    names = [name for name in raw.table.column_names if name not in options.ignore]
    if not names:
        raise UsageError(f"{raw.name}: every column is ignored", remedy="Leave at least one.")
    if raw.table.num_rows < 2:
        raise too_few_rows(raw, raw.table.num_rows)
    conditions = condition_names(options, names, raw.name)
    if len(conditions) == len(names):
        raise UsageError(f"{raw.name}: every column is a condition", remedy="Leave at least one to be generated.")
    typed, is_kept = typed_columns(raw, names, options)
    by_name = {column.name: column for column in typed}
    row_conditions = fit_conditions(raw, [by_name[name] for name in conditions], options) if conditions else None
    generated = [column for column in typed if column.name not in conditions]
    columns = tuple(fit_column(raw, column, options) for column in generated)
    _warn_of_constants(raw, [column.name for column in columns if isinstance(column, Constant)], len(columns))
    if not raw.untyped and (hints := [column.note for column in typed if column.is_hint]):
        warnings.warn(f"{raw.name}: {'; '.join(hints)}", DataWarning, stacklevel=2)
    notes = raw.notes + (() if is_kept is None else (dropped_note(int((~is_kept).sum()), "cells"),))
    notes += tuple(column.note for column in typed if column.note)
    if options.ignore:
        notes += (f"ignored columns: {', '.join(options.ignore)}",)
    return Detected(
        codec=TableCodec(
            columns=columns,
            given=None if raw.untyped else schema_as_given(raw.table),
            nan=tuple(column.name for column in generated if column.nan and pa.types.is_floating(column.kind)),
        ),
        arrays=[column.array for column in generated],
        notes=notes,
        row_conditions=row_conditions,
        order=tuple(names),
    )


def _warn_of_constants(raw: RawTable, constants: list[str], num_columns: int) -> None:
    """Warn of constant columns.

    Raises:
        DataError: All columns are constant.
    """
    if len(constants) == num_columns:
        raise DataError(f"{raw.name}: every column is constant", remedy="There is nothing to learn: look at the data.")
    if constants:
        shown = ", ".join(map(repr, constants[:5])) + (", ..." if len(constants) > 5 else "")
        message = f"{raw.name}: constant columns ({shown}) are not learnt; samples repeat their value"
        warnings.warn(message, DataWarning, stacklevel=3)
