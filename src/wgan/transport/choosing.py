"""Which solver suits a transport problem: the one that was measured to be the fastest for its kind."""

from __future__ import annotations

import torch
from torch import Tensor

from wgan.transport.column_generation import column_generation
from wgan.transport.refinement import Solver
from wgan.transport.solvers import assignment, network_simplex

# Where the measured times cross on one thread, with POT 0.9.7 and lapx 0.11: see `make bench` and docs/decisions.md.
_SMALL = 200
_LARGE = 1000
_FLAT = 3
_ASSIGNED_IF_UPON = 1000
_ASSIGNED_IF_NARROW = 700
_ASSIGNED_IF_WIDE = 1500
_WIDE = 0.35
_CROWDED = 0.6
_UPON = 2.2
_OFFSET = 4.0
_SPREAD = 2.0
_APART = 3.2
_LOOKED_AT = 64


def choose(costs: Tensor, points: tuple[Tensor, Tensor] | None, *, is_assignment: bool) -> Solver:
    """The solver that was measured to be the fastest for such a problem.

    Args:
        costs: Shape (N, M).
        points: Shapes (N, D) and (M, D); None where there are only costs, which then show the dimension: the higher it
            is, the nearer to the mean cost is the least.
        is_assignment: As many points on both sides, all of equal weight.

    Returns:
        The solver.
    """
    size = min(costs.shape)
    if size < _SMALL:
        return assignment if is_assignment else network_simplex
    if points is not None and points[0].shape[1] <= _FLAT:
        return _choose_if_flat(costs, is_assignment=is_assignment, is_upon=_is_upon(*points))
    nearest, is_crowded = _look(costs)
    if nearest > _WIDE:
        is_easy = is_assignment and size <= (_ASSIGNED_IF_NARROW if is_crowded else _ASSIGNED_IF_WIDE)
        return assignment if is_easy else column_generation
    if points is None:
        return _choose_if_flat(costs, is_assignment=is_assignment, is_upon=_separation(costs) < _UPON)
    return assignment if is_assignment and size <= _ASSIGNED_IF_NARROW else column_generation


def _choose_if_flat(costs: Tensor, *, is_assignment: bool, is_upon: bool) -> Solver:
    """The choice in few dimensions, where assignment solvers fail as soon as the two sets part."""
    size = min(costs.shape)
    if is_assignment and is_upon and size <= _ASSIGNED_IF_UPON:
        return assignment
    if size < _LARGE or _look(costs)[1] or _separation(costs) > _APART:
        return network_simplex
    return column_generation


def _look(costs: Tensor) -> tuple[float, bool]:
    """The mean least cost of some sources in units of the mean cost, and whether few targets are nearest to most.

    The first grows with the dimension. The second tells sets side by side from sets upon one another.
    """
    some = costs[:: len(costs) // _LOOKED_AT]
    nearest, where = some.min(dim=1)
    mean = float(some.mean())
    is_crowded = len(torch.unique(where)) < _CROWDED * len(where)
    return (float(nearest.mean()) / mean if mean > 0 else 0.0), is_crowded


def _is_upon(x: Tensor, y: Tensor) -> bool:
    """Whether two sets have the same mean, as far as sampling tells, and much the same variance."""
    (x_variance, x_mean), (y_variance, y_mean) = (torch.var_mean(side, dim=0, correction=0) for side in (x, y))
    offset, *variances = torch.stack([(x_mean - y_mean).square().sum(), x_variance.sum(), y_variance.sum()]).tolist()
    expected = variances[0] / len(x) + variances[1] / len(y)
    return bool(offset < _OFFSET * expected and max(variances) < _SPREAD * min(variances))


def _separation(costs: Tensor) -> float:
    """The mean cost of an assignment between a few points, in units of the mean cost to the nearest of them."""
    from scipy.optimize import linear_sum_assignment

    size = min(_LOOKED_AT, *costs.shape)
    few = costs[:: len(costs) // size, :: costs.shape[1] // size][:size, :size].numpy()
    rows, columns = linear_sum_assignment(few)
    nearest = float(few.min(axis=1).mean())
    return float(few[rows, columns].mean()) / nearest if nearest > 0 else 1.0
