"""Statistics of a critic as a function of one sample: its scores, and the norms of its gradient.

An estimate E f(real) - E f(fake) is in units of the critic's own slope. Divided by the largest slope it is in units of
the samples. No estimate exceeds the product of the largest slope and the distance.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from wgan.batch import Batch
from wgan.constraints.constraint import Scores
from wgan.transport.lipschitz import gradient_norms, layer_bound, steepest_gradient

BINS = 25
"""Bins of a histogram of scores."""

CUT = 0.005
"""Share of all scores below the first inner edge, and above the last, so that outliers do not stretch the axis."""

CLIMB_STEPS = 5
"""Steps of gradient ascent to the largest slope."""

_AT_ONCE = 256
_BOUND_ROWS = 8
_GOLDEN = (5**0.5 - 1) / 2


def score_histogram(of_real: Tensor, of_fake: Tensor, *, bins: int = BINS) -> dict[str, list[float]] | None:
    """Histograms of the scores of real rows and of samples, in common bins of equal width.

    Args:
        of_real: Shape (N,), in the critic's own unit.
        of_fake: Shape (M,).
        bins: Number of bins.

    Returns:
        Plain JSON: "edges", bins + 1 of them, from the 0.5th to the 99.5th percentile of all scores, and the counts
        "real" and "fake". They sum to N and M: scores beyond the edges are counted in the outermost bins. None if there
        are no scores, or some are not finite.
    """
    real, fake = of_real.detach().double().flatten().cpu(), of_fake.detach().double().flatten().cpu()
    both = torch.cat([real, fake])
    if not both.numel() or not bool(both.isfinite().all()):
        return None
    low, high = both.quantile(torch.tensor([CUT, 1.0 - CUT], dtype=torch.float64, device="cpu")).tolist()
    # Scores that are equal up to float32 rounding get bins of a small width around them.
    margin = max(abs(low), abs(high), 1e-30) * 1e-6
    if not high - low > margin:
        low, high = low - margin, high + margin
    edges = torch.linspace(low, high, bins + 1, dtype=torch.float64, device="cpu")
    counts = [torch.bincount(torch.bucketize(side, edges[1:-1], right=True), minlength=bins) for side in (real, fake)]
    return {"edges": edges.tolist(), "real": counts[0].tolist(), "fake": counts[1].tolist()}


def welch_t(first: Tensor, second: Tensor) -> float | None:
    """Welch's t statistic of two sets of scores.

    (mean of the first - mean of the second) / sqrt(variance of the first / N + variance of the second / M)

    Args:
        first: Shape (N,).
        second: Shape (M,).

    Returns:
        Approximately standard normal if both are scores of rows from one distribution. None for fewer than
        two of either, for zero variance, or if some are not finite.

    Source: Welch (1947).
    """
    first, second = first.detach().double().flatten(), second.detach().double().flatten()
    if min(len(first), len(second)) < 2 or not bool(torch.isfinite(torch.cat([first, second])).all()):
        return None
    error = math.sqrt(float(first.var()) / len(first) + float(second.var()) / len(second))
    return float(first.mean() - second.mean()) / error if error > 0 else None


@dataclass(frozen=True, kw_only=True)
class Slopes:
    """Norms of the gradient of a critic's function, in scores per unit of the samples that it sees.

    Attributes:
        real: Largest norm at real rows.
        fake: Largest norm at generated samples.
        between: Largest norm at points on straight lines between the two.
        climbed: Largest norm that gradient ascent finds from the steepest of these points; never below them.
        mean_real: Mean norm at real rows.
        mean_fake: Mean norm at generated samples.
        mean_between: Mean norm between them.
        bound: Product of the layers' norms, an upper bound on every slope; None for a network that is not a chain of
            layers with known constants.
    """

    real: float
    fake: float
    between: float
    climbed: float
    mean_real: float
    mean_fake: float
    mean_between: float
    bound: float | None


def slopes(
    scores: Scores, real: Batch, fake: Batch, *, network: nn.Module | None = None, climb_steps: int = CLIMB_STEPS
) -> Slopes | None:
    """Slopes of a critic at rows, at samples and between them, and bounds on its largest slope.

    Slopes are with respect to the sample, under its condition. The gradient with respect to a condition is not part of
    a distance between samples, and the ascent does not change it.

    Args:
        scores: The critic's function, from values (N, *shape), float32, and a condition to N scores, each of one
            sample alone: batch norm has to use its running statistics.
        real: Real rows as the critic sees them (packed, if it sees several as one), on the critic's device.
        fake: As many generated samples, under the same conditions row by row.
        network: The critic, if its outputs are the scores, for the bound by layers. A critic with conditions has no
            such bound.
        climb_steps: Steps of gradient ascent. Each takes a second derivative at 64 points and a gradient at 384.

    Returns:
        Plain numbers, NaN for a critic that has diverged; None if the scores have no gradient.

    Cost: One gradient at three times as many points as there are rows, and the ascent.

    Source: Arjovsky, Chintala and Bottou (2017), section 3, on the unknown constant K.
    """
    num = min(len(real.values), len(fake.values))
    first, second = (batch.values[:num].detach().double() for batch in (real, fake))
    condition = None if real.condition is None else real.condition[:num].detach().double()
    # Multiples of an irrational number are evenly distributed modulo 1.
    share = torch.arange(1, num + 1, dtype=torch.float64, device=first.device) * _GOLDEN % 1.0
    between = torch.lerp(first, second, share.reshape(-1, *[1] * (first.dim() - 1)))
    shape, size = first.shape[1:], first[0].numel()

    def of_points(points: Tensor) -> Tensor:
        # The condition is detached: it has no part in the gradient.
        fixed = None if condition is None else points[:, size:].detach().float()
        return scores(points[:, :size].float().reshape(-1, *shape), fixed)

    parts = [part.flatten(1) for part in (first, second, between)]
    if condition is not None:
        parts = [torch.cat([part, condition.flatten(1)], dim=1) for part in parts]
    points = torch.cat(parts)
    norms = gradient_norms(of_points, points, at_once=_AT_ONCE)
    if norms is None:
        return None
    climbed = steepest_gradient(of_points, points, climb_steps=climb_steps, norms=norms)
    assert climbed is not None
    of_real, of_fake, of_between = torch.split(norms, num)
    return Slopes(
        real=float(of_real.max()),
        fake=float(of_fake.max()),
        between=float(of_between.max()),
        climbed=climbed,
        mean_real=float(of_real.mean()),
        mean_fake=float(of_fake.mean()),
        mean_between=float(of_between.mean()),
        bound=None if network is None or condition is not None else layer_bound(network, first[:_BOUND_ROWS]),
    )
