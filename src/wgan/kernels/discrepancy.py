"""Maximum mean discrepancy, energy distance, and the kernel distance of features."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, TypeAlias

import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from wgan.errors import UsageError
from wgan.kernels.functions import KERNELS, Energy, Gaussian, Kernel, cubic_kernel
from wgan.kernels.permutations import add_one_p_value, gram_permutation_p_value, random_labels, two_sample_statistic
from wgan.transport.measures import Array, as_float64, as_pair, as_tensor, finite, root

Estimator: TypeAlias = Literal["biased", "unbiased"]
KernelFunction: TypeAlias = Callable[[Tensor, Tensor], Tensor]

# Kernel values at a time: 16 MiB, and several times that with temporaries of the kernel.
_BLOCK = 1 << 21


@dataclass(frozen=True, kw_only=True, eq=False)
class Discrepancy:
    """A squared kernel distance between two samples.

    Attributes:
        squared: 0-d, float64, in the units of the kernel, differentiable with respect to points. At least 0 (up to
            rounding) if biased. If unbiased, 0 on average between samples of one distribution, so it can be negative.
        estimator: "biased", a V-statistic whose means within a sample include pairs of a point with itself: the squared
            distance between the samples. Or "unbiased", a U-statistic without these pairs: an estimate of the squared
            distance between the distributions.
        kernel: The kernel with all of its parameters, including those chosen from the points.
        bandwidth: The bandwidth of the kernel, in the units of the points; None if it has none.
        p_value: The share of random splits of the pooled sample that are at least as far apart; None if not requested.
        num_permutations: The number of random splits.
    """

    squared: Tensor
    estimator: Estimator
    kernel: KernelFunction
    bandwidth: float | None
    p_value: float | None
    num_permutations: int

    @property
    def distance(self) -> Tensor:
        """The square root, or 0 for a negative estimate; 0-d, with gradient 0 at 0."""
        return root(self.squared, 2.0)


def mmd(
    x: Array,
    y: Array,
    *,
    kernel: KernelFunction | str | None = None,
    estimator: Estimator = "unbiased",
    num_permutations: int = 0,
    rng: torch.Generator | None = None,
) -> Discrepancy:
    """The squared maximum mean discrepancy between two samples.

    MMD² = E k(x, x') + E k(y, y') - 2 E k(x, y), the squared distance between the two mean embeddings.

    Args:
        x: Shape (N, ...); samples are flattened.
        y: Shape (M, ...), of the same size after flattening.
        kernel: A kernel of `KERNELS` or its name ("gaussian:bandwidth=1"), or any symmetric function from shapes (N, D)
            and (M, D) to (N, M); a Gaussian if None. A bandwidth of None becomes the median distance of the pooled
            sample, without a gradient.
        estimator: "unbiased" or "biased": see `Discrepancy`.
        num_permutations: Random splits of the pooled sample for the p-value; 0 for none. The p-value is exact for any
            kernel that does not depend on the order of the points, and at least 1 / (1 + num_permutations).
        rng: Draws the splits.

    Returns:
        The squared discrepancy (differentiable), the kernel with its bandwidth, and the p-value.

    Raises:
        UsageError: Sets that are empty, too small or of different dimensions, no rng, or more splits than fit in
            memory.
        NumericError: Numbers that are not finite.

    Cost: O((N + M)² D) time, and O((N + M)² B) for B splits; O((N + M) (D + B)) memory plus a block of kernel values.

    Source: Gretton et al. (2012), equations 3 (unbiased) and 5 (biased); Phipson and Smyth (2010) for the p-value.
    """
    first, second = as_pair(x, y)
    _check(estimator, len(first), len(second), num_permutations, rng)
    pooled = torch.cat([first, second]).detach()
    chosen: KernelFunction
    chosen = KERNELS.build(kernel) if isinstance(kernel, str) else Gaussian() if kernel is None else kernel
    if isinstance(chosen, Kernel):
        chosen = chosen.fitted(pooled)
    p_value = None
    if num_permutations and rng is not None:

        def rows(start: int, stop: int) -> Tensor:
            return chosen(pooled[start:stop], pooled[start:])

        p_value = gram_permutation_p_value(
            rows, len(first), len(second), rng, num_permutations=num_permutations, unbiased=estimator == "unbiased"
        )
    return Discrepancy(
        squared=finite(squared_mmd(first, second, kernel=chosen, estimator=estimator), "discrepancy"),
        estimator=estimator,
        kernel=chosen,
        bandwidth=getattr(chosen, "bandwidth", None),
        p_value=p_value,
        num_permutations=num_permutations,
    )


def energy_distance(
    x: Array,
    y: Array,
    *,
    estimator: Estimator = "biased",
    num_permutations: int = 0,
    rng: torch.Generator | None = None,
) -> Discrepancy:
    """The energy distance between two samples, in Székely and Rizzo's convention, without a square root.

    2 E ||x - y|| - E ||x - x'|| - E ||y - y'||, which in one dimension is 2 times the integral of (F - G)². It is the
    squared discrepancy of the kernel -||x - y||. `scipy.stats.energy_distance` returns its square root, here
    `distance`.

    Args:
        x: Shape (N, ...); samples are flattened.
        y: Shape (M, ...), of the same size after flattening.
        estimator: "biased" (a V-statistic, at least 0) or "unbiased" (a U-statistic): see `Discrepancy`.
        num_permutations: Random splits of the pooled sample for the p-value; 0 for none.
        rng: Draws the splits.

    Returns:
        `squared` is the energy distance, in the units of the points, differentiable with finite gradients.

    Raises:
        UsageError: Sets that are empty, too small or of different dimensions, no rng, or more splits than fit in
            memory.
        NumericError: Numbers that are not finite.

    Cost: O((N + M)² (D + B)) time for B splits, and in one dimension O((N + M) (log (N + M) + B)).

    Source: Székely and Rizzo (2013), Energy statistics; Phipson and Smyth (2010) for the p-value.
    """
    first, second = as_pair(x, y)
    if first.shape[1] > 1:
        return mmd(first, second, kernel=Energy(), estimator=estimator, num_permutations=num_permutations, rng=rng)
    num_x, num_y = len(first), len(second)
    _check(estimator, num_x, num_y, num_permutations, rng)
    pooled = torch.cat([first, second])[:, 0]
    order = pooled.detach().argsort()
    gaps = torch.diff(pooled[order])
    from_x = (order < num_x)[:, None]
    p_value = None
    if num_permutations and rng is not None:
        p_value = _line_p_value(gaps.detach(), from_x, estimator, num_permutations, rng)
    return Discrepancy(
        squared=finite(_energy_on_the_line(gaps, from_x, num_x, estimator)[0], "energy distance"),
        estimator=estimator,
        kernel=Energy(),
        bandwidth=None,
        p_value=p_value,
        num_permutations=num_permutations,
    )


def squared_mmd(
    x: Tensor, y: Tensor, *, kernel: KernelFunction = cubic_kernel, estimator: Estimator = "unbiased"
) -> Tensor:
    """The squared maximum mean discrepancy, with the cubic kernel by default; tensors are not checked.

    E k(x, x') + E k(y, y') - 2 E k(x, y), where x and x' are different rows if unbiased; it can then be negative.

    Args:
        x: Shape (N, D), N at least 2 if unbiased.
        y: Shape (M, D), M at least 2 if unbiased.
        kernel: Maps shapes (N, D) and (M, D) to (N, M), symmetric.
        estimator: "unbiased" or "biased".

    Returns:
        0-d, in the units of the kernel, differentiable.

    Source: Gretton et al. (2012), equations 3 and 5.
    """
    x, y = as_tensor(x, "x"), as_tensor(y, "y")
    return two_sample_statistic(
        _sum_within(kernel, x, unbiased=estimator == "unbiased"),
        _sum_within(kernel, y, unbiased=estimator == "unbiased"),
        _sum_between(kernel, x, y),
        len(x),
        len(y),
        unbiased=estimator == "unbiased",
    )


def kernel_distance(
    x: Array, y: Array, *, rng: torch.Generator, num_subsets: int = 100, subset_size: int = 1000
) -> tuple[float, float]:
    """The squared maximum mean discrepancy of features under the cubic kernel, averaged over random subsets.

    If neither sample is larger than `subset_size`, the whole samples are compared once.

    Args:
        x: Features of one sample, shape (N, D).
        y: Features of the other, shape (M, D).
        rng: Draws the subsets, without replacement.
        num_subsets: The number of subsets.
        subset_size: Rows per subset; smaller samples are used whole.

    Returns:
        Mean and standard deviation over the subsets, computed in float64. The mean is 0 on average for two samples of
        one distribution and can be negative. The standard deviation is that between subsets, and 0 for a single
        comparison.

    Raises:
        UsageError: Features of different dimensions, fewer than 2 rows, or counts that are too small.
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
        raise UsageError(f"a kernel distance needs at least 2 rows in each sample, not {len(x)} and {len(y)}")
    if max(len(x), len(y)) <= subset_size:
        return float(squared_mmd(x, y)), 0.0
    distances = torch.stack(
        [squared_mmd(_subset(x, subset_size, rng), _subset(y, subset_size, rng)) for _ in range(num_subsets)]
    )
    return float(distances.mean()), float(distances.std(correction=0))


def _subset(rows: Tensor, size: int, rng: torch.Generator) -> Tensor:
    return rows[torch.randperm(len(rows), generator=rng, device=rng.device)[:size].to(rows.device)]


def _sum_within(kernel: KernelFunction, x: Tensor, *, unbiased: bool) -> Tensor:
    """The sum of k over pairs of rows, without pairs of a row with itself if unbiased. Each pair is evaluated once."""

    def part(rows: Tensor, rest: Tensor) -> Tensor:
        values = kernel(rows, rest)
        square, off_diagonal = values[:, : len(rows)], values[:, len(rows) :]
        total = square.sum() + 2.0 * off_diagonal.sum()
        return total - square.trace() if unbiased else total

    size = max(1, _BLOCK // len(x))
    return _sum_blocks(part, [(x[start : start + size], x[start:]) for start in range(0, len(x), size)])


def _sum_between(kernel: KernelFunction, x: Tensor, y: Tensor) -> Tensor:
    def part(rows: Tensor, all_of_y: Tensor) -> Tensor:
        return kernel(rows, all_of_y).sum()

    size = max(1, _BLOCK // len(y))
    return _sum_blocks(part, [(x[start : start + size], y) for start in range(0, len(x), size)])


def _sum_blocks(part: Callable[[Tensor, Tensor], Tensor], blocks: list[tuple[Tensor, Tensor]]) -> Tensor:
    """The sum over the blocks, in the memory of one block, in the forward and in the backward pass."""
    if len(blocks) == 1:
        return part(*blocks[0])
    tracked = torch.is_grad_enabled() and any(rows.requires_grad or others.requires_grad for rows, others in blocks)
    if not tracked:
        return torch.stack([part(*block) for block in blocks]).sum()
    return torch.stack([checkpoint(part, *block, use_reentrant=False) for block in blocks]).sum()


def _energy_on_the_line(gaps: Tensor, from_x: Tensor, num_x: int, estimator: Estimator) -> Tensor:
    """2 times the integral of (F - G)² over the gaps between the sorted points.

    Args:
        gaps: The gaps between neighbours of the pooled sample, shape (n - 1,).
        from_x: Which of the sorted points are from x, shape (n, B), for B splits.
        num_x: The number of points from x.
        estimator: "biased" or "unbiased".

    Returns:
        Shape (B,).
    """
    num_y = len(from_x) - num_x
    below_x = from_x[:-1].to(gaps.dtype).cumsum(dim=0)
    below_y = torch.arange(1, len(from_x), dtype=gaps.dtype, device=gaps.device)[:, None] - below_x
    biased = 2.0 * (gaps @ (below_x / num_x - below_y / num_y).square())
    if estimator == "biased":
        return biased
    # The sums of |x - x'| over pairs, which are divided by N (N - 1) instead of N².
    within_x, within_y = 2.0 * (gaps @ (below_x * (num_x - below_x))), 2.0 * (gaps @ (below_y * (num_y - below_y)))
    return biased - within_x / (num_x**2 * (num_x - 1)) - within_y / (num_y**2 * (num_y - 1))


def _line_p_value(
    gaps: Tensor, from_x: Tensor, estimator: Estimator, num_permutations: int, rng: torch.Generator
) -> float:
    num, num_x = len(from_x), int(from_x.sum())
    block = max(1, _BLOCK // num)
    statistics = [_energy_on_the_line(gaps, from_x, num_x, estimator)]
    for done in range(0, num_permutations, block):
        labels = random_labels(num, num_x, min(block, num_permutations - done), rng).to(gaps.device)
        statistics.append(_energy_on_the_line(gaps, labels, num_x, estimator))
    return add_one_p_value(torch.cat(statistics), scale=float(gaps.sum()))


def _check(estimator: str, num_x: int, num_y: int, num_permutations: int, rng: torch.Generator | None) -> None:
    if estimator not in ("biased", "unbiased"):
        raise UsageError(f"estimator must be 'biased' or 'unbiased', not '{estimator}'")
    if estimator == "unbiased" and min(num_x, num_y) < 2:
        raise UsageError(
            f"the unbiased estimator needs at least 2 samples on both sides, not {num_x} and {num_y}",
            remedy="Use estimator='biased'.",
        )
    if num_permutations < 0:
        raise UsageError(f"num_permutations must be at least 0, not {num_permutations}")
    if num_permutations and rng is None:
        raise UsageError("a p-value needs random splits", remedy="Pass rng, a torch.Generator.")
