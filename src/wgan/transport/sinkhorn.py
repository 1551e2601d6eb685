"""Entropic optimal transport by Sinkhorn's iterations, with proven bounds of the exact cost.

    OT_eps(a, b) = min over plans P of <P, C> + eps KL(P | a b^T)
                 = max over f, g of <a, f> + <b, g> - eps sum_ij a_i b_j (exp((f_i + g_j - C_ij) / eps) - 1)

The plan is P_ij = a_i b_j exp((f_i + g_j - C_ij) / eps). The iterations scale its columns and rows to the marginals in
turn (see `wgan.transport.entropic`).

The results are *not* the Wasserstein distance: regularisation biases them. Relative error, measured on two normal
samples of 500 points in two dimensions with W1 = 0.654:

    epsilon / mean cost     0.1      0.05     0.02     0.01     0.002
    cost <P, C>            +21 %     +9 %     +3 %     +1 %    +0.3 %
    value OT_eps           +67 %    +40 %    +19 %    +11 %    +2.6 %
    debiased divergence    -51 %    -33 %    -14 %     -7 %    -0.9 %

For the distance itself use `exact`, or the interval from `lower` to `upper`, which contains it for every epsilon.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from torch import Tensor

from wgan.errors import NumericError, UsageError
from wgan.transport.costs import Cost, cost_matrix, is_matrix, mean_allowed, zero_forbidden
from wgan.transport.entropic import (
    EntropicSolution,
    exact_cost_bounds,
    sinkhorn_iterations,
    symmetric_sinkhorn_iterations,
)
from wgan.transport.measures import Array, as_pair, as_weights, refuse_beyond_memory
from wgan.transport.refinement import check_feasible

DEFAULT_SHARE = 0.05
"""The default `epsilon`, as a share of the mean cost."""

# Matrices of shape (N, M) in memory at once: costs, costs / epsilon, plans and temporaries. The divergence also keeps
# those of its earlier terms.
_MATRICES = 7
_MATRICES_OF_DIVERGENCE = 11


@dataclass(frozen=True, kw_only=True)
class EntropicTransport:
    """The solution of an entropic transport problem, with bounds of the exact cost.

    Attributes:
        cost: <P, C> of the entropic plan, 0-d, float64, in units of the cost. Not differentiable.
        value: OT_eps = <P, C> + eps KL(P | a b^T), 0-d, differentiable with respect to points, costs and weights.
        lower: The dual value of the potentials after c-transforms: a lower bound of the exact cost, 0-d.
        upper: The cost of the plan after rounding it to the marginals: an upper bound of the exact cost, 0-d.
        gap: upper - lower.
        plan: P, shape (N, M); its rows sum to the source weights.
        source_potential: f, shape (N,): the gradient of the value with respect to the source weights, up to a constant.
        target_potential: g, shape (M,).
        epsilon: The regularisation strength, in units of the cost.
        marginal_error: sum_j |sum_i P_ij - b_j|, twice the share of the mass that arrives at the wrong point.
        num_steps: Passes over the cost matrix and its transpose.
        converged: Whether the marginal error is at most the tolerance. The bounds hold in any case.
    """

    cost: Tensor
    value: Tensor
    lower: Tensor
    upper: Tensor
    gap: float
    plan: Tensor = field(repr=False)
    source_potential: Tensor = field(repr=False)
    target_potential: Tensor = field(repr=False)
    epsilon: float
    marginal_error: float
    num_steps: int
    converged: bool


@dataclass(frozen=True, kw_only=True)
class SinkhornDivergence:
    """The debiased Sinkhorn divergence, with its three terms.

    Attributes:
        value: OT_eps(x, y) - (OT_eps(x, x) + OT_eps(y, y)) / 2, 0-d, float64, in units of the cost, differentiable.
        between: OT_eps(x, y), 0-d.
        within_source: OT_eps(x, x), 0-d.
        within_target: OT_eps(y, y), 0-d.
        epsilon: The regularisation strength of all terms, in units of the cost.
        marginal_error: The largest of the three terms.
        num_steps: The sum over the three terms.
        converged: Whether every marginal error is at most the tolerance.
    """

    value: Tensor
    between: Tensor
    within_source: Tensor
    within_target: Tensor
    epsilon: float
    marginal_error: float
    num_steps: int
    converged: bool


def sinkhorn(
    x: Array | None,
    y: Array | None,
    cost: Cost = "euclidean",
    p: float = 1.0,
    *,
    x_weights: Array | None = None,
    y_weights: Array | None = None,
    epsilon: float | None = None,
    tolerance: float = 1e-6,
    max_steps: int = 10_000,
    strict: bool = True,
) -> EntropicTransport:
    """Entropic optimal transport: min over plans P of <P, C> + eps KL(P | a b^T), with C = d^p.

    Args:
        x: Points, shape (N, ...); None if the cost is a matrix.
        y: Points, shape (M, ...); None if the cost is a matrix.
        cost: "euclidean", "squared", "manhattan", a function of points, or a matrix of shape (N, M). A function or a
            matrix may forbid pairs by infinite costs.
        p: The power of the distance, at least 1.
        x_weights: Shape (N,), summing to 1; None for equal weights.
        y_weights: Shape (M,).
        epsilon: Regularisation strength, in units of the cost; None for 0.05 times the mean cost of the allowed pairs.
            The smaller it is, the sharper the plan and the more steps are needed.
        tolerance: The largest marginal error to accept, as an L1 distance between probabilities.
        max_steps: The most passes over the cost matrix and its transpose.
        strict: Whether to raise if the tolerance is not reached. If not, the result has `converged=False`; its bounds
            of the exact cost hold nevertheless.

    Returns:
        Costs, potentials, plan and bounds, on the device of x. The value is differentiable by the envelope theorem at a
        fixed epsilon, not through the iterations: its gradient with respect to the costs is the plan, with respect to
        the weights the potentials. O(N M) time per step and O(N M) memory.

    Raises:
        UsageError: Sets, costs or weights that do not match, arguments out of range, no plan without forbidden pairs,
            or more pairs than fit in memory.
        NumericError: Numbers that are not finite, or the tolerance was not reached.

    Source: Cuturi (2013); Peyré and Cuturi (2019), sections 4.1, 4.4 and 4.5; Altschuler, Weed and Rigollet (2017),
    algorithm 2, for the upper bound.

    Example:
        >>> found = sinkhorn([0.0, 1.0], [1.0, 3.0], epsilon=0.1)
        >>> bool(found.lower <= 1.5 <= found.upper), found.gap < 1e-3, found.converged
        (True, True, True)
    """
    _check_settings(epsilon, tolerance, max_steps)
    _refuse_beyond_memory(x, y, cost, _MATRICES)
    costs = cost_matrix(x, y, cost, p)
    a, b = _weights(x_weights, y_weights, costs)
    detached = costs.detach(), a.detach(), b.detach()
    feasible_cost = check_feasible(*detached)
    epsilon = epsilon or _default_epsilon(*detached)
    with torch.no_grad():
        found = sinkhorn_iterations(*detached, epsilon, tolerance, max_steps)
        lower, upper = exact_cost_bounds(*detached, found, feasible_cost)
    converged = found.marginal_error <= tolerance
    if strict and not converged:
        _raise_not_converged(
            found, epsilon, tolerance, f"The exact cost is in [{float(lower):.6g}, {float(upper):.6g}]. "
        )
    return EntropicTransport(
        cost=(found.plan * zero_forbidden(costs.detach())).sum(),
        value=_value(found, costs, a, b, epsilon),
        lower=lower,
        upper=upper,
        gap=float(upper - lower),
        plan=found.plan,
        source_potential=found.source_potential,
        target_potential=found.target_potential,
        epsilon=epsilon,
        marginal_error=found.marginal_error,
        num_steps=found.num_steps,
        converged=converged,
    )


def sinkhorn_divergence(
    x: Array,
    y: Array,
    cost: Cost = "euclidean",
    p: float = 1.0,
    *,
    x_weights: Array | None = None,
    y_weights: Array | None = None,
    epsilon: float | None = None,
    tolerance: float = 1e-6,
    max_steps: int = 10_000,
    strict: bool = True,
) -> SinkhornDivergence:
    """The debiased entropic transport cost: S_eps = OT_eps(x, y) - (OT_eps(x, x) + OT_eps(y, y)) / 2.

    It is 0 between a set and itself, unlike OT_eps. For the three named costs with p = 1 it is never negative, and 0
    only between equal sets. It interpolates between the optimal transport cost (epsilon to 0) and half an energy
    distance with d^p in place of the distance (epsilon to infinity).

    Args:
        x: Points, shape (N, ...).
        y: Points, shape (M, ...).
        cost: "euclidean", "squared", "manhattan", or a symmetric function of points. A matrix between the sets does
            not contain the costs within each.
        p: The power of the distance, at least 1.
        x_weights: Shape (N,), summing to 1; None for equal weights.
        y_weights: Shape (M,).
        epsilon: Regularisation strength, in units of the cost; None for 0.05 times the mean cost between the sets.
        tolerance: The largest marginal error to accept in any of the three terms.
        max_steps: The most passes for each term.
        strict: Whether to raise if the tolerance is not reached.

    Returns:
        The divergence and its terms; differentiable by the envelope theorem, at a fixed epsilon, with respect to points
        and weights, with finite gradients at coincident points. O(N^2 + N M + M^2) time per step and memory.

    Raises:
        UsageError: As `sinkhorn`, and for a cost matrix.
        NumericError: Numbers that are not finite, or the tolerance was not reached.

    Source: Feydy, Séjourné, Vialard, Amari, Trouvé and Peyré (2019), equation 3 and theorem 1; Genevay, Peyré
    and Cuturi (2018).

    Example:
        >>> x = torch.arange(6.0).reshape(3, 2)
        >>> abs(float(sinkhorn_divergence(x, x).value)) < 1e-9
        True
    """
    _check_settings(epsilon, tolerance, max_steps)
    if is_matrix(cost):
        raise UsageError(
            "a debiased divergence needs the costs within each set, which a matrix between them does not contain",
            remedy="Give the cost as a name or as a function of points.",
        )
    first, second = as_pair(x, y)
    larger = max((first, second), key=len)
    _refuse_beyond_memory(larger, larger, cost, _MATRICES_OF_DIVERGENCE)
    between = cost_matrix(first, second, cost, p)
    a, b = _weights(x_weights, y_weights, between)
    detached = between.detach(), a.detach(), b.detach()
    check_feasible(*detached)
    epsilon = epsilon or _default_epsilon(*detached)
    with torch.no_grad():
        found = [sinkhorn_iterations(*detached, epsilon, tolerance, max_steps)]
    terms = [_value(found[0], between, a, b, epsilon)]
    for points, weights in ((first, a), (second, b)):
        within = cost_matrix(points, points, cost, p)
        with torch.no_grad():
            found.append(
                symmetric_sinkhorn_iterations(within.detach(), weights.detach(), epsilon, tolerance, max_steps)
            )
        terms.append(_value(found[-1], within, weights, weights, epsilon))
    worst = max(found, key=lambda term: term.marginal_error)
    converged = worst.marginal_error <= tolerance
    if strict and not converged:
        _raise_not_converged(worst, epsilon, tolerance)
    return SinkhornDivergence(
        value=terms[0] - (terms[1] + terms[2]) / 2,
        between=terms[0],
        within_source=terms[1],
        within_target=terms[2],
        epsilon=epsilon,
        marginal_error=worst.marginal_error,
        num_steps=sum(term.num_steps for term in found),
        converged=converged,
    )


def _check_settings(epsilon: float | None, tolerance: float, max_steps: int) -> None:
    if epsilon is not None and not 0.0 < epsilon < float("inf"):
        raise UsageError(
            f"epsilon must be above 0 and finite, not {epsilon}",
            remedy="The default is 0.05 times the mean cost. `exact` solves the unregularised problem.",
        )
    if not tolerance > 0.0:
        raise UsageError(f"tolerance must be above 0, not {tolerance}")
    if max_steps < 1:
        raise UsageError(f"max_steps must be at least 1, not {max_steps}")


def _refuse_beyond_memory(x: Array | None, y: Array | None, cost: Cost, num_matrices: int) -> None:
    if x is None or y is None or is_matrix(cost):
        return
    num_x, num_y = map(len, as_pair(x, y))
    refuse_beyond_memory(
        8 * num_matrices * num_x * num_y,
        f"entropic transport of {num_x:,} x {num_y:,} samples",
        "Take fewer samples, or use `semidual`, whose memory grows only with the number of targets.",
    )


def _weights(x_weights: Array | None, y_weights: Array | None, costs: Tensor) -> tuple[Tensor, Tensor]:
    a = as_weights(x_weights, costs.shape[0], "x_weights").to(costs.device)
    return a, as_weights(y_weights, costs.shape[1], "y_weights").to(costs.device)


def _default_epsilon(costs: Tensor, a: Tensor, b: Tensor) -> float:
    # If all costs are 0, every strength gives the same result.
    return DEFAULT_SHARE * mean_allowed(costs.abs(), a, b) or 1.0


def _value(found: EntropicSolution, costs: Tensor, a: Tensor, b: Tensor, epsilon: float) -> Tensor:
    """The dual value of the potentials, with gradients by the envelope theorem: P for costs, f and g for weights.

    The dual is flat at its optimum, so the error of the value is quadratic in the error of the potentials.
    """
    f, g, plan = found.source_potential, found.target_potential, found.plan
    value = a.detach() @ f + b.detach() @ g - epsilon * (plan.sum() - 1.0)
    if not (costs.requires_grad or a.requires_grad or b.requires_grad):
        return value
    tracked = (plan * zero_forbidden(costs)).sum() + a @ f + b @ g
    return value + (tracked - tracked.detach())


def _raise_not_converged(found: EntropicSolution, epsilon: float, tolerance: float, bounds: str = "") -> None:
    raise NumericError(
        f"Sinkhorn's iterations did not converge: a marginal error of {found.marginal_error:.3g} after "
        f"{found.num_steps:,} steps, above the tolerance of {tolerance:.3g}, at epsilon {epsilon:.6g}. "
        f"{bounds}".rstrip(),
        remedy="Raise epsilon, max_steps or the tolerance, or accept the result with strict=False.",
    )
