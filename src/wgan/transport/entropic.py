"""Solver of entropic transport: Sinkhorn's iterations, and the bounds of the exact cost that their result proves.

The iterations find the potentials with which P_ij = a_i b_j exp((f_i + g_j - C_ij) / eps) has the marginals a and b.
They run in the log domain. The regularisation strength is halved step by step from the range of the costs down to eps,
and Newton's method on the dual takes over where Sinkhorn's updates converge slowly. All tensors are detached.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from wgan.errors import NumericError, UsageError
from wgan.transport.arithmetic import weighted_value
from wgan.transport.certificates import feasible_transform
from wgan.transport.costs import zero_forbidden
from wgan.transport.refinement import refine

# The marginal error of a symmetric problem at which the strength is halved again.
_COARSE_TOLERANCE = 1e-2
# The most conjugate gradient steps in one Newton step, and the bounds of its relative residual.
_GRADIENT_STEPS = 500
_RESIDUAL_BOUNDS = (1e-2, 1e-1)
# The largest change of a potential in one Newton step, in units of the strength: the plan changes exponentially in it.
_MAX_CHANGE = 5.0
# The most times that a Newton step is cut to a quarter, and the increase of the dual that counts as rounding.
_MAX_CUTS = 6
_ROUNDING = 1e-13


@dataclass(frozen=True, kw_only=True)
class EntropicSolution:
    """The result of the iterations.

    Attributes:
        source_potential: f, shape (N,), in units of the cost.
        target_potential: g, shape (M,).
        plan: P_ij = a_i b_j exp((f_i + g_j - C_ij) / epsilon), shape (N, M).
        marginal_error: The L1 distance of its marginals from a and b.
        num_steps: Passes over the cost matrix and its transpose: updates of both potentials and conjugate gradient
            steps.
    """

    source_potential: Tensor
    target_potential: Tensor
    plan: Tensor
    marginal_error: float
    num_steps: int


def sinkhorn_iterations(
    costs: Tensor, a: Tensor, b: Tensor, epsilon: float, tolerance: float, max_steps: int
) -> EntropicSolution:
    """Solve the entropic problem between two sets.

    Args:
        costs: Shape (N, M), float64; infinite for forbidden pairs. A plan without them must exist.
        a: Source weights, shape (N,).
        b: Target weights, shape (M,).
        epsilon: Regularisation strength, in units of the cost.
        tolerance: The marginal error to reach.
        max_steps: The most steps.

    Returns:
        The potentials and the plan. f is updated last, so the rows of the plan sum to a. O(N M) time per step.

    Source: Peyré and Cuturi (2019), sections 4.1 and 4.4; Kosowsky and Yuille (1994) for the decreasing strength;
    Brauer, Clason, Lorenz and Wirth (2017) for Newton's method.
    """
    # Points of weight 0 are left out and get their potentials afterwards.
    rows, columns = a > 0, b > 0
    whole = bool(rows.all()) and bool(columns.all())
    inner, a_in, b_in = (costs, a, b) if whole else (costs[rows][:, columns], a[rows], b[columns])
    f, g, plan = torch.zeros_like(a_in), torch.zeros_like(b_in), inner
    num_steps, error = 0, math.inf
    for strength in _strengths(inner, epsilon):
        if num_steps >= max_steps and strength != epsilon:
            continue
        # Each strength is solved to the full tolerance: mass between distant clusters moves only at large strengths.
        f, g, plan, error, steps = _solve_at_strength(
            inner / strength, a_in.log(), b_in.log(), f / strength, g / strength, tolerance, max_steps - num_steps
        )
        f, g, num_steps = strength * f, strength * g, num_steps + steps
    if not whole:
        f_in, g_in, plan_in = f, g, plan
        f = -epsilon * torch.logsumexp(b_in.log() + (g_in - costs[:, columns]) / epsilon, dim=1)
        g = -epsilon * torch.logsumexp(a_in.log()[:, None] + (f_in[:, None] - costs[rows]) / epsilon, dim=0)
        # A point of weight 0 whose pairs are all forbidden may have any potential.
        f, g = zero_forbidden(f), zero_forbidden(g)
        f[rows], g[columns] = f_in, g_in
        plan = torch.zeros_like(costs)
        plan[rows.nonzero(), columns.nonzero().T] = plan_in
    return EntropicSolution(
        source_potential=f, target_potential=g, plan=plan, marginal_error=error, num_steps=num_steps
    )


def symmetric_sinkhorn_iterations(
    costs: Tensor, a: Tensor, epsilon: float, tolerance: float, max_steps: int
) -> EntropicSolution:
    """Solve the entropic problem of one set with itself, where f = g. Averaged updates converge in a few steps.

    Args:
        costs: Shape (N, N), symmetric, float64.
        a: Weights, shape (N,).
        epsilon: Regularisation strength, in units of the cost.
        tolerance: The marginal error to reach.
        max_steps: The most steps.

    Returns:
        The potential, as both f and g. O(N^2) time per step.

    Source: Feydy et al. (2019), section 3.1; Knight, Ruiz and Uçar (2014).
    """
    f, log_a = torch.zeros_like(a), a.log()
    num_steps, error = 0, math.inf
    for strength in _strengths(costs, epsilon):
        target_error = tolerance if strength == epsilon else max(tolerance, _COARSE_TOLERANCE)
        scaled = costs / strength
        while True:
            update = -strength * torch.logsumexp(log_a + f / strength - scaled, dim=1)
            num_steps += 1
            error = float((a * torch.expm1((f - update) / strength)).abs().sum())
            if not error > target_error or num_steps >= max_steps:
                break
            f = (f + update) / 2
    half = log_a + f / epsilon
    plan = torch.exp(half[:, None] + half - costs / epsilon)
    return EntropicSolution(
        source_potential=f, target_potential=f, plan=plan, marginal_error=error, num_steps=num_steps
    )


def exact_cost_bounds(
    costs: Tensor, a: Tensor, b: Tensor, found: EntropicSolution, feasible_cost: Tensor | None
) -> tuple[Tensor, Tensor]:
    """A lower and an upper bound of the exact cost, from an entropic plan and its potentials.

    Args:
        costs: Shape (N, M), float64, detached; infinite for forbidden pairs.
        a: Source weights, shape (N,).
        b: Target weights, shape (M,).
        found: The entropic plan and its potentials.
        feasible_cost: The cost of some plan without forbidden pairs; None if no pair is forbidden.

    Returns:
        Both bounds, 0-d.

    Source: Altschuler, Weed and Rigollet (2017), algorithm 2, for the upper bound.
    """
    # If the potentials are large relative to the cost, constant ones (nearest neighbours) may give a better bound.
    f, g = found.source_potential.cpu(), found.target_potential.cpu()
    starts = ((f, None), (None, g), (torch.zeros_like(f), None))
    lower = max(_lower_bound(costs.cpu(), a.cpu(), b.cpu(), *start) for start in starts)
    return costs.new_tensor(lower), _upper_bound(costs, a, b, found, feasible_cost)


def _lower_bound(costs: Tensor, a: Tensor, b: Tensor, f: Tensor | None, g: Tensor | None) -> float:
    """The dual value after two c-transforms that are rounded down, so that the potentials are feasible."""
    if g is None:
        assert f is not None
        g = zero_forbidden((costs - f[:, None]).amin(dim=0))
    if not bool(g.isfinite().all()):
        return -math.inf  # the iterations overflowed
    f = feasible_transform(costs.T, g)
    return weighted_value(*(values.numpy() for values in (a, f, b, feasible_transform(costs, f))))


def _upper_bound(costs: Tensor, a: Tensor, b: Tensor, found: EntropicSolution, feasible_cost: Tensor | None) -> Tensor:
    """The cost of the plan after rounding it to the exact marginals."""
    if not bool(found.plan.isfinite().all()):
        # The iterations overflowed: use any feasible plan, such as the product of the marginals.
        return a @ costs @ b if feasible_cost is None else feasible_cost
    # Rows and columns with too much mass are scaled down, and the missing mass is added as a product of marginals.
    plan = found.plan * _scaling(a, found.plan.sum(dim=1))[:, None]
    plan *= _scaling(b, plan.sum(dim=0))
    rows_missing, columns_missing = (a - plan.sum(dim=1)).clamp(min=0.0), (b - plan.sum(dim=0)).clamp(min=0.0)
    cost, missing = (plan * zero_forbidden(costs)).sum(), rows_missing.sum()
    if not float(missing) > 0.0:
        return cost
    if feasible_cost is None:
        return cost + rows_missing @ costs @ columns_missing / missing
    # A product of marginals would use forbidden pairs.
    rows, columns = rows_missing.nonzero().flatten(), columns_missing.nonzero().flatten()
    try:
        source, target = (mass / mass.sum() for mass in (rows_missing[rows].cpu(), columns_missing[columns].cpu()))
        added, _ = refine(costs[rows][:, columns].cpu().contiguous(), source, target)
    except (UsageError, NumericError):
        return feasible_cost
    added_costs = costs[rows][:, columns][added.rows.to(costs.device), added.columns.to(costs.device)]
    return torch.minimum(cost + missing * (added.masses.to(costs.device) @ added_costs), feasible_cost)


def _scaling(weights: Tensor, sums: Tensor) -> Tensor:
    """The factors, at most 1, that bring sums above the weights down to them."""
    return torch.where(sums > weights, weights / torch.where(sums > weights, sums, 1.0), 1.0)


def _strengths(costs: Tensor, epsilon: float) -> Iterator[float]:
    strength = float(zero_forbidden(costs).max() - costs.min())
    while strength > epsilon:
        yield strength
        strength /= 2
    yield epsilon


def _solve_at_strength(
    costs: Tensor, log_a: Tensor, log_b: Tensor, f: Tensor, g: Tensor, tolerance: float, max_steps: int
) -> tuple[Tensor, Tensor, Tensor, float, int]:
    """Solve at one strength, which is the unit of costs and potentials.

    With f optimal for g, the dual is a concave function of g alone. Its gradient is b minus the column sums of the
    plan. Sinkhorn's update of g always increases the dual; it comes first and replaces Newton steps that fail.
    """
    a, b = log_a.exp(), log_b.exp()

    def evaluate(g: Tensor) -> tuple[Tensor, Tensor, Tensor, float]:
        f = -torch.logsumexp((log_b + g) - costs, dim=1)
        plan = torch.exp((log_a + f)[:, None] + (log_b + g) - costs)
        gradient = b - plan.sum(dim=0)
        return f, plan, gradient, float(gradient.abs().sum())

    num_steps, use_sinkhorn = 0, True
    while True:
        if use_sinkhorn:
            g = -torch.logsumexp((log_a + f)[:, None] - costs, dim=0)
            f, plan, gradient, error = evaluate(g)
            num_steps += 1
        if not error > tolerance or num_steps >= max_steps:  # the first also if the error is NaN
            return f, g, plan, error, num_steps
        step, steps = _newton_step(plan, a, gradient, min(_GRADIENT_STEPS, max_steps - num_steps))
        num_steps += steps
        length = min(1.0, _MAX_CHANGE / max(float(step.abs().max()), _ROUNDING))
        use_sinkhorn = length < 1.0
        for _ in range(_MAX_CUTS):
            new_g = g + length * step
            new_f, new_plan, new_gradient, new_error = evaluate(new_g)
            num_steps += 1
            if new_error < error or float(b @ (new_g - g) + a @ (new_f - f)) > _ROUNDING:
                f, g, plan, gradient, error = new_f, new_g, new_plan, new_gradient, new_error
                break
            length, use_sinkhorn = length / 4, True


def _newton_step(plan: Tensor, a: Tensor, gradient: Tensor, max_steps: int) -> tuple[Tensor, int]:
    """Solve (diag(c) - P^T diag(1 / a) P) step = gradient, where c are the column sums, by conjugate gradients.

    Preconditioned by c, the matrix has the eigenvalues 1 - r, where r are the convergence rates of the error modes
    under Sinkhorn's updates. Few modes are slow, such as the balance between distant clusters. Conjugate gradients
    correct them in a few steps, Sinkhorn's updates in about 1 / (1 - r).
    """
    columns = plan.sum(dim=0)
    solution, residual = torch.zeros_like(gradient), gradient
    scaled = residual / columns
    direction, size = scaled, float(residual @ scaled)
    least, most = _RESIDUAL_BOUNDS
    tolerance = size * min(max(float(gradient.abs().sum()), least), most) ** 2
    for step in range(1, max_steps + 1):
        image = columns * direction - ((plan @ direction) / a) @ plan
        curvature = float(direction @ image)
        if not curvature > 0.0:  # rounding, or columns without mass
            return solution, step
        solution = solution + (size / curvature) * direction
        residual = residual - (size / curvature) * image
        scaled = residual / columns
        previous_size, size = size, float(residual @ scaled)
        if size <= tolerance:
            return solution, step
        direction = scaled + (size / previous_size) * direction
    return solution, max_steps
