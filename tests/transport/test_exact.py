"""Exact transport against independent solvers, closed forms and the identities of a distance."""

import dataclasses
import importlib
import subprocess
import sys

import numpy as np
import ot
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import linear_sum_assignment

from wgan.errors import NumericError, UsageError
from wgan.transport import solvers
from wgan.transport.certificates import OPTIMALITY
from wgan.transport.column_generation import column_generation
from wgan.transport.costs import cost_matrix
from wgan.transport.exact import exact
from wgan.transport.solver_choice import choose_solver
from wgan.transport.solvers import Solution, assignment, network_simplex


def cloud(n, d, seed=0, shift=0.0):
    points = torch.randn(n, d, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    points[:, 0] += shift
    return points


def simplex(n, seed=0, zeros=0):
    weights = torch.rand(n, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    weights[:zeros] = 0.0
    return weights / weights.sum()


def refuse_unless_proven(found, costs, a, b):
    """The plan has the weights as marginals, the potentials are feasible, and the gap is 0."""
    plan = found.plan.dense()
    assert (plan >= 0).all()
    assert torch.allclose(plan.sum(1), a, atol=1e-14)
    assert torch.allclose(plan.sum(0), b, atol=1e-14)
    f, g = found.source_potential, found.target_potential
    scale = float(costs.abs().max())
    assert float((f[:, None] + g - costs).max()) <= 1e-11 * scale
    assert float((plan * costs).sum()) == pytest.approx(float(found.cost), abs=1e-13 * scale)
    assert float(a @ f + b @ g) == pytest.approx(float(found.cost), abs=1e-10 * scale)
    assert found.gap == pytest.approx(float(found.cost - (a @ f + b @ g)), abs=1e-13 * scale)
    assert found.optimal
    assert len(found.plan.masses) <= sum(plan.shape) - 1


def pairwise(x, y):
    return torch.from_numpy(np.linalg.norm(x.numpy()[:, None] - y.numpy()[None], axis=2))


@pytest.mark.parametrize(("n", "m"), [(1, 1), (1, 5), (40, 40), (40, 25), (230, 230), (330, 420)])
@pytest.mark.parametrize("d", [1, 2, 7, 64])
def test_it_agrees_with_an_independent_solver_and_is_certified(n, m, d):
    x, y = cloud(n, d), cloud(m, d, seed=1, shift=0.3)
    found, costs = exact(x, y), pairwise(x, y)
    assert float(found.cost) == pytest.approx(ot.emd2([], [], costs.numpy(), numItermax=10**9), rel=1e-12)
    uniform = torch.full((n,), 1 / n, dtype=torch.float64), torch.full((m,), 1 / m, dtype=torch.float64)
    refuse_unless_proven(found, costs, *uniform)


@pytest.mark.parametrize("zeros", [0, 4])
@pytest.mark.parametrize(("n", "m"), [(30, 45), (320, 400)])
def test_weights_and_points_without_weight(n, m, zeros):
    x, y, a, b = cloud(n, 2), cloud(m, 2, seed=1), simplex(n, zeros=zeros), simplex(m, seed=2, zeros=zeros)
    found, costs = exact(x, y, x_weights=a, y_weights=b), pairwise(x, y)
    expected = ot.emd2(a.numpy(), b.numpy(), costs.numpy(), numItermax=10**9)
    assert float(found.cost) == pytest.approx(expected, rel=1e-12)
    refuse_unless_proven(found, costs, a, b)


@pytest.mark.parametrize("solver", [assignment, network_simplex, column_generation])
@pytest.mark.parametrize(("d", "shift"), [(2, 0.0), (2, 4.0), (20, 0.0)])
def test_every_solver_finds_the_optimum(solver, d, shift):
    n = 700
    costs = pairwise(cloud(n, d), cloud(n, d, seed=1, shift=shift))
    uniform = torch.full((n,), 1 / n, dtype=torch.float64)
    solved = solver(costs, uniform, uniform)
    rows, columns = linear_sum_assignment(costs.numpy())
    expected = float(costs[rows, columns].mean())
    assert float(solved.masses @ costs[solved.rows, solved.columns]) == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("seed", range(6))
def test_column_generation_with_very_unequal_weights_ties_and_clusters(seed):
    """Weights over six orders of magnitude, repeated points, and clusters far apart."""
    rng = np.random.default_rng(seed)
    centres = rng.integers(0, 4, size=(340, 2)) * 10.0
    x, y = (torch.from_numpy(centres[rng.permutation(340)] + rng.normal(size=(340, 2)).round(seed % 3)) for _ in "xy")
    a, b = (torch.from_numpy(10.0 ** rng.uniform(-6, 0, size=340)) for _ in "ab")
    a, b, costs = a / a.sum(), b / b.sum(), pairwise(x, y)
    solved = column_generation(costs, a, b)
    expected = ot.emd2(a.numpy(), b.numpy(), costs.numpy(), numItermax=10**9)
    assert float(solved.masses @ costs[solved.rows, solved.columns]) == pytest.approx(expected, rel=1e-10, abs=1e-11)


@pytest.mark.parametrize(
    ("x", "y", "weights"),
    [
        (np.zeros((392, 2)), np.zeros((436, 2)), (1e-300, 1.0)),
        (np.ones((392, 2)), np.random.default_rng(0).standard_cauchy((436, 2)), (1e-300, 1e-9)),
        (np.random.default_rng(1).integers(0, 3, (392, 2)), np.full((436, 2), 1e4), (1.0, 1.0)),
    ],
)
def test_column_generation_with_tied_potentials(x, y, weights):
    """Rows of equal costs and tiny weights leave potentials of arbitrary size."""
    a, b = (np.ones(len(side)) for side in (x, y))
    a[::3], b[1:] = weights
    a, b, costs = torch.from_numpy(a / a.sum()), torch.from_numpy(b / b.sum()), cost_matrix(x, y)
    solved = column_generation(costs, a, b)
    expected = ot.emd2(a.numpy(), b.numpy() * float(a.sum() / b.sum()), costs.numpy(), numItermax=10**9)
    assert float(solved.masses @ costs[solved.rows, solved.columns]) == pytest.approx(expected, rel=1e-10, abs=1e-300)


@pytest.mark.parametrize("n", [40, 330, 1100])
@pytest.mark.parametrize("m", [40, 350])
def test_negative_costs(n, m):
    """Adding a constant to the costs changes the value by it, and not the plan."""
    costs = torch.rand(n, m, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    found, lifted = exact(cost=costs - 60.0), exact(cost=costs)
    refuse_unless_proven(found, costs - 60.0, *(torch.full((num,), 1 / num, dtype=torch.float64) for num in (n, m)))
    assert float(found.cost) == pytest.approx(float(lifted.cost) - 60.0, abs=1e-11)


def test_squared_manhattan_callable_matrix_and_powers():
    x, y = cloud(30, 3), cloud(40, 3, seed=1)
    euclidean = pairwise(x, y)
    manhattan = (x[:, None] - y).abs().sum(-1)
    for options, costs in (
        ({"cost": "squared"}, euclidean**2),
        ({"cost": "manhattan"}, manhattan),
        ({"cost": lambda x, y: manhattan}, manhattan),
        ({"p": 2}, euclidean**2),
        ({"cost": "manhattan", "p": 3}, manhattan**3),
    ):
        found = exact(x, y, **options)
        assert float(found.cost) == pytest.approx(ot.emd2([], [], costs.numpy()), rel=1e-12)
        assert float(found.distance) == pytest.approx(float(found.cost) ** (1 / options.get("p", 1)), rel=1e-12)
        assert float(exact(cost=costs).cost) == pytest.approx(float(found.cost), rel=1e-13)
        assert float(exact(cost=costs.numpy()).cost) == pytest.approx(float(found.cost), rel=1e-13)


@pytest.mark.parametrize("p", [1, 2])
def test_squared_costs_and_powers_agree_in_one_and_more_dimensions(p):
    x, y = cloud(30, 1), cloud(40, 1, seed=1)
    on_line = exact(x, y, cost="squared", p=p)
    padded = exact(torch.cat([x, 0 * x], 1), torch.cat([y, 0 * y], 1), cost="squared", p=p)
    assert float(on_line.cost) == pytest.approx(float(padded.cost), rel=1e-12)
    assert float(on_line.distance) == pytest.approx(float(padded.distance), rel=1e-12)


@settings(max_examples=15, deadline=None)
@given(
    seed=st.integers(0, 10**6),
    n=st.integers(1, 12),
    d=st.integers(1, 3),
    p=st.sampled_from([1.0, 1.5, 2.0]),
    scale=st.floats(1e-3, 1e3),
)
def test_it_is_a_metric_with_translation_and_scaling_properties(seed, n, d, p, scale):
    x, y, z = (cloud(n + k, d, seed=seed + k) for k in range(3))
    move = torch.linspace(-3, 5, d, dtype=torch.float64)

    def between(first, second):
        return float(exact(first, second, p=p).distance)

    forward = between(x, y)
    assert between(y, x) == pytest.approx(forward, rel=1e-9)
    assert between(x, x) == pytest.approx(0, abs=1e-6)
    assert between(x, z) <= forward + between(y, z) + 1e-9
    assert between(scale * x, scale * y) == pytest.approx(scale * forward, rel=1e-9)
    assert between(x + move, y + move) == pytest.approx(forward, rel=1e-9)
    assert between(x, x + move) == pytest.approx(float(move.norm()), rel=1e-9)


@pytest.mark.parametrize("unit", [1e-150, 1e-12, 1e-6, 1e6, 1e12, 1e150])
@pytest.mark.parametrize("m", [40, 50])
def test_the_unit_of_the_points_does_not_matter(unit, m):
    x, y = cloud(40, 3), cloud(m, 3, seed=1)
    found = exact(unit * x, unit * y)
    assert float(found.cost) == pytest.approx(unit * float(exact(x, y).cost), rel=1e-11)
    assert found.optimal


@pytest.mark.parametrize("p", [1, 2])
def test_gradients_with_respect_to_points_and_weights(p):
    x, y = cloud(9, 2).requires_grad_(), cloud(7, 2, seed=1).requires_grad_()
    a, b = simplex(9).requires_grad_(), simplex(7, seed=3).requires_grad_()

    def on_simplex(points, more_points, weights, more_weights):
        shares = {"x_weights": weights / weights.sum(), "y_weights": more_weights / more_weights.sum()}
        return exact(points, more_points, **shares, p=p).distance

    assert torch.autograd.gradcheck(on_simplex, (x, y, a, b), eps=1e-7, atol=1e-5)


@pytest.mark.parametrize("p", [1, 2])
@pytest.mark.parametrize("d", [1, 2])
def test_gradients_are_finite_at_coincident_points(d, p):
    x = cloud(6, d).requires_grad_()
    exact(x, x.detach().clone(), p=p).distance.backward()
    assert bool(x.grad.isfinite().all())


def test_the_gradient_with_respect_to_a_cost_matrix_is_the_plan():
    costs = pairwise(cloud(8, 2), cloud(8, 2, seed=1)).requires_grad_()
    found = exact(cost=costs)
    found.cost.backward()
    assert torch.allclose(costs.grad, found.plan.dense())


@pytest.mark.parametrize("d", [2, 30])
def test_it_is_accurate_far_from_the_origin_in_float32(d):
    """Steps of 1/64 are exact in float32 near 1,000, and so is the distance between the shifted sets."""
    x = (cloud(60, d) * 64).round() / 64
    far = (x + 1000.0).float()
    moved = far.clone()
    moved[:, 0] += 1 / 64
    assert float(exact(far, moved).cost) == pytest.approx(1 / 64, rel=1e-12)
    assert float(exact(far, far).cost) == 0.0


def test_an_assignment_is_certified_on_first_access(monkeypatch):
    x, y = cloud(50, 2), cloud(50, 2, seed=1)
    found = exact(x, y)
    assert "certificate" not in vars(found)
    assert found.optimal
    assert found.gap <= OPTIMALITY * float(pairwise(x, y).max())
    swapped = assignment(pairwise(x, y), *[torch.full((50,), 0.02, dtype=torch.float64)] * 2)

    def wrong(costs, a, b):
        columns = swapped.columns[torch.arange(49, -1, -1)]
        return Solution(rows=swapped.rows, columns=columns, masses=a, potentials=None, solver="a wrong one")

    monkeypatch.setattr(importlib.import_module("wgan.transport.exact"), "choose_solver", lambda *_, **__: wrong)
    with pytest.raises(NumericError, match=r"the plan of a wrong one for 50 x 50 samples may cost .* more"):
        assert exact(x, y).optimal


@pytest.mark.parametrize(("n", "d"), [(50, 2), (300, 64)])
def test_proven_computes_potentials_with_the_plan(n, d):
    x, y = cloud(n, d), cloud(n, d, seed=1)
    late, at_once = exact(x, y), exact(x, y, proven=True)
    assert callable(late.proof)
    assert not callable(at_once.proof)
    assert at_once.optimal
    assert float(at_once.cost) == pytest.approx(float(late.cost), rel=1e-12)


@pytest.mark.parametrize("as_matrix", [False, True])
def test_a_late_certificate_is_that_of_the_original_problem(as_matrix):
    x, y = cloud(50, 2), cloud(50, 2, seed=1)
    costs = pairwise(x, y)
    found = exact(cost=costs) if as_matrix else exact(x, y)
    x.mul_(-1.0)
    costs.fill_(-1.0)
    assert found.optimal


def test_masses_lost_by_a_solver_are_restored(monkeypatch):
    def leaky(costs, a, b):
        found = network_simplex(costs, a, b)
        return dataclasses.replace(found, masses=found.masses * 0.9)

    x, y = cloud(50, 2), cloud(40, 2, seed=1)
    monkeypatch.setattr(importlib.import_module("wgan.transport.exact"), "choose_solver", lambda *_, **__: leaky)
    found = exact(x, y)
    assert float(found.cost) == pytest.approx(ot.emd2([], [], pairwise(x, y).numpy()), rel=1e-12)
    refuse_unless_proven(found, pairwise(x, y), *(torch.full((n,), 1 / n, dtype=torch.float64) for n in (50, 40)))


def test_a_solver_that_stops_early_is_an_error(monkeypatch):
    monkeypatch.setattr(solvers, "_MAX_ITERATIONS", 3)
    with pytest.raises(NumericError, match="300 x 200 samples was not solved: the network simplex stopped"):
        exact(cloud(300, 2), cloud(200, 2, 1))


def test_scipy_solves_assignments_if_lapx_is_not_installed(monkeypatch):
    monkeypatch.setattr(solvers.importlib.util, "find_spec", lambda name: None)
    x, y = cloud(50, 2), cloud(50, 2, seed=1)
    found = exact(x, y)
    assert found.solver.startswith("SciPy")
    assert float(found.cost) == pytest.approx(ot.emd2([], [], pairwise(x, y).numpy()), rel=1e-12)


@pytest.mark.parametrize(
    ("n", "d", "shift", "is_assignment", "expected"),
    [
        (100, 2, 0.0, True, assignment),
        (100, 2, 0.0, False, network_simplex),
        (500, 2, 0.0, True, assignment),
        (500, 2, 2.0, True, network_simplex),
        (500, 2, 20.0, True, network_simplex),
        (500, 2, 0.0, False, network_simplex),
        (1000, 2, 0.0, True, assignment),
        (1000, 2, 2.0, True, network_simplex),
        (500, 64, 5.0, True, assignment),
        (1200, 2, 0.0, True, column_generation),
        (1200, 2, 2.0, True, network_simplex),
        (1200, 2, 20.0, True, network_simplex),
        pytest.param(1200, 64, 0.0, True, assignment, marks=pytest.mark.slow),
        (1200, 64, 0.0, False, column_generation),
        pytest.param(1600, 64, 0.0, True, column_generation, marks=pytest.mark.slow),
    ],
)
def test_the_choice_of_the_solver(n, d, shift, is_assignment, expected):
    x, y = cloud(n, d), cloud(n, d, 1, shift)
    costs = pairwise(x, y)
    assert choose_solver(costs, (x, y), is_assignment=is_assignment) is expected
    if shift < 20:  # costs alone do not show the dimension of distant sets
        assert choose_solver(costs, None, is_assignment=is_assignment) is expected


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"x": torch.zeros(0, 2), "y": torch.zeros(3, 2)}, UsageError, r"x must hold at least one sample.*\(0, 2\)"),
        ({"x": torch.zeros(3, 2), "y": torch.zeros(3, 4)}, UsageError, "samples of 2 numbers .* samples of 4"),
        ({"x": torch.full((3, 2), torch.nan), "y": torch.zeros(3, 2)}, NumericError, "6 of the 6 numbers in x are NaN"),
        ({"x": [[1.0]], "y": [[2.0]], "x_weights": [2.0]}, UsageError, "x_weights must sum to 1, not 2"),
        ({"x": [1.0, 2.0], "y": [2.0], "x_weights": [1.5, -0.5]}, UsageError, "x_weights .* weight 1 is -0.5"),
        ({"x": [1.0, 2.0], "y": [2.0], "x_weights": [1.0]}, UsageError, r"x_weights must have shape \(2,\)"),
        ({"x": [1.0], "y": [2.0], "p": 0.5}, UsageError, "p must be"),
        ({"x": [1.0], "y": [2.0], "cost": "cosine"}, UsageError, "there is no cost 'cosine'"),
        ({"x": [1.0]}, UsageError, "y is missing"),
        ({"x": ["a"], "y": [2.0]}, UsageError, "x must hold real numbers"),
        ({"x": [[1e200, 0.0]], "y": [[-1e200, 0.0]], "p": 2}, NumericError, "beyond the range of float64"),
        ({"x": torch.zeros(3, 2), "y": torch.zeros(4, 2), "cost": lambda x, y: x @ x.T}, UsageError, r"shape \(3, 4\)"),
        ({"cost": [[1e200, 0.0]], "p": 2}, NumericError, "beyond the range of float64"),
        ({"cost": [[-1e200, 0.0]], "p": 3}, NumericError, "beyond the range of float64"),
        ({"cost": [[-1.0, 0.0]], "p": 1.5}, NumericError, "are negative and have no such power"),
        ({"cost": torch.zeros(3)}, UsageError, "a cost matrix must have shape"),
    ],
)
def test_bad_input_is_refused(arguments, error, message):
    with pytest.raises(error, match=message):
        exact(**arguments)


def test_a_cost_matrix_of_another_shape_than_the_samples_is_refused():
    with pytest.raises(UsageError, match=r"shape \(3, 3\) does not belong to 5 samples in x"):
        exact(cloud(5, 2), cloud(3, 2), torch.ones(3, 3))


def test_a_problem_without_float64_certificate_is_an_error():
    """A tiny mass that may go to either of two targets couples their potentials, 1e20 apart; the rest costs 0.3."""
    grain = 2.0**-44
    costs = [[0.3, 1e25], [1e25, 0.3], [1e20, 3e20]]
    weights = {"x_weights": [0.5 - grain, 0.5 - grain, 2 * grain], "y_weights": [0.5, 0.5]}
    with pytest.raises(
        NumericError, match=r"for 3 x 2 samples may cost .* more than the optimum, .* cost of 2.27e\+07"
    ):
        exact(cost=costs, **weights)


def test_pairs_that_do_not_fit_in_memory_are_refused():
    with pytest.raises(UsageError, match=r"cost matrix of 3,000,000 x 3,000,000 samples needs .* GiB"):
        exact(torch.zeros(3_000_000, 2), torch.zeros(3_000_000, 2))


def test_importing_transport_does_not_import_pot():
    code = "import sys, wgan.transport; print([name for name in ('ot', 'scipy', 'lap') if name in sys.modules])"
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert answer.stdout.strip() == "[]"
