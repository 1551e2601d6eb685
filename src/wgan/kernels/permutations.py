"""Permutation tests of the hypothesis that two samples come from one distribution.

Under the hypothesis every split of the pooled sample is equally likely. The share of splits that are at least as far
apart as the observed one, which is counted among them, is an exact p-value.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from wgan.errors import NumericError, UsageError
from wgan.transport.measures import Array, as_pair, refuse_beyond_memory

# Entries of the matrix at a time: 16 MiB.
_BLOCK = 1 << 21
# Equal statistics may differ by rounding, since their terms are summed in different orders.
_ROUNDING = 1e-12


def permutation_p_value(
    statistic: Callable[[Tensor, Tensor], Tensor | float],
    x: Array,
    y: Array,
    rng: torch.Generator,
    *,
    num_permutations: int = 999,
) -> float:
    """The p-value of any statistic that increases with the distance between two samples.

    p = (1 + #{splits at least as far apart}) / (1 + num_permutations). If both samples come from one distribution, p is
    at most alpha with probability at most alpha, for every alpha and all sample sizes.

    Args:
        statistic: Maps two samples, shapes (N, D) and (M, D), to a number. It must be deterministic: random directions
            must be the same in each call.
        x: Shape (N, ...); samples are flattened.
        y: Shape (M, ...), of the same size after flattening.
        rng: Draws the splits.
        num_permutations: The number of splits.

    Returns:
        Between 1 / (1 + num_permutations) and 1.

    Raises:
        UsageError: No permutations, or sets that are empty or of different dimensions.
        NumericError: Numbers, or statistics, that are not finite.

    Cost: num_permutations + 1 evaluations of the statistic.

    Source: Phipson and Smyth (2010), Permutation p-values should never be zero.

    Example:
        >>> from wgan.transport.one_dimensional import one_dimensional
        >>> rng = torch.Generator().manual_seed(0)
        >>> permutation_p_value(one_dimensional, [0.0, 0.1, 0.2, 0.3], [5.0, 5.1, 5.2, 5.3], rng, num_permutations=19)
        0.05
    """
    first, second = as_pair(x, y)
    _check(num_permutations)
    pooled, num_x = torch.cat([first, second]).detach(), len(first)
    with torch.no_grad():
        values = [float(statistic(pooled[:num_x], pooled[num_x:]))]
        for _ in range(num_permutations):
            shuffled = pooled[torch.randperm(len(pooled), generator=rng, device=rng.device).to(pooled.device)]
            values.append(float(statistic(shuffled[:num_x], shuffled[num_x:])))
    # The scale of the summed terms is unknown. If they cancel, as in an unbiased estimate near 0, other splits show it.
    return add_one_p_value(torch.tensor(values, dtype=torch.float64, device="cpu"), scale=max(map(abs, values)))


def gram_permutation_p_value(
    gram: Tensor | Callable[[int, int], Tensor],
    num_x: int,
    num_y: int,
    rng: torch.Generator,
    *,
    num_permutations: int = 999,
    unbiased: bool = False,
) -> float:
    """The p-value of mean k(x, x') + mean k(y, y') - 2 mean k(x, y), for all splits from one Gram matrix.

    Let z be the indicator of a split and G the Gram matrix of the pooled sample. The sums are z'Gz within x,
    z'G1 - z'Gz between, and 1'G1 - 2 z'G1 + z'Gz within y. One product of G with all z, block by block, gives them all,
    so that G is computed once and never stored. For distances d use k = -d.

    Args:
        gram: A symmetric matrix of the pooled sample, shape (n, n) with n = num_x + num_y, x first. Or a function
            (start, stop) of its rows from start to stop and its columns from start on, shape (stop - start, n - start).
        num_x: The number of samples in x.
        num_y: The number of samples in y.
        rng: Draws the splits.
        num_permutations: The number of splits.
        unbiased: Whether to leave the diagonal out of the means within a sample.

    Returns:
        Between 1 / (1 + num_permutations) and 1.

    Raises:
        UsageError: No permutations, a matrix of the wrong shape, or more splits than fit in memory.

    Cost: O(n² B) time for B splits; O(n B) memory plus a block of the matrix.

    Source: Phipson and Smyth (2010) for the p-value.
    """
    _check(num_permutations)
    num = num_x + num_y
    rows = _rows_of(gram, num_x, num_y) if isinstance(gram, Tensor) else gram
    refuse_beyond_memory(
        8 * 3 * num * (1 + num_permutations),
        f"a permutation test of {num:,} samples with {num_permutations:,} splits",
        "Use fewer permutations or fewer samples.",
    )
    with torch.no_grad():
        return _from_rows(rows, num_x, num_y, rng, num_permutations, unbiased=unbiased)


def _rows_of(matrix: Tensor, num_x: int, num_y: int) -> Callable[[int, int], Tensor]:
    num = num_x + num_y
    if matrix.shape != (num, num):
        raise UsageError(
            f"the matrix of {num_x} + {num_y} samples must have shape ({num}, {num}), not {tuple(matrix.shape)}"
        )
    return lambda start, stop: matrix[start:stop, start:]


def _from_rows(
    rows: Callable[[int, int], Tensor],
    num_x: int,
    num_y: int,
    rng: torch.Generator,
    num_permutations: int,
    *,
    unbiased: bool,
) -> float:
    num = num_x + num_y
    observed = (torch.arange(num, device="cpu") < num_x)[:, None]
    labels = torch.cat([observed, random_labels(num, num_x, num_permutations, rng)], dim=1).double()
    row_sums, diagonal = (torch.zeros(num, dtype=torch.float64, device="cpu") for _ in range(2))
    within_x = torch.zeros(labels.shape[1], dtype=torch.float64, device="cpu")
    size = max(1, _BLOCK // num)
    for start in range(0, num, size):
        stop = min(start + size, num)
        block = rows(start, stop).double()
        if start == 0:
            labels, row_sums, diagonal, within_x = (
                values.to(block.device) for values in (labels, row_sums, diagonal, within_x)
            )
        square, off_diagonal = block[:, : stop - start], block[:, stop - start :]
        # By symmetry the off-diagonal part counts twice.
        product = square @ labels[start:stop] + 2.0 * (off_diagonal @ labels[stop:])
        within_x += (labels[start:stop] * product).sum(dim=0)
        row_sums[start:stop] += block.sum(dim=1)
        row_sums[stop:] += off_diagonal.sum(dim=0)
        diagonal[start:stop] = square.diagonal()
    of_x, total = row_sums @ labels, row_sums.sum()
    between, within_y = of_x - within_x, total - 2.0 * of_x + within_x
    if unbiased:
        diagonal_x = diagonal @ labels
        within_x, within_y = within_x - diagonal_x, within_y - (diagonal.sum() - diagonal_x)
    statistics = two_sample_statistic(within_x, within_y, between, num_x, num_y, unbiased=unbiased)
    return add_one_p_value(statistics, scale=float(row_sums.abs().sum()) / num**2)


def two_sample_statistic(
    within_x: Tensor, within_y: Tensor, between: Tensor, num_x: int, num_y: int, *, unbiased: bool
) -> Tensor:
    """The mean within x plus the mean within y minus twice the mean between, from sums of any shape."""
    excluded = 1 if unbiased else 0
    pairs_x, pairs_y = num_x * (num_x - excluded), num_y * (num_y - excluded)
    return within_x / pairs_x + within_y / pairs_y - 2.0 * (between / (num_x * num_y))


def random_labels(num: int, num_x: int, num_splits: int, rng: torch.Generator) -> Tensor:
    """Random splits: which `num_x` of `num` samples are assigned to x, shape (num, num_splits), bool."""
    labels = torch.zeros(num_splits, num, dtype=torch.bool, device="cpu")
    for split in labels:
        split[torch.randperm(num, generator=rng, device=rng.device)[:num_x].cpu()] = True
    return labels.T


def add_one_p_value(statistics: Tensor, *, scale: float) -> float:
    """(1 + b) / (1 + B), where b of the B statistics after the first are at least as large as the first.

    Args:
        statistics: The observed statistic, then those of the random splits, shape (1 + B,).
        scale: The magnitude of the summed terms, to which the rounding error is relative.

    Raises:
        NumericError: A statistic that is not finite.
    """
    num_bad = int((~statistics.isfinite()).sum())
    if num_bad:
        raise NumericError(
            f"the statistic is NaN or infinite on {num_bad:,} of {len(statistics):,} splits",
            remedy="Divide the samples by their size, or use another bandwidth of the kernel.",
        )
    observed, splits = statistics[0], statistics[1:]
    as_large = int((splits >= observed - _ROUNDING * scale).sum())
    return (1 + as_large) / (1 + len(splits))


def _check(num_permutations: int) -> None:
    if num_permutations < 1:
        raise UsageError(f"num_permutations must be at least 1, not {num_permutations}")
