"""Entropic optimal transport by Sinkhorn's iterations, with the bracket of the exact cost that they prove.

    OT_eps(a, b) = min over plans P of <P, C> + eps KL(P | a b^T)
                 = max over f, g of <a, f> + <b, g> - eps sum_ij a_i b_j (exp((f_i + g_j - C_ij) / eps) - 1)

The plan is P_ij = a_i b_j exp((f_i + g_j - C_ij) / eps); the iterations give its columns and its rows the right sums in
turn (`balancing` has them).

What comes out is *not* the earth mover's distance: the blur shifts it. Measured on two normal clouds of 500 points in
the plane, whose W1 is 0.654, against that number:

    epsilon / mean cost     0.1      0.05     0.02     0.01     0.002
    cost <P, C>            +21 %     +9 %     +3 %     +1 %    +0.3 %
    value OT_eps           +67 %    +40 %    +19 %    +11 %    +2.6 %
    debiased divergence    -51 %    -33 %    -14 %     -7 %    -0.9 %

For the distance itself take `exact`, or here the bracket from `lower` to `upper`, which holds it whatever epsilon is.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from torch import Tensor

from wgan.errors import NumericError, UsageError
from wgan.transport.balancing import Balanced, balance, balance_with_itself
from wgan.transport.brackets import bracket
from wgan.transport.costs import Cost, cost_matrix, is_matrix, mean_allowed, without_infinity
from wgan.transport.measures import Array, as_pair, as_weights, refuse_beyond_memory
from wgan.transport.refinement import refuse_impossible

DEFAULT_SHARE = 0.05
"""`epsilon` where none is given, as a share of the mean cost."""

# Matrices of N x M numbers that are held at once: costs, costs / epsilon, plans, and what makes them; and those that
# wait while the divergence solves its next term.
_MATRICES = 7
_MATRICES_OF_THREE = 11


@dataclass(frozen=True, kw_only=True)
class EntropicTransport:
    """What Sinkhorn's iterations found, and what it proves about the problem without entropy.

    Attributes:
        cost: <P, C> of the entropic plan, 0-d, float64, in units of the cost. Not differentiable.
        value: OT_eps = <P, C> + eps KL(P | a b^T), 0-d, differentiable with respect to points, costs and weights.
        lower: The cost of the best potentials made feasible by c-transforms: never above the exact cost, 0-d.
        upper: The cost of the plan rounded to one with the right marginals: never below the exact cost, 0-d.
        gap: upper - lower.
        plan: P, shape (N, M); its rows sum to the source weights.
        source_potential: f, shape (N,): the gradient of the value with respect to the source weights, up to a constant.
        target_potential: g, shape (M,).
        epsilon: The strength of the entropy, in units of the cost.
        marginal_error: sum_j |sum_i P_ij - b_j|, the share of mass times two that arrives in the wrong place.
        num_steps: Passes over the cost matrix and back.
        converged: Whether the marginal error is at most the tolerance. The bracket holds either way.
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
    """The debiased divergence, with its three terms.

    Attributes:
        value: OT_eps(x, y) - (OT_eps(x, x) + OT_eps(y, y)) / 2, 0-d, float64, in units of the cost, differentiable.
        between: OT_eps(x, y), 0-d.
        within_source: OT_eps(x, x), 0-d.
        within_target: OT_eps(y, y), 0-d.
        epsilon: The strength of the entropy in all three, in units of the cost.
        marginal_error: The largest of the three.
        num_steps: The sum of the three.
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
        x: Points, shape (N, ...); None with a cost matrix.
        y: Points, shape (M, ...); None with a cost matrix.
        cost: "euclidean", "squared", "manhattan", a function of points, or a matrix of shape (N, M). A function or a
            matrix may forbid pairs by infinite costs.
        p: The power of the distance, at least 1.
        x_weights: Shape (N,), summing to 1; None for equal ones.
        y_weights: Shape (M,).
        epsilon: Strength of the entropy, in units of the cost; None for 0.05 times the mean cost of the pairs that are
            allowed. The result says it.
            The smaller it is, the sharper the plan and the more steps it takes.
        tolerance: The largest marginal error to accept, as an L1 distance between probabilities.
        max_steps: The most passes over the cost matrix and back.
        strict: Whether to raise where the tolerance is not reached. Without, the result says `converged=False`; its
            bracket of the exact cost holds all the same.

    Returns:
        Costs, potentials, plan and bracket, on the device of x. The value is differentiable by the envelope theorem, at
        a fixed epsilon: its gradient with respect to costs is the plan, to weights the potentials; nothing is
        differentiated through the iterations. O(N M) time a step and O(N M) memory.

    Raises:
        UsageError: Sets, costs or weights that do not fit together, settings out of range, no plan without forbidden
            pairs, or more pairs than memory holds.
        NumericError: Numbers that are not finite, or the tolerance not reached.

    Source: Cuturi (2013); Peyré and Cuturi (2019), sections 4.1, 4.4 and 4.5; rounding: Altschuler, Weed and Rigollet
    (2017), algorithm 2.

    Example:
        >>> found = sinkhorn([0.0, 1.0], [1.0, 3.0], epsilon=0.1)
        >>> bool(found.lower <= 1.5 <= found.upper), found.gap < 1e-3, found.converged
        (True, True, True)
    """
    _check_settings(epsilon, tolerance, max_steps)
    _refuse_beyond_memory(x, y, cost, _MATRICES)
    costs = cost_matrix(x, y, cost, p)
    a, b = _weights(x_weights, y_weights, costs)
    possible = refuse_impossible(costs.detach(), a.detach(), b.detach())
    epsilon = epsilon or _default_epsilon(costs.detach(), a.detach(), b.detach())
    with torch.no_grad():
        found = balance(costs.detach(), a.detach(), b.detach(), epsilon, tolerance, max_steps)
        lower, upper = bracket(costs.detach(), a.detach(), b.detach(), found, possible)
    converged = found.marginal_error <= tolerance
    if strict and not converged:
        _refuse(found, epsilon, tolerance, f"The exact cost is in [{float(lower):.6g}, {float(upper):.6g}]. ")
    return EntropicTransport(
        cost=(found.plan * without_infinity(costs.detach())).sum(),
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
    """Entropic transport without its bias: S_eps = OT_eps(x, y) - (OT_eps(x, x) + OT_eps(y, y)) / 2.

    It is 0 between a set and itself, where OT_eps is not, and for the three named costs with p = 1 never negative and
    0 nowhere else. It leads from the optimal transport cost (epsilon to 0) to half an energy distance with d^p for its
    distance (epsilon to infinity).

    Args:
        x: Points, shape (N, ...).
        y: Points, shape (M, ...).
        cost: "euclidean", "squared", "manhattan", or a symmetric function of points. A matrix between the sets does not
            hold the costs within each.
        p: The power of the distance, at least 1.
        x_weights: Shape (N,), summing to 1; None for equal ones.
        y_weights: Shape (M,).
        epsilon: Strength of the entropy, in units of the cost; None for 0.05 times the mean cost between the sets.
        tolerance: The largest marginal error to accept in any of the three terms.
        max_steps: The most passes for each term.
        strict: Whether to raise where the tolerance is not reached.

    Returns:
        The divergence and its terms; differentiable by the envelope theorem, at a fixed epsilon, with respect to points
        and weights, with finite gradients at coincident points. O(N^2 + N M + M^2) time a step and as much memory.

    Raises:
        UsageError: As `sinkhorn`, and for a cost matrix.
        NumericError: Numbers that are not finite, or the tolerance not reached.

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
            "a debiased divergence needs the costs within each set, which a matrix between them does not hold",
            remedy="Give the cost as a name or as a function of points.",
        )
    first, second = as_pair(x, y)
    larger = max((first, second), key=len)
    _refuse_beyond_memory(larger, larger, cost, _MATRICES_OF_THREE)
    between = cost_matrix(first, second, cost, p)
    a, b = _weights(x_weights, y_weights, between)
    refuse_impossible(between.detach(), a.detach(), b.detach())
    epsilon = epsilon or _default_epsilon(between.detach(), a.detach(), b.detach())
    with torch.no_grad():
        found = [balance(between.detach(), a.detach(), b.detach(), epsilon, tolerance, max_steps)]
    terms = [_value(found[0], between, a, b, epsilon)]
    for points, weights in ((first, a), (second, b)):
        within = cost_matrix(points, points, cost, p)
        with torch.no_grad():
            found.append(balance_with_itself(within.detach(), weights.detach(), epsilon, tolerance, max_steps))
        terms.append(_value(found[-1], within, weights, weights, epsilon))
    worst = max(found, key=lambda term: term.marginal_error)
    converged = worst.marginal_error <= tolerance
    if strict and not converged:
        _refuse(worst, epsilon, tolerance)
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
            remedy="Leave it out for 0.05 times the mean cost. `exact` solves the problem without entropy.",
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
        "Take fewer samples, or `semidual`, whose memory grows with the number of targets alone.",
    )


def _weights(x_weights: Array | None, y_weights: Array | None, costs: Tensor) -> tuple[Tensor, Tensor]:
    a = as_weights(x_weights, costs.shape[0], "x_weights").to(costs.device)
    return a, as_weights(y_weights, costs.shape[1], "y_weights").to(costs.device)


def _default_epsilon(costs: Tensor, a: Tensor, b: Tensor) -> float:
    # Where every cost is 0 any strength gives the same answer.
    return DEFAULT_SHARE * mean_allowed(costs.abs(), a, b) or 1.0


def _value(found: Balanced, costs: Tensor, a: Tensor, b: Tensor, epsilon: float) -> Tensor:
    """The dual value at the potentials, with the gradient of the envelope theorem: P for costs, f and g for weights.

    The dual is flat at its optimum, so that an error of the potentials shows in the value by its square.
    """
    f, g, plan = found.source_potential, found.target_potential, found.plan
    value = a.detach() @ f + b.detach() @ g - epsilon * (plan.sum() - 1.0)
    if not (costs.requires_grad or a.requires_grad or b.requires_grad):
        return value
    slope = (plan * without_infinity(costs)).sum() + a @ f + b @ g
    return value + (slope - slope.detach())


def _refuse(found: Balanced, epsilon: float, tolerance: float, proven: str = "") -> None:
    raise NumericError(
        f"Sinkhorn's iterations left a marginal error of {found.marginal_error:.3g} after {found.num_steps:,} steps, "
        f"where {tolerance:.3g} was wanted, at epsilon {epsilon:.6g}. {proven}".rstrip(),
        remedy="Raise epsilon, max_steps or the tolerance, or take what was reached with strict=False.",
    )
