"""How alike two series of numbers order the same moments, and how alike chance would make them; without torch."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence

FEWEST = 3
"""Pairs below which there is no rank correlation."""

_CRITICAL = {4: 0, 5: 2, 6: 6, 7: 16, 8: 30, 9: 48, 10: 72}
"""By the length of two series: the largest sum of squared differences of ranks with a one-sided p-value up to .05."""

_NORMAL = 1.645
_ROUNDING = 1e-9


def rank_correlation(first: Sequence[float], second: Sequence[float]) -> float:
    """Spearman's rank correlation: the correlation of the ranks; equal numbers share the mean of their ranks.

    Args:
        first: K numbers.
        second: K numbers; pairs with a number that is not finite are left out.

    Returns:
        Between -1 and 1; NaN where fewer than three pairs are left, or all numbers of one side are equal.

    Raises:
        ValueError: Series of different lengths.

    Source: Spearman (1904).
    """
    pairs = [(a, b) for a, b in zip(first, second, strict=True) if math.isfinite(a) and math.isfinite(b)]
    if len(pairs) < FEWEST:
        return math.nan
    sides = [_ranks(side) for side in zip(*pairs, strict=True)]
    if any(min(side) == max(side) for side in sides):
        return math.nan
    return statistics.correlation(*sides)


def beyond_chance(num: int) -> float:
    """The rank correlation that fewer than one in twenty pairs of unrelated series of this length reach.

    Args:
        num: Length of the series.

    Returns:
        The smallest value whose one-sided p-value is at most .05: exact up to 10, and above by the normal
        approximation. Infinite below 4, where every value comes by chance too often.

    Source: Ramsey (1989), "Critical values for Spearman's rank order correlation".
    """
    if num in _CRITICAL:
        return 1 - 6 * _CRITICAL[num] / (num * (num**2 - 1)) - _ROUNDING
    return _NORMAL / math.sqrt(num - 1) if num > max(_CRITICAL) else math.inf


def _ranks(values: Sequence[float]) -> list[float]:
    """Ranks from 1; equal numbers share the mean of theirs."""
    places: dict[float, list[int]] = {}
    for place, value in enumerate(sorted(values), start=1):
        places.setdefault(value, []).append(place)
    return [statistics.fmean(places[value]) for value in values]
