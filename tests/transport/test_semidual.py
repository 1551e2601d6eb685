"""The stochastic semi-dual: closed forms in one dimension, exact solvers on sets of points, and lower bounds."""

import math

import numpy as np
import ot
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from wgan.errors import NumericError, UsageError
from wgan.transport.semidual import semidual
from wgan.transport.sinkhorn import sinkhorn

few = settings(deadline=None, max_examples=10)


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def uniform(num, rng):
    return torch.rand(num, generator=rng, dtype=torch.float64)


def normal(num, rng):
    return torch.randn(num, 2, generator=rng, dtype=torch.float64)


def clouds(seed=0, num_x=150, num_y=40):
    rng = np.random.default_rng(seed)
    x, y = rng.normal(size=(num_x, 2)), rng.normal(size=(num_y, 2)) + 1
    return x, y, rng.dirichlet(np.ones(num_x)), rng.dirichlet(np.full(num_y, 5.0))


def line_cost(y, weights, p):
    """From the uniform distribution on [0, 1]: each sorted target gets the interval between its cumulated weights."""
    ends = np.concatenate([[0.0], np.cumsum(weights)])

    def integral(t, centre):
        return math.copysign(abs(t - centre) ** (p + 1) / (p + 1), t - centre)

    return sum(integral(ends[j + 1], y[j]) - integral(ends[j], y[j]) for j in range(len(y)))


@pytest.mark.parametrize("p", [1, 2])
def test_in_one_dimension_it_converges_to_the_closed_form(p):
    y, weights = [-0.2, 0.1, 0.5, 1.4], [0.3, 0.1, 0.4, 0.2]
    truth = line_cost(y, weights, p)
    found = semidual(uniform, y, p=p, y_weights=weights, rng=generator(), num_steps=1500, num_test=40_000)
    assert float(found.value) == pytest.approx(truth, rel=0.02)
    # At most the closed form, up to the standard error.
    assert float(found.value) <= truth + 4 * found.standard_error
    answers = found.source_potential(uniform(20_000, generator(9)))
    assert found.standard_error == pytest.approx(float(answers.std()) / 200, rel=0.05)
    if p == 2:  # for p = 1 the first two targets are equally good for all points right of 0.1
        assert found.marginal_error < 0.05


def test_the_potential_in_one_dimension_agrees_with_the_closed_form():
    # At the border between two cells both targets are equally good: |t - y_j| - g_j agree there.
    found = semidual(uniform, [0.0, 1.0], y_weights=[0.25, 0.75], rng=generator(1), num_steps=2000)
    g = found.target_potential
    assert float(g[1] - g[0]) == pytest.approx(0.75 - 0.25, abs=0.02)
    assert float(found.source_potential([0.1]) + g[0]) == pytest.approx(0.1)


@pytest.mark.parametrize("cost", ["euclidean", "squared", "manhattan"])
def test_a_set_of_points_converges_to_the_exact_cost_from_below(cost):
    x, y, a, b = clouds()
    metric = {"euclidean": "euclidean", "squared": "sqeuclidean", "manhattan": "cityblock"}[cost]
    exact = ot.emd2(a, b, ot.dist(x, y, metric))
    found = semidual(x, y, cost, x_weights=a, y_weights=b, rng=generator(), num_steps=1500)
    assert exact * 0.98 <= float(found.value) <= exact + 1e-9
    assert found.standard_error == 0.0


def test_with_regularisation_it_converges_to_the_value_of_sinkhorn():
    x, y, a, b = clouds(1)
    truth = sinkhorn(x, y, x_weights=a, y_weights=b, epsilon=0.2)
    found = semidual(x, y, x_weights=a, y_weights=b, epsilon=0.2, rng=generator(), num_steps=1500)
    assert float(truth.value) * 0.999 <= float(found.value) <= float(truth.value) + 1e-6
    assert torch.allclose(
        found.source_potential(x) + float(found.target_potential @ torch.tensor(b)),
        truth.source_potential + float(truth.target_potential @ torch.tensor(b)),
        atol=0.02,
    )


def test_a_stream_converges_to_the_exact_cost_of_a_large_sample():
    y = normal(60, generator(5)) + 1
    draw = normal(3000, generator(6)).numpy()
    exact = ot.emd2([], [], ot.dist(draw, y.numpy(), "euclidean"), numItermax=10**7)
    found = semidual(normal, y, rng=generator(), num_steps=1500)
    assert float(found.value) == pytest.approx(exact, rel=0.03)


@few
@given(st.integers(0, 2**32 - 1), st.integers(1, 30), st.integers(1, 12), st.sampled_from([0.0, 0.3]))
def test_after_any_number_of_steps_it_is_a_lower_bound(seed, num_steps, num_y, epsilon):
    x, y, a, b = clouds(seed, 20, num_y)
    settings = {"x_weights": a, "y_weights": b}
    found = semidual(x, y, epsilon=epsilon, rng=generator(seed), num_steps=num_steps, batch_size=7, **settings)
    best = sinkhorn(x, y, epsilon=epsilon, **settings).value if epsilon else ot.emd2(a, b, ot.dist(x, y, "euclidean"))
    assert float(found.value) <= float(best) + 1e-6


def test_the_trajectory_increases_and_is_recorded():
    x, y, _, _ = clouds(2)
    found = semidual(x, y + 3, rng=generator(), num_steps=1000)
    assert len(found.trajectory) == len(found.trajectory_steps) == 100
    assert found.trajectory_steps[-1] < found.num_steps == 1000
    assert float(found.trajectory[-20:].mean()) == pytest.approx(float(found.value), rel=0.03)
    assert float(found.trajectory[0]) < float(found.value)
    again = semidual(x, y + 3, rng=generator(), num_steps=3)
    assert again.trajectory_steps.tolist() == [0, 1, 2]


def test_the_default_step_scales_with_the_unit_and_not_with_the_distance():
    x, y, _, _ = clouds(3)
    first = semidual(x, y, "squared", rng=generator(), num_steps=50)
    scaled = semidual(10 * x, 10 * y, "squared", rng=generator(), num_steps=50)
    assert scaled.step_size == pytest.approx(100 * first.step_size)
    assert float(scaled.value) == pytest.approx(100 * float(first.value))
    assert semidual(x, y + np.array([1000, 0]), rng=generator(), num_steps=1).step_size < 3 * first.step_size


def test_equal_generators_give_equal_results_and_others_do_not():
    _, y, _, _ = clouds(4)
    values = [float(semidual(normal, y, rng=generator(seed), num_steps=20).value) for seed in (0, 0, 1)]
    assert values[0] == values[1] != values[2]


def test_batches_follow_the_weights():
    # All mass is on the second point; the first has no influence.
    found = semidual([[1e6], [2.0]], [[0.0]], x_weights=[0, 1], rng=generator(), num_steps=5)
    assert float(found.value) == 2.0
    assert found.marginal_error == 0.0


def test_the_source_potential_has_gradients():
    x, y, _, _ = clouds(5, 6, 4)
    for epsilon in (0.0, 0.5):
        found = semidual(x, y, epsilon=epsilon, rng=generator(), num_steps=20)
        assert torch.autograd.gradcheck(found.source_potential, torch.tensor(x).requires_grad_())


def test_only_batches_are_drawn():
    sizes = []

    def draw(num, rng):
        sizes.append(num)
        return uniform(num, rng)

    semidual(draw, [0.0, 1.0], rng=generator(), num_steps=3, batch_size=8, num_test=20)
    assert sizes == [8, 8, 8, 8, 8, 8, 4]


def test_the_value_of_a_set_of_points_is_exact_and_computed_in_blocks():
    x, y, a, b = clouds(6)
    found = semidual(x, y, x_weights=a, y_weights=b, rng=generator(), num_steps=5, batch_size=7)
    g = found.target_potential.numpy()
    assert float(found.value) == pytest.approx(a @ (ot.dist(x, y, "euclidean") - g).min(axis=1) + b @ g)


@pytest.mark.parametrize(
    ("source", "y", "settings", "error", "message"),
    [
        (uniform, [], {}, UsageError, "y must hold at least one sample"),
        (uniform, [0.0, math.nan], {}, NumericError, "1 of the 2 numbers in y"),
        (uniform, [[0.0, 1.0]], {}, UsageError, r"samples of 1 numbers \(the samples\) .* of 2"),
        ([[0.0]], [[0.0, 1.0]], {}, UsageError, r"samples of 1 numbers \(source\)"),
        (lambda num, rng: uniform(3, rng), [0.0], {}, UsageError, "must draw 256 samples, but drew 3"),
        (lambda num, rng: uniform(num, rng) / 0, [0.0], {}, NumericError, "the samples are NaN or infinite"),
        (uniform, [0.0, 1.0], {"y_weights": [1.0, 0.0]}, UsageError, "above 0, but weight 1 is 0"),
        (uniform, [0.0, 1.0], {"y_weights": [1.0, 1.0]}, UsageError, "y_weights must sum to 1"),
        (uniform, [0.0], {"x_weights": [1.0]}, UsageError, "x_weights apply to points"),
        (uniform, [0.0], {"epsilon": -1.0}, UsageError, "epsilon must be at least 0"),
        (uniform, [0.0], {"epsilon": math.nan}, UsageError, "epsilon must be at least 0"),
        (uniform, [0.0], {"num_steps": 0}, UsageError, "num_steps must be at least 1"),
        (uniform, [0.0], {"batch_size": 0}, UsageError, "batch_size must be at least 1"),
        (uniform, [0.0], {"num_test": 1}, UsageError, "num_test must be at least 2"),
        (uniform, [0.0], {"step_size": 0.0}, UsageError, "step_size must be above 0"),
        (uniform, [0.0], {"cost": [[1.0]]}, UsageError, "a stream has no cost matrix"),
        (uniform, [0.0], {"batch_size": 10**12}, UsageError, "batch of 1,000,000,000,000 samples"),
        (uniform, [0.0, 5.0], {"step_size": 1e308, "epsilon": 1e-3, "num_steps": 9}, NumericError, "beyond float64"),
    ],
)
def test_bad_input_is_refused(source, y, settings, error, message):
    with pytest.raises(error, match=message):
        semidual(source, y, rng=generator(), **settings)
