"""Gradients of the generator against closed forms for linear players."""

import copy
import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from wgan.batch import Batch, Layout
from wgan.constraints import Unconstrained
from wgan.data.toy_source import ToySource
from wgan.errors import NumericError, UsageError
from wgan.networks import MLP, Critic, Generator
from wgan.objectives import FGAN, GAN, Hinge, LeastSquares, Relativistic, Wasserstein
from wgan.optimizers import Adam
from wgan.training.engine import Engine
from wgan.training.game import Game, Prior
from wgan.training.hyperparameters import Hyperparameters
from wgan.training.setup import Setup
from wgan.trust.gradients import generator_gradient, saturation, weight_gradient


def linear(objective, **numbers):
    return setup_of(linear_game(**numbers), objective)


def setup_of(game, objective, packing=1):
    hparams = Hyperparameters(generator_steps=0, batch_size=len(NOISE), packing=packing)
    return Setup(game, ToySource("ring"), objective, Unconstrained(), hparams)


def linear_game(mean=1.5, deviation=0.7, slope=-2.0, offset=0.3):
    """x = mean + deviation z, and the score slope x + offset."""
    generator, critic = Generator(nn.Linear(1, 1), 1, Layout(shape=(1,))), Critic(nn.Linear(1, 1))
    with torch.no_grad():
        for player, (weight, bias) in ((generator, (deviation, mean)), (critic, (slope, offset))):
            player.body.weight.fill_(weight)
            player.body.bias.fill_(bias)
    return game_of(generator, critic)


def game_of(generator, critic):
    return Game(
        generator=generator,
        critic=critic,
        generator_optimizer=Adam().build(generator.parameters()),
        critic_optimizer=Adam().build(critic.parameters()),
        prior=Prior(generator.latent_dim),
        seed=0,
        engine=Engine(),
        averaged=False,
    )


NOISE = torch.randn(64, 1, generator=torch.Generator().manual_seed(0))


# d loss / d score, for one sample of score s; D = sigmoid(s).
SLOPES = {
    "minimax": (GAN(generator="minimax"), lambda s: -s.sigmoid()),
    "-log D": (GAN(), lambda s: s.sigmoid() - 1.0),
    "wasserstein": (Wasserstein(), lambda s: -torch.ones_like(s)),
    "hinge": (Hinge(), lambda s: -torch.ones_like(s)),
    "least squares": (LeastSquares(), lambda s: s - 1.0),
    "f-GAN of kl": (FGAN(divergence="kl", generator="minimax", score="log-ratio"), lambda s: -s.exp()),
    "f-GAN of pearson": (
        FGAN(divergence="pearson", generator="minimax", score="log-ratio"),
        lambda s: -2.0 * (2.0 * s).exp(),
    ),
}


@pytest.mark.parametrize("name", SLOPES)
def test_gradients_of_linear_players_equal_closed_forms(name):
    objective, slope_at = SLOPES[name]
    game = linear_game()
    z = NOISE[:, 0].double()
    gradient = slope_at(-2.0 * (1.5 + 0.7 * z) + 0.3) * -2.0
    found = generator_gradient(setup_of(game, objective), NOISE)
    assert found.at_samples.item() == pytest.approx(gradient.abs().mean().item(), rel=1e-5)
    at_weight, at_bias = (gradient * z).mean().item(), gradient.mean().item()
    assert found.at_weights.item() == pytest.approx(math.hypot(at_weight, at_bias), rel=1e-5)
    assert weight_gradient(setup_of(game, objective), NOISE).tolist() == pytest.approx([at_weight, at_bias], rel=1e-5)


def test_packing_scales_the_gradient_at_each_sample():
    """f(x, y) = 3 x + 4 y: there are half as many packs of two, so the gradient at a sample is twice its slope."""
    generator, critic = linear_game().generator, Critic(nn.Linear(2, 1))
    with torch.no_grad():
        critic.body.weight.copy_(torch.tensor([[3.0, 4.0]]))
    game, z = game_of(generator, critic), NOISE[:, 0].reshape(-1, 2).double()
    found = generator_gradient(setup_of(game, Wasserstein(), packing=2), NOISE)
    assert found.at_samples.item() == pytest.approx(2 * 3.5)
    at_weight = -(3.0 * z[:, 0] + 4.0 * z[:, 1]).mean().item()
    assert weight_gradient(setup_of(game, Wasserstein(), packing=2), NOISE).tolist() == pytest.approx(
        [at_weight, -7.0], rel=1e-5
    )
    real = Batch(torch.zeros(64, 1))
    assert generator_gradient(setup_of(game, Relativistic(), packing=2), NOISE, real).at_samples > 0
    with pytest.raises(UsageError, match="63 samples cannot be packed by 2"):
        generator_gradient(setup_of(game, Wasserstein(), packing=2), NOISE[1:])


def test_the_relativistic_gradient_needs_real_samples():
    game, real = linear_game(), Batch(NOISE.flip(0))
    score = -2.0 * (1.5 + 0.7 * NOISE[:, 0].double()) + 0.3
    other = -2.0 * NOISE.flip(0)[:, 0].double() + 0.3
    gradient = -(other - score).sigmoid() * -2.0
    found = generator_gradient(setup_of(game, Relativistic()), NOISE, real)
    assert found.at_samples.item() == pytest.approx(gradient.abs().mean().item(), rel=1e-5)
    with pytest.raises(UsageError, match="needs real samples, and none were given"):
        generator_gradient(setup_of(game, Relativistic()), NOISE)


def test_gradients_do_not_depend_on_the_batch_size():
    game = linear_game()
    twice = generator_gradient(setup_of(game, GAN()), NOISE.repeat(2, 1))
    once = generator_gradient(setup_of(game, GAN()), NOISE)
    assert twice.at_samples.item() == pytest.approx(once.at_samples.item(), rel=1e-6)
    assert twice.at_weights.item() == pytest.approx(once.at_weights.item(), rel=1e-6)


def test_a_confident_discriminator_weakens_the_minimax_gradient_and_strengthens_the_nonsaturating_one():
    minimax, other = [
        [generator_gradient(linear(GAN(generator=form), slope=slope), NOISE).at_weights.item() for slope in (-2, -6)]
        for form in ("minimax", "nonsaturating")
    ]
    assert minimax[1] < minimax[0]
    assert other[1] > other[0]


def test_a_constant_critic_has_zero_gradient():
    found = generator_gradient(linear(GAN(), slope=0.0), NOISE)
    assert found.at_samples.item() == found.at_weights.item() == 0.0


def test_measuring_gradients_does_not_change_the_players():
    torch.manual_seed(0)
    layout = Layout(shape=(2,))
    mlp = MLP(width=8, depth=2, norm="batch")
    game = game_of(mlp.generator(3, layout), mlp.critic(layout))
    before = copy.deepcopy([game.generator.state_dict(), game.critic.state_dict()])
    noise = torch.randn(16, 3)
    first = generator_gradient(setup_of(game, GAN()), noise)
    assert generator_gradient(setup_of(game, GAN()), noise) == first
    for state, network in zip(before, (game.generator, game.critic), strict=True):
        after = network.state_dict()
        assert all(torch.equal(state[name], after[name]) for name in state)
        assert all(weight.grad is None for weight in network.parameters())


def test_saturation_of_known_scores():
    edge = math.log(999.0)
    found = saturation([edge + 1e-4, edge - 1e-4, 0.0, 30.0], [-edge - 1e-4, -edge + 1e-4])
    assert found.share_of_real.item() == 0.5
    assert found.share_of_fake.item() == 0.5
    assert found.share.item() == 0.5
    assert saturation([0.0], [0.0]).slope.item() == 0.25
    assert saturation([math.log(3.0)], [-math.log(3.0)]).slope.item() == pytest.approx(3.0 / 16.0)


@settings(deadline=None, max_examples=30)
@given(st.lists(st.floats(-800, 800), min_size=1, max_size=8), st.lists(st.floats(-800, 800), min_size=1, max_size=8))
def test_saturation_is_symmetric_in_real_and_generated(real, fake):
    found, mirrored = saturation(real, fake), saturation([-v for v in fake], [-v for v in real])
    assert found.share.item() == pytest.approx(mirrored.share.item())
    assert found.share_of_real.item() == mirrored.share_of_fake.item()
    assert found.slope.item() == pytest.approx(mirrored.slope.item(), abs=1e-15)
    assert 0.0 <= found.slope.item() <= 0.25 * (1 + 1e-12)
    mixed = (len(real) * found.share_of_real.item() + len(fake) * found.share_of_fake.item()) / (len(real) + len(fake))
    assert found.share.item() == pytest.approx(mixed)


def test_saturation_refuses_empty_and_non_finite_scores():
    with pytest.raises(UsageError, match="at least one score of real and one of generated"):
        saturation([], [1.0])
    with pytest.raises(NumericError, match="real_scores are NaN or infinite"):
        saturation([math.nan], [1.0])
