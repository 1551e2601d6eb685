"""The values that are black and white: those of the images' type, or those that the user names."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from wgan.settings import DataOptions

LEVELS = 255
"""Pixels are learnt in whole numbers from 0 to this."""


def asked_range(options: DataOptions) -> tuple[float, float] | None:
    """The values of black and white that the user names; None where the images' type decides."""
    return None if options.range == DataOptions().range else options.range


def to_levels(values: NDArray[Any], low: float, high: float) -> NDArray[np.uint8]:
    """Bring values to eight bits, the nearest of 256 levels; what lies beyond the range is cut off.

    Args:
        values: Any shape and real type, finite.
        low: Of black.
        high: Of white.

    Returns:
        The same shape.
    """
    factor = LEVELS / (high - low)
    levels: NDArray[np.uint8] = (
        np.rint(values.astype(np.float64) * factor - low * factor).clip(0, LEVELS).astype(np.uint8)
    )
    return levels


def note_on_narrow(low: float, high: float, black: float, white: float) -> str:
    """What is to be said of images that use less than half of their range; empty of those that use more.

    Args:
        low: The least value of all images together.
        high: The largest.
        black: The least value that their type has.
        white: The largest.
    """
    if not 0 < high - low < (white - black) / 2:
        return ""
    used = f"{low:.6g} to {high:.6g}"
    return (
        f"pixels use {used} of {black:.6g} to {white:.6g}, and the networks see little contrast: "
        f"stretch them by --range {low:.6g} {high:.6g}"
    )


def note_on_cut(num_cut: int, low: float, high: float) -> str:
    """What is to be said of images with values beyond the range that was named; empty where there are none."""
    if not num_cut:
        return ""
    images = "1 image goes" if num_cut == 1 else f"{num_cut:,} images go"
    return f"{images} beyond the range of {low:.6g} to {high:.6g} and {'is' if num_cut == 1 else 'are'} cut to it"
