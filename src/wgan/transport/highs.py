"""Linear programs solved by HiGHS, through SciPy.

Source: Huangfu and Hall (2018), Parallelizing the dual revised simplex method.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from wgan.errors import NumericError
from wgan.transport.arithmetic import Floats
from wgan.transport.solvers import Solved

_TOLERANCE = 1e-10
"""What HiGHS may leave a constraint violated by, in units of the largest cost or of the whole mass; its least."""


_STOPPED_EARLY = 1
"""SciPy's status where iterations or time ran out."""


class BeyondTolerancesError(NumericError):
    """A program of which HiGHS cannot tell what is possible, as with weights below its tolerances."""


def primal_and_dual(costs: Tensor, source: Tensor, target: Tensor) -> Solved:
    """Solve a transport problem twice: for the plan, and on its own for the potentials.

    Args:
        costs: Shape (N, M), float64, on the CPU, finite.
        source: Weights, shape (N,).
        target: Weights, shape (M,).

    Raises:
        NumericError: HiGHS did not reach the optimum.
    """
    num_x, num_y = costs.shape
    A, b = constraints(num_x, num_y), torch.cat([source, target]).numpy()  # noqa: N806 - the textbook's letters
    # In units of the largest cost, so that tolerances mean the same whatever the unit of the data.
    scale = float(costs.abs().max()) or 1.0
    c = costs.reshape(-1).numpy() / scale
    gamma = minimise(c, "primal", A_eq=A, b_eq=b, bounds=(0, None)).reshape(num_x, num_y)
    prices = torch.from_numpy(scale * minimise(-b, "dual", A_ub=A.T, b_ub=c, bounds=first_at_zero(len(b))))
    rows, columns = (gamma > 0).nonzero()
    return Solved(
        rows=torch.from_numpy(rows),
        columns=torch.from_numpy(columns),
        masses=torch.from_numpy(gamma[rows, columns]),
        potentials=(prices[:num_x], prices[num_x:]),
        solver="HiGHS, dual simplex",
    )


def constraints(num_x: int, num_y: int) -> Any:  # noqa: ANN401 - a sparse array of SciPy's, whose stubs are not needed
    """A of the transport problem: row i < N adds up row i of the plan, row N + j its column j; shape (N + M, N M)."""
    from scipy.sparse import eye_array, kron, vstack

    rows = kron(eye_array(num_x), np.ones((1, num_y)))
    columns = kron(np.ones((1, num_x)), eye_array(num_y))
    return vstack([rows, columns]).tocsr()


def minimise(objective: Floats, name: str, **program: Any) -> Floats:  # noqa: ANN401
    """The solution of min <objective, z> under the constraints that `scipy.optimize.linprog` takes.

    Raises:
        BeyondTolerancesError: HiGHS takes the program for impossible, or its own answer for wrong.
        NumericError: HiGHS stopped before it reached the optimum.
    """
    from scipy.optimize import linprog

    options = {"primal_feasibility_tolerance": _TOLERANCE, "dual_feasibility_tolerance": _TOLERANCE}
    answer = linprog(objective, method="highs-ds", options=options, **program)
    if answer.status != 0:
        kind = NumericError if answer.status == _STOPPED_EARLY else BeyondTolerancesError
        raise kind(f"HiGHS did not reach the optimum of the {name} program: {answer.message}")
    found: Floats = answer.x
    return found


def first_at_zero(num: int) -> Floats:
    """Bounds of potentials: a constant is free, and left free it could drift along the rounding of the weights' sum."""
    bounds = np.tile([-np.inf, np.inf], (num, 1))
    bounds[0] = 0.0
    return bounds
