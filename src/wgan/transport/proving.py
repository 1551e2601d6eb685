"""What potentials prove about a plan, relative to the plan's own cost."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from wgan.transport.arithmetic import Floats, slacks, transform_below
from wgan.transport.solvers import Solved

OPTIMALITY = 1e-10
"""The gap, as a share of what the plan's moves cost, up to which a plan is optimal: what long sums in float64 leave."""

_BLOCK = 64
"""Rows that are handled together: with some thousands of columns they stay in a core's cache."""

_MOST_LOST = 2.0**-46
"""How much of the whole mass may be missing from a plan, or in the wrong place."""

_MASS_ROUNDING = 2.0**-47
"""What a solver in float64 may leave on a pair by rounding, as a share of the weights of its two points."""


def source_transform(costs: Tensor, f: Tensor) -> Tensor:
    """The c-transform g_j = min_i (c_ij - f_i), shape (M,): the largest potential that is feasible with f."""
    lowest = torch.full((costs.shape[1],), torch.inf, dtype=torch.float64, device="cpu")
    for begin in range(0, len(costs), _BLOCK):
        rows = slice(begin, begin + _BLOCK)
        torch.minimum(lowest, (costs[rows] - f[rows, None]).amin(dim=0), out=lowest)
    return lowest


@dataclass(frozen=True, kw_only=True)
class Proof:
    """Potentials with f_i + g_j <= c_ij for every pair, and what they leave of a plan's cost.

    Attributes:
        source_potential: f, shape (N,), float64.
        target_potential: g, shape (M,).
        gap: sum_k mass_k (c_k - f_k - g_k) over the plan's moves: its cost minus the value of the potentials, each
            at the plan's own marginals. No term is below 0, so that no digits cancel.
        size: sum_k mass_k |c_k|: the plan's cost, where no cost is below 0.
    """

    source_potential: Tensor
    target_potential: Tensor
    gap: float
    size: float

    @property
    def holds(self) -> bool:
        """Whether the gap is nothing beside the plan's own cost."""
        return self.gap <= OPTIMALITY * self.size


def prove(costs: Tensor, a: Tensor, b: Tensor, found: Solved) -> Proof:
    """Make the potentials of a solver feasible, and hold the plan against them.

    Args:
        costs: Shape (N, M), float64, on the CPU; infinite for forbidden pairs.
        a: Source weights, shape (N,), at least 0.
        b: Target weights, shape (M,), at least 0.
        found: The plan, and potentials of all points.
    """
    assert found.potentials is not None
    f, g = found.potentials
    # Potentials are unique only up to what one side gains and the other loses: both get half of the value.
    f = f - (float(a @ f) - float(b @ g)) / 2
    lowest = source_transform(costs, f)
    # One step down covers the rounding of the differences; a difference of 0 has none.
    g = torch.nextafter(lowest, lowest.new_tensor(-math.inf))
    g = torch.where((lowest == math.inf) | (lowest == 0.0), 0.0, g)
    return weigh(costs, found, f, g)


def weigh(costs: Tensor, found: Solved, f: Tensor, g: Tensor) -> Proof:
    """The proof by potentials that are feasible: the gap that they leave, and the size of the plan's cost."""
    moved = costs[found.rows, found.columns].numpy()
    rest = slacks(moved, f[found.rows].numpy(), g[found.columns].numpy())
    masses = found.masses.numpy()
    return Proof(
        source_potential=f,
        target_potential=g,
        gap=float(masses @ rest),
        size=float(masses @ np.abs(moved)),
    )


def extended(proof: Proof, costs: Tensor, rows: Tensor, columns: Tensor) -> Proof:
    """Potentials of all points, from those of the points that weigh something.

    Args:
        proof: Potentials of shapes (N',) and (M',).
        costs: Of all points, shape (N, M).
        rows: Which source points the proof has, shape (N',), int64.
        columns: Which target points, shape (M',).
    """
    f = below(costs[:, columns].T, proof.target_potential)
    f[rows] = proof.source_potential
    g = below(costs, f)
    g[columns] = proof.target_potential
    return replace(proof, source_potential=f, target_potential=g)


def below(costs: Tensor, potential: Tensor) -> Tensor:
    """The c-transform of f, rounded down such that f_i + g_j <= c_ij exactly; 0 where no pair of a point is allowed.

    Args:
        costs: Shape (N, M), float64, on the CPU.
        potential: f, shape (N,).

    Returns:
        Shape (M,).
    """
    found = torch.from_numpy(transform_below(costs.numpy(), potential.numpy()))
    return torch.where(found.isfinite(), found, 0.0)


def is_exact_enough(costs: Tensor, a: Tensor, b: Tensor, found: Solved) -> bool:
    """Whether rounding of the masses cannot be seen in the cost: what a solver lost, and what it left on dear pairs."""
    source, target, masses = (side.numpy() for side in (a, b, found.masses))
    rows, columns = found.rows.numpy(), found.columns.numpy()
    moved = np.abs(costs[found.rows, found.columns].numpy())
    if not np.isfinite(moved).all():
        return False
    allowed = OPTIMALITY * float(masses @ moved)
    if not _MASS_ROUNDING * float((source[rows] + target[columns]) @ moved) <= allowed:
        return False
    lost = _lost(source, rows, masses) + _lost(target, columns, masses)
    return lost == 0.0 or (lost <= _MOST_LOST and lost * _largest(costs) <= allowed)


def _largest(costs: Tensor) -> float:
    """The largest absolute cost of an allowed pair."""
    least, most = map(float, torch.aminmax(costs))
    if most == math.inf:
        most = float(costs[costs.isfinite()].max())
    return max(abs(least), abs(most))


def _lost(weights: Floats, places: Floats, masses: Floats) -> float:
    return float(np.abs(np.bincount(places, masses, len(weights)) - weights).sum())
