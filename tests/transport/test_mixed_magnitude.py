"""Costs of very different magnitudes and forbidden pairs, against an exact integer solver."""

import math
from fractions import Fraction

import numpy as np
import pytest
import torch
from reference_solver import least_cost

from wgan.errors import UsageError
from wgan.transport import (
    certified_dual,
    exact,
    linear_program,
    monotone_transport,
    one_dimensional,
    semidual,
    sinkhorn,
)
from wgan.transport.column_generation import column_generation
from wgan.transport.costs import replace_forbidden
from wgan.transport.refinement import refine
from wgan.transport.solvers import network_simplex

SHARE = 1e-9
KINDS = (
    "log-uniform",
    "whole and tied",
    "scaled pairs",
    "dear or not",
    "signed rows",
    "dear columns",
    "plain",
    "points",
)
WEIGHTS = ("some", "degenerate", "over 18 orders", "equal")


def drawn_costs(rng, kind, n, m):
    """Costs from 1e-6 to 1e32, or ordinary ones, before pairs are forbidden."""
    match kind:
        case "log-uniform":
            return 10.0 ** rng.uniform(-6, 32, (n, m))
        case "whole and tied":
            return rng.integers(0, 4, (n, m)) * 10.0 ** rng.integers(-6, 33, (n, m))
        case "scaled pairs":
            x, y = rng.normal(size=(n, 2)), rng.normal(size=(m, 2))
            return np.linalg.norm(x[:, None] - y, axis=2) * 10.0 ** rng.choice([0, 0, 0, 15, 32], (n, m))
        case "dear or not":
            return rng.uniform(0, 1, (n, m)).round(1) + rng.choice([0, 1e12], (n, m))
        case "signed rows":
            return rng.normal(size=(n, m)) * 10.0 ** rng.uniform(-6, 20, (n, 1))
        case "dear columns":
            return 10.0 ** rng.uniform(-6, 0, (n, m)) * 10.0 ** rng.choice([0, 25], (1, m))
        case "points":  # duplicates on both sides, and points that both share
            places = rng.normal(size=(4, 3)) * 10.0 ** rng.integers(0, 16, (4, 1))
            return np.linalg.norm(places[rng.integers(0, 4, n)][:, None] - places[rng.integers(0, 4, m)], axis=2)
        case _:
            return rng.uniform(0, 1, (n, m))


def drawn_weights(rng, kind, num):
    """Integers whose rounded shares are the weights."""
    match kind:
        case "some":
            return [int(weight) for weight in rng.integers(1, 100, num)]
        case "degenerate":
            return [int(weight) for weight in rng.integers(0, 3, num) + (np.arange(num) == 0)]
        case "over 18 orders":
            return [int(10**weight) for weight in rng.uniform(0, 18, num)]
        case _:
            return [1] * num


class Problem:
    """A random problem with its exact optimum."""

    def __init__(self, seed, most=12):
        rng = np.random.default_rng(seed)
        n, m = (int(size) for size in rng.integers(1, most + 1, 2))
        costs = drawn_costs(rng, KINDS[seed % len(KINDS)], n, m)
        forbidden = rng.random((n, m)) < rng.choice([0.0, 0.3, 0.6])
        self.costs = np.where(forbidden, rng.choice([math.inf, 1e6, 1e12, 1e32]), costs)
        kind = WEIGHTS[rng.integers(len(WEIGHTS))]
        source, target = drawn_weights(rng, kind, n), drawn_weights(rng, kind, m)
        self.a, self.b = (np.array(side, dtype=float) / sum(side) for side in (source, target))
        supply, demand = [w * sum(target) for w in source], [w * sum(source) for w in target]
        self.best = least_cost(self.costs.tolist(), supply, demand)
        self.weights = {"x_weights": self.a, "y_weights": self.b}

    def size_of(self, plan):
        """The sum of the absolute costs of a plan's moves."""
        rows, columns = plan.nonzero()
        return float(plan[rows, columns] @ np.abs(self.costs[rows, columns]))

    def check(self, plan, f, g, cost, gap):
        """The plan has its marginals, the potentials are exactly feasible, and both have the optimal value."""
        size = self.size_of(plan)
        assert np.abs(plan.sum(axis=1) - self.a).max() <= 1e-13
        assert np.abs(plan.sum(axis=0) - self.b).max() <= 1e-13
        assert abs(cost - float(self.best)) <= SHARE * size
        assert 0.0 <= gap <= SHARE * size
        for (i, j), price in np.ndenumerate(self.costs):
            if price < math.inf:
                assert Fraction(float(f[i])) + Fraction(float(g[j])) <= Fraction(float(price))
        # At the plan's own marginals, to exclude the rounding of the weights.
        value = sum(
            Fraction(float(plan[i, j])) * (Fraction(float(f[i])) + Fraction(float(g[j]))) for i, j in np.argwhere(plan)
        )
        assert abs(float(value) - cost) <= SHARE * size


def refused(problem, call):
    """Whether a problem without a finite plan was refused; others must be solved."""
    if problem.best is not None:
        return False
    with pytest.raises(UsageError, match=r"forbidden|no target"):
        call()
    return True


def check_exact(seed, most=12):
    problem = Problem(seed, most)
    for proven in (False, True):
        if refused(problem, lambda: exact(cost=problem.costs, **problem.weights)):
            return
        found = exact(cost=problem.costs, **problem.weights, proven=proven)
        assert found.optimal
        plan, potentials = found.plan.dense().numpy(), (found.source_potential.numpy(), found.target_potential.numpy())
        problem.check(plan, *potentials, float(found.cost), found.gap)


@pytest.mark.parametrize("first", range(0, 320, 40))
def test_exact_transport_is_optimal_relative_to_its_own_cost(first):
    for seed in range(first, first + 40):
        check_exact(seed)


@pytest.mark.slow
@pytest.mark.parametrize("first", range(1000, 7000, 500))
def test_exact_transport_on_many_problems(first):
    for seed in range(first, first + 500):
        check_exact(seed)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(48))
def test_exact_transport_on_larger_problems(seed):
    check_exact(seed, most=40)


def check_linear_program(seed):
    problem = Problem(seed, most=8)
    if refused(problem, lambda: linear_program(None, None, problem.costs, **problem.weights)):
        return
    found = linear_program(None, None, problem.costs, **problem.weights)
    potentials = found.source_potential.numpy(), found.target_potential.numpy()
    problem.check(found.plan.numpy(), *potentials, float(found.primal), found.gap)
    assert abs(float(found.dual) - float(problem.best)) <= SHARE * problem.size_of(found.plan.numpy())
    assert found.dual_violation == 0.0


@pytest.mark.parametrize("first", range(0, 96, 32))
def test_linear_programs_are_solved_relative_to_their_own_cost(first):
    for seed in range(first, first + 32):
        check_linear_program(seed)


@pytest.mark.slow
def test_linear_programs_on_many_problems():
    for seed in range(1000, 2000):
        check_linear_program(seed)


@pytest.mark.parametrize("first", range(0, 64, 32))
def test_bounds_hold_for_all_magnitudes_of_costs(first):
    for seed in range(first, first + 32):
        problem, rng = Problem(seed, most=8), np.random.default_rng(seed)
        f, g = (rng.normal(size=len(side)) * 10.0 ** rng.integers(-5, 30) for side in (problem.a, problem.b))

        def bound(problem=problem, f=f, g=g):
            return certified_dual(f, g, None, None, cost=problem.costs, **problem.weights, scales=[1.0])

        def entropic(problem=problem, seed=seed):
            epsilon = 1e-3 if seed % 2 else None
            return sinkhorn(None, None, problem.costs, **problem.weights, epsilon=epsilon, max_steps=100, strict=False)

        if refused(problem, bound) and refused(problem, entropic):
            continue
        best = float(problem.best)
        rounding = 1e-12 * abs(best)
        assert float(bound().value) <= best + rounding
        assert float(entropic().lower) <= best + rounding
        assert float(entropic().upper) >= best - rounding


@pytest.mark.parametrize("first", range(0, 200, 50))
def test_in_one_dimension_coincident_levels_move_no_mass(first):
    """Points up to 1e25 apart: a mass of 1e-16 between levels that should coincide would dominate the cost."""
    for seed in range(first, first + 50):
        rng = np.random.default_rng(seed)
        n, m = (int(size) for size in rng.integers(1, 10, 2))
        top = rng.choice([0, 3, 15, 25])
        x, y = (
            np.where(rng.random(k) < 0.5, 1, 10.0 ** rng.integers(0, top + 1, k)) * rng.normal(size=k) for k in (n, m)
        )
        if seed % 3 == 0:
            y[: min(n, m)] = x[: min(n, m)] + (1e-3 if seed % 2 else 0.0)
        kind = WEIGHTS[rng.integers(len(WEIGHTS))]
        source, target = drawn_weights(rng, kind, n), drawn_weights(rng, kind, m)
        ways = [[abs(Fraction(float(p)) - Fraction(float(q))) for q in y] for p in x]
        best = float(least_cost(ways, [w * sum(target) for w in source], [w * sum(source) for w in target]))
        weights = {"x_weights": np.array(source) / sum(source), "y_weights": np.array(target) / sum(target)}
        found = monotone_transport(x, y, **weights)
        assert float(one_dimensional(x, y, **weights)) == pytest.approx(best, rel=SHARE, abs=0.0)
        assert float(found.cost) == pytest.approx(best, rel=SHARE, abs=0.0)
        assert 0.0 <= found.gap <= SHARE * best
        assert found.optimal


@pytest.mark.parametrize("large", [1e9, 1e15, 1e32, math.inf])
@pytest.mark.parametrize("n", [40, 320])
def test_a_large_cost_avoids_a_pair_like_an_infinite_cost(n, large):
    """Also for column generation, which is used from about 300 points."""
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(n, 2)), rng.normal(size=(n, 2)) + 1
    costs, forbidden = np.linalg.norm(x[:, None] - y, axis=2), rng.random((n, n)) < 0.3
    np.fill_diagonal(forbidden, val=False)
    a = rng.dirichlet(np.ones(n))
    expected = float(exact(cost=np.where(forbidden, 1e4, costs), x_weights=a, y_weights=a).cost)
    dear = torch.from_numpy(np.where(forbidden, large, costs))
    found = exact(cost=dear, x_weights=a, y_weights=a)
    assert float(found.cost) == pytest.approx(expected, rel=SHARE)
    assert not found.plan.dense().numpy()[forbidden].any()
    assert found.gap <= SHARE * expected
    weights = torch.from_numpy(a / a.sum())
    by_columns = column_generation(dear, weights, weights)
    assert float(by_columns.masses @ dear[by_columns.rows, by_columns.columns]) == pytest.approx(expected, rel=SHARE)


def test_inaccurate_assignments_are_refined():
    rng = np.random.default_rng(0)
    costs = 10.0 ** rng.uniform(-6, 32, (30, 30))
    best = least_cost(costs.tolist(), [1] * 30, [1] * 30)
    found = exact(cost=costs)
    assert not callable(found.proof)
    assert float(found.cost) == pytest.approx(float(best), rel=SHARE)


def test_the_reference_solver_detects_errors_of_a_plain_solver():
    """The plain network simplex fails the check that `refine` passes."""
    failed = 0
    for seed in range(0, 80, len(KINDS)):
        problem = Problem(seed)
        if problem.best is None or not (problem.a.all() and problem.b.all()):
            continue
        parts = [torch.from_numpy(part) for part in (problem.costs, problem.a, problem.b)]
        plain = network_simplex(replace_forbidden(parts[0]), *parts[1:])
        cost = float(plain.masses @ parts[0][plain.rows, plain.columns])
        failed += not abs(cost - float(problem.best)) <= SHARE * float(problem.best)
        _, certificate = refine(*parts)
        assert certificate.absolute_cost == pytest.approx(float(problem.best), rel=SHARE)
    assert failed >= 3


def test_an_infeasible_problem_names_the_points():
    costs = [[1.0, math.inf, math.inf], [2.0, math.inf, math.inf], [1.0, 1.0, 1.0]]
    with pytest.raises(
        UsageError, match=r"0.333 of the mass.* points 0, 1 have weight 0.666667 and reach targets of weight 0.333333"
    ):
        exact(cost=costs)
    with pytest.raises(UsageError, match="every pair of target point 1 is forbidden"):
        exact(cost=[[1.0, math.inf]])
    with pytest.raises(UsageError, match="1 of 1 samples cannot be moved to any target"):
        semidual([[0.0]], [[1.0]], lambda x, y: torch.full((len(x), 1), math.inf), rng=torch.Generator(), batch_size=1)


def test_a_point_without_weight_may_have_all_of_its_pairs_forbidden():
    costs = np.array([[1.0, 2.0, math.inf], [3.0, 1.0, math.inf], [math.inf] * 3])
    for found in (
        exact(cost=costs, x_weights=[0.5, 0.5, 0.0], y_weights=[0.5, 0.5, 0.0]),
        linear_program(None, None, costs, x_weights=[0.5, 0.5, 0.0], y_weights=[0.5, 0.5, 0.0]),
        sinkhorn(None, None, costs, x_weights=[0.5, 0.5, 0.0], y_weights=[0.5, 0.5, 0.0], epsilon=0.01),
    ):
        assert float(getattr(found, "primal", getattr(found, "cost", 0.0))) == pytest.approx(1.0, abs=1e-6)
        assert bool(found.source_potential.isfinite().all() and found.target_potential.isfinite().all())


def test_gradients_with_forbidden_pairs_are_finite():
    costs = torch.tensor([[1.0, math.inf], [2.0, 1.0]], dtype=torch.float64, requires_grad=True)
    for value in (
        exact(cost=costs).cost,
        sinkhorn(None, None, costs, epsilon=0.1, strict=False).value,
        certified_dual([1.0, 2.0], [0.0, 0.0], None, None, cost=costs).value,
    ):
        (gradient,) = torch.autograd.grad(value, costs)
        assert bool(gradient.isfinite().all())
        assert float(gradient[0, 1]) == 0.0


def test_costs_that_overflow_do_not_forbid_pairs():
    with pytest.raises(ArithmeticError, match="beyond the range of float64"):
        exact([[1e200, 0.0]], [[-1e200, 0.0]], p=2)
    with pytest.raises(ArithmeticError, match="NaN or minus infinity"):
        exact(cost=[[1.0, -math.inf]])
