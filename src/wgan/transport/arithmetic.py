"""Sums that keep the digits that plain float64 loses, for problems with costs of 1e32 and of 1e-3.

Source: Knuth's two-sum and compensated sums, as in Ogita, Rump and Oishi (2005), Accurate sum and dot product; exact
sums by `math.fsum`, after Shewchuk (1997).
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

_BLOCK = 64
"""Rows in a block: with a few thousand columns they fit in the cache of a core."""

_SPLITTER = 134217729.0
"""2^27 + 1: splits a float64 into two halves of 26 bits (Dekker 1971)."""


def row_blocks(num: int) -> Iterator[slice]:
    """Slices of `num` rows in blocks that fit in the cache."""
    for begin in range(0, num, _BLOCK):
        yield slice(begin, begin + _BLOCK)


def difference(a: Floats, b: Floats) -> tuple[Floats, Floats]:
    """The difference a - b without error: the rounded difference and its rounding error.

    Args:
        a: Any shape, finite.
        b: Broadcastable with a.

    Returns:
        s and e with a - b = s + e exactly, unless the difference overflows.
    """
    rounded = a - b
    part = rounded - a
    return rounded, (a - (rounded - part)) - (b + part)


def reduced_costs(costs: Floats, sources: Sequence[Floats], targets: Sequence[Floats]) -> Floats:
    """c_ij - f_i - g_j with f and g as sums of several vectors, computed with about twice the digits of float64.

    Args:
        costs: Shape (N, M), finite.
        sources: Vectors of shape (N,) that sum to f.
        targets: The same number of vectors, of shape (M,), that sum to g.

    Returns:
        Shape (N, M). The error is that of one rounding, plus 1e-32 of the largest input.
    """
    found = np.empty_like(costs)
    for rows in row_blocks(len(costs)):
        high = costs[rows]
        low = np.zeros_like(high)
        for f, g in zip(sources, targets, strict=True):
            for term in (f[rows, None], g[None]):
                high, error = difference(high, term)
                low += error
        found[rows] = high + low
    return found


def round_down_transform(costs: Floats, f: Floats) -> Floats:
    """The c-transform min_i (c_ij - f_i), rounded down so that f_i + g_j <= c_ij holds exactly for every pair.

    Args:
        costs: Shape (N, M); infinite for forbidden pairs.
        f: Shape (N,), finite.

    Returns:
        Shape (M,); infinite for points whose pairs are all forbidden.
    """
    lowest = np.full(costs.shape[1], np.inf)
    with np.errstate(invalid="ignore"):  # inf - inf, the error of a forbidden pair, is not used
        for rows in row_blocks(len(costs)):
            rest, error = difference(costs[rows], f[rows, None])
            rest = np.where(error < 0.0, np.nextafter(rest, -np.inf), rest)
            np.minimum(lowest, rest.min(axis=0), out=lowest)
    return lowest


def slacks(costs: Floats, f: Floats, g: Floats) -> Floats:
    """The slacks c - f - g of feasible potentials at selected pairs, clipped to at least 0.

    Args:
        costs: Shape (K,).
        f: The source potential at each pair, shape (K,).
        g: The target potential at each pair, shape (K,).

    Returns:
        Shape (K,), accurate to 1e-32 of the inputs.
    """
    first, first_error = difference(costs, f)
    second, second_error = difference(first, g)
    found: Floats = np.maximum(second + (first_error + second_error), 0.0)
    return found


def dot(a: Floats, b: Floats) -> float:
    """sum_k a_k b_k with a single rounding.

    Args:
        a: Shape (K,), finite.
        b: Shape (K,), finite.
    """
    return math.fsum(_products(a, b))


def weighted_value(a: Floats, f: Floats, b: Floats, g: Floats) -> float:
    """The dual value <a, f> + <b, g>, with a and b divided by their exact sums.

    A constant added to f and subtracted from g then changes nothing, however large it is. With weights that sum to 1
    only up to rounding, it would.

    Args:
        a: Shape (N,), at least 0, summing to 1 up to rounding.
        f: Shape (N,), finite.
        b: Shape (M,), like a.
        g: Shape (M,), finite.
    """
    value = dot(np.concatenate([a, b]), np.concatenate([f, g]))
    if abs(value) > 1e-6 * (dot(a, np.abs(f)) + dot(b, np.abs(g))):
        return value
    # After cancellation the rounding of the weights may dominate.
    return float(sum(_exact_dot(weights, values) / _exact_sum(weights) for weights, values in ((a, f), (b, g))))


def exact_sums(terms: Sequence[Floats]) -> list[Fraction]:
    """The exact elementwise sums of vectors of shape (K,)."""
    return [sum(map(Fraction, entries), start=Fraction(0)) for entries in np.stack(terms, axis=1).tolist()]


def float_below(value: Fraction) -> float:
    """The largest float64 that is at most `value`."""
    nearest = float(value)
    return nearest if nearest <= value else math.nextafter(nearest, -math.inf)


def _products(a: Floats, b: Floats) -> Floats:
    """The products and their rounding errors, shape (2 K,): together the exact products (Dekker 1971)."""
    # Scaling by powers of 2 keeps the splitting within the range of float64.
    (a, a_power), (b, b_power) = _split_exponents(a), _split_exponents(b)
    product = a * b
    a_high, b_high = (values * _SPLITTER - (values * _SPLITTER - values) for values in (a, b))
    a_low, b_low = a - a_high, b - b_high
    error = a_low * b_low - (((product - a_high * b_high) - a_low * b_high) - a_high * b_low)
    scaled: Floats = np.ldexp(np.concatenate([product, error]), np.concatenate([a_power + b_power] * 2))
    return scaled


def _split_exponents(values: Floats) -> tuple[Floats, NDArray[np.int64]]:
    fraction, power = np.frexp(values)
    return fraction, power.astype(np.int64)


def _exact_sum(values: Floats) -> Fraction:
    return sum(map(Fraction, values.tolist()), start=Fraction(0))


def _exact_dot(a: Floats, b: Floats) -> Fraction:
    return sum((Fraction(x) * Fraction(y) for x, y in zip(a.tolist(), b.tolist(), strict=True)), start=Fraction(0))


def to_integers(*vectors: Floats) -> list[list[int]]:
    """Vectors as exact integers: multiples of a power of 2 that divides all entries.

    Args:
        vectors: Finite numbers.
    """
    parts = [np.frexp(vector) for vector in vectors]
    least = min((int(power[fraction != 0].min()) for fraction, power in parts if fraction.any()), default=0)
    return [
        [
            int(mantissa) << (power - least) if mantissa else 0
            for mantissa, power in zip((fraction * 2.0**53).tolist(), powers.tolist(), strict=True)
        ]
        for fraction, powers in parts
    ]
