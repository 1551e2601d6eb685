"""What a critic says of real rows and of samples, counted."""

from __future__ import annotations

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
    low, high = both.quantile(torch.tensor([CUT, 1.0 - CUT], dtype=torch.float64)).tolist()
    # Scores that are all one number, up to what float32 tells apart, stand in the middle of bins of some width.
    room = max(abs(low), abs(high), 1e-30) * 1e-6
    if not high - low > room:
        low, high = low - room, high + room
    edges = torch.linspace(low, high, bins + 1, dtype=torch.float64)
    counts = [torch.bincount(torch.bucketize(side, edges[1:-1], right=True), minlength=bins) for side in (real, fake)]
    return {"edges": edges.tolist(), "real": counts[0].tolist(), "fake": counts[1].tolist()}
