"""Optimal transport written out as a linear program: for teaching, and for checking faster solvers.

A plan Gamma says how much mass moves from x_i to y_j. Flattened row by row it is a vector, and the problem is linear:

    primal    min over Gamma of <c, Gamma>    subject to   A Gamma = b,   Gamma >= 0
    dual      max over F     of <b, F>        subject to   A^T F <= c

Here c holds the costs, b the weights of x followed by those of y, and each row of A sums one row or one column of the
plan. F = (f, g) holds the potentials, which can be read as prices: f_i for picking up a unit of mass at x_i and g_j for
delivering it at y_j. The constraint says that for no pair the prices exceed the cost.

Weak duality: <b, F> = <A Gamma, F> = <Gamma, A^T F> <= <Gamma, c> for any feasible Gamma and F. So any feasible
potentials give a lower bound of the cost, and any plan an upper bound. Strong duality: at the optimum they are equal.

Kantorovich-Rubinstein duality: if c is a metric d, one function is enough, F = (f, -f). The constraint becomes
|f(x) - f(y)| <= d(x, y) on all points of both sides: f is 1-Lipschitz. That is the critic of a Wasserstein GAN.

Sources: Arjovsky, Chintala and Bottou (2017), section 2 and equation 2; Villani (2009), theorem 5.10 and remark 6.5;
Peyré and Cuturi (2019), sections 2.3, 2.5, 3.1 and 6.1.
"""

from __future__ import annotations

import contextlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from wgan.errors import UsageError
from wgan.transport.arithmetic import weighted_value
from wgan.transport.certificates import (
    Certificate,
    certificate_of,
    feasible_transform,
    is_rounding_negligible,
    solve_on_support,
)
from wgan.transport.costs import Cost, cost_matrix, is_matrix, replace_forbidden
from wgan.transport.lipschitz_program import LipschitzFunction, joint_support, solve_lipschitz
from wgan.transport.measures import Array, as_float64, as_pair, as_weights
from wgan.transport.refinement import refine
from wgan.transport.solvers import BeyondTolerancesError, Solution, constraint_matrix, primal_and_dual

if TYPE_CHECKING:
    from scipy.sparse import csr_array

MAX_POINTS = 300
"""The most points per side: the plan then has 90,000 entries, which HiGHS handles in seconds."""


@dataclass(frozen=True, kw_only=True)
class TransportProgram:
    """The transport problem in standard form, before it is solved.

    Attributes:
        A: Constraints, sparse, shape (N + M, N M), entries 0 and 1: row i < N sums row i of the plan, row N + j
            its column j.
        b: Weights of x, then of y, shape (N + M,), float64.
        c: Costs flattened row by row, shape (N M,), float64, in units of the distance to the power p; infinite for
            forbidden pairs.
        shape: (N, M).

    Example:
        Two points on the line, each of which moves by 1. The potentials f = (1, 1), g = (0, 0) are feasible and prove
        that no plan costs less than 1.

        >>> program = transport_program([0.0, 10.0], [1.0, 11.0])
        >>> program.A.toarray().astype(int).tolist()
        [[1, 1, 0, 0], [0, 0, 1, 1], [1, 0, 1, 0], [0, 1, 0, 1]]
        >>> float(program.dual_value([1, 1, 0, 0])), program.dual_violation([1, 1, 0, 0])
        (1.0, 0.0)
        >>> split = [[0.25, 0.25], [0.25, 0.25]]
        >>> float(program.primal_value(split)), program.primal_violation(split)
        (5.5, 0.0)
    """

    A: csr_array = field(repr=False)
    b: Tensor = field(repr=False)
    c: Tensor = field(repr=False)
    shape: tuple[int, int]

    def primal_value(self, plan: Array) -> Tensor:
        """<c, Gamma>: the cost of a plan, an upper bound of the optimum if `primal_violation` is 0.

        Args:
            plan: Gamma, shape (N, M) or (N M,).

        Returns:
            0-d, in units of the distance to the power p, differentiable with respect to the plan.
        """
        flat = self._flatten(plan, len(self.c), "plan")
        # A forbidden pair without mass costs nothing.
        unused = (self.c == torch.inf) & (flat.detach() == 0.0)
        value: Tensor = flat @ self.c.masked_fill(unused, 0.0)
        return value

    def primal_violation(self, plan: Array) -> float:
        """The constraint violation of a plan: the largest entry of |A Gamma - b| and of -Gamma, at least 0."""
        flat = self._flatten(plan, len(self.c), "plan").detach().cpu().numpy()
        return float(max(np.abs(self.A @ flat - self.b.cpu().numpy()).max(), -flat.min(), 0.0))

    def dual_value(self, potentials: Array) -> Tensor:
        """<b, F>: the value of potentials, a lower bound of the optimum if `dual_violation` is 0.

        Args:
            potentials: F = (f, g), shape (N + M,).

        Returns:
            0-d, in units of the distance to the power p, differentiable with respect to the potentials.
        """
        value: Tensor = self._flatten(potentials, len(self.b), "potentials") @ self.b
        return value

    def dual_violation(self, potentials: Array) -> float:
        """The constraint violation of potentials: the largest entry of A^T F - c, at least 0."""
        flat = self._flatten(potentials, len(self.b), "potentials").detach().cpu().numpy()
        return float(max((self.A.T @ flat - self.c.cpu().numpy()).max(), 0.0))

    def _flatten(self, values: Array, size: int, name: str) -> Tensor:
        flat = as_float64(values, name).reshape(-1).to(self.b.device)
        if len(flat) != size:
            raise UsageError(f"{name} must hold {size} numbers for a problem of {self.shape}, not {len(flat)}")
        return flat


@dataclass(frozen=True, kw_only=True)
class LinearProgramSolution:
    """A transport problem solved as primal, as dual, and if the cost is a metric as a dual with one function.

    Attributes:
        program: A, b and c.
        primal: <c, Gamma> of the optimal plan, 0-d, float64: W_p^p. Not differentiable; `exact` is.
        dual: <b, F> of the optimal potentials, from a separate solve, 0-d, float64, summed without rounding.
        gap: primal - dual: 0 up to rounding by strong duality, and at most 1e-10 of the cost of the plan's moves.
        plan: Gamma, shape (N, M).
        source_potential: f, shape (N,).
        target_potential: g, shape (M,). f_0 = 0, since f + t and g - t have the same value, unless this loses digits
            because of costs of very different magnitudes.
        primal_violation: The constraint violation of the plan.
        dual_violation: The constraint violation of the potentials.
        lipschitz: The reduction to one function, or None.
        no_lipschitz: Why there is none: the axiom of a metric that the cost breaks; "" if there is one.
    """

    program: TransportProgram
    primal: Tensor
    dual: Tensor
    gap: float
    plan: Tensor = field(repr=False)
    source_potential: Tensor = field(repr=False)
    target_potential: Tensor = field(repr=False)
    primal_violation: float
    dual_violation: float
    lipschitz: LipschitzFunction | None
    no_lipschitz: str


def transport_program(
    x: Array | None,
    y: Array | None,
    cost: Cost = "euclidean",
    p: float = 1.0,
    *,
    x_weights: Array | None = None,
    y_weights: Array | None = None,
) -> TransportProgram:
    """Write a transport problem as a linear program, without solving it.

    Args:
        x: Points, shape (N, ...), N at most 300; None if the cost is a matrix.
        y: Points, shape (M, ...), M at most 300; None if the cost is a matrix.
        cost: "euclidean", "squared", "manhattan", a function of points, or a matrix of shape (N, M).
        p: The power of the distance, at least 1.
        x_weights: Shape (N,), summing to 1; None for equal weights.
        y_weights: Shape (M,).

    Returns:
        A, b and c, detached. O(N M) time and memory.

    Raises:
        UsageError: More than 300 points per side, or sets, costs or weights that do not match.
        NumericError: Entries that are not finite.

    Source: Peyré and Cuturi (2019), section 3.1.
    """
    sizes: tuple[int, ...] = np.shape(cost) if is_matrix(cost) else ()  # type: ignore[arg-type]
    if not sizes and x is not None and y is not None:
        sizes = tuple(map(len, as_pair(x, y)))
    if max(sizes, default=0) > MAX_POINTS:
        raise UsageError(
            f"a linear program takes at most {MAX_POINTS} points per side, not {' and '.join(map(str, sizes))}",
            remedy="`exact` solves the same problem for thousands of points.",
        )
    costs = cost_matrix(x, y, cost, p).detach()
    num_x, num_y = costs.shape
    a = as_weights(x_weights, num_x, "x_weights").detach().to(costs.device)
    b = as_weights(y_weights, num_y, "y_weights").detach().to(costs.device)
    return TransportProgram(
        A=constraint_matrix(num_x, num_y), b=torch.cat([a, b]), c=costs.reshape(-1), shape=(num_x, num_y)
    )


def linear_program(
    x: Array | None,
    y: Array | None,
    cost: Cost = "euclidean",
    p: float = 1.0,
    *,
    x_weights: Array | None = None,
    y_weights: Array | None = None,
    reduce: bool = True,
) -> LinearProgramSolution:
    """Solve the primal, the dual, and the dual with one Lipschitz function, each separately with HiGHS.

    Args:
        x: Points, shape (N, ...), N at most 300; None if the cost is a matrix.
        y: Points, shape (M, ...), M at most 300; None if the cost is a matrix.
        cost: "euclidean", "squared", "manhattan", a function of points, or a matrix of shape (N, M). In a
            square matrix with a zero diagonal x_i and y_i are the same point. A matrix or a function may forbid pairs
            by infinite costs.
        p: The power of the distance, at least 1.
        x_weights: Shape (N,), summing to 1; None for equal weights.
        y_weights: Shape (M,).
        reduce: Whether to solve the reduction to one function too, which takes the longest.

    Returns:
        Values, solutions and the gap between them, detached. With 300 points per side on one thread, the primal takes
        about 2 s, the dual 3 s and the reduction 8 s. Time grows about cubically with the number, memory
        quadratically.

    Raises:
        UsageError: More than 300 points per side, sets, costs or weights that do not match, or no plan without
            forbidden pairs.
        NumericError: Entries that are not finite, or a solver that did not reach its optimum.

    Source: Arjovsky et al. (2017), equations 1 and 2; Peyré and Cuturi (2019), sections 3.1 and 6.1; Huangfu and Hall
    (2018) for HiGHS.

    Example:
        >>> solution = linear_program([0.0, 1.0, 5.0], [2.0, 3.0, 5.0])
        >>> print(f"{float(solution.primal):.4f} {float(solution.dual):.4f} {float(solution.lipschitz.value):.4f}")
        1.3333 1.3333 1.3333
        >>> linear_program([0.0, 1.0, 5.0], [2.0, 3.0, 5.0], p=2).no_lipschitz
        'the cost breaks the triangle inequality on the joint support: 25 > 4 + 9'
    """
    program = transport_program(x, y, cost, p, x_weights=x_weights, y_weights=y_weights)
    num_x, device = program.shape[0], program.b.device
    costs = program.c.reshape(program.shape).cpu().contiguous()
    a, b = program.b[:num_x].cpu(), program.b[num_x:].cpu()
    found, certificate = _solve(costs, a, b)
    plan = torch.zeros(program.shape, dtype=torch.float64, device="cpu")
    plan[found.rows, found.columns] = found.masses
    f, g = certificate.source_potential, certificate.target_potential
    dual_value = weighted_value(*(values.numpy() for values in (a, f, b, g)))
    potentials, plan = torch.cat([f, g]).to(device), plan.to(device)
    support = joint_support(x, y, cost, p, costs.to(device)) if reduce else "it was not requested"
    return LinearProgramSolution(
        program=program,
        primal=program.primal_value(plan),
        dual=torch.tensor(dual_value, dtype=torch.float64, device=device),
        gap=certificate.gap,
        plan=plan,
        source_potential=potentials[:num_x],
        target_potential=potentials[num_x:],
        primal_violation=program.primal_violation(plan),
        dual_violation=program.dual_violation(potentials),
        lipschitz=None if isinstance(support, str) else solve_lipschitz(a, b, support, certificate),
        no_lipschitz=support if isinstance(support, str) else "",
    )


def _solve(costs: Tensor, a: Tensor, b: Tensor) -> tuple[Solution, Certificate]:
    """Solve with any weights, by potentials with f_0 = 0 if they certify the plan."""
    found, certificate = solve_on_support(costs, a, b, _solve_positive)
    anchored = _anchored(costs, found)
    return found, anchored if anchored.optimal else certificate


def _solve_positive(costs: Tensor, a: Tensor, b: Tensor) -> tuple[Solution, Certificate]:
    """Solve with weights above 0 by HiGHS, and refine the solution if one solve is too inaccurate."""
    found: Solution | None = None
    with contextlib.suppress(BeyondTolerancesError):
        found = primal_and_dual(replace_forbidden(costs), a, b)
        if is_rounding_negligible(costs, a, b, found) and (certificate := _anchored(costs, found)).optimal:
            return found, certificate
    try:
        return refine(costs, a, b, found, primal_and_dual)
    except BeyondTolerancesError:
        return refine(costs, a, b, found)


def _anchored(costs: Tensor, found: Solution) -> Certificate:
    """The certificate by potentials with f_0 = 0."""
    assert found.potentials is not None
    f = found.potentials[0] - found.potentials[0][0]
    return certificate_of(costs, found, f, feasible_transform(costs, f))
