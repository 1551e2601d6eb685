"""Maximum mean discrepancy and energy distance: how far apart the means of two samples are, as a kernel sees them."""

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
from wgan.transport.measures import Array, as_pair, as_tensor, finite, root

Estimator: TypeAlias = Literal["biased", "unbiased"]
KernelFunction: TypeAlias = Callable[[Tensor, Tensor], Tensor]

# Kernel values at a time: 16 MiB, and several times that with the kernel's own steps.
_BLOCK = 1 << 21


@dataclass(frozen=True, kw_only=True, eq=False)
class Discrepancy:
    """A squared distance between two samples by a kernel.

    Attributes:
        squared: 0-d, float64, in the units of the kernel, differentiable with respect to points. At least 0 (up to
            rounding) where biased; on average 0 between samples of one distribution, and so below 0 at times, where
            unbiased.
        estimator: "biased", with each point beside itself in the means within a sample (a V-statistic, the squared
            distance between the two samples themselves), or "unbiased", without (a U-statistic, an estimate of the
            squared distance between the distributions they were drawn from).
        kernel: The kernel with all of its parameters, those that were chosen for the points included.
        bandwidth: The kernel's, in the units of the points; None where it has none.
        p_value: How often a random split of the pooled sample is at least as far apart; None if not asked for.
        num_permutations: The random splits behind it.
    """

    squared: Tensor
    estimator: Estimator
    kernel: KernelFunction
    bandwidth: float | None
    p_value: float | None
    num_permutations: int

    @property
    def distance(self) -> Tensor:
        """The square root, or 0 of a negative estimate; 0-d, with gradient 0 where it is 0."""
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
    """The maximum mean discrepancy between two samples under a kernel, squared.

    MMD² = E k(x, x') + E k(y, y') - 2 E k(x, y), the squared distance between the two means in the kernel's space.

    Args:
        x: Shape (N, ...); samples are flattened.
        y: Shape (M, ...), of the same size after flattening.
        kernel: A row of `KERNELS` or its word ("gaussian:bandwidth=1"), or any symmetric function from shapes (N, D)
            and (M, D) to (N, M); a Gaussian if None. A bandwidth that was left open becomes the median distance of the
            pooled sample, a constant to gradients; the result says which it is.
        estimator: "unbiased" or "biased": see `Discrepancy`.
        num_permutations: Random splits of the pooled sample for the p-value; 0 for none. The p-value is exact for any
            kernel that does not depend on the order of the points, and never below 1 / (1 + num_permutations).
        rng: Draws the splits.

    Returns:
        The squared discrepancy (differentiable), the kernel with its bandwidth, and the p-value.

    Raises:
        UsageError: Sets that are empty, too small or of different dimensions, no rng, or more splits than memory holds.
        NumericError: Numbers that are not finite.

    Cost: O((N + M)² D) time, and O((N + M)² B) for B splits; O((N + M) (D + B)) memory and a block of kernel values.

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
    """The energy distance between two samples, in Székely and Rizzo's convention: not the square root.

    2 E ||x - y|| - E ||x - x'|| - E ||y - y'||, which on the line is 2 times the integral of (F - G)². It is the
    squared discrepancy of the kernel -||x - y||; `scipy.stats.energy_distance` returns its square root, here
    `distance`.

    Args:
        x: Shape (N, ...); samples are flattened.
        y: Shape (M, ...), of the same size after flattening.
        estimator: "biased", with each point beside itself (a V-statistic, at least 0), or "unbiased" (a U-statistic).
        num_permutations: Random splits of the pooled sample for the p-value; 0 for none.
        rng: Draws the splits.

    Returns:
        `squared` is the energy distance, in the units of the points, differentiable with finite gradients.

    Raises:
        UsageError: Sets that are empty, too small or of different dimensions, no rng, or more splits than memory holds.
        NumericError: Numbers that are not finite.

    Cost: O((N + M)² (D + B)) time for B splits, and on the line O((N + M) (log (N + M) + B)).

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
    """The squared maximum mean discrepancy under a kernel, by default the cubic one; tensors are not checked.

    E k(x, x') + E k(y, y') - 2 E k(x, y), where x and x' are different rows if unbiased; it can then be below 0.

    Args:
        x: Shape (N, D), N at least 2 if unbiased.
        y: Shape (M, D), M likewise.
        kernel: From shapes (N, D) and (M, D) to (N, M), symmetric.
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


def _sum_within(kernel: KernelFunction, x: Tensor, *, unbiased: bool) -> Tensor:
    """The sum of k over pairs of rows, those of a row with itself left out if unbiased; each pair evaluated once."""

    def part(rows: Tensor, onwards: Tensor) -> Tensor:
        values = kernel(rows, onwards)
        square, beside = values[:, : len(rows)], values[:, len(rows) :]
        total = square.sum() + 2.0 * beside.sum()
        return total - square.trace() if unbiased else total

    size = max(1, _BLOCK // len(x))
    return _summed(part, [(x[start : start + size], x[start:]) for start in range(0, len(x), size)])


def _sum_between(kernel: KernelFunction, x: Tensor, y: Tensor) -> Tensor:
    def part(rows: Tensor, all_of_y: Tensor) -> Tensor:
        return kernel(rows, all_of_y).sum()

    size = max(1, _BLOCK // len(y))
    return _summed(part, [(x[start : start + size], y) for start in range(0, len(x), size)])


def _summed(part: Callable[[Tensor, Tensor], Tensor], blocks: list[tuple[Tensor, Tensor]]) -> Tensor:
    """The sum of the parts, in the memory of one of them, forwards and backwards."""
    if len(blocks) == 1:
        return part(*blocks[0])
    tracked = torch.is_grad_enabled() and any(rows.requires_grad or others.requires_grad for rows, others in blocks)
    if not tracked:
        return torch.stack([part(*block) for block in blocks]).sum()
    return torch.stack([checkpoint(part, *block, use_reentrant=False) for block in blocks]).sum()


def _energy_on_the_line(gaps: Tensor, from_x: Tensor, num_x: int, estimator: Estimator) -> Tensor:
    """2 times the integral of (F - G)² over the gaps between the sorted points.

    Args:
        gaps: Between neighbours of the pooled sample, shape (n - 1,).
        from_x: Which of the sorted points are from x, shape (n, B), for B splits.
        num_x: How many are.
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
    # Sums of |x - x'| over pairs; dividing them by N (N - 1) in place of N² is all that differs.
    within_x, within_y = 2.0 * (gaps @ (below_x * (num_x - below_x))), 2.0 * (gaps @ (below_y * (num_y - below_y)))
    return biased - within_x / (num_x**2 * (num_x - 1)) - within_y / (num_y**2 * (num_y - 1))


def _line_p_value(
    gaps: Tensor, from_x: Tensor, estimator: Estimator, num_permutations: int, rng: torch.Generator
) -> float:
    num, num_x = len(from_x), int(from_x.sum())
    at_a_time = max(1, _BLOCK // num)
    statistics = [_energy_on_the_line(gaps, from_x, num_x, estimator)]
    for done in range(0, num_permutations, at_a_time):
        labels = random_labels(num, num_x, min(at_a_time, num_permutations - done), rng).to(gaps.device)
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
        raise UsageError("a p-value needs random splits", remedy="Give rng, a torch.Generator.")
