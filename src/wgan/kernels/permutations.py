"""Permutation tests: are two samples further apart than two random halves of them pooled?

Under the hypothesis that both come from one distribution, every split of the pooled sample is as likely as the one that
came. The share of splits at least as far apart, the one that came counted among them, is an exact p-value.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from wgan.errors import NumericError, UsageError
from wgan.transport.measures import Array, as_pair, refuse_beyond_memory

# Entries of the matrix at a time: 16 MiB.
_BLOCK = 1 << 21
# Two splits of equal statistic must count as equal, though they were added up in another order.
_ROUNDING = 1e-12


def permutation_p_value(
    statistic: Callable[[Tensor, Tensor], Tensor | float],
    x: Array,
    y: Array,
    rng: torch.Generator,
    *,
    num_permutations: int = 999,
) -> float:
    """The p-value of any statistic that is larger the further two samples are apart.

    p = (1 + #{splits at least as far apart}) / (1 + num_permutations), which is at most alpha with probability at most
    alpha when both samples come from one distribution, for every alpha and every size.

    Args:
        statistic: From two samples, shapes (N, D) and (M, D), to a number, the same for the same samples: one that
            draws directions must draw the same each time.
        x: Shape (N, ...); samples are flattened.
        y: Shape (M, ...), of the same size after flattening.
        rng: Draws the splits.
        num_permutations: How many.

    Returns:
        Between 1 / (1 + num_permutations) and 1.

    Raises:
        UsageError: No permutations, or sets that are empty or of different dimensions.
        NumericError: Numbers, or statistics, that are not finite.

    Cost: the statistic, num_permutations + 1 times.

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
    # What was added up cannot be seen; where it cancels, as in an unbiased estimate near 0, other splits show its size.
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
    """The p-value of mean k(x, x') + mean k(y, y') - 2 mean k(x, y), for all splits from one matrix.

    With z the indicator of a split and G the matrix of the pooled sample, the sums are z'Gz within, z'G1 - z'Gz between
    and 1'G1 - 2 z'G1 + z'Gz within the others: one product of G with all z at once, block by block, so that neither G
    nor a statistic is ever computed twice and G is never kept. For distances d, take k = -d.

    Args:
        gram: A symmetric matrix of the pooled sample, shape (n, n) with n = num_x + num_y, x first; or a function
            (start, stop) of its rows from start to stop and its columns from start on, shape (stop - start, n - start).
        num_x: Samples in x.
        num_y: Samples in y.
        rng: Draws the splits.
        num_permutations: How many.
        unbiased: Leave the diagonal out of the means within a sample.

    Returns:
        Between 1 / (1 + num_permutations) and 1.

    Raises:
        UsageError: No permutations, a matrix of another shape, or more splits than memory holds.

    Cost: O(n² B) time for B splits; O(n B) memory and a block of the matrix.

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
    came = (torch.arange(num, device="cpu") < num_x)[:, None]
    labels = torch.cat([came, random_labels(num, num_x, num_permutations, rng)], dim=1).double()
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
        square, beside = block[:, : stop - start], block[:, stop - start :]
        # The part beside the diagonal block stands for its mirror image too.
        within_x += (labels[start:stop] * (square @ labels[start:stop] + 2.0 * (beside @ labels[stop:]))).sum(dim=0)
        row_sums[start:stop] += block.sum(dim=1)
        row_sums[stop:] += beside.sum(dim=0)
        diagonal[start:stop] = square.diagonal()
    of_x, total = row_sums @ labels, row_sums.sum()
    between, within_y = of_x - within_x, total - 2.0 * of_x + within_x
    if unbiased:
        own = diagonal @ labels
        within_x, within_y = within_x - own, within_y - (diagonal.sum() - own)
    statistics = two_sample_statistic(within_x, within_y, between, num_x, num_y, unbiased=unbiased)
    return add_one_p_value(statistics, scale=float(row_sums.abs().sum()) / num**2)


def two_sample_statistic(
    within_x: Tensor, within_y: Tensor, between: Tensor, num_x: int, num_y: int, *, unbiased: bool
) -> Tensor:
    """The mean within x plus the mean within y less twice the mean between, from sums of any shape."""
    own = 1 if unbiased else 0
    pairs_x, pairs_y = num_x * (num_x - own), num_y * (num_y - own)
    return within_x / pairs_x + within_y / pairs_y - 2.0 * (between / (num_x * num_y))


def random_labels(num: int, num_x: int, num_splits: int, rng: torch.Generator) -> Tensor:
    """Random splits: which `num_x` of `num` samples are called x, shape (num, num_splits), bool."""
    labels = torch.zeros(num_splits, num, dtype=torch.bool, device="cpu")
    for split in labels:
        split[torch.randperm(num, generator=rng, device=rng.device)[:num_x].cpu()] = True
    return labels.T


def add_one_p_value(statistics: Tensor, *, scale: float) -> float:
    """(1 + b) / (1 + B), where b of the B statistics after the first are at least as large as the first.

    Args:
        statistics: That of the samples as they came, then those of the random splits, shape (1 + B,).
        scale: The size of the numbers that were added up: rounding is a share of it.

    Raises:
        NumericError: A statistic that is not finite, which no other is larger than.
    """
    num_bad = int((~statistics.isfinite()).sum())
    if num_bad:
        raise NumericError(
            f"the statistic is NaN or infinite on {num_bad:,} of {len(statistics):,} splits",
            remedy="Divide the samples by their size, or give the kernel another bandwidth.",
        )
    came, splits = statistics[0], statistics[1:]
    as_large = int((splits >= came - _ROUNDING * scale).sum())
    return (1 + as_large) / (1 + len(splits))


def _check(num_permutations: int) -> None:
    if num_permutations < 1:
        raise UsageError(f"num_permutations must be at least 1, not {num_permutations}")
