"""Theorem 2 of the paper, second half: sequences that converge in one distance and not in another."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields

import torch
from torch import Tensor

from wgan.errors import UsageError
from wgan.studies.topology.distances import DiscretePair, Distances
from wgan.studies.topology.lines import parallel_lines

ATOMS = 512
"""The number of atoms to which distributions with infinitely many are truncated: an upper limit of n for those."""


@dataclass(frozen=True, kw_only=True)
class ConvergingSequence:
    """A sequence P_n of distributions that converges to P in some distances and not in others.

    Attributes:
        name: A short name.
        line: The line of theorem 2 whose converse it disproves; 0 if it shows something else.
        claim: What the sequence shows.
        member: Maps a valid n to the pair of P_n and P.
        limits: The limit of each distance as n grows; inf if it is infinite for every n.
        compact: Whether the supports of all P_n lie in one bounded set.
        is_cut: Whether infinitely many atoms are truncated to `ATOMS`, so that n must be smaller.
    """

    name: str
    line: int
    claim: str
    member: Callable[[int], DiscretePair]
    limits: Mapping[str, float]
    compact: bool = True
    is_cut: bool = False

    def pair(self, n: int) -> DiscretePair:
        """P_n and P.

        Args:
            n: At least 2, and below `ATOMS` where the sequence is cut.

        Raises:
            UsageError: n is out of range.
        """
        if n < 2 or (self.is_cut and n >= ATOMS):
            upper = f" and below {ATOMS}, its number of atoms" if self.is_cut else ""
            raise UsageError(f"n of the sequence '{self.name}' must be at least 2{upper}, not {n}", remedy="Use n=100.")
        return self.member(n)

    @property
    def converges_in(self) -> tuple[str, ...]:
        """The distances that converge to 0."""
        return tuple(name for name, limit in self.limits.items() if limit == 0)


def _limits(**not_zero: float) -> dict[str, float]:
    return dict.fromkeys((field.name for field in fields(Distances)), 0.0) | not_zero


_APART = _limits(total_variation=1.0, jensen_shannon=math.log(2.0), kl=math.inf, reverse_kl=math.inf)


def _count(num: int) -> Tensor:
    """1, 2, ..., num."""
    return torch.arange(1, num + 1, dtype=torch.float64, device="cpu")


def _moving_point(n: int) -> DiscretePair:
    return DiscretePair.of([1.0 / n, 0.0], [1.0, 0.0], [0.0, 1.0])


def _quantised(n: int) -> DiscretePair:
    points = torch.cat([(_count(num) - 0.5) / num for num in (n, ATOMS)])
    is_coarse = torch.arange(n + ATOMS, device="cpu") < n
    return DiscretePair.of(points, is_coarse.double() / n, (~is_coarse).double() / ATOMS)


def _rare_outlier(n: int) -> DiscretePair:
    return DiscretePair.of([0.0, 1.0], [1.0 - 1.0 / n, 1.0 / n], [1.0, 0.0])


def _power_law(exponent: float) -> Tensor:
    masses = _count(ATOMS) ** -exponent
    return masses / masses.sum()


def _lost_tail(n: int, outlier: float = 0.0) -> DiscretePair:
    """P has atoms at 1, 1/2, 1/3, ...; P_n has the first n of them, and an outlier at 2 if its mass is above 0."""
    pad = torch.nn.functional.pad
    points, q = pad(1.0 / _count(ATOMS), (0, 1), value=2.0), pad(_power_law(2.0), (0, 1))
    p = torch.where(torch.arange(ATOMS + 1, device="cpu") < n, q, 0.0)
    p = (1.0 - outlier) * p / p.sum()
    p[-1] = outlier
    return DiscretePair.of(points, p, q)


def _tilting_coin(n: int) -> DiscretePair:
    return DiscretePair.of([0.0, 1.0], [0.5 + 0.5 / n, 0.5 - 0.5 / n], [0.5, 0.5])


def _escaping_mass(n: int) -> DiscretePair:
    return DiscretePair.of([0.0, float(n)], [1.0 - 1.0 / n, 1.0 / n], [1.0, 0.0])


def _escape_along_a_tail(n: int) -> DiscretePair:
    q = _power_law(3.0)
    p = (1.0 - 1.0 / n) * q
    p[n - 1] += 1.0 / n
    return DiscretePair.of(_count(ATOMS), p, q)


SEQUENCES: tuple[ConvergingSequence, ...] = (
    ConvergingSequence(
        name="tilting coin",
        line=0,
        claim="If the stronger distances converge, all do: a coin with heads 1/2 + 1/(2n) converges to a fair one.",
        member=_tilting_coin,
        limits=_limits(),
    ),
    ConvergingSequence(
        name="rare outlier",
        line=3,
        claim="TV does not imply KL, nor reverse KL KL: a mass of 1/n where P has none makes KL infinite.",
        member=_rare_outlier,
        limits=_limits(kl=math.inf),
    ),
    ConvergingSequence(
        name="lost tail",
        line=3,
        claim="TV does not imply reverse KL, nor KL reverse KL: P_n is P restricted to its first n atoms.",
        member=_lost_tail,
        is_cut=True,
        limits=_limits(reverse_kl=math.inf),
    ),
    ConvergingSequence(
        name="outlier and lost tail",
        line=3,
        claim="TV implies neither KL nor reverse KL.",
        member=lambda n: _lost_tail(n, outlier=1.0 / n),
        is_cut=True,
        limits=_limits(kl=math.inf, reverse_kl=math.inf),
    ),
    ConvergingSequence(
        name="moving point",
        line=4,
        claim="W does not imply TV or JS: points at 1/n and at 0 have disjoint supports.",
        member=_moving_point,
        limits=_APART,
    ),
    ConvergingSequence(
        name="parallel lines",
        line=4,
        claim="W does not imply TV or JS: example 1 at theta = 1/n.",
        member=lambda n: parallel_lines(1.0 / n),
        limits=_APART,
    ),
    ConvergingSequence(
        name="quantised",
        line=4,
        claim="W does not imply TV or JS: n points approximate an interval, but remain discrete, like samples.",
        member=_quantised,
        is_cut=True,
        limits=_APART,
    ),
    ConvergingSequence(
        name="escaping mass",
        line=4,
        claim="Without a compact space TV does not imply W, nor convergence in distribution W: a mass of 1/n at n.",
        member=_escaping_mass,
        limits=_limits(wasserstein=1.0, kl=math.inf),
        compact=False,
    ),
    ConvergingSequence(
        name="escape along a tail",
        line=4,
        claim="Without a compact space not even KL and reverse KL together imply W.",
        member=_escape_along_a_tail,
        is_cut=True,
        limits=_limits(wasserstein=1.0),
        compact=False,
    ),
)
"""Sequences for the lines of theorem 2. Lines 1 and 2 are equivalences, without counterexamples on a compact space."""
