"""Compare two sets of samples column by column, each in its own unit."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from wgan.data.scaling import Floats
from wgan.evaluation.joint import JointColumn
from wgan.evaluation.marginals import Cell, marginal
from wgan.system.torch_state import in_default_state
from wgan.transport import one_dimensional


@dataclass(frozen=True, kw_only=True)
class ColumnDistance:
    """The distance between one column of two tables.

    Attributes:
        name: Of the column.
        distance: "W1" between present numbers, or "TV", total variation, between categories.
        value: In the column's own unit, or between 0 and 1. None if one table has no present cells.
        floor: The same between two halves of the first table; None without a second half.
        unit: "days" or "seconds" for dates and times, else empty.
        deviations: W1 in standard deviations of the first table; total variation for a category. Infinite if one table
            has no present cells.
        missing: The shares of missing cells in both tables.
        ks: For numbers the Kolmogorov-Smirnov statistic between present cells, from 0 to 1.
        ks_floor: The same between two halves of the first table; None without a second half.
        p_value: How often two samples of one distribution have at least this statistic, if rows are independent.
        levels: Of the quantiles.
        quantiles: Of both tables.
    """

    name: str
    distance: str
    value: float | None
    floor: float | None
    unit: str
    deviations: float
    missing: tuple[float, float]
    ks: float | None = None
    ks_floor: float | None = None
    p_value: float | None = None
    levels: tuple[float, ...] = ()
    quantiles: tuple[tuple[Cell, ...], tuple[Cell, ...]] = ((), ())

    @property
    def apart(self) -> float:
        """The sort key of columns: standard deviations, or KS if that is more.

        Heavy tails make the standard deviation large, so that a shifted median counts little in it; KS shows the shift.
        """
        return max(self.deviations, self.ks or 0.0)


@in_default_state
def compare_columns(columns: Sequence[JointColumn], num: int, *, with_floor: bool) -> tuple[ColumnDistance, ...]:
    """Compare two tables column by column.

    Args:
        columns: Of both tables.
        num: Rows of the first table to compare; the rows after them are its other half, for the floor.
        with_floor: Whether there is another half.

    Returns:
        One for each column, the largest distance first.

    Cost: O((N + M) log (N + M)) time for each column.
    """
    found = [_compared(column, num, with_floor=with_floor) for column in columns]
    return tuple(sorted(found, key=lambda column: -column.apart))


def _compared(column: JointColumn, num: int, *, with_floor: bool) -> ColumnDistance:
    x, other = column.x[:num], column.x[num:]
    measure = _w1 if column.is_number else _total_variation
    value, floor = measure(x, column.y), measure(x, other) if with_floor else None
    scale = column.spread if column.is_number else 1.0
    missing = [float(side[:, -1].mean()) if column.may_miss else 0.0 for side in (x, column.y)]
    return ColumnDistance(
        name=column.name,
        distance="W1" if column.is_number else "TV",
        value=None if value is None else value * scale,
        floor=None if floor is None else floor * scale,
        unit=column.unit,
        deviations=np.inf if value is None else value,
        missing=(missing[0], missing[1]),
        **_marginals(column, num, with_floor=with_floor),
    )


def _marginals(column: JointColumn, num: int, *, with_floor: bool) -> dict[str, Any]:
    """The Kolmogorov-Smirnov statistic and quantiles of a column of numbers."""
    if column.cells is None:
        return {}
    x, y = column.cells
    found = marginal(column.name, x[:num], y)
    if found is None:
        return {}
    floor = marginal(column.name, x[:num], x[num:]) if with_floor else None
    return {
        "ks": found.ks,
        "ks_floor": None if floor is None else floor.ks,
        "p_value": found.p_value,
        "levels": found.levels,
        "quantiles": (found.first, found.second),
    }


def _w1(x: Floats, y: Floats) -> float | None:
    there = [side[side[:, 1] == 1, 0] if side.shape[1] == 3 else side[:, 0] for side in (x, y)]
    if not all(map(len, there)):
        return None
    return float(one_dimensional(*there))


def _total_variation(x: Floats, y: Floats) -> float:
    return float(np.abs(x.mean(axis=0) - y.mean(axis=0)).sum() / 2)
