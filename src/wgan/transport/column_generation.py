"""Exact transport by column generation: add pairs of negative reduced cost until none is left."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from wgan.randomness import Randomness
from wgan.transport.arithmetic import row_blocks
from wgan.transport.certificates import c_transform, certify, is_rounding_negligible
from wgan.transport.costs import replace_forbidden
from wgan.transport.refinement import refine
from wgan.transport.solvers import Solution, network_simplex, sparse_network_simplex

MAX_DENSE_SIZE = 300
"""Problems with at most this many points on the smaller side are solved over all pairs at once."""

_COARSENING = 4
"""The coarse problem has one in this many points."""

_PAIRS = 40
"""Initial pairs of each point, and about the most pairs added for each point in a round."""

_SAMPLE = 256
"""Rows or columns sampled to estimate the thresholds of each point."""

_PRICED = 64
"""Rows sampled to estimate the threshold of a round."""

_TIED = 1e-9
"""The relative difference up to which reduced costs count as equal."""

_TOLERANCE = 1e-12
_COARSE_TOLERANCE = 1e-3
"""Tolerances of the duality gap, in units of the largest cost."""

_MAX_ROUNDS = 200


def column_generation(costs: Tensor, source: Tensor, target: Tensor) -> Solution:
    """Solve the transport problem over a growing set of pairs.

    A quarter of the points is solved first. Its potentials are close to those of all points, and the pairs that are
    nearly tight under them are the initial set. The potentials of each solution are either feasible for all pairs,
    which proves that it is optimal, or show which pairs to add.

    Args:
        costs: Shape (N, M), float64, on the CPU, at least 0; infinite for forbidden pairs.
        source: Weights, shape (N,), above 0.
        target: Weights, shape (M,), above 0.

    Returns:
        The plan and its potentials. Each round costs O(N M) for the check plus a network simplex on the selected pairs;
        memory is O(N + M) besides the costs. If rounding hides the missing pairs, all pairs are used at once. If the
        magnitudes of the costs differ too much for float64, `refine` continues from the solution.

    Raises:
        UsageError: Every plan needs forbidden pairs.
        NumericError: The network simplex stopped before the optimum, or the gap is larger than rounding explains.

    Source: Gilmore and Gomory (1961) for column generation; Schmitzer (2016) for starting from a coarser problem.
    """
    found = _generate(replace_forbidden(costs), source, target, _TOLERANCE)
    if is_rounding_negligible(costs, source, target, found) and certify(costs, source, target, found).optimal:
        return found
    return refine(costs, source, target, found)[0]


def _generate(costs: Tensor, source: Tensor, target: Tensor, tolerance: float) -> Solution:
    """Solve up to a gap in units of the largest cost; all pairs are allowed."""
    if min(costs.shape) <= MAX_DENSE_SIZE:
        return network_simplex(costs, source, target)
    allowed = tolerance * float(costs.max())
    rng = Randomness(0).at("points of the coarse problem")
    codes = _first_pairs(costs, source, target, rng)
    flat, num_columns = costs.reshape(-1), costs.shape[1]
    priced = _sample(len(costs), _PRICED, rng)
    start = None
    for _ in range(_MAX_ROUNDS):
        rows = torch.div(codes, num_columns, rounding_mode="floor")
        found, cost = sparse_network_simplex(rows, codes - rows * num_columns, flat[codes], source, target, start)
        assert found.potentials is not None
        f, g = found.potentials
        # Degenerate plans leave a large constant, added to f and subtracted from g, whose rounding would hide the gap.
        shift = f.median()
        f, g = start = f - shift, g + shift
        missing, feasible = _price(costs, f, g, priced)
        if cost - float(source @ f + target @ feasible) <= allowed:
            return replace(found, potentials=(f, feasible), solver="column generation (POT, network simplex)")
        if not len(missing):
            break
        # Pairs already in the problem have reduced costs of at least 0, so no pair is added twice.
        codes = torch.cat([codes, missing])
    return network_simplex(costs, source, target)


def _first_pairs(costs: Tensor, source: Tensor, target: Tensor, rng: torch.Generator) -> Tensor:
    """Codes (row · M + column) of the pairs nearly tight under coarse potentials, and of a feasible plan."""
    num_rows, num_columns = costs.shape
    f, g = _coarse_potentials(costs, source, target, rng)
    sample = _sample(num_columns, _SAMPLE, rng)
    rank = max(2, _PAIRS * len(sample) // num_columns)
    row_limit = f + _order_statistic((costs[:, sample] - g[sample]).sub_(f[:, None]), rank)
    sample = _sample(num_rows, _SAMPLE, rng)
    rank = max(2, _PAIRS * len(sample) // num_rows)
    column_limit = g + _order_statistic((costs[sample] - f[sample, None]).sub_(g).T, rank)
    codes = [_north_west_corner(source, target)]
    for rows in row_blocks(num_rows):
        block = costs[rows]
        is_near = (block - g < row_limit[rows, None]).logical_or_(block - f[rows, None] < column_limit)
        codes.append(is_near.view(-1).nonzero().flatten() + rows.start * num_columns)
    found: Tensor = torch.unique(torch.cat(codes))
    return found


def _coarse_potentials(costs: Tensor, source: Tensor, target: Tensor, rng: torch.Generator) -> tuple[Tensor, Tensor]:
    """Feasible potentials of all points, by c-transforms of those of the coarse problem."""
    rows, columns = (_sample(size, max(size // _COARSENING, 1), rng) for size in costs.shape)
    coarse_source, coarse_target = (weights / weights.sum() for weights in (source[rows], target[columns]))
    coarse = _generate(costs[rows][:, columns].contiguous(), coarse_source, coarse_target, _COARSE_TOLERANCE)
    assert coarse.potentials is not None
    g = c_transform(costs[rows], coarse.potentials[0])
    f = torch.cat([(costs[block] - g).amin(dim=1) for block in row_blocks(len(costs))])
    return f, c_transform(costs, f)


def _north_west_corner(source: Tensor, target: Tensor) -> Tensor:
    """Codes of the pairs of the north-west corner rule, over which a plan is feasible."""
    levels = (
        torch.cat([torch.zeros(1, dtype=torch.float64, device="cpu"), source.cumsum(0)[:-1], target.cumsum(0)[:-1]])
        .sort()
        .values
    )
    rows = torch.searchsorted(source.cumsum(0)[:-1].contiguous(), levels, right=True)
    columns = torch.searchsorted(target.cumsum(0)[:-1].contiguous(), levels, right=True)
    # Where rounding splits a level, or both sides share it, both corners are kept.
    corners = [(rows, columns), (rows[1:], columns[:-1]), (rows[:-1], columns[1:])]
    return torch.cat([row * len(target) + column for row, column in corners])


def _price(costs: Tensor, f: Tensor, g: Tensor, priced: Tensor) -> tuple[Tensor, Tensor]:
    """Codes of the pairs of most negative reduced cost, and the largest target potential that is feasible with f."""
    num_columns = costs.shape[1]
    reduced = (costs[priced] - f[priced, None]).sub_(g).flatten()
    limit = _order_statistic(reduced, max(1, _PAIRS * len(reduced) // num_columns))
    # Pairs tied at the limit are included, since all may be tied. The bound -1e-14 is far below the tolerance, and
    # above the rounding error of a tight pair.
    threshold = g + (limit + _TIED * limit.abs()).clamp(max=-1e-14 * float(costs.max()))
    feasible, missing = g.clone(), []
    for rows in row_blocks(len(costs)):
        rest = costs[rows] - f[rows, None]
        torch.minimum(feasible, rest.amin(dim=0), out=feasible)
        missing.append((rest < threshold).view(-1).nonzero().flatten() + rows.start * num_columns)
    return torch.cat(missing), feasible


def _sample(size: int, most: int, rng: torch.Generator) -> Tensor:
    """At most `most` of `size` indices, at random, in ascending order."""
    return torch.randperm(size, generator=rng, device=rng.device)[:most].sort().values


def _order_statistic(values: Tensor, rank: int) -> Tensor:
    """The `rank`-th smallest value along the last dimension, counted from 1."""
    # On a CPU NumPy's partition is several times faster than torch's.
    return torch.from_numpy(np.asarray(np.partition(values.numpy(), rank - 1, axis=-1)[..., rank - 1]))
