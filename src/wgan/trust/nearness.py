"""Whether a look can tell that samples are as near to the data as other real rows are; without torch."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from wgan.trust.thresholds import AT_FLOOR, BLIND, OFF, SLICED_AT_FLOOR


def number(line: Mapping[str, Any], name: str) -> float | None:
    """A finite number of a line; None where there is none."""
    value = line.get(name)
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        return None
    return float(value)


def ratio(line: Mapping[str, Any], above: str, below: str) -> float | None:
    """One number of a line over another; None where there is none."""
    first, second = number(line, above), number(line, below)
    return first / second if first is not None and second is not None and second > 0 else None


def is_blind(line: Mapping[str, Any]) -> bool:
    """Whether the exact W1 of a look cannot tell samples from noise.

    In many dimensions points are about as far from their nearest neighbours as from all others. The floor is then
    nearly all of the distance, and so is what nearest neighbours prove without any critic: noise is hardly further from
    held-out rows than real rows are, and samples that vary too little can be nearer.
    """
    alone, above = ratio(line, "without_critic", "exact"), ratio(line, "exact", "exact_floor")
    return alone is not None and above is not None and alone >= BLIND and above < OFF


def is_near(line: Mapping[str, Any]) -> bool | None:
    """Whether samples are as near to held-out rows as other real rows are.

    Args:
        line: A look: a line of a record with distances and their floors.

    Returns:
        None where no distance of the look can tell.
    """
    exact, sliced = ratio(line, "exact", "exact_floor"), ratio(line, "sliced", "sliced_floor")
    low, floor = number(line, "exact_low"), number(line, "exact_floor")
    if exact is not None and (exact >= AT_FLOOR or (low is not None and floor is not None and low > floor)):
        return False
    if sliced is not None:
        return sliced <= SLICED_AT_FLOOR
    can_tell = exact is not None and number(line, "without_critic") is not None and not is_blind(line)
    return True if can_tell else None
