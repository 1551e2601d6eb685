"""Distances between held-out rows and samples: the exact W1 with its interval, and the lower bound by the critic.

The difference of the two is what the critic does not see.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from wgan.batch import Batch
from wgan.transport import certified_dual, exact

MAX_POINTS = 2_048
"""Points on each side up to which the exact distance is computed: it takes a second or two for so many."""

CONFIDENCE = 0.95
"""Confidence level of the interval."""

RESAMPLED = 999
"""Bootstrap means that the interval is computed from."""


@dataclass(frozen=True, kw_only=True)
class Certified:
    """A lower bound on W1 that follows from scores.

    Attributes:
        value: At most the exact W1 of the same points.
        without_critic: The bound from constant scores: it follows from distances to nearest neighbours.
    """

    value: float
    without_critic: float


@dataclass(frozen=True, kw_only=True)
class ExactDistance:
    """The exact W1 of two sets of points.

    Attributes:
        value: The distance.
        low: Lower limit of its interval.
        high: Upper limit of its interval.
    """

    value: float
    low: float
    high: float


def flat(points: Batch) -> Tensor:
    """Points joined with their conditions, shape (N, D + C), float64, on the CPU."""
    values, condition = points
    conditions = [] if condition is None else [condition.flatten(1)]
    return torch.cat([values.flatten(1), *conditions], dim=1).double().cpu()


def certify(of_real: Tensor, of_fake: Tensor, real: Tensor, fake: Tensor, *, unit: float = 1.0) -> Certified | None:
    """A lower bound on W1 from a critic's scores, valid for any slope: see `wgan.transport.certified_dual`.

    Args:
        of_real: Scores, shape (N,), high for real rows.
        of_fake: Scores, shape (M,).
        real: Points, shape (N, D), float64.
        fake: Points, shape (M, D), float64.
        unit: Factor from the unit of the points to that of the data.

    Returns:
        The bound in the data's unit; None if scores or points are not finite.
    """
    if not all(bool(each.isfinite().all()) for each in (of_real, of_fake, real, fake)):
        return None
    found = certified_dual(of_real.cpu(), of_fake.cpu(), real, fake)
    return Certified(value=unit * float(found.value), without_critic=unit * float(found.without_critic))


def exact_distance(real: Tensor, fake: Tensor, rng: torch.Generator, *, unit: float = 1.0) -> ExactDistance | None:
    """The exact W1, with a bootstrap interval for other rows and samples of the same number.

    With optimal potentials u and v the distance is mean u + mean v. To first order it depends on its points through
    these means alone, while the potentials stay fixed. So pairs (u_i, v_i) are resampled, and the interval holds the
    middle 95 % of the means. Pairs are resampled because under conditions a row and its sample share one; for
    independent rows and samples that changes nothing. The interval is for the mean distance between so many points,
    which exceeds the distance between the two distributions.

    Args:
        real: Points, shape (N, D), float64.
        fake: As many, shape (N, D).
        rng: Determines which pairs are resampled.
        unit: Factor from the unit of the points to that of the data.

    Returns:
        The distance in the data's unit; None if points are not finite, or more than `MAX_POINTS`.

    Source: del Barrio and Loubes (2019), theorem 4.1, for the central limit theorem whose variance is that of the
    potentials.
    """
    if len(real) > MAX_POINTS or not all(bool(each.isfinite().all()) for each in (real, fake)):
        return None
    found = exact(real, fake, proven=True)
    value, pairs = float(found.cost), found.source_potential + found.target_potential
    drawn = torch.randint(len(pairs), (RESAMPLED, len(pairs)), generator=rng, device="cpu")
    ends = torch.tensor([(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2], dtype=torch.float64, device="cpu")
    low, high = pairs[drawn].mean(dim=1).quantile(ends).tolist()
    return ExactDistance(value=unit * value, low=unit * max(0.0, low), high=unit * high)
