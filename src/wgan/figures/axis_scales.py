"""Numbers of any size scaled for an axis, and the label that states the scale."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wgan.figures.canvas import Floats

# Within these powers of ten, matplotlib's arithmetic neither overflows nor underflows.
_LARGE, _SMALL = 90, -90
# A smaller spread relative to the values is lost in their common digits.
_CLOSE = 1e-7


@dataclass(frozen=True, kw_only=True)
class AxisScale:
    """The map (x − shift) / 10^power; the identity for numbers of ordinary size.

    Attributes:
        shift: The offset; an integer for integers, so that nothing is rounded.
        power: Power of ten that is divided by.
    """

    shift: int | float = 0
    power: int = 0

    @classmethod
    def of(cls, values: NDArray[Any]) -> AxisScale:
        """The scale for these finite numbers, shape (N,)."""
        if not len(values):
            return cls()
        low, high = values.min().item(), values.max().item()
        largest = max(abs(low), abs(high))
        if largest == 0:
            return cls()
        # Halved first: the difference of two finite numbers can overflow.
        spread = 2.0 * ((high / 2 - low / 2) / largest) if isinstance(low, float) else (high - low) / largest
        shift = low if 0 < spread < _CLOSE else 0
        power = int(np.floor(np.log10(high - low if shift else float(largest))))
        return cls(shift=shift, power=power if not _SMALL <= power <= _LARGE else 0)

    def apply(self, values: NDArray[Any]) -> Floats:
        """Scaled numbers; those too large for the scale become infinite."""
        with np.errstate(over="ignore", under="ignore", invalid="ignore"):
            shifted = _differences(values, self.shift) if self.shift else values.astype(np.float64)
            return np.asarray(shifted / 10.0**self.power if self.power else shifted, dtype=np.float64)

    @property
    def label(self) -> str:
        """The axis label that states the scale; empty for the identity."""
        factor = f"× 1e{self.power}" if self.power else ""
        shift = f"+ {self.shift}" if self.shift else ""
        return " ".join(filter(None, (factor, shift)))


def _differences(values: NDArray[Any], shift: int | float) -> Floats:
    if values.dtype.kind == "f" or isinstance(shift, float):
        return np.asarray(values.astype(np.float64) - float(shift), dtype=np.float64)
    if len(values) and shift <= values.min():
        # Unsigned integers wrap around, so that differences beyond the signed range are correct.
        return (values.astype(np.uint64) - np.uint64(shift % 2**64)).astype(np.float64)
    return np.asarray([float(value - shift) for value in values.tolist()], dtype=np.float64)


def finite(values: NDArray[Any]) -> NDArray[Any]:
    """The finite numbers, of the same dtype."""
    return values[np.isfinite(values)] if values.dtype.kind == "f" else values


def scale_points(reference: Floats, layers: Sequence[Floats]) -> tuple[Floats, list[Floats], tuple[str, str]]:
    """Scale points of the plane, shape (N, 2), to axes that hold all of `reference`.

    Returns:
        The scaled reference, the scaled layers without points far outside of it, and the label of each axis.
    """
    axes = [AxisScale.of(reference[:, axis]) for axis in (0, 1)]

    def scaled(points: Floats) -> Floats:
        return np.stack([axis.apply(points[:, number]) for number, axis in enumerate(axes)], axis=1)

    inner = scaled(reference)
    if not len(inner):
        return inner, [scaled(points) for points in layers], (axes[0].label, axes[1].label)
    low, high = inner.min(axis=0), inner.max(axis=0)
    far = 100 * (np.maximum(high - low, 1.0).max() + np.abs(inner).max())
    kept = [points[(np.abs(points) <= far).all(axis=1)] for points in map(scaled, layers)]
    return inner, kept, (axes[0].label, axes[1].label)
