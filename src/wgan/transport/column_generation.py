"""Exact transport over few pairs: those that potentials find too dear are added until none is left."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor

from wgan.randomness import Randomness
from wgan.transport.costs import without_forbidden
from wgan.transport.proving import is_exact_enough, prove, source_transform
from wgan.transport.refinement import refine
from wgan.transport.solvers import Solved, network_simplex, sparse_network_simplex

LEAF = 300
"""At most so many points on the smaller side are solved over all pairs at once."""

_BLOCK = 64
"""Rows that are handled together: with some thousands of columns they stay in a core's cache."""

_SHARE = 4
"""One point in so many makes the coarse problem."""

_PAIRS = 40
"""Pairs of each point to begin with, and about the most that are added for each at a time."""

_SAMPLE = 256
"""Rows or columns in which the thresholds of each point are read off."""

_PRICED = 64
"""Rows in which the threshold of a round is read off."""

_TIED = 1e-9
"""Reduced costs that differ by this share are one."""

_TOLERANCE = 1e-12
_COARSE_TOLERANCE = 1e-3
"""Of the duality gap, in units of the largest cost."""

_MAX_ROUNDS = 200


def column_generation(costs: Tensor, source: Tensor, target: Tensor) -> Solved:
    """Solve the transport problem over a growing set of pairs.

    A quarter of the points, solved first, has nearly the potentials of all, and the pairs that are nearly tight under
    those are enough to begin with. The potentials of each answer are either feasible for all pairs, which proves the
    answer, or they name the pairs that are missing.

    Args:
        costs: Shape (N, M), float64, on the CPU, at least 0; infinite for forbidden pairs.
        source: Weights, shape (N,), above 0.
        target: Weights, shape (M,), above 0.

    Returns:
        The plan and its potentials. Each round costs O(N M) for the check, and the network simplex on the chosen pairs;
        memory is O(N + M) beside the costs. Where rounding hides the pairs that are missing, all are taken at once, and
        where costs differ too much in size for plain float64, `refine` goes on from there.

    Raises:
        UsageError: Every plan needs forbidden pairs.
        NumericError: The network simplex stopped short of the optimum, or the gap is more than rounding leaves.

    Source: column generation is Gilmore and Gomory's (1961); to start from a coarser problem, Schmitzer (2016).
    """
    found = _generated(without_forbidden(costs), source, target, _TOLERANCE)
    if is_exact_enough(costs, source, target, found) and prove(costs, source, target, found).holds:
        return found
    return refine(costs, source, target, found)[0]


def _generated(costs: Tensor, source: Tensor, target: Tensor, tolerance: float) -> Solved:
    """Solve up to a gap in units of the largest cost; all pairs are allowed."""
    if min(costs.shape) <= LEAF:
        return network_simplex(costs, source, target)
    allowed = tolerance * float(costs.max())
    rng = Randomness(0).at("points of the coarse problem")
    codes = _first_pairs(costs, source, target, rng)
    flat, num_columns = costs.reshape(-1), costs.shape[1]
    looked_at = _some(len(costs), _PRICED, rng)
    start = None
    for _ in range(_MAX_ROUNDS):
        rows = torch.div(codes, num_columns, rounding_mode="floor")
        found = sparse_network_simplex(rows, codes - rows * num_columns, flat[codes], source, target, start)
        # Degenerate plans leave a large constant, up on one side and down on the other, next to which gaps are rounded.
        shift = found.source_potential.median()
        f, g = start = found.source_potential - shift, found.target_potential + shift
        missing, feasible = _price(costs, f, g, looked_at)
        if found.cost - float(source @ f + target @ feasible) <= allowed:
            return Solved(
                rows=found.rows,
                columns=found.columns,
                masses=found.masses,
                potentials=(f, feasible),
                solver="column generation (POT, network simplex)",
            )
        if not len(missing):
            break
        # A pair of the problem is never priced below 0 in it, so that none is added twice.
        codes = torch.cat([codes, missing])
    return network_simplex(costs, source, target)


def _first_pairs(costs: Tensor, source: Tensor, target: Tensor, rng: torch.Generator) -> Tensor:
    """Codes (row · M + column) of pairs nearly tight under coarse potentials, and of a plan that is always possible."""
    num_rows, num_columns = costs.shape
    f, g = _coarse_potentials(costs, source, target, rng)
    some = _some(num_columns, _SAMPLE, rng)
    rank = max(2, _PAIRS * len(some) // num_columns)
    row_limit = f + _ranked((costs[:, some] - g[some]).sub_(f[:, None]), rank)
    some = _some(num_rows, _SAMPLE, rng)
    rank = max(2, _PAIRS * len(some) // num_rows)
    column_limit = g + _ranked((costs[some] - f[some, None]).sub_(g).T, rank)
    codes = [_staircase(source, target)]
    for begin, block in _blocks(costs):
        end = begin + len(block)
        is_near = (block - g < row_limit[begin:end, None]).logical_or_(block - f[begin:end, None] < column_limit)
        codes.append(is_near.view(-1).nonzero().flatten() + begin * num_columns)
    found: Tensor = torch.unique(torch.cat(codes))
    return found


def _coarse_potentials(costs: Tensor, source: Tensor, target: Tensor, rng: torch.Generator) -> tuple[Tensor, Tensor]:
    """Feasible potentials of all points, by c-transforms from those of a part of them."""
    rows, columns = (_some(size, max(size // _SHARE, 1), rng) for size in costs.shape)
    some_source, some_target = (part / part.sum() for part in (source[rows], target[columns]))
    coarse = _generated(costs[rows][:, columns].contiguous(), some_source, some_target, _COARSE_TOLERANCE)
    assert coarse.potentials is not None
    g = source_transform(costs[rows], coarse.potentials[0])
    f = torch.cat([(block - g).amin(dim=1) for _, block in _blocks(costs)])
    return f, source_transform(costs, f)


def _staircase(source: Tensor, target: Tensor) -> Tensor:
    """Codes of the pairs that the north-west corner rule uses: at most N + M - 1, over which a plan is possible."""
    levels = (
        torch.cat([torch.zeros(1, dtype=torch.float64, device="cpu"), source.cumsum(0)[:-1], target.cumsum(0)[:-1]])
        .sort()
        .values
    )
    rows = torch.searchsorted(source.cumsum(0)[:-1].contiguous(), levels, right=True)
    columns = torch.searchsorted(target.cumsum(0)[:-1].contiguous(), levels, right=True)
    # Between the two steps of a level that rounding splits, or that both sides share, both corners are kept.
    corners = [(rows, columns), (rows[1:], columns[:-1]), (rows[:-1], columns[1:])]
    return torch.cat([row * len(target) + column for row, column in corners])


def _price(costs: Tensor, f: Tensor, g: Tensor, looked_at: Tensor) -> tuple[Tensor, Tensor]:
    """The pairs that f and g overrate the most, as codes, and the largest target potential that is feasible with f."""
    num_columns = costs.shape[1]
    reduced = (costs[looked_at] - f[looked_at, None]).sub_(g).flatten()
    limit = _ranked(reduced, max(1, _PAIRS * len(reduced) // num_columns))
    # Pairs tied at the limit count, since all may be tied. The last number is far below the tolerance, and above what
    # rounding makes of a tight pair.
    threshold = g + (limit + _TIED * limit.abs()).clamp(max=-1e-14 * float(costs.max()))
    feasible, missing = g.clone(), []
    for begin, block in _blocks(costs):
        rest = block - f[begin : begin + len(block), None]
        torch.minimum(feasible, rest.amin(dim=0), out=feasible)
        missing.append((rest < threshold).view(-1).nonzero().flatten() + begin * num_columns)
    return torch.cat(missing), feasible


def _blocks(costs: Tensor) -> Iterator[tuple[int, Tensor]]:
    for begin in range(0, len(costs), _BLOCK):
        yield begin, costs[begin : begin + _BLOCK]


def _some(size: int, most: int, rng: torch.Generator) -> Tensor:
    """At most so many of `size` numbers, at random, in ascending order."""
    return torch.randperm(size, generator=rng, device=rng.device)[:most].sort().values


def _ranked(values: Tensor, rank: int) -> Tensor:
    """The number of that rank, the smallest being 1, along the last dimension."""
    # NumPy selects several times faster than torch on a CPU.
    return torch.from_numpy(np.asarray(np.partition(values.numpy(), rank - 1, axis=-1)[..., rank - 1]))
