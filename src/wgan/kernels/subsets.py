"""The kernel distance between two samples of features: the cubic kernel, averaged over random subsets."""

from __future__ import annotations

import torch
from torch import Tensor

from wgan.errors import UsageError
from wgan.kernels.discrepancy import squared_mmd
from wgan.transport.measures import Array, as_float64


def kernel_distance(
    x: Array, y: Array, *, rng: torch.Generator, num_subsets: int = 100, subset_size: int = 1000
) -> tuple[float, float]:
    """The squared maximum mean discrepancy between two samples of features, averaged over random subsets.

    Samples no larger than `subset_size` are compared once and whole, since all their subsets would be the same.

    Args:
        x: Features of one sample, shape (N, D).
        y: Features of the other, shape (M, D).
        rng: Draws the subsets, rows without repetition.
        num_subsets: How many subsets.
        subset_size: Rows in each; smaller samples give what they have.

    Returns:
        Mean and standard deviation over the subsets, computed in float64. The mean is 0 on average for two samples of
        one distribution and can be below 0; the deviation says how much a subset of that size varies, and is 0 for a
        single comparison.

    Raises:
        UsageError: Features of different length, fewer than 2 rows, or counts that are too small.
        NumericError: Features that are not finite.

    Source: Bińkowski, Sutherland, Arbel and Gretton (2018), section 4, who take 100 subsets of 1,000.
    """
    x, y = as_float64(x, "x").detach(), as_float64(y, "y").detach()
    if x.dim() != 2 or y.dim() != 2 or x.shape[1] != y.shape[1]:
        raise UsageError(f"features must have shapes (N, D) and (M, D), not {tuple(x.shape)} and {tuple(y.shape)}")
    if num_subsets < 1 or subset_size < 2:
        raise UsageError(
            f"num_subsets must be at least 1 and subset_size at least 2, not {num_subsets} and {subset_size}"
        )
    if min(len(x), len(y)) < 2:
        raise UsageError(f"a kernel distance needs at least 2 rows of each sample, not {len(x)} and {len(y)}")
    if max(len(x), len(y)) <= subset_size:
        return float(squared_mmd(x, y)), 0.0
    distances = torch.stack(
        [squared_mmd(_subset(x, subset_size, rng), _subset(y, subset_size, rng)) for _ in range(num_subsets)]
    )
    return float(distances.mean()), float(distances.std(correction=0))


def _subset(rows: Tensor, size: int, rng: torch.Generator) -> Tensor:
    return rows[torch.randperm(len(rows), generator=rng, device=rng.device)[:size].to(rows.device)]
