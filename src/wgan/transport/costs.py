"""What it costs to move a unit of mass from one point to another."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Literal, TypeAlias

import numpy as np
import torch
from torch import Tensor

from wgan.errors import NumericError, UsageError
from wgan.transport.measures import Array, as_float64, as_pair, check_power, refuse_beyond_memory

Cost: TypeAlias = Literal["euclidean", "squared", "manhattan"] | Callable[[Tensor, Tensor], Tensor] | Array
"""A distance by name, a function from points (N, D) and (M, D) to costs (N, M), or the matrix itself."""

NAMED = ("euclidean", "squared", "manhattan")

# Below this share of the squared norms a squared distance from a matrix product has lost too many digits.
_CANCELLED = 1e-4
# From here on a matrix product is faster than differences, the repair of cancelled entries included.
_PRODUCT_DIMENSIONS = 16
_REPAIRED_AT_ONCE = 2**22


def cost_matrix(x: Array | None, y: Array | None, cost: Cost = "euclidean", p: float = 1.0) -> Tensor:
    """The cost d(x_i, y_j)^p of every pair, in float64 and right far from the origin.

    Differences are taken before squares, so that a common offset costs no digits; in many dimensions a matrix product
    of centred points does the same work faster, and the entries in which digits cancel are computed again.

    Args:
        x: Points, shape (N, D); None with a matrix.
        y: Points, shape (M, D); None with a matrix.
        cost: "euclidean", "squared" (its square), "manhattan", a function, or a matrix of shape (N, M). A function or a
            matrix may forbid pairs by infinite costs.
        p: The power of the distance, at least 1.

    Returns:
        Shape (N, M), float64, in units of the distance to the power p, infinite for forbidden pairs; differentiable,
        with the gradient 0 at coincident points. O(N M D) time, O(N M) memory.

    Raises:
        UsageError: An unknown name, costs of another shape, p below 1, or more pairs than memory holds.
        NumericError: Points that are not finite, costs that are NaN or minus infinity, or powers beyond float64.
    """
    check_power(p)
    if is_matrix(cost):
        matrix = _as_costs(cost, "cost")  # type: ignore[arg-type]
        if matrix.dim() != 2 or not matrix.numel():
            raise UsageError(f"a cost matrix must have shape (N, M), not {tuple(matrix.shape)}")
        for side, num, name in ((x, matrix.shape[0], "x"), (y, matrix.shape[1], "y")):
            if side is not None and len(side) != num:
                raise UsageError(
                    f"a cost matrix of shape {tuple(matrix.shape)} does not belong to {len(side)} samples in {name}",
                    remedy="Leave the samples out, or give one row for each of x and one column for each of y.",
                )
        return matrix if p == 1 else _power(matrix, p)
    first, second = _points(x, y)
    refuse_beyond_memory(
        3 * 8 * len(first) * len(second),
        f"a cost matrix of {len(first):,} x {len(second):,} samples",
        "Take fewer samples, or `sliced`, whose memory grows with their number alone.",
    )
    if callable(cost):
        distances = _called(cost, first, second)
    elif cost == "manhattan":
        distances = torch.cdist(first, second, p=1)
    elif first.shape[1] == 1:
        distances = (first - second.T).abs()
    elif first.shape[1] >= _PRODUCT_DIMENSIONS and not (first.requires_grad or second.requires_grad):
        distances = _by_product(first, second)
    else:
        distances = torch.cdist(first, second, compute_mode="donot_use_mm_for_euclid_dist")
    power = p * (2.0 if isinstance(cost, str) and cost == "squared" else 1.0)
    if callable(cost):
        return _power(distances, power)
    return _finite(distances if power == 1 else distances**power)


def pair_costs(
    x: Array | None, y: Array | None, rows: Tensor, columns: Tensor, cost: Cost = "euclidean", p: float = 1.0
) -> Tensor:
    """The costs of chosen pairs only: entries (rows[k], columns[k]) of `cost_matrix`.

    Args:
        x: Points, shape (N, D); None with a matrix.
        y: Points, shape (M, D); None with a matrix.
        rows: Shape (K,), int64.
        columns: Shape (K,), int64.
        cost: As in `cost_matrix`.
        p: The power of the distance.

    Returns:
        Shape (K,), float64, differentiable, with finite gradients at coincident points. O(K D) time and memory, except
        for a function, which is asked for every pair.
    """
    if is_matrix(cost) or callable(cost):
        return cost_matrix(x, y, cost, p)[rows, columns]
    first, second = _points(x, y)
    difference = first[rows] - second[columns]
    # The subgradient of a norm at 0 is 0 here, where the root of a sum of squares would give NaN.
    distances = torch.linalg.vector_norm(difference, ord=1 if cost == "manhattan" else 2, dim=1)
    power = p * (2.0 if cost == "squared" else 1.0)
    priced: Tensor = distances if power == 1 else distances**power
    return priced


def is_matrix(cost: Cost) -> bool:
    """Whether costs are given as numbers; an unknown name is refused."""
    if isinstance(cost, str):
        if cost not in NAMED:
            raise UsageError(f"there is no cost {cost!r}", remedy=f"Known: {', '.join(NAMED)}, a function, a matrix.")
        return False
    return isinstance(cost, Tensor | np.ndarray) or not callable(cost)


def _points(x: Array | None, y: Array | None) -> tuple[Tensor, Tensor]:
    if x is None or y is None:
        raise UsageError("points are missing: x and y may be left out only where the cost is a matrix")
    return as_pair(x, y)


def without_forbidden(costs: Tensor) -> Tensor:
    """Costs with a large number in place of the infinite ones, so that a solver avoids those pairs where it can.

    Args:
        costs: Shape (N, M), float64, without a graph.

    Returns:
        The same shape, finite; `costs` itself where no pair is forbidden. The number is above what all other pairs of a
        cycle can save.

    Raises:
        UsageError: All pairs of some point, or all pairs that there are, are forbidden.
    """
    if not bool(costs.max() == torch.inf):
        return costs
    forbidden = costs == torch.inf
    for dim, name in ((1, "source"), (0, "target")):
        alone = forbidden.all(dim=dim).nonzero().flatten().tolist()
        if alone:
            raise UsageError(
                f"every pair of {name} point {alone[0]} is forbidden (of infinite cost), so that no plan can move it",
                remedy="Leave the point out, or allow some pair by a finite cost.",
            )
    least, most = torch.aminmax(costs[~forbidden])
    return torch.where(forbidden, most + 2.0 * min(costs.shape) * (most - least), costs)


def without_infinity(values: Tensor) -> Tensor:
    """Numbers with 0 in place of infinity, for sums without forbidden pairs; any shape, differentiable."""
    return values.masked_fill(values.detach() == torch.inf, 0.0)


def mean_allowed(costs: Tensor, a: Tensor, b: Tensor) -> float:
    """The mean cost of the pairs that are allowed, where points are drawn by weights of shapes (N,) and (M,)."""
    mean = float(a @ (costs @ b))
    if math.isfinite(mean):
        return mean
    allowed = (costs != torch.inf).to(a.dtype)
    return float(a @ (without_infinity(costs) @ b)) / float(a @ (allowed @ b))


def _power(costs: Tensor, power: float) -> Tensor:
    """Powers of costs; infinite ones, which forbid a pair, stay as they are and have the gradient 0."""
    forbidden = costs.detach() == torch.inf
    known = costs.masked_fill(forbidden, 0.0)
    return _finite(known if power == 1 else known**power).masked_fill(forbidden, torch.inf)


def _finite(costs: Tensor) -> Tensor:
    if not all(bool(end.isfinite()) for end in torch.aminmax(costs.detach())):
        raise NumericError(
            "costs are beyond the range of float64, or were below 0 and have no such power",
            remedy="Divide the samples, or the costs, by a number.",
        )
    return costs


def _as_costs(values: Array, name: str) -> Tensor:
    """Costs as float64, infinite ones included: they say that a pair is forbidden."""
    return as_float64(values, name, infinite_allowed=True)


def _called(cost: Callable[[Tensor, Tensor], Tensor], x: Tensor, y: Tensor) -> Tensor:
    costs = _as_costs(cost(x, y), "the costs that the function returned")
    if costs.shape != (len(x), len(y)):
        raise UsageError(f"the cost function must return shape {(len(x), len(y))}, not {tuple(costs.shape)}")
    return costs


def _by_product(x: Tensor, y: Tensor) -> Tensor:
    """Euclidean distances by one matrix product, exact to about twelve digits; without a graph."""
    x, y = x.detach(), y.detach()
    centre = (x.mean(dim=0) + y.mean(dim=0)) / 2
    x, y = x - centre, y - centre
    square_x, square_y = x.square().sum(dim=1), y.square().sum(dim=1)
    squared = torch.addmm(square_y.expand(len(x), -1), x, y.T, alpha=-2.0).add_(square_x[:, None])
    # An entry is safe where it is a fair share of the largest squares that went into it.
    threshold = _CANCELLED * (square_x.max() + square_y.max())
    cancelled = squared < threshold
    num_cancelled = int(cancelled.sum())
    if num_cancelled > squared.numel() // 16:
        return torch.cdist(x, y, compute_mode="donot_use_mm_for_euclid_dist")
    distances = squared.clamp_(min=0.0).sqrt_()
    if num_cancelled:
        size = max(1, _REPAIRED_AT_ONCE // x.shape[1])
        places = (torch.split(part, size) for part in cancelled.nonzero(as_tuple=True))
        for rows, columns in zip(*places, strict=True):
            distances[rows, columns] = torch.linalg.vector_norm(x[rows] - y[columns], dim=1)
    return distances
