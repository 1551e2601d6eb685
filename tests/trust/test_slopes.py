"""How steep a critic is, against functions whose slope is known everywhere."""

import math

import pytest
import torch

from wgan.batch import Batch, Layout
from wgan.constraints import SpectralNorm
from wgan.networks import DCGAN, MLP, ResNet
from wgan.networks.conditioning import Given
from wgan.trust.slopes import slopes


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
def test_half_the_squared_length_is_as_steep_as_a_point_is_far(shape):
    real, fake = rows(40, *shape), 0.5 * rows(30, *shape, seed=1)
    found = slopes(half_square, Batch(real), Batch(fake), climb_steps=0)
    lengths = [side[:30].flatten(1).double().norm(dim=1) for side in (real, fake)]
    assert found.real == pytest.approx(float(lengths[0].max()), rel=1e-6)
    assert found.fake == pytest.approx(float(lengths[1].max()), rel=1e-6)
    assert found.mean_real == pytest.approx(float(lengths[0].mean()), rel=1e-6)
    assert found.mean_fake == pytest.approx(float(lengths[1].mean()), rel=1e-6)
    # A point between two is never further than the further of them.
    assert found.between <= float(torch.maximum(*lengths).max())
    assert found.climbed == max(found.real, found.fake, found.between)
    assert slopes(half_square, Batch(real), Batch(fake), climb_steps=4).climbed > 1.5 * found.climbed


def test_a_wall_between_the_samples_is_seen_between_them_and_nowhere_else():
    real, fake = Batch(torch.full((50, 2), 1.0)), Batch(torch.full((50, 2), -1.0))
    found = slopes(lambda values, _: (20.0 * values[:, 0]).tanh(), real, fake, climb_steps=20)
    assert max(found.real, found.fake) < 1e-6
    # The steepest place is 0; the point of 50 that is nearest to it is 2 (share - 1/2) away.
    nearest = min(abs(2 * (k * (math.sqrt(5) - 1) / 2 % 1.0) - 1.0) for k in range(1, 51))
    assert found.between == pytest.approx(20.0 / math.cosh(20 * nearest) ** 2, rel=1e-3)
    assert found.between <= found.climbed
    assert found.climbed == pytest.approx(20.0, rel=1e-2)


def test_slopes_are_along_the_samples_and_not_along_conditions():
    # Along x the slope is that of c, 5 at most; along c it would be that of x, 100 and more.
    condition = torch.linspace(-5.0, 4.0, 25)[:, None]
    real, fake = Batch(rows(25, 1) + 100, condition), Batch(rows(25, 1, seed=1) - 100, condition)
    found = slopes(lambda values, told: values[:, 0] * told[:, 0], real, fake, climb_steps=8)
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
        network(real.values)  # power iterations settle
    assert slopes(network.eval(), real, fake, network=network).bound == pytest.approx(1.0, abs=1e-3)


def test_a_bound_by_layers_needs_a_chain_of_known_layers():
    images = Batch(rows(6, 1, 8, 8))
    for family in (DCGAN(filters=2, norm="none"), ResNet(filters=2)):
        critic = family.critic(Layout(shape=(1, 8, 8)))
        assert slopes(critic, images, images, network=critic).bound is None
    told = MLP(width=4, depth=1).critic(Layout(shape=(2,)), given=Given(size=2, way="concat"))
    batch = Batch(rows(6, 2), rows(6, 2))
    assert slopes(told, batch, batch, network=told).bound is None
    assert slopes(half_square, Batch(rows(6, 2)), Batch(rows(6, 2))).bound is None


def test_scores_without_a_gradient_have_no_slope():
    assert slopes(lambda values, _: torch.ones(len(values)), Batch(rows(6, 2)), Batch(rows(6, 2))) is None


def test_a_critic_that_diverged_has_slopes_that_say_so():
    found = slopes(lambda values, _: values[:, 0] * float("nan"), Batch(rows(6, 2)), Batch(rows(6, 2)))
    assert math.isnan(found.real)
    assert math.isnan(found.climbed)
