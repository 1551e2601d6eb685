"""Affine scaling of columns to mean 0 and standard deviation 1, without overflow for any finite float64."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

EXACT = 2**53
"""float64 represents all integers up to this one exactly."""

# Differences of larger numbers may overflow: such columns are halved first.
_HALVE_ABOVE = 1e307


@dataclass(frozen=True, kw_only=True)
class Scaling:
    """The affine map z = ((h x − low) / span − mean) / spread of each column, and its inverse.

    For the data of the fit, h x − low is in [0, span]. No step overflows or underflows, even if values are near 1e308,
    denormal, or have a small spread around a large value.

    Attributes:
        half: h: ½ for columns of very large values, else 1. Shape (D,), as all fields.
        low: Least value of each column, times h.
        span: Largest minus least value, times h.
        mean: Mean of (h x − low) / span.
        spread: Standard deviation of the same, or a factor common to several columns.
    """

    half: Floats
    low: Floats
    span: Floats
    mean: Floats
    spread: Floats

    @classmethod
    def identity(cls, size: int) -> Scaling:
        """The map z = x of `size` columns."""
        one, zero = np.ones(size), np.zeros(size)
        return cls(half=one, low=zero, span=one, mean=zero, spread=one)

    @classmethod
    def flags(cls, size: int) -> Scaling:
        """The map of 0 to -1 and of 1 to 1 in `size` columns."""
        one, half = np.ones(size), np.full(size, 0.5)
        return cls(half=one, low=np.zeros(size), span=one, mean=half, spread=half)

    @classmethod
    def fit(cls, low: Floats, high: Floats, blocks: Callable[[], Iterator[Floats]]) -> Scaling:
        """Fit the map that gives each column mean 0 and standard deviation 1.

        Args:
            low: Least value of each column, shape (D,).
            high: Largest value of each column, greater than `low` everywhere.
            blocks: Returns the rows in blocks of shape (n, D), finite. It is called once.

        Returns:
            The map.
        """
        half = np.where(np.maximum(np.abs(low), np.abs(high)) > _HALVE_ABOVE, 0.5, 1.0)
        low, span = low * half, high * half - low * half
        count, mean, squares = 0, np.zeros_like(low), np.zeros_like(low)
        for block in blocks():
            unit = (block * half - low) / span
            # Chan, Golub and LeVeque's pairwise update: one pass without cancellation.
            size, centre = len(unit), unit.mean(axis=0)
            shift, total = centre - mean, count + size
            squares += ((unit - centre) ** 2).sum(axis=0) + shift**2 * (count * size / total)
            mean += shift * (size / total)
            count = total
        return cls(half=half, low=low, span=span, mean=mean, spread=np.sqrt(squares / count))

    def common(self) -> Scaling:
        """Scale all columns by one factor, the root mean square of their standard deviations; directions are kept."""
        half = np.full_like(self.half, self.half.min(initial=1.0))
        low, span = self.low * (half / self.half), self.span * (half / self.half)
        widest = span.max(initial=0.0)
        share = span / widest
        spread = np.sqrt(np.mean((self.spread * share) ** 2))
        same = np.full_like(half, 1.0)
        return Scaling(half=half, low=low, span=same * widest, mean=self.mean * share, spread=same * spread)

    def is_uneven(self, ratio: float) -> bool:
        """Whether the columns' standard deviations differ by more than `ratio`, compared as logarithms."""
        sizes = np.log(self.spread) + np.log(self.span) - np.log(self.half)
        return bool(sizes.max() - sizes.min() > np.log(ratio))

    @property
    def unit(self) -> float | None:
        """The number of data units in one network unit; None if columns have different scales."""
        units = self.span * (self.spread / self.half)
        return float(units[0]) if len(units) and bool((units == units[0]).all()) else None

    def encode(self, values: Floats) -> Floats:
        """Map data, shape (N, D), to network units."""
        scaled: Floats = ((values * self.half - self.low) / self.span - self.mean) / self.spread
        return scaled

    def decode(self, scaled: Floats) -> Floats:
        """Map network units, shape (N, D), to data, clipped to the range of float64."""
        largest = np.finfo(np.float64).max * self.half
        with np.errstate(over="ignore"):
            values = (scaled * self.spread + self.mean) * self.span + self.low
        clipped: Floats = np.clip(values, -largest, largest) / self.half
        return clipped

    def state(self) -> dict[str, object]:
        """Plain JSON values."""
        return {name: getattr(self, name).tolist() for name in _FIELDS}

    @classmethod
    def from_state(cls, state: dict[str, list[float]]) -> Scaling:
        """The inverse of `state`."""
        return cls(**{name: np.asarray(state[name], dtype=np.float64) for name in _FIELDS})


_FIELDS = ("half", "low", "span", "mean", "spread")


def to_dtype(values: Floats, dtype: np.dtype[Any]) -> NDArray[np.generic]:
    """Convert float64 to a dtype: values are clipped to its range, and rounded if it is an integer.

    Args:
        values: Any shape.
        dtype: Boolean, integer or floating.

    Returns:
        An array of that dtype and of the same shape.
    """
    if dtype.kind == "f":
        limit = float(np.finfo(dtype).max)
        return np.clip(values, -limit, limit).astype(dtype)
    if dtype.kind == "b":
        return (values >= 0.5).astype(dtype)
    limits = np.iinfo(dtype)
    rounded = np.rint(values)
    # float(2**63 - 1) is 2**63, which overflows int64: the limits are assigned, not clipped to.
    low, high = rounded <= float(limits.min), rounded >= float(limits.max)
    whole = np.where(low | high, 0.0, rounded).astype(dtype)
    whole[low], whole[high] = limits.min, limits.max
    return whole


def distances(values: NDArray[Any], low: int) -> NDArray[np.uint64]:
    """The exact differences of integers of any 64-bit type from a lower bound.

    Args:
        values: Integers, none less than `low`; any shape.
        low: Of the same type.

    Returns:
        Unsigned, of the same shape: even 2^64 − 1 fits.
    """
    # Unsigned integers wrap around, so that the difference is correct for all signs.
    wrapped: NDArray[np.uint64] = values.astype(np.uint64) - np.uint64(low % 2**64)
    return wrapped


def above(far: NDArray[np.uint64], low: int, dtype: np.dtype[Any]) -> NDArray[np.generic]:
    """The inverse of `distances`: `low` plus differences, as integers of `dtype`."""
    whole: NDArray[np.generic] = (far + np.uint64(low % 2**64)).astype(dtype)
    return whole


def shifted(far: Floats, low: int, dtype: np.dtype[Any]) -> NDArray[np.generic]:
    """`low` plus differences of either sign, rounded and clipped to the range of the dtype.

    Args:
        far: Differences, finite; any shape.
        low: Of the dtype; added as an integer, without rounding error.
        dtype: Integer.

    Returns:
        An array of that dtype and of the same shape.
    """
    limits, unsigned = np.iinfo(dtype), np.dtype(np.uint64)
    up = np.minimum(to_dtype(np.maximum(far, 0.0), unsigned), np.uint64(int(limits.max) - low))
    down = np.minimum(to_dtype(np.maximum(-far, 0.0), unsigned), np.uint64(low - int(limits.min)))
    return above(up - down, low, dtype)
