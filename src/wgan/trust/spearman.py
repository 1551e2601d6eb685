"""Spearman's rank correlation and its critical values; without torch."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence

FEWEST = 3
"""Pairs below which the rank correlation is NaN."""

_CRITICAL = {4: 0, 5: 2, 6: 6, 7: 16, 8: 30, 9: 48, 10: 72}
"""Length of two series to the largest sum of squared rank differences with a one-sided p-value up to .05."""

_NORMAL = 1.645
_ROUNDING = 1e-9


def rank_correlation(first: Sequence[float], second: Sequence[float]) -> float:
    """Spearman's rank correlation: the correlation of the ranks. Ties share the mean of their ranks.

    Args:
        first: K numbers.
        second: K numbers. Pairs with a number that is not finite are left out.

    Returns:
        Between -1 and 1; NaN if fewer than three pairs are left, or one of the series is constant.

    Raises:
        ValueError: Series of different lengths.

    Source: Spearman (1904).
    """
    pairs = [(a, b) for a, b in zip(first, second, strict=True) if math.isfinite(a) and math.isfinite(b)]
    if len(pairs) < FEWEST:
        return math.nan
    series = [_ranks(values) for values in zip(*pairs, strict=True)]
    if any(min(ranks) == max(ranks) for ranks in series):
        return math.nan
    return statistics.correlation(*series)


def critical_value(num: int) -> float:
    """The rank correlation that fewer than one in twenty pairs of unrelated series of this length reach.

    Args:
        num: Length of the series.

    Returns:
        The smallest value with a one-sided p-value of at most .05. Exact up to length 10, by the normal approximation
        above, and infinite below 4, where no value is significant.

    Source: Ramsey (1989), "Critical values for Spearman's rank order correlation".
    """
    if num in _CRITICAL:
        return 1 - 6 * _CRITICAL[num] / (num * (num**2 - 1)) - _ROUNDING
    return _NORMAL / math.sqrt(num - 1) if num > max(_CRITICAL) else math.inf


def _ranks(values: Sequence[float]) -> list[float]:
    """Ranks from 1. Ties share the mean of their ranks."""
    ranks: dict[float, list[int]] = {}
    for rank, value in enumerate(sorted(values), start=1):
        ranks.setdefault(value, []).append(rank)
    return [statistics.fmean(ranks[value]) for value in values]
