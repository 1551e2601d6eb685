"""Diversity and memorisation of samples, from distances between samples and rows.

A generator that repeats itself has collapsed. One that repeats its training rows has memorised them. Neither follows
from the distance alone, and neither needs a critic.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from wgan.data.source import Source
from wgan.randomness import Randomness
from wgan.transport.costs import cost_matrix

SPREAD = 32
"""A sample is assigned to its nearest held-out rows, one in so many of all. Around each held-out row, twice as many
rows are examined."""

FEWEST = 8
"""Held-out rows that a sample is assigned to, at least."""

ENOUGH = 0.2
"""Share of the expected assignments around a held-out row from which on the row is covered."""

MOST_ROWS = 32_768
"""Rows of each kind, at most, that samples are compared with for memorisation."""

_ENTRIES = 2**24  # entries of rows of each kind, at most: 64 MiB in float32
_AT_ONCE = 2**22  # distances, and entries of rows, in one block: 16 MiB in float32
_PRODUCT_DIMENSIONS = 16


@dataclass(frozen=True, kw_only=True)
class Diversity:
    """Diversity of samples, compared with as many held-out rows.

    Attributes:
        samples: Mean distance from a sample to the nearest other sample, in the unit of the points.
        real: Mean distance from a held-out row to the nearest other one.
        coverage: Share of the held-out rows that have samples around them.
        off_support: Mean distance from a sample to the nearest held-out row. If it is far below W1, samples are where
            the data is, but in the wrong proportions.
    """

    samples: float
    real: float
    coverage: float
    off_support: float


@dataclass(frozen=True, kw_only=True)
class Memory:
    """Distances from samples to training rows, compared with rows that training never uses.

    Attributes:
        training: Mean distance from a sample to the nearest of some training rows, in the unit of the points.
        held_out: Mean distance to the nearest of as many held-out rows: equal up to chance, unless the generator has
            memorised training rows.
        memorised: Share of the samples that are nearer to a training row than chance explains. It is 0 in the mean
            without memorisation, for samples of any quality, and 1 if every sample is a copy. It is negative if samples
            are nearer to held-out rows.
        memorised_error: Standard error of `memorised` without memorisation.
    """

    training: float
    held_out: float
    memorised: float
    memorised_error: float


@dataclass(frozen=True, kw_only=True)
class Reference:
    """The rows that samples are compared with for memorisation: all of each kind, up to a bound.

    Attributes:
        training: Shape (N, *layout.shape), float32, on the CPU.
        held_out: Shape (M, *layout.shape).
    """

    training: Tensor
    held_out: Tensor

    @classmethod
    def of(cls, source: Source, *, seed: int, most: int = MOST_ROWS) -> Reference | None:
        """Draw the rows without repetition.

        Args:
            source: The data.
            seed: Determines the rows, if not all are taken.
            most: Rows of each kind, at most; there are no more than 16 million entries either. If training rows are
                left out, `Memory.memorised` refers to the others.

        Returns:
            None for an unlimited source, which cannot be memorised, or without held-out rows.
        """
        if source.size is None:
            return None
        streams, num = Randomness(seed), min(most, max(1, _ENTRIES // source.codec.layout.size))
        held_out = source.held_out(num, streams.at("held-out rows of the reference"))
        if not len(held_out):
            return None
        return cls(training=source.distinct(num, streams.at("training rows of the reference")), held_out=held_out)


@torch.no_grad()
def diversity(samples: Tensor, held_out: Tensor) -> Diversity | None:
    """Diversity of samples.

    The mean distance to the nearest other sample decreases if a generator repeats itself, but does not show lost modes.
    A generator that has lost six of eight modes and blurs the others has larger distances than the data. So each sample
    is assigned to its n / `SPREAD` nearest held-out rows, as if it were one of them. A held-out row is covered if the
    twice as many rows nearest to it have enough assignments: a share `ENOUGH` of what these rows would receive from one
    another. No row counts for more than that, however many samples are near it. A sample that is a little off is thus
    counted where it nearly is, and a mode that is too narrow or too wide is covered.

    Measured with 1,000 points or 512 images. `coverage` was 1.00 for real rows. With some of 8 modes on a ring or 25 on
    a grid, at .1, .3, 1 and 2 times their width, it was the share of the remaining modes. For 1/8 it was .13, 2/8 .26,
    4/8 .53, 6/8 .78, 7/8 .89; 3/25 .14, 12/25 .52, 22/25 .92. In runs that had lost nothing it was .76 to 1.00 from
    update 300 on, and at least .86 from 2,000 on (ring, grid and swiss roll, penalty and clipping, poor fits included).
    It was 1.00 for the Adult census and for Fashion-MNIST with convolutional networks (with others .73 at 300, 1.00 at
    1,000). In an unconstrained GAN that kept two or three of eight modes it was .21 to .38, before the first update .08
    to .54. For one class of ten of Fashion-MNIST it was .36 to .48, for five .71, and for 1, 5, 10, 20 repeated images
    .19, .47, .81, .94.

    `samples` over `real` was .57 to 19 in the runs that had lost nothing, and .35 to 5 in the one that had lost most.
    By itself it shows repetition within a mode: 0 for a few repeated points, and .1 for modes a tenth as wide as they
    should be. It also shows a single repeated point in many dimensions, where all rows are equally far from one
    another. For a normal distribution in 3,072 dimensions `coverage` is then as high as .76.

    Coverage with five neighbours (Naeem et al., 2020) and recall (Kynkäänniemi et al., 2019) do not separate lost modes
    from samples a little off: they were .07 to .38 and .30 to .86 on trained rings with all modes, and .08 and .11 to
    .32 where most were lost.

    Args:
        samples: Shape (N, ...), with a single 1 in each one-hot group of a table, as rows have it.
        held_out: Shape (M, ...), in the same units; the first min(N, M) of both are used.

    Returns:
        Plain numbers; None for fewer than two of either, or if some are not finite.

    Cost: O(n² D) time, and O(n²) memory: 0.1 s for 512 images of 784 pixels, or 1,000 points, on one thread.
    """
    num = min(len(samples), len(held_out))
    fake, real = (part[:num].flatten(1).cpu() for part in (samples, held_out))
    if num < 2 or not _are_finite(fake, real):
        return None
    return Diversity(
        samples=float(_nearest(fake, fake, exclude_self=True)[0].mean()),
        real=float(_nearest(real, real, exclude_self=True)[0].mean()),
        coverage=_coverage(fake, real),
        off_support=float(_nearest(fake, real)[0].mean()),
    )


@torch.no_grad()
def memory(samples: Tensor, training: Tensor, held_out: Tensor) -> Memory | None:
    """Whether samples are copies of training rows.

    Under the null hypothesis, samples depend on the training rows only through their distribution, so that
    training and held-out rows are exchangeable. Then the nearest of all N + M rows to a sample is a held-out one with
    probability pi = M / (N + M). If a share c of the samples are copies of training rows, that share is (1 - c) pi,
    which is solved for c. Let row j be the nearest row of c_j samples, and K the number of samples. Over all
    permutations that share has the variance pi (1 - pi) ((N + M) sum c_j² - K²) / ((N + M - 1) K²). Ties between a
    training and a held-out row count as chance.

    Samples can be near training rows for other reasons, such as in the middle of a mode or between smooth images, but
    then they are as near to held-out rows. Mean distances to equally many of either are easier to read and prove less:
    where a few training rows represent many, a copy is usually one of the others.

    Measured with 512 images of Fashion-MNIST or 1,000 rows of the Adult census or points of the ring, and 64 to 29,305
    training rows to 64 to 3,256 held-out ones. `memorised` was 1.00 for copies, also with noise of .1 and .3 where a
    pixel's range is 2, and .41 to .65 where half of the samples were copies. It was 0 on average for fresh rows,
    blurred ones, samples of WGANs, uniform noise and the neighbours of one image. Over 840 permutations its deviation
    was .9 to 1.2 times `memorised_error`; without copies it was at most 3.2 errors above 0, with copies at least 7. If
    all samples crowd around one row, the error is large. The ratio of `training` to `held_out` was .00 for copies where
    there were as many training as held-out rows, but .82 to .90 where there were nine times as many. Without copies it
    was .98 to 1.01 for images and .13 to 1.4 on the ring.

    Args:
        samples: Shape (K, ...), as in `diversity`.
        training: Shape (N, ...), in the same units and in no particular order.
        held_out: Shape (M, ...), likewise.

    Returns:
        Plain numbers; None without samples or rows, or if some are not finite.

    Cost: O(K (N + M) D) time, and no more than 64 MiB beyond the rows. It takes 0.2 to 0.4 s for 512 samples and 10,000
        rows of 784 pixels on one thread.

    Source: Meehan, Chaudhuri and Dasgupta (2020) for a test of copying with three samples, whose null hypothesis is
    narrower: that samples are as near to training rows as held-out rows are.
    """
    fake, seen, unseen = (part.flatten(1).cpu() for part in (samples, training, held_out))
    if not min(map(len, (fake, seen, unseen))) or not _are_finite(fake, seen, unseen):
        return None
    alike = min(len(seen), len(unseen))
    of_seen, near_seen, which_seen = _nearest_of_two(fake, seen, alike)
    of_unseen, near_unseen, which_unseen = _nearest_of_two(fake, unseen, alike)
    share = len(unseen) / (len(seen) + len(unseen))
    is_unseen, is_tie = near_unseen < near_seen, near_unseen == near_seen
    won = is_unseen.double().masked_fill(is_tie, share)
    # Samples with the same nearest row are on the same side.
    winner = torch.where(is_unseen, len(seen) + which_unseen, which_seen)[~is_tie]
    num, crowd = len(seen) + len(unseen), float(torch.bincount(winner, minlength=1).double().square().sum())
    odds = (1.0 - share) / share * max(0.0, num * crowd - len(winner) ** 2) / (num - 1)
    return Memory(
        training=float(of_seen.mean()),
        held_out=float(of_unseen.mean()),
        memorised=float(1.0 - won.mean() / share),
        memorised_error=math.sqrt(odds) / len(fake),
    )


def _are_finite(*parts: Tensor) -> bool:
    # A finite sum has finite terms and is faster. If it overflows, so do the squares.
    return all(bool(part.sum().isfinite()) for part in parts)


def _coverage(fake: Tensor, real: Tensor) -> float:
    """The coverage, see `diversity`."""
    num = len(real)
    spread = min(num, max(FEWEST, num // SPREAD))
    seen = min(num, 2 * spread)
    among = cost_matrix(real, real).topk(seen, dim=1, largest=False).indices
    receivers = cost_matrix(fake, real).topk(spread, dim=1, largest=False).indices
    got, due = (torch.bincount(each.flatten(), minlength=num) for each in (receivers, among[:, :spread]))
    around = torch.minimum(got, due)[among].sum(dim=1)
    return float((around >= ENOUGH * due[among].sum(dim=1)).double().mean())


def _nearest_of_two(points: Tensor, rows: Tensor, first: int) -> tuple[Tensor, Tensor, Tensor]:
    """Distances to the nearest of the first rows, and to the nearest of all with its index."""
    distances, which = _nearest(points, rows[:first])
    if first == len(rows):
        return distances, distances, which
    others, which_other = _nearest(points, rows[first:])
    is_nearer = others < distances
    return distances, torch.where(is_nearer, others, distances), torch.where(is_nearer, first + which_other, which)


def _nearest(points: Tensor, rows: Tensor, *, exclude_self: bool = False) -> tuple[Tensor, Tensor]:
    """The distance from each point to the nearest row, and the index of that row.

    Args:
        points: Shape (N, D), on the CPU.
        rows: Shape (M, D).
        exclude_self: Whether points are the rows themselves, so that each is not compared with itself.

    Returns:
        Shapes (N,), float64, and (N,), int64. In many dimensions the nearest row is found in float32 relative to a
        common centre. Its distance is computed from differences in float64.
    """
    wide = points.shape[1] >= _PRODUCT_DIMENSIONS
    # Centring preserves digits in float32.
    centre = points.mean(dim=0).float()
    best = torch.full((len(points),), math.inf, dtype=torch.float32 if wide else torch.float64, device="cpu")
    which = torch.zeros(len(points), dtype=torch.int64, device="cpu")
    step = max(1, _AT_ONCE // max(len(points), points.shape[1]))
    about = points.float() - centre if wide else points.double()
    for start in range(0, len(rows), step):
        block = rows[start : start + step]
        if wide:
            block = block.float() - centre
            costs = torch.addmm(block.square().sum(dim=1), about, block.T, alpha=-2.0)
        else:
            costs = torch.cdist(about, block.double(), compute_mode="donot_use_mm_for_euclid_dist")
        if exclude_self:
            inside = torch.arange(start, start + len(block), device="cpu")
            costs[inside, inside - start] = math.inf
        lowest, where = costs.min(dim=1)
        nearer = lowest < best
        best, which = torch.where(nearer, lowest, best), torch.where(nearer, start + where, which)
    return torch.linalg.vector_norm(points.double() - rows[which].double(), dim=1), which
