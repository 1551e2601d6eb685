"""Statistics of a critic: histograms and t statistics of scores, and slopes of functions with known gradients."""

import itertools
import math

import pytest
import scipy.stats
import torch
from hypothesis import given
from hypothesis import strategies as st

from wgan.batch import Batch, Layout
from wgan.constraints import SpectralNorm
from wgan.networks import DCGAN, MLP, ResNet
from wgan.networks.conditioning import Given
from wgan.trust.critic_statistics import BINS, score_histogram, slopes, welch_t

NUMBERS = st.lists(st.floats(-(2.0**100), 2.0**100, width=32), min_size=1, max_size=40)


def test_uniform_scores_fill_bins_evenly_on_both_sides():
    real, fake = torch.linspace(1.0, 2.0, 5001), torch.linspace(-2.0, -1.0, 2501)
    found = score_histogram(real, fake, bins=20)
    assert len(found["edges"]) == 21
    assert -2.0 < found["edges"][0] < -1.95
    assert 1.95 < found["edges"][-1] < 2.0
    assert sum(found["real"][:10]) == sum(found["fake"][10:]) == 0
    inner = torch.tensor(found["real"][16:19])
    assert int(inner.max() - inner.min()) <= 1


def test_outliers_are_counted_in_the_outermost_bins():
    real = torch.cat([torch.linspace(0.0, 1.0, 1000), torch.tensor([1e6])])
    found = score_histogram(real, torch.linspace(0.0, 1.0, 1000))
    assert found["edges"][-1] <= 1.0
    assert found["edges"][0] >= 0.0
    assert sum(found["real"]) == 1001
    assert sum(found["fake"]) == 1000
    assert found["real"][-1] > found["fake"][-1]


@given(NUMBERS, NUMBERS)
def test_every_score_is_counted_once_and_edges_ascend(real, fake):
    found = score_histogram(torch.tensor(real), torch.tensor(fake))
    assert (sum(found["real"]), sum(found["fake"])) == (len(real), len(fake))
    assert len(found["real"]) == len(found["fake"]) == BINS
    assert all(low < high for low, high in itertools.pairwise(found["edges"]))


def test_constant_scores_are_in_one_bin():
    found = score_histogram(torch.full((7,), 3.0), torch.full((5,), 3.0))
    assert sorted(found["real"])[-2:] == [0, 7]
    assert found["real"].index(7) == found["fake"].index(5)
    assert found["edges"][0] < 3.0 < found["edges"][-1]
    assert 0 < found["real"].index(7) < BINS - 1


def test_scores_that_are_not_finite_have_no_histogram():
    assert score_histogram(torch.tensor([1.0, float("nan")]), torch.tensor([1.0])) is None
    assert score_histogram(torch.tensor([1.0]), torch.tensor([float("inf")])) is None
    assert score_histogram(torch.empty(0), torch.empty(0)) is None


def test_welch_t_equals_scipys():
    rng = torch.Generator().manual_seed(0)
    first, second = 3.0 + torch.randn(80, generator=rng), 2.0 + 5.0 * torch.randn(33, generator=rng)
    wanted = scipy.stats.ttest_ind(first.double().numpy(), second.double().numpy(), equal_var=False).statistic
    assert welch_t(first, second) == pytest.approx(wanted, rel=1e-9)
    assert welch_t(second, first) == pytest.approx(-wanted, rel=1e-9)


@pytest.mark.parametrize("scores", [[1.0], [2.0, 2.0], [1.0, float("nan")], []])
def test_scores_without_variance_have_no_t_statistic(scores):
    assert welch_t(torch.tensor(scores), torch.tensor(scores)) is None


def rows(num, *shape, seed=0):
    return torch.randn(num, *shape, generator=torch.Generator().manual_seed(seed))


@pytest.fixture(autouse=True)
def seeded():
    with torch.random.fork_rng():
        torch.manual_seed(0)
        yield


def half_square(values, condition):
    return values.flatten(1).square().sum(dim=1) / 2


@pytest.mark.parametrize("shape", [(3,), (2, 4, 4)])
def test_the_slope_of_half_the_squared_norm_is_the_norm(shape):
    real, fake = rows(40, *shape), 0.5 * rows(30, *shape, seed=1)
    found = slopes(half_square, Batch(real), Batch(fake), climb_steps=0)
    lengths = [side[:30].flatten(1).double().norm(dim=1) for side in (real, fake)]
    assert found.real == pytest.approx(float(lengths[0].max()), rel=1e-6)
    assert found.fake == pytest.approx(float(lengths[1].max()), rel=1e-6)
    assert found.mean_real == pytest.approx(float(lengths[0].mean()), rel=1e-6)
    assert found.mean_fake == pytest.approx(float(lengths[1].mean()), rel=1e-6)
    # The norm of a point between two is at most the larger of theirs.
    assert found.between <= float(torch.maximum(*lengths).max())
    assert found.climbed == max(found.real, found.fake, found.between)
    assert slopes(half_square, Batch(real), Batch(fake), climb_steps=4).climbed > 1.5 * found.climbed


def test_a_steep_step_between_the_samples_is_found_only_between_them():
    real, fake = Batch(torch.full((50, 2), 1.0)), Batch(torch.full((50, 2), -1.0))
    found = slopes(lambda values, _: (20.0 * values[:, 0]).tanh(), real, fake, climb_steps=20)
    assert max(found.real, found.fake) < 1e-6
    # The slope is largest at 0, and the nearest of 50 points is 2 (share - 1/2) away.
    nearest = min(abs(2 * (k * (math.sqrt(5) - 1) / 2 % 1.0) - 1.0) for k in range(1, 51))
    assert found.between == pytest.approx(20.0 / math.cosh(20 * nearest) ** 2, rel=1e-3)
    assert found.between <= found.climbed
    assert found.climbed == pytest.approx(20.0, rel=1e-2)


def test_slopes_are_with_respect_to_samples_not_conditions():
    # With respect to x the slope is |c|, at most 5. With respect to c it would be |x|, at least 100.
    condition = torch.linspace(-5.0, 4.0, 25)[:, None]
    real, fake = Batch(rows(25, 1) + 100, condition), Batch(rows(25, 1, seed=1) - 100, condition)
    found = slopes(lambda values, condition: values[:, 0] * condition[:, 0], real, fake, climb_steps=8)
    assert found.real == found.fake == found.between == found.climbed == pytest.approx(5.0)
    assert found.mean_between == pytest.approx(float(condition.abs().mean()))


@pytest.mark.parametrize("activation", ["relu", "tanh"])
def test_no_slope_of_a_network_exceeds_the_bound_by_its_layers(activation):
    network = MLP(width=16, depth=2, activation=activation).critic(Layout(shape=(3,)))
    real, fake = Batch(rows(64, 3)), Batch(rows(64, 3, seed=1) + 1)
    found = slopes(network, real, fake, network=network, climb_steps=15)
    assert 0 < max(found.real, found.fake, found.between) <= found.climbed <= found.bound
    assert found.mean_fake < found.fake
    SpectralNorm().attach(network)
    for _ in range(50):
        network(real.values)  # power iterations converge
    assert slopes(network.eval(), real, fake, network=network).bound == pytest.approx(1.0, abs=1e-3)


def test_a_bound_by_layers_needs_a_chain_of_known_layers():
    images = Batch(rows(6, 1, 8, 8))
    for family in (DCGAN(filters=2, norm="none"), ResNet(filters=2)):
        critic = family.critic(Layout(shape=(1, 8, 8)))
        assert slopes(critic, images, images, network=critic).bound is None
    conditional = MLP(width=4, depth=1).critic(Layout(shape=(2,)), given=Given(size=2, way="concat"))
    batch = Batch(rows(6, 2), rows(6, 2))
    assert slopes(conditional, batch, batch, network=conditional).bound is None
    assert slopes(half_square, Batch(rows(6, 2)), Batch(rows(6, 2))).bound is None


def test_scores_without_a_gradient_have_no_slope():
    assert slopes(lambda values, _: torch.ones(len(values)), Batch(rows(6, 2)), Batch(rows(6, 2))) is None


def test_slopes_of_a_diverged_critic_are_nan():
    found = slopes(lambda values, _: values[:, 0] * float("nan"), Batch(rows(6, 2)), Batch(rows(6, 2)))
    assert math.isnan(found.real)
    assert math.isnan(found.climbed)
