"""Unrolled critic updates, functional optimiser steps, and packing."""

import copy
import dataclasses

import pytest
import torch

from wgan.batch import Batch, Layout
from wgan.constraints import CONSTRAINTS, R1
from wgan.data.points import PointsCodec
from wgan.errors import UsageError
from wgan.optimizers import OPTIMIZERS
from wgan.randomness import Randomness
from wgan.runs.setups import build_setup
from wgan.settings import Settings
from wgan.training.batches import CriticBatch, GeneratorBatch, generate, with_loss_draws
from wgan.training.hyperparameters import Hyperparameters
from wgan.training.loop import train
from wgan.training.losses import critic_loss, generator_loss, unrolled_critic
from wgan.training.updates import descend


class Shifted:
    conditions = None
    codec = PointsCodec.identity(2)

    def sample(self, size, rng):
        return Batch(torch.randn(size, 2, generator=rng) + 1.0)


def normal(num):
    return torch.randn(num, 2, generator=torch.Generator().manual_seed(1))


def small(**changes):
    """The setup of a small run, by default without a constraint."""
    settings = Settings(
        **{
            "generator": "mlp:depth=0", "critic": "mlp:width=8,depth=1,activation=tanh", "latent_dim": 2, "threads": 1,
            "batch_size": 16, "critic_steps": 1, "constraint": "none", "precision": "float32",
        }
        | changes
    )  # fmt: skip
    return build_setup(settings, Shifted())


def loss_ahead(setup, batch):
    fake = generate(setup, batch.noise, None)
    return generator_loss(setup, GeneratorBatch(batch.noise, None, real_for(setup, batch), batch), fake)


def loss_afterwards(setup, batch):
    """The same number, from a copy of the game whose critic is updated in place."""
    game = copy.deepcopy(setup.game)
    setup = dataclasses.replace(setup, game=game)
    for _ in range(setup.hparams.unrolled_steps):
        with torch.no_grad():
            fake = game.generate(batch.noise)
        loss, _ = critic_loss(setup, batch, fake)
        descend(loss, game.critic, game.critic_optimizer)
        setup.constraint.project(game.critic)
    with torch.no_grad():
        after = GeneratorBatch(batch.noise, None, real_for(setup, batch))
        return generator_loss(setup, after, game.generate(batch.noise)).item()


def real_for(setup, batch):
    return batch.real if setup.objective.generator_sees_real else None


CASES = {
    "gan": {"critic_optimizer": "adam:lr=0.03,beta1=0.5"},
    "gan under a penalty": {"critic_optimizer": "adam:lr=0.03", "constraint": "penalty:weight=1"},
    "relativistic under r1 and r2": {
        "objective": "relativistic", "constraint": "r1r2:weight=1", "critic_optimizer": "rmsprop:lr=0.01"
    },
    "wasserstein, clipped": {"constraint": "clipping:bound=0.5", "critic_optimizer": "rmsprop:lr=0.01"},
    "features": {"objective": "mmd:kernel=gaussian:bandwidth=1,features=3", "critic_optimizer": "adam:lr=0.03"},
    "spectral": {"constraint": "spectral", "critic_optimizer": "adam:lr=0.03"},
}  # fmt: skip


@pytest.mark.parametrize("name", list(CASES))
@pytest.mark.parametrize("steps", [1, 3])
def test_the_unrolled_critic_is_the_updated_one_and_its_gradient_is_exact(name, steps):
    setup = small(**{"objective": "gan", "unrolled_steps": steps} | CASES[name])
    game = setup.game
    # Some updates first, so that the optimiser has a state.
    plain = Hyperparameters(generator_steps=4)
    list(train(dataclasses.replace(setup, hparams=plain)))
    if name == "spectral":
        # In training mode each forward pass changes the singular vectors.
        game.critic.eval()
    batch = with_loss_draws(setup, CriticBatch(Shifted().sample(16, torch.Generator()), normal(16)), 0)
    before = {name: value.clone() for name, value in game.state()[0].items()}

    loss = loss_ahead(setup, batch)
    assert loss.item() == pytest.approx(loss_afterwards(setup, batch), rel=1e-5)
    weight = game.generator.body[0].weight
    (gradient,) = torch.autograd.grad(loss, weight)
    direction = torch.randn(weight.shape, generator=torch.Generator().manual_seed(2))
    values = []
    for sign in (1, -1):
        moved = copy.deepcopy(game)
        with torch.no_grad():
            moved.generator.body[0].weight += sign * 0.01 * direction
        values.append(loss_afterwards(dataclasses.replace(setup, game=moved), batch))
    difference = (values[0] - values[1]) / 0.02
    assert (gradient * direction).sum().item() == pytest.approx(difference, rel=0.02, abs=2e-4)
    for name, value in game.state()[0].items():
        assert torch.equal(value, before[name]), name


@pytest.mark.parametrize(
    "changes", [{"critic": "mlp:width=8,norm=batch"}, {"constraint": "spectral"}], ids=["batch norm", "spectral norm"]
)
def test_unrolled_updates_leave_statistics_unchanged(changes):
    setup = small(objective="gan", unrolled_steps=2, **changes)
    game, before = setup.game, {name: value.clone() for name, value in setup.game.state()[0].items()}
    loss_ahead(setup, CriticBatch(Shifted().sample(8, torch.Generator()), normal(8))).backward()
    for name, value in game.state()[0].items():
        assert torch.equal(value, before[name]), name


def test_the_gradient_goes_through_the_unrolled_updates():
    """Metz et al. (2017), equation 10: the second term is the critic's response to the generator."""
    setup = small(objective="gan", critic_optimizer="adam:lr=0.1", unrolled_steps=3)
    game, weight = setup.game, setup.game.generator.body[0].weight
    batch = CriticBatch(Shifted().sample(16, torch.Generator()), normal(16))
    fake = game.generate(batch.noise)
    parameters = unrolled_critic(setup, batch, fake, 0)
    still = {name: value.detach() for name, value in parameters.items()}
    whole, partial = (
        torch.autograd.grad(setup.objective.generator_loss(game.score(*fake, each), None), weight, retain_graph=True)[0]
        for each in (parameters, still)
    )
    assert (whole - partial).norm() > 0.05 * partial.norm()


def test_a_lazy_penalty_acts_in_the_unrolled_updates_that_are_due():
    """Two critic updates before each generator update, and three unrolled ones from there."""
    numbers = []

    class Diary(R1):
        def at(self, update):
            numbers.append(update)
            return super().at(update)

    setup = small(objective="gan", critic_steps=2, unrolled_steps=3, steps=2)
    list(train(dataclasses.replace(setup, constraint=Diary(every=2))))
    assert numbers == [0, 1, 2, 3, 4, 2, 3, 4, 5, 6]


# The last has momentum, with bias correction.
STEPPED = [*(f"{name}:lr=0.05" for name in OPTIMIZERS), "adam:lr=0.05,beta1=0.7,beta2=0.99"]


@pytest.mark.parametrize("word", STEPPED)
def test_the_functional_step_is_the_step_of_the_optimiser(word):
    weights = [torch.nn.Parameter(torch.randn(3, 2)), torch.nn.Parameter(torch.randn(4))]
    optimizer = OPTIMIZERS.build(word).build(weights)
    slots, foreseen = optimizer.slots(), [weight.detach().clone() for weight in weights]
    for step in range(4):
        gradients = [torch.randn(weight.shape, generator=torch.Generator().manual_seed(step)) for weight in weights]
        if step == 2:
            gradients[1] = torch.zeros(4)
        foreseen, slots = optimizer.functional_step(foreseen, gradients, slots)
        for weight, gradient in zip(weights, gradients, strict=True):
            weight.grad = gradient.clone()
        optimizer.step()
        for weight, seen in zip(weights, foreseen, strict=True):
            torch.testing.assert_close(seen, weight.detach(), rtol=1e-5, atol=1e-6)
    assert optimizer.functional_step(foreseen, [None, None], slots)[0][0] is foreseen[0]


def test_the_functional_step_has_finite_derivatives_at_zero_gradient():
    optimizer = OPTIMIZERS.build("adam").build([torch.nn.Parameter(torch.zeros(2))])
    pull = torch.zeros(2, requires_grad=True)
    (moved,), _ = optimizer.functional_step([torch.zeros(2)], [pull * pull], optimizer.slots())
    (gradient,) = torch.autograd.grad(moved.sum(), pull)
    assert gradient.isfinite().all()


def test_unrolling_needs_a_functional_optimiser():
    setup = small(unrolled_steps=1)
    setup.game.critic_optimizer = torch.optim.SGD(setup.game.critic.parameters(), lr=0.1)
    with pytest.raises(UsageError, match="updates of SGD cannot be looked through"):
        list(train(setup))


def test_packing_joins_samples():
    batch = Batch(torch.arange(12.0).reshape(6, 2), torch.arange(6.0)[:, None])
    packed = batch.packed(3)
    assert packed.values.tolist() == [[0, 1, 2, 3, 4, 5], [6, 7, 8, 9, 10, 11]]
    assert packed.condition.tolist() == [[0, 1, 2], [3, 4, 5]]
    assert batch.packed(1) is batch
    images = torch.randn(4, 3, 5, 5)
    packed = Batch(images).packed(2).values
    assert packed.shape == (2, 6, 5, 5)
    assert torch.equal(packed[1, 3:], images[3])
    layout = Layout(shape=(5,), groups=((1, 3), (3, 5))).packed(2)
    assert layout == Layout(shape=(10,), groups=((1, 3), (3, 5), (6, 8), (8, 10)))


def test_a_linear_critic_of_packs_adds_the_scores_of_their_samples():
    """f(x, y) = g(x) + g(y): the estimate is twice that of g, and the slope sqrt(2) times as steep."""
    pairs, alone = small(packing=2, critic="mlp:depth=0"), small(critic="mlp:depth=0")
    with torch.no_grad():
        pairs.game.critic.body[1][0].weight.copy_(alone.game.critic.body[1][0].weight.repeat(1, 2))
    real, fake, penalty = Shifted().sample(8, torch.Generator()), Batch(normal(8)), CONSTRAINTS.build("r1:weight=2")
    estimates, extra = [], []
    for setup in (pairs, alone):
        batch = CriticBatch(setup.pack(real), normal(8)), setup.pack(fake)
        loss, estimate = critic_loss(setup, *batch)
        estimates.append(estimate)
        extra.append(critic_loss(dataclasses.replace(setup, constraint=penalty), *batch)[0] - loss)
    torch.testing.assert_close(estimates[0], 2 * estimates[1])
    torch.testing.assert_close(extra[0], 2 * extra[1])


def test_a_critic_that_ignores_all_but_one_sample_of_a_pack_trains_as_without_packing():
    """The other weights are 0, so that only every second sample counts."""
    changes = {"objective": "gan", "constraint": "none", "critic": "mlp:depth=0", "steps": 1}
    setup, fresh = (small(packing=2, batch_size=16, **changes) for _ in range(2))
    layer, fresh = setup.game.critic.body[1][0], fresh.game
    with torch.no_grad():
        layer.weight[:, 2:] = 0.0
    weight = layer.weight.detach().clone()
    (step,) = train(setup)
    streams = Randomness(fresh.seed)
    real = Shifted().sample(16, streams.at("real", 0, 0)).values[::2]
    fake = fresh.generate(fresh.prior.sample(16, streams.at("noise of the critic", 0, 0))).values[::2]
    expected = setup.objective.estimate(real @ weight[0, :2], fake @ weight[0, :2])
    assert step.estimate.item() == pytest.approx(expected.item(), abs=1e-6)
