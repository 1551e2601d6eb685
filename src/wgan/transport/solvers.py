"""Exact solvers from other libraries: POT's network simplex, the assignment of lapx or SciPy, and HiGHS.

Source: Bonneel et al. (2011) for the network simplex; Huangfu and Hall (2018) for HiGHS.
"""

from __future__ import annotations

import importlib.util
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from wgan.errors import NumericError
from wgan.transport.arithmetic import Floats

_MAX_ITERATIONS = 1_000_000_000
"""Of the network simplex: never the reason to stop. POT's default can be reached, and then POT only warns."""

_OPTIMAL = 1
"""The code that POT's solvers return at the optimum."""

_STOPPED_EARLY = 1
"""SciPy's status when iterations or time ran out."""

_TOLERANCE = 1e-10
"""The constraint violation that HiGHS accepts, in units of the largest cost or of the total mass: its smallest."""


@dataclass(frozen=True, kw_only=True)
class Solution:
    """A plan, and the potentials if the solver computes them.

    Attributes:
        rows: Source points, shape (K,), int64.
        columns: Target points, shape (K,), int64.
        masses: Mass moved between them, shape (K,), above 0.
        potentials: f of shape (N,) and g of shape (M,), feasible up to rounding; None from an assignment solver.
        solver: The name of the solver.
    """

    rows: Tensor
    columns: Tensor
    masses: Tensor
    potentials: tuple[Tensor, Tensor] | None
    solver: str


class BeyondTolerancesError(NumericError):
    """HiGHS cannot decide feasibility, for example because weights are below its tolerances."""


def assignment(costs: Tensor, source: Tensor, target: Tensor) -> Solution:
    """Solve with equal weights as an assignment, by lapx if it is installed and by SciPy otherwise, in float64."""
    assert len(source) == len(target)
    if importlib.util.find_spec("lap") is not None:
        import lap

        rows, columns = lap.lapjvh(costs.numpy(), return_cost=False)
        solver = "lapx, Jonker-Volgenant"
    else:
        from scipy.optimize import linear_sum_assignment

        rows, columns = linear_sum_assignment(costs.numpy())
        solver = "SciPy, Jonker-Volgenant"
    return Solution(rows=_as_indices(rows), columns=_as_indices(columns), masses=source, potentials=None, solver=solver)


def network_simplex(costs: Tensor, source: Tensor, target: Tensor) -> Solution:
    """Solve over all pairs with POT's network simplex.

    Args:
        costs: Shape (N, M), float64, on the CPU.
        source: Weights, shape (N,), above 0.
        target: Weights, shape (M,), above 0.

    Raises:
        NumericError: The solver stopped before the optimum.
    """
    from ot.lp import emd_wrap  # takes seconds to import

    a, b = _as_balanced_arrays(source, target)
    plan, _, f, g, code = emd_wrap.emd_c(a, b, costs.contiguous().numpy(), _MAX_ITERATIONS, 1, None, None)
    _check_optimal(code, costs.shape)
    # On a boolean mask NumPy is ten times faster.
    rows, columns = np.divmod(np.flatnonzero(plan > 0), plan.shape[1])
    return Solution(
        rows=_as_indices(rows),
        columns=_as_indices(columns),
        masses=torch.from_numpy(plan[rows, columns]),
        potentials=(torch.from_numpy(f), torch.from_numpy(g)),
        solver="POT, network simplex",
    )


def sparse_network_simplex(
    rows: Tensor,
    columns: Tensor,
    costs: Tensor,
    source: Tensor,
    target: Tensor,
    start: tuple[Tensor, Tensor] | None = None,
) -> tuple[Solution, float]:
    """Solve over a subset of the pairs with POT's network simplex.

    Args:
        rows: Source points of the pairs, shape (E,), int64. A feasible plan over the pairs must exist.
        columns: Target points of the pairs.
        costs: Costs of the pairs, shape (E,), float64.
        source: Weights, shape (N,), above 0.
        target: Weights, shape (M,), above 0.
        start: Potentials for a warm start, such as those of the same problem with fewer pairs.

    Returns:
        The solution, with potentials that are feasible for these pairs, and its cost.

    Raises:
        NumericError: The solver stopped before the optimum.
    """
    # POT's public function has no warm start, without which repeated solves take three times as long.
    from ot.lp import emd_wrap

    a, b = _as_balanced_arrays(source, target)
    pairs = (side.numpy().view(np.uint64) for side in (rows, columns))
    warm = () if start is None else tuple(side.numpy() for side in start)
    moved_from, moved_to, masses, cost, f, g, code = emd_wrap.emd_c_sparse(
        a, b, *pairs, costs.numpy(), _MAX_ITERATIONS, *warm
    )
    _check_optimal(code, (len(a), len(b)))
    solved = Solution(
        rows=_as_indices(moved_from),
        columns=_as_indices(moved_to),
        masses=torch.from_numpy(masses),
        potentials=(torch.from_numpy(f), torch.from_numpy(g)),
        solver="POT, network simplex",
    )
    return solved, float(cost)


def primal_and_dual(costs: Tensor, source: Tensor, target: Tensor) -> Solution:
    """Solve the primal and the dual program separately with HiGHS.

    Args:
        costs: Shape (N, M), float64, on the CPU, finite.
        source: Weights, shape (N,).
        target: Weights, shape (M,).

    Raises:
        NumericError: HiGHS did not reach the optimum.
    """
    num_x, num_y = costs.shape
    A, b = constraint_matrix(num_x, num_y), torch.cat([source, target]).numpy()  # noqa: N806 - the textbook's letters
    # In units of the largest cost, so that the tolerances do not depend on the units of the data.
    scale = float(costs.abs().max()) or 1.0
    c = costs.reshape(-1).numpy() / scale
    gamma = solve_program(c, "primal", A_eq=A, b_eq=b, bounds=(0, None)).reshape(num_x, num_y)
    prices = torch.from_numpy(scale * solve_program(-b, "dual", A_ub=A.T, b_ub=c, bounds=anchored_bounds(len(b))))
    rows, columns = (gamma > 0).nonzero()
    return Solution(
        rows=torch.from_numpy(rows),
        columns=torch.from_numpy(columns),
        masses=torch.from_numpy(gamma[rows, columns]),
        potentials=(prices[:num_x], prices[num_x:]),
        solver="HiGHS, dual simplex",
    )


def constraint_matrix(num_x: int, num_y: int) -> Any:  # noqa: ANN401 - a SciPy sparse array; SciPy ships no stubs
    """A of the transport problem, shape (N + M, N M): row i < N sums row i of the plan, row N + j its column j."""
    from scipy.sparse import eye_array, kron, vstack

    rows = kron(eye_array(num_x), np.ones((1, num_y)))
    columns = kron(np.ones((1, num_x)), eye_array(num_y))
    return vstack([rows, columns]).tocsr()


def solve_program(objective: Floats, name: str, **program: Any) -> Floats:  # noqa: ANN401
    """Minimise <objective, z> subject to constraints in the form of `scipy.optimize.linprog`.

    Raises:
        BeyondTolerancesError: HiGHS calls the program infeasible or unbounded, or rejects its own solution.
        NumericError: HiGHS stopped before the optimum.
    """
    from scipy.optimize import linprog

    options = {"primal_feasibility_tolerance": _TOLERANCE, "dual_feasibility_tolerance": _TOLERANCE}
    answer = linprog(objective, method="highs-ds", options=options, **program)
    if answer.status != 0:
        kind = NumericError if answer.status == _STOPPED_EARLY else BeyondTolerancesError
        raise kind(f"HiGHS did not reach the optimum of the {name} program: {answer.message}")
    found: Floats = answer.x
    return found


def anchored_bounds(num: int) -> Floats:
    """Bounds of potentials that fix the first at 0: they are unique only up to a constant."""
    bounds = np.tile([-np.inf, np.inf], (num, 1))
    bounds[0] = 0.0
    return bounds


def _as_balanced_arrays(source: Tensor, target: Tensor) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The weights as arrays of equal sums, which the network simplex needs."""
    a, b = source.numpy(), target.numpy()
    return a, b * (a.sum() / b.sum())


def _as_indices(values: NDArray[Any]) -> Tensor:
    return torch.from_numpy(np.ascontiguousarray(values, dtype=np.int64))


def _check_optimal(code: int, shape: tuple[int, ...]) -> None:
    if code != _OPTIMAL:
        raise NumericError(
            f"the transport problem of {shape[0]} x {shape[1]} samples was not solved: "
            f"the network simplex stopped with code {code}",
            remedy="Divide costs and samples by a number that brings them near 1.",
        )
