"""What a transport problem answers with: a cost, a plan that realises it, and potentials that prove it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor

if TYPE_CHECKING:
    from scipy.sparse import coo_array


@dataclass(frozen=True, kw_only=True)
class Plan:
    """A sparse transport plan: `masses[k]` is moved from source point `rows[k]` to target point `columns[k]`.

    An optimal plan of N and M points has at most N + M - 1 moves.

    Attributes:
        rows: Source points, shape (K,), int64.
        columns: Target points, shape (K,), int64.
        masses: What is moved, shape (K,), float64, above 0, summing to 1.
        shape: (N, M).
    """

    rows: Tensor
    columns: Tensor
    masses: Tensor
    shape: tuple[int, int]

    def dense(self) -> Tensor:
        """The plan as a matrix, shape (N, M), float64: its rows sum to the source weights."""
        matrix = torch.zeros(self.shape, dtype=torch.float64, device=self.masses.device)
        matrix.index_put_((self.rows, self.columns), self.masses, accumulate=True)
        return matrix

    def sparse(self) -> coo_array:
        """The plan as a SciPy sparse array, shape (N, M)."""
        from scipy.sparse import coo_array

        places = (self.rows.cpu().numpy(), self.columns.cpu().numpy())
        return coo_array((self.masses.cpu().numpy(), places), shape=self.shape)


@dataclass(frozen=True, kw_only=True)
class Transport:
    """A solved transport problem, with its certificate.

    Attributes:
        cost: sum_ij plan_ij c_ij, 0-d, float64, differentiable with respect to points, costs and weights.
        distance: cost^(1 / p), 0-d, float64, differentiable where the cost is above 0; finite gradients at 0.
        plan: The optimal plan.
        source_potential: f, shape (N,), float64, with f_i + g_j <= c_ij: the gradient of the cost with respect to the
            source weights, up to a constant.
        target_potential: g, shape (M,), float64.
        gap: The cost of the plan minus the value of the potentials, sum_i a_i f_i + sum_j b_j g_j: 0 at the optimum up
            to rounding, and otherwise a bound of how far from it the plan is.
        optimal: Whether the gap proves the plan to be optimal.
        solver: Who solved it.
    """

    cost: Tensor
    distance: Tensor
    plan: Plan
    source_potential: Tensor
    target_potential: Tensor
    gap: float
    optimal: bool
    solver: str
