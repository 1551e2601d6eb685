"""Optimal transport in one dimension, solved exactly by sorting: mass is matched from left to right.

All functions work along the last dimension, so that sliced transport solves many lines at once.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from wgan.errors import NumericError, UsageError
from wgan.transport.arithmetic import slacks
from wgan.transport.certificates import Certificate, Plan, Transport, solve_on_support
from wgan.transport.measures import Array, as_pair, as_weights, check_power, finite
from wgan.transport.refinement import refine
from wgan.transport.staircase import Staircase, exact_staircase, levels_of, order_of, sorted_weights, staircase

_MOST_PAIRS = 2**22
"""The most pairs for which potentials are refined, if those along the path lost their digits."""

_INACCURATE = 2.0**-51 / 1e-10
"""The mean distance of a move relative to the longest below which levels are summed as integers.

The rounding error of a level is about 2^-51, and may change the cost by a share of 1e-10."""


def one_dimensional(
    x: Array, y: Array, *, x_weights: Array | None = None, y_weights: Array | None = None, p: float = 1.0
) -> Tensor:
    """The exact Wasserstein distance between two sets of points in one dimension.

    W_p = (integral from 0 to 1 of |F⁻¹(t) - G⁻¹(t)|^p dt)^(1/p), where F⁻¹ and G⁻¹ are the quantile functions. For sets
    of the same size with equal weights it is the mean of |x_(i) - y_(i)|^p over the sorted points, to the power 1/p.

    Args:
        x: Points on the line, shape (N,) or (N, 1).
        y: Points on the line, shape (M,) or (M, 1).
        x_weights: Probabilities of x, shape (N,); None for equal weights.
        y_weights: Probabilities of y, shape (M,).
        p: The power of the distance, at least 1.

    Returns:
        0-d, float64, in the units of the points, on the device of x. Differentiable with respect to points (with
        gradient 0 between coincident points) and weights (at a kink, a subgradient). Gradients are finite.

    Raises:
        UsageError: Points in more than one dimension, weights that are not probabilities, or p below 1.
        NumericError: Numbers that are not finite, or a distance too large for float64.

    Cost: O((N + M) log (N + M)) time and O(N + M) memory. On a CPU NumPy sorts, several times faster than torch.
    Weights and gradients need the sorted indices, which takes longer.

    Source: Santambrogio (2015), Optimal Transport for Applied Mathematicians, section 2.2.

    Example:
        >>> one_dimensional([0.0, 1.0, 3.0], [5.0, 6.0, 8.0])
        tensor(5., dtype=torch.float64)
    """
    first, second = _on_the_line(x, y)
    check_power(p)
    weights = weights_or_none(x_weights, first, "x_weights"), weights_or_none(y_weights, second, "y_weights")
    return finite(line_distances(first, second, *weights, p), "distance")


def monotone_transport(
    x: Array, y: Array, *, x_weights: Array | None = None, y_weights: Array | None = None, p: float = 1.0
) -> Transport:
    """The exact transport between two sets of points in one dimension, with its plan and potentials.

    The plan matches quantiles and is optimal for every p. Consecutive moves share a row or a column, so
    f_i + g_j = |x_i - y_j|^p along the moves determines the potentials. They are feasible for all other pairs since the
    cost is a convex function of a difference (a Monge array).

    Args:
        x: Points on the line, shape (N,) or (N, 1).
        y: Points on the line, shape (M,) or (M, 1).
        x_weights: Probabilities of x, shape (N,); None for equal weights.
        y_weights: Probabilities of y, shape (M,).
        p: The power of the distance, at least 1.

    Returns:
        Cost W_p^p, distance W_p, a plan of at most N + M - 1 moves, both potentials and the gap. Cost and distance are
        differentiable with respect to points and weights.

    Raises:
        UsageError: Points in more than one dimension, weights that are not probabilities, or p below 1.
        NumericError: Numbers that are not finite, a cost too large for float64, or a gap that rounding left too large.

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
    if bool(_is_inaccurate(first[source_order], second[target_order], distance, p)):
        stairs = exact_staircase(
            None if x_weights is None else sorted_weights(source_weights, source_order),
            None if y_weights is None else sorted_weights(target_weights, target_order),
            x_levels,
            y_levels,
        )
        rows, columns, lengths = moves()
    step_costs = finite(lengths if p == 1 else lengths**p, "cost")
    has_mass = stairs.masses.detach() > 0
    shape = len(first), len(second)
    plan = Plan(rows=rows[has_mass], columns=columns[has_mass], masses=stairs.masses.detach()[has_mass], shape=shape)
    potentials = _potentials(step_costs.detach(), stairs, source_order, target_order)
    costs = step_costs.detach()[has_mass]
    certificate = _certificate(plan, costs, *potentials)
    if not certificate.optimal and len(first) * len(second) <= _MOST_PAIRS:
        points = first.detach().cpu(), second.detach().cpu()
        weights = source_weights.detach().cpu(), target_weights.detach().cpu()
        certificate = _certificate(plan, costs, *_refined_potentials(*points, *weights, p))
    if not certificate.optimal:
        raise NumericError(
            f"rounding left a duality gap of {certificate.gap:.3g}, too large to certify the plan",
            remedy="Divide the points by their size, or take weights of fewer orders of magnitude.",
        )
    return Transport(
        cost=(stairs.masses * step_costs).sum(),
        distance=power_mean(lengths, stairs.masses, p),
        plan=plan,
        solver="monotone",
        proof=certificate.to(first.device),
    )


def _certificate(plan: Plan, costs: Tensor, f: Tensor, g: Tensor) -> Certificate:
    """The certificate of a plan by feasible potentials, with the costs of its moves, shape (K,)."""
    parts = costs, f.to(costs.device)[plan.rows], g.to(costs.device)[plan.columns]
    return Certificate(
        source_potential=f,
        target_potential=g,
        gap=float(plan.masses.cpu().numpy() @ slacks(*(part.cpu().numpy() for part in parts))),
        absolute_cost=float(plan.masses @ costs),
    )


def _refined_potentials(x: Tensor, y: Tensor, a: Tensor, b: Tensor, p: float) -> tuple[Tensor, Tensor]:
    """Potentials from all pairs. Those along the path can be as large as the longest distance, and lose digits."""
    _, certificate = solve_on_support((x[:, None] - y).abs() ** p, a, b, refine)
    return certificate.source_potential, certificate.target_potential


def line_distances(x: Tensor, y: Tensor, x_weights: Tensor | None, y_weights: Tensor | None, p: float) -> Tensor:
    """W_p of many pairs of weighted sets in one dimension; arguments are not checked.

    Args:
        x: Shape (..., N), float32 or float64.
        y: Shape (..., M), of the same dtype.
        x_weights: Probabilities, shape (N,), the same on every line; None for equal weights.
        y_weights: Likewise, shape (M,).
        p: At least 1.

    Returns:
        Shape (...), float64, differentiable like `one_dimensional`.
    """
    if x_weights is None and y_weights is None and x.shape[-1] == y.shape[-1]:
        return power_mean(_distances(sort(x), sort(y)), None, p)
    (x_sorted, x_order, x_levels), (y_sorted, y_order, y_levels) = _quantiles(x, x_weights), _quantiles(y, y_weights)
    stairs = staircase(x_levels, y_levels)
    found = _along(stairs, x_sorted, y_sorted, p)
    inaccurate = _is_inaccurate(x_sorted, y_sorted, found.detach(), p)
    if not bool(inaccurate.any()):
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
        if bool(inaccurate[line])
        else found[line]
        for line in np.ndindex(*found.shape)
    ]
    return torch.stack(lines).reshape(found.shape)


def _along(stairs: Staircase, x_sorted: Tensor, y_sorted: Tensor, p: float) -> Tensor:
    """W_p from the moves of the monotone plan."""
    shape = (*x_sorted.shape[:-1], stairs.masses.shape[-1])
    from_x = x_sorted.gather(-1, stairs.rows.expand(shape))
    from_y = y_sorted.gather(-1, stairs.columns.expand(shape))
    return power_mean(_distances(from_x, from_y), stairs.masses, p)


def _is_inaccurate(x_sorted: Tensor, y_sorted: Tensor, distances: Tensor, p: float) -> Tensor:
    """On which lines the rounding of levels, as mass that moves from end to end, could change the distance."""
    x, y = x_sorted.detach(), y_sorted.detach()
    longest: Tensor = torch.maximum((x[..., -1] - y[..., 0]).abs(), (y[..., -1] - x[..., 0]).abs()).double()
    is_inaccurate: Tensor = _INACCURATE ** (1.0 / p) * longest > distances
    if x.shape == y.shape and bool(is_inaccurate.any()):
        is_inaccurate = is_inaccurate & ~(x == y).all(dim=-1)
    return is_inaccurate


def power_mean(values: Tensor, weights: Tensor | None, p: float) -> Tensor:
    """(sum_k w_k v_k^p)^(1/p) along the last dimension, without overflow.

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
    # After division by the largest value no power overflows, and not all of them underflow.
    scale = torch.where(largest > 0, largest, 1.0)
    powers = (values / scale) ** p
    mean = powers.mean(-1) if weights is None else (powers * weights).sum(-1)
    # The root has an infinite slope at 0, which would give a NaN gradient.
    positive = mean > 0
    root = torch.where(positive, mean, 1.0) ** (1.0 / p)
    return scale.squeeze(-1) * torch.where(positive, root, 0.0)


def sort(values: Tensor) -> Tensor:
    """Sorted along the last dimension, in new memory, differentiable. On a CPU NumPy sorts."""
    if values.device.type != "cpu":
        return values.sort().values
    if _is_tracked(values):
        return values.gather(-1, order_of(values))
    return torch.from_numpy(np.sort(values.detach().numpy()))


def _quantiles(values: Tensor, weights: Tensor | None) -> tuple[Tensor, Tensor | None, Tensor]:
    """Sorted values, their order if weights are given, and the levels of the distribution function between them."""
    if weights is None:
        return sort(values), None, levels_of(values, None, None)
    order = order_of(values)
    return values.gather(-1, order), order, levels_of(values, weights, order)


def _potentials(
    step_costs: Tensor, stairs: Staircase, source_order: Tensor, target_order: Tensor
) -> tuple[Tensor, Tensor]:
    """The f and g with f_i + g_j = c_ij along the path, in the original order of the points; the lowest y has g = 0."""
    rises = torch.diff(step_costs)
    next_row = torch.diff(stairs.rows) == 1
    by_source = torch.cat([step_costs[:1], rises[next_row]]).cumsum(0)
    by_target = torch.cat([torch.zeros_like(step_costs[:1]), rises[~next_row]]).cumsum(0)
    source_potential, target_potential = torch.empty_like(by_source), torch.empty_like(by_target)
    source_potential[source_order] = by_source
    target_potential[target_order] = by_target
    return source_potential, target_potential


def _distances(first: Tensor, second: Tensor) -> Tensor:
    """|first - second|, in place unless a gradient is needed."""
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
            remedy="Use `exact`, or `sliced`, which projects them onto lines.",
        )
    return first[:, 0], second[:, 0]


def weights_or_none(weights: Array | None, points: Tensor, name: str) -> Tensor | None:
    """Checked weights of points of shape (..., N), on their device; None stands for equal weights."""
    return None if weights is None else as_weights(weights, points.shape[-1], name).to(points.device)
