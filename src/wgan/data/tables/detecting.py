"""Decide what each column is: a number, a category, or a constant that needs no learning."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import pyarrow as pa
import torch
from numpy.typing import NDArray

from wgan.data.codes import Part, codes_of
from wgan.data.columns import Category, Column, Constant, Number, less
from wgan.data.conditions import RowConditions
from wgan.data.inferring import TypedColumn, typed_column
from wgan.data.scaling import EXACT, Floats, Scaling
from wgan.data.tables.codec import TableCodec
from wgan.data.tables.grids import Calendar, decimals_of, grid_of, step_of
from wgan.data.tables.reading import Raw
from wgan.data.tables.rules import Habits, named_columns
from wgan.data.texts import Text
from wgan.data.types import as_came, is_temporal
from wgan.errors import DataError, DataWarning, UsageError
from wgan.settings import DataOptions
from wgan.system.text import listed, nearest

# Text of which more than this share of the cells is unlike any other is a name or a number of the row, no category.
_DISTINCT_SHARE, _FEW_ROWS = 0.9, 50
_SHOWN_CELLS, _SHOWN_NAMES = 5, 30
# Whole numbers under these names are numbers of classes.
_CLASSES = frozenset({"label", "labels", "class", "classes", "target", "targets", "y"})


@dataclass(frozen=True, kw_only=True)
class Detected:
    """What was decided about a table.

    Attributes:
        codec: A column for each column that is no condition.
        arrays: The rows that are kept, in plain form, an array for each column of the codec.
        notes: What the user should be told.
        row_conditions: The conditions of the rows that are kept; None in an unconditional run.
        order: Names of all columns, conditions among them, in the table's order.
    """

    codec: TableCodec
    arrays: list[pa.Array]
    notes: tuple[str, ...]
    row_conditions: RowConditions | None = None
    order: tuple[str, ...] = ()


def detect(raw: Raw, options: DataOptions) -> Detected:
    """Decide what each column is, and check that it can be learnt.

    Args:
        raw: The table as read.
        options: `ignore`, `categorical`, `numeric` and `missing` apply.

    Returns:
        The codec and the rows it applies to.

    Raises:
        UsageError: The options name columns that are not there.
        DataError: Missing or infinite cells that are not to be dropped, text among numbers, too many categories, too
            few rows, nothing that changes.
    """
    _check_names(raw, options)
    names = [name for name in raw.table.column_names if name not in options.ignore]
    if not names:
        raise UsageError(f"{raw.name}: every column is ignored", remedy="Leave at least one.")
    if raw.table.num_rows < 2:
        raise _too_few(raw, raw.table.num_rows, 0)
    asked = condition_names(options, names, raw.name)
    if len(asked) == len(names):
        raise UsageError(f"{raw.name}: every column is a condition", remedy="Leave at least one to be generated.")
    habits = Habits(raw.table)
    typed, kept = _settle_missing(raw, [typed_column(raw, name, options, habits) for name in names], options)
    dropped = 0 if kept is None else int((~kept).sum())
    row_conditions = _row_conditions(raw, [_named(typed, name) for name in asked], options) if asked else None
    all_typed, typed = typed, [column for column in typed if column.name not in asked]
    columns = tuple(_column(raw, column, options) for column in typed)
    constant = [column.name for column in columns if isinstance(column, Constant)]
    if len(constant) == len(columns):
        raise DataError(f"{raw.name}: every column is constant", remedy="There is nothing to learn: look at the data.")
    if not raw.untyped and (hints := [column.note for column in all_typed if column.is_hint]):
        warnings.warn(f"{raw.name}: {'; '.join(hints)}", DataWarning, stacklevel=2)
    if constant:
        shown = ", ".join(map(repr, constant[:5])) + (", ..." if len(constant) > 5 else "")
        said = f"{raw.name}: constant columns ({shown}) are not learnt and come back as they are"
        warnings.warn(said, DataWarning, stacklevel=2)
    notes = raw.notes + ((_dropped(dropped, "cells"),) if dropped else ())
    notes += tuple(column.note for column in all_typed if column.note)
    if options.ignore:
        notes += (f"ignored columns: {', '.join(options.ignore)}",)
    arrays = [column.array for column in typed]
    return Detected(
        codec=TableCodec(
            columns=columns,
            given=None if raw.untyped else as_came(raw.table),
            nan=tuple(column.name for column in typed if column.nan and pa.types.is_floating(column.kind)),
        ),
        arrays=arrays,
        notes=notes,
        row_conditions=row_conditions,
        order=tuple(names),
    )


def describe_rows(raw: Raw, options: DataOptions) -> RowConditions:
    """Decide what each condition is, where the conditions have a table of their own.

    Args:
        raw: A column for each thing that could be a condition, and a row for each row of the data.
        options: `condition`, `text`, `embedding`, `categorical`, `numeric` and `missing` apply.

    Raises:
        UsageError: The options name columns that are not there.
        DataError: Missing cells that are not to be dropped or kept, too many categories, a column that never changes.
    """
    _check_names(raw, options)
    asked = condition_names(options, raw.table.column_names, raw.name)
    habits = Habits(raw.table)
    typed, kept = _settle_missing(raw, [typed_column(raw, name, options, habits) for name in asked], options)
    described = _row_conditions(raw, typed, options)
    notes = raw.notes + tuple(column.note for column in typed if column.note)
    if kept is not None:
        notes += (_dropped(int((~kept).sum()), "conditions"),)
    return replace(described, kept=kept, notes=notes)


def condition_names(options: DataOptions, known: Sequence[str], where: str) -> list[str]:
    """The conditions that are asked for, those in one word with commas between them apart.

    Args:
        options: `condition` and `text` apply.
        known: What could be asked for.
        where: The data, for an error.

    Raises:
        UsageError: A name that is not known, or that comes twice.
    """
    asked = [
        name
        for word in options.condition
        for name in ([word] if word in known else filter(None, (part.strip() for part in word.split(","))))
    ]
    if options.condition and not asked:
        raise UsageError(f"{where}: --condition names nothing", remedy=_listed("", known))
    for name in asked:
        if name not in known:
            raise UsageError(f"{where}: there is no condition {name!r}", remedy=_listed(name, known))
        if asked.count(name) > 1:
            raise UsageError(f"{where}: the condition {name!r} is asked for twice", remedy="Once is enough.")
    if wrong := [name for name in options.text if name not in asked]:
        raise UsageError(
            f"{where}: --text {wrong[0]!r} is not a condition",
            remedy=f"Use --condition {wrong[0]!r} too, or leave it out.",
        )
    return asked


def _listed(name: str, known: Sequence[str]) -> str:
    if not known:
        return "It has nothing that samples could be asked for: no labels and no tags."
    guess = "".join(f"Did you mean {near!r}? " for near in nearest(name, known))
    more = ", ..." if len(known) > _SHOWN_NAMES else ""
    return f"{guess}There are: {listed(known[:_SHOWN_NAMES])}{more}."


def _named(typed: list[TypedColumn], name: str) -> TypedColumn:
    return next(column for column in typed if column.name == name)


def _row_conditions(raw: Raw, typed: list[TypedColumn], options: DataOptions) -> RowConditions:
    parts = tuple(_part(raw, column, options) for column in typed)
    codes = [codes_of(part, column.array) for part, column in zip(parts, typed, strict=True)]
    return RowConditions(parts=parts, codes=torch.stack(codes, dim=1))


def _part(raw: Raw, column: TypedColumn, options: DataOptions) -> Part:
    """What a column is as a condition."""
    if column.name in options.text:
        return _text(raw, column, options)
    is_whole = pa.types.is_integer(column.array.type) and not is_temporal(column.kind)
    if is_whole and column.name.lower() in _CLASSES and column.name not in options.numeric:
        column = replace(column, coded=True)
    found = _column(raw, column, options)
    if isinstance(found, Constant):
        raise DataError(
            f"{raw.name}: {column.name!r} is always {found.value!r}, so it cannot be a condition",
            remedy="Leave it out.",
        )
    if isinstance(found, Number) and found.may_miss:
        raise DataError(
            f"{raw.name}: numbers are missing in the condition {column.name!r}",
            remedy="Use --missing drop, or fill them in: only categories can be missing in a condition.",
        )
    if isinstance(found, Number):
        # What was asked for is not moved to the data's grid; it is rounded to the data's places.
        found = replace(found, calendar=None) if is_temporal(column.kind) else replace(found, step=1)
    return found


def _text(raw: Raw, column: TypedColumn, options: DataOptions) -> Text:
    from wgan.data.embeddings import find_embedding

    if not pa.types.is_large_string(column.array.type):
        raise UsageError(f"{raw.name}: --text {column.name!r} is {column.kind}, not text", remedy="Leave it out.")
    if column.array.null_count:
        raise DataError(f"{raw.name}: texts are missing in {column.name!r}", remedy="Use --missing drop.")
    texts = sorted(column.array.unique().to_pylist())
    embed = find_embedding(options.embedding)
    return Text.fit(column.name, str(column.kind), texts, embed, options.embedding)


def _check_names(raw: Raw, options: DataOptions) -> None:
    known = raw.table.column_names
    if not known:
        raise DataError(f"{raw.name} has no columns", remedy="Give data: rows of numbers or categories.")
    wrong = []
    named = [(option, name) for option in ("categorical", "numeric", "ignore") for name in getattr(options, option)]
    for option, name in (*named, *named_columns(options)):
        if name not in known:
            guess = "".join(f" (did you mean {near!r}?)" for near in nearest(name, known))
            wrong.append(f"--{option.replace('_', '-')} {name!r} names no column{guess}")
    if wrong:
        columns = ", ".join(map(repr, known[:_SHOWN_NAMES])) + (", ..." if len(known) > _SHOWN_NAMES else "")
        raise UsageError(f"{raw.name}: {'; '.join(wrong)}", remedy=f"Columns: {columns}.")


def _settle_missing(
    raw: Raw, typed: list[TypedColumn], options: DataOptions
) -> tuple[list[TypedColumn], NDArray[np.bool_] | None]:
    """Refuse, drop or keep rows with missing or infinite cells; also which rows are kept, None where all are."""
    import pyarrow.compute as pc

    bad, rows, num_infinite, num_missing = [], np.ones(raw.table.num_rows, dtype=bool), 0, 0
    for number, column in enumerate(typed):
        missing = column.array.is_null().to_numpy(zero_copy_only=False)
        infinite = np.zeros_like(missing)
        if pa.types.is_floating(column.array.type):
            infinite = pc.is_inf(column.array).fill_null(False).to_numpy(zero_copy_only=False)
        wrong = infinite if options.missing == "keep" else missing | infinite
        num_infinite += int(infinite.sum())
        num_missing += int((wrong & missing).sum())
        rows &= ~wrong
        bad += [
            (row, number, "infinite" if infinite[row] else "missing") for row in np.flatnonzero(wrong)[:_SHOWN_CELLS]
        ]
    count = num_infinite + num_missing
    if not count:
        return typed, None
    if options.missing == "drop":
        if rows.sum() < 2:
            raise _too_few(raw, int(rows.sum()), int((~rows).sum()), may_keep=not num_infinite)
        kept = [replace(column, array=column.array.filter(pa.array(rows))) for column in typed]
        return kept, rows
    bad = sorted(bad)[:_SHOWN_CELLS]
    # The places are looked up together: for a .csv that is one walk through the file.
    numbers = sorted({int(row) for row, _, _ in bad})
    places = dict(zip(numbers, raw.places(numbers), strict=True))
    shown = ", ".join(f"{places[int(row)]} {typed[number].name!r} ({what})" for row, number, what in bad)
    more = ", ..." if count > len(bad) else ""
    kinds = {(True, True): "missing, NaN or infinite", (True, False): "missing or NaN", (False, True): "infinite"}
    only = kinds[num_missing > 0, num_infinite > 0]
    # Where a cell is empty can be learnt, what an infinite one is worth cannot.
    keep = "" if num_infinite else ", or --missing keep to learn where cells are empty"
    raise DataError(
        f"{raw.name}: {count:,} {only} {'cell' if count == 1 else 'cells'}: {shown}{more}",
        remedy=f"Use --missing drop to leave these rows out{keep}.",
    )


def _too_few(raw: Raw, count: int, dropped: int, *, may_keep: bool = False) -> DataError:
    left = f" after dropping {dropped:,} with missing or infinite cells" if dropped else ""
    remedy = "Give more data."
    if dropped:
        keep = "Use --missing keep, or" if may_keep else "Use"
        remedy = f"{keep} --ignore the columns that are {'empty' if may_keep else 'empty or infinite'}."
    return DataError(f"{raw.name}: {_rows(count)}{left}; needs at least 2 rows", remedy=remedy)


def _rows(count: int) -> str:
    return "1 row" if count == 1 else f"{count:,} rows"


def _dropped(count: int, what: str) -> str:
    return f"{_rows(count)} with missing or infinite {what} {'was' if count == 1 else 'were'} dropped"


def _column(raw: Raw, column: TypedColumn, options: DataOptions) -> Column:
    """What a column without missing cells, or with such as are to be kept, is learnt as."""
    import pyarrow.compute as pc

    may_miss = column.array.null_count > 0
    empty = pa.types.is_null(column.array.type)
    distinct = 0 if empty else pc.count_distinct(column.array, mode="only_valid").as_py()
    if distinct + may_miss <= 1:
        value = column.array[0].as_py()
        return Constant(name=column.name, type=str(column.kind), value=value, dictionary=column.dictionary)
    number = pa.types.is_integer(column.array.type) or pa.types.is_floating(column.array.type)
    flag = pa.types.is_integer(column.array.type) and not is_temporal(column.kind) and distinct <= 2
    named = column.name in options.numeric
    if distinct > 1 and not column.coded and ((number and not flag) or named):
        return _number(raw, column, may_miss)
    return _category(raw, column, distinct, may_miss, options)


def _category(raw: Raw, column: TypedColumn, distinct: int, may_miss: bool, options: DataOptions) -> Category:
    present = len(column.array) - column.array.null_count
    named = column.name in options.categorical
    alike = not named and column.dictionary is None and present > _FEW_ROWS and distinct > _DISTINCT_SHARE * present
    is_flood, most = distinct > options.max_categories, options.max_categories
    if is_flood or (alike and pa.types.is_large_string(column.array.type)):
        why = f"more than {most:,} categories" if is_flood else "like a name of each row"
        remedy = f"Use --ignore {column.name!r}"
        remedy += (
            f", or --max-categories {distinct}"
            if is_flood
            else f", or --categorical {column.name!r} if it is a category all the same"
        )
        remedy += "."
        if any(column.name in (word, *word.split(",")) for word in options.condition):
            way = f"--text {column.name!r} to embed it" if pa.types.is_large_string(column.array.type) else ""
            way = f"--numeric {column.name!r} to take it as a number" if pa.types.is_integer(column.array.type) else way
            remedy = f"Use {way}, or leave it out of the conditions." if way else "Leave it out of the conditions."
        raise DataError(
            f"{raw.name}, column {column.name!r}: {distinct:,} different values in {present:,} rows, {why}",
            remedy=f"{remedy} {column.note[0].upper()}{column.note[1:]}." if column.note else remedy,
        )
    occurring = column.array.unique().drop_null().to_pylist()
    if column.dictionary is None:
        values = sorted(occurring)
    else:
        there = set(occurring)
        values = [value for value in column.dictionary if value in there]
    return Category(
        name=column.name,
        type=str(column.kind),
        values=tuple(values),
        dictionary=column.dictionary,
        may_miss=may_miss,
    )


def _number(raw: Raw, column: TypedColumn, may_miss: bool) -> Number:
    import pyarrow.compute as pc

    array = column.array.cast(pa.int8()) if pa.types.is_boolean(column.array.type) else column.array
    ends = pc.min_max(array).as_py()
    low, high = ends["min"], ends["max"]
    whole = pa.types.is_integer(array.type)
    offset = low if whole and max(abs(low), abs(high)) > EXACT else 0
    present = array.drop_null()
    values = less(present, offset)
    decimals = None if whole else decimals_of(values, single=pa.types.is_float32(array.type))
    calendar = Calendar.fit(present.to_numpy().astype(np.int64), column.kind) if is_temporal(column.kind) else None
    ends = np.array([[low - offset], [high - offset]], np.float64)
    scaling = Scaling.fit(ends[0], ends[1], lambda: iter([values[:, None]]))
    return Number(
        name=column.name,
        type=str(column.kind),
        whole=whole,
        low=low,
        high=high,
        decimals=decimals,
        step=_step(column, present, values, decimals),
        may_miss=may_miss,
        offset=offset,
        scaling=scaling,
        calendar=calendar,
        form=column.form,
        text=column.text,
    )


def _step(column: TypedColumn, present: pa.Array, values: Floats, decimals: int | None) -> int:
    """What all values are multiples of, counted from the least: of floats in units of their last place."""
    if not pa.types.is_integer(present.type):
        if decimals is None:
            return 1
        places = np.rint(values * 10.0**decimals).astype(np.int64)
        return grid_of(places, int(places.min()))
    cells = present.to_numpy()
    return (step_of if is_temporal(column.kind) else grid_of)(cells, int(cells.min()))
