"""Numbers of any size brought to such as an axis can carry, and what the axis must then say of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wgan.figures.canvas import Floats

# Within these powers of ten the differences, ratios and ticks of an axis neither overflow nor underflow.
_LARGE, _SMALL = 90, -90
# A spread so small beside the values would be lost among the digits that they share.
_CLOSE = 1e-7


@dataclass(frozen=True, kw_only=True)
class Frame:
    """The map (x − shift) / 10^power, which leaves ordinary numbers as they are.

    Attributes:
        shift: Subtracted first; whole where the numbers are, so that nothing is rounded.
        power: Of ten, divided by then.
    """

    shift: int | float = 0
    power: int = 0

    @classmethod
    def of(cls, values: NDArray[Any]) -> Frame:
        """The frame that these finite numbers, shape (N,), fit into."""
        if not len(values):
            return cls()
        low, high = values.min().item(), values.max().item()
        largest = max(abs(low), abs(high))
        if largest == 0:
            return cls()
        # Halved, as the difference of two finite numbers need not be one.
        spread = 2.0 * ((high / 2 - low / 2) / largest) if isinstance(low, float) else (high - low) / largest
        shift = low if 0 < spread < _CLOSE else 0
        power = int(np.floor(np.log10(high - low if shift else float(largest))))
        return cls(shift=shift, power=power if not _SMALL <= power <= _LARGE else 0)

    def apply(self, values: NDArray[Any]) -> Floats:
        """Numbers on the axis; those too far outside the frame become infinite."""
        with np.errstate(over="ignore", under="ignore", invalid="ignore"):
            moved = _distances(values, self.shift) if self.shift else values.astype(np.float64)
            return np.asarray(moved / 10.0**self.power if self.power else moved, dtype=np.float64)

    @property
    def words(self) -> str:
        """What the axis must say for its numbers to be understood; empty for ordinary numbers."""
        factor = f"× 1e{self.power}" if self.power else ""
        shift = f"+ {self.shift}" if self.shift else ""
        return " ".join(filter(None, (factor, shift)))


def _distances(values: NDArray[Any], shift: int | float) -> Floats:
    if values.dtype.kind == "f" or isinstance(shift, float):
        return np.asarray(values.astype(np.float64) - float(shift), dtype=np.float64)
    if len(values) and shift <= values.min():
        # Unsigned numbers wrap around, so that the distance is right where it exceeds the signed ones.
        return (values.astype(np.uint64) - np.uint64(shift % 2**64)).astype(np.float64)
    return np.asarray([float(value - shift) for value in values.tolist()], dtype=np.float64)


def finite(values: NDArray[Any]) -> NDArray[Any]:
    """The numbers that are finite, of the type they have."""
    return values[np.isfinite(values)] if values.dtype.kind == "f" else values


def planar(frame: Floats, layers: Sequence[Floats]) -> tuple[Floats, list[Floats], tuple[str, str]]:
    """Bring points of the plane, shape (N, 2), to axes that hold all of `frame`.

    Returns:
        The frame, the layers without what lies far outside of it, and what each axis must say.
    """
    axes = [Frame.of(frame[:, axis]) for axis in (0, 1)]

    def moved(points: Floats) -> Floats:
        return np.stack([axis.apply(points[:, number]) for number, axis in enumerate(axes)], axis=1)

    inner = moved(frame)
    if not len(inner):
        return inner, [moved(points) for points in layers], (axes[0].words, axes[1].words)
    low, high = inner.min(axis=0), inner.max(axis=0)
    far = 100 * (np.maximum(high - low, 1.0).max() + np.abs(inner).max())
    kept = [points[(np.abs(points) <= far).all(axis=1)] for points in map(moved, layers)]
    return inner, kept, (axes[0].words, axes[1].words)
