"""Sums that keep the digits which plain float64 loses: costs of 1e32 beside 1e-3 in one problem.

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
"""Rows that are handled together: with some thousands of columns they stay in a core's cache."""

_SPLITTER = 134217729.0
"""2^27 + 1, which splits a float64 into two halves of 26 bits (Dekker 1971)."""


def difference(a: Floats, b: Floats) -> tuple[Floats, Floats]:
    """The difference a - b without an error: rounded, and what rounding took from it.

    Args:
        a: Any shape, finite.
        b: A shape that broadcasts with it.

    Returns:
        s and e with a - b = s + e exactly, as long as nothing overflows.
    """
    rounded = a - b
    part = rounded - a
    return rounded, (a - (rounded - part)) - (b + part)


def reduced_costs(costs: Floats, sources: Sequence[Floats], targets: Sequence[Floats]) -> Floats:
    """c_ij - f_i - g_j, where f and g are sums of several vectors, as if computed with twice the digits of float64.

    Args:
        costs: Shape (N, M), finite.
        sources: Vectors of shape (N,) that add up to f.
        targets: Vectors of shape (M,) that add up to g, as many.

    Returns:
        Shape (N, M). The error is the rounding of the result, and 1e-32 of the largest number that went into it.
    """
    found = np.empty_like(costs)
    for rows in _blocks(len(costs)):
        high = costs[rows]
        low = np.zeros_like(high)
        for f, g in zip(sources, targets, strict=True):
            for term in (f[rows, None], g[None]):
                high, error = difference(high, term)
                low += error
        found[rows] = high + low
    return found


def transform_below(costs: Floats, f: Floats) -> Floats:
    """The c-transform min_i (c_ij - f_i), rounded down, so that f_i + g_j <= c_ij holds exactly for every pair.

    Args:
        costs: Shape (N, M); infinite for forbidden pairs.
        f: Shape (N,), finite.

    Returns:
        Shape (M,); infinite where every pair is forbidden.
    """
    lowest = np.full(costs.shape[1], np.inf)
    with np.errstate(invalid="ignore"):  # inf - inf is the error of a forbidden pair, and not used
        for rows in _blocks(len(costs)):
            rest, error = difference(costs[rows], f[rows, None])
            rest = np.where(error < 0.0, np.nextafter(rest, -np.inf), rest)
            np.minimum(lowest, rest.min(axis=0), out=lowest)
    return lowest


def slacks(costs: Floats, f: Floats, g: Floats) -> Floats:
    """What potentials leave of the costs of some pairs: c - f - g, at least 0.

    Args:
        costs: Shape (K,).
        f: The source potential at each pair, shape (K,).
        g: The target potential.

    Returns:
        Shape (K,), right to 1e-32 of what went into it.
    """
    first, first_error = difference(costs, f)
    second, second_error = difference(first, g)
    found: Floats = np.maximum(second + (first_error + second_error), 0.0)
    return found


def dot(a: Floats, b: Floats) -> float:
    """sum_k a_k b_k, rounded once.

    Args:
        a: Shape (K,), finite.
        b: Shape (K,), finite.
    """
    return math.fsum(_products(a, b))


def weighted_value(a: Floats, f: Floats, b: Floats, g: Floats) -> float:
    """The value of potentials, <a, f> + <b, g>, where a and b are divided by their exact sums.

    A constant that f gains and g loses then changes nothing, however large it is beside the value. With weights that
    sum to 1 only up to rounding it would.

    Args:
        a: Shape (N,), at least 0, summing to about 1.
        f: Shape (N,), finite.
        b: Shape (M,).
        g: Shape (M,).
    """
    value = dot(np.concatenate([a, b]), np.concatenate([f, g]))
    if abs(value) > 1e-6 * (dot(a, np.abs(f)) + dot(b, np.abs(g))):
        return value
    # Little is left of large numbers, and rounding of the weights may be most of it.
    return float(sum(_exact_dot(weights, values) / _exact_sum(weights) for weights, values in ((a, f), (b, g))))


def exact_sums(terms: Sequence[Floats]) -> list[Fraction]:
    """The exact sums of vectors of shape (K,), entry by entry."""
    return [sum(map(Fraction, entries), start=Fraction(0)) for entries in np.stack(terms, axis=1).tolist()]


def float_below(value: Fraction) -> float:
    """The largest float64 that is not above a number."""
    nearest = float(value)
    return nearest if nearest <= value else math.nextafter(nearest, -math.inf)


def _products(a: Floats, b: Floats) -> Floats:
    """Products and their rounding errors, shape (2 K,): their sum is that of the exact products (Dekker 1971)."""
    # Powers of 2 keep the splitting within the range of float64.
    (a, a_power), (b, b_power) = _near_one(a), _near_one(b)
    product = a * b
    a_high, b_high = (side * _SPLITTER - (side * _SPLITTER - side) for side in (a, b))
    a_low, b_low = a - a_high, b - b_high
    error = a_low * b_low - (((product - a_high * b_high) - a_low * b_high) - a_high * b_low)
    scaled: Floats = np.ldexp(np.concatenate([product, error]), np.concatenate([a_power + b_power] * 2))
    return scaled


def _near_one(values: Floats) -> tuple[Floats, NDArray[np.int64]]:
    fraction, power = np.frexp(values)
    return fraction, power.astype(np.int64)


def _exact_sum(values: Floats) -> Fraction:
    return sum(map(Fraction, values.tolist()), start=Fraction(0))


def _exact_dot(a: Floats, b: Floats) -> Fraction:
    return sum((Fraction(x) * Fraction(y) for x, y in zip(a.tolist(), b.tolist(), strict=True)), start=Fraction(0))


def whole_numbers(*vectors: Floats) -> list[list[int]]:
    """Vectors as whole numbers, exactly: multiples of the largest power of 2 that divides all entries.

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


def _blocks(num: int) -> Iterator[slice]:
    for begin in range(0, num, _BLOCK):
        yield slice(begin, begin + _BLOCK)
