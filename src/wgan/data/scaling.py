"""Shift and stretch columns so that networks see numbers of order one, for any finite float64."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

EXACT = 2**53
"""Up to here every whole number is a float64 of its own."""

# Differences of larger numbers might overflow: such columns are halved before anything is subtracted.
_HALVE_ABOVE = 1e307


@dataclass(frozen=True, kw_only=True)
class Scaling:
    """The affine map z = ((h x − low) / span − mean) / spread of each column, and its inverse.

    h x − low lies in [0, span] for the data it was fitted to, so that no step overflows or underflows, be the data near
    1e308 or denormal, or a small spread around a large value.

    Attributes:
        half: h: ½ for columns of huge values, else 1. Shape (D,), as all the others.
        low: Least value of each column, times h.
        span: Largest less least value, times h.
        mean: Mean of (h x − low) / span.
        spread: Standard deviation of the same, or the one factor that several columns share.
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
        """Give each column mean 0 and standard deviation 1.

        Args:
            low: Least value of each column, shape (D,).
            high: Largest value of each column, greater than `low` everywhere.
            blocks: Called once; yields the rows in blocks of shape (n, D), finite.

        Returns:
            The map.
        """
        half = np.where(np.maximum(np.abs(low), np.abs(high)) > _HALVE_ABOVE, 0.5, 1.0)
        low, span = low * half, high * half - low * half
        count, mean, squares = 0, np.zeros_like(low), np.zeros_like(low)
        for block in blocks():
            unit = (block * half - low) / span
            # Chan, Golub and LeVeque's pairwise update: one pass that does not cancel.
            size, centre = len(unit), unit.mean(axis=0)
            shift, total = centre - mean, count + size
            squares += ((unit - centre) ** 2).sum(axis=0) + shift**2 * (count * size / total)
            mean += shift * (size / total)
            count = total
        return cls(half=half, low=low, span=span, mean=mean, spread=np.sqrt(squares / count))

    def common(self) -> Scaling:
        """Divide all columns by one factor, the root mean square of their standard deviations, keeping directions."""
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
        """How many data units one network unit is, or None where columns differ in it."""
        units = self.span * (self.spread / self.half)
        return float(units[0]) if len(units) and bool((units == units[0]).all()) else None

    def encode(self, values: Floats) -> Floats:
        """Map data, shape (N, D), to network units."""
        scaled: Floats = ((values * self.half - self.low) / self.span - self.mean) / self.spread
        return scaled

    def decode(self, scaled: Floats) -> Floats:
        """Map network units, shape (N, D), back to data, held within the range of float64."""
        largest = np.finfo(np.float64).max * self.half
        with np.errstate(over="ignore"):
            values = (scaled * self.spread + self.mean) * self.span + self.low
        held: Floats = np.clip(values, -largest, largest) / self.half
        return held

    def state(self) -> dict[str, object]:
        """Plain JSON values."""
        return {name: getattr(self, name).tolist() for name in _FIELDS}

    @classmethod
    def from_state(cls, state: dict[str, list[float]]) -> Scaling:
        """The inverse of `state`."""
        return cls(**{name: np.asarray(state[name], dtype=np.float64) for name in _FIELDS})


_FIELDS = ("half", "low", "span", "mean", "spread")


def to_dtype(values: Floats, dtype: np.dtype[Any]) -> NDArray[np.generic]:
    """Bring float64 to a dtype: whole numbers are rounded, and all are held within the dtype's range.

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
    # float(2**63 - 1) is 2**63, which no int64 holds: the ends are set by hand instead of by clipping.
    low, high = rounded <= float(limits.min), rounded >= float(limits.max)
    whole = np.where(low | high, 0.0, rounded).astype(dtype)
    whole[low], whole[high] = limits.min, limits.max
    return whole


def distances(values: NDArray[Any], low: int) -> NDArray[np.uint64]:
    """How far whole numbers of any 64-bit type lie above the least of them, exactly.

    Args:
        values: Whole numbers, none less than `low`; any shape.
        low: Of the same type.

    Returns:
        Unsigned, of the same shape: the widest distance, 2^64 − 1, fits too.
    """
    # Unsigned numbers wrap around, and the difference comes out right whatever the signs.
    wrapped: NDArray[np.uint64] = values.astype(np.uint64) - np.uint64(low % 2**64)
    return wrapped


def above(far: NDArray[np.uint64], low: int, dtype: np.dtype[Any]) -> NDArray[np.generic]:
    """The inverse of `distances`: whole numbers of `dtype` that lie so far above `low`."""
    whole: NDArray[np.generic] = (far + np.uint64(low % 2**64)).astype(dtype)
    return whole


def shifted(far: Floats, low: int, dtype: np.dtype[Any]) -> NDArray[np.generic]:
    """Whole numbers at distances from `low` of either sign, rounded and held within the dtype's range.

    Args:
        far: Distances, finite; any shape.
        low: Of the dtype; added as a whole number, so that nothing is rounded away.
        dtype: Integer.

    Returns:
        An array of that dtype and of the same shape.
    """
    limits, unsigned = np.iinfo(dtype), np.dtype(np.uint64)
    up = np.minimum(to_dtype(np.maximum(far, 0.0), unsigned), np.uint64(int(limits.max) - low))
    down = np.minimum(to_dtype(np.maximum(-far, 0.0), unsigned), np.uint64(low - int(limits.min)))
    return above(up - down, low, dtype)
