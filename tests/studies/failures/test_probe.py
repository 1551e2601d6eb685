"""Recorded gradient statistics of the generator: correct, reproducible, and without side effects."""

import copy
import dataclasses
import math

import pytest
import torch
from torch.nn.functional import softplus

from wgan.data import open_data
from wgan.objectives import GAN, Relativistic
from wgan.randomness import Randomness
from wgan.runs.setups import build_setup
from wgan.settings import DataOptions, Settings
from wgan.training.batches import LOOKING_AHEAD, CriticBatch, with_loss_draws
from wgan.training.loop import train
from wgan.training.losses import critic_loss
from wgan.training.updates import descend
from wgan.trust.gradients import gradient_stats


def small(**changes):
    """The setup of a small run on the ring."""
    settings = Settings(
        **{
            "data": "ring", "generator": "mlp:width=8,depth=1", "critic": "mlp:width=8,depth=1,activation=tanh",
            "objective": "gan", "constraint": "none", "latent_dim": 2, "threads": 1, "batch_size": 16, "steps": 8,
            "critic_steps": 2, "critic_optimizer": "adam:lr=0.03", "generator_optimizer": "adam:lr=0.01",
            "precision": "float32", "device": "cpu",
        }
        | changes
    )  # fmt: skip
    return build_setup(settings, open_data("ring", settings.input, seed=0))


def diagnosis_batch(game, source, num):
    streams = Randomness(game.seed)
    return source.sample(num, streams.at("real of the probe")), game.prior.sample(num, streams.at("noise of the probe"))


@pytest.mark.parametrize("packing", [1, 4])
def test_gradient_stats_of_linear_players_equal_closed_forms(packing):
    setup = small(generator="mlp:depth=0", critic="mlp:depth=0", objective="gan:generator=minimax", packing=packing)
    game, source = setup.game, setup.source
    real, noise = diagnosis_batch(game, source, 16)
    (weight, bias), (slopes, offset) = [
        [tensor.detach().double() for tensor in player.parameters()] for player in (game.generator, game.critic)
    ]
    fake = noise.double() @ weight.T + bias
    scores = [rows.reshape(16 // packing, -1) @ slopes[0] + offset for rows in (real.values.double(), fake)]
    # The loss is the mean of -softplus(score) over packs; each sample of a pack has its own weights in the score.
    gradient = (-scores[1].sigmoid()[:, None] * slopes * packing).reshape(16, 2)
    found = gradient_stats(setup).numbers()
    assert found["gradient_at_samples"] == pytest.approx(gradient.norm(dim=1).mean().item(), rel=1e-5)
    at_weight, at_bias = gradient.T @ noise.double() / 16, gradient.mean(dim=0)
    at_weights = math.hypot(at_weight.norm().item(), at_bias.norm().item())
    assert found["gradient_at_weights"] == pytest.approx(at_weights, rel=1e-5)
    probabilities = torch.cat(scores).sigmoid()
    assert found["saturation_slope"] == pytest.approx((probabilities * (1 - probabilities)).mean().item(), rel=1e-5)
    assert found["saturated"] == found["saturated_real"] == found["saturated_fake"] == 0.0


def test_a_saturated_discriminator_is_detected_and_the_minimax_gradient_vanishes():
    setup = small(objective="gan:generator=minimax")
    game = setup.game
    before = gradient_stats(setup).numbers()
    # Every score is -20: saturated for real and generated samples alike.
    with torch.no_grad():
        [*game.critic.parameters()][-1].fill_(-20.0)
    after = gradient_stats(setup).numbers()
    assert before["saturated"] == 0.0
    assert after["saturated"] == after["saturated_real"] == after["saturated_fake"] == 1.0
    assert after["saturation_slope"] < 1e-7
    assert after["gradient_at_weights"] < 1e-6 * before["gradient_at_weights"]


def test_the_semi_dual_gradient_at_samples_has_norm_one():
    """The gradient of the Euclidean cost c(x, y) in x is a unit vector for every y."""
    found = gradient_stats(small(objective="semidual")).numbers()
    assert found["gradient_at_samples"] == pytest.approx(1.0, rel=1e-6)
    assert found.keys() == {"gradient_at_samples", "gradient_at_weights"}


def test_gradient_stats_of_unrolled_updates_include_the_critics_response():
    """Against finite differences between copies whose critics are updated."""
    setup = small(unrolled_steps=3, generator="mlp:depth=0", constraint="r1")
    game, source = setup.game, setup.source
    list(train(setup))
    real, noise = diagnosis_batch(game, source, 16)
    batch = with_loss_draws(setup, CriticBatch(real, noise), 7, LOOKING_AHEAD)

    def loss_after_the_updates(weights):
        copied = copy.deepcopy(game)
        torch.nn.utils.vector_to_parameters(weights, copied.generator.parameters())
        for _ in range(3):
            with torch.no_grad():
                fake = copied.generate(noise)
            loss, _ = critic_loss(dataclasses.replace(setup, game=copied), batch, fake)
            descend(loss, copied.critic, copied.critic_optimizer)
        with torch.no_grad():
            return softplus(-copied.score(copied.generate(noise).values)).mean().double().item()

    at = torch.nn.utils.parameters_to_vector(game.generator.parameters()).detach()
    slopes = [
        (loss_after_the_updates(at + 0.005 * way) - loss_after_the_updates(at - 0.005 * way)) / 0.01
        for way in torch.eye(len(at))
    ]
    found = gradient_stats(setup).numbers()["gradient_at_weights"]
    assert found == pytest.approx(torch.tensor(slopes).norm().item(), rel=0.01)
    plain = gradient_stats(small(unrolled_steps=0, generator="mlp:depth=0", constraint="r1"))
    assert abs(plain.numbers()["gradient_at_weights"] - found) > 0.05 * found


LABELS = DataOptions(condition=("label",))
KINDS = {
    "wasserstein": {"objective": "wasserstein", "constraint": "penalty"},
    "batch norm": {"generator": "mlp:width=8,norm=batch", "critic": "mlp:width=8,norm=batch"},
    "spectral norm, packed": {"objective": "hinge", "constraint": "spectral", "packing": 2},
    "flipped labels, lazy penalty, unrolled": {
        "objective": "gan:flipping=0.1", "constraint": "r1:every=3", "unrolled_steps": 2, "lr_schedule": "linear"
    },
    "no critic": {"objective": "mmd", "critic": "identity"},
    "energy": {"objective": "energy:pull_away=0.1", "critic": "autoencoder:width=8,code=2", "packing": 2},
    "semi-dual": {"objective": "semidual"},
    "conditional": {"input": LABELS, "mismatch": 0.3, "conditioning": "projection", "objective": "fgan"},
    "conditional, packed, unrolled": {
        "input": LABELS, "mismatch": 0.3, "objective": "relativistic", "unrolled_steps": 2, "packing": 2,
        "conditioning": "norm", "generator": "mlp:width=8,norm=batch",
    },
}  # fmt: skip


@pytest.mark.parametrize("name", KINDS)
def test_measuring_gradients_does_not_change_training(name):
    states = []
    for is_measured in (False, True):
        setup = small(**KINDS[name])
        game = setup.game
        before = torch.get_rng_state()
        for _ in train(setup):
            if is_measured:
                first, again = gradient_stats(setup).numbers(), gradient_stats(setup).numbers()
                assert first == again
                assert first["gradient_at_weights"] > 0
                assert ("saturated" in first) == isinstance(setup.objective, GAN | Relativistic)
        assert torch.equal(torch.get_rng_state(), before)
        states.append(game.state()[0] | {"rate": torch.tensor(game.critic_optimizer.param_groups[0]["lr"])})
    assert all(torch.equal(states[0][key], states[1][key]) for key in states[0])


def test_a_restored_game_gives_the_same_gradient_stats():
    changes = KINDS["flipped labels, lazy penalty, unrolled"]
    setup, fresh = small(**changes), small(**changes)
    list(train(setup))
    fresh.game.restore(*setup.game.state())
    assert gradient_stats(fresh).numbers() == gradient_stats(setup).numbers()


def test_non_finite_numbers_are_omitted():
    setup = small(objective="gan:generator=minimax")
    game = setup.game
    with torch.no_grad():
        [*game.critic.parameters()][-1].fill_(math.inf)
    assert "saturated" not in gradient_stats(setup).numbers()
    with torch.no_grad():
        next(iter(game.generator.parameters())).fill_(math.nan)
    assert gradient_stats(setup).numbers() == {}


def test_gradient_stats_use_the_conditions_of_the_real_samples():
    """Other conditions would give another gradient."""
    setup = small(input=LABELS, conditioning="concat")
    game, source = setup.game, setup.source
    real, noise = diagnosis_batch(game, source, 16)
    fake = game.generate(noise, real.condition)
    loss = softplus(-game.score(*fake)).mean()
    slopes = torch.autograd.grad(loss, [*game.generator.parameters()])
    found = gradient_stats(setup).numbers()["gradient_at_weights"]
    assert found == pytest.approx(torch.cat([slope.flatten() for slope in slopes]).norm().item(), rel=1e-5)
    other = game.generate(noise, real.condition.flip(0))
    loss = softplus(-game.score(*other)).mean()
    slopes = torch.autograd.grad(loss, [*game.generator.parameters()])
    assert found != pytest.approx(torch.cat([slope.flatten() for slope in slopes]).norm().item(), rel=1e-3)
