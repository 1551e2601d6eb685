"""What the generator sees of the critic besides its scores: updates to come, and several samples as one."""

import copy

import pytest
import torch

from wgan.batch import Batch, Layout
from wgan.constraints import CONSTRAINTS, R1, Unconstrained, WeightClipping
from wgan.errors import UsageError
from wgan.objectives import OBJECTIVES, Wasserstein
from wgan.optimizers import OPTIMIZERS
from wgan.randomness import Randomness
from wgan.settings import Settings
from wgan.training.batches import Drawn, draw
from wgan.training.factory import build_game, choose_parts, hparams_of
from wgan.training.loop import Setup, train
from wgan.training.losses import critic_loss, generator_loss, look_ahead
from wgan.training.updates import descend


class Shifted:
    def sample(self, size, rng):
        return Batch(torch.randn(size, 2, generator=rng) + 1.0)


def normal(num):
    return torch.randn(num, 2, generator=torch.Generator().manual_seed(1))


def small_game(**changes):
    settings = Settings(
        **{
            "generator": "mlp:depth=0", "critic": "mlp:width=8,depth=1,activation=tanh", "latent_dim": 2, "threads": 1,
            "batch_size": 16, "critic_steps": 1, "constraint": "none", "precision": "float32",
        }
        | changes
    )  # fmt: skip
    return build_game(settings, Layout(shape=(2,))), settings


def seen_ahead(game, objective, constraint, steps, noise, real, drawn):
    fake = game.generate(noise)
    weights = look_ahead(game, objective, [constraint] * steps, real, fake, drawn)
    return generator_loss(game, objective, fake, real, weights)


def seen_afterwards(game, objective, constraint, steps, noise, real, drawn):
    """The same number, from a copy of the game whose critic really makes the updates."""
    game = copy.deepcopy(game)
    for _ in range(steps):
        with torch.no_grad():
            fake = game.generate(noise)
        loss, _ = critic_loss(game, objective, constraint, real, fake, drawn)
        descend(loss, game.critic, game.critic_optimizer)
        constraint.project(game.critic)
    with torch.no_grad():
        return generator_loss(game, objective, game.generate(noise), real).item()


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
def test_looking_ahead_is_what_the_updates_would_make_and_its_gradient_is_exact(name, steps):
    changes = {"objective": "gan"} | CASES[name]
    game, settings = small_game(**changes)
    parts = choose_parts(settings)
    # Some updates first, so that the optimiser remembers something.
    list(train(Setup(game, Shifted(), parts.objective, parts.constraint, hparams_of(Settings(**changes, steps=4)))))
    if name == "spectral":
        # A forward pass moves the singular vectors on; held still, both ways see the same.
        game.critic.eval()
    noise, real = normal(16), Shifted().sample(16, torch.Generator())
    drawn = draw(game, parts.objective, parts.constraint, real, 0)
    given = (parts.objective, parts.constraint, steps, noise, real, drawn)
    before = {name: value.clone() for name, value in game.state()[0].items()}

    loss = seen_ahead(game, *given)
    assert loss.item() == pytest.approx(seen_afterwards(game, *given), rel=1e-5)
    weight = game.generator.body[0].weight
    (gradient,) = torch.autograd.grad(loss, weight)
    direction = torch.randn(weight.shape, generator=torch.Generator().manual_seed(2))
    values = []
    for sign in (1, -1):
        moved = copy.deepcopy(game)
        with torch.no_grad():
            moved.generator.body[0].weight += sign * 0.01 * direction
        values.append(seen_afterwards(moved, *given))
    difference = (values[0] - values[1]) / 0.02
    assert (gradient * direction).sum().item() == pytest.approx(difference, rel=0.02, abs=2e-4)
    for name, value in game.state()[0].items():
        assert torch.equal(value, before[name]), name


@pytest.mark.parametrize(
    "changes", [{"critic": "mlp:width=8,norm=batch"}, {"constraint": "spectral"}], ids=["batch norm", "spectral norm"]
)
def test_statistics_of_updates_that_are_never_made_are_not_kept(changes):
    game, settings = small_game(objective="gan", **changes)
    parts, before = choose_parts(settings), {name: value.clone() for name, value in game.state()[0].items()}
    real, fake = Shifted().sample(8, torch.Generator()), game.generate(normal(8))
    weights = look_ahead(game, parts.objective, [parts.constraint] * 2, real, fake, Drawn(None, None))
    generator_loss(game, parts.objective, fake, None, weights).backward()
    for name, value in game.state()[0].items():
        assert torch.equal(value, before[name]), name


def test_the_gradient_through_the_updates_is_not_the_gradient_at_their_end():
    """Metz and others, equation 10: the second term is what tells the generator how the critic will answer."""
    game, _ = small_game(objective="gan", critic_optimizer="adam:lr=0.1")
    noise, real = normal(16), Shifted().sample(16, torch.Generator())
    objective, weight = OBJECTIVES.build("gan"), game.generator.body[0].weight
    fake = game.generate(noise)
    weights = look_ahead(game, objective, [Unconstrained()] * 3, real, fake, Drawn(None, None))
    (whole,) = torch.autograd.grad(generator_loss(game, objective, fake, None, weights), weight, retain_graph=True)
    still = {name: value.detach() for name, value in weights.items()}
    (partial,) = torch.autograd.grad(generator_loss(game, objective, fake, None, still), weight)
    assert (whole - partial).norm() > 0.05 * partial.norm()


def test_a_lazy_penalty_acts_ahead_in_the_updates_that_it_will_act_in():
    """Of two updates before each of the generator's, and three that are looked ahead to from there."""
    numbers = []

    class Diary(R1):
        def at(self, update):
            numbers.append(update)
            return super().at(update)

    game, settings = small_game(objective="gan", critic_steps=2, unrolled_steps=3, steps=2)
    list(train(Setup(game, Shifted(), choose_parts(settings).objective, Diary(every=2), hparams_of(settings))))
    assert numbers == [0, 1, 2, 3, 4, 2, 3, 4, 5, 6]


# The last has momentum, whose bias at the start is corrected for.
FORESEEN = [*(f"{name}:lr=0.05" for name in OPTIMIZERS), "adam:lr=0.05,beta1=0.7,beta2=0.99"]


@pytest.mark.parametrize("word", FORESEEN)
def test_an_optimiser_foresees_its_own_updates(word):
    weights = [torch.nn.Parameter(torch.randn(3, 2)), torch.nn.Parameter(torch.randn(4))]
    optimizer = OPTIMIZERS.build(word).build(weights)
    slots, foreseen = optimizer.slots(), [weight.detach().clone() for weight in weights]
    for step in range(4):
        gradients = [torch.randn(weight.shape, generator=torch.Generator().manual_seed(step)) for weight in weights]
        if step == 2:
            gradients[1] = torch.zeros(4)
        foreseen, slots = optimizer.foresee(foreseen, gradients, slots)
        for weight, gradient in zip(weights, gradients, strict=True):
            weight.grad = gradient.clone()
        optimizer.step()
        for weight, seen in zip(weights, foreseen, strict=True):
            torch.testing.assert_close(seen, weight.detach(), rtol=1e-5, atol=1e-6)
    assert optimizer.foresee(foreseen, [None, None], slots)[0][0] is foreseen[0]


def test_weights_that_nothing_pulls_at_have_a_finite_gradient():
    optimizer = OPTIMIZERS.build("adam").build([torch.nn.Parameter(torch.zeros(2))])
    pull = torch.zeros(2, requires_grad=True)
    (moved,), _ = optimizer.foresee([torch.zeros(2)], [pull * pull], optimizer.slots())
    (gradient,) = torch.autograd.grad(moved.sum(), pull)
    assert gradient.isfinite().all()


def test_updates_of_an_unknown_optimiser_cannot_be_looked_through():
    game, _ = small_game()
    game.critic_optimizer = torch.optim.SGD(game.critic.parameters(), lr=0.1)
    real, fake = Shifted().sample(4, torch.Generator()), game.generate(normal(4))
    with pytest.raises(UsageError, match="updates of SGD cannot be looked through"):
        look_ahead(game, Wasserstein(), [WeightClipping()], real, fake, Drawn(None, None))


def test_samples_are_packed_side_by_side():
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


def test_a_packed_linear_critic_adds_up_what_it_says_of_each_sample():
    """f(x, y) = g(x) + g(y): the estimate is twice that of g, and the slope sqrt(2) times as steep."""
    (game, _), (alone, _) = small_game(packing=2, critic="mlp:depth=0"), small_game(critic="mlp:depth=0")
    with torch.no_grad():
        game.critic.body[1][0].weight.copy_(alone.critic.body[1][0].weight.repeat(1, 2))
    real, fake = Shifted().sample(8, torch.Generator()), Batch(normal(8))
    penalty, nothing = CONSTRAINTS.build("r1:weight=2"), Drawn(None, None)
    packed = critic_loss(game, Wasserstein(), Unconstrained(), real.packed(2), fake.packed(2), nothing)
    single = critic_loss(alone, Wasserstein(), Unconstrained(), real, fake, nothing)
    torch.testing.assert_close(packed[1], 2 * single[1])
    extra = [
        critic_loss(one, Wasserstein(), penalty, batches[0], batches[1], nothing)[0] - loss[0]
        for one, batches, loss in (
            (game, (real.packed(2), fake.packed(2)), packed),
            (alone, (real, fake), single),
        )
    ]
    torch.testing.assert_close(extra[0], 2 * extra[1])


def test_a_packed_critic_that_looks_at_one_sample_of_each_pack_plays_the_plain_game():
    """Its other weights held at 0, and every second sample of a batch of twice the size looked at."""
    changes = {"objective": "gan", "constraint": "none", "critic": "mlp:depth=0", "steps": 1}
    game, settings = small_game(packing=2, batch_size=16, **changes)
    with torch.no_grad():
        game.critic.body[1][0].weight[:, 2:] = 0.0
    parts, weight = choose_parts(settings), game.critic.body[1][0].weight.detach().clone()
    (step,) = train(Setup(game, Shifted(), parts.objective, parts.constraint, hparams_of(settings)))
    fresh, _ = small_game(packing=2, batch_size=16, **changes)
    streams = Randomness(settings.seed)
    real = Shifted().sample(16, streams.at("real", 0, 0)).values[::2]
    fake = fresh.generate(fresh.prior.sample(16, streams.at("noise of the critic", 0, 0))).values[::2]
    expected = parts.objective.estimate(real @ weight[0, :2], fake @ weight[0, :2])
    assert step.estimate.item() == pytest.approx(expected.item(), abs=1e-6)
