"""Lower bounds by scores, exact distances against closed forms, and intervals against independent repetitions."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from wgan.batch import Batch, Layout
from wgan.networks import MLP
from wgan.randomness import Randomness
from wgan.transport import exact
from wgan.trust.distances import MAX_POINTS, certify, exact_distance, flat


def normal(num, size, seed, *, shift=0.0, spread=1.0):
    points = spread * torch.randn(num, size, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    points[:, 0] += shift
    return points


def rng():
    return torch.Generator().manual_seed(0)


@settings(max_examples=25, deadline=None)
@given(
    num=st.integers(2, 60),
    size=st.integers(1, 5),
    shift=st.floats(0, 4),
    steepness=st.floats(1e-3, 1e3),
    seed=st.integers(0, 10**6),
)
def test_the_certified_bound_is_at_most_the_exact_distance(num, size, shift, steepness, seed):
    real, fake = normal(num, size, seed), normal(num, size, seed + 1, shift=shift)
    with Randomness(seed).as_global("critic"), torch.no_grad():
        critic = MLP(width=16, depth=2).critic(Layout(shape=(size,)))
        scores = [steepness * critic(points.float()) for points in (real, fake)]
    proven, found = certify(*scores, real, fake), exact_distance(real, fake, rng())
    assert proven.without_critic <= proven.value <= found.value * (1 + 1e-9) + 1e-12
    assert found.low <= found.value <= found.high or num < 20


def test_the_optimal_critic_proves_the_whole_shift():
    real = normal(200, 3, 0)
    fake = real + torch.tensor([3.0, 4.0, 0.0], dtype=torch.float64)
    of_real, of_fake = (-7.0 * (points[:, 0] * 0.6 + points[:, 1] * 0.8) for points in (real, fake))
    assert certify(of_real, of_fake, real, fake).value == pytest.approx(5.0, rel=5e-3)
    assert exact_distance(real, fake, rng()).value == pytest.approx(5.0, rel=1e-9)
    # A critic of the opposite sign adds nothing.
    wrong = certify(-of_real, -of_fake, real, fake)
    assert wrong.value == wrong.without_critic < 4.8


def test_w1_of_parallel_lines_is_their_separation():
    # The paper's example: points (0, z) and (theta, z), with z drawn for each side alone.
    heights = torch.rand(2, 300, generator=rng(), dtype=torch.float64)
    real, fake = (torch.stack([torch.full_like(z, x), z], dim=1) for x, z in zip((0.0, 0.5), heights, strict=True))
    proven = certify(-real[:, 0], -fake[:, 0], real, fake)
    assert 0.499 < proven.value <= float(exact(real, fake).cost) < 0.52


def test_distances_are_in_the_units_of_the_data():
    real, fake = normal(50, 2, 0), normal(50, 2, 1, shift=1.0)
    scores = -real[:, 0], -fake[:, 0]
    in_tens, plain = certify(*scores, real, fake, unit=10.0), certify(*scores, real, fake)
    assert in_tens.value == pytest.approx(10 * plain.value)
    assert in_tens.without_critic == pytest.approx(10 * plain.without_critic)
    in_tens, plain = exact_distance(real, fake, rng(), unit=10.0), exact_distance(real, fake, rng())
    assert [in_tens.value, in_tens.low, in_tens.high] == pytest.approx(
        [10 * plain.value, 10 * plain.low, 10 * plain.high]
    )


def test_non_finite_values_give_none():
    points = normal(10, 2, 0)
    broken = points.clone()
    broken[3, 1] = math.nan
    scores = torch.zeros(10)
    assert certify(scores, scores, points, broken) is None
    assert certify(scores, scores + math.inf, points, points) is None
    assert exact_distance(points, broken, rng()) is None


def test_problems_above_the_size_limit_are_not_solved():
    points = torch.linspace(0, 1, MAX_POINTS + 1, dtype=torch.float64)[:, None]
    assert exact_distance(points, points, rng()) is None
    assert exact_distance(points[1:], points[1:] + 1, rng()).value == pytest.approx(1.0)


def test_conditions_are_part_of_the_points():
    values = torch.arange(12.0).reshape(2, 3, 2)
    assert flat(Batch(values)).tolist() == values.reshape(2, 6).tolist()
    joint = flat(Batch(values, torch.tensor([[1.0], [0.0]])))
    assert joint.dtype == torch.float64
    assert joint[:, 6].tolist() == [1.0, 0.0]


def interval_coverage(num, size, shift, spread, repetitions):
    """Share of intervals that contain the mean distance, their half width in true standard errors, and the mean."""
    found = [
        exact_distance(normal(num, size, 2 * k), normal(num, size, 2 * k + 1, shift=shift, spread=spread), rng())
        for k in range(repetitions)
    ]
    values, low, high = (torch.tensor([getattr(each, name) for each in found]) for name in ("value", "low", "high"))
    covered = (low <= values.mean()) & (values.mean() <= high)
    return float(covered.double().mean()), float((high - low).mean() / 2 / 1.96 / values.std()), float(values.mean())


@pytest.mark.parametrize(("shift", "spread"), [(1.0, 1.0), (0.0, 2.0)])
def test_intervals_in_one_dimension_have_their_nominal_coverage(shift, spread):
    covered, width, mean = interval_coverage(200, 1, shift, spread, 300)
    # The share among 300 intervals of 95 % varies by ± 3.8 %.
    assert 0.90 < covered < 0.99
    assert 0.85 < width < 1.15
    # W1 of a translation is its length; of a scaling, the difference of the mean absolute deviations.
    assert mean == pytest.approx(shift or math.sqrt(2 / math.pi), abs=0.03)


@pytest.mark.slow
@pytest.mark.parametrize("size", [1, 2, 10])
@pytest.mark.parametrize(("shift", "spread"), [(0.0, 1.0), (0.3, 1.0), (1.0, 1.0), (0.0, 2.0)])
def test_intervals_in_any_dimension_have_nearly_their_nominal_coverage(size, shift, spread):
    covered, width, _ = interval_coverage(200, size, shift, spread, 150)
    assert covered > 0.85
    # Intervals are too wide only between samples of one distribution.
    assert 0.85 < width < (1.6 if shift < 1 and spread == 1 else 1.25)


def test_pairing_by_condition_narrows_the_interval():
    rows = normal(300, 1, 0, spread=5.0)
    # Each sample is 1 from its row, so the distance has no variance.
    found = exact_distance(rows, rows + 1.0, rng())
    assert found.value == pytest.approx(1.0)
    assert found.high - found.low < 1e-9
    shuffled = exact_distance(rows, rows[torch.randperm(300, generator=rng())] + 1.0, rng())
    assert shuffled.value == pytest.approx(1.0)
    assert shuffled.high - shuffled.low > 1.0
