"""Compare one column of two sets of samples by the Kolmogorov-Smirnov statistic and by quantiles."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, TypeAlias

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from wgan.data.columns.types import is_temporal, to_plain

LEVELS = (0.01, 0.05, 0.25, 0.5, 0.75, 0.95, 0.99)
"""Levels of the quantiles that are compared."""

SHOWN = (0.01, 0.25, 0.5, 0.75, 0.99)
"""The levels that are shown in tables."""

MOST_COORDINATES = 16
"""Coordinates of points up to which each is compared by itself; columns of tables are always compared."""

_FEW = 100

Cell: TypeAlias = int | float | str
"""A number, or a date or time as text."""


@dataclass(frozen=True, kw_only=True)
class Marginal:
    """How two samples of one column differ; the unit and heavy tails do not matter.

    Attributes:
        name: Of the column.
        ks: The Kolmogorov-Smirnov statistic: the largest difference of the two distribution functions, from 0 to 1.
        p_value: How often two independent samples of one distribution are at least as far apart; an upper bound if
            values are tied.
        levels: Of the quantiles.
        first: The quantiles of the first sample: at each level the least value that this share of the cells does not
            exceed.
        second: The quantiles of the second sample.
    """

    name: str
    ks: float
    p_value: float
    levels: tuple[float, ...]
    first: tuple[Cell, ...]
    second: tuple[Cell, ...]

    def as_json(self) -> dict[str, Any]:
        """Plain JSON values."""
        return {key: list(value) if isinstance(value, tuple) else value for key, value in asdict(self).items()}

    @classmethod
    def from_json(cls, state: Mapping[str, Any]) -> Marginal:
        """Read the values of `as_json`.

        Raises:
            KeyError: A member is missing.
            TypeError: A member has a wrong type.
            ValueError: A number cannot be read, or the numbers of levels and quantiles differ.
        """
        levels = tuple(map(float, state["levels"]))
        sides = [tuple(state[side]) for side in ("first", "second")]
        if any(len(side) != len(levels) or not all(isinstance(cell, Cell) for cell in side) for side in sides):
            raise ValueError("quantiles that are not those of the levels")
        return cls(
            name=str(state["name"]),
            ks=float(state["ks"]),
            p_value=float(state["p_value"]),
            levels=levels,
            first=sides[0],
            second=sides[1],
        )


def marginal(name: str, first: pa.Array, second: pa.Array) -> Marginal | None:
    """Compare a column of two samples.

    Args:
        name: Of the column.
        first: Numbers, dates or times; missing cells are left out.
        second: Likewise.

    Returns:
        The comparison; None if one sample has no present cells.

    Cost: O((N + M) log (N + M)) time.

    Source: Hodges (1958), "The significance probability of the Smirnov two-sample test", as SciPy computes it.
    """
    found = [_sorted(side) for side in (first, second)]
    if any(not len(values) for values, _ in found):
        return None
    ks, p_value = kolmogorov_smirnov(found[0][0], found[1][0])
    cells = [_quantiles(len(values), ordered) for values, ordered in found]
    return Marginal(name=name, ks=ks, p_value=p_value, levels=LEVELS, first=cells[0], second=cells[1])


def marginals(first: Mapping[str, pa.Array], second: Mapping[str, pa.Array]) -> tuple[Marginal, ...]:
    """Compare the columns that both samples have, the largest statistic first."""
    found = [marginal(name, first[name], second[name]) for name in first if name in second]
    return tuple(sorted((each for each in found if each is not None), key=lambda each: -each.ks))


def kolmogorov_smirnov(first: NDArray[Any], second: NDArray[Any]) -> tuple[float, float]:
    """The Kolmogorov-Smirnov statistic of two samples, and its p-value.

    Args:
        first: Shape (N,), without NaN.
        second: Shape (M,).

    Returns:
        The statistic and its p-value, which is exact for fewer than 100 values in one sample, and otherwise asymptotic.
    """
    from scipy.stats import ks_2samp

    found = ks_2samp(first, second, method="exact" if min(len(first), len(second)) < _FEW else "asymp")
    return float(found.statistic), float(found.pvalue)


def coordinates(points: NDArray[np.generic]) -> dict[str, pa.Array]:
    """The coordinates of points by name: x1, x2 and so on; none if there are more than `MOST_COORDINATES`.

    Args:
        points: Shape (N, D).
    """
    if points.shape[1] > MOST_COORDINATES:
        return {}
    return {f"x{index + 1}": as_cells(column) for index, column in enumerate(points.T)}


def as_cells(column: NDArray[np.generic]) -> pa.Array:
    """Numbers as an Arrow array; booleans as 0 and 1.

    Args:
        column: Shape (N,).
    """
    if column.dtype.kind == "b":
        return pa.array(column.astype(np.int8))
    if column.dtype.kind == "f" and column.dtype.itemsize not in (4, 8):
        return pa.array(column.astype(np.float64))
    return pa.array(np.ascontiguousarray(column, dtype=column.dtype.newbyteorder("=")))


def titles() -> tuple[str, ...]:
    """The titles of the levels in `SHOWN`."""
    return tuple("median" if level == 0.5 else f"{100 * level:.0f} %" for level in SHOWN)


def shown(levels: Sequence[float], cells: Sequence[Cell]) -> tuple[str, ...]:
    """The quantiles at the levels in `SHOWN`; a dash for an unknown one."""
    at = dict(zip(levels, cells, strict=True))
    return tuple(shown_cell(at[level]) if level in at else "–" for level in SHOWN)


def shown_cell(cell: Cell) -> str:
    """A number to four significant digits; text as it is."""
    return cell if isinstance(cell, str) else f"{cell + 0.0:.4g}"


def _sorted(cells: pa.Array) -> tuple[NDArray[Any], pa.Array]:
    """The present values in ascending order, as numbers and in their own type."""
    present = cells.drop_null()
    plain = to_plain(present)
    if pa.types.is_boolean(plain.type):
        plain = plain.cast(pa.int8())
    values = plain.to_numpy(zero_copy_only=False)
    if values.dtype.kind == "f":
        kept = np.flatnonzero(~np.isnan(values))
        values, present = values[kept], present.take(pa.array(kept))
    order = np.argsort(values, kind="stable")
    return values[order], present.take(pa.array(order))


def _quantiles(num: int, ordered: pa.Array) -> tuple[Cell, ...]:
    """The quantiles, which are values of the column: dates stay dates and whole numbers whole."""
    indices = [min(num - 1, max(0, math.ceil(level * num - 1e-9) - 1)) for level in LEVELS]
    return tuple(_plain_cells(ordered.take(pa.array(indices))))


def _plain_cells(cells: pa.Array) -> Sequence[Cell]:
    kind = cells.type.value_type if pa.types.is_dictionary(cells.type) else cells.type
    plain = to_plain(cells)
    if pa.types.is_duration(kind):
        per_second = {"s": 1, "ms": 10**3, "us": 10**6, "ns": 10**9}[kind.unit]
        return [value / per_second for value in plain.to_pylist()]
    if is_temporal(kind):
        return [str(value) for value in cells.cast(pa.string()).to_pylist()]
    if pa.types.is_boolean(plain.type):
        plain = plain.cast(pa.int8())
    return list(plain.to_pylist())
