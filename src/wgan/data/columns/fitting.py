"""Fit columns to data: whether each is a number, a category or a constant, and its scale, bounds and categories."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from wgan.data.columns.conventions import Conventions, named_columns
from wgan.data.columns.kinds import Category, Column, Constant, Number, less
from wgan.data.columns.raw import RawTable
from wgan.data.columns.rounding import Calendar, decimals_of, grid_of, step_of
from wgan.data.columns.typed import TypedColumn, typed_column
from wgan.data.columns.types import is_temporal
from wgan.data.scaling import EXACT, Floats, Scaling
from wgan.errors import DataError, UsageError
from wgan.settings import DataOptions
from wgan.system.text import nearest, split_lists

# A text column whose share of distinct values is larger holds names or row numbers, not categories.
_DISTINCT_SHARE, _FEW_ROWS = 0.9, 50
_SHOWN_CELLS, SHOWN_NAMES = 5, 30


def resolve_names(raw: RawTable, options: DataOptions) -> DataOptions:
    """Split words that hold several names of columns with commas between them, and refuse unknown names.

    Raises:
        UsageError: An option names an unknown column.
        DataError: The table has no columns.
    """
    known = raw.table.column_names
    if not known:
        raise DataError(f"{raw.name} has no columns", remedy="Give data: rows of numbers or categories.")
    lists = ("categorical", "numeric", "ignore", "text")
    split: dict[str, Any] = {option: split_lists(getattr(options, option), known) for option in lists}
    options = replace(options, **split)
    named = [(option, name) for option in ("categorical", "numeric", "ignore") for name in getattr(options, option)]
    wrong = []
    for option, name in (*named, *named_columns(options)):
        if name not in known:
            guess = "".join(f" (did you mean {near!r}?)" for near in nearest(name, known))
            wrong.append(f"--{option.replace('_', '-')} {name!r} names no column{guess}")
    if wrong:
        columns = ", ".join(map(repr, known[:SHOWN_NAMES])) + (", ..." if len(known) > SHOWN_NAMES else "")
        raise UsageError(f"{raw.name}: {'; '.join(wrong)}", remedy=f"Columns: {columns}.")
    return options


def typed_columns(
    raw: RawTable, names: list[str], options: DataOptions
) -> tuple[list[TypedColumn], NDArray[np.bool_] | None]:
    """Parse columns, and refuse, drop or keep rows with missing or infinite cells.

    Args:
        raw: The table.
        names: The columns to parse.
        options: `missing`, `categorical`, `numeric` and the options on how numbers and dates are written apply.

    Returns:
        The columns, and whether each row of the table is kept, shape (N,); None if all are.

    Raises:
        DataError: Missing or infinite cells that are not to be dropped, fewer than 2 rows left, or as `typed_column`.
        UsageError: As `typed_column`.
    """
    conventions = Conventions(raw.table)
    typed = [typed_column(raw, name, options, conventions) for name in names]
    is_kept = np.ones(raw.table.num_rows, dtype=bool)
    bad: dict[int, NDArray[np.bool_]] = {}
    for index, column in enumerate(typed):
        is_bad = _is_infinite(column.array)
        if options.missing != "keep":
            is_bad |= column.array.is_null().to_numpy(zero_copy_only=False)
        if is_bad.any():
            bad[index] = is_bad
            is_kept &= ~is_bad
    if not bad:
        return typed, None
    if options.missing != "drop":
        raise _missing_cells(raw, typed, bad)
    if is_kept.sum() < 2:
        can_keep = not any(_is_infinite(column.array).any() for column in typed)
        raise too_few_rows(raw, int(is_kept.sum()), int((~is_kept).sum()), can_keep=can_keep)
    return [replace(column, array=column.array.filter(pa.array(is_kept))) for column in typed], is_kept


def _is_infinite(array: pa.Array) -> NDArray[np.bool_]:
    import pyarrow.compute as pc

    if not pa.types.is_floating(array.type):
        return np.zeros(len(array), dtype=bool)
    infinite: NDArray[np.bool_] = pc.is_inf(array).fill_null(False).to_numpy(zero_copy_only=False)
    return infinite


def _missing_cells(raw: RawTable, typed: list[TypedColumn], bad: dict[int, NDArray[np.bool_]]) -> DataError:
    """The error that counts missing and infinite cells and names the first ones."""
    cells = sorted((int(row), index) for index in bad for row in np.flatnonzero(bad[index])[:_SHOWN_CELLS])
    cells = cells[:_SHOWN_CELLS]
    infinite = {index: _is_infinite(typed[index].array) for index in bad}
    # Looking up places reads a .csv once more, so it is done once.
    rows = sorted({row for row, _ in cells})
    places = dict(zip(rows, raw.places(rows), strict=True))
    shown = ", ".join(
        f"{places[row]} {typed[index].name!r} ({'infinite' if infinite[index][row] else 'missing'})"
        for row, index in cells
    )
    count, num_infinite = (sum(int(flags.sum()) for flags in columns.values()) for columns in (bad, infinite))
    kinds = {(True, True): "missing, NaN or infinite", (True, False): "missing or NaN", (False, True): "infinite"}
    kind = kinds[count > num_infinite, num_infinite > 0]
    # Which cells are empty can be learnt; the value of an infinite one cannot.
    keep = "" if num_infinite else ", or --missing keep to learn where cells are empty"
    more = ", ..." if count > len(cells) else ""
    return DataError(
        f"{raw.name}: {count:,} {kind} {'cell' if count == 1 else 'cells'}: {shown}{more}",
        remedy=f"Use --missing drop to leave these rows out{keep}.",
    )


def too_few_rows(raw: RawTable, count: int, num_dropped: int = 0, *, can_keep: bool = False) -> DataError:
    """The error for a table of fewer than 2 rows.

    Args:
        raw: The table.
        count: Rows that are left.
        num_dropped: Rows dropped because of missing or infinite cells.
        can_keep: Whether `--missing keep` would help.
    """
    left = f" after dropping {num_dropped:,} with missing or infinite cells" if num_dropped else ""
    remedy = "Give more data."
    if num_dropped:
        keep = "Use --missing keep, or" if can_keep else "Use"
        remedy = f"{keep} --ignore the columns that are {'empty' if can_keep else 'empty or infinite'}."
    return DataError(f"{raw.name}: {_num_rows(count)}{left}; needs at least 2 rows", remedy=remedy)


def dropped_note(count: int, what: str) -> str:
    """The note on rows dropped because of missing or infinite `what`."""
    return f"{_num_rows(count)} with missing or infinite {what} {'was' if count == 1 else 'were'} dropped"


def _num_rows(count: int) -> str:
    return "1 row" if count == 1 else f"{count:,} rows"


def fit_column(raw: RawTable, column: TypedColumn, options: DataOptions) -> Column:
    """Decide whether a column is a number, a category or a constant, and fit it.

    Args:
        raw: The table, for errors.
        column: One of its columns, with the rows that are kept.
        options: `categorical`, `max_categories` and, for remedies, `condition` apply.

    Raises:
        DataError: A column of categories with too many distinct values.
    """
    import pyarrow.compute as pc

    may_miss = column.array.null_count > 0
    is_empty = pa.types.is_null(column.array.type)
    num_distinct = 0 if is_empty else pc.count_distinct(column.array, mode="only_valid").as_py()
    if num_distinct + may_miss <= 1:
        value = column.array[0].as_py()
        return Constant(name=column.name, type=str(column.kind), value=value, dictionary=column.dictionary)
    is_whole, is_float = pa.types.is_integer(column.array.type), pa.types.is_floating(column.array.type)
    is_flag = is_whole and not is_temporal(column.kind) and num_distinct <= 2
    is_number = ((is_whole or is_float) and not is_flag) or column.name in options.numeric
    if num_distinct > 1 and is_number and not column.coded:
        return _fit_number(column, may_miss)
    num_present = len(column.array) - column.array.null_count
    if why := _why_no_category(column, num_distinct, num_present, options):
        raise _too_many_categories(raw, column, num_distinct, num_present, why, options)
    return _fit_category(column, may_miss)


def _why_no_category(column: TypedColumn, num_distinct: int, num_present: int, options: DataOptions) -> str:
    """Why a column cannot be categories; empty if it can."""
    if num_distinct > options.max_categories:
        return f"more than {options.max_categories:,} categories"
    is_given = column.name in options.categorical or column.dictionary is not None
    is_distinct = num_present > _FEW_ROWS and num_distinct > _DISTINCT_SHARE * num_present
    is_name = is_distinct and not is_given and pa.types.is_large_string(column.array.type)
    return "like a name of each row" if is_name else ""


def _too_many_categories(
    raw: RawTable, column: TypedColumn, num_distinct: int, num_present: int, why: str, options: DataOptions
) -> DataError:
    name = column.name
    if any(name in (word, *word.split(",")) for word in options.condition):
        way = f"--text {name!r} to embed it" if pa.types.is_large_string(column.array.type) else ""
        way = f"--numeric {name!r} to take it as a number" if pa.types.is_integer(column.array.type) else way
        remedy = f"Use {way}, or leave it out of the conditions." if way else "Leave it out of the conditions."
    elif num_distinct > options.max_categories:
        remedy = f"Use --ignore {name!r}, or --max-categories {num_distinct}."
    else:
        remedy = f"Use --ignore {name!r}, or --categorical {name!r} if it is a category all the same."
    return DataError(
        f"{raw.name}, column {name!r}: {num_distinct:,} different values in {num_present:,} rows, {why}",
        remedy=f"{remedy} {column.note[0].upper()}{column.note[1:]}." if column.note else remedy,
    )


def _fit_category(column: TypedColumn, may_miss: bool) -> Category:
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


def _fit_number(column: TypedColumn, may_miss: bool) -> Number:
    import pyarrow.compute as pc

    array = column.array.cast(pa.int8()) if pa.types.is_boolean(column.array.type) else column.array
    ends = pc.min_max(array).as_py()
    low, high = ends["min"], ends["max"]
    is_whole = pa.types.is_integer(array.type)
    offset = low if is_whole and max(abs(low), abs(high)) > EXACT else 0
    present = array.drop_null()
    values = less(present, offset)
    decimals = None if is_whole else decimals_of(values, single=pa.types.is_float32(array.type))
    calendar = Calendar.fit(present.to_numpy().astype(np.int64), column.kind) if is_temporal(column.kind) else None
    ends = np.array([[low - offset], [high - offset]], np.float64)
    return Number(
        name=column.name,
        type=str(column.kind),
        whole=is_whole,
        low=low,
        high=high,
        decimals=decimals,
        step=_step(column, present, values, decimals),
        may_miss=may_miss,
        offset=offset,
        scaling=Scaling.fit(ends[0], ends[1], lambda: iter([values[:, None]])),
        calendar=calendar,
        form=column.form,
        text=column.text,
    )


def _step(column: TypedColumn, present: pa.Array, values: Floats, decimals: int | None) -> int:
    """The common step of all values, counted from the minimum; of floats in units of their last decimal place."""
    if not pa.types.is_integer(present.type):
        if decimals is None:
            return 1
        places = np.rint(values * 10.0**decimals).astype(np.int64)
        return grid_of(places, int(places.min()))
    cells = present.to_numpy()
    return (step_of if is_temporal(column.kind) else grid_of)(cells, int(cells.min()))
