"""Exact transport with costs of very different magnitudes, and with forbidden pairs, by iterative refinement.

A float64 solver cannot resolve differences below about 1e-16 of the largest cost. Iterative refinement solves the
problem repeatedly, each time with the reduced costs of the potentials so far, rescaled to their own unit. Reduced costs
far above that unit are cut off, since no optimal plan uses those pairs. Masses are recomputed as integers.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from fractions import Fraction
from typing import TypeAlias

import numpy as np
import torch
from torch import Tensor

from wgan.errors import NumericError, UsageError
from wgan.transport.arithmetic import Floats, dot, exact_sums, float_below, reduced_costs, round_down_transform
from wgan.transport.certificates import OPTIMALITY, Certificate, certificate_of
from wgan.transport.costs import zero_forbidden
from wgan.transport.forest import Forest, Moves
from wgan.transport.solvers import Solution, network_simplex

Solver: TypeAlias = Callable[[Tensor, Tensor, Tensor], Solution]
"""Maps costs (N, M), source weights (N,) and target weights (M,), all float64 on the CPU, to a solution."""

_TARGET_GAP = OPTIMALITY / 16
_MAX_ROUNDS = 40
_LARGEST_COST = 1e300
"""Potentials may be about a thousand times as large as the costs."""

_PATIENCE = 4
"""The most rounds without a smaller gap."""


def refine(
    costs: Tensor, source: Tensor, target: Tensor, start: Solution | None = None, solver: Solver = network_simplex
) -> tuple[Solution, Certificate]:
    """Solve a transport problem with costs of any magnitudes, and certify the solution.

    With f, g the potentials so far and r = c - f - g, the transport problem with costs r has the same optimal plans.
    Let the plan so far use pairs with r of at most s, and let r >= -v for all pairs. A pair with r above n (s + v),
    where n is the number of points on the smaller side, is in no optimal plan. A cycle that exchanges it adds at most
    n - 1 other pairs, which save at most v each, and removes at most n pairs, which cost at most s each. So r is cut
    off at 2 n (s + v), and the problem is solved in units of s + v.

    Args:
        costs: Shape (N, M), float64, on the CPU; infinite for forbidden pairs.
        source: Weights, shape (N,), above 0.
        target: Weights, shape (M,), above 0.
        start: A plan to start from, optimal or not.
        solver: The solver of each round.

    Returns:
        An optimal plan with potentials, and its certificate. Takes a few runs of the solver, and O(N M) for each.

    Raises:
        UsageError: Every plan needs forbidden pairs.
        NumericError: The gap could not be reduced to `OPTIMALITY`.

    Source: Gleixner, Steffy and Wolter (2016), Iterative refinement for linear programming.
    """
    c, a, b = costs.numpy(), source.numpy(), target.numpy()
    if max(-float(costs.min()), float(zero_forbidden(costs).max())) > _LARGEST_COST:
        raise NumericError(
            f"costs beyond {_LARGEST_COST:.0e} are too large for float64 potentials", remedy="Divide them by a number."
        )
    moves = _first_plan(c, a, b, start)
    state = _Refinement(c, a, b, moves)
    best, num_stalled = math.inf, 0
    for _ in range(_MAX_ROUNDS):
        gap = state.gap()
        if gap <= _TARGET_GAP * state.absolute_cost():
            break
        best, num_stalled = (gap, 0) if gap < 0.5 * best else (best, num_stalled + 1)
        if num_stalled > _PATIENCE:
            break
        state.solve_reduced(source, target, solver)
        if state.is_unit_too_large():
            state, best = _Refinement(c, a, b, state.moves), math.inf
    found = state.solution()
    assert found.potentials is not None
    certificate = certificate_of(costs, found, *found.potentials)
    if not certificate.optimal:
        raise NumericError(
            f"the plan found for {len(a)} x {len(b)} samples may cost {certificate.gap:.3g} more than the optimum, at "
            f"a cost of {certificate.absolute_cost:.3g}: float64 has too few digits for costs and weights of such "
            "different magnitudes",
            remedy="Forbid pairs by infinite costs instead of large ones, and leave out points of tiny weight.",
        )
    return found, certificate


class _Refinement:
    """The potentials, as sums of those of each round, and the plan of the last round.

    Costs are kept in a unit that is a power of 2, so that changes of the unit are exact.
    """

    def __init__(self, costs: Floats, a: Floats, b: Floats, moves: Moves) -> None:
        self.costs, self.a, self.b, self.moves = costs, a, b, moves
        self.solver = "POT, network simplex"
        least = float(costs.min())
        largest = float((costs[moves.rows, moves.columns] - least).max())
        self.least, self.largest = least, largest
        self.power = int(math.frexp(max(largest, abs(least), 1e-300))[1])
        self.factor = 2.0 * min(costs.shape)
        self.cut = np.ldexp(np.minimum(costs, least + self.factor * largest), -self.power)
        self.sources = [np.full(len(a), math.ldexp(least, -self.power))]
        self.targets = [np.zeros(len(b))]
        self._update()

    def _update(self) -> None:
        self.reduced = reduced_costs(self.cut, self.sources, self.targets)
        self.violations = np.maximum(-self.reduced.min(axis=0), 0.0)
        self.used = self.reduced[self.moves.rows, self.moves.columns]

    def gap(self) -> float:
        """The cost of the plan minus the dual value of the potentials, lowered until they are feasible."""
        return float(self.moves.masses @ self.used + self.b @ self.violations)

    def absolute_cost(self) -> float:
        """sum_k mass_k |c_k| over the moves of the plan."""
        return float(self.moves.masses @ np.abs(self.cut[self.moves.rows, self.moves.columns]))

    def is_unit_too_large(self) -> bool:
        """Whether the largest cost in the plan has fallen so far that a smaller unit gives more accurate potentials."""
        largest = float((self.costs[self.moves.rows, self.moves.columns] - self.least).max())
        return largest < 0.1 * self.largest

    def solve_reduced(self, source: Tensor, target: Tensor, solver: Solver) -> None:
        """Solve the problem with the reduced costs, and add its potentials."""
        unit = float(np.abs(self.used).max(initial=0.0) + self.violations.max())
        # The network simplex works best with costs of at least 0.
        left = np.minimum(self.reduced / unit, self.factor) + 1.0
        found = solver(torch.from_numpy(left), source, target)
        assert found.potentials is not None
        f, g = (potential.numpy() for potential in found.potentials)
        shift = float(np.median(f))
        f, g = f - shift, g + shift
        forest = Forest(self.a, self.b)
        self.solver = found.solver
        self.moves = forest.exact_plan(
            found.rows.numpy(), found.columns.numpy(), found.masses.numpy(), lambda: left - f[:, None] - g
        )
        f, g = forest.tighten(left, f, g)
        self.sources.append((f - 1.0) * unit)
        self.targets.append(g * unit)
        self._update()

    def solution(self) -> Solution:
        """The plan, with the potentials rounded to float64 so that they stay feasible."""
        # A constant is moved from one side to the other before rounding, so that the potentials of most of the mass are
        # small and keep their digits.
        f_exact, g_exact = exact_sums(self.sources), exact_sums(self.targets)
        shift = (_weighted_median(f_exact, self.a) - _weighted_median(g_exact, self.b)) / 2
        # Rounded down, or the rounding of a large potential of a point of tiny weight would lower all others.
        f = np.ldexp(np.array([float_below(potential - shift) for potential in f_exact]), self.power)
        g = round_down_transform(self.costs, f)
        return Solution(
            rows=torch.from_numpy(self.moves.rows),
            columns=torch.from_numpy(self.moves.columns),
            masses=torch.from_numpy(self.moves.masses),
            potentials=(torch.from_numpy(f), torch.from_numpy(g)),
            solver=f"{self.solver}, refined",
        )


def _weighted_median(values: list[Fraction], weights: Floats) -> Fraction:
    order = sorted(range(len(values)), key=values.__getitem__)
    return values[order[int(np.searchsorted(weights[order].cumsum(), 0.5).clip(max=len(values) - 1))]]


def _first_plan(costs: Floats, a: Floats, b: Floats, start: Solution | None) -> Moves:
    """The initial plan: the given one if its pairs allow a plan without forbidden pairs, otherwise any such plan."""
    if start is not None:
        try:
            moves = Forest(a, b).exact_plan(start.rows.numpy(), start.columns.numpy(), start.masses.numpy())
        except NumericError:
            pass
        else:
            if np.isfinite(costs[moves.rows, moves.columns]).all():
                return moves
    return allowed_plan(costs, a, b)


def allowed_plan(costs: Floats, a: Floats, b: Floats) -> Moves:
    """A plan that uses no forbidden pair.

    Args:
        costs: Shape (N, M); infinite for forbidden pairs.
        a: Source weights, shape (N,), above 0.
        b: Target weights, shape (M,), above 0.

    Raises:
        UsageError: There is none.
    """
    # With costs of 0 and 1 nothing is rounded, and the optimum is the mass that has to use forbidden pairs.
    prices = np.isinf(costs).astype(np.float64)
    found = network_simplex(torch.from_numpy(prices), torch.from_numpy(a), torch.from_numpy(b))
    assert found.potentials is not None
    f, g = (potential.numpy() for potential in found.potentials)
    moves = Forest(a, b).exact_plan(
        found.rows.numpy(), found.columns.numpy(), found.masses.numpy(), lambda: prices - f[:, None] - g
    )
    forbidden = prices[moves.rows, moves.columns] > 0
    if forbidden.any():
        raise UsageError(_explain_infeasible(prices, a, b, f, float(moves.masses[forbidden].sum())), remedy=_ALLOW_MORE)
    return moves


def check_feasible(costs: Tensor, source: Tensor, target: Tensor) -> Tensor | None:
    """Check that some plan uses no forbidden pair.

    Args:
        costs: Shape (N, M), float64, infinite for forbidden pairs; on any device, detached.
        source: Weights, shape (N,), at least 0.
        target: Weights, shape (M,), at least 0.

    Returns:
        The cost of such a plan, 0-d, by one run of the network simplex; None if no pair is forbidden.

    Raises:
        UsageError: There is no such plan.
    """
    if not bool(costs.max() == torch.inf):
        return None
    rows, columns = source.nonzero().flatten(), target.nonzero().flatten()
    inner = costs[rows][:, columns].cpu().contiguous().numpy()
    moves = allowed_plan(inner, source[rows].cpu().numpy(), target[columns].cpu().numpy())
    return costs.new_tensor(dot(moves.masses, inner[moves.rows, moves.columns]))


_ALLOW_MORE = "Allow more pairs by finite costs, which may be large, or change the weights."


def _explain_infeasible(prices: Floats, a: Floats, b: Floats, f: Floats, mass: float) -> str:
    """Name the source points of more weight than the targets that they may reach (Hall's condition)."""
    message = f"every plan uses forbidden pairs (of infinite cost), for at least {mass:.3g} of the mass"
    is_stuck = f > f.min() + 0.5
    is_reachable = (prices[is_stuck] == 0.0).any(axis=0)
    supply, capacity = float(a[is_stuck].sum()), float(b[is_reachable].sum())
    if not supply > capacity:
        return message
    points = is_stuck.nonzero()[0].tolist()
    names = ", ".join(map(str, points[:5])) + (f" and {len(points) - 5} more" if len(points) > 5 else "")
    return f"{message}. Source points {names} have weight {supply:.6g} and reach targets of weight {capacity:.6g}"
