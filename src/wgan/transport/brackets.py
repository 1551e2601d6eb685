"""What an entropic plan and its potentials prove about the transport problem without entropy."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from wgan.errors import NumericError, UsageError
from wgan.transport.arithmetic import weighted_value
from wgan.transport.balancing import Balanced
from wgan.transport.costs import without_infinity
from wgan.transport.proving import below
from wgan.transport.refinement import refine


def bracket(costs: Tensor, a: Tensor, b: Tensor, found: Balanced, possible: Tensor | None) -> tuple[Tensor, Tensor]:
    """A lower and an upper bound of the exact cost.

    Args:
        costs: Shape (N, M), float64, without a graph; infinite for forbidden pairs.
        a: Source weights, shape (N,).
        b: Target weights, shape (M,).
        found: The entropic plan and its potentials.
        possible: The cost of some plan that uses no forbidden pair; None where no pair is forbidden.

    Returns:
        Two numbers, 0-d.

    Source: rounding: Altschuler, Weed and Rigollet (2017), algorithm 2.
    """
    # Where potentials are large beside the cost, the distances to nearest neighbours may prove more.
    f, g = found.source_potential.cpu(), found.target_potential.cpu()
    starts = ((f, None), (None, g), (torch.zeros_like(f), None))
    lower = max(_proven(costs.cpu(), a.cpu(), b.cpu(), *start) for start in starts)
    return costs.new_tensor(lower), _upper(costs, a, b, found, possible)


def _proven(costs: Tensor, a: Tensor, b: Tensor, f: Tensor | None, g: Tensor | None) -> float:
    """The value of potentials after two c-transforms, feasible in spite of rounding."""
    if g is None:
        assert f is not None
        g = without_infinity((costs - f[:, None]).amin(dim=0))
    if not bool(g.isfinite().all()):
        return -math.inf  # iterations that left the range of float64 prove nothing
    f = below(costs.T, g)
    return weighted_value(*(side.numpy() for side in (a, f, b, below(costs, f))))


def _upper(costs: Tensor, a: Tensor, b: Tensor, found: Balanced, possible: Tensor | None) -> Tensor:
    """What the plan costs once it has the right marginals."""
    if not bool(found.plan.isfinite().all()):
        # Iterations that left the range of float64: any plan will do, such as the independent one.
        return a @ costs @ b if possible is None else possible
    # Rows and columns that hold too much are scaled down; what is missing then is spread in proportion.
    plan = found.plan * _at_most_one(a, found.plan.sum(dim=1))[:, None]
    plan *= _at_most_one(b, plan.sum(dim=0))
    rows_lack, columns_lack = (a - plan.sum(dim=1)).clamp(min=0.0), (b - plan.sum(dim=0)).clamp(min=0.0)
    held, lacking = (plan * without_infinity(costs)).sum(), rows_lack.sum()
    if not float(lacking) > 0.0:
        return held
    if possible is None:
        return held + rows_lack @ costs @ columns_lack / lacking
    # Spread in proportion, it would use forbidden pairs.
    rows, columns = rows_lack.nonzero().flatten(), columns_lack.nonzero().flatten()
    try:
        source, target = (side / side.sum() for side in (rows_lack[rows].cpu(), columns_lack[columns].cpu()))
        moved, _ = refine(costs[rows][:, columns].cpu().contiguous(), source, target)
    except (UsageError, NumericError):
        return possible
    dear = costs[rows][:, columns][moved.rows.to(costs.device), moved.columns.to(costs.device)]
    return torch.minimum(held + lacking * (moved.masses.to(costs.device) @ dear), possible)


def _at_most_one(wanted: Tensor, held: Tensor) -> Tensor:
    return torch.where(held > wanted, wanted / torch.where(held > wanted, held, 1.0), 1.0)
