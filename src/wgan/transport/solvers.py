"""Exact solvers of the transport problem on a cost matrix that others have written: POT's, SciPy's and lapx's."""

from __future__ import annotations

import importlib.util
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from wgan.errors import NumericError

_ITERATIONS = 1_000_000_000
"""Of the network simplex: enough never to be the reason to stop. POT's own default is not, and it only warns."""

_OPTIMAL = 1
"""What POT's solvers return at the optimum."""


@dataclass(frozen=True, kw_only=True)
class Solved:
    """A plan, and potentials where the solver has them.

    Attributes:
        rows: Source points, shape (K,), int64.
        columns: Target points, shape (K,), int64.
        masses: What is moved, shape (K,), above 0.
        potentials: f of shape (N,) and g of shape (M,), feasible up to rounding; None from an assignment solver.
        solver: Who solved it.
    """

    rows: Tensor
    columns: Tensor
    masses: Tensor
    potentials: tuple[Tensor, Tensor] | None
    solver: str


@dataclass(frozen=True, kw_only=True)
class Sparse:
    """What the network simplex answers on chosen pairs.

    Attributes:
        rows: Source points of the plan, shape (K,), int64.
        columns: Its target points.
        masses: What is moved.
        cost: Of the plan.
        source_potential: f, shape (N,), with f_i + g_j <= c_ij for the chosen pairs.
        target_potential: g, shape (M,).
    """

    rows: Tensor
    columns: Tensor
    masses: Tensor
    cost: float
    source_potential: Tensor
    target_potential: Tensor


def assignment(costs: Tensor, source: Tensor, target: Tensor) -> Solved:
    """Pair points one to one: by lapx where it is installed, else by SciPy, both in float64. Equal weights only."""
    assert len(source) == len(target)
    if importlib.util.find_spec("lap") is not None:
        import lap

        rows, columns = lap.lapjvh(costs.numpy(), return_cost=False)
        solver = "lapx, Jonker-Volgenant"
    else:
        from scipy.optimize import linear_sum_assignment

        rows, columns = linear_sum_assignment(costs.numpy())
        solver = "SciPy, Jonker-Volgenant"
    return Solved(rows=_places(rows), columns=_places(columns), masses=source, potentials=None, solver=solver)


def network_simplex(costs: Tensor, source: Tensor, target: Tensor) -> Solved:
    """Solve over all pairs, by POT.

    Args:
        costs: Shape (N, M), float64, on the CPU.
        source: Weights, shape (N,), above 0.
        target: Weights, shape (M,), above 0.

    Raises:
        NumericError: The solver stopped short of the optimum.

    Source: Bonneel et al. (2011).
    """
    from ot.lp import emd_wrap  # takes seconds to import

    a, b = _balanced(source, target)
    plan, _, f, g, code = emd_wrap.emd_c(a, b, costs.contiguous().numpy(), _ITERATIONS, 1, None, None)
    _refuse_unsolved(code, costs.shape)
    # NumPy finds places in a mask ten times faster than in numbers.
    rows, columns = np.divmod(np.flatnonzero(plan > 0), plan.shape[1])
    return Solved(
        rows=_places(rows),
        columns=_places(columns),
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
) -> Sparse:
    """Solve over chosen pairs, by POT.

    Args:
        rows: Source points of the pairs, shape (E,), int64. Some plan must be possible over the pairs.
        columns: Their target points.
        costs: Their costs, shape (E,), float64.
        source: Weights, shape (N,), above 0.
        target: Weights, shape (M,), above 0.
        start: Potentials to start from, such as those of the same problem with fewer pairs.

    Raises:
        NumericError: The solver stopped short of the optimum.
    """
    # The public function takes no potentials to start from, which would make repeated solutions three times slower.
    from ot.lp import emd_wrap

    a, b = _balanced(source, target)
    pairs = (side.numpy().view(np.uint64) for side in (rows, columns))
    warm = () if start is None else tuple(side.numpy() for side in start)
    found = emd_wrap.emd_c_sparse(a, b, *pairs, costs.numpy(), _ITERATIONS, *warm)
    moved_from, moved_to, masses, cost, f, g, code = found
    _refuse_unsolved(code, (len(a), len(b)))
    return Sparse(
        rows=_places(moved_from),
        columns=_places(moved_to),
        masses=torch.from_numpy(masses),
        cost=float(cost),
        source_potential=torch.from_numpy(f),
        target_potential=torch.from_numpy(g),
    )


def _balanced(source: Tensor, target: Tensor) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The weights as arrays whose sums agree to the last digits, as the network simplex wants them."""
    a, b = source.numpy(), target.numpy()
    return a, b * (a.sum() / b.sum())


def _places(values: NDArray[Any]) -> Tensor:
    return torch.from_numpy(np.ascontiguousarray(values, dtype=np.int64))


def _refuse_unsolved(code: int, shape: tuple[int, ...]) -> None:
    if code != _OPTIMAL:
        raise NumericError(
            f"the transport problem of {shape[0]} x {shape[1]} samples was not solved: "
            f"the network simplex stopped with code {code}",
            remedy="Divide costs and samples by a number that brings them near 1.",
        )
