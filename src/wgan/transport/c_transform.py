"""Lower bounds of a transport cost from the scores of any critic, made dual feasible by two c-transforms.

A critic's own estimate of W1 is valid only after division by its Lipschitz constant, which is unknown. The c-transform
needs no Lipschitz constant: it changes the scores until they satisfy the dual constraint of every pair.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

import torch
from torch import Tensor

from wgan.errors import UsageError
from wgan.transport.arithmetic import weighted_value
from wgan.transport.costs import Cost, TiledCosts, is_matrix, mean_allowed, zero_forbidden
from wgan.transport.measures import Array, as_float64, as_weights, root
from wgan.transport.refinement import check_feasible

Side = Literal["source", "target"]

SIDES: tuple[Side, Side] = ("source", "target")

SEARCHED = 2560
"""Points of each set in the search for the best scale."""

HELD = 2**23
"""Costs in memory at once (64 MiB); rows of larger matrices are recomputed in each pass."""

# Scales are powers of 2 in units of mean cost / spread of scores. Between 2^-6 and 0 the bound hardly changes.
_LOWEST, _HIGHEST = -6, 3
_COARSE = 1024  # points of the coarse search; the bound of constant scores depends on their number, hence the fine one
_ZOOMS = (1.0, 0.5, 0.25)
# Bounds are summed exactly if the rounding error of the sum could exceed this share of them.
_ROUNDING = 2.0**-52
_NEGLIGIBLE = 1e-12
_GOLDEN = (math.sqrt(5.0) - 1.0) / 2.0


@dataclass(frozen=True, kw_only=True)
class CertifiedDual:
    """A lower bound of a transport cost, with the potentials that prove it.

    Attributes:
        value: sum_i a_i u_i + sum_j b_j v_j, at most the transport cost between the two samples; 0-d, float64, in the
            unit of the costs. Differentiable with respect to scores, points, costs and weights.
        distance: value^(1 / p), at most W_p; 0-d, float64.
        source_potential: u, shape (N,), float64, with u_i + v_j <= c_ij for every pair; detached.
        target_potential: v, shape (M,), float64.
        scale: The factor by which the scores were multiplied.
        side: Whether the c-transforms started from the scores of x or from those of y.
        without_critic: The bound of constant scores, 0-d, float64, which follows from distances to nearest neighbours
            alone. Only the part of `value` above it is due to the critic.
    """

    value: Tensor
    distance: Tensor
    source_potential: Tensor = field(repr=False)
    target_potential: Tensor = field(repr=False)
    scale: float
    side: Side
    without_critic: Tensor


def certified_dual(
    source_scores: Array,
    target_scores: Array,
    x: Array | None,
    y: Array | None,
    *,
    x_weights: Array | None = None,
    y_weights: Array | None = None,
    cost: Cost = "euclidean",
    p: float = 1.0,
    scales: Sequence[float] = (),
    searched: int = SEARCHED,
    held: int = HELD,
) -> CertifiedDual:
    """A lower bound of the exact transport cost between two samples, from the scores of any critic.

    For u = s f(x) the c-transform v(y) = min_x c(x, y) - u(x) is the largest v with u(x) + v(y) <= c(x, y). Then
    u'(x) = min_y c(x, y) - v(y) >= u(x) is the largest u' that is feasible with v. Weak duality then says

        sum_i a_i u'(x_i) + sum_j b_j v(y_j) <= min over plans of sum_ij plan_ij c_ij,

    for any f, without a Lipschitz constant. Further c-transforms change nothing, since three of them equal one. The
    same is done from the other side with v = -s f(y). The best bound over both sides and several scales s is returned.
    They include s = 0, so the bound is never negative if no cost is.

    If |f(x) - f(y)| <= K c(x, y), the scale 1 / K gives at least (E f(x) - E f(y)) / K. An optimal potential gives the
    cost itself.

    The search tries 10 powers of 2 around mean cost / spread of scores on each side, then 6 scales around the best. It
    uses float32 and at most `searched` points of each set. The best scale, 0 and the given `scales` are then evaluated
    on all points in float64.

    Args:
        source_scores: f(x), shape (N,), in any unit. A critic scores x higher than y.
        target_scores: f(y), shape (M,), in the same unit.
        x: Points, shape (N, ...); None if the cost is a matrix.
        y: Points, shape (M, ...); None if the cost is a matrix.
        x_weights: Shape (N,), summing to 1; None for equal weights.
        y_weights: Shape (M,), summing to 1; None for equal weights.
        cost: As in `cost_matrix`. A function is called with some rows of x at a time. A function or a matrix may forbid
            pairs by infinite costs.
        p: The cost is the distance to this power, at least 1.
        scales: Further scales to try on all points, on both sides.
        searched: Points of each set in the search for the best scale.
        held: The most costs in memory at once; if N M is larger, rows are recomputed in each of two passes.

    Returns:
        The bound, its potentials, and the bound without a critic. O(N M D) time for the costs, which are computed once
        if N M is at most `held` and otherwise twice, and O(N M) for each scale. In total it takes about four times as
        long as the costs alone in two dimensions. O(min(N M, held) + searched² + N + M) memory.

    Raises:
        UsageError: A wrong number of scores, invalid weights, a scale that is not finite, samples that cannot be
            compared, or costs in memory that allow no plan without forbidden pairs.
        NumericError: Numbers that are not finite.

    Source: Villani (2009), definition 5.2 and theorem 5.10; Peyré and Cuturi (2019), section 5.1, for the semi-dual.

    Example:
        >>> x, y = [0.0, 1.0], [3.0, 4.0]
        >>> scores = lambda points: [-7.0 * point for point in points]  # a critic with slope -7
        >>> float(certified_dual(scores(x), scores(y), x, y).value)
        3.0
    """
    if searched < 1 or held < 1:
        raise UsageError(f"searched and held must be at least 1, not {searched} and {held}")
    if not all(map(math.isfinite, scales)):
        raise UsageError(f"scales must be finite, not {list(scales)}")
    costs = TiledCosts.of(x, y, cost, p, held)
    device = costs.device
    f = _scores(source_scores, costs.shape[0], "source_scores").to(device)
    g = _scores(target_scores, costs.shape[1], "target_scores").to(device)
    a = as_weights(x_weights, costs.shape[0], "x_weights").to(device)
    b = as_weights(y_weights, costs.shape[1], "y_weights").to(device)
    if costs.matrix is not None and (is_matrix(cost) or callable(cost)):
        check_feasible(costs.matrix, a.detach(), b.detach())
    # A common offset of the scores changes no bound, but a large one would lose digits.
    offset = (f.detach().mean() + g.detach().mean()) / 2
    f, g = f - offset, g - offset
    with torch.no_grad():
        found = _search(costs, f, g, a, b, searched)
        starts: list[tuple[Side, float]] = [("source", 0.0), ("target", 0.0), found]
        starts += [(side, scale) for scale in scales for side in SIDES]
        starts.sort()  # source first, the order in which _feasible returns potentials
        scales_of_side = [f.new_tensor([scale for side, scale in starts if side == which]) for which in SIDES]
        u, v = _feasible(costs, f, g, *scales_of_side)
    u, values = _exact_bounds(u, v, a, b)
    best = int(values.argmax())
    (side, scale), value = starts[best], values[best]
    if costs.requires_grad or f.requires_grad or g.requires_grad:
        tracked_u, tracked_v = _differentiable(costs, scale * f if side == "source" else -scale * g, side)
        tracked = tracked_u @ a + tracked_v @ b
        value = value + (tracked - tracked.detach())
    return CertifiedDual(
        value=value,
        distance=root(value, p),
        source_potential=u[best],
        target_potential=v[best],
        scale=scale,
        side=side,
        without_critic=values.detach()[[number for number, (_, scale) in enumerate(starts) if scale == 0]].max(),
    )


def _feasible(
    costs: TiledCosts, f: Tensor, g: Tensor, from_source: Tensor, from_target: Tensor
) -> tuple[Tensor, Tensor]:
    """Feasible potentials from several scales of the scores on each side.

    Args:
        costs: Of shape (N, M).
        f: Scores of x, shape (N,).
        g: Scores of y, shape (M,).
        from_source: Scales of f, shape (S,).
        from_target: Scales of g, shape (T,).

    Returns:
        Shapes (S + T, N) and (S + T, M).
    """
    v_of_source, u_of_target = costs.transform(from_source[:, None] * f, -from_target[:, None] * g)
    v_of_source, u_of_target = (_anchor(zero_forbidden(values)) for values in (v_of_source, u_of_target))
    v_of_target, u_of_source = map(zero_forbidden, costs.transform(u_of_target, v_of_source))
    return torch.cat([u_of_source, u_of_target]), torch.cat([v_of_source, v_of_target])


def _exact_bounds(u: Tensor, v: Tensor, a: Tensor, b: Tensor) -> tuple[Tensor, Tensor]:
    """Source potentials, lowered if rounding could change the bound, and the bounds, shape (S,).

    Args:
        u: Source potentials, shape (S, N).
        v: Target potentials, shape (S, M).
        a: Shape (N,).
        b: Shape (M,).
    """
    with torch.no_grad():
        values = _finite_or_lowest(u @ a + v @ b)
        rounding = _ROUNDING * (u.abs() @ a + v.abs() @ b)
        for number in ((rounding > _NEGLIGIBLE * values.abs()) & values.isfinite()).nonzero().flatten().tolist():
            # The next smaller number covers the rounding of the differences, so that the potentials are feasible.
            u[number] = torch.nextafter(u[number], u.new_tensor(-math.inf))
            values[number] = weighted_value(
                *(vector.cpu().numpy() for vector in (a.detach(), u[number], b.detach(), v[number]))
            )
        return u, values


def _finite_or_lowest(values: Tensor) -> Tensor:
    """The bounds, with -inf in place of those that overflowed."""
    return torch.where(values.isfinite(), values, -math.inf)


def _anchor(potentials: Tensor) -> Tensor:
    """Potentials of shape (..., M) minus the first, which makes them no larger than the costs.

    A constant does not change the bound. Steep scores produce a large one, which would lose the digits of the costs.
    """
    return potentials - potentials[..., :1].detach()


def _differentiable(costs: TiledCosts, start: Tensor, side: Side) -> tuple[Tensor, Tensor]:
    """The potentials from one start with a graph, at fixed minimisers (envelope theorem)."""
    every_row, every_column = (torch.arange(num, device=costs.device) for num in costs.shape)
    if side == "source":
        row = costs.nearest_row(start.detach())
        v = _anchor(costs.pairs(row, every_column) - start[row])
        column = costs.nearest_column(v.detach())
        return costs.pairs(every_row, column) - v[column], v
    column = costs.nearest_column(start.detach())
    u = _anchor(costs.pairs(every_row, column) - start[column])
    row = costs.nearest_row(u.detach())
    return u, costs.pairs(row, every_column) - u[row]


def _search(costs: TiledCosts, f: Tensor, g: Tensor, a: Tensor, b: Tensor, searched: int) -> tuple[Side, float]:
    """The best side and scale on a subset of the points.

    Any scale gives a valid bound, so the search may use float32. It works in units of the mean cost and of the spread
    of the scores: on few points over all scales, and on more points around the best one.
    """
    (rows, a), (columns, b) = _subset(a, searched), _subset(b, searched)
    f, g = f[rows], g[columns]
    matrix = costs.at(rows, columns)
    mean_cost = mean_allowed(matrix, a, b)
    centre = (f @ a + g @ b) / 2
    spread = ((f - centre).abs() @ a + (g - centre).abs() @ b) / 2
    unit = mean_cost / spread
    if not (bool(unit.isfinite()) and unit > 0):
        return "source", 0.0
    scaled = replace(costs, matrix=(matrix / mean_cost).float(), shape=(len(rows), len(columns)))
    fine = _ScaleSearch(scaled, f / spread, g / spread, a, b)
    exponents = torch.arange(_LOWEST, _HIGHEST + 1, dtype=torch.float32, device=f.device)
    best = exponents[fine.on_subset(_COARSE).values(exponents, exponents).argmax(dim=1)][:, None]
    bounds = fine.values(*best)
    for step in _ZOOMS:
        neighbours = torch.cat([best - step, best + step], dim=1)
        tried, bounds = torch.cat([best, neighbours], dim=1), torch.cat([bounds, fine.values(*neighbours)], dim=1)
        bounds, winner = bounds.max(dim=1, keepdim=True)
        best = tried.gather(1, winner)
    which = int(bounds.argmax())
    return SIDES[which], float(unit) * 2.0 ** float(best[which])


class _ScaleSearch:
    """Evaluates the bounds of scales on one pair of samples, in float32."""

    def __init__(self, costs: TiledCosts, f: Tensor, g: Tensor, a: Tensor, b: Tensor) -> None:
        self.costs = costs
        self.f, self.g, self.a, self.b = f.float(), g.float(), a.float(), b.float()

    def on_subset(self, most: int) -> _ScaleSearch:
        """The same search on at most `most` points of each sample."""
        (rows, a), (columns, b) = _subset(self.a, most), _subset(self.b, most)
        costs = replace(self.costs, matrix=self.costs.at(rows, columns), shape=(len(rows), len(columns)))
        return _ScaleSearch(costs, self.f[rows], self.g[columns], a, b)

    def values(self, of_source: Tensor, of_target: Tensor) -> Tensor:
        """The bounds of the scales 2^exponent on each side, shape (2, S)."""
        u, v = _feasible(self.costs, self.f, self.g, 2.0**of_source, 2.0**of_target)
        return _finite_or_lowest(u @ self.a + v @ self.b).reshape(2, -1)


def _subset(weights: Tensor, most: int) -> tuple[Tensor, Tensor]:
    """The indices and weights of the points to search on: all, or `most` spread evenly over the sample's order.

    Multiples of the golden ratio are as evenly spread as a grid, but do not alias with a period in the sample's order.
    """
    num = len(weights)
    if num <= most:
        return torch.arange(num, device=weights.device), weights
    quantiles = (torch.arange(most, dtype=torch.float64, device=weights.device) * _GOLDEN + 0.5) % 1.0
    rows = torch.searchsorted(weights.double().cumsum(dim=0), quantiles).clamp(max=num - 1)
    return rows, torch.full_like(weights[:1], 1.0 / most).expand(most)


def _scores(values: Array, num: int, name: str) -> Tensor:
    scores = as_float64(values, name)
    if scores.numel() != num:
        raise UsageError(f"{name} must hold {num} scores, one for each sample, not shape {tuple(scores.shape)}")
    return scores.reshape(num)
