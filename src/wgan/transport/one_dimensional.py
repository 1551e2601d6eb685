"""Optimal transport on the line, where sorting solves it exactly: mass is matched from left to right.

Everything here works along the last dimension, so that many lines are solved at once: sliced transport is a batch.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from wgan.errors import NumericError, UsageError
from wgan.measures import Array, as_pair, as_weights, check_power, finite
from wgan.transport.plans import Certificate, Plan, Transport

# A gap of more than this share of the cost from end to end is more than the rounding of two million additions.
_GAP_TOLERANCE = 1e-9


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
    source_order, target_order = _order(first), _order(second)
    stairs = _staircase(
        _levels(first, None if x_weights is None else source_weights, source_order),
        _levels(second, None if y_weights is None else target_weights, target_order),
    )
    rows, columns = source_order.gather(0, stairs.rows), target_order.gather(0, stairs.columns)
    lengths = (first.gather(0, rows) - second.gather(0, columns)).abs()
    step_costs = finite(lengths if p == 1 else lengths**p, "cost")
    cost = (stairs.masses * step_costs).sum()

    source_potential, target_potential = _potentials(step_costs.detach(), stairs, source_order, target_order)
    dual = source_weights.detach() @ source_potential + target_weights.detach() @ target_potential
    gap = float(cost.detach() - dual)
    _refuse_unproven(gap, first.detach(), second.detach(), p)
    moved = stairs.masses.detach() > 0
    return Transport(
        cost=cost,
        distance=power_mean(lengths, stairs.masses, p),
        plan=Plan(
            rows=rows[moved],
            columns=columns[moved],
            masses=stairs.masses.detach()[moved],
            shape=(len(first), len(second)),
        ),
        solver="monotone",
        proof=Certificate(
            source_potential=source_potential,
            target_potential=target_potential,
            gap=gap,
            optimal=True,
        ),
    )


def _refuse_unproven(gap: float, x: Tensor, y: Tensor, p: float) -> None:
    # Potentials rise from end to end, however near each other the points are between which the plan moves.
    (x_low, x_high), (y_low, y_high) = (map(float, torch.aminmax(side)) for side in (x, y))
    longest = max(abs(x_high - y_low), abs(y_high - x_low))
    if not abs(gap) <= _GAP_TOLERANCE * longest**p:
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
    x_sorted, x_levels = _quantiles(x, x_weights)
    y_sorted, y_levels = _quantiles(y, y_weights)
    stairs = _staircase(x_levels, y_levels)
    whole = (*x.shape[:-1], stairs.masses.shape[-1])
    from_x = x_sorted.gather(-1, stairs.rows.expand(whole))
    from_y = y_sorted.gather(-1, stairs.columns.expand(whole))
    return power_mean(_distances(from_x, from_y), stairs.masses, p)


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
        return values.gather(-1, _order(values))
    return torch.from_numpy(np.sort(values.detach().numpy()))


@dataclass(frozen=True, kw_only=True)
class _Staircase:
    """The moves of the monotone plan over sorted points: a path from (0, 0) to (N - 1, M - 1) by single steps.

    Attributes:
        rows: Sorted source points, shape (..., N + M - 1), int64.
        columns: Sorted target points, likewise.
        masses: What is moved, at least 0 and summing to 1, likewise, float64, differentiable.
    """

    rows: Tensor
    columns: Tensor
    masses: Tensor


def _staircase(x_levels: Tensor, y_levels: Tensor) -> _Staircase:
    """Merge the inner levels of two distribution functions, shapes (..., N - 1) and (..., M - 1).

    Between two neighbours of the merged levels lies one move. Levels that coincide leave a move without mass: it keeps
    the path connected, and with it the gradients with respect to weights are potentials.
    """
    num_rows = x_levels.shape[-1]
    lines = max(x_levels.shape[:-1], y_levels.shape[:-1], key=len)
    levels = torch.cat([x_levels.expand(*lines, -1), y_levels.expand(*lines, -1)], dim=-1)
    order = _order(levels, stable=True)
    merged = levels.gather(-1, order)
    begin = levels.new_zeros((*lines, 1))
    # Where the last points weigh nothing, the level before them may be 1 and a rounding.
    end = torch.cat([merged[..., -1:].detach(), begin + 1.0], dim=-1).amax(-1, keepdim=True)
    masses = torch.diff(merged, prepend=begin, append=end)
    rows = torch.nn.functional.pad((order < num_rows).cumsum(-1), (1, 0))
    columns = torch.arange(rows.shape[-1], device=rows.device) - rows
    return _Staircase(rows=rows, columns=columns, masses=masses)


def _quantiles(values: Tensor, weights: Tensor | None) -> tuple[Tensor, Tensor]:
    """Sorted values, and the levels of the distribution function between them."""
    if weights is None:
        return sort(values), _levels(values, None, None)
    order = _order(values)
    return values.gather(-1, order), _levels(values, weights, order)


def _levels(values: Tensor, weights: Tensor | None, order: Tensor | None) -> Tensor:
    """The distribution function after each sorted point but the last, shape (..., N - 1) or (N - 1,), float64."""
    if weights is None or order is None:
        # Quotients of whole numbers, not sums: 1/3 and 2/6 are then the same float.
        num = values.shape[-1]
        return torch.arange(1, num, dtype=torch.float64, device=values.device) / num
    # `gather` and its gradient are several times faster here than indexing by brackets.
    return weights.expand(order.shape).gather(-1, order).cumsum(-1)[..., :-1]


def _order(values: Tensor, *, stable: bool = False) -> Tensor:
    """The indices that sort along the last dimension."""
    if values.device.type != "cpu":
        return values.detach().argsort(dim=-1, stable=stable)
    # The stable sort finds the two sorted runs that it is given, and merges them in linear time.
    return torch.from_numpy(np.argsort(values.detach().numpy(), axis=-1, kind="stable" if stable else None))


def _potentials(
    step_costs: Tensor, stairs: _Staircase, source_order: Tensor, target_order: Tensor
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
