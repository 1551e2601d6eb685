"""Cost matrices: the cost of moving a unit of mass from each source point to each target point."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
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
_CANCELLATION = 1e-4
# From this dimension on a matrix product is faster than differences, including the recomputation of cancelled entries.
_PRODUCT_DIMENSIONS = 16
_RECOMPUTED_AT_ONCE = 2**22
# Costs in one tile: small enough for the cache of a core.
_TILE = 2**17


def cost_matrix(x: Array | None, y: Array | None, cost: Cost = "euclidean", p: float = 1.0) -> Tensor:
    """The cost d(x_i, y_j)^p of every pair in float64, accurate far from the origin too.

    In few dimensions distances are computed from differences, so that a common offset loses no digits. In many
    dimensions a matrix product of centred points is faster; entries with cancellation are recomputed from differences.

    Args:
        x: Points, shape (N, D); None if the cost is a matrix.
        y: Points, shape (M, D); None if the cost is a matrix.
        cost: "euclidean", "squared" (its square), "manhattan", a function, or a matrix of shape (N, M). A function or a
            matrix may forbid pairs by infinite costs.
        p: The power of the distance, at least 1.

    Returns:
        Shape (N, M), float64, in units of the distance to the power p, infinite for forbidden pairs; differentiable,
        with the gradient 0 at coincident points. O(N M D) time, O(N M) memory.

    Raises:
        UsageError: An unknown name, costs of the wrong shape, p below 1, or more pairs than fit in memory.
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
    first, second = given_points(x, y)
    refuse_beyond_memory(
        3 * 8 * len(first) * len(second),
        f"a cost matrix of {len(first):,} x {len(second):,} samples",
        "Take fewer samples, or use `sliced`, whose memory grows linearly with their number.",
    )
    if callable(cost):
        return _power(_call_cost(cost, first, second), p)
    if cost == "manhattan":
        distances = torch.cdist(first, second, p=1)
    elif first.shape[1] == 1:
        distances = (first - second.T).abs()
    elif first.shape[1] >= _PRODUCT_DIMENSIONS and not (first.requires_grad or second.requires_grad):
        distances = _distances_by_product(first, second)
    else:
        distances = torch.cdist(first, second, compute_mode="donot_use_mm_for_euclid_dist")
    power = p * (2.0 if cost == "squared" else 1.0)
    return _check_range(distances if power == 1 else distances**power)


def pair_costs(
    x: Array | None, y: Array | None, rows: Tensor, columns: Tensor, cost: Cost = "euclidean", p: float = 1.0
) -> Tensor:
    """The costs of selected pairs: the entries (rows[k], columns[k]) of `cost_matrix`.

    Args:
        x: Points, shape (N, D); None if the cost is a matrix.
        y: Points, shape (M, D); None if the cost is a matrix.
        rows: Shape (K,), int64.
        columns: Shape (K,), int64.
        cost: As in `cost_matrix`.
        p: The power of the distance.

    Returns:
        Shape (K,), float64, differentiable, with finite gradients at coincident points. O(K D) time and memory, except
        for a function, which computes every pair.
    """
    if is_matrix(cost) or callable(cost):
        return cost_matrix(x, y, cost, p)[rows, columns]
    first, second = given_points(x, y)
    difference = first[rows] - second[columns]
    # torch's norm has the subgradient 0 at 0; the square root of a sum of squares would give NaN.
    distances: Tensor = torch.linalg.vector_norm(difference, ord=1 if cost == "manhattan" else 2, dim=1)
    power = p * (2.0 if cost == "squared" else 1.0)
    return distances if power == 1 else distances**power


def is_matrix(cost: Cost) -> bool:
    """Whether the costs are a matrix. Raises a UsageError for an unknown name."""
    if isinstance(cost, str):
        if cost not in NAMED:
            raise UsageError(f"there is no cost {cost!r}", remedy=f"Known: {', '.join(NAMED)}, a function, a matrix.")
        return False
    return isinstance(cost, Tensor | np.ndarray) or not callable(cost)


def given_points(x: Array | None, y: Array | None) -> tuple[Tensor, Tensor]:
    """Both sets as points, shapes (N, D) and (M, D). Raises a UsageError if one is missing."""
    if x is None or y is None:
        name = "x" if x is None else "y"
        raise UsageError(f"{name} is missing: points may be left out only if the cost is a matrix")
    return as_pair(x, y)


def replace_forbidden(costs: Tensor) -> Tensor:
    """Replace infinite costs by a large finite one, so that a solver uses those pairs only if it has to.

    Args:
        costs: Shape (N, M), float64, detached.

    Returns:
        The same shape, finite; `costs` itself if no pair is forbidden. The replacement exceeds what all other pairs of
        a cycle can save.

    Raises:
        UsageError: All pairs of some point are forbidden.
    """
    if not bool(costs.max() == torch.inf):
        return costs
    forbidden = costs == torch.inf
    for dim, name in ((1, "source"), (0, "target")):
        isolated = forbidden.all(dim=dim).nonzero().flatten().tolist()
        if isolated:
            raise UsageError(
                f"every pair of {name} point {isolated[0]} is forbidden (has infinite cost), so no plan can move it",
                remedy="Leave the point out, or allow some pair by a finite cost.",
            )
    least, most = torch.aminmax(costs[~forbidden])
    return torch.where(forbidden, most + 2.0 * min(costs.shape) * (most - least), costs)


def zero_forbidden(values: Tensor) -> Tensor:
    """Replace plus infinity by 0, for sums over the allowed pairs; any shape, differentiable."""
    return values.masked_fill(values.detach() == torch.inf, 0.0)


def mean_allowed(costs: Tensor, a: Tensor, b: Tensor) -> float:
    """The mean cost of the allowed pairs under the weights a, shape (N,), and b, shape (M,)."""
    mean = float(a @ (costs @ b))
    if math.isfinite(mean):
        return mean
    allowed = (costs != torch.inf).to(a.dtype)
    return float(a @ (zero_forbidden(costs) @ b)) / float(a @ (allowed @ b))


def _power(costs: Tensor, power: float) -> Tensor:
    """Powers of costs. Infinite costs stay infinite, with gradient 0."""
    forbidden = costs.detach() == torch.inf
    known = costs.masked_fill(forbidden, 0.0)
    return _check_range(known if power == 1 else known**power).masked_fill(forbidden, torch.inf)


def _check_range(costs: Tensor) -> Tensor:
    if not all(bool(end.isfinite()) for end in torch.aminmax(costs.detach())):
        raise NumericError(
            "costs are beyond the range of float64, or are negative and have no such power",
            remedy="Divide the samples, or the costs, by a number.",
        )
    return costs


def _as_costs(values: Array, name: str) -> Tensor:
    """Costs as float64; infinite costs are allowed and forbid a pair."""
    return as_float64(values, name, infinite_allowed=True)


def _call_cost(cost: Callable[[Tensor, Tensor], Tensor], x: Tensor, y: Tensor) -> Tensor:
    costs = _as_costs(cost(x, y), "the costs returned by the function")
    if costs.shape != (len(x), len(y)):
        raise UsageError(f"the cost function must return shape {(len(x), len(y))}, not {tuple(costs.shape)}")
    return costs


def _distances_by_product(x: Tensor, y: Tensor) -> Tensor:
    """Euclidean distances by one matrix product, accurate to about twelve digits; detached."""
    x, y = x.detach(), y.detach()
    centre = (x.mean(dim=0) + y.mean(dim=0)) / 2
    x, y = x - centre, y - centre
    square_x, square_y = x.square().sum(dim=1), y.square().sum(dim=1)
    squared = torch.addmm(square_y.expand(len(x), -1), x, y.T, alpha=-2.0).add_(square_x[:, None])
    # An entry is accurate if it is not too small relative to the squares that were subtracted.
    threshold = _CANCELLATION * (square_x.max() + square_y.max())
    cancelled = squared < threshold
    num_cancelled = int(cancelled.sum())
    if num_cancelled > squared.numel() // 16:
        return torch.cdist(x, y, compute_mode="donot_use_mm_for_euclid_dist")
    distances = squared.clamp_(min=0.0).sqrt_()
    if num_cancelled:
        size = max(1, _RECOMPUTED_AT_ONCE // x.shape[1])
        indices = (torch.split(part, size) for part in cancelled.nonzero(as_tuple=True))
        for rows, columns in zip(*indices, strict=True):
            distances[rows, columns] = torch.linalg.vector_norm(x[rows] - y[columns], dim=1)
    return distances


@dataclass(frozen=True)
class TiledCosts:
    """A cost matrix in tiles of rows: kept in memory if it is small or given, and otherwise recomputed in each pass.

    Attributes:
        x: Source points, shape (N, D); None if the cost is a matrix.
        y: Target points, shape (M, D); None if the cost is a matrix.
        cost: As in `cost_matrix`.
        p: The power of the distance.
        matrix: The costs, if they are kept.
        shape: (N, M).
        max_entries: The most costs in memory at once.
    """

    x: Tensor | None
    y: Tensor | None
    cost: Cost
    p: float
    matrix: Tensor | None
    shape: tuple[int, int]
    max_entries: int

    @classmethod
    def of(cls, x: Array | None, y: Array | None, cost: Cost, p: float, max_entries: int) -> TiledCosts:
        """Check the arguments, and compute the matrix if it has at most `max_entries` entries."""
        if is_matrix(cost):
            matrix = cost_matrix(x, y, cost, p)
            return cls(None, None, matrix, 1.0, matrix.detach(), (matrix.shape[0], matrix.shape[1]), max_entries)
        first, second = given_points(x, y)
        shape = len(first), len(second)
        is_small = shape[0] * shape[1] <= max_entries
        computed = cost_matrix(first.detach(), second.detach(), cost, p) if is_small else None
        return cls(first, second, cost, p, computed, shape, max_entries)

    @property
    def device(self) -> torch.device:
        """The device of the points or of the matrix."""
        values = self.x if self.matrix is None else self.matrix
        assert values is not None
        return values.device

    @property
    def requires_grad(self) -> bool:
        """Whether the costs may need a gradient."""
        inputs = (self.x, self.y, self.cost)
        return any(isinstance(values, Tensor) and values.requires_grad for values in inputs)

    def at(self, rows: Tensor, columns: Tensor) -> Tensor:
        """The costs between some points of each set, detached."""
        if self.matrix is not None:
            is_whole = (len(rows), len(columns)) == self.shape
            return self.matrix if is_whole else self.matrix.index_select(0, rows).index_select(1, columns)
        assert self.x is not None
        assert self.y is not None
        return cost_matrix(self.x.detach()[rows], self.y.detach()[columns], self.cost, self.p)

    def pairs(self, rows: Tensor, columns: Tensor) -> Tensor:
        """Costs of selected pairs, shape (K,), differentiable."""
        return pair_costs(self.x, self.y, rows, columns, self.cost, self.p)

    def tiles(self) -> Iterator[tuple[slice, Tensor]]:
        """Iterate over the matrix in tiles that fit the cache: the rows, and their costs of shape (rows, M)."""
        num_rows, num_columns = self.shape
        block = max(1, self.max_entries // num_columns) if self.matrix is None else num_rows
        tile = max(1, (_TILE if self.device.type == "cpu" else self.max_entries) // num_columns)
        for top in range(0, num_rows, block):
            rows = slice(top, min(top + block, num_rows))
            costs = self.matrix if self.matrix is not None else self._compute(rows)
            for start in range(0, len(costs), tile):
                part = costs[start : start + tile]
                yield slice(top + start, top + start + len(part)), part

    def _compute(self, rows: slice) -> Tensor:
        assert self.x is not None
        assert self.y is not None
        return cost_matrix(self.x.detach()[rows], self.y.detach(), self.cost, self.p)

    def transform(self, u: Tensor, v: Tensor) -> tuple[Tensor, Tensor]:
        """The c-transforms of several potentials on each side, in one pass over the costs.

        Args:
            u: Potentials on x, shape (S, N).
            v: Potentials on y, shape (T, M).

        Returns:
            min_i c_ij - u_i of shape (S, M), and min_j c_ij - v_j of shape (T, N).
        """
        of_u = u.new_full((len(u), self.shape[1]), math.inf)
        of_v = v.new_empty((len(v), self.shape[0]))
        for rows, costs in self.tiles():
            buffer = torch.empty_like(costs)
            for potential, least in zip(u, of_u, strict=True):
                torch.sub(costs, potential[rows, None], out=buffer)
                torch.minimum(least, buffer.amin(dim=0), out=least)
            for potential, least in zip(v, of_v, strict=True):
                torch.sub(costs, potential, out=buffer)
                torch.amin(buffer, dim=1, out=least[rows])
        return of_u, of_v

    def nearest_row(self, u: Tensor) -> Tensor:
        """The i that minimises c_ij - u_i for each j, shape (M,), int64."""
        least = u.new_full((self.shape[1],), math.inf)
        where = torch.zeros(self.shape[1], dtype=torch.int64, device=u.device)
        for rows, costs in self.tiles():
            smallest, row = (costs - u[rows, None]).min(dim=0)
            where = torch.where(smallest < least, row + rows.start, where)
            least = torch.minimum(least, smallest)
        return where

    def nearest_column(self, v: Tensor) -> Tensor:
        """The j that minimises c_ij - v_j for each i, shape (N,), int64."""
        return torch.cat([(costs - v).argmin(dim=1) for _, costs in self.tiles()])
