"""Exact optimal transport between two weighted sets of samples, with a certificate."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from wgan.errors import NumericError, UsageError
from wgan.measures import Array, as_pair, as_weights, check_power, root
from wgan.transport.column_generation import column_generation, source_transform
from wgan.transport.costs import Cost, cost_matrix, is_matrix, pair_costs
from wgan.transport.one_dimensional import monotone_transport
from wgan.transport.plans import Certificate, Plan, Transport
from wgan.transport.solvers import Solved, assignment, network_simplex

OPTIMALITY = 1e-10
"""The gap, in units of the mean cost of all pairs, up to which a plan is optimal: what long sums in float64 leave."""

Solver = Callable[[Tensor, Tensor, Tensor], Solved]
"""From costs (N, M), source weights (N,) and target weights (M,), all float64, on the CPU, weights above 0."""

# Where the measured times cross on one thread, with POT 0.9.7 and lapx 0.11: see `make bench` and docs/decisions.md.
_SMALL = 200
_LARGE = 1000
_FLAT = 3
_ASSIGNED_IF_UPON = 1000
_ASSIGNED_IF_NARROW = 700
_ASSIGNED_IF_WIDE = 1500
_WIDE = 0.35
_CROWDED = 0.6
_UPON = 2.2
_OFFSET = 4.0
_SPREAD = 2.0
_APART = 3.2
_LOOKED_AT = 64
# Orders of magnitude of the costs between which the solvers lose no digits.
_LEAST = 1e-2
_MOST = 1e6


def exact(
    x: Array | None = None,
    y: Array | None = None,
    cost: Cost = "euclidean",
    p: float = 1.0,
    *,
    x_weights: Array | None = None,
    y_weights: Array | None = None,
    proven: bool = False,
) -> Transport:
    """The optimal transport between two weighted sets of samples: the earth mover's distance and its kin.

    W_p^p = min over plans Gamma >= 0 with row sums a and column sums b of sum_ij Gamma_ij d(x_i, y_j)^p.

    On the line, sorting solves it. Elsewhere the cost matrix is built, and the solver is taken that was measured to be
    the fastest for such a problem; what it answers is proven by potentials or refused.

    Args:
        x: Samples, shape (N, ...), flattened; None where the cost is a matrix.
        y: Samples, shape (M, ...), of the same size after flattening; None where the cost is a matrix.
        cost: "euclidean", "squared", "manhattan", a function from points (N, D) and (M, D) to costs (N, M), or a
            matrix of shape (N, M).
        p: The power of the distance, at least 1.
        x_weights: Probabilities of x, shape (N,); None for equal ones.
        y_weights: Probabilities of y, shape (M,); None for equal ones.
        proven: Whether potentials are wanted in any case: a solver is then taken that finds them with the plan. Without
            it they are there too, but may take as long as the plan when they are asked for.

    Returns:
        Cost, distance, plan and certificate. The cost is in units of the distance to the power p, and differentiable
        with respect to points, a cost matrix and weights (along the simplex; where several potentials are optimal, one
        of them is the gradient).

    Raises:
        UsageError: Empty sets, samples of different sizes, weights that are no probabilities, p below 1, more pairs
            than memory holds.
        NumericError: Numbers that are not finite, or a solver that did not reach the optimum.

    Cost: O(N M) memory; time between O(N M) and O(N M min(N, M)), a fraction of a second for 2,000 samples.

    Source: Arjovsky, Chintala and Bottou (2017), equation 1; Peyré and Cuturi (2019), chapters 2 and 3.

    Example:
        >>> found = exact([[0.0, 0.0], [1.0, 0.0]], [[0.0, 3.0], [1.0, 3.0]])
        >>> float(found.cost), found.optimal
        (3.0, True)
    """
    check_power(p)
    if is_matrix(cost):
        matrix = cost_matrix(x, y, cost)
        points, shape, cost = None, tuple(matrix.shape), matrix
    else:
        points = as_pair(_given(x, "x"), _given(y, "y"))
        if points[0].shape[1] == 1 and not callable(cost):
            return _on_the_line(points, x_weights, y_weights, p, times=2 if cost == "squared" else 1)
        shape = (len(points[0]), len(points[1]))
    source = as_weights(x_weights, shape[0], "x_weights")
    target = as_weights(y_weights, shape[1], "y_weights")
    is_uniform = x_weights is None and y_weights is None
    problem = _Problem(
        points=points, cost=cost, p=p, source=source, target=target, is_uniform=is_uniform, wants_proof=proven
    )
    return problem.solve()


def choose(costs: Tensor, points: tuple[Tensor, Tensor] | None, *, is_assignment: bool) -> Solver:
    """The solver that was measured to be the fastest for such a problem.

    Args:
        costs: Shape (N, M).
        points: Shapes (N, D) and (M, D); None where there are only costs, which then show the dimension: the higher it
            is, the nearer to the mean cost is the least.
        is_assignment: As many points on both sides, all of equal weight.

    Returns:
        The solver.
    """
    size = min(costs.shape)
    if size < _SMALL:
        return assignment if is_assignment else network_simplex
    if points is not None and points[0].shape[1] <= _FLAT:
        return _choose_if_flat(costs, is_assignment=is_assignment, is_upon=_is_upon(*points))
    nearest, is_crowded = _look(costs)
    if nearest > _WIDE:
        is_easy = is_assignment and size <= (_ASSIGNED_IF_NARROW if is_crowded else _ASSIGNED_IF_WIDE)
        return assignment if is_easy else column_generation
    if points is None:
        return _choose_if_flat(costs, is_assignment=is_assignment, is_upon=_separation(costs) < _UPON)
    return assignment if is_assignment and size <= _ASSIGNED_IF_NARROW else column_generation


def _choose_if_flat(costs: Tensor, *, is_assignment: bool, is_upon: bool) -> Solver:
    """The choice in few dimensions, where assignment solvers fail as soon as the two sets part."""
    size = min(costs.shape)
    if is_assignment and is_upon and size <= _ASSIGNED_IF_UPON:
        return assignment
    if size < _LARGE or _look(costs)[1] or _separation(costs) > _APART:
        return network_simplex
    return column_generation


def _look(costs: Tensor) -> tuple[float, bool]:
    """The mean least cost of some sources in units of the mean cost, and whether few targets are nearest to most.

    The first grows with the dimension. The second tells sets side by side from sets upon one another.
    """
    some = costs[:: len(costs) // _LOOKED_AT]
    nearest, where = some.min(dim=1)
    mean = float(some.mean())
    is_crowded = len(torch.unique(where)) < _CROWDED * len(where)
    return (float(nearest.mean()) / mean if mean > 0 else 0.0), is_crowded


def _is_upon(x: Tensor, y: Tensor) -> bool:
    """Whether two sets have the same mean, as far as sampling tells, and much the same variance."""
    (x_variance, x_mean), (y_variance, y_mean) = (torch.var_mean(side, dim=0, correction=0) for side in (x, y))
    offset, *variances = torch.stack([(x_mean - y_mean).square().sum(), x_variance.sum(), y_variance.sum()]).tolist()
    expected = variances[0] / len(x) + variances[1] / len(y)
    return bool(offset < _OFFSET * expected and max(variances) < _SPREAD * min(variances))


def _separation(costs: Tensor) -> float:
    """The mean cost of an assignment between a few points, in units of the mean cost to the nearest of them."""
    from scipy.optimize import linear_sum_assignment

    size = min(_LOOKED_AT, *costs.shape)
    few = costs[:: len(costs) // size, :: costs.shape[1] // size][:size, :size].numpy()
    rows, columns = linear_sum_assignment(few)
    nearest = float(few.min(axis=1).mean())
    return float(few[rows, columns].mean()) / nearest if nearest > 0 else 1.0


@dataclass(frozen=True, kw_only=True)
class _Problem:
    """A transport problem whose parts have been checked, as the caller gave them: on any device, and in a graph.

    Attributes:
        points: Shapes (N, D) and (M, D); None where the cost is a matrix.
        cost: As in `exact`.
        p: The power of the distance.
        source: Shape (N,).
        target: Shape (M,).
        is_uniform: Whether no weights were given.
        wants_proof: Whether potentials will be asked for.
    """

    points: tuple[Tensor, Tensor] | None
    cost: Cost
    p: float
    source: Tensor
    target: Tensor
    is_uniform: bool
    wants_proof: bool

    @property
    def has_tracked_weights(self) -> bool:
        """Whether a gradient with respect to the weights is wanted."""
        return torch.is_grad_enabled() and (self.source.requires_grad or self.target.requires_grad)

    @property
    def has_tracked_costs(self) -> bool:
        """Whether the costs may belong to a graph."""
        tensors = (self.cost,) if self.points is None else self.points
        is_tracked = any(isinstance(tensor, Tensor) and tensor.requires_grad for tensor in tensors)
        return torch.is_grad_enabled() and (is_tracked or callable(self.cost))

    def costs(self) -> Tensor:
        """Every pair's cost, on the CPU, without a graph."""
        x, y = (None, None) if self.points is None else self.points
        with torch.no_grad():
            return cost_matrix(x, y, self.cost, self.p).detach().cpu().contiguous()

    @property
    def is_assignment(self) -> bool:
        """Whether there are as many points on both sides, all of equal weight."""
        if len(self.source) != len(self.target):
            return False
        if self.is_uniform:
            return True
        weight = 1.0 / len(self.source)
        return all(bool((side.detach() - weight).abs().max() < 1e-15) for side in (self.source, self.target))

    @property
    def device(self) -> torch.device:
        """Where the answer belongs."""
        if self.points is not None:
            return self.points[0].device
        return self.cost.device if isinstance(self.cost, Tensor) else torch.device("cpu")

    def solve(self) -> Transport:
        """Solve it by the solver that suits it, and prove the answer now or when the proof is asked for."""
        costs = self.costs()
        points = None if self.points is None else (self.points[0].detach(), self.points[1].detach())
        # Solvers of assignments are fast because they find no potentials.
        is_assignment = self.is_assignment and not self.wants_proof
        found = self._solve_on_support(costs, choose(costs, points, is_assignment=is_assignment))
        # Potentials prove the plan on the spot. Without them a proof costs as much as the plan, and waits to be asked.
        is_proven = found.potentials is not None or self.has_tracked_weights
        proof = self._certify(costs, found) if is_proven else None
        kept = self if is_proven else self._copied()
        places = {"rows": found.rows, "columns": found.columns, "masses": found.masses}
        plan = Plan(
            **{name: part.to(self.device) for name, part in places.items()}, shape=(costs.shape[0], costs.shape[1])
        )
        cost = self._cost_of(plan, costs)
        if self.has_tracked_weights and proof is not None:
            # This adds 0, with the slopes that the envelope theorem gives: the potentials.
            cost = cost + self._slope(self.source, proof.source_potential)
            cost = cost + self._slope(self.target, proof.target_potential)
        return Transport(
            cost=cost,
            distance=root(cost, self.p),
            plan=plan,
            solver=found.solver,
            proof=proof or (lambda: kept._certify(kept.costs(), found)),
        )

    def _copied(self) -> _Problem:
        """The problem in memory of its own: what the caller moves in place later is not what was solved."""
        points = None if self.points is None else (self.points[0].detach().clone(), self.points[1].detach().clone())
        cost = self.cost.detach().clone() if isinstance(self.cost, Tensor) else self.cost
        return dataclasses.replace(self, points=points, cost=cost)

    def _solve_on_support(self, costs: Tensor, solver: Solver) -> Solved:
        """Solve over points that weigh something; the potentials of the others are c-transforms of theirs."""
        a, b = (side.detach().cpu() for side in (self.source, self.target))
        if self.is_uniform or bool((a > 0).all() and (b > 0).all()):
            return _in_unit(solver, costs, a, b)
        rows, columns = a.nonzero().flatten(), b.nonzero().flatten()
        inner = _in_unit(solver, costs[rows][:, columns].contiguous(), a[rows], b[columns])
        assert inner.potentials is not None
        f = (costs[:, columns] - inner.potentials[1]).amin(dim=1)
        f[rows] = inner.potentials[0]
        return Solved(
            rows=rows[inner.rows],
            columns=columns[inner.columns],
            masses=inner.masses,
            potentials=(f, source_transform(costs, f)),
            solver=inner.solver,
        )

    def _certify(self, costs: Tensor, found: Solved) -> Certificate:
        """Potentials that are feasible for every pair, and what is between their value and the plan's cost.

        Raises:
            NumericError: The gap is more than rounding leaves.
        """
        a, b = (side.detach().cpu() for side in (self.source, self.target))
        potentials = found.potentials or _in_unit(column_generation, costs, a, b).potentials
        assert potentials is not None
        f = potentials[0]
        g = source_transform(costs, f)
        # Potentials are unique only up to what one side gains and the other loses: both get half of the value.
        shift = (float(a @ f) - float(b @ g)) / 2
        f, g = f - shift, g + shift
        gap = float(found.masses @ costs[found.rows, found.columns]) - float(a @ f + b @ g)
        # A value above the plan's cost is no better: some mass was lost on the way.
        if not abs(gap) <= OPTIMALITY * float(a @ (costs @ b).abs()):
            raise NumericError(
                f"the plan of {found.solver} for {len(a)} x {len(b)} samples may cost {gap:.3g} more than the best",
                remedy="Divide costs and samples by a number that brings them near 1.",
            )
        f, g = f.to(self.device), g.to(self.device)
        return Certificate(source_potential=f, target_potential=g, gap=gap, optimal=True)

    def _cost_of(self, plan: Plan, costs: Tensor) -> Tensor:
        """The plan's cost, in the caller's graph and on the caller's device."""
        if not self.has_tracked_costs:
            codes = plan.rows.cpu() * plan.shape[1] + plan.columns.cpu()
            return plan.masses @ costs.view(-1)[codes].to(self.device)
        x, y = (None, None) if self.points is None else self.points
        return plan.masses @ pair_costs(x, y, plan.rows, plan.columns, self.cost, self.p)

    @staticmethod
    def _slope(weights: Tensor, potential: Tensor) -> Tensor:
        return ((weights - weights.detach()) @ potential.to(weights.device)).to(potential.device)


def _size(costs: Tensor) -> float:
    """The largest absolute cost."""
    return max(abs(float(end)) for end in torch.aminmax(costs))


def _in_unit(solver: Solver, costs: Tensor, a: Tensor, b: Tensor) -> Solved:
    """Solve with no cost below 0 and the largest brought near 1.

    The network simplex takes prices below some 1e-15 for zero, and problems with costs far below 0 for impossible ones.
    """
    least = float(costs.min())
    if least < 0.0:
        found = _in_unit(solver, costs - least, a, b)
        if found.potentials is None:
            return found
        return dataclasses.replace(found, potentials=(found.potentials[0] + least, found.potentials[1]))
    # A row shows the order of magnitude, unless it is all zeros.
    size = _size(costs[:1]) or _size(costs)
    if _LEAST < size < _MOST or size == 0.0:
        return solver(costs, a, b)
    found = solver(costs / size, a, b)
    if found.potentials is None:
        return found
    f, g = found.potentials
    return dataclasses.replace(found, potentials=(f * size, g * size))


def _on_the_line(
    points: tuple[Tensor, Tensor], x_weights: Array | None, y_weights: Array | None, p: float, *, times: int
) -> Transport:
    """Transport on the line, where the cost is |x - y|^(times · p)."""
    found = monotone_transport(*points, x_weights=x_weights, y_weights=y_weights, p=times * p)
    if times == 1:
        return found
    return Transport(
        cost=found.cost, distance=root(found.cost, p), plan=found.plan, solver=found.solver, proof=found.proof
    )


def _given(points: Array | None, name: str) -> Array:
    if points is None:
        raise UsageError(f"{name} is missing: points may be left out only where the cost is a matrix")
    return points
