"""All bounds of W1 from a critic are below it, and in the order of the theory."""

import itertools
import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from wgan.batch import Layout
from wgan.constraints import SpectralNorm
from wgan.errors import UsageError
from wgan.networks import MLP
from wgan.transport import c_transform
from wgan.transport.costs import cost_matrix
from wgan.transport.critic_dual import critic_dual
from wgan.transport.exact import exact


def points(num, dim, seed, shift=0.0):
    return torch.randn(num, dim, generator=torch.Generator().manual_seed(seed), dtype=torch.float64) + shift


def weights(num, seed):
    drawn = torch.rand(num, generator=torch.Generator().manual_seed(seed), dtype=torch.float64) + 0.05
    return drawn / drawn.sum()


def mlp(seed, activation, dim, spectral):
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        critic = MLP(width=12, depth=2, activation=activation).critic(Layout(shape=(dim,)))
        if spectral:
            SpectralNorm(iterations=15).attach(critic)
        return critic


@given(
    seed=st.integers(0, 10**6),
    sizes=st.tuples(st.integers(2, 25), st.integers(2, 25)),
    dim=st.integers(1, 5),
    activation=st.sampled_from(["relu", "softplus", "gelu"]),
    spectral=st.booleans(),
    weighted=st.booleans(),
)
@settings(deadline=None, max_examples=40)
def test_all_bounds_are_below_the_exact_distance_and_ordered(seed, sizes, dim, activation, spectral, weighted):
    x, y = points(sizes[0], dim, seed), points(sizes[1], dim, seed + 1, shift=0.5)
    a, b = (weights(sizes[0], seed), weights(sizes[1], seed + 1)) if weighted else (None, None)
    dual = critic_dual(x, y, mlp(seed, activation, dim, spectral), x_weights=a, y_weights=b, climb_steps=5)
    w1 = float(exact(x, y, x_weights=a, y_weights=b).distance)
    small = 1e-5 * w1  # scores are float32
    bounds = [dual.by_layers, dual.by_measured, dual.by_secant]
    assert all(abs(float(bound)) <= w1 + small for bound in bounds)
    assert float(dual.certified.value) <= w1 * (1 + 1e-9)
    if float(dual.estimate) > 0:
        chain = [*map(float, bounds), float(dual.certified.value), w1]
        assert all(lower <= upper + small for lower, upper in itertools.pairwise(chain))
    assert dual.secant_slope <= dual.measured_lipschitz <= dual.lipschitz_bound * (1 + 1e-4)
    assert dual.gap == pytest.approx(w1 - float(dual.certified.value), abs=1e-12)
    assert dual.efficiency == pytest.approx(float(dual.certified.value) / w1)


def test_division_by_the_secant_slope_gives_a_bound_where_the_gradient_norm_does_not():
    # A step between the samples: the gradient is 0 at every sample.
    x, y = torch.zeros(3, 1).double(), torch.ones(3, 1).double()

    def critic(values):
        return torch.where(values[:, 0] < 0.5, 1.0, 0.0).double() + 1e-3 * values[:, 0]

    dual = critic_dual(x, y, critic, climb_steps=0)
    assert float(dual.estimate) / dual.gradient_norm > 900.0  # of a true distance of 1
    assert dual.measured_lipschitz == dual.secant_slope == pytest.approx(0.999)
    assert float(dual.by_secant) == pytest.approx(1.0)
    assert float(dual.by_measured) == pytest.approx(1.0)


def test_the_certified_bound_is_at_least_the_secant_bound_for_any_search_result(monkeypatch):
    monkeypatch.setattr(c_transform, "_search", lambda *_: ("source", 0.0))
    x, y = points(30, 2, 0), points(30, 2, 1, shift=3.0)
    dual = critic_dual(x, y, lambda values: -values.sum(dim=1))
    assert float(dual.by_secant) > float(dual.certified.without_critic) * 1.1
    assert float(dual.certified.value) >= float(dual.by_secant)


def test_the_secant_slope_is_the_least_constant_with_feasible_potentials():
    x, y = points(12, 2, 0), points(9, 2, 1, shift=1.0)
    dual = critic_dual(x, y, lambda values: -(values.sum(dim=1) ** 3))
    f, g = -(x.sum(dim=1) ** 3), -(y.sum(dim=1) ** 3)
    slack = cost_matrix(x, y) - (f[:, None] - g).abs() / dual.secant_slope
    assert float(slack.min()) == pytest.approx(0.0, abs=1e-12)


def test_an_optimal_critic_has_no_gap():
    # In one dimension all mass moves in one direction: f(x) = -x is optimal.
    x = torch.linspace(0, 1, 40, dtype=torch.float64)
    dual = critic_dual(x, x + 2.5, lambda values: -7.0 * values[:, 0])
    assert float(dual.estimate) == pytest.approx(17.5)
    assert dual.measured_lipschitz == pytest.approx(7.0)
    for bound in (dual.by_secant, dual.by_measured, dual.certified.value, dual.exact.distance):
        assert float(bound) == pytest.approx(2.5)
    assert dual.efficiency == pytest.approx(1.0)
    assert dual.gap == pytest.approx(0.0, abs=1e-9)
    assert dual.by_layers is None
    assert dual.lipschitz_bound is None


def test_equal_samples_have_distance_0_and_efficiency_1():
    x = points(20, 2, 0)
    dual = critic_dual(x, x.flip(0), nn.Linear(2, 1))
    assert float(dual.certified.value) == pytest.approx(0.0, abs=1e-12)
    assert abs(float(dual.by_secant)) <= 1e-6
    assert dual.gap == pytest.approx(0.0, abs=1e-9)
    assert dual.efficiency == 1.0 or float(dual.exact.distance) > 0


def test_rounding_at_coincident_points_is_subtracted():
    # A critic with two scores at the same point, as rounding can produce: the difference must not count.
    calls = []

    def critic(values):
        calls.append(len(values))
        return (
            torch.tensor([1.0, 0.0, 0.5, 0.0], dtype=torch.float64)[: len(values)] if len(calls) == 1 else values[:, 0]
        )

    x = torch.tensor([[0.0], [1.0]], dtype=torch.float64)
    dual = critic_dual(x, x, critic, climb_steps=0)
    assert float(dual.estimate) == pytest.approx(0.25)
    assert float(dual.by_secant) <= 0.0 == float(dual.exact.distance)


def test_a_constant_critic_gives_the_bound_0():
    dual = critic_dual(points(6, 2, 0), points(5, 2, 1), lambda values: 0.0 * values[:, 0])
    assert float(dual.by_secant) == float(dual.by_measured) == 0.0
    assert float(dual.certified.value) == float(dual.certified.without_critic) > 0


def test_scores_need_no_gradients_and_the_exact_value_is_optional():
    x, y = points(6, 2, 0), points(5, 2, 1, shift=1.0)
    dual = critic_dual(x, y, lambda values: torch.from_numpy(-values.detach().numpy().sum(axis=1)), solve=False)
    assert dual.gradient_norm is None
    assert dual.measured_lipschitz == dual.secant_slope
    assert float(dual.by_measured) == float(dual.by_secant)
    assert dual.exact is dual.gap is dual.efficiency is None


def test_the_critic_receives_samples_in_their_shape():
    shapes = []

    def critic(values):
        shapes.append(values.shape[1:])
        return values.flatten(1).sum(dim=1)

    images = points(6, 12, 0).reshape(6, 3, 2, 2)
    as_images = critic_dual(images, points(5, 12, 1).reshape(5, 3, 2, 2), critic)
    assert set(shapes) == {(3, 2, 2)}
    flat = critic_dual(images.reshape(6, 12).numpy(), points(5, 12, 1).tolist(), critic)
    assert float(flat.certified.value) == float(as_images.certified.value)
    shapes.clear()
    critic_dual(np.arange(4.0), [1.0, 2.0], critic)
    assert set(shapes) == {(1,)}


def test_the_search_between_the_samples_finds_steeper_gradients():
    # Steep only in the gap between the two samples.
    def critic(values):
        return -torch.sigmoid(40.0 * (values[:, 0] - 0.5))

    x, y = torch.linspace(-0.2, 0, 50, dtype=torch.float64), torch.linspace(1, 1.2, 50, dtype=torch.float64)
    dual = critic_dual(x, y, critic, climb_steps=0)
    assert dual.secant_slope < 1.01
    assert dual.gradient_norm == pytest.approx(10.0, rel=0.01)
    assert float(dual.by_measured) == pytest.approx(0.1, rel=0.01)
    assert float(dual.by_secant) == pytest.approx(1.0, rel=0.01)


def test_samples_that_cannot_be_compared_are_refused():
    with pytest.raises(UsageError, match="cannot be compared"):
        critic_dual(points(3, 2, 0), points(3, 3, 0), lambda values: values[:, 0])
    with pytest.raises(UsageError, match="y_weights must sum to 1"):
        critic_dual(points(3, 2, 0), points(2, 2, 0), lambda values: values[:, 0], y_weights=[0.5, 0.6])


def test_blocks_change_nothing():
    x, y = points(30, 2, 0), points(20, 2, 1, shift=0.3)
    critic = mlp(0, "relu", 2, spectral=False)
    whole, blocks = (critic_dual(x, y, critic, held=held, solve=False) for held in (10**6, 45))
    assert blocks.secant_slope == whole.secant_slope
    assert math.isclose(float(blocks.certified.value), float(whole.certified.value), rel_tol=1e-12)
