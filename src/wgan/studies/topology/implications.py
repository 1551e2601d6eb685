"""Theorem 2 of the paper, first half: which convergence implies which, with the bounds that prove it."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Implication:
    """One implication of theorem 2: if `stronger` converges to 0, so does `weaker`, by the bound.

    Attributes:
        line: The line of the theorem.
        stronger: A field of `Distances`.
        weaker: A field of `Distances`.
        text: The bound as a formula.
        bound: Maps the value of `stronger` and the diameter of the space to an upper bound of `weaker`.
        needs_compact: Whether the bound needs a space of finite diameter.
        source: Where the bound is proved.
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
        source="Pinsker's inequality between each distribution and their mean",
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
        source="the plan that does not move the common mass",
    ),
    Implication(
        line=4,
        stronger="total_variation",
        weaker="wasserstein",
        text="W <= diameter TV",
        bound=lambda value, diameter: diameter * value,
        needs_compact=True,
        source="the plan that does not move the common mass; Villani (2009), theorem 6.15",
    ),
)
"""The implications of theorem 2. Lines 4 and 2 together give convergence in distribution."""
