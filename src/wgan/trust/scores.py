"""What a critic says of real rows and of samples: counted, and compared."""

from __future__ import annotations

import math

import torch
from torch import Tensor

BINS = 25
"""Bins of a histogram of scores."""

CUT = 0.005
"""Share of all scores below the first inner edge, and above the last: outliers are counted and stretch no axis."""


def score_histogram(of_real: Tensor, of_fake: Tensor, *, bins: int = BINS) -> dict[str, list[float]] | None:
    """Histograms of the scores of real rows and of samples, in bins of equal width that both share.

    Args:
        of_real: Shape (N,), in the critic's own unit.
        of_fake: Shape (M,).
        bins: Their number.

    Returns:
        Plain JSON: "edges", bins + 1 of them, from the 0.5th to the 99.5th percentile of all scores, and "real" and
        "fake", the counts between them, which sum to N and M: scores beyond the edges are counted in the outermost
        bins. None where there are no scores, or some are not finite.
    """
    real, fake = of_real.detach().double().flatten().cpu(), of_fake.detach().double().flatten().cpu()
    both = torch.cat([real, fake])
    if not both.numel() or not bool(both.isfinite().all()):
        return None
    low, high = both.quantile(torch.tensor([CUT, 1.0 - CUT], dtype=torch.float64, device="cpu")).tolist()
    # Scores that are all one number, up to what float32 tells apart, stand in the middle of bins of some width.
    room = max(abs(low), abs(high), 1e-30) * 1e-6
    if not high - low > room:
        low, high = low - room, high + room
    edges = torch.linspace(low, high, bins + 1, dtype=torch.float64, device="cpu")
    counts = [torch.bincount(torch.bucketize(side, edges[1:-1], right=True), minlength=bins) for side in (real, fake)]
    return {"edges": edges.tolist(), "real": counts[0].tolist(), "fake": counts[1].tolist()}


def lead(of_first: Tensor, of_second: Tensor) -> float | None:
    """By how many standard errors the mean of some scores is above that of others.

    Args:
        of_first: Shape (N,).
        of_second: Shape (M,).

    Returns:
        (mean of the first - mean of the second) / sqrt(variance of the first / N + variance of the second / M), which
        is near a standard normal number where both are scores of rows that a critic cannot tell apart; None of fewer
        than two of either, without any variance, or where some are not finite.
    """
    first, second = of_first.detach().double().flatten(), of_second.detach().double().flatten()
    if min(len(first), len(second)) < 2 or not bool(torch.isfinite(torch.cat([first, second])).all()):
        return None
    error = math.sqrt(float(first.var()) / len(first) + float(second.var()) / len(second))
    return float(first.mean() - second.mean()) / error if error > 0 else None
