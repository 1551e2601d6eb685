"""Exact transport where costs of very different size meet, and where pairs are forbidden.

A solver in float64 sees nothing below some 1e-16 of the largest cost. Iterative refinement gives it the problem again
and again, each time with what its potentials have left of the costs, in their own unit. What is far above that unit is
cut off, since no optimal plan can use it. Masses are recomputed in whole numbers.
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
from wgan.transport.arithmetic import Floats, dot, exact_sums, float_below, reduced_costs, transform_below
from wgan.transport.costs import without_infinity
from wgan.transport.forest import Forest, Moves
from wgan.transport.proving import OPTIMALITY, Proof, weigh
from wgan.transport.solvers import Solved, network_simplex

Solver: TypeAlias = Callable[[Tensor, Tensor, Tensor], Solved]
"""From costs (N, M), source weights (N,) and target weights (M,), all float64, on the CPU, weights above 0."""

_WANTED = OPTIMALITY / 16
_MAX_ROUNDS = 40
_MOST = 1e300
"""The largest cost: potentials may be some thousand times as large."""

_PATIENCE = 4
"""Rounds that may pass without a smaller gap."""


def refine(
    costs: Tensor, source: Tensor, target: Tensor, start: Solved | None = None, solver: Solver = network_simplex
) -> tuple[Solved, Proof]:
    """Solve a transport problem whatever the sizes of its costs, and prove the answer.

    With f, g the potentials so far and r = c - f - g, the transport problem with costs r has the same optimal plans.
    Let the plan so far use pairs with r of at most s, and let no r be below -v. A pair with r above n (s + v), where n
    is the number of points on the smaller side, is in no optimal plan: a cycle that exchanges it for others takes on at
    most n - 1 more pairs, which save at most v each, and gives up at most n, which save at most s each. So r is cut off
    at 2 n (s + v), and the problem is solved in units of s + v.

    Args:
        costs: Shape (N, M), float64, on the CPU; infinite for forbidden pairs.
        source: Weights, shape (N,), above 0.
        target: Weights, shape (M,), above 0.
        start: A plan to start from, optimal or not.
        solver: Solves each round.

    Returns:
        An optimal plan with potentials, and the proof. A few runs of the solver, and O(N M) for each.

    Raises:
        UsageError: Every plan needs forbidden pairs.
        NumericError: The gap could not be brought below what is called optimal.

    Source: Gleixner, Steffy and Wolter (2016), Iterative refinement for linear programming.
    """
    c, a, b = costs.numpy(), source.numpy(), target.numpy()
    if max(-float(costs.min()), float(without_infinity(costs).max())) > _MOST:
        raise NumericError(
            f"costs beyond {_MOST:.0e} leave float64 no room for their differences", remedy="Divide them by a number."
        )
    moves = _first_plan(c, a, b, start)
    rounds = _Rounds(c, a, b, moves)
    best, waited = math.inf, 0
    for _ in range(_MAX_ROUNDS):
        gap = rounds.gap()
        if gap <= _WANTED * rounds.size():
            break
        best, waited = (gap, 0) if gap < 0.5 * best else (best, waited + 1)
        if waited > _PATIENCE:
            break
        rounds.go_on(source, target, solver)
        if rounds.unit_is_too_large():
            rounds, best = _Rounds(c, a, b, rounds.moves), math.inf
    found = rounds.solved()
    assert found.potentials is not None
    proof = weigh(costs, found, *found.potentials)
    if not proof.holds:
        raise NumericError(
            f"the plan found for {len(a)} x {len(b)} samples may cost {proof.gap:.3g} more than the best, at a cost of "
            f"{proof.size:.3g}: float64 has too few digits for costs and weights of such different sizes",
            remedy="Forbid pairs by infinite costs, not by large ones, and leave points of hardly any weight out.",
        )
    return found, proof


class _Rounds:
    """Potentials as sums of what each round found, and the plan of the last round.

    Costs are kept in a unit that is a power of 2, so that to change it rounds nothing.
    """

    def __init__(self, costs: Floats, a: Floats, b: Floats, moves: Moves) -> None:
        self.costs, self.a, self.b, self.moves = costs, a, b, moves
        self.solver = "POT, network simplex"
        least = float(costs.min())
        dearest = float((costs[moves.rows, moves.columns] - least).max())
        self.least, self.dearest = least, dearest
        self.power = int(math.frexp(max(dearest, abs(least), 1e-300))[1])
        self.factor = 2.0 * min(costs.shape)
        self.cut = np.ldexp(np.minimum(costs, least + self.factor * dearest), -self.power)
        self.sources = [np.full(len(a), math.ldexp(least, -self.power))]
        self.targets = [np.zeros(len(b))]
        self._look()

    def _look(self) -> None:
        self.reduced = reduced_costs(self.cut, self.sources, self.targets)
        self.violations = np.maximum(-self.reduced.min(axis=0), 0.0)
        self.used = self.reduced[self.moves.rows, self.moves.columns]

    def gap(self) -> float:
        """What the plan costs more than the potentials are worth, once they are lowered to where they are feasible."""
        return float(self.moves.masses @ self.used + self.b @ self.violations)

    def size(self) -> float:
        """What the plan's moves cost, none counted as a gain."""
        return float(self.moves.masses @ np.abs(self.cut[self.moves.rows, self.moves.columns]))

    def unit_is_too_large(self) -> bool:
        """Whether the plan has become so much cheaper that potentials in its own unit would be smaller and sharper."""
        dearest = float((self.costs[self.moves.rows, self.moves.columns] - self.least).max())
        return dearest < 0.1 * self.dearest

    def go_on(self, source: Tensor, target: Tensor, solver: Solver) -> None:
        """Solve for what is left of the costs."""
        unit = float(np.abs(self.used).max(initial=0.0) + self.violations.max())
        # No price below 0, which the network simplex likes less.
        left = np.minimum(self.reduced / unit, self.factor) + 1.0
        found = solver(torch.from_numpy(left), source, target)
        assert found.potentials is not None
        f, g = (side.numpy() for side in found.potentials)
        middle = float(np.median(f))
        f, g = f - middle, g + middle
        forest = Forest(self.a, self.b)
        self.solver = found.solver
        self.moves = forest.settled(
            found.rows.numpy(), found.columns.numpy(), found.masses.numpy(), lambda: left - f[:, None] - g
        )
        f, g = forest.tightened(left, f, g)
        self.sources.append((f - 1.0) * unit)
        self.targets.append(g * unit)
        self._look()

    def solved(self) -> Solved:
        """The plan, with the potentials rounded to float64 such that they stay feasible."""
        # A constant that is moved from one side to the other before rounding, so that what most of the mass sees is
        # small, and keeps its digits.
        f_exact, g_exact = exact_sums(self.sources), exact_sums(self.targets)
        shift = (_middle(f_exact, self.a) - _middle(g_exact, self.b)) / 2
        # Rounded down: a large potential of a point of hardly any weight would lower all others by its rounding.
        f = np.ldexp(np.array([float_below(potential - shift) for potential in f_exact]), self.power)
        g = transform_below(self.costs, f)
        return Solved(
            rows=torch.from_numpy(self.moves.rows),
            columns=torch.from_numpy(self.moves.columns),
            masses=torch.from_numpy(self.moves.masses),
            potentials=(torch.from_numpy(f), torch.from_numpy(g)),
            solver=f"{self.solver}, refined",
        )


def _middle(values: list[Fraction], weights: Floats) -> Fraction:
    """The median of weighted values."""
    order = sorted(range(len(values)), key=values.__getitem__)
    return values[order[int(np.searchsorted(weights[order].cumsum(), 0.5).clip(max=len(values) - 1))]]


def _first_plan(costs: Floats, a: Floats, b: Floats, start: Solved | None) -> Moves:
    """The plan to start from: the given one, where its pairs belong to a plan that uses no forbidden pair."""
    if start is not None:
        try:
            moves = Forest(a, b).settled(start.rows.numpy(), start.columns.numpy(), start.masses.numpy())
        except NumericError:
            pass
        else:
            if np.isfinite(costs[moves.rows, moves.columns]).all():
                return moves
    return allowed_plan(costs, a, b)


def allowed_plan(costs: Floats, a: Floats, b: Floats) -> Moves:
    """Some plan that uses no forbidden pair.

    Args:
        costs: Shape (N, M); infinite for forbidden pairs.
        a: Source weights, shape (N,), above 0.
        b: Target weights, shape (M,), above 0.

    Raises:
        UsageError: There is none.
    """
    # Whole costs of 0 and 1: no digit is lost, and the optimum is the mass that has to use forbidden pairs.
    prices = np.isinf(costs).astype(np.float64)
    found = network_simplex(torch.from_numpy(prices), torch.from_numpy(a), torch.from_numpy(b))
    assert found.potentials is not None
    f, g = (side.numpy() for side in found.potentials)
    moves = Forest(a, b).settled(
        found.rows.numpy(), found.columns.numpy(), found.masses.numpy(), lambda: prices - f[:, None] - g
    )
    forbidden = prices[moves.rows, moves.columns] > 0
    if forbidden.any():
        raise UsageError(_why_impossible(prices, a, b, f, float(moves.masses[forbidden].sum())), remedy=_ALLOW)
    return moves


def refuse_impossible(costs: Tensor, source: Tensor, target: Tensor) -> Tensor | None:
    """Refuse a problem of which every plan uses forbidden pairs.

    Args:
        costs: Shape (N, M), float64, infinite for forbidden pairs; on any device, without a graph.
        source: Weights, shape (N,), at least 0.
        target: Weights, shape (M,), at least 0.

    Returns:
        What some plan costs that uses no forbidden pair, 0-d; None where no pair is forbidden. One run of the network
        simplex in the first case.

    Raises:
        UsageError: There is no such plan.
    """
    if not bool(costs.max() == torch.inf):
        return None
    rows, columns = source.nonzero().flatten(), target.nonzero().flatten()
    inner = costs[rows][:, columns].cpu().contiguous().numpy()
    moves = allowed_plan(inner, source[rows].cpu().numpy(), target[columns].cpu().numpy())
    return costs.new_tensor(dot(moves.masses, inner[moves.rows, moves.columns]))


_ALLOW = "Allow more pairs by finite costs, or change the weights. A large finite cost allows a pair at that price."


def _why_impossible(prices: Floats, a: Floats, b: Floats, f: Floats, mass: float) -> str:
    """Which source points hold more than the targets that they may reach (Hall's condition)."""
    said = f"no plan avoids the forbidden pairs (those of infinite cost): {mass:.3g} of the mass would have to use them"
    stuck = f > f.min() + 0.5
    reached = (prices[stuck] == 0.0).any(axis=0)
    held, room = float(a[stuck].sum()), float(b[reached].sum())
    if not held > room:
        return said
    places = stuck.nonzero()[0].tolist()
    which = ", ".join(map(str, places[:5])) + (f" and {len(places) - 5} more" if len(places) > 5 else "")
    return f"{said}. Source points {which} hold {held:.6g} and reach targets of {room:.6g}"
