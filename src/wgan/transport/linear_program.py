"""The earth mover's problem as a linear program, written out: for learning, and for checking faster solvers.

A plan Gamma says how much mass goes from x_i to y_j. Flattened row by row it is one long vector, and all about it is
linear:

    primal    min over Gamma of <c, Gamma>    subject to   A Gamma = b,   Gamma >= 0
    dual      max over F     of <b, F>        subject to   A^T F <= c

Here c holds the costs, b the weights of x and then those of y, and each row of A adds up one row or one column of the
plan. F = (f, g) holds one price for each point: f_i to pick a unit of mass up at x_i and g_j to put it down at y_j, and
the constraint says that no pair costs more than moving the mass oneself.

Weak duality: <b, F> = <A Gamma, F> = <Gamma, A^T F> <= <Gamma, c> for any two that satisfy their constraints, so that
any prices prove a lower bound of the cost, and any plan an upper one. Strong duality: at the optimum they are equal.

Kantorovich and Rubinstein: where c is a metric d, one function is enough, F = (f, -f), and the constraint becomes
|f(x) - f(y)| <= d(x, y) on all points of both sides: f is 1-Lipschitz. That is the critic of a Wasserstein GAN.

Sources: Arjovsky, Chintala and Bottou (2017), section 2 and equation 2; Villani (2009), theorem 5.10 and remark 6.5;
Peyré and Cuturi (2019), sections 2.3, 2.5, 3.1 and 6.1.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from wgan.errors import NumericError, UsageError
from wgan.measures import Array, as_float64, as_pair, as_weights
from wgan.transport.costs import Cost, cost_matrix, is_matrix

if TYPE_CHECKING:
    from scipy.sparse import csr_array

MAX_POINTS = 300
"""The most points a side: the plan then has 90,000 entries, which HiGHS handles in seconds."""

# What HiGHS may leave a constraint violated by, in units of the largest cost or of the whole mass; its least.
_TOLERANCE = 1e-10
# What an answer may be off by before it is refused: the same with room for adding up many entries.
_ACCEPTED = 1e-8


@dataclass(frozen=True, kw_only=True)
class TransportProgram:
    """The transport problem in standard form, before it is solved.

    Attributes:
        A: Constraints, sparse, shape (N + M, N M), entries 0 and 1: row i < N sums row i of the plan, row N + j
            its column j.
        b: Weights of x, then of y, shape (N + M,), float64.
        c: Costs flattened row by row, shape (N M,), float64, in units of the distance to the power p.
        shape: (N, M).

    Example:
        Two points on the line, each to move by 1. The prices f = (1, 1), g = (0, 0) are affordable and prove that no
        plan costs less than 1.

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
        """<c, Gamma>: what a plan costs, an upper bound of the optimum where `primal_violation` is 0.

        Args:
            plan: Gamma, shape (N, M) or (N M,).

        Returns:
            0-d, in units of the distance to the power p, differentiable with respect to the plan.
        """
        value: Tensor = self._sized(plan, len(self.c), "plan") @ self.c
        return value

    def primal_violation(self, plan: Array) -> float:
        """By how much a plan breaks its constraints: the largest entry of |A Gamma - b| and of -Gamma, at least 0."""
        flat = self._sized(plan, len(self.c), "plan").detach().cpu().numpy()
        return float(max(np.abs(self.A @ flat - self.b.cpu().numpy()).max(), -flat.min(), 0.0))

    def dual_value(self, potentials: Array) -> Tensor:
        """<b, F>: what prices earn, a lower bound of the optimum where `dual_violation` is 0.

        Args:
            potentials: F = (f, g), shape (N + M,).

        Returns:
            0-d, in units of the distance to the power p, differentiable with respect to the potentials.
        """
        value: Tensor = self._sized(potentials, len(self.b), "potentials") @ self.b
        return value

    def dual_violation(self, potentials: Array) -> float:
        """By how much prices break their constraints: the largest entry of A^T F - c, at least 0."""
        prices = self._sized(potentials, len(self.b), "potentials").detach().cpu().numpy()
        return float(max((self.A.T @ prices - self.c.cpu().numpy()).max(), 0.0))

    def _sized(self, values: Array, size: int, name: str) -> Tensor:
        flat = as_float64(values, name).reshape(-1).to(self.b.device)
        if len(flat) != size:
            raise UsageError(f"{name} must hold {size} numbers for a problem of {self.shape}, not {len(flat)}")
        return flat


@dataclass(frozen=True, kw_only=True)
class LipschitzFunction:
    """The dual with one function: max sum_k (a_k - b_k) f_k subject to f_k - f_l <= d_kl for all points of both sides.

    Attributes:
        value: sum_k (a_k - b_k) f_k, 0-d, float64: equal to the optimum of the transport problem.
        function: f on the K distinct points of both sides, shape (K,); f_0 = 0, since a constant changes nothing.
        x_places: Which of the K points each x_i is, shape (N,), int64.
        y_places: Which of the K points each y_j is, shape (M,), int64.
        distances: d between the K points, shape (K, K).
        violation: The largest |f_k - f_l| - d_kl, at least 0.
    """

    value: Tensor
    function: Tensor = field(repr=False)
    x_places: Tensor = field(repr=False)
    y_places: Tensor = field(repr=False)
    distances: Tensor = field(repr=False)
    violation: float

    @property
    def potentials(self) -> Tensor:
        """F = (f, -f) on x and y, shape (N + M,): potentials of the full dual."""
        return torch.cat([self.function[self.x_places], -self.function[self.y_places]])


@dataclass(frozen=True, kw_only=True)
class LinearProgramSolution:
    """A transport problem solved three times: as a plan, as prices, and where the cost is a metric as one function.

    Attributes:
        program: A, b and c.
        primal: <c, Gamma> of the best plan, 0-d, float64: W_p^p. Not differentiable; `exact` is.
        dual: <b, F> of the best potentials, found by a solve of their own, 0-d, float64.
        gap: primal - dual: 0 up to rounding, by strong duality.
        plan: Gamma, shape (N, M).
        source_potential: f, shape (N,).
        target_potential: g, shape (M,); f_0 = 0, since f + t and g - t earn the same.
        primal_violation: By how much the plan breaks its constraints.
        dual_violation: By how much the potentials break theirs.
        lipschitz: The reduction to one function, or None.
        no_lipschitz: Why there is none: the axiom of a metric that the cost breaks; "" where there is one.
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
        x: Points, shape (N, ...), N at most 300; None with a cost matrix.
        y: Points, shape (M, ...), M at most 300; None with a cost matrix.
        cost: "euclidean", "squared", "manhattan", a function of points, or a matrix of shape (N, M).
        p: The power of the distance, at least 1.
        x_weights: Shape (N,), summing to 1; None for equal ones.
        y_weights: Shape (M,).

    Returns:
        A, b and c, detached. O(N M) time and memory.

    Raises:
        UsageError: More than 300 points a side, or sets, costs or weights that do not fit together.
        NumericError: Entries that are not finite.

    Source: Peyré and Cuturi (2019), section 3.1.
    """
    from scipy.sparse import eye_array, kron, vstack

    sizes: tuple[int, ...] = np.shape(cost) if is_matrix(cost) else ()  # type: ignore[arg-type]
    if not sizes and x is not None and y is not None:
        sizes = tuple(map(len, as_pair(x, y)))
    if max(sizes, default=0) > MAX_POINTS:
        raise UsageError(
            f"a linear program takes at most {MAX_POINTS} points a side, not {' and '.join(map(str, sizes))}",
            remedy="`exact` solves the same problem for thousands of points.",
        )
    costs = cost_matrix(x, y, cost, p).detach()
    num_x, num_y = costs.shape
    a = as_weights(x_weights, num_x, "x_weights").detach().to(costs.device)
    b = as_weights(y_weights, num_y, "y_weights").detach().to(costs.device)
    rows = kron(eye_array(num_x), np.ones((1, num_y)))
    columns = kron(np.ones((1, num_x)), eye_array(num_y))
    return TransportProgram(
        A=vstack([rows, columns]).tocsr(), b=torch.cat([a, b]), c=costs.reshape(-1), shape=(num_x, num_y)
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
    """Solve the primal, the dual, and the dual with one Lipschitz function, each on its own by HiGHS.

    Args:
        x: Points, shape (N, ...), N at most 300; None with a cost matrix.
        y: Points, shape (M, ...), M at most 300; None with a cost matrix.
        cost: "euclidean", "squared", "manhattan", a function of points, or a matrix of shape (N, M). A square matrix
            with zeros on its diagonal says that x_i and y_i are one point.
        p: The power of the distance, at least 1.
        x_weights: Shape (N,), summing to 1; None for equal ones.
        y_weights: Shape (M,).
        reduce: Whether to solve the reduction to one function too, which takes longest.

    Returns:
        Values, solutions and the gap between them, detached. At 300 points a side about 2 s for the primal, 3 s for the
        dual and 8 s for the reduction, on one thread; the time grows with about the cube of the number, and the memory
        with its square.

    Raises:
        UsageError: More than 300 points a side, or sets, costs or weights that do not fit together.
        NumericError: Entries that are not finite, or a solver that did not reach its optimum.

    Source: Arjovsky et al. (2017), equations 1 and 2; Peyré and Cuturi (2019), sections 3.1 and 6.1; HiGHS: Huangfu
    and Hall (2018).

    Example:
        >>> solution = linear_program([0.0, 1.0, 5.0], [2.0, 3.0, 5.0])
        >>> print(f"{float(solution.primal):.4f} {float(solution.dual):.4f} {float(solution.lipschitz.value):.4f}")
        1.3333 1.3333 1.3333
        >>> linear_program([0.0, 1.0, 5.0], [2.0, 3.0, 5.0], p=2).no_lipschitz
        'the cost breaks the triangle inequality on the joint support: 25 > 4 + 9'
    """
    program = transport_program(x, y, cost, p, x_weights=x_weights, y_weights=y_weights)
    A, b, c = program.A, program.b.cpu().numpy(), program.c.cpu().numpy()  # noqa: N806 - the textbook's letters
    # In units of the largest cost, so that tolerances mean the same whatever the unit of the data.
    scale = float(np.abs(c).max()) or 1.0
    gamma = _minimise(c / scale, "primal", A_eq=A, b_eq=b, bounds=(0, None))
    prices = scale * _minimise(-b, "dual", A_ub=A.T, b_ub=c / scale, bounds=_first_at_zero(len(b)))
    plan, potentials = (torch.from_numpy(part).to(program.b.device) for part in (gamma, prices))
    primal, dual = program.primal_value(plan), program.dual_value(potentials)
    primal_violation, dual_violation = program.primal_violation(plan), program.dual_violation(potentials)
    gap = float(primal - dual)
    if not max(primal_violation, dual_violation / scale, abs(gap) / scale) <= _ACCEPTED:
        raise NumericError(
            f"HiGHS left a gap of {gap:.3g} and constraints violated by {primal_violation:.3g} (plan) and "
            f"{dual_violation:.3g} (potentials), at costs of up to {scale:.3g}",
            remedy="Look for weights or costs that differ by more than ten orders of magnitude.",
        )
    support = _joint_support(x, y, cost, p, program) if reduce else "it was not asked for"
    return LinearProgramSolution(
        program=program,
        primal=primal,
        dual=dual,
        gap=gap,
        plan=plan.reshape(program.shape),
        source_potential=potentials[: program.shape[0]],
        target_potential=potentials[program.shape[0] :],
        primal_violation=primal_violation,
        dual_violation=dual_violation,
        lipschitz=None if isinstance(support, str) else _solve_lipschitz(program, support),
        no_lipschitz=support if isinstance(support, str) else "",
    )


def _minimise(objective: NDArray[np.float64], name: str, **constraints: Any) -> NDArray[np.float64]:  # noqa: ANN401
    from scipy.optimize import linprog

    options = {"primal_feasibility_tolerance": _TOLERANCE, "dual_feasibility_tolerance": _TOLERANCE}
    answer = linprog(objective, method="highs-ds", options=options, **constraints)
    if answer.status != 0:
        raise NumericError(f"HiGHS did not reach the optimum of the {name} program: {answer.message}")
    found: NDArray[np.float64] = answer.x
    return found


def _first_at_zero(num: int) -> NDArray[np.float64]:
    """Bounds of potentials: a constant is free, and left free it could drift along the rounding of the weights' sum."""
    bounds = np.tile([-np.inf, np.inf], (num, 1))
    bounds[0] = 0.0
    return bounds


class _Support(NamedTuple):
    """The distinct points of both sides: the distances between them, and which of them x and y are."""

    distances: Tensor
    x_places: Tensor
    y_places: Tensor


def _joint_support(x: Array | None, y: Array | None, cost: Cost, p: float, program: TransportProgram) -> _Support | str:
    """The joint support where the cost is a metric on it, and otherwise why not."""
    num_x, num_y = program.shape
    if is_matrix(cost):
        distances = program.c.reshape(program.shape)
        if num_x != num_y or bool(distances.diagonal().any()):
            return (
                "a matrix of costs between two sets leaves the distances within each unknown, unless it is square "
                "with zeros on the diagonal: then both are one set"
            )
        x_places = y_places = torch.arange(num_x, device=distances.device)
    else:
        assert x is not None
        assert y is not None
        points = torch.cat(as_pair(x, y)).detach()
        points, places = torch.unique(points, dim=0, return_inverse=True)
        distances = cost_matrix(points, points, cost, p).detach()
        x_places, y_places = places[:num_x], places[num_x:]
    return _broken_axiom(distances.cpu().numpy()) or _Support(distances, x_places, y_places)


def _broken_axiom(distances: NDArray[np.float64]) -> str:
    """What keeps a matrix from being a metric up to rounding, or "". Distinct points may be at distance 0."""
    slack = 1e-9 * float(np.abs(distances).max())
    if np.abs(distances.diagonal()).max() > slack:
        return f"the cost of staying is not 0 everywhere: {np.abs(distances.diagonal()).max():.6g}"
    if distances.min() < -slack:
        return f"the cost is negative somewhere: {distances.min():.6g}"
    if np.abs(distances - distances.T).max() > slack:
        i, j = np.unravel_index(np.abs(distances - distances.T).argmax(), distances.shape)
        return f"the cost is not symmetric: {distances[i, j]:.6g} there and {distances[j, i]:.6g} back"
    worst, where = slack, None
    for k in range(len(distances)):
        excess = distances - distances[:, k, None] - distances[k]
        if excess.max() > worst:
            worst, where = float(excess.max()), (k, *np.unravel_index(excess.argmax(), excess.shape))
    if where is None:
        return ""
    k, i, j = where
    return (
        "the cost breaks the triangle inequality on the joint support: "
        f"{distances[i, j]:.6g} > {distances[i, k]:.6g} + {distances[k, j]:.6g}"
    )


def _solve_lipschitz(program: TransportProgram, support: _Support) -> LipschitzFunction:
    """Solve max <a - b, f> subject to f_k - f_l <= d_kl for all pairs k != l, with f_0 = 0."""
    from scipy.sparse import csr_array

    distances, x_places, y_places = support
    num_x, num = program.shape[0], len(distances)
    difference = torch.zeros(num, dtype=torch.float64, device=distances.device)
    difference.index_add_(0, x_places, program.b[:num_x]).index_add_(0, y_places, -program.b[num_x:])
    d = distances.cpu().numpy()
    scale = float(d.max()) or 1.0
    first, second = np.nonzero(~np.eye(num, dtype=bool))
    pairs = np.arange(len(first))
    entries = np.concatenate([np.ones(len(pairs)), -np.ones(len(pairs))])
    places = (np.concatenate([pairs, pairs]), np.concatenate([first, second]))
    values = scale * _minimise(
        -difference.cpu().numpy(),
        "Lipschitz",
        A_ub=csr_array((entries, places), shape=(len(pairs), num)) if len(pairs) else None,
        b_ub=d[first, second] / scale if len(pairs) else None,
        bounds=_first_at_zero(num),
    )
    function = torch.from_numpy(values).to(distances.device)
    return LipschitzFunction(
        value=difference @ function,
        function=function,
        x_places=x_places,
        y_places=y_places,
        distances=distances,
        violation=float(((function[:, None] - function).abs() - distances).max().clamp(min=0.0)),
    )
