"""Exact optimal transport between two weighted sets of samples, with a certificate."""

from __future__ import annotations

import contextlib
import dataclasses
import math
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor

from wgan.errors import NumericError
from wgan.transport.certificates import (
    Certificate,
    Plan,
    Transport,
    certificate_of,
    certify,
    is_rounding_negligible,
    solve_on_support,
)
from wgan.transport.column_generation import column_generation
from wgan.transport.costs import Cost, cost_matrix, given_points, is_matrix, pair_costs, replace_forbidden
from wgan.transport.measures import Array, as_weights, check_power, root
from wgan.transport.one_dimensional import monotone_transport
from wgan.transport.refinement import Solver, refine
from wgan.transport.solver_choice import choose_solver
from wgan.transport.solvers import Solution

# An assignment solver may sum as many costs as there are points. If the rounding of that sum exceeds this share of the
# plan's cost, the plan is certified at once.
_NEGLIGIBLE = 1e-9
# The range of the largest cost in which the solvers lose no digits.
_SMALLEST_SCALE = 1e-2
_LARGEST_SCALE = 1e6


def exact(
    x: Array | None = None,
    y: Array | None = None,
    cost: Cost = "euclidean",
    p: float = 1.0,
    *,
    x_weights: Array | None = None,
    y_weights: Array | None = None,
    proven: bool = False,
) -> Transport:
    """The optimal transport between two weighted sets of samples, and with it the Wasserstein distance.

    W_p^p = min over plans Gamma >= 0 with row sums a and column sums b of sum_ij Gamma_ij d(x_i, y_j)^p.

    In one dimension sorting solves it. Otherwise the cost matrix is built and passed to the solver that was measured to
    be the fastest for such a problem. Potentials certify the plan; without a certificate an error is raised.

    Args:
        x: Samples, shape (N, ...), flattened; None if the cost is a matrix.
        y: Samples, shape (M, ...), of the same size after flattening; None if the cost is a matrix.
        cost: "euclidean", "squared", "manhattan", a function from points (N, D) and (M, D) to costs (N, M), or a
            matrix of shape (N, M). A function or a matrix may forbid pairs by infinite costs.
        p: The power of the distance, at least 1.
        x_weights: Probabilities of x, shape (N,); None for equal weights.
        y_weights: Probabilities of y, shape (M,); None for equal weights.
        proven: Whether to use a solver that finds the potentials together with the plan. Otherwise they may be computed
            on first access, which can take as long as the plan.

    Returns:
        Cost, distance, plan and certificate. The cost is in units of the distance to the power p. It is differentiable
        with respect to points, a cost matrix and weights (along the simplex; if several potentials are optimal, one of
        them is the gradient).

        The gap is at most 1e-10 of the plan's own cost, however large the costs of the pairs that it does not use.
        Weights count as known up to rounding: 1e-16 of the mass does not have to use a pair that costs 1e32.

    Raises:
        UsageError: Empty sets, samples of different sizes, weights that are not probabilities, p below 1, no plan
            without forbidden pairs, or more pairs than fit in memory.
        NumericError: Numbers that are not finite, a solver that did not reach the optimum, or costs and weights of such
            different magnitudes that no float64 potentials certify the plan.

    Cost: O(N M) memory; time between O(N M) and O(N M min(N, M)), a fraction of a second for 2,000 samples.

    Source: Arjovsky, Chintala and Bottou (2017), equation 1; Peyré and Cuturi (2019), chapters 2 and 3.

    Example:
        >>> found = exact([[0.0, 0.0], [1.0, 0.0]], [[0.0, 3.0], [1.0, 3.0]])
        >>> float(found.cost), found.optimal
        (3.0, True)
    """
    check_power(p)
    if is_matrix(cost):
        matrix = cost_matrix(x, y, cost)
        points, shape, cost = None, tuple(matrix.shape), matrix
    else:
        points = given_points(x, y)
        if points[0].shape[1] == 1 and not callable(cost):
            return _solve_one_dimensional(points, x_weights, y_weights, p, times=2 if cost == "squared" else 1)
        shape = (len(points[0]), len(points[1]))
    source = as_weights(x_weights, shape[0], "x_weights")
    target = as_weights(y_weights, shape[1], "y_weights")
    is_uniform = x_weights is None and y_weights is None
    problem = _Problem(
        points=points, cost=cost, p=p, source=source, target=target, is_uniform=is_uniform, needs_potentials=proven
    )
    return problem.solve()


@dataclass(frozen=True, kw_only=True)
class _Problem:
    """A transport problem with checked arguments, still on the caller's device and in the caller's graph.

    Attributes:
        points: Shapes (N, D) and (M, D); None if the cost is a matrix.
        cost: As in `exact`.
        p: The power of the distance.
        source: Shape (N,).
        target: Shape (M,).
        is_uniform: Whether no weights were given.
        needs_potentials: Whether the potentials are needed at once.
    """

    points: tuple[Tensor, Tensor] | None
    cost: Cost
    p: float
    source: Tensor
    target: Tensor
    is_uniform: bool
    needs_potentials: bool

    @property
    def has_tracked_weights(self) -> bool:
        """Whether the weights need a gradient."""
        return torch.is_grad_enabled() and (self.source.requires_grad or self.target.requires_grad)

    @property
    def has_tracked_costs(self) -> bool:
        """Whether the costs may need a gradient."""
        tensors = (self.cost,) if self.points is None else self.points
        is_tracked = any(isinstance(tensor, Tensor) and tensor.requires_grad for tensor in tensors)
        return torch.is_grad_enabled() and (is_tracked or callable(self.cost))

    def costs(self) -> Tensor:
        """The cost matrix, on the CPU, detached."""
        x, y = (None, None) if self.points is None else self.points
        with torch.no_grad():
            return cost_matrix(x, y, self.cost, self.p).detach().cpu().contiguous()

    @property
    def is_assignment(self) -> bool:
        """Whether both sides have the same number of points, all of equal weight."""
        if len(self.source) != len(self.target):
            return False
        if self.is_uniform:
            return True
        weight = 1.0 / len(self.source)
        return all(bool((weights.detach() - weight).abs().max() < 1e-15) for weights in (self.source, self.target))

    @property
    def device(self) -> torch.device:
        """The device of the result."""
        if self.points is not None:
            return self.points[0].device
        return self.cost.device if isinstance(self.cost, Tensor) else torch.device("cpu")

    def solve(self) -> Transport:
        """Solve the problem, and certify the plan now or on first access."""
        costs = self.costs()
        points = None if self.points is None else (self.points[0].detach(), self.points[1].detach())
        # Assignment solvers are fast because they compute no potentials.
        is_assignment = self.is_assignment and not self.needs_potentials
        found, certificate = self._solve_on_support(costs, points, is_assignment=is_assignment)
        # Computing missing potentials costs as much as the plan, so it is deferred until they are needed.
        if certificate is None and self.has_tracked_weights:
            certificate = self._certify_later(costs, found)
        kept = self if certificate is not None else self._copied()
        rows, columns, masses = (part.to(self.device) for part in (found.rows, found.columns, found.masses))
        plan = Plan(rows=rows, columns=columns, masses=masses, shape=(costs.shape[0], costs.shape[1]))
        cost = self._cost_of(plan, costs)
        certificate = None if certificate is None else certificate.to(self.device)
        if self.has_tracked_weights and certificate is not None:
            # Adds 0, with the potentials as gradient (envelope theorem).
            cost = cost + self._zero_with_gradient(self.source, certificate.source_potential)
            cost = cost + self._zero_with_gradient(self.target, certificate.target_potential)
        return Transport(
            cost=cost,
            distance=root(cost, self.p),
            plan=plan,
            solver=found.solver,
            proof=certificate or (lambda: kept._certify_later(kept.costs(), found).to(kept.device)),
        )

    def _copied(self) -> _Problem:
        """A copy of the problem, which the caller cannot change in place before it is certified."""
        points = None if self.points is None else (self.points[0].detach().clone(), self.points[1].detach().clone())
        cost = self.cost.detach().clone() if isinstance(self.cost, Tensor) else self.cost
        return dataclasses.replace(self, points=points, cost=cost)

    def _solve_on_support(
        self, costs: Tensor, points: tuple[Tensor, Tensor] | None, *, is_assignment: bool
    ) -> tuple[Solution, Certificate | None]:
        """Solve over the points of positive weight."""
        a, b = self.source.detach().cpu(), self.target.detach().cpu()
        if self.is_uniform or bool((a > 0).all() and (b > 0).all()):
            return _solve(costs, a, b, points, is_assignment=is_assignment)
        support = None if points is None else (points[0].cpu()[a > 0], points[1].cpu()[b > 0])
        return solve_on_support(costs, a, b, partial(_solve, points=support, is_assignment=False))

    def _certify_later(self, costs: Tensor, found: Solution) -> Certificate:
        """Compute potentials for a plan that was found without them.

        Raises:
            NumericError: The gap is larger than rounding explains.
        """
        a, b = self.source.detach().cpu(), self.target.detach().cpu()
        better = _solve_rescaled(column_generation, replace_forbidden(costs), a, b)
        certificate = certify(costs, a, b, dataclasses.replace(found, potentials=better.potentials))
        if not certificate.optimal:
            potentials = refine(costs, a, b, better)[0].potentials
            assert potentials is not None
            certificate = certificate_of(costs, found, *potentials)
        if not certificate.optimal:
            raise NumericError(
                f"the plan of {found.solver} for {len(a)} x {len(b)} samples may cost {certificate.gap:.3g} more than "
                "the optimum",
                remedy="Use a solver that computes potentials together with the plan: proven=True.",
            )
        return certificate

    def _cost_of(self, plan: Plan, costs: Tensor) -> Tensor:
        """The cost of the plan, in the caller's graph and on the caller's device."""
        if not self.has_tracked_costs:
            codes = plan.rows.cpu() * plan.shape[1] + plan.columns.cpu()
            return plan.masses @ costs.view(-1)[codes].to(self.device)
        x, y = (None, None) if self.points is None else self.points
        return plan.masses @ pair_costs(x, y, plan.rows, plan.columns, self.cost, self.p)

    @staticmethod
    def _zero_with_gradient(weights: Tensor, potential: Tensor) -> Tensor:
        return ((weights - weights.detach()) @ potential.to(weights.device)).to(potential.device)


def _solve(
    costs: Tensor, a: Tensor, b: Tensor, points: tuple[Tensor, Tensor] | None, *, is_assignment: bool
) -> tuple[Solution, Certificate | None]:
    """Solve in float64, and refine the solution if its gap is too large; all weights are above 0."""
    finite_costs = replace_forbidden(costs)
    solver = choose_solver(finite_costs, points, is_assignment=is_assignment)
    found: Solution | None = None
    with contextlib.suppress(NumericError):
        found = _solve_rescaled(solver, finite_costs, a, b)
    if found is not None and found.potentials is None and _is_sum_accurate(costs, finite_costs, found):
        return found, None
    if found is not None and found.potentials is not None and is_rounding_negligible(costs, a, b, found):
        certificate = certify(costs, a, b, found)
        if certificate.optimal:
            return found, certificate
    return refine(costs, a, b, found)


def _is_sum_accurate(costs: Tensor, finite_costs: Tensor, found: Solution) -> bool:
    """Whether the rounding of a sum of N costs is negligible relative to the plan's cost."""
    rounding = torch.finfo(costs.dtype).eps * len(costs) * _max_abs(finite_costs)
    plan_cost = float(found.masses @ costs[found.rows, found.columns].abs())
    return math.isfinite(plan_cost) and rounding <= _NEGLIGIBLE * plan_cost


def _max_abs(costs: Tensor) -> float:
    return max(abs(float(end)) for end in torch.aminmax(costs))


def _solve_rescaled(solver: Solver, costs: Tensor, a: Tensor, b: Tensor) -> Solution:
    """Solve with costs shifted to at least 0 and scaled to a largest cost near 1.

    The network simplex treats costs below about 1e-15 as 0, and problems with very negative costs as infeasible.
    """
    least = float(costs.min())
    if least < 0.0:
        found = _solve_rescaled(solver, costs - least, a, b)
        if found.potentials is None:
            return found
        return dataclasses.replace(found, potentials=(found.potentials[0] + least, found.potentials[1]))
    # One row shows the order of magnitude, unless its costs are small or all 0.
    scale = _max_abs(costs[:1])
    if scale <= _SMALLEST_SCALE:
        scale = _max_abs(costs)
    if _SMALLEST_SCALE < scale < _LARGEST_SCALE or scale == 0.0:
        return solver(costs, a, b)
    found = solver(costs / scale, a, b)
    if found.potentials is None:
        return found
    f, g = found.potentials
    return dataclasses.replace(found, potentials=(f * scale, g * scale))


def _solve_one_dimensional(
    points: tuple[Tensor, Tensor], x_weights: Array | None, y_weights: Array | None, p: float, *, times: int
) -> Transport:
    """Transport in one dimension, with the cost |x - y|^(times · p)."""
    found = monotone_transport(*points, x_weights=x_weights, y_weights=y_weights, p=times * p)
    if times == 1:
        return found
    return dataclasses.replace(found, distance=root(found.cost, p))
