"""What the contenders share: their names, their interface and the data of the image recipes.

This module does not import torch, so that the process of a JAX contender does not hold torch's memory.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

PLAIN = "plain, float32"
EAGER = "ours, eager float32"
CHOSEN = "ours, as chosen"
JAX = "JAX, float32"
JAX_ALL_CORES = "JAX, all cores"


@dataclass(frozen=True, kw_only=True)
class Contender:
    """One way to run a piece of work.

    Attributes:
        turn: Runs the given number of units: iterations, or rows.
        num_weights: Parameters of each network. They must be the same for all contenders.
        how: Precision and engine, as text.
        precision: Of its matrix products.
        compiles: Whether its first turn compiles something.
        flops: Counts the floating-point operations of one unit; None where the contender does not count them.
    """

    turn: Callable[[int], None]
    num_weights: tuple[int, ...]
    how: str
    precision: str = "float32"
    compiles: bool = False
    flops: Callable[[], float] | None = None


def images(channels: int, size: int, num: int = 1_000) -> NDArray[np.uint8]:
    """Random images, channels last. Their content has no influence on the time."""
    return np.random.default_rng(0).integers(0, 256, (num, size, size, channels), dtype=np.uint8)
