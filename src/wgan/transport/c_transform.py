"""What any critic proves about a distance: its scores, made feasible for Kantorovich's dual by two c-transforms.

A critic's own estimate is worth nothing without its Lipschitz constant, which nobody knows. The c-transform does not
ask for one: it moves the scores, as little as it must, to where no pair of points objects.
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
from wgan.transport.costs import Cost, is_matrix, mean_allowed, without_infinity
from wgan.transport.measures import Array, as_float64, as_weights, root
from wgan.transport.refinement import refuse_impossible
from wgan.transport.tiles import Tiles

Side = Literal["source", "target"]

SIDES: tuple[Side, Side] = ("source", "target")

SEARCHED = 2560
"""Points of each set on which scales are compared."""

HELD = 2**23
"""Costs kept in memory at once (64 MiB); where there are more, rows of the matrix are computed again in each pass."""

# Scales are powers of 2 in units of mean cost / spread of scores. Between 2^-6 and 0 next to nothing changes.
_LOWEST, _HIGHEST = -6, 3
_COARSE = 1024  # points for the first look; what nearest neighbours know depends on their number, hence the second
_ZOOMS = (1.0, 0.5, 0.25)
# Bounds are added up without rounding where it could be more than this share of them.
_ROUNDING = 2.0**-52
_UNSEEN = 1e-12
_GOLDEN = (math.sqrt(5.0) - 1.0) / 2.0


@dataclass(frozen=True, kw_only=True)
class CertifiedDual:
    """A lower bound of a transport cost, with the potentials that prove it.

    Attributes:
        value: sum_i a_i u_i + sum_j b_j v_j, at most the transport cost between the two samples; 0-d, float64, in the
            unit of the costs, differentiable with respect to scores, points, costs and weights.
        distance: value^(1 / p), at most W_p; 0-d, float64.
        source_potential: u, shape (N,), float64, with u_i + v_j <= c_ij for every pair; without a graph.
        target_potential: v, shape (M,), float64.
        scale: The number that the scores were multiplied by.
        side: Whether the scores of x or those of y were started from.
        without_critic: The best that constant scores prove, 0-d, float64: what distances to nearest neighbours know of
            the cost without any critic. A critic has earned only what it proves beyond.
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
    """A lower bound of the exact transport cost between two samples, from the scores of any critic whatever.

    From u = s f(x) the c-transform v(y) = min_x c(x, y) - u(x) is the largest v with u(x) + v(y) <= c(x, y), and
    u'(x) = min_y c(x, y) - v(y) >= u(x) is the largest that this v allows. Weak duality then says

        sum_i a_i u'(x_i) + sum_j b_j v(y_j) <= min over plans of sum_ij plan_ij c_ij,

    whatever f is: no Lipschitz constant is asked for. Transforming further changes nothing, since three transforms are
    one. From the other side the same is done with v = -s f(y). The best of both sides and of many scales s is returned;
    the scale 0 is among them, so that the bound is never below 0 where costs are not.

    Where |f(x) - f(y)| <= K c(x, y), the scale 1 / K proves at least (E f(x) - E f(y)) / K, and an optimal potential
    proves the cost itself.

    Scales are powers of 2 around mean cost / spread of scores, 10 of them on either side, and then 6 around the best of
    each side, all on at most `searched` points of each set and in float32; the winner is then computed on all points in
    float64, and with it 0 and any `scales` that are asked for.

    Args:
        source_scores: f(x), shape (N,), in any unit. A critic scores x higher than y.
        target_scores: f(y), shape (M,), in the same unit.
        x: Points, shape (N, ...); None where the cost is a matrix.
        y: Points, shape (M, ...); None where the cost is a matrix.
        x_weights: Shape (N,), summing to 1; None for equal weights.
        y_weights: Shape (M,), summing to 1; None for equal weights.
        cost: As in `cost_matrix`. A function is given some rows of x at a time. A function or a matrix may forbid pairs
            by infinite costs.
        p: The cost is the distance to this power, at least 1.
        scales: Further scales to try on all points, on both sides.
        searched: Points of each set on which scales are compared.
        held: Costs kept in memory at once; where N M is larger, rows are computed again in each of two passes.

    Returns:
        The bound, its potentials, and what is proved without a critic. O(N M D) time for the costs, which are held
        where N M is at most `held` and else computed twice, and O(N M) for each scale; the whole takes about four times
        as long as the costs alone in the plane. O(min(N M, held) + searched² + N + M) memory.

    Raises:
        UsageError: Scores that fit no sample, wrong weights, a scale that is not finite, samples that cannot be
            compared, or costs that are held and leave no plan without forbidden pairs.
        NumericError: Numbers that are not finite.

    Source: Villani (2009), definition 5.2 and theorem 5.10; Peyré and Cuturi (2019), section 5.1, for the semi-dual.

    Example:
        >>> x, y = [0.0, 1.0], [3.0, 4.0]
        >>> scores = lambda points: [-7.0 * point for point in points]  # a right critic, with an absurd slope
        >>> float(certified_dual(scores(x), scores(y), x, y).value)
        3.0
    """
    if searched < 1 or held < 1:
        raise UsageError(f"searched and held must be at least 1, not {searched} and {held}")
    if not all(map(math.isfinite, scales)):
        raise UsageError(f"scales must be finite, not {list(scales)}")
    costs = Tiles.of(x, y, cost, p, held)
    device = costs.device
    f = _scores(source_scores, costs.shape[0], "source_scores").to(device)
    g = _scores(target_scores, costs.shape[1], "target_scores").to(device)
    a = as_weights(x_weights, costs.shape[0], "x_weights").to(device)
    b = as_weights(y_weights, costs.shape[1], "y_weights").to(device)
    if costs.matrix is not None and (is_matrix(cost) or callable(cost)):
        refuse_impossible(costs.matrix, a.detach(), b.detach())
    # A common offset of the scores changes no bound, but a large one would cost digits.
    offset = (f.detach().mean() + g.detach().mean()) / 2
    f, g = f - offset, g - offset
    with torch.no_grad():
        found = _search(costs, f, g, a, b, searched)
        starts: list[tuple[Side, float]] = [("source", 0.0), ("target", 0.0), found]
        starts += [(side, scale) for scale in scales for side in SIDES]
        starts.sort()  # the order of the potentials below: the source's side first
        of_side = [f.new_tensor([scale for side, scale in starts if side == which]) for which in SIDES]
        u, v = _feasible(costs, f, g, *of_side)
    u, values = _proven_exactly(u, v, a, b)
    best = int(values.argmax())
    (side, scale), value = starts[best], values[best]
    if costs.requires_grad or f.requires_grad or g.requires_grad:
        linked_u, linked_v = _linked(costs, scale * f if side == "source" else -scale * g, side)
        slope = linked_u @ a + linked_v @ b
        value = value + (slope - slope.detach())
    return CertifiedDual(
        value=value,
        distance=root(value, p),
        source_potential=u[best],
        target_potential=v[best],
        scale=scale,
        side=side,
        without_critic=values.detach()[[number for number, (_, scale) in enumerate(starts) if scale == 0]].max(),
    )


def _feasible(costs: Tiles, f: Tensor, g: Tensor, from_source: Tensor, from_target: Tensor) -> tuple[Tensor, Tensor]:
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
    v_of_source, u_of_target = (_from_the_first(without_infinity(side)) for side in (v_of_source, u_of_target))
    v_of_target, u_of_source = map(without_infinity, costs.transform(u_of_target, v_of_source))
    return torch.cat([u_of_source, u_of_target]), torch.cat([v_of_source, v_of_target])


def _proven_exactly(u: Tensor, v: Tensor, a: Tensor, b: Tensor) -> tuple[Tensor, Tensor]:
    """Several bounds, shape (S,), and their source potentials, lowered where rounding could be seen in the bound.

    Args:
        u: Source potentials, shape (S, N).
        v: Target potentials, shape (S, M).
        a: Shape (N,).
        b: Shape (M,).
    """
    with torch.no_grad():
        values = _proven(u @ a + v @ b)
        rounding = _ROUNDING * (u.abs() @ a + v.abs() @ b)
        for number in ((rounding > _UNSEEN * values.abs()) & values.isfinite()).nonzero().flatten().tolist():
            # One step down covers the rounding of the differences, so that the potentials are feasible.
            u[number] = torch.nextafter(u[number], u.new_tensor(-math.inf))
            values[number] = weighted_value(
                *(side.cpu().numpy() for side in (a.detach(), u[number], b.detach(), v[number]))
            )
        return u, values


def _proven(values: Tensor) -> Tensor:
    """The bounds; scores so steep that they overflow prove nothing."""
    return torch.where(values.isfinite(), values, -math.inf)


def _from_the_first(potentials: Tensor) -> Tensor:
    """Potentials (..., M) less the first: a constant has no say in the bound, and the rest is no larger than costs.

    Steep scores leave a large constant, next to which costs would lose their digits and the bound its truth.
    """
    return potentials - potentials[..., :1].detach()


def _linked(costs: Tiles, start: Tensor, side: Side) -> tuple[Tensor, Tensor]:
    """The potentials of one start with their graph: who is nearest is fixed, as the envelope theorem allows."""
    every_row, every_column = (torch.arange(num, device=costs.device) for num in costs.shape)
    if side == "source":
        row = costs.nearest_row(start.detach())
        v = _from_the_first(costs.pairs(row, every_column) - start[row])
        column = costs.nearest_column(v.detach())
        return costs.pairs(every_row, column) - v[column], v
    column = costs.nearest_column(start.detach())
    u = _from_the_first(costs.pairs(every_row, column) - start[column])
    row = costs.nearest_row(u.detach())
    return u, costs.pairs(row, every_column) - u[row]


def _search(costs: Tiles, f: Tensor, g: Tensor, a: Tensor, b: Tensor, searched: int) -> tuple[Side, float]:
    """The best side and scale found on some points of each set.

    The search decides nothing but where to look, so it is done in float32, in units of the mean cost and of the spread
    of the scores: on few points over all scales, and on more of them around the best.
    """
    (rows, a), (columns, b) = _some(a, searched), _some(b, searched)
    f, g = f[rows], g[columns]
    matrix = costs.at(rows, columns)
    mean_cost = mean_allowed(matrix, a, b)
    centre = (f @ a + g @ b) / 2
    spread = ((f - centre).abs() @ a + (g - centre).abs() @ b) / 2
    natural = mean_cost / spread
    if not (bool(natural.isfinite()) and natural > 0):
        return "source", 0.0
    scaled = replace(costs, matrix=(matrix / mean_cost).float(), shape=(len(rows), len(columns)))
    fine = _Trial(scaled, f / spread, g / spread, a, b)
    exponents = torch.arange(_LOWEST, _HIGHEST + 1, dtype=torch.float32, device=f.device)
    best = exponents[fine.on_some(_COARSE).values(exponents, exponents).argmax(dim=1)][:, None]
    proved = fine.values(*best)
    for step in _ZOOMS:
        beside = torch.cat([best - step, best + step], dim=1)
        tried, proved = torch.cat([best, beside], dim=1), torch.cat([proved, fine.values(*beside)], dim=1)
        proved, winner = proved.max(dim=1, keepdim=True)
        best = tried.gather(1, winner)
    which = int(proved.argmax())
    return SIDES[which], float(natural) * 2.0 ** float(best[which])


class _Trial:
    """What scales prove about one pair of samples, in float32."""

    def __init__(self, costs: Tiles, f: Tensor, g: Tensor, a: Tensor, b: Tensor) -> None:
        self.costs = costs
        self.f, self.g, self.a, self.b = f.float(), g.float(), a.float(), b.float()

    def on_some(self, most: int) -> _Trial:
        """The same on at most `most` points of each sample."""
        (rows, a), (columns, b) = _some(self.a, most), _some(self.b, most)
        costs = replace(self.costs, matrix=self.costs.at(rows, columns), shape=(len(rows), len(columns)))
        return _Trial(costs, self.f[rows], self.g[columns], a, b)

    def values(self, of_source: Tensor, of_target: Tensor) -> Tensor:
        """The bounds from the scales 2^exponent of each side, shape (2, S)."""
        u, v = _feasible(self.costs, self.f, self.g, 2.0**of_source, 2.0**of_target)
        return _proven(u @ self.a + v @ self.b).reshape(2, -1)


def _some(weights: Tensor, most: int) -> tuple[Tensor, Tensor]:
    """Which points to search on, and their weights: all, or `most` that stand evenly in the sample's order.

    Multiples of the golden ratio are spread as evenly as a grid, and no period in the order of a sample meets them.
    """
    num = len(weights)
    if num <= most:
        return torch.arange(num, device=weights.device), weights
    places = (torch.arange(most, dtype=torch.float64, device=weights.device) * _GOLDEN + 0.5) % 1.0
    rows = torch.searchsorted(weights.double().cumsum(dim=0), places).clamp(max=num - 1)
    return rows, torch.full_like(weights[:1], 1.0 / most).expand(most)


def _scores(values: Array, num: int, name: str) -> Tensor:
    scores = as_float64(values, name)
    if scores.numel() != num:
        raise UsageError(f"{name} must hold {num} scores, one for each sample, not shape {tuple(scores.shape)}")
    return scores.reshape(num)
