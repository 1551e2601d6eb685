"""Plans, potentials, and the certificate that a plan is optimal."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from wgan.transport.arithmetic import Floats, round_down_transform, row_blocks, slacks
from wgan.transport.solvers import Solution

if TYPE_CHECKING:
    from scipy.sparse import coo_array

OPTIMALITY = 1e-10
"""The gap up to which a plan is optimal, relative to the cost of its moves: the rounding of long float64 sums."""

_MOST_LOST = 2.0**-46
"""The mass that a plan may lack or misplace, relative to the total mass."""

_MASS_ROUNDING = 2.0**-47
"""The rounding error of a mass from a float64 solver, relative to the weights of its two points."""


@dataclass(frozen=True, kw_only=True)
class Plan:
    """A sparse transport plan: `masses[k]` is moved from source point `rows[k]` to target point `columns[k]`.

    An optimal plan of N and M points has at most N + M - 1 moves.

    Attributes:
        rows: Source points, shape (K,), int64.
        columns: Target points, shape (K,), int64.
        masses: Mass of each move, shape (K,), float64, above 0, summing to 1.
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

        indices = (self.rows.cpu().numpy(), self.columns.cpu().numpy())
        return coo_array((self.masses.cpu().numpy(), indices), shape=self.shape)


@dataclass(frozen=True, kw_only=True)
class Certificate:
    """Feasible potentials of a transport problem, and the duality gap that they leave of a plan.

    Attributes:
        source_potential: f, shape (N,), float64, with f_i + g_j <= c_ij for every pair.
        target_potential: g, shape (M,), float64.
        gap: The cost of the plan minus the dual value sum_i a_i f_i + sum_j b_j g_j. By weak duality no plan costs
            less than the dual value, so the gap bounds the error of the plan. It is computed over the plan's moves as
            sum_k mass_k (c_k - f_k - g_k), whose terms are at least 0, so that no digits cancel.
        absolute_cost: sum_k mass_k |c_k|, which is the cost of the plan if no cost is negative.
    """

    source_potential: Tensor = field(repr=False)
    target_potential: Tensor = field(repr=False)
    gap: float
    absolute_cost: float

    @property
    def optimal(self) -> bool:
        """Whether the gap is at most 1e-10 of `absolute_cost`."""
        return self.gap <= OPTIMALITY * self.absolute_cost

    def to(self, device: torch.device) -> Certificate:
        """The same certificate with its potentials on another device."""
        return replace(
            self,
            source_potential=self.source_potential.to(device),
            target_potential=self.target_potential.to(device),
        )


@dataclass(frozen=True, kw_only=True, eq=False)
class Transport:
    """A solved transport problem with its certificate.

    Attributes:
        cost: sum_ij plan_ij c_ij, 0-d, float64, differentiable with respect to points, costs and weights.
        distance: cost^(1 / p), 0-d, float64, differentiable; at 0 its gradient is 0.
        plan: The optimal plan.
        solver: The name of the solver.
        proof: The certificate, or a function that computes it: assignment solvers find no potentials, and these are
            then computed on first access.
    """

    cost: Tensor
    distance: Tensor
    plan: Plan
    solver: str
    proof: Certificate | Callable[[], Certificate] = field(repr=False)

    @cached_property
    def certificate(self) -> Certificate:
        """The certificate that the plan is optimal.

        Raises:
            NumericError: The plan is not optimal.
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
        """The duality gap: the cost of the plan minus the value of the potentials, 0 up to rounding."""
        return self.certificate.gap

    @property
    def optimal(self) -> bool:
        """Whether the gap proves that the plan is optimal."""
        return self.certificate.optimal


def certify(costs: Tensor, a: Tensor, b: Tensor, found: Solution) -> Certificate:
    """Make the potentials of a solver feasible and compute the gap of its plan.

    Args:
        costs: Shape (N, M), float64, on the CPU; infinite for forbidden pairs.
        a: Source weights, shape (N,), at least 0.
        b: Target weights, shape (M,), at least 0.
        found: The plan, and potentials of all points.
    """
    assert found.potentials is not None
    f, g = found.potentials
    # Potentials are unique up to a constant, added to f and subtracted from g. Each side gets half of the dual value.
    f = f - (float(a @ f) - float(b @ g)) / 2
    lowest = c_transform(costs, f)
    # The next smaller number covers the rounding of the differences; a difference of 0 is exact.
    g = torch.nextafter(lowest, lowest.new_tensor(-math.inf))
    g = torch.where((lowest == math.inf) | (lowest == 0.0), 0.0, g)
    return certificate_of(costs, found, f, g)


def certificate_of(costs: Tensor, found: Solution, f: Tensor, g: Tensor) -> Certificate:
    """The certificate of a plan by potentials that are feasible already."""
    move_costs = costs[found.rows, found.columns].numpy()
    masses = found.masses.numpy()
    return Certificate(
        source_potential=f,
        target_potential=g,
        gap=float(masses @ slacks(move_costs, f[found.rows].numpy(), g[found.columns].numpy())),
        absolute_cost=float(masses @ np.abs(move_costs)),
    )


def solve_on_support(
    costs: Tensor, a: Tensor, b: Tensor, solve: Callable[[Tensor, Tensor, Tensor], tuple[Solution, Certificate | None]]
) -> tuple[Solution, Certificate]:
    """Solve over the points of positive weight, and extend the potentials to the others by c-transforms.

    Args:
        costs: Shape (N, M), float64, on the CPU; infinite for forbidden pairs.
        a: Source weights, shape (N,), at least 0.
        b: Target weights, shape (M,), at least 0.
        solve: Maps costs and weights above 0 to a solution with its certificate.
    """
    rows, columns = a.nonzero().flatten(), b.nonzero().flatten()
    found, certificate = solve(costs[rows][:, columns].contiguous(), a[rows], b[columns])
    assert certificate is not None
    f = feasible_transform(costs[:, columns].T, certificate.target_potential)
    f[rows] = certificate.source_potential
    g = feasible_transform(costs, f)
    g[columns] = certificate.target_potential
    found = replace(found, rows=rows[found.rows], columns=columns[found.columns], potentials=(f, g))
    return found, replace(certificate, source_potential=f, target_potential=g)


def c_transform(costs: Tensor, f: Tensor) -> Tensor:
    """The c-transform g_j = min_i (c_ij - f_i), shape (M,): the largest potential that is feasible with f."""
    lowest = torch.full((costs.shape[1],), torch.inf, dtype=torch.float64, device="cpu")
    for rows in row_blocks(len(costs)):
        torch.minimum(lowest, (costs[rows] - f[rows, None]).amin(dim=0), out=lowest)
    return lowest


def feasible_transform(costs: Tensor, f: Tensor) -> Tensor:
    """The c-transform of f, rounded down so that f_i + g_j <= c_ij exactly; 0 for points without an allowed pair.

    Args:
        costs: Shape (N, M), float64, on the CPU.
        f: Shape (N,).

    Returns:
        g, shape (M,).
    """
    found = torch.from_numpy(round_down_transform(costs.numpy(), f.numpy()))
    return torch.where(found.isfinite(), found, 0.0)


def is_rounding_negligible(costs: Tensor, a: Tensor, b: Tensor, found: Solution) -> bool:
    """Whether the rounding of the masses changes the plan's cost by less than `OPTIMALITY`.

    A float64 solver may lose small masses and leave rounding errors on expensive pairs.
    """
    source, target, masses = (values.numpy() for values in (a, b, found.masses))
    rows, columns = found.rows.numpy(), found.columns.numpy()
    move_costs = np.abs(costs[found.rows, found.columns].numpy())
    if not np.isfinite(move_costs).all():
        return False
    allowed = OPTIMALITY * float(masses @ move_costs)
    if not _MASS_ROUNDING * float((source[rows] + target[columns]) @ move_costs) <= allowed:
        return False
    lost = _marginal_error(source, rows, masses) + _marginal_error(target, columns, masses)
    return lost == 0.0 or (lost <= _MOST_LOST and lost * _largest(costs) <= allowed)


def _largest(costs: Tensor) -> float:
    """The largest absolute cost of an allowed pair."""
    least, most = map(float, torch.aminmax(costs))
    if most == math.inf:
        most = float(costs[costs.isfinite()].max())
    return max(abs(least), abs(most))


def _marginal_error(weights: Floats, indices: Floats, masses: Floats) -> float:
    return float(np.abs(np.bincount(indices, masses, len(weights)) - weights).sum())
