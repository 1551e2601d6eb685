import dataclasses
import itertools

import pytest
import torch

from wgan.batch import Batch, Layout
from wgan.constraints import R1, Unconstrained, WeightClipping
from wgan.errors import UsageError
from wgan.networks import MLP
from wgan.objectives import GAN, Wasserstein
from wgan.optimizers import RMSProp
from wgan.randomness import Randomness
from wgan.settings import Settings
from wgan.training.engine import Engine
from wgan.training.factory import build_game, choose_parts, hparams_of
from wgan.training.game import Game, Prior
from wgan.training.hyperparameters import Hyperparameters
from wgan.training.loop import train
from wgan.training.setup import Setup


@dataclasses.dataclass
class Shifted:
    """N(shift, 1) in the plane, with a record of the requested batch sizes."""

    shift: float = 3.0
    asked: list = dataclasses.field(default_factory=list)

    def sample(self, size, rng):
        self.asked.append(size)
        return Batch(torch.randn(size, 2, generator=rng) + self.shift)


def small_game(**changes) -> tuple[Game, Settings]:
    settings = Settings(
        **{"generator": "mlp:width=8,depth=1", "critic": "mlp:width=8,depth=1", "latent_dim": 2, "threads": 1} | changes
    )
    return build_game(settings, Layout(shape=(2,))), settings


def run(game, settings, source=None, stop=None):
    parts = choose_parts(settings)
    steps = train(Setup(game, source or Shifted(), parts.objective, parts.constraint, hparams_of(settings)))
    return list(itertools.islice(steps, stop))


def test_one_step_is_algorithm_1_computed_by_hand():
    """Two critic updates and one generator update of linear players, against the lines of the paper."""
    layout = Layout(shape=(1,))
    generator, critic = MLP(depth=0).generator(1, layout), MLP(depth=0).critic(layout)
    with torch.no_grad():
        for weight, value in zip([*generator.parameters(), *critic.parameters()], (0.5, 0.1, 0.02, 0.0), strict=True):
            weight.fill_(value)
    lr, smoothing, bound = 1e-3, 0.99, 0.0205
    game = Game(
        generator=generator,
        critic=critic,
        generator_optimizer=RMSProp(lr=lr).build(generator.parameters()),
        critic_optimizer=RMSProp(lr=lr).build(critic.parameters()),
        prior=Prior(1),
        seed=5,
        engine=Engine(),
        averaged=False,
    )

    class Line:
        def sample(self, size, rng):
            return Batch(torch.randn(size, 1, generator=rng) + 2.0)

    hparams = Hyperparameters(generator_steps=1, batch_size=4, critic_steps=2)
    (step,) = train(Setup(game, Line(), Wasserstein(), WeightClipping(bound=bound), hparams))

    streams = Randomness(5)
    a, b, w, square = 0.5, 0.1, 0.02, 0.0
    for t in range(2):
        x = torch.randn(4, 1, generator=streams.at("real", 0, t)) + 2.0
        z = torch.randn(4, 1, generator=streams.at("noise of the critic", 0, t))
        gradient = (x.mean() - (a * z + b).mean()).item()  # of mean f(x) - mean f(g(z)) in w; the bias cancels
        estimate = w * gradient
        square = smoothing * square + (1 - smoothing) * gradient**2
        w = w + lr * gradient / (square**0.5 + 1e-8)
        w = max(-bound, min(bound, w))
    assert w == bound  # the update left the box, and line 7 came after it
    z = torch.randn(4, 1, generator=streams.at("noise of the generator", 0))
    loss = -(w * (a * z + b)).mean().item()
    weights = []
    for value, gradient in ((a, -(w * z).mean().item()), (b, -w)):
        weights.append(value - lr * gradient / (((1 - smoothing) * gradient**2) ** 0.5 + 1e-8))

    assert step.number == 1
    assert step.estimate.item() == pytest.approx(estimate, rel=1e-5)
    assert step.generator_loss.item() == pytest.approx(loss, rel=1e-5)
    assert critic.body[1][0].weight.item() == pytest.approx(w, rel=1e-6)
    assert [weight.item() for weight in generator.parameters()] == pytest.approx(weights, rel=1e-5)


def test_defaults_are_those_of_the_paper():
    settings, hparams = Settings(), hparams_of(Settings())
    parts = choose_parts(settings)
    assert (hparams.batch_size, hparams.critic_steps) == (64, 5)
    assert parts.generator_optimizer == parts.critic_optimizer == RMSProp(lr=5e-5)
    assert parts.constraint == WeightClipping(bound=0.01)


def test_golden_curve():
    """Twenty CPU steps whose numbers must never change."""
    game, settings = small_game(
        steps=20, batch_size=16, critic_steps=2, constraint="penalty:weight=0.1", lr_schedule="cosine", ema_decay=0.9,
        generator_optimizer="adam:lr=0.01,beta1=0.5", critic_optimizer="adam:lr=0.01,beta1=0.5",
    )  # fmt: skip
    curve = [step.estimate.item() for step in run(game, settings)]
    assert curve[::4] == pytest.approx(GOLDEN, rel=2e-4, abs=2e-5)


GOLDEN = [0.11963, 1.21566, 3.02743, 2.5611, 3.36301]


def test_fresh_batches_for_each_critic_update_and_the_authors_schedule():
    source = Shifted()
    game, settings = small_game(steps=27, critic_steps=3, batch_size=5, critic_schedule="authors")
    run(game, settings, source)
    assert len(source.asked) == 25 * 100 + 2 * 3
    assert set(source.asked) == {5}
    hparams = hparams_of(settings)
    assert [hparams.critic_steps_at(k) for k in (0, 24, 25, 499, 500, 501, 1000)] == [100, 100, 3, 3, 100, 3, 100]


def test_a_critic_schedule_without_updates_is_refused():
    game, settings = small_game(steps=2)
    parts = choose_parts(settings)
    setup = Setup(
        game, Shifted(), parts.objective, parts.constraint, hparams_of(settings), critic_schedule=lambda setup: iter(())
    )
    with pytest.raises(UsageError, match="the critic schedule yields no update before generator update 1"):
        next(train(setup))


def test_learning_rates_fall_to_zero():
    for decay, half in (("none", 1.0), ("linear", 0.5), ("cosine", 0.5)):
        hparams = Hyperparameters(generator_steps=10, lr_schedule=decay)
        assert hparams.lr_factor_at(0) == 1.0
        assert hparams.lr_factor_at(5) == pytest.approx(half)
        assert hparams.lr_factor_at(10) == pytest.approx(1.0 if decay == "none" else 0.0)
    game, settings = small_game(steps=4, lr_schedule="linear", critic_optimizer="adam:lr=0.1")
    run(game, settings)
    assert game.critic_optimizer.param_groups[0]["lr"] == pytest.approx(0.1 * 0.25)


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"constraint": "penalty", "critic_optimizer": "adam", "generator_optimizer": "adam", "ema_decay": 0.9},
        {"constraint": "spectral", "generator": "mlp:width=8,norm=batch", "lr_schedule": "linear", "ema_decay": 0.5},
        {"generator": "mlp:width=8,norm=batch", "critic": "mlp:width=8,norm=batch", "critic_schedule": "authors"},
        {"objective": "gan:flipping=0.2,smoothing=0.1", "constraint": "dragan:every=3", "critic_optimizer": "adam"},
        {"objective": "relativistic", "constraint": "r1r2:every=5", "packing": 2, "critic_optimizer": "adam"},
        {"objective": "gan", "constraint": "spectral", "unrolled_steps": 3, "critic_optimizer": "adam"},
        {"objective": "gan", "critic": "mlp:width=8,norm=batch", "constraint": "none", "unrolled_steps": 2},
        {"objective": "mmd", "critic": "identity", "constraint": "none", "ema_decay": 0.9},
        {"objective": "mmd:features=3", "constraint": "penalty:every=2", "packing": 4},
        {"objective": "semidual", "constraint": "lp", "generator_optimizer": "adam"},
        {"objective": "energy", "critic": "autoencoder:width=8,code=2", "constraint": "none"},
    ],
)
def test_a_restored_game_continues_bit_for_bit(changes):
    changes = {"steps": 8, "batch_size": 8, "critic_steps": 2} | changes
    whole, settings = small_game(**changes)
    curve = [step.estimate.item() for step in run(whole, settings)]

    first, settings = small_game(**changes)
    early = run(first, settings, stop=3)
    tensors, facts = first.state()
    tensors = {name: value.detach().clone() for name, value in tensors.items()}
    second, settings = small_game(**changes)
    second.restore(tensors, facts)
    late = run(second, settings)

    assert [step.estimate.item() for step in early + late] == curve
    expected = whole.state()[0]
    found = second.state()[0]
    assert found.keys() == expected.keys()
    for name, value in expected.items():
        assert torch.equal(found[name], value), name


def test_restoring_keeps_the_memory_layout_of_fused_optimisers():
    settings = Settings(
        generator="dcgan:filters=4", critic="dcgan:filters=4,norm=none", constraint="penalty", threads=1, latent_dim=3,
        generator_optimizer="adam", critic_optimizer="adam", steps=4, batch_size=4, critic_steps=1, precision="float32",
    )  # fmt: skip
    layout = Layout(shape=(3, 16, 16), bounded=True)

    class Pictures:
        def sample(self, size, rng):
            return Batch(torch.rand(size, 3, 16, 16, generator=rng) * 2 - 1)

    whole = build_game(settings, layout)
    run(whole, settings, Pictures())
    first = build_game(settings, layout)
    run(first, settings, Pictures(), stop=2)
    tensors, facts = first.state()
    # As loaded from a file: contiguous for any former layout.
    tensors = {name: value.detach().clone(memory_format=torch.contiguous_format) for name, value in tensors.items()}
    second = build_game(settings, layout)
    second.restore(tensors, facts)
    run(second, settings, Pictures())
    for name, value in whole.state()[0].items():
        assert torch.equal(second.state()[0][name], value), name


def test_results_follow_the_seed_and_the_global_generator_is_unchanged():
    before = torch.random.get_rng_state()
    curves = []
    for seed in (0, 0, 1):
        game, settings = small_game(steps=3, seed=seed)
        curves.append([step.estimate.item() for step in run(game, settings)])
    assert curves[0] == curves[1] != curves[2]
    assert torch.equal(torch.random.get_rng_state(), before)


def test_each_player_changes_only_in_its_own_update():
    game, settings = small_game(steps=1, critic_steps=1, constraint="none")
    run(game, settings)
    for player, optimizer in ((game.generator, game.generator_optimizer), (game.critic, game.critic_optimizer)):
        for weight in player.parameters():
            assert optimizer.state[weight]["step"] == 1


def test_samples_come_from_the_moving_average():
    game, settings = small_game(steps=30, ema_decay=0.9, generator_optimizer="rmsprop:lr=0.01")
    run(game, settings)
    assert game.sampling_generator is game.average
    weights = torch.nn.utils.parameters_to_vector(game.generator.parameters())
    averaged = torch.nn.utils.parameters_to_vector(game.average.parameters())
    assert not torch.equal(weights, averaged)
    noise = torch.randn(5, 2)
    torch.testing.assert_close(game.draw(noise), game.average(noise).detach())
    plain, _ = small_game()
    assert plain.average is None
    assert plain.sampling_generator is plain.generator


def test_joined_and_separate_passes_agree_unless_batch_norm_mixes_them():
    game, _ = small_game(critic="mlp:width=8,norm=layer")
    real, fake = Batch(torch.randn(4, 2) + 3), Batch(torch.randn(4, 2))
    for joined, alone in zip(game.score_both(real, fake), (game.score(*real), game.score(*fake)), strict=True):
        torch.testing.assert_close(joined, alone)
    game, _ = small_game(critic="mlp:width=8,norm=batch")
    game.critic.train()
    assert torch.equal(game.score_both(real, fake)[0], game.score(*real))


def test_a_lazy_penalty_acts_in_every_kth_update_of_the_run():
    updates = []

    class Diary(R1):
        def at(self, update):
            updates.append(update)
            return super().at(update)

        def term(self, scores, real, fake, drawn):
            updates.append("here")
            return super().term(scores, real, fake, drawn)

    game, settings = small_game(steps=4, critic_steps=3)
    list(train(Setup(game, Shifted(), Wasserstein(), Diary(every=5), hparams_of(settings))))
    assert updates == [0, "here", 1, 2, 3, 4, 5, "here", 6, 7, 8, 9, 10, "here", 11]


def test_the_objective_draws_once_for_each_critic_update():
    drawn = []

    class Diary(GAN):
        def draw(self, size, rng):
            return torch.rand(2, size, generator=rng)

        def critic_loss(self, real, fake, given=None):
            drawn.append(given)
            return super().critic_loss(real, fake)

    game, settings = small_game(steps=2, critic_steps=2, batch_size=6, packing=3)
    list(train(Setup(game, Shifted(), Diary(), Unconstrained(), hparams_of(settings))))
    assert [tuple(values.shape) for values in drawn] == [(2, 2)] * 4
    assert len({tuple(values.flatten().tolist()) for values in drawn}) == 4


def test_a_relativistic_objective_gets_real_scores_for_its_generator():
    seen = []

    class Relativistic(Wasserstein):
        generator_sees_real = True

        def generator_loss(self, fake, real=None):
            seen.append(None if real is None else tuple(real.shape))
            return real.mean() - fake.mean()

    game, settings = small_game(steps=2, batch_size=6)
    list(train(Setup(game, Shifted(), Relativistic(), Unconstrained(), hparams_of(settings))))
    assert seen == [(6,), (6,)]


def test_the_critic_learns_the_distance_between_two_fixed_gaussians():
    """Generator frozen at N(0, I), data at N(3, I): W1 is 3 sqrt(2), and the critic under a penalty finds it.

    A critic of slope K gains K W and pays weight (K - 1)^2, so that the optimum is K = 1 + W / (2 weight): the soft
    penalty overestimates the distance by a factor that is known here.
    """
    game, settings = small_game(
        steps=1, critic_steps=400, batch_size=256, constraint="penalty:one_sided=true", critic="mlp:width=32,depth=2",
        critic_optimizer="adam:lr=0.005,beta1=0.5", generator="mlp:depth=0",
    )  # fmt: skip
    with torch.no_grad():
        layer = game.generator.body[0]
        layer.weight.copy_(torch.eye(2))
        layer.bias.zero_()
    (step,) = run(game, settings)
    distance = 3 * 2**0.5
    assert step.estimate.item() == pytest.approx(distance * (1 + distance / (2 * 10)), rel=0.04)


@pytest.mark.parametrize(
    ("changes", "fault"),
    [
        ({"generator_steps": -1}, "generator_steps must be at least 0, not -1"),
        ({"batch_size": 0}, "batch_size must be at least 1, not 0"),
        ({"critic_steps": 0}, "critic_steps must be at least 1, not 0"),
        ({"ema_decay": 1.0}, "ema_decay must be at least 0 and below 1, not 1.0"),
        ({"ema_decay": float("nan")}, "ema_decay must be .* not nan"),
        ({"batch_size": 0, "ema_decay": -0.5}, "batch_size must .*; ema_decay must"),
        ({"packing": 0}, "packing must be at least 1, not 0"),
        ({"unrolled_steps": -1}, "unrolled_steps must be at least 0, not -1"),
        ({"packing": 3}, "batches of 64 cannot be packed by 3"),
        ({"mismatch": 1.0}, "mismatch must be at least 0 and below 1, not 1.0"),
        ({"mismatch": float("nan")}, "mismatch must be .* not nan"),
    ],
)
def test_hyperparameters_out_of_range_are_refused(changes, fault):
    with pytest.raises(UsageError, match=fault):
        Hyperparameters(**{"generator_steps": 1} | changes)


@pytest.mark.parametrize("decay", ["none", "linear", "cosine"])
def test_zero_steps_are_valid(decay):
    assert Hyperparameters(generator_steps=0, lr_schedule=decay).lr_factor_at(0) == 1.0
    game, _ = small_game()
    assert list(train(Setup(game, Shifted(), Wasserstein(), Unconstrained(), Hyperparameters(generator_steps=0)))) == []


@pytest.mark.parametrize(("kept", "moved", "said"), [(0.0, 0.9, "keeps no average"), (0.9, 0.0, "keeps an average")])
def test_a_moving_average_without_ema_decay_or_the_reverse_is_refused(kept, moved, said):
    game, _ = small_game(ema_decay=kept)
    with pytest.raises(UsageError, match=said):
        next(
            train(
                Setup(
                    game, Shifted(), Wasserstein(), Unconstrained(), Hyperparameters(generator_steps=1, ema_decay=moved)
                )
            )
        )


class Noted:
    """Wraps a sampler, and records the first numbers of each draw."""

    def __init__(self, inner, notes):
        self.inner, self.notes = inner, notes

    def sample(self, num, rng):
        found = self.inner.sample(num, rng)
        values = found.values if isinstance(found, Batch) else found
        self.notes.append(tuple(values.flatten()[:2].tolist()))
        return found


def test_after_a_rollback_all_draws_are_new():
    """Real rows for two critic updates, and noise for these and the generator update."""
    notes = []
    for rollbacks in (0, 1, 2):
        game, settings = small_game(steps=1, critic_steps=2)
        game.rollbacks = rollbacks
        game.prior = Noted(game.prior, notes)
        run(game, settings, Noted(Shifted(), notes))
    assert len(notes) == len(set(notes)) == 3 * 5
