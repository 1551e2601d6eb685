"""Whether samples are as various as the data, and whether they are new: what a distance alone does not tell apart.

A generator that repeats itself has collapsed; one that repeats the rows that it was trained on has learnt them by
heart. Both are seen in distances between samples and rows, and neither needs a critic.
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
"""A sample stands for held-out rows near it: one in so many of all, the nearest; and what it should stand for is looked
for around each held-out row among twice as many."""

FEWEST = 8
"""Held-out rows that a sample stands for at least; of fewer than `SPREAD` times as many rows, less can be told."""

ENOUGH = 0.2
"""Share of what should be around a held-out row from which on it counts as reached."""

MOST_ROWS = 32_768
"""Rows of each kind, at most, among which copies are looked for."""

_ENTRIES = 2**24  # of rows of each kind, at most: 64 MiB in float32
_AT_ONCE = 2**22  # distances, and entries of rows, in one block: 16 MiB in float32
_PRODUCT_DIMENSIONS = 16


@dataclass(frozen=True, kw_only=True)
class Diversity:
    """How various samples are, beside held-out rows of the same number.

    Attributes:
        samples: Mean distance from a sample to the nearest other one, in the units of the points.
        real: The same among held-out rows.
        coverage: Share of the held-out rows around which there are samples.
        off_support: Mean distance from a sample to the nearest held-out row. If it is far below W1, samples lie where
            the data is, with too many of them in some places and too few in others.
    """

    samples: float
    real: float
    coverage: float
    off_support: float


@dataclass(frozen=True, kw_only=True)
class Memory:
    """How near samples are to the rows trained on, beside rows that training never saw.

    Attributes:
        training: Mean distance from a sample to the nearest of some training rows, in the units of the points.
        held_out: The same to the nearest of as many held-out rows: equal, but for chance, whatever the generator makes,
            unless it knows the training rows themselves.
        memorised: Share of the samples that are nearer to a training row than by chance: 0 in the mean where
            nothing is copied, however poor or narrow the samples are; 1 where all is, so that no sample has a held-out
            row for its neighbour; below 0 where they are nearer to held-out rows.
        memorised_error: The standard error of `memorised` where nothing is copied.
    """

    training: float
    held_out: float
    memorised: float
    memorised_error: float


@dataclass(frozen=True, kw_only=True)
class Reference:
    """Rows among which copies are looked for, as many of each kind as there are, up to a bound.

    Attributes:
        training: Shape (N, *layout.shape), float32, on the CPU.
        held_out: Shape (M, *layout.shape).
    """

    training: Tensor
    held_out: Tensor

    @classmethod
    def of(cls, source: Source, *, seed: int, most: int = MOST_ROWS) -> Reference | None:
        """Draw them without repetition.

        Args:
            source: The data.
            seed: What decides which, where not all are taken.
            most: Rows of each kind, at most; and no more than 16 million entries. Where training rows are left out,
                `Memory.memorised` is of those that were not.

        Returns:
            None for a source that never repeats itself, which cannot be memorised, or where no rows were held
            out.
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
    """How various samples are.

    The mean distance to the nearest other sample falls where a generator repeats itself, but says nothing of where
    samples are: one that has lost six of eight modes and is blurred in the others leaves more room than the data. So
    each sample is handed out to the held-out rows that are nearest to it, n / `SPREAD` of them, as if it were one of
    them, and a held-out row is reached if, among the twice as many rows nearest to it, enough was handed out: at least
    a share `ENOUGH` of what these rows would get of one another, where no row counts for more than it would get,
    however many samples crowd around it. A sample that missed the data by a little is thus counted where it nearly is,
    and a mode that came out too narrow or too wide is there: what is not reached is lost.

    Measured with 1,000 points or 512 images. `coverage` was 1.00 for real rows, and for modes out of 8 on a ring, 25 on
    a grid, at .1, .3, 1 and 2 times their width, the share of the modes that were left: 1/8 .13, 2/8 .26, 4/8 .53, 6/8
    .78, 7/8 .89; 3/25 .14, 12/25 .52, 22/25 .92. In games that had lost nothing it was .76 to 1.00 from update 300 on
    (ring, grid and swiss roll under penalty and clipping, poor fits included), .86 and more from 2,000 on, and 1.00 for
    the Adult census and for clothes by convolutional networks (by others .73 at 300, 1.00 at 1,000); in a free GAN that
    kept two or three of eight modes .21 to .38; before the first update .08 to .54. For clothes of one class in ten it
    was .36 to .48, of five .71, and for 1, 5, 10, 20 pictures over and over .19, .47, .81, .94.

    `samples` over `real` was .57 to 19 in those games that had lost nothing, and .35 to 5 in the one that had lost
    most: alone it shows repetition within a mode, as 0 for a few points over and over, and .1 for modes a tenth as
    wide as they should be. It is also what shows a single point in so many dimensions that all rows are equally far
    from all others, as in a normal distribution of 3,072, where `coverage` is as high as .76.

    Coverage with five neighbours (Naeem et al., 2020) and recall (Kynkäänniemi et al., 2019) do not tell what is lost
    from what is a little beside: they were .07 to .38 and .30 to .86 on trained rings with all modes there, and .08 and
    .11 to .32 where most were lost.

    Args:
        samples: Shape (N, ...). In a table's one-hot groups a single 1, as rows have it: probabilities are apart from
            all rows.
        held_out: Shape (M, ...), in the same units; of both the first min(N, M) are looked at.

    Returns:
        Plain numbers; None of fewer than two of either, or where some are not finite.

    Cost: O(n² D) time, and O(n²) memory: 0.1 s for 512 images of 784 pixels, or 1,000 points, on one thread.
    """
    num = min(len(samples), len(held_out))
    fake, real = (part[:num].flatten(1).cpu() for part in (samples, held_out))
    if num < 2 or not _are_finite(fake, real):
        return None
    return Diversity(
        samples=float(_nearest(fake, fake, apart=True)[0].mean()),
        real=float(_nearest(real, real, apart=True)[0].mean()),
        coverage=_reached(fake, real),
        off_support=float(_nearest(fake, real)[0].mean()),
    )


@torch.no_grad()
def memory(samples: Tensor, training: Tensor, held_out: Tensor) -> Memory | None:
    """Whether samples are copies of training rows.

    Where a generator knows of the training rows no more than what they are drawn from, they and the held-out rows are
    to it as if they had been dealt at random, whatever it makes. The nearest of all N + M rows to a sample is then a
    held-out one with probability pi = M / (N + M). If a share c of the samples are copies of training rows, that
    happens to (1 - c) pi of them, which is solved for c. Over all ways to deal, the variance is known: with c_j samples
    whose nearest row is row j, K in all, that of their share is pi (1 - pi) ((N + M) sum c_j² - K²) / ((N + M - 1) K²).
    Where a training and a held-out row are equally near, chance decides.

    Samples may be near to training rows for other reasons too, in the middle of a mode, or where pictures are smooth,
    but then they are as near to held-out ones. Mean distances to equally many of either are easier to read and prove
    less: where a few of many training rows stand for all, a copy is most often of another.

    Measured with 512 pictures of clothes or 1,000 rows of the Adult census or points of the ring, and 64 to 29,305
    training rows to 64 to 3,256 held-out ones: `memorised` was 1.00 for copies, also under noise of .1 and .3 where a
    pixel's range is 2, .41 to .65 where half of them were copies, and for fresh rows, blurred ones, samples of WGANs,
    uniform noise and the neighbours of one picture 0 on average. Over 840 ways to deal the rows it strayed by .9 to 1.2
    of `memorised_error`, and never led more than 3.2 of it above 0, while copies were at least 7 above it. Where all
    samples crowd around one row, it is the error that says that nothing can be known. The ratio of `training` to
    `held_out` was .00 for copies where there were as many training as held-out rows, but .82 to .90 where they were
    nine times as many, and of samples that knew nothing .98 to 1.01 for pictures and .13 to 1.4 on the ring.

    Args:
        samples: Shape (K, ...), as in `diversity`.
        training: Shape (N, ...), in the same units and in no particular order.
        held_out: Shape (M, ...), likewise.

    Returns:
        Plain numbers; None without samples or rows, or where some are not finite.

    Cost: O(K (N + M) D) time; no more than 64 MiB beyond the rows: 0.2 to 0.4 s for 512 samples and 10,000 rows of 784
        pixels on one thread.

    Source: Meehan, Chaudhuri and Dasgupta (2020) for the test of copying by three samples, whose null hypothesis is
    narrower: that samples lie as near to training rows as held-out rows do.
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
    # By rows: all samples that one row is the nearest to fall to one side together.
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
    # A finite sum has finite terms, and is found sooner; one beyond float32 belongs to numbers that cannot be squared.
    return all(bool(part.sum().isfinite()) for part in parts)


def _reached(fake: Tensor, real: Tensor) -> float:
    """See `diversity`."""
    num = len(real)
    spread = min(num, max(FEWEST, num // SPREAD))
    seen = min(num, 2 * spread)
    among = cost_matrix(real, real).topk(seen, dim=1, largest=False).indices
    receivers = cost_matrix(fake, real).topk(spread, dim=1, largest=False).indices
    got, due = (torch.bincount(each.flatten(), minlength=num) for each in (receivers, among[:, :spread]))
    around = torch.minimum(got, due)[among].sum(dim=1)
    return float((around >= ENOUGH * due[among].sum(dim=1)).double().mean())


def _nearest_of_two(points: Tensor, rows: Tensor, first: int) -> tuple[Tensor, Tensor, Tensor]:
    """Distances to the nearest of the first rows, and to the nearest of all, with its number."""
    distances, which = _nearest(points, rows[:first])
    if first == len(rows):
        return distances, distances, which
    others, which_other = _nearest(points, rows[first:])
    is_nearer = others < distances
    return distances, torch.where(is_nearer, others, distances), torch.where(is_nearer, first + which_other, which)


def _nearest(points: Tensor, rows: Tensor, *, apart: bool = False) -> tuple[Tensor, Tensor]:
    """The distance from each point to the nearest row, and that row's number.

    Args:
        points: Shape (N, D), on the CPU.
        rows: Shape (M, D).
        apart: Whether points are the rows themselves, each of which is no neighbour of its own.

    Returns:
        Shapes (N,), float64, and (N,), int64. In many dimensions which row is the nearest is decided in float32, up to
        what that tells apart about the common centre; its distance is computed from differences.
    """
    wide = points.shape[1] >= _PRODUCT_DIMENSIONS
    # Any centre will do that is near both: about it float32 has digits to spare.
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
        if apart:
            inside = torch.arange(start, start + len(block), device="cpu")
            costs[inside, inside - start] = math.inf
        lowest, where = costs.min(dim=1)
        nearer = lowest < best
        best, which = torch.where(nearer, lowest, best), torch.where(nearer, start + where, which)
    return torch.linalg.vector_norm(points.double() - rows[which].double(), dim=1), which
