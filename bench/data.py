"""What the image recipes are timed on, for every contender the same."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def images(channels: int, size: int, num: int = 1_000) -> NDArray[np.uint8]:
    """Images of the right shape, channels last: what they show takes no time, so that they are random."""
    return np.random.default_rng(0).integers(0, 256, (num, size, size, channels), dtype=np.uint8)
