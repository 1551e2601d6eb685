"""What a run's record says of its generator's gradient: right, the same however often asked, and of no consequence."""

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


def drawn_for_the_probe(game, source, num):
    streams = Randomness(game.seed)
    return source.sample(num, streams.at("real of the probe")), game.prior.sample(num, streams.at("noise of the probe"))


@pytest.mark.parametrize("packing", [1, 4])
def test_the_probe_of_linear_players_is_known(packing):
    setup = small(generator="mlp:depth=0", critic="mlp:depth=0", objective="gan:generator=minimax", packing=packing)
    game, source = setup.game, setup.source
    real, noise = drawn_for_the_probe(game, source, 16)
    (weight, bias), (slopes, offset) = [
        [tensor.detach().double() for tensor in player.parameters()] for player in (game.generator, game.critic)
    ]
    fake = noise.double() @ weight.T + bias
    scores = [rows.reshape(16 // packing, -1) @ slopes[0] + offset for rows in (real.values.double(), fake)]
    # The loss is the mean of -softplus(score) over packs; each sample of a pack is pulled at by its own slopes.
    pull = (-scores[1].sigmoid()[:, None] * slopes * packing).reshape(16, 2)
    found = gradient_stats(setup).numbers()
    assert found["gradient_at_samples"] == pytest.approx(pull.norm(dim=1).mean().item(), rel=1e-5)
    at_weight, at_bias = pull.T @ noise.double() / 16, pull.mean(dim=0)
    at_weights = math.hypot(at_weight.norm().item(), at_bias.norm().item())
    assert found["gradient_at_weights"] == pytest.approx(at_weights, rel=1e-5)
    probabilities = torch.cat(scores).sigmoid()
    assert found["saturation_slope"] == pytest.approx((probabilities * (1 - probabilities)).mean().item(), rel=1e-5)
    assert found["saturated"] == found["saturated_real"] == found["saturated_fake"] == 0.0


def test_a_saturated_discriminator_shows_and_starves_the_minimax_generator():
    setup = small(objective="gan:generator=minimax")
    game = setup.game
    before = gradient_stats(setup).numbers()
    # A discriminator that says -20 of everything is wrong of what is real and sure of it all.
    with torch.no_grad():
        [*game.critic.parameters()][-1].fill_(-20.0)
    after = gradient_stats(setup).numbers()
    assert before["saturated"] == 0.0
    assert after["saturated"] == after["saturated_real"] == after["saturated_fake"] == 1.0
    assert after["saturation_slope"] < 1e-7
    assert after["gradient_at_weights"] < 1e-6 * before["gradient_at_weights"]


def test_what_answers_the_semi_dual_pulls_at_each_sample_with_slope_one():
    """d c(x, y) / d x is a unit vector where c is the Euclidean distance, whichever y answers."""
    found = gradient_stats(small(objective="semidual")).numbers()
    assert found["gradient_at_samples"] == pytest.approx(1.0, rel=1e-6)
    assert found.keys() == {"gradient_at_samples", "gradient_at_weights"}


def test_the_probe_of_a_generator_that_looks_ahead_sees_how_the_critic_will_answer():
    """Against differences between copies of the game whose critics really make the updates."""
    setup = small(unrolled_steps=3, generator="mlp:depth=0", constraint="r1")
    game, source = setup.game, setup.source
    list(train(setup))
    real, noise = drawn_for_the_probe(game, source, 16)
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
    still = gradient_stats(small(unrolled_steps=0, generator="mlp:depth=0", constraint="r1"))
    assert abs(still.numbers()["gradient_at_weights"] - found) > 0.05 * found


LABELS = DataOptions(condition=("label",))
GAMES = {
    "wasserstein": {"objective": "wasserstein", "constraint": "penalty"},
    "batch norm": {"generator": "mlp:width=8,norm=batch", "critic": "mlp:width=8,norm=batch"},
    "spectral norm, packed": {"objective": "hinge", "constraint": "spectral", "packing": 2},
    "flipped labels, lazy penalty, looking ahead": {
        "objective": "gan:flipping=0.1", "constraint": "r1:every=3", "unrolled_steps": 2, "lr_schedule": "linear"
    },
    "no critic": {"objective": "mmd", "critic": "identity"},
    "energy": {"objective": "energy:pull_away=0.1", "critic": "autoencoder:width=8,code=2", "packing": 2},
    "semi-dual": {"objective": "semidual"},
    "conditional": {"input": LABELS, "mismatch": 0.3, "conditioning": "projection", "objective": "fgan"},
    "conditional, packed, looking ahead": {
        "input": LABELS, "mismatch": 0.3, "objective": "relativistic", "unrolled_steps": 2, "packing": 2,
        "conditioning": "norm", "generator": "mlp:width=8,norm=batch",
    },
}  # fmt: skip


@pytest.mark.parametrize("name", GAMES)
def test_a_run_that_is_probed_is_the_run_that_is_not(name):
    states = []
    for is_probed in (False, True):
        setup = small(**GAMES[name])
        game = setup.game
        before = torch.get_rng_state()
        for _ in train(setup):
            if is_probed:
                first, again = gradient_stats(setup).numbers(), gradient_stats(setup).numbers()
                assert first == again
                assert first["gradient_at_weights"] > 0
                assert ("saturated" in first) == isinstance(setup.objective, GAN | Relativistic)
        assert torch.equal(torch.get_rng_state(), before)
        states.append(game.state()[0] | {"rate": torch.tensor(game.critic_optimizer.param_groups[0]["lr"])})
    assert all(torch.equal(states[0][key], states[1][key]) for key in states[0])


def test_a_game_that_was_restored_gives_the_numbers_of_the_one_that_was_saved():
    changes = GAMES["flipped labels, lazy penalty, looking ahead"]
    setup, fresh = small(**changes), small(**changes)
    list(train(setup))
    fresh.game.restore(*setup.game.state())
    assert gradient_stats(fresh).numbers() == gradient_stats(setup).numbers()


def test_numbers_that_are_not_finite_are_left_out():
    setup = small(objective="gan:generator=minimax")
    game = setup.game
    with torch.no_grad():
        [*game.critic.parameters()][-1].fill_(math.inf)
    assert "saturated" not in gradient_stats(setup).numbers()
    with torch.no_grad():
        next(iter(game.generator.parameters())).fill_(math.nan)
    assert gradient_stats(setup).numbers() == {}


def test_the_probe_is_drawn_under_the_conditions_of_the_data():
    """And not under any others, which would give another gradient."""
    setup = small(input=LABELS, conditioning="concat")
    game, source = setup.game, setup.source
    real, noise = drawn_for_the_probe(game, source, 16)
    fake = game.generate(noise, real.condition)
    loss = softplus(-game.score(*fake)).mean()
    slopes = torch.autograd.grad(loss, [*game.generator.parameters()])
    found = gradient_stats(setup).numbers()["gradient_at_weights"]
    assert found == pytest.approx(torch.cat([slope.flatten() for slope in slopes]).norm().item(), rel=1e-5)
    other = game.generate(noise, real.condition.flip(0))
    loss = softplus(-game.score(*other)).mean()
    slopes = torch.autograd.grad(loss, [*game.generator.parameters()])
    assert found != pytest.approx(torch.cat([slope.flatten() for slope in slopes]).norm().item(), rel=1e-3)
