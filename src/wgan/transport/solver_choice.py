"""The choice of the exact solver: the fastest in measurements for each kind of problem."""

from __future__ import annotations

import torch
from torch import Tensor

from wgan.transport.column_generation import column_generation
from wgan.transport.refinement import Solver
from wgan.transport.solvers import assignment, network_simplex

# Thresholds at which the measured times cross, on one thread with POT 0.9.7 and lapx 0.11: see `make bench` and
# docs/decisions.md. Sizes are points on the smaller side.
_SMALL_SIZE = 200
_LARGE_SIZE = 1000
_LOW_DIMENSION = 3
_MAX_ASSIGNMENT_OVERLAPPING = 1000
_MAX_ASSIGNMENT_CROWDED = 700
_MAX_ASSIGNMENT_SPREAD = 1500
_HIGH_DIMENSIONAL = 0.35
_CROWDED = 0.6
_OVERLAPPING = 2.2
_MAX_OFFSET = 4.0
_MAX_VARIANCE_RATIO = 2.0
_SEPARATED = 3.2
_NUM_PROBED = 64


def choose_solver(costs: Tensor, points: tuple[Tensor, Tensor] | None, *, is_assignment: bool) -> Solver:
    """The solver that was measured to be the fastest for such a problem.

    Args:
        costs: Shape (N, M).
        points: Shapes (N, D) and (M, D); None if only costs are known. The dimension is then estimated from the costs:
            in high dimensions the least cost of a point is close to its mean cost.
        is_assignment: Whether both sides have the same number of points, all of equal weight.
    """
    size = min(costs.shape)
    if size < _SMALL_SIZE:
        return assignment if is_assignment else network_simplex
    if points is not None and points[0].shape[1] <= _LOW_DIMENSION:
        return _choose_in_low_dimension(costs, is_assignment=is_assignment, is_overlapping=_is_overlapping(*points))
    nearest, is_crowded = _nearest_costs(costs)
    if nearest > _HIGH_DIMENSIONAL:
        is_easy = is_assignment and size <= (_MAX_ASSIGNMENT_CROWDED if is_crowded else _MAX_ASSIGNMENT_SPREAD)
        return assignment if is_easy else column_generation
    if points is None:
        is_overlapping = _separation(costs) < _OVERLAPPING
        return _choose_in_low_dimension(costs, is_assignment=is_assignment, is_overlapping=is_overlapping)
    return assignment if is_assignment and size <= _MAX_ASSIGNMENT_CROWDED else column_generation


def _choose_in_low_dimension(costs: Tensor, *, is_assignment: bool, is_overlapping: bool) -> Solver:
    """The choice in few dimensions, where assignment solvers become slow as soon as the two sets separate."""
    size = min(costs.shape)
    if is_assignment and is_overlapping and size <= _MAX_ASSIGNMENT_OVERLAPPING:
        return assignment
    if size < _LARGE_SIZE or _nearest_costs(costs)[1] or _separation(costs) > _SEPARATED:
        return network_simplex
    return column_generation


def _nearest_costs(costs: Tensor) -> tuple[float, bool]:
    """The mean least cost of some sources divided by the mean cost, and whether few targets are nearest to most.

    The first grows with the dimension. The second tells separated sets from overlapping ones.
    """
    probed = costs[:: len(costs) // _NUM_PROBED]
    nearest, where = probed.min(dim=1)
    mean = float(probed.mean())
    is_crowded = len(torch.unique(where)) < _CROWDED * len(where)
    return (float(nearest.mean()) / mean if mean > 0 else 0.0), is_crowded


def _is_overlapping(x: Tensor, y: Tensor) -> bool:
    """Whether two sets have the same mean up to sampling error, and similar variances."""
    (x_variance, x_mean), (y_variance, y_mean) = (torch.var_mean(points, dim=0, correction=0) for points in (x, y))
    offset, *variances = torch.stack([(x_mean - y_mean).square().sum(), x_variance.sum(), y_variance.sum()]).tolist()
    expected = variances[0] / len(x) + variances[1] / len(y)
    return bool(offset < _MAX_OFFSET * expected and max(variances) < _MAX_VARIANCE_RATIO * min(variances))


def _separation(costs: Tensor) -> float:
    """The mean cost of an optimal assignment of a few points, divided by their mean cost to the nearest target."""
    from scipy.optimize import linear_sum_assignment

    size = min(_NUM_PROBED, *costs.shape)
    probed = costs[:: len(costs) // size, :: costs.shape[1] // size][:size, :size].numpy()
    rows, columns = linear_sum_assignment(probed)
    nearest = float(probed.min(axis=1).mean())
    return float(probed[rows, columns].mean()) / nearest if nearest > 0 else 1.0
