"""Theorem 2 of the paper, one half: which convergence implies which, with the bound that proves it."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Implication:
    """One arrow of theorem 2: if `stronger` goes to 0, so does `weaker`, because of the bound.

    Attributes:
        line: The line of the theorem.
        stronger: A field of `Distances`.
        weaker: A field of `Distances`.
        text: The bound as a reader sees it.
        bound: What `weaker` is at most, from the value of `stronger` and the diameter of the space.
        needs_compact: Whether the bound says nothing in a space without a diameter.
        source: Where it is proved.
    """

    line: int
    stronger: str
    weaker: str
    text: str
    bound: Callable[[float, float], float]
    needs_compact: bool = False
    source: str


IMPLICATIONS: tuple[Implication, ...] = (
    Implication(
        line=1,
        stronger="total_variation",
        weaker="jensen_shannon",
        text="JS <= log 2 TV",
        bound=lambda value, _: math.log(2.0) * value,
        source="Lin (1991)",
    ),
    Implication(
        line=1,
        stronger="jensen_shannon",
        weaker="total_variation",
        text="TV <= sqrt(2 JS)",
        bound=lambda value, _: math.sqrt(2.0 * value),
        source="Pinsker's inequality for both halves against their mean",
    ),
    Implication(
        line=2,
        stronger="wasserstein",
        weaker="weak",
        text="weak <= W",
        bound=lambda value, _: value,
        source="min(d, 1) <= d",
    ),
    Implication(
        line=2,
        stronger="weak",
        weaker="wasserstein",
        text="W <= max(1, diameter) weak",
        bound=lambda value, diameter: max(1.0, diameter) * value,
        needs_compact=True,
        source="d <= max(1, diameter) min(d, 1)",
    ),
    Implication(
        line=3,
        stronger="kl",
        weaker="total_variation",
        text="TV <= sqrt(KL / 2)",
        bound=lambda value, _: math.sqrt(value / 2.0),
        source="Pinsker's inequality",
    ),
    Implication(
        line=3,
        stronger="reverse_kl",
        weaker="total_variation",
        text="TV <= sqrt(reverse KL / 2)",
        bound=lambda value, _: math.sqrt(value / 2.0),
        source="Pinsker's inequality",
    ),
    Implication(
        line=4,
        stronger="total_variation",
        weaker="weak",
        text="weak <= TV",
        bound=lambda value, _: value,
        source="the plan that leaves the common mass where it is",
    ),
    Implication(
        line=4,
        stronger="total_variation",
        weaker="wasserstein",
        text="W <= diameter TV",
        bound=lambda value, diameter: diameter * value,
        needs_compact=True,
        source="the plan that leaves the common mass where it is; Villani (2009), theorem 6.15",
    ),
)
"""The arrows of theorem 2. Its fourth line with its second gives convergence in distribution."""
