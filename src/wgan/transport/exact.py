"""Exact optimal transport between two weighted sets of samples, with a certificate."""

from __future__ import annotations

import contextlib
import dataclasses
import math
from dataclasses import dataclass

import torch
from torch import Tensor

from wgan.errors import NumericError, UsageError
from wgan.transport.choosing import choose
from wgan.transport.column_generation import column_generation
from wgan.transport.costs import Cost, cost_matrix, is_matrix, pair_costs, without_forbidden
from wgan.transport.measures import Array, as_pair, as_weights, check_power, root
from wgan.transport.one_dimensional import monotone_transport
from wgan.transport.plans import Certificate, Plan, Transport
from wgan.transport.proving import Proof, extended, is_exact_enough, prove, weigh
from wgan.transport.refinement import Solver, refine
from wgan.transport.solvers import Solved

# A solver without potentials may add up as many costs as there are points. Where that could be seen in the answer, it
# is proven at once.
_UNSEEN = 1e-9
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
            matrix of shape (N, M). A function or a matrix may forbid pairs by infinite costs.
        p: The power of the distance, at least 1.
        x_weights: Probabilities of x, shape (N,); None for equal ones.
        y_weights: Probabilities of y, shape (M,); None for equal ones.
        proven: Whether potentials are wanted in any case: a solver is then taken that finds them with the plan. Without
            it they are there too, but may take as long as the plan when they are asked for.

    Returns:
        Cost, distance, plan and certificate. The cost is in units of the distance to the power p, and differentiable
        with respect to points, a cost matrix and weights (along the simplex; where several potentials are optimal, one
        of them is the gradient).

        The gap is relative to what the plan itself costs: at most 1e-10 of it, however large the costs of pairs that it
        does not use. Weights count as known up to rounding, so that 1e-16 of the mass does not have to use a pair that
        costs 1e32.

    Raises:
        UsageError: Empty sets, samples of different sizes, weights that are not probabilities, p below 1, no plan
            without forbidden pairs, more pairs than memory holds.
        NumericError: Numbers that are not finite, a solver that did not reach the optimum, or costs and weights of such
            different sizes that float64 has no potentials to prove it.

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
        found, proof = self._solve_on_support(costs, points, is_assignment=is_assignment)
        # Potentials prove the plan on the spot. Without them a proof costs as much as the plan, and waits to be asked.
        if proof is None and self.has_tracked_weights:
            proof = self._proven_late(costs, found)
        certificate = None if proof is None else self._certificate(proof)
        kept = self if proof is not None else self._copied()
        places = {"rows": found.rows, "columns": found.columns, "masses": found.masses}
        plan = Plan(
            **{name: part.to(self.device) for name, part in places.items()}, shape=(costs.shape[0], costs.shape[1])
        )
        cost = self._cost_of(plan, costs)
        if self.has_tracked_weights and certificate is not None:
            # This adds 0, with the slopes that the envelope theorem gives: the potentials.
            cost = cost + self._slope(self.source, certificate.source_potential)
            cost = cost + self._slope(self.target, certificate.target_potential)
        return Transport(
            cost=cost,
            distance=root(cost, self.p),
            plan=plan,
            solver=found.solver,
            proof=certificate or (lambda: kept._certificate(kept._proven_late(kept.costs(), found))),
        )

    def _copied(self) -> _Problem:
        """The problem in memory of its own: what the caller moves in place later is not what was solved."""
        points = None if self.points is None else (self.points[0].detach().clone(), self.points[1].detach().clone())
        cost = self.cost.detach().clone() if isinstance(self.cost, Tensor) else self.cost
        return dataclasses.replace(self, points=points, cost=cost)

    def _solve_on_support(
        self, costs: Tensor, points: tuple[Tensor, Tensor] | None, *, is_assignment: bool
    ) -> tuple[Solved, Proof | None]:
        """Solve over points that weigh something; the potentials of the others are c-transforms of theirs."""
        a, b = (side.detach().cpu() for side in (self.source, self.target))
        if self.is_uniform or bool((a > 0).all() and (b > 0).all()):
            return _solve(costs, a, b, points, is_assignment=is_assignment)
        rows, columns = a.nonzero().flatten(), b.nonzero().flatten()
        inner = costs[rows][:, columns].contiguous()
        some = None if points is None else (points[0].cpu()[rows], points[1].cpu()[columns])
        found, proof = _solve(inner, a[rows], b[columns], some, is_assignment=False)
        assert proof is not None
        found = dataclasses.replace(found, rows=rows[found.rows], columns=columns[found.columns], potentials=None)
        return found, extended(proof, costs, rows, columns)

    def _proven_late(self, costs: Tensor, found: Solved) -> Proof:
        """Find the potentials that the solver did without, and hold its plan against them.

        Raises:
            NumericError: The gap is more than rounding leaves.
        """
        a, b = (side.detach().cpu() for side in (self.source, self.target))
        better = _in_unit(column_generation, without_forbidden(costs), a, b)
        proof = prove(costs, a, b, dataclasses.replace(found, potentials=better.potentials))
        if not proof.holds:
            potentials = refine(costs, a, b, better)[0].potentials
            assert potentials is not None
            proof = weigh(costs, found, *potentials)
        if not proof.holds:
            raise NumericError(
                f"the plan of {found.solver} for {len(a)} x {len(b)} samples may cost {proof.gap:.3g} more than the "
                "best",
                remedy="Ask for a plan with its proof: proven=True.",
            )
        return proof

    def _certificate(self, proof: Proof) -> Certificate:
        """The proof on the device where the answer belongs."""
        return Certificate(
            source_potential=proof.source_potential.to(self.device),
            target_potential=proof.target_potential.to(self.device),
            gap=proof.gap,
            optimal=proof.holds,
        )

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


def _solve(
    costs: Tensor, a: Tensor, b: Tensor, points: tuple[Tensor, Tensor] | None, *, is_assignment: bool
) -> tuple[Solved, Proof | None]:
    """Solve in plain float64, and where that cannot be proven again with more digits; all weights are above 0."""
    possible = without_forbidden(costs)
    solver = choose(possible, points, is_assignment=is_assignment)
    found: Solved | None = None
    with contextlib.suppress(NumericError):
        found = _in_unit(solver, possible, a, b)
    if found is not None and found.potentials is None and _is_beyond_doubt(costs, possible, found):
        return found, None
    if found is not None and found.potentials is not None and is_exact_enough(costs, a, b, found):
        proof = prove(costs, a, b, found)
        if proof.holds:
            return found, proof
    return refine(costs, a, b, found)


def _is_beyond_doubt(costs: Tensor, possible: Tensor, found: Solved) -> bool:
    """Whether rounding in sums of as many costs as there are points cannot be seen beside the plan's cost."""
    rounding = torch.finfo(possible.dtype).eps * len(possible) * _size(possible)
    size = float(found.masses @ costs[found.rows, found.columns].abs())
    return math.isfinite(size) and rounding <= _UNSEEN * size


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
    # A row shows the order of magnitude, unless it is small or all zeros.
    size = _size(costs[:1])
    if size <= _LEAST:
        size = _size(costs)
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
