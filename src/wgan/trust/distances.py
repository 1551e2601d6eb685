"""Distances between held-out rows and samples: what the critic proves, what is true, and what either is worth.

Between a lower bound that the critic's scores prove and the exact value lies what the critic does not see.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from wgan.batch import Batch
from wgan.transport import certified_dual, exact

SOLVED = 2_048
"""Points of each side up to which the transport problem is solved: at so many it takes a second or two."""

CONFIDENCE = 0.95
"""Share of repetitions whose interval should hold the mean of all."""

RESAMPLED = 999
"""Resampled means that an interval is read from."""


@dataclass(frozen=True, kw_only=True)
class Certified:
    """What scores prove.

    Attributes:
        value: At most the exact W1 of the same points.
        without_critic: What constant scores prove: the distances to nearest neighbours.
    """

    value: float
    without_critic: float


@dataclass(frozen=True, kw_only=True)
class Solved:
    """The exact W1 of two sets of points.

    Attributes:
        value: The distance.
        low: Where the interval begins.
        high: Where it ends.
    """

    value: float
    low: float
    high: float


def flat(points: Batch) -> Tensor:
    """Points with their conditions beside them, shape (N, D + C), float64, on the CPU, where problems are solved."""
    values, condition = points
    beside = [] if condition is None else [condition.flatten(1)]
    return torch.cat([values.flatten(1), *beside], dim=1).double().cpu()


def certify(of_real: Tensor, of_fake: Tensor, real: Tensor, fake: Tensor, *, unit: float = 1.0) -> Certified | None:
    """The distance that a critic's scores prove, whatever its slope: see `wgan.transport.certified_dual`.

    Args:
        of_real: Scores, shape (N,), high for what is real.
        of_fake: Scores, shape (M,).
        real: Points, shape (N, D), float64.
        fake: Points, shape (M, D), float64.
        unit: Data units in one unit of the points.

    Returns:
        In the units of the data; None where scores or points are not finite, which prove nothing.
    """
    if not all(bool(each.isfinite().all()) for each in (of_real, of_fake, real, fake)):
        return None
    found = certified_dual(of_real.cpu(), of_fake.cpu(), real, fake)
    return Certified(value=unit * float(found.value), without_critic=unit * float(found.without_critic))


def solve(real: Tensor, fake: Tensor, rng: torch.Generator, *, unit: float = 1.0) -> Solved | None:
    """The exact W1, and how far it would stray with other rows and samples of the same number.

    With optimal potentials u and v the distance is mean u + mean v, and to the first order it moves with its points as
    these means do while the potentials stay: pairs (u_i, v_i) are resampled, and the interval holds the middle 95 % of
    the means. In pairs, because under conditions a row and its sample share one; where they are independent, that
    changes nothing. The interval is about what so many points show on the average, which is above the distance of the
    two distributions by what two sets of real rows show.

    Args:
        real: Points, shape (N, D), float64.
        fake: As many, shape (N, D).
        rng: What decides which pairs are resampled.
        unit: Data units in one unit of the points.

    Returns:
        In the units of the data; None where points are not finite, or more than `SOLVED`.

    Source: del Barrio and Loubes (2019), theorem 4.1, for the central limit theorem whose variance is that of the
    potentials.
    """
    if len(real) > SOLVED or not all(bool(each.isfinite().all()) for each in (real, fake)):
        return None
    found = exact(real, fake, proven=True)
    value, pairs = float(found.cost), found.source_potential + found.target_potential
    drawn = torch.randint(len(pairs), (RESAMPLED, len(pairs)), generator=rng, device="cpu")
    ends = torch.tensor([(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2], dtype=torch.float64, device="cpu")
    low, high = pairs[drawn].mean(dim=1).quantile(ends).tolist()
    return Solved(value=unit * value, low=unit * max(0.0, low), high=unit * high)
