"""Gradient diagnostics, against closed forms for linear players and against real updates."""

import copy
import dataclasses
import itertools
import math

import pytest
import torch
from small_games import played, small
from torch import nn

from wgan.constraints import Unconstrained, WeightClipping
from wgan.networks import Critic
from wgan.optimizers import Adam, RMSProp
from wgan.randomness import Randomness
from wgan.settings import DataOptions
from wgan.training.batches import draw_critic_batch, generate, with_loss_draws
from wgan.training.game import Game
from wgan.training.loop import train
from wgan.training.losses import critic_loss
from wgan.training.updates import descend
from wgan.trust.gradient_diagnostics import diagnose_gradients, share_at_bound, step_cosine


def test_the_gradients_of_linear_players_are_known():
    setup = small(generator="mlp:depth=0", critic="mlp:depth=0", constraint="none")
    game, source = setup.game, setup.source
    slopes = next(game.critic.parameters()).detach().double()[0]
    streams = Randomness(game.seed)
    real = source.sample(16, streams.at("real of the moves")).values.double()
    noise = game.prior.sample(16, streams.at("noise of the moves"))
    with torch.no_grad():
        fake = game.generate(noise).values.double()
    found = diagnose_gradients(setup)
    # The output of the critic's only layer is the score; that of the generator's is the sample.
    assert found.critic_layers == (pytest.approx(1.0),)
    assert found.generator_layers == (pytest.approx(float(slopes.norm()), rel=1e-5),)
    assert found.critic_weights == (pytest.approx(float((fake.mean(0) - real.mean(0)).norm()), rel=1e-5),)
    outer = slopes[:, None] * noise.double().mean(dim=0)
    assert found.generator_weights == (pytest.approx(float(outer.norm()), rel=1e-5),)
    assert found.at_bound is None


def clipped(bound, width, depth=12):
    """A deep ReLU critic whose weights were drawn far beyond the bound, then clipped."""
    changes = {"critic": f"mlp:width={width},depth={depth}", "constraint": f"clipping:bound={bound}"}
    setup = small(**changes, batch_size=64)
    with torch.random.fork_rng(), torch.no_grad():
        torch.manual_seed(0)
        for weight in setup.game.critic.parameters():
            weight.copy_(torch.randn_like(weight))
        WeightClipping(bound=bound).project(setup.game.critic)
    return setup


@pytest.mark.parametrize(
    ("bound", "width", "least", "most"),
    [(0.001, 64, 0.002, 0.02), (0.01, 64, 0.02, 0.2), (0.01, 512, 0.06, 0.4), (0.1, 512, 1.3, 3.0)],
)
def test_a_clipped_critic_scales_the_gradient_by_one_factor_in_each_layer(bound, width, least, most):
    # A row of `width` weights of size c scales the gradient by c sqrt(width / 2) on average: .0057, .057, .16, 1.6.
    found = diagnose_gradients(clipped(bound, width))
    assert len(found.critic_layers) == 13
    assert found.critic_layers[-1] == pytest.approx(1.0)
    hidden = found.critic_layers[:-1]
    factors = [before / after for before, after in itertools.pairwise(hidden) if after > 1e-30]
    assert len(factors) >= 8
    assert all(least < factor < most for factor in factors[-8:])


def test_gradients_at_weights_do_not_show_vanishing_gradients():
    found = diagnose_gradients(clipped(0.01, 512, depth=6))
    # The first two layers are narrower, and the last two are dominated by their biases.
    inner = found.critic_weights[1:4]
    assert max(inner) < 5 * min(inner)
    assert found.critic_layers[3] > 30 * found.critic_layers[1]


def test_a_gradient_that_vanishes_in_the_critic_does_not_reach_the_generator():
    healthy, starved = (diagnose_gradients(clipped(bound, 64, depth=4)).generator_layers for bound in (0.2, 0.002))
    assert len(healthy) == len(starved) == 2
    assert all(low < 1e-6 * high for low, high in zip(starved, healthy, strict=True))


@pytest.mark.parametrize(
    ("constraint", "objective", "packing"),
    [
        ("penalty:every=4", "wasserstein", 1),
        ("penalty:every=3", "wasserstein", 1),
        ("clipping:bound=0.1", "wasserstein", 2),
        ("none", "gan:flipping=0.1", 1),
    ],
)
def test_the_step_is_that_of_the_next_update(constraint, objective, packing):
    changes = {"constraint": constraint, "objective": objective, "packing": packing}
    setup = small(**changes)
    game = played(setup, 3)
    found = diagnose_gradients(setup)
    # A real update on the same batch.
    batch = draw_critic_batch(setup, "real of the moves", "noise of the moves")
    with torch.no_grad():
        fake = generate(setup, batch.noise, batch.condition)
    # Three generator updates with two critic updates each: the next one is number 6.
    current = setup.at(6)
    loss, _ = critic_loss(current, with_loss_draws(current, batch, -1), fake)
    weights = list(game.critic.parameters())
    before = [weight.detach().clone() for weight in weights]
    descend(loss, game.critic, game.critic_optimizer)
    step = torch.cat([(weight.detach() - old).flatten() for weight, old in zip(weights, before, strict=True)]).double()
    downhill = -torch.cat([weight.grad.flatten() for weight in weights]).double()
    assert found.step_cosine == pytest.approx(float(step @ downhill / (step.norm() * downhill.norm())), abs=1e-4)
    matrices = [float(weight.grad.double().norm()) for weight in weights if weight.dim() > 1]
    assert list(found.critic_weights) == pytest.approx(matrices, rel=1e-5)


def test_the_first_step_of_adam_is_the_sign_of_the_gradient():
    weights = [nn.Parameter(torch.zeros(3)), nn.Parameter(torch.zeros(2, 2))]
    gradients = [torch.tensor([3.0, -4.0, 1e-3]), torch.tensor([[1.0, -2.0], [0.5, 2.0]])]
    flat = torch.cat([gradient.flatten() for gradient in gradients]).double()
    of_signs = float(flat.abs().sum() / (math.sqrt(len(flat)) * flat.norm()))
    for optimizer in (Adam(beta1=0.9), RMSProp()):
        assert step_cosine(optimizer.build(weights), gradients) == pytest.approx(of_signs, rel=1e-4)


def test_momentum_in_the_opposite_direction_makes_the_cosine_negative():
    weight = nn.Parameter(torch.zeros(50))
    optimizer = Adam(lr=1e-3, beta1=0.9, beta2=0.999).build([weight])
    without = Adam(lr=1e-3, beta1=0.0, beta2=0.999).build([weight])
    for _ in range(20):
        weight.grad = torch.ones(50)
        optimizer.step()
        without.step()
    turned = [-torch.ones(50)]
    assert step_cosine(optimizer, turned) == pytest.approx(-1.0)
    assert step_cosine(without, turned) == pytest.approx(1.0)
    assert step_cosine(optimizer, [torch.ones(50)]) == pytest.approx(1.0)


def test_no_cosine_without_a_gradient_or_a_functional_step():
    weight = nn.Parameter(torch.zeros(4))
    assert step_cosine(Adam().build([weight]), [torch.zeros(4)]) is None
    assert step_cosine(Adam().build([weight]), [torch.full((4,), math.nan)]) is None
    assert step_cosine(torch.optim.SGD([weight]), [torch.ones(4)]) is None
    assert step_cosine(Adam().build([]), []) is None


def test_weights_at_the_bound_are_counted():
    critic = nn.Linear(4, 2)
    with torch.no_grad():
        critic.weight.copy_(torch.tensor([[0.1, -0.1, 0.09995, 0.0], [0.05, 0.0998, -0.0999001, 0.0]]))
        critic.bias.copy_(torch.tensor([-0.1, 0.03]))
    assert share_at_bound(critic, WeightClipping(bound=0.1)) == 5 / 10
    assert share_at_bound(critic, Unconstrained()) is None
    assert share_at_bound(nn.Flatten(), WeightClipping()) is None


RUNS = [
    {},
    {"constraint": "clipping:bound=0.05", "critic_optimizer": "rmsprop:lr=0.01"},
    {"constraint": "spectral", "critic": "mlp:width=8,depth=2"},
    {"constraint": "clipping", "critic": "mlp:width=8,norm=batch", "generator": "mlp:width=8,norm=batch"},
    {"objective": "gan", "constraint": "none", "unrolled_steps": 2},
    {"objective": "relativistic", "constraint": "r1r2:weight=1", "packing": 2},
    {"objective": "mmd:kernel=energy", "constraint": "penalty"},
    {"objective": "semidual", "constraint": "none"},
    {
        "input": DataOptions(condition=("label",)), "mismatch": 0.2, "conditioning": "norm-projection",
        "generator": "mlp:width=8,norm=layer",
    },
]  # fmt: skip


@pytest.mark.parametrize("changes", RUNS, ids=lambda changes: " ".join(map(str, changes.values())) or "penalty")
def test_diagnostics_do_not_change_the_run(changes):
    def played(is_looked_at):
        setup = small(**changes, steps=8)
        game = setup.game
        for step in train(setup):
            if is_looked_at and step.number in (1, 5):
                before = copy.deepcopy([game.state(), game.critic.training, game.generator.training])
                first = diagnose_gradients(setup)
                assert first == diagnose_gradients(setup)
                after = [game.state(), game.critic.training, game.generator.training]
                torch.testing.assert_close(after, before, rtol=0, atol=0)
        return game.state()

    torch.testing.assert_close(played(True), played(False), rtol=0, atol=0)


@pytest.mark.parametrize("changes", RUNS, ids=lambda changes: " ".join(map(str, changes.values())) or "penalty")
def test_every_layer_has_a_finite_gradient(changes):
    setup = small(**changes)
    game = setup.game
    found = diagnose_gradients(setup)
    for player, network in (("critic", game.critic), ("generator", game.generator)):
        layers, matrices = getattr(found, f"{player}_layers"), getattr(found, f"{player}_weights")
        linear = [part for name, part in network.named_modules() if isinstance(part, nn.Linear) and "emb" not in name]
        assert len(layers) == len(linear)
        assert len(matrices) == sum(weight.dim() > 1 for weight in network.parameters())
        assert all(math.isfinite(each) and each > 0 for each in (*layers, *matrices))
    # At the first update there is no momentum against the gradient.
    assert 0 < found.step_cosine <= 1


def test_a_critic_without_parameters_has_no_gradients():
    found = diagnose_gradients(small(objective="mmd", critic="identity", constraint="none", critic_steps=1))
    assert found.critic_layers == found.critic_weights == ()
    assert found.step_cosine is None
    assert len(found.generator_layers) == 2


def test_an_unused_parameter_has_gradient_zero():
    setup = small(critic="mlp:depth=0", constraint="none")
    game = setup.game
    body = nn.Linear(2, 1)
    body.register_parameter("idle", nn.Parameter(torch.ones(2, 2)))
    critic = Critic(body)
    idle = Game(
        generator=game.generator, critic=critic, generator_optimizer=game.generator_optimizer,
        critic_optimizer=Adam().build(critic.parameters()), prior=game.prior, seed=0, engine=game.engine,
        averaged=False,
    )  # fmt: skip
    found = diagnose_gradients(dataclasses.replace(setup, game=idle))
    assert len(found.critic_layers) == 1
    assert sorted(found.critic_weights)[0] == 0.0 < found.step_cosine


def test_convolutions_are_layers_from_the_samples_to_the_scores():
    changes = {"generator": "dcgan:filters=2", "critic": "dcgan:filters=2", "constraint": "clipping", "latent_dim": 4}
    setup = small(data="fashion-mnist", **changes)
    game = setup.game
    found = diagnose_gradients(setup)
    assert len(found.critic_layers) == sum(isinstance(part, nn.Conv2d) for part in game.critic.modules())
    kinds = nn.ConvTranspose2d | nn.Linear
    assert len(found.generator_layers) == sum(isinstance(part, kinds) for part in game.generator.modules())
    assert found.critic_layers[-1] == pytest.approx(1.0)


def test_gradient_norms_do_not_depend_on_the_batch_size():
    one = diagnose_gradients(small(critic="mlp:depth=0", constraint="none", batch_size=16))
    other = diagnose_gradients(small(critic="mlp:depth=0", constraint="none", batch_size=64))
    # For a linear critic the gradient at each sample is its slope.
    assert one.generator_layers[-1] == pytest.approx(other.generator_layers[-1], rel=1e-5)


def test_critic_layers_have_the_gradients_of_the_network():
    setup = small(critic="mlp:width=8,depth=2,activation=tanh")
    game, source = setup.game, setup.source
    found = diagnose_gradients(setup)
    real = source.sample(16, Randomness(game.seed).at("real of the moves")).values
    noise = game.prior.sample(16, Randomness(game.seed).at("noise of the moves"))
    with torch.no_grad():
        values = torch.cat([real, game.generate(noise).values])
    chain = game.critic.body[1]
    hidden = chain[0](values)
    (slopes,) = torch.autograd.grad(chain[1:](hidden).sum(), hidden)
    assert found.critic_layers[0] == pytest.approx(float(slopes.double().norm(dim=1).mean()), rel=1e-5)
