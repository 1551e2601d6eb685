"""The transport problem as a linear program: duality, the reduction to one function, and an independent solver."""

import numpy as np
import ot
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import wasserstein_distance

from wgan.errors import NumericError, UsageError
from wgan.transport.linear_program import linear_program, transport_program

few = settings(deadline=None, max_examples=12)
seeds = st.integers(0, 2**32 - 1)
sizes = st.integers(1, 7)


def clouds(seed, num_x=5, num_y=6, size=2):
    rng = np.random.default_rng(seed)
    weights = (rng.dirichlet(np.ones(num)) for num in (num_x, num_y))
    return rng.normal(size=(num_x, size)), rng.normal(size=(num_y, size)) + 1, *weights


def test_the_constraints_sum_rows_and_columns():
    x, y, a, b = clouds(0, 3, 4)
    program = transport_program(x, y, x_weights=a, y_weights=b)
    plan = np.random.default_rng(1).random((3, 4))
    assert program.A.shape == (7, 12)
    assert np.allclose(program.A @ plan.ravel(), np.r_[plan.sum(axis=1), plan.sum(axis=0)])
    assert np.allclose(program.b.numpy(), np.r_[a, b])
    assert np.allclose(program.c.reshape(3, 4)[1, 2], np.linalg.norm(x[1] - y[2]))


@few
@given(seeds, sizes, sizes, st.sampled_from(["euclidean", "squared", "manhattan"]), st.sampled_from([1, 1.5, 2]))
def test_primal_dual_and_the_network_simplex_agree(seed, num_x, num_y, cost, p):
    x, y, a, b = clouds(seed, num_x, num_y)
    found = linear_program(x, y, cost, p, x_weights=a, y_weights=b)
    matrix = found.program.c.reshape(num_x, num_y).numpy()
    truth = ot.emd2(a, b, matrix)
    assert float(found.primal) == pytest.approx(truth, rel=1e-8)
    assert float(found.dual) == pytest.approx(truth, rel=1e-8)
    assert abs(found.gap) <= 1e-8 * matrix.max()
    assert float(found.source_potential[0]) == 0.0
    assert np.allclose(found.plan.sum(dim=1).numpy(), a)
    assert np.allclose(found.plan.sum(dim=0).numpy(), b)
    assert bool((found.source_potential[:, None] + found.target_potential <= torch.tensor(matrix) + 1e-8).all())


@few
@given(seeds, sizes, sizes)
def test_weak_duality_holds_for_any_potentials_and_plan(seed, num_x, num_y):
    x, y, a, b = clouds(seed, num_x, num_y)
    program = transport_program(x, y, x_weights=a, y_weights=b)
    f = np.random.default_rng(seed).normal(size=num_x)
    g = (program.c.reshape(num_x, num_y).numpy() - f[:, None]).min(axis=0)
    prices, plan = np.r_[f, g], np.outer(a, b)
    assert program.dual_violation(prices) <= 1e-12
    assert program.primal_violation(plan) <= 1e-12
    optimum = float(linear_program(x, y, x_weights=a, y_weights=b, reduce=False).primal)
    assert float(program.dual_value(prices)) <= optimum + 1e-9
    assert float(program.primal_value(plan)) >= optimum - 1e-9


def test_constraint_violations_are_measured():
    program = transport_program([0.0, 10.0], [1.0, 11.0])
    assert program.dual_violation([3, 1, 0, 0]) == pytest.approx(2)
    assert program.primal_violation([[0.5, 0], [0, 0.25]]) == pytest.approx(0.25)
    assert program.primal_violation([[0.75, -0.25], [-0.25, 0.75]]) == pytest.approx(0.25)


@few
@given(seeds, sizes, sizes, st.sampled_from(["euclidean", "manhattan"]))
def test_for_a_metric_one_lipschitz_function_is_enough(seed, num_x, num_y, cost):
    x, y, a, b = clouds(seed, num_x, num_y)
    y[0] = x[0]  # a point that both sides share
    found = linear_program(x, y, cost, x_weights=a, y_weights=b)
    assert found.no_lipschitz == ""
    assert len(found.lipschitz.function) == num_x + num_y - 1
    assert found.lipschitz.x_places[0] == found.lipschitz.y_places[0]
    assert float(found.lipschitz.value) == pytest.approx(float(found.primal), abs=1e-8)
    assert found.lipschitz.violation <= 1e-8
    assert found.program.dual_violation(found.lipschitz.potentials) <= 1e-8
    assert float(found.program.dual_value(found.lipschitz.potentials)) == pytest.approx(float(found.primal), abs=1e-8)


def test_in_one_dimension_all_three_are_the_area_between_the_distribution_functions():
    x, y = np.random.default_rng(1).normal(size=(2, 30))
    found = linear_program(x, 2 * y + 1)
    truth = wasserstein_distance(x, 2 * y + 1)
    assert [float(found.primal), float(found.dual), float(found.lipschitz.value)] == pytest.approx([truth] * 3)


def test_a_matrix_on_one_set_is_reduced_too():
    # Two distributions on the same four states, with one matrix of distances.
    states = np.array([0.0, 1.0, 3.0, 7.0])
    matrix = np.abs(states[:, None] - states)
    a, b = [0.1, 0.2, 0.3, 0.4], [0.4, 0.3, 0.2, 0.1]
    found = linear_program(None, None, matrix, x_weights=a, y_weights=b)
    truth = wasserstein_distance(states, states, a, b)
    assert float(found.primal) == pytest.approx(truth)
    assert float(found.lipschitz.value) == pytest.approx(truth)


@pytest.mark.parametrize(
    ("cost", "p", "reason"),
    [
        ("squared", 1, "triangle inequality"),
        ("euclidean", 2, "triangle inequality"),
        (lambda x, y: (x[:, None, 0] - y[None, :, 0]).clamp(min=0.0), 1, "not symmetric"),
        (lambda x, y: 1 + torch.cdist(x, y), 1, "cost of a point to itself is not 0"),
        (np.ones((5, 6)), 1, "does not contain the distances within each"),
        (np.ones((5, 5)), 1, "does not contain the distances within each"),
        (lambda x, y: -torch.cdist(x, y), 1, "the cost is negative somewhere"),
    ],
)
def test_without_a_metric_the_reason_for_no_reduction_is_given(cost, p, reason):
    x, y, _, _ = clouds(3)
    samples = (None, None) if isinstance(cost, np.ndarray) else (x, y)
    found = linear_program(*samples, cost, p)
    assert found.lipschitz is None
    assert reason in found.no_lipschitz
    assert abs(found.gap) <= 1e-8


def test_a_metric_given_as_a_function_is_reduced():
    x, y, _, _ = clouds(3)
    found = linear_program(x, y, lambda x, y: torch.cdist(x, y).sqrt())
    assert float(found.lipschitz.value) == pytest.approx(float(found.primal))


def test_a_single_point():
    found = linear_program([[2.0, 3.0]], [[2.0, 3.0]])
    assert float(found.primal) == float(found.dual) == float(found.lipschitz.value) == 0.0


@pytest.mark.parametrize("unit", [1e-9, 1e9])
def test_the_unit_of_the_data_does_not_matter(unit):
    x, y, a, b = clouds(4)
    first = linear_program(x, y, x_weights=a, y_weights=b)
    found = linear_program(unit * x, unit * y, x_weights=a, y_weights=b)
    assert float(found.primal) == pytest.approx(unit * float(first.primal), rel=1e-8)
    assert abs(found.gap) <= 1e-8 * unit * float(first.program.c.max())


def test_weights_of_0_are_allowed():
    x, y, _, _ = clouds(5, 3, 3)
    found = linear_program(x, y, x_weights=[0, 1, 0], y_weights=[0, 0, 1])
    assert float(found.primal) == pytest.approx(float(np.linalg.norm(x[1] - y[2])))


@pytest.mark.parametrize(
    ("arguments", "settings", "error", "message"),
    [
        ((np.zeros((301, 1)), np.zeros((2, 1))), {}, UsageError, "at most 300 points per side, not 301 and 2"),
        ((None, None, np.zeros((2, 400))), {}, UsageError, "not 2 and 400"),
        (([0.0, np.nan], [1.0]), {}, NumericError, "1 of the 2 numbers in x are NaN"),
        (([[0.0, 1.0]], [1.0]), {}, UsageError, "samples of 2 numbers"),
        (([0.0], [1.0, 2.0]), {"y_weights": [0.5, 0.6]}, UsageError, "y_weights must sum to 1"),
        (([0.0], [1.0, 2.0]), {"y_weights": [1.5, -0.5]}, UsageError, "y_weights must be at least 0"),
        (([], [1.0]), {}, UsageError, "x must hold at least one sample"),
    ],
)
def test_bad_input_is_refused(arguments, settings, error, message):
    with pytest.raises(error, match=message) as caught:
        linear_program(*arguments, **settings)
    if "300" in message:
        assert "`exact`" in caught.value.remedy


def test_potentials_of_the_wrong_size_are_refused():
    with pytest.raises(UsageError, match=r"potentials must hold 3 numbers for a problem of \(1, 2\), not 2"):
        transport_program([0.0], [1.0, 2.0]).dual_value([1.0, 2.0])


def test_a_solver_that_stops_early_is_an_error(monkeypatch):
    from scipy import optimize

    class Stopped:
        status, message, x = 1, "Iteration limit reached.", np.zeros(2)

    monkeypatch.setattr(optimize, "linprog", lambda *arguments, **settings: Stopped)
    with pytest.raises(NumericError, match=r"optimum of the primal program: Iteration limit"):
        linear_program([0.0], [1.0, 2.0])
