"""Optimal transport on the line, where sorting solves it exactly: mass is matched from left to right.

Everything here works along the last dimension, so that many lines are solved at once: sliced transport is a batch.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from wgan.errors import NumericError, UsageError
from wgan.transport.arithmetic import slacks
from wgan.transport.measures import Array, as_pair, as_weights, check_power, finite
from wgan.transport.plans import Certificate, Plan, Transport
from wgan.transport.proving import OPTIMALITY, extended
from wgan.transport.refinement import refine
from wgan.transport.staircase import Staircase, exact_staircase, levels_of, order_of, sorted_weights, staircase

_MOST_PAIRS = 2**22
"""How many pairs may be looked at for potentials, where those along the path lost their digits."""

_DOUBTFUL = 2.0**-51 / 1e-10
"""The mean way of mass, as a share of the longest, below which levels are added up in whole numbers.

The rounding of a level is some 2^-51 for each root of the number of weights; it may cost a share of 1e-10 for each."""


def one_dimensional(
    x: Array, y: Array, *, x_weights: Array | None = None, y_weights: Array | None = None, p: float = 1.0
) -> Tensor:
    """The exact Wasserstein distance between two sets of points on the line.

    W_p = (integral from 0 to 1 of |F⁻¹(t) - G⁻¹(t)|^p dt)^(1/p), where F⁻¹ and G⁻¹ are the quantile functions; for
    equally many points of equal weight, the mean of |x_(i) - y_(i)|^p over the sorted points, to the power 1/p.

    Args:
        x: Points on the line, shape (N,) or (N, 1).
        y: Points on the line, shape (M,) or (M, 1).
        x_weights: Their probabilities, shape (N,); None for equal ones.
        y_weights: Likewise, shape (M,).
        p: The power of the distance, at least 1.

    Returns:
        0-d, float64, in the units of the points, on the device of x. Differentiable with respect to points (0 between
        two points that coincide) and weights (where it has a kink, one of its subgradients). Gradients are finite.

    Raises:
        UsageError: Points that are not on the line, weights that are no probabilities, or a p below 1.
        NumericError: Numbers that are not finite, or a distance too large for float64.

    Cost: O((N + M) log (N + M)) time and O(N + M) memory. On a CPU the sort is NumPy's, several times faster than
    torch's; weights and gradients need a sort of the indices, which takes longer.

    Source: Santambrogio (2015), Optimal Transport for Applied Mathematicians, section 2.2.

    Example:
        >>> one_dimensional([0.0, 1.0, 3.0], [5.0, 6.0, 8.0])
        tensor(5., dtype=torch.float64)
    """
    first, second = _on_the_line(x, y)
    check_power(p)
    weights = _weights_or_none(x_weights, first, "x_weights"), _weights_or_none(y_weights, second, "y_weights")
    return finite(line_distances(first, second, *weights, p), "distance")


def monotone_transport(
    x: Array, y: Array, *, x_weights: Array | None = None, y_weights: Array | None = None, p: float = 1.0
) -> Transport:
    """The exact transport between two sets of points on the line, with its plan and potentials.

    The plan matches quantiles, and is optimal for each p at once. Walking along its moves, one row or one column
    onwards at a time, f_i + g_j = |x_i - y_j|^p fixes the potentials; since that cost is a convex function of a
    difference (a Monge array), they are feasible everywhere else too.

    Args:
        x: Points on the line, shape (N,) or (N, 1).
        y: Points on the line, shape (M,) or (M, 1).
        x_weights: Their probabilities, shape (N,); None for equal ones.
        y_weights: Likewise, shape (M,).
        p: The power of the distance, at least 1.

    Returns:
        Cost W_p^p, distance W_p, a plan of at most N + M - 1 moves, both potentials and the gap. Cost and distance are
        differentiable with respect to points and weights.

    Raises:
        UsageError: Points that are not on the line, weights that are no probabilities, or a p below 1.
        NumericError: Numbers that are not finite, a cost too large for float64, or potentials that rounding spoilt.

    Cost: O((N + M) log (N + M)) time and O(N + M) memory.

    Source: Hoffman (1963), On simple linear programming problems; Santambrogio (2015), section 2.2.
    """
    first, second = _on_the_line(x, y)
    check_power(p)
    source_weights = as_weights(x_weights, len(first), "x_weights").to(first.device)
    target_weights = as_weights(y_weights, len(second), "y_weights").to(first.device)
    source_order, target_order = order_of(first), order_of(second)
    x_levels = levels_of(first, None if x_weights is None else source_weights, source_order)
    y_levels = levels_of(second, None if y_weights is None else target_weights, target_order)
    stairs = staircase(x_levels, y_levels)

    def moves() -> tuple[Tensor, Tensor, Tensor]:
        rows, columns = source_order.gather(0, stairs.rows), target_order.gather(0, stairs.columns)
        return rows, columns, (first.gather(0, rows) - second.gather(0, columns)).abs()

    rows, columns, lengths = moves()
    distance = power_mean(lengths.detach(), stairs.masses.detach(), p)
    if bool(_is_doubtful(first[source_order], second[target_order], distance, p)):
        stairs = exact_staircase(
            None if x_weights is None else sorted_weights(source_weights, source_order),
            None if y_weights is None else sorted_weights(target_weights, target_order),
            x_levels,
            y_levels,
        )
        rows, columns, lengths = moves()
    step_costs = finite(lengths if p == 1 else lengths**p, "cost")
    moved = stairs.masses.detach() > 0
    plan = Plan(
        rows=rows[moved], columns=columns[moved], masses=stairs.masses.detach()[moved], shape=(len(first), len(second))
    )
    potentials = _potentials(step_costs.detach(), stairs, source_order, target_order)
    costs = step_costs.detach()[moved]
    gap = _gap(plan, costs, *potentials)
    size = float(plan.masses @ costs)
    if not gap <= OPTIMALITY * size:
        points = first.detach().cpu(), second.detach().cpu()
        weights = source_weights.detach().cpu(), target_weights.detach().cpu()
        potentials = _refined_potentials(*points, *weights, p, gap)
        gap = _gap(plan, costs, *potentials)
        _refuse_unproven(gap, size)
    return Transport(
        cost=(stairs.masses * step_costs).sum(),
        distance=power_mean(lengths, stairs.masses, p),
        plan=plan,
        solver="monotone",
        proof=Certificate(
            source_potential=potentials[0].to(first.device),
            target_potential=potentials[1].to(first.device),
            gap=gap,
            optimal=gap <= OPTIMALITY * size,
        ),
    )


def _gap(plan: Plan, costs: Tensor, f: Tensor, g: Tensor) -> float:
    """What the potentials leave of the cost of the plan's moves."""
    parts = costs, f.to(costs.device)[plan.rows], g.to(costs.device)[plan.columns]
    return float(plan.masses.cpu().numpy() @ slacks(*(part.cpu().numpy() for part in parts)))


def _refined_potentials(x: Tensor, y: Tensor, a: Tensor, b: Tensor, p: float, gap: float) -> tuple[Tensor, Tensor]:
    """Potentials in the plan's own unit, from all pairs: those along the path may be as large as the longest way."""
    if len(x) * len(y) > _MOST_PAIRS:
        _refuse_unproven(gap, 0.0)
    costs = (x[:, None] - y).abs() ** p
    rows, columns = a.nonzero().flatten(), b.nonzero().flatten()
    _, proof = refine(costs[rows][:, columns].contiguous(), a[rows], b[columns])
    proof = extended(proof, costs, rows, columns)
    return proof.source_potential, proof.target_potential


def _refuse_unproven(gap: float, size: float) -> None:
    if not gap <= OPTIMALITY * size:
        raise NumericError(
            f"rounding left a gap of {gap:.3g} between the plan's cost and the proof that none is less",
            remedy="Divide the points by their size, or take weights of fewer orders of magnitude.",
        )


def line_distances(x: Tensor, y: Tensor, x_weights: Tensor | None, y_weights: Tensor | None, p: float) -> Tensor:
    """W_p of many pairs of weighted sets on the line; the arguments are not checked.

    Args:
        x: Shape (..., N), float32 or float64.
        y: Shape (..., M), of the same dtype.
        x_weights: Probabilities, shape (N,), the same on every line; None for equal ones.
        y_weights: Likewise, shape (M,).
        p: At least 1.

    Returns:
        Shape (...), float64, differentiable as `one_dimensional`.
    """
    if x_weights is None and y_weights is None and x.shape[-1] == y.shape[-1]:
        return power_mean(_distances(sort(x), sort(y)), None, p)
    (x_sorted, x_order, x_levels), (y_sorted, y_order, y_levels) = _quantiles(x, x_weights), _quantiles(y, y_weights)
    stairs = staircase(x_levels, y_levels)
    found = _along(stairs, x_sorted, y_sorted, p)
    doubtful = _is_doubtful(x_sorted, y_sorted, found.detach(), p)
    if not bool(doubtful.any()):
        return found
    lines = [
        _along(
            exact_staircase(
                sorted_weights(x_weights, None if x_order is None else x_order[line]),
                sorted_weights(y_weights, None if y_order is None else y_order[line]),
                x_levels.expand(*x.shape[:-1], -1)[line],
                y_levels.expand(*y.shape[:-1], -1)[line],
            ),
            x_sorted[line],
            y_sorted[line],
            p,
        )
        if bool(doubtful[line])
        else found[line]
        for line in np.ndindex(*found.shape)
    ]
    return torch.stack(lines).reshape(found.shape)


def _along(stairs: Staircase, x_sorted: Tensor, y_sorted: Tensor, p: float) -> Tensor:
    """W_p by the moves of the monotone plan."""
    whole = (*x_sorted.shape[:-1], stairs.masses.shape[-1])
    from_x = x_sorted.gather(-1, stairs.rows.expand(whole))
    from_y = y_sorted.gather(-1, stairs.columns.expand(whole))
    return power_mean(_distances(from_x, from_y), stairs.masses, p)


def _is_doubtful(x_sorted: Tensor, y_sorted: Tensor, distances: Tensor, p: float) -> Tensor:
    """On which lines a rounding of levels, as mass that moves from end to end, could be seen in the distance."""
    x, y = x_sorted.detach(), y_sorted.detach()
    longest: Tensor = torch.maximum((x[..., -1] - y[..., 0]).abs(), (y[..., -1] - x[..., 0]).abs()).double()
    seen: Tensor = _DOUBTFUL ** (1.0 / p) * longest > distances
    if x.shape == y.shape and bool(seen.any()):
        seen = seen & ~(x == y).all(dim=-1)
    return seen


def power_mean(values: Tensor, weights: Tensor | None, p: float) -> Tensor:
    """(sum_k w_k v_k^p)^(1/p) along the last dimension, for any size of the values.

    Args:
        values: Shape (..., K), at least 0, float32 or float64.
        weights: Shape (..., K), at least 0; None for 1/K each.
        p: At least 1.

    Returns:
        Shape (...), float64, differentiable; the gradient is 0 where the mean is 0.
    """
    if p == 1:
        return values.mean(-1, dtype=torch.float64) if weights is None else (values * weights).sum(-1)
    values = values.double()
    largest = values.detach().amax(-1, keepdim=True)
    # Divided by the largest, no power overflows and not all of them vanish.
    scale = torch.where(largest > 0, largest, 1.0)
    powers = (values / scale) ** p
    mean = powers.mean(-1) if weights is None else (powers * weights).sum(-1)
    # The slope of the root at 0 is infinite, and infinity times 0 is no gradient.
    positive = mean > 0
    root = torch.where(positive, mean, 1.0) ** (1.0 / p)
    return scale.squeeze(-1) * torch.where(positive, root, 0.0)


def sort(values: Tensor) -> Tensor:
    """Sorted along the last dimension, differentiable: fresh memory, by NumPy where the values are on a CPU."""
    if values.device.type != "cpu":
        return values.sort().values
    if _is_tracked(values):
        return values.gather(-1, order_of(values))
    return torch.from_numpy(np.sort(values.detach().numpy()))


def _quantiles(values: Tensor, weights: Tensor | None) -> tuple[Tensor, Tensor | None, Tensor]:
    """Sorted values, their order where weights need it, and the levels of the distribution function between them."""
    if weights is None:
        return sort(values), None, levels_of(values, None, None)
    order = order_of(values)
    return values.gather(-1, order), order, levels_of(values, weights, order)


def _potentials(
    step_costs: Tensor, stairs: Staircase, source_order: Tensor, target_order: Tensor
) -> tuple[Tensor, Tensor]:
    """The f and g with f_i + g_j = c_ij along the whole path, for the points as they came; the lowest y has g = 0."""
    rises = torch.diff(step_costs)
    next_row = torch.diff(stairs.rows) == 1
    by_source = torch.cat([step_costs[:1], rises[next_row]]).cumsum(0)
    by_target = torch.cat([torch.zeros_like(step_costs[:1]), rises[~next_row]]).cumsum(0)
    source_potential, target_potential = torch.empty_like(by_source), torch.empty_like(by_target)
    source_potential[source_order] = by_source
    target_potential[target_order] = by_target
    return source_potential, target_potential


def _distances(first: Tensor, second: Tensor) -> Tensor:
    """|first - second|, in the memory of `first` where no gradient needs it."""
    if _is_tracked(first) or _is_tracked(second):
        return (first - second).abs()
    return first.sub_(second).abs_()


def _is_tracked(values: Tensor) -> bool:
    return torch.is_grad_enabled() and values.requires_grad


def _on_the_line(x: Array, y: Array) -> tuple[Tensor, Tensor]:
    first, second = as_pair(x, y)
    if first.shape[1] != 1:
        raise UsageError(
            f"one-dimensional transport takes points on the line, but these have {first.shape[1]} coordinates",
            remedy="Use `exact`, or `sliced`, which projects them on lines.",
        )
    return first[:, 0], second[:, 0]


def _weights_or_none(weights: Array | None, points: Tensor, name: str) -> Tensor | None:
    return None if weights is None else as_weights(weights, points.shape[-1], name).to(points.device)
