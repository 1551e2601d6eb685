import importlib
import math

import numpy as np
import ot
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from wgan.errors import NumericError, UsageError
from wgan.transport.one_dimensional import one_dimensional
from wgan.transport.sliced import sliced


def rng(seed=0):
    return torch.Generator().manual_seed(seed)


def cloud(num, size, seed=0, shift=0.0):
    return torch.randn(num, size, generator=rng(seed), dtype=torch.float64) + shift


def masses(num, seed=0):
    weights = torch.rand(num, generator=rng(seed + 77), dtype=torch.float64) + 0.05
    return weights / weights.sum()


@pytest.mark.parametrize(("num_x", "num_y"), [(40, 40), (40, 23)])
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("p", [1, 2])
def test_it_agrees_with_pot_along_the_same_directions(num_x, num_y, weighted, p):
    x, y = cloud(num_x, 5), cloud(num_y, 5, 1, 0.3)
    a, b = (masses(num_x), masses(num_y, 1)) if weighted else (None, None)
    ours = sliced(x, y, rng(3), num_directions=30, p=p, x_weights=a, y_weights=b)
    weights = [None if side is None else side.numpy() for side in (a, b)]
    pot = ot.sliced_wasserstein_distance(x.numpy(), y.numpy(), *weights, projections=ours.directions.T.numpy(), p=p)
    assert float(ours.distance) == pytest.approx(float(pot), rel=1e-9)
    torch.testing.assert_close(ours.directions.norm(dim=1), torch.ones(30, dtype=torch.float64))
    along = [
        one_dimensional(x @ direction, y @ direction, x_weights=a, y_weights=b, p=p) for direction in ours.directions
    ]
    torch.testing.assert_close(ours.by_direction, torch.stack(along))


@given(seed=st.integers(0, 2**20), p=st.sampled_from([1.0, 2.0, 3.0]), scale=st.floats(0.01, 100))
@settings(max_examples=20, deadline=None)
def test_symmetry_translation_scaling_and_triangle_inequality(seed, p, scale):
    x, y, z = cloud(12, 3, seed), cloud(9, 3, seed + 1, 0.5), cloud(12, 3, seed + 2)

    def distance(x, y):
        return float(sliced(x, y, rng(seed), num_directions=20, p=p).distance)

    value = distance(x, y)
    assert distance(y, x) == pytest.approx(value, rel=1e-9)
    assert distance(x * scale + 7.0, y * scale + 7.0) == pytest.approx(scale * value, rel=1e-9)
    assert distance(x, x) == pytest.approx(0.0, abs=1e-12)
    assert value <= distance(x, z) + distance(z, y) + 1e-12


def test_a_translation_has_the_closed_form():
    """||v|| / sqrt(D) for p = 2, and ||v|| times 2 / pi in the plane for p = 1: within 4 standard errors."""
    x, shift = cloud(10, 2), torch.tensor([3.0, 4.0])
    for p, truth in ((1, 5 * 2 / math.pi), (2, 5 / math.sqrt(2))):
        found = sliced(x, x + shift, rng(), num_directions=4000, p=p)
        assert 0 < found.standard_error < 0.05
        assert abs(float(found.distance) - truth) < 4 * found.standard_error


@pytest.mark.parametrize("p", [1, 2, 3])
def test_the_standard_error_is_how_much_the_distance_varies(p):
    x, y = cloud(20, 4), cloud(20, 4, 1, 0.5)
    found = [sliced(x, y, rng(seed), num_directions=50, p=p) for seed in range(200)]
    scatter = float(np.std([float(one.distance) for one in found]))
    assert np.mean([one.standard_error for one in found]) == pytest.approx(scatter, rel=0.15)


def test_in_one_dimension_every_direction_gives_the_exact_distance():
    x, y = cloud(30, 1), cloud(20, 1, 1, 2.0)
    found = sliced(x, y, rng(), num_directions=8)
    assert float(found.distance) == pytest.approx(float(one_dimensional(x, y)), rel=1e-12)
    assert found.standard_error == pytest.approx(0.0, abs=1e-12)
    assert sliced(x, y, rng(), num_directions=1).standard_error == math.inf
    assert sliced(x, x, rng()).standard_error == 0.0


@pytest.mark.parametrize("weighted", [False, True])
def test_gradients_with_respect_to_points_and_weights(weighted):
    x, y = cloud(5, 3).requires_grad_(), cloud(6, 3, 1, 0.3).requires_grad_()
    logits = cloud(1, 5, 2)[0].requires_grad_()

    def value(x, y, logits):
        weights = logits.softmax(0) if weighted else None
        return sliced(x, y, rng(), num_directions=4, p=2, x_weights=weights).distance

    assert torch.autograd.gradcheck(value, (x, y, logits))


@pytest.mark.parametrize("p", [1, 2])
def test_gradients_are_finite_if_all_points_coincide(p):
    x = cloud(4, 2).requires_grad_()
    (gradient,) = torch.autograd.grad(sliced(x, x.detach(), rng(), p=p).distance, x)
    assert bool(gradient.isfinite().all())


def test_blocks_change_neither_values_nor_gradients(monkeypatch):
    x, y = cloud(7, 3).requires_grad_(), cloud(9, 3, 1).requires_grad_()
    a = masses(7).requires_grad_()

    def everything():
        found = sliced(x, y, rng(), num_directions=11, p=2, x_weights=a)
        return found.distance, *torch.autograd.grad(found.distance, (x, y, a))

    whole = everything()
    without = sliced(x.detach(), y.detach(), rng(), num_directions=11).distance
    monkeypatch.setattr(importlib.import_module("wgan.transport.sliced"), "_BLOCK", 40)  # two directions of 16 points
    torch.testing.assert_close(everything(), whole)
    torch.testing.assert_close(sliced(x.detach(), y.detach(), rng(), num_directions=11).distance, without)


def test_float32_draws_the_same_directions_and_is_accurate_everywhere():
    x, y = cloud(300, 20), cloud(300, 20, 1) + 0.2
    exact = sliced(x, y, rng())
    rough = sliced(x.float(), y.float(), rng(), dtype=torch.float32)
    assert rough.distance.dtype == torch.float64
    torch.testing.assert_close(rough.directions.double(), exact.directions, rtol=1e-6, atol=1e-7)
    assert float(rough.distance) == pytest.approx(float(exact.distance), rel=1e-6)
    far_x, far_y = (x * 0.01 + 1000).float(), (y * 0.01 + 1000).float()
    exact = sliced(far_x, far_y, rng())
    rough = sliced(far_x, far_y, rng(), dtype=torch.float32)
    assert float(rough.distance) == pytest.approx(float(exact.distance), rel=1e-5)


def test_float32_accepts_every_kind_of_input():
    x, y = cloud(30, 4), cloud(20, 4, 1, 0.3)
    a = masses(30)
    exact = float(sliced(x, y, rng(), p=2, x_weights=a).distance)
    for first, second in ((x, y), (x.float(), y.float()), (x.numpy(), y.float())):
        found = sliced(first, second, rng(), p=2, x_weights=a, dtype=torch.float32)
        assert float(found.distance) == pytest.approx(exact, rel=1e-6)
    leaf = x.float().requires_grad_()
    (rough,) = torch.autograd.grad(sliced(leaf, y.float(), rng(), dtype=torch.float32).distance, leaf)
    leaf = x.clone().requires_grad_()
    (exact,) = torch.autograd.grad(sliced(leaf, y, rng()).distance, leaf)
    # A few directions sort two nearly equal projections the other way.
    torch.testing.assert_close(rough.double(), exact, rtol=1e-3, atol=1e-4)


def test_images_are_flattened_and_the_global_generator_is_left_alone():
    x, y = cloud(6, 12).reshape(6, 3, 2, 2), cloud(6, 12, 1).reshape(6, 3, 2, 2)
    torch.manual_seed(1)
    first = sliced(x, y, rng(5)).distance
    torch.manual_seed(2)
    assert sliced(x.flatten(1), y.flatten(1), rng(5)).distance == first
    assert sliced(x, y, rng(6)).distance != first


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
@pytest.mark.parametrize(
    ("x", "y", "options", "error", "message"),
    [
        (torch.zeros(0, 2), torch.zeros(3, 2), {}, UsageError, "x must hold at least one sample"),
        (torch.zeros(3, 2), torch.zeros(3, 4), {}, UsageError, r"samples of 2 numbers \(x\) cannot be compared"),
        (torch.tensor(1.0), torch.zeros(3), {}, UsageError, "x must hold at least one sample"),
        (torch.full((3, 2), torch.nan), torch.zeros(3, 2), {}, NumericError, "6 of the 6|NaN or infinite"),
        (torch.zeros(2, 1), torch.tensor([[0.0], [torch.inf]]), {}, NumericError, "1 of the 2 numbers in y are NaN"),
        (torch.zeros(3, 2), torch.zeros(3, 2), {"num_directions": 0}, UsageError, "num_directions must be at least 1"),
        (torch.zeros(3, 2), torch.zeros(3, 2), {"p": 0.9}, UsageError, "p must be a number of at least 1"),
        (torch.zeros(3, 2), torch.zeros(3, 2), {"x_weights": [1.0]}, UsageError, r"x_weights must have shape \(3,\)"),
    ],
)
def test_invalid_input_is_refused(x, y, options, error, message, dtype):
    with pytest.raises(error, match=message):
        sliced(x, y, rng(), **options, dtype=dtype)


def test_an_unsupported_dtype_is_refused():
    with pytest.raises(UsageError, match=r"dtype must be torch.float64 or torch.float32, not torch.float16"):
        sliced(torch.zeros(3, 2), torch.zeros(3, 2), rng(), dtype=torch.float16)
