"""Gradients of a fixed generator as its critic improves."""

import numpy as np
import pytest
import torch

from wgan.constraints import Unconstrained
from wgan.errors import UsageError
from wgan.objectives import GAN, Wasserstein
from wgan.studies.failures import Curve, LineMixture, Vanishing, vanishing
from wgan.studies.failures.mixtures import LineSource, line_generator
from wgan.studies.failures.vanishing import _game, _mean_and_noise
from wgan.training.hyperparameters import Hyperparameters
from wgan.training.setup import Setup
from wgan.trust.gradients import generator_gradient


@pytest.fixture(scope="module")
def measured():
    return vanishing(critic_steps=700)


def test_every_claim_holds(measured):
    assert [claim.text for claim in measured.claims() if not claim.holds] == []


def test_the_wasserstein_critic_has_the_slope_of_its_soft_penalty(measured):
    assert measured.slope == 1.3
    late = measured.wasserstein.norms[measured.steps >= 100]
    assert late == pytest.approx(np.full(len(late), 1.3), rel=0.06)
    # f decreases from the data to the samples, so that the generator moves them towards the data.
    middle = (measured.positions > 1.0) & (measured.positions < 5.0)
    assert np.gradient(measured.critic, measured.positions)[middle] == pytest.approx(-1.3, rel=0.1)


def test_the_discriminator_separates_data_and_samples(measured):
    assert measured.discriminator[measured.positions < 0.5].min() > 0.99
    assert measured.discriminator[measured.positions > 5.5].max() < 0.01


def test_the_gradient_of_minus_log_d_is_below_that_of_the_optimal_discriminator(measured):
    # The slope of the optimal logit is distance / deviation² = 24; a network approaches it from below.
    assert 2.0 < measured.nonsaturating.norms[-1] < 24.0


def test_claims_fail_for_constant_gradients():
    flat = Curve(norms=np.ones(3), noise=np.ones(3))
    wild = Curve(norms=np.array([1.0, 1.0, 2.0]), noise=np.ones(3))
    still = Vanishing(
        distance=1.0, deviation=1.0, steps=np.array([0, 30, 100]), minimax=flat, nonsaturating=flat, wasserstein=wild,
        saturated=np.zeros(3), positions=np.zeros(2), discriminator=np.zeros(2), critic=np.zeros(2), slope=1.0,
    )  # fmt: skip
    assert not any(claim.holds for claim in still.claims())


def test_results_depend_on_the_seed_alone():
    first, again, other = (vanishing(critic_steps=40, seed=seed) for seed in (0, 0, 1))
    assert first.minimax.norms.tolist() == again.minimax.norms.tolist()
    assert first.minimax.norms.tolist() != other.minimax.norms.tolist()


def test_mean_and_noise_of_gradients():
    gradients = torch.tensor([[3.0, 4.0], [3.0, 6.0], [3.0, 2.0]], dtype=torch.float64)
    assert _mean_and_noise(gradients) == pytest.approx((5.0, (8.0 / 3.0) ** 0.5))


def test_both_losses_have_the_same_direction_at_an_untrained_discriminator():
    game = _game(6.0, 0.5, seed=0)
    noise = torch.randn(32, 1, generator=torch.Generator().manual_seed(0))
    source, hparams = LineSource(LineMixture.of([1.0], [0.0], [0.5])), Hyperparameters(generator_steps=0)
    minimax, other, flat = (
        generator_gradient(Setup(game, source, loss, Unconstrained(), hparams), noise).at_samples.item()
        for loss in (GAN(generator="minimax"), GAN(), Wasserstein())
    )
    # D + (1 - D) = 1: the two gradients sum to the slope of the score.
    assert minimax + other == pytest.approx(flat, rel=1e-5)


def test_numbers_out_of_range_are_refused():
    with pytest.raises(UsageError, match=r"critic_steps at least 30, not 6\.0, 0\.5 and 5"):
        vanishing(critic_steps=5)
    with pytest.raises(UsageError, match="must be above 0"):
        vanishing(deviation=0.0)


def test_the_source_of_a_mixture_has_the_methods_of_a_source():
    source = LineSource(LineMixture.of([1.0], [0.0], [1.0]))
    rng = torch.Generator().manual_seed(0)
    assert source.sample(5, rng).values.shape == source.held_out(5, rng).shape == source.distinct(5, rng).shape
    assert source.labelled("unseen", 5, rng).values.shape == (0, 1)
    assert source.sample(5, rng).condition is None
    assert "a mixture of 1 Gaussians" in source.describe()
    assert source.fingerprint() != LineSource(LineMixture.of([1.0], [0.1], [1.0])).fingerprint()
    assert line_generator(2.0, 3.0)(torch.tensor([[1.0]])).item() == 5.0
