"""Bring the rows of two files into one space, so that distances between them can be computed.

Numbers are float64 from the file to the solver, so that a row in both sets is the same point bit for bit.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from wgan.data.columns import Category, Column, Constant, Number
from wgan.data.columns.types import from_plain, is_temporal, is_text, to_plain, type_from_text
from wgan.data.points import PointsCodec
from wgan.data.scaling import Floats, Scaling, distances
from wgan.errors import DataError
from wgan.evaluation.marginals import coordinates
from wgan.system.torch_state import in_default_state

# Squares of larger distances overflow float64.
_LARGEST = 1e150
_SHOWN_NAMES = 8


@dataclass(frozen=True, kw_only=True)
class JointColumn:
    """A column of two tables, in one space.

    Attributes:
        name: Of the column.
        x: Its coordinates in the first table, shape (N, W): a number in standard deviations, followed by (present,
            missing) if cells may be missing, or a one-hot category.
        y: The same in the second table, shape (M, W).
        is_number: Whether it is a number.
        may_miss: Whether the last entry is 1 for a missing cell.
        spread: Its standard deviation in the first table, in `unit`; 1 for a category.
        unit: Of the numbers: "days", "seconds", or empty for the column's own unit.
        cells: For numbers both columns in their own type, row by row; None for categories.
    """

    name: str
    x: Floats
    y: Floats
    is_number: bool
    may_miss: bool = False
    spread: float = 1.0
    unit: str = ""
    cells: tuple[pa.Array, pa.Array] | None = None


@dataclass(frozen=True, kw_only=True)
class Joint:
    """Two sets of samples in one space.

    Attributes:
        x: Shape (N, D).
        y: Shape (M, D).
        unit: The unit of the space, in words.
        columns: Of tables, and of points with at most `MOST_COORDINATES` coordinates.
    """

    x: Floats
    y: Floats
    unit: str
    columns: tuple[JointColumn, ...] = ()


@dataclass(frozen=True, kw_only=True)
class TableRows:
    """Rows of a table, in plain form (see `wgan.data.columns.types.to_plain`).

    Attributes:
        columns: The type of each column.
        arrays: An array for each of them.
    """

    columns: tuple[Column, ...]
    arrays: tuple[pa.Array, ...]


@in_default_state
def join_points(x: NDArray[np.generic], y: NDArray[np.generic], codec: PointsCodec) -> Joint:
    """Points in the unit of the data, or in standard deviations if the codec scales each column by itself.

    Args:
        x: Shape (N, D).
        y: Shape (M, D).
        codec: The preprocessing of x.

    Raises:
        DataError: Different numbers of columns, or numbers whose squares overflow float64.
    """
    if x.shape[1] != y.shape[1]:
        raise DataError(
            f"A has {_columns(x.shape[1])} and B has {y.shape[1]:,}: their points lie in different spaces",
            remedy="Save arrays of the same columns for both.",
        )
    pairs = [_as_floats(first, second) for first, second in zip(x.T, y.T, strict=True)]
    left, right = (np.stack(side, axis=1) for side in zip(*pairs, strict=True))
    unit, spreads = "one unit of the data", np.ones(x.shape[1])
    if codec.unit is None:
        for column, _ in codec.constants:
            spreads[column] = np.concatenate([left[:, column], right[:, column]]).std() or 1.0
        spreads[codec.varying] = _spreads(codec.scaling)
        left, right = left / spreads, right / spreads
        unit = "one standard deviation of A, since its columns differ in spread (--scaling none for their own units)"
    largest = max(float(np.abs(side).max()) for side in (left, right))
    if largest > _LARGEST:
        raise DataError(
            f"values reach {largest:.3g}, and the squares of distances between them overflow float64",
            remedy="Divide the data by a number, or use --scaling each.",
        )
    columns = _coordinates(x, y, left, right, spreads)
    return Joint(x=left, y=right, unit=unit, columns=columns)


def _coordinates(
    x: NDArray[np.generic], y: NDArray[np.generic], left: Floats, right: Floats, units: Floats
) -> tuple[JointColumn, ...]:
    """The coordinates of points as columns; constant ones are left out."""
    found = []
    cells = [coordinates(side) for side in (x, y)]
    for index, name in enumerate(cells[0]):
        spread = float(left[:, index].std()) or float(np.concatenate([left[:, index], right[:, index]]).std())
        if spread > 0:
            sides = [side[:, index : index + 1] / spread for side in (left, right)]
            found.append(
                JointColumn(
                    name=name,
                    x=sides[0],
                    y=sides[1],
                    is_number=True,
                    spread=spread * float(units[index]),
                    cells=(cells[0][name], cells[1][name]),
                )
            )
    return tuple(found)


@in_default_state
def join_images(x: NDArray[np.uint8], y: NDArray[np.uint8]) -> Joint:
    """Images as flattened pixels from -1 for black to 1 for white, as the networks see them.

    Args:
        x: Shape (N, height, width, channels).
        y: Shape (M, height, width, channels).

    Raises:
        DataError: Different sizes or channels.
    """
    if x.shape[1:] != y.shape[1:]:
        (high, wide, channels), (other_high, other_wide, others) = x.shape[1:], y.shape[1:]
        options = [f"--size {high} {wide}"] if (high, wide) != (other_high, other_wide) else []
        options += [f"--mode {({1: 'L', 3: 'RGB', 4: 'RGBA'})[channels]}"] if channels != others else []
        raise DataError(
            f"A holds images of {high}x{wide}x{channels} and B of {other_high}x{other_wide}x{others}",
            remedy=f"Use {' '.join(options)} to bring both to one form.",
        )
    left, right = (side.reshape(len(side), -1) / 127.5 - 1.0 for side in (x, y))
    return Joint(x=left, y=right, unit="the whole range of a pixel is 2: black is -1 and white 1")


@in_default_state
def join_tables(x: TableRows, y: TableRows) -> Joint:
    """Tables as the networks see them, with the preprocessing of the first table.

    Numbers are in standard deviations of the first table, so that the unit of a column does not matter. Categories of
    both tables are one-hot, so that two different categories have the distance √2.

    Args:
        x: The first table.
        y: The second, its columns in any order.

    Raises:
        DataError: Columns that only one table has, or whose types cannot be compared; all of them are named.
    """
    theirs = dict(zip((column.name for column in y.columns), zip(y.columns, y.arrays, strict=True), strict=True))
    names = [column.name for column in x.columns]
    faults = [_only("A", [name for name in names if name not in theirs])]
    faults += [_only("B", [name for name in theirs if name not in set(names)])]
    if any(faults):
        raise DataError(
            f"the tables have different columns: {'; '.join(filter(None, faults))}",
            remedy="Use --ignore NAME to leave a column out of both, or rename it.",
        )
    found = [_joined(column, array, *theirs[column.name]) for column, array in zip(x.columns, x.arrays, strict=True)]
    columns = tuple(column for column in found if column is not None)
    if not columns:
        raise DataError("every column is constant, and the same in A and B", remedy="There is nothing to compare.")
    left, right = (np.concatenate([getattr(column, side) for column in columns], axis=1) for side in ("x", "y"))
    unit = "one standard deviation of A in a column of numbers; another category counts √2"
    return Joint(x=left, y=right, unit=unit, columns=columns)


def _columns(num: int) -> str:
    return "1 column" if num == 1 else f"{num:,} columns"


def _only(side: str, names: list[str]) -> str:
    if not names:
        return ""
    more = ", ..." if len(names) > _SHOWN_NAMES else ""
    return f"only {side} has {', '.join(map(repr, names[:_SHOWN_NAMES]))}{more}"


def _spreads(scaling: Scaling) -> Floats:
    """The standard deviations that a scaling divides by, in the unit of the data."""
    spreads: Floats = scaling.span * (scaling.spread / scaling.half)
    return spreads


def _as_floats(x: NDArray[np.generic], y: NDArray[np.generic]) -> tuple[Floats, Floats]:
    """Two columns as float64; the least of integers is subtracted first, so that large ones keep their last digits."""
    if {x.dtype.kind, y.dtype.kind} <= set("iu") and len(x) and len(y):
        low = min(int(x.min()), int(y.min()))
        return distances(x, low).astype(np.float64), distances(y, low).astype(np.float64)
    return x.astype(np.float64), y.astype(np.float64)


def _joined(column: Column, x: pa.Array, their_column: Column, y: pa.Array) -> JointColumn | None:
    """A column of both tables in one space; None if it is the same constant in both."""
    # A constant column has no scale and no categories; the other table decides its type.
    rule = their_column if isinstance(column, Constant) else column
    x, y = _same_type(column, x, their_column, y)
    if isinstance(rule, Constant):
        if column.value == their_column.value:  # type: ignore[union-attr]
            return None
        is_number = _holds(x) == "numbers"
    else:
        is_number = isinstance(rule, Number)
    if is_number:
        return _number(rule, x, y)
    return _category(column.name, x, y)


def _same_type(column: Column, x: pa.Array, their_column: Column, y: pa.Array) -> tuple[pa.Array, pa.Array]:
    """Both arrays as one type.

    Raises:
        DataError: Types that cannot be compared.
    """
    kinds = [type_from_text(each.type) for each in (column, their_column)]
    if pa.types.is_null(x.type) or pa.types.is_null(y.type):
        common = y.type if pa.types.is_null(x.type) else x.type
        return x.cast(common), y.cast(common)
    if all(map(is_temporal, kinds)) and kinds[0] != kinds[1]:
        try:
            return x, to_plain(from_plain(y, kinds[1]).cast(kinds[0]))
        except pa.ArrowException:
            pass
    elif is_temporal(kinds[0]) == is_temporal(kinds[1]) and _holds(x) == _holds(y):
        if x.type == y.type or (pa.types.is_integer(x.type) and pa.types.is_integer(y.type)):
            return x, y
        return x.cast(pa.float64()), y.cast(pa.float64())
    words = [str(kind) if is_temporal(kind) else _holds(array) for kind, array in zip(kinds, (x, y), strict=True)]
    raise DataError(
        f"column {column.name!r} holds {words[0]} in A and {words[1]} in B",
        remedy=f"Use --categorical {column.name!r} if these are categories, or --ignore {column.name!r}.",
    )


def _holds(array: pa.Array) -> str:
    if is_text(array.type):
        return "text"
    return "true and false" if pa.types.is_boolean(array.type) else "numbers"


def _number(rule: Number | Constant | Category, x: pa.Array, y: pa.Array) -> JointColumn:
    """Numbers in standard deviations; if any is missing, at the mean, followed by (present, missing)."""
    present = [side.drop_null() for side in (x, y)]
    if pa.types.is_boolean(x.type):
        present = [side.cast(pa.int8()) for side in present]
    left, right = _as_floats(*(side.to_numpy() for side in present))
    if isinstance(rule, Number):
        spread = float(_spreads(rule.scaling)[0])
    else:
        spread = float(np.concatenate([left, right]).std()) or 1.0
    mean = float(left.mean()) / spread if len(left) else 0.0
    gaps = [side.is_null().to_numpy(zero_copy_only=False) for side in (x, y)]
    blocks = []
    for values, missing in zip((left, right), gaps, strict=True):
        block = np.full((len(missing), 3 if any(map(np.any, gaps)) else 1), mean)
        block[~missing, 0] = values / spread
        if block.shape[1] > 1:
            block[:, 1], block[:, 2] = ~missing, missing
        blocks.append(block)
    factor, unit = _unit_of(type_from_text(rule.type))
    return JointColumn(
        name=rule.name,
        x=blocks[0],
        y=blocks[1],
        is_number=True,
        may_miss=blocks[0].shape[1] > 1,
        spread=spread * factor,
        unit=unit,
        cells=(_own_type(rule.type, x), _own_type(rule.type, y)),
    )


def _own_type(text: str, cells: pa.Array) -> pa.Array:
    """Dates and times in their own type; numbers unchanged."""
    kind = type_from_text(text)
    if pa.types.is_dictionary(kind):
        kind = kind.value_type
    return from_plain(cells, kind) if is_temporal(kind) else cells


def _category(name: str, x: pa.Array, y: pa.Array) -> JointColumn:
    """One-hot categories of both tables; a missing cell is a separate category."""
    import pyarrow.compute as pc

    y = y.cast(x.type)
    known = pa.concat_arrays([x, y]).unique().drop_null()
    indices = [
        pc.index_in(side, value_set=known).fill_null(len(known)).to_numpy(zero_copy_only=False) for side in (x, y)
    ]
    may_miss = bool(x.null_count or y.null_count)
    blocks = [np.eye(len(known) + may_miss)[index] for index in indices]
    return JointColumn(name=name, x=blocks[0], y=blocks[1], is_number=False, may_miss=may_miss)


def _unit_of(kind: Any) -> tuple[float, str]:  # noqa: ANN401 - Arrow has no stubs
    """The factor from the integers inside a type to a unit, and that unit."""
    if not is_temporal(kind):
        return 1.0, ""
    seconds = {"s": 1.0, "ms": 1e-3, "us": 1e-6, "ns": 1e-9}
    if pa.types.is_date32(kind):
        return 1.0, "days"
    if pa.types.is_date64(kind):
        return 1e-3 / 86_400, "days"
    if pa.types.is_timestamp(kind):
        return seconds[kind.unit] / 86_400, "days"
    return seconds[kind.unit], "seconds"
