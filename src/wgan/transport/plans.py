"""What a transport problem answers with: a cost, a plan that realises it, and potentials that prove it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
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

    rows: Tensor = field(repr=False)
    columns: Tensor = field(repr=False)
    masses: Tensor = field(repr=False)
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
class Certificate:
    """Potentials of a transport problem, and what they prove about a plan.

    Attributes:
        source_potential: f, shape (N,), float64, with f_i + g_j <= c_ij for every pair.
        target_potential: g, shape (M,), float64.
        gap: The cost of the plan minus the value of the potentials, sum_i a_i f_i + sum_j b_j g_j. No plan can cost
            less than that value, so the gap bounds how far from its optimum the plan is. It is added up from the
            plan's moves, sum_k mass_k (c_k - f_k - g_k), in which nothing cancels.
        optimal: Whether the gap is at most 1e-10 of sum_k mass_k |c_k|, which is the plan's own cost where no cost is
            below 0.
    """

    source_potential: Tensor = field(repr=False)
    target_potential: Tensor = field(repr=False)
    gap: float
    optimal: bool


@dataclass(frozen=True, kw_only=True, eq=False)
class Transport:
    """A solved transport problem, with its certificate.

    Attributes:
        cost: sum_ij plan_ij c_ij, 0-d, float64, differentiable with respect to points, costs and weights.
        distance: cost^(1 / p), 0-d, float64, differentiable; at 0 its gradient is 0.
        plan: The optimal plan.
        solver: Who solved it.
        proof: The certificate, or what computes it: some solvers find a plan without potentials, and those are then
            computed when they are first asked for.
    """

    cost: Tensor
    distance: Tensor
    plan: Plan
    solver: str
    proof: Certificate | Callable[[], Certificate] = field(repr=False)

    @cached_property
    def certificate(self) -> Certificate:
        """The proof that the plan is optimal.

        Raises:
            NumericError: The plan is not optimal after all.
        """
        return self.proof() if callable(self.proof) else self.proof

    @property
    def source_potential(self) -> Tensor:
        """f, shape (N,), float64: the gradient of the cost with respect to the source weights, up to a constant."""
        return self.certificate.source_potential

    @property
    def target_potential(self) -> Tensor:
        """g, shape (M,), float64, with f_i + g_j <= c_ij for every pair."""
        return self.certificate.target_potential

    @property
    def gap(self) -> float:
        """The cost of the plan minus the value of the potentials: 0 up to rounding."""
        return self.certificate.gap

    @property
    def optimal(self) -> bool:
        """Whether the gap proves the plan to be optimal."""
        return self.certificate.optimal
