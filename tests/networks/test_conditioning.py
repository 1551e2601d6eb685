"""Conditions in networks and in training: ways of conditioning, and mismatched samples."""

import dataclasses

import numpy as np
import pyarrow as pa
import pytest
import torch
from torch import nn

from wgan.batch import Batch, Layout
from wgan.constraints import Unconstrained
from wgan.data import Conditions, open_data
from wgan.errors import UsageError
from wgan.networks import NETWORKS, Given, given_to, mixes_batch
from wgan.networks.conditioning import ConditionalNorm, Projecting
from wgan.objectives import MMD, OBJECTIVES
from wgan.randomness import Randomness
from wgan.runs.setups import build_setup
from wgan.settings import DataOptions, Settings
from wgan.training.batches import draw_critic_batch, draw_mismatched, draw_real, with_loss_draws
from wgan.training.factory import build_game
from wgan.training.loop import train
from wgan.training.losses import critic_loss

SMALL = {
    "mlp": "mlp:width=8,norm=layer",
    "dcgan": "dcgan:filters=4,norm=layer",
    "resnet": "resnet:filters=4,norm=layer",
}
IMAGE = Layout(shape=(3, 16, 16), bounded=True)
NUM, NOISE, ENTRIES = 5, 6, 4


def rng(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def conditions(seed: int = 0) -> torch.Tensor:
    return torch.randn(NUM, ENTRIES, generator=rng(seed))


def shuffled_weights(network: nn.Module) -> nn.Module:
    """Randomise all parameters, since conditional norms start at 0."""
    with torch.no_grad():
        for number, weight in enumerate(network.parameters()):
            weight.copy_(0.3 * torch.randn(weight.shape, generator=rng(number)))
    return network


@pytest.mark.parametrize("way", ["concat", "norm", None])
@pytest.mark.parametrize("name", list(SMALL))
def test_a_sample_depends_on_its_own_condition_only(name, way):
    network = NETWORKS.build(SMALL[name])
    generator = shuffled_weights(network.generator(NOISE, IMAGE, Given(size=ENTRIES, way=way)))
    noise, first, second = torch.randn(NUM, NOISE, generator=rng(9)), conditions(1), conditions(2)
    second[0] = first[0]
    made, other = generator(noise, first), generator(noise, second)
    assert made.shape == (NUM, *IMAGE.shape)
    torch.testing.assert_close(made[0], other[0])
    assert all((made[row] - other[row]).abs().max() > 1e-4 for row in range(1, NUM))
    made.square().sum().backward()
    for label, weight in generator.named_parameters():
        assert weight.grad.abs().sum() > 0, label


@pytest.mark.parametrize("way", ["concat", "projection", None])
@pytest.mark.parametrize("name", list(SMALL))
def test_a_score_depends_on_its_own_condition_only(name, way):
    critic = shuffled_weights(NETWORKS.build(SMALL[name]).critic(IMAGE, given=Given(size=ENTRIES, way=way)))
    values, first, second = torch.randn(NUM, *IMAGE.shape, generator=rng(9)), conditions(1), conditions(2)
    second[0] = first[0]
    scores, other = critic(values, first), critic(values, second)
    assert scores.shape == (NUM,)
    torch.testing.assert_close(scores[0], other[0])
    assert ((scores - other).abs()[1:] > 1e-5).all()
    scores.square().sum().backward()
    for label, weight in critic.named_parameters():
        assert weight.grad.abs().sum() > 0, label


@pytest.mark.parametrize("name", ["autoencoder:width=8,code=3", "conv-autoencoder:filters=4,code=3"])
def test_autoencoders_take_conditions(name):
    critic = shuffled_weights(NETWORKS.build(name).critic(IMAGE, given=Given(size=ENTRIES)))
    values = torch.randn(NUM, *IMAGE.shape, generator=rng(9))
    assert (critic(values, conditions(1)) != critic(values, conditions(2))).all()
    with pytest.raises(UsageError, match="cannot enter an autoencoder by projection"):
        NETWORKS.build(name).critic(IMAGE, given=Given(size=ENTRIES, way="projection"))


def test_a_projection_is_an_inner_product_with_the_last_features():
    """Score = w . h(x) + b + <E c, h(x)>, written out."""
    critic = NETWORKS.build("mlp:width=8,depth=2").critic(Layout(shape=(3,)), given=Given(size=2, way="projection"))
    values, condition = torch.randn(7, 3), torch.randn(7, 2)
    projecting = critic.body[1]
    assert isinstance(projecting, Projecting)
    seen = projecting.before(values)
    expected = seen @ projecting.last.weight[0] + projecting.last.bias[0]
    expected = expected + ((condition @ projecting.embedding.weight.T) * seen).sum(1)
    torch.testing.assert_close(critic(values, condition), expected)


@pytest.mark.parametrize(("norm", "shape"), [("batch", (6, 4, 3, 3)), ("layer", (6, 4, 3, 3))])
def test_a_conditional_norm_starts_as_a_plain_norm(norm, shape):
    plain = nn.BatchNorm2d(4, affine=False) if norm == "batch" else nn.GroupNorm(1, 4, affine=False)
    layer = ConditionalNorm(plain, 4, 2)
    values, condition = torch.randn(shape), torch.randn(6, 2)
    torch.testing.assert_close(layer(values, condition), plain(values))
    with torch.no_grad():
        layer.weight[1, 0], layer.bias[4 + 2] = 2.0, 5.0
    expected = plain(values)
    expected[:, 1] *= (1 + 2 * condition[:, 0])[:, None, None]
    expected[:, 2] += 5.0
    torch.testing.assert_close(layer(values, condition), expected)


def test_the_values_of_the_setting():
    ways = {word: tuple(given.way for given in given_to(word, 3)) for word in ("auto", "concat", "norm-projection")}
    assert ways == {"auto": (None, None), "concat": ("concat", "concat"), "norm-projection": ("norm", "projection")}
    assert Given(size=3, way="norm").packed(2) == Given(size=6, way="norm")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"conditioning": "norm", "generator": "mlp:width=4"}, r"mlp has norm=none\nUse generator=\"mlp:norm=batch\""),
        ({"conditioning": "norm", "generator": "dcgan:filters=4,norm=none"}, "dcgan has norm=none"),
        ({"conditioning": "norm", "generator": "resnet:filters=4,norm=none"}, "resnet has norm=none"),
        ({"conditioning": "projection", "objective": "mmd", "constraint": "none"}, "critic gives .* features"),
    ],
)
def test_unsupported_ways_of_conditioning_are_refused(changes, message):
    settings = Settings(**{"generator": "mlp:width=4", "critic": "mlp:width=4", "latent_dim": 2} | changes)
    with pytest.raises(UsageError, match=message):
        build_game(settings, IMAGE, 3)


def test_conditional_players_need_a_condition():
    game = build_game(Settings(generator="mlp:width=4", critic="mlp:width=4", latent_dim=2), Layout(shape=(2,)), 3)
    with pytest.raises(UsageError, match="this generator was made for conditions"):
        game.draw(torch.zeros(1, 2))
    with pytest.raises(UsageError, match="this critic was made for conditions"):
        game.score(torch.zeros(1, 2))


@pytest.mark.parametrize("conditioning", ["concat", "projection"])
@pytest.mark.parametrize("critic", ["mlp:width=8", "dcgan:filters=4,norm=none"])
def test_spectral_normalisation_includes_the_embedding(critic, conditioning):
    settings = Settings(
        generator="mlp:width=4", critic=critic, latent_dim=2, constraint="spectral", conditioning=conditioning
    )
    game = build_game(settings, IMAGE, 3)
    layers = [module for module in game.critic.modules() if isinstance(module, nn.Linear | nn.Conv2d)]
    assert all(nn.utils.parametrize.is_parametrized(layer, "weight") for layer in layers)
    condition = torch.randn(2, 3)
    for _ in range(30):
        game.critic(torch.randn(2, *IMAGE.shape), condition)
    assert all(torch.linalg.matrix_norm(layer.weight.flatten(1), 2) < 1.01 for layer in layers)


def test_one_pass_over_both_batches_gives_the_scores_of_each():
    settings = Settings(generator="mlp:width=4", critic="mlp:width=8", latent_dim=2)
    game = build_game(settings, Layout(shape=(2,)), 3)
    real, fake = (Batch(torch.randn(4, 2), torch.randn(4, 3)) for _ in range(2))
    for joined, alone in zip(game.score_both(real, fake), (game.score(*real), game.score(*fake)), strict=True):
        torch.testing.assert_close(joined, alone)
    assert not mixes_batch(game.critic)


# -- training under conditions ---------------------------------------------------------------------------------------


RING = DataOptions(condition=("label",))
GAME = Settings(
    generator="mlp:width=8,depth=1", critic="mlp:width=8,depth=1", latent_dim=2, threads=1, batch_size=12,
    critic_steps=2, steps=3, constraint="penalty", input=RING, data="ring",
)  # fmt: skip


def played(settings: Settings):
    setup = conditional(settings)
    return setup.game, list(train(setup))


def conditional(settings: Settings = GAME, **changes):
    return build_setup(dataclasses.replace(settings, **changes), open_data("ring", settings.input, seed=0))


def test_mismatched_samples_enter_the_loss_in_a_third_term():
    """(1 - w) L(real, fake) + w L(real, mismatched), for every objective, with the same draws."""
    for name in OBJECTIVES:
        word = {"mmd": "mmd:features=3", "energy": "energy"}.get(name, name)
        critic = (
            "autoencoder:width=8,code=2"
            if OBJECTIVES.build(word).__class__.__name__ == "EnergyBased"
            else "mlp:width=8"
        )
        setup = conditional(objective=word, constraint="none", critic=critic, mismatch=0.25)
        batch = with_loss_draws(setup, draw_critic_batch(setup, "real", "noise of the critic", 0, 0), 0, 0)
        assert torch.equal(batch.mismatched.condition, batch.real.condition)
        fake = Batch(torch.randn(12, 2), batch.condition)
        whole, estimate = critic_loss(setup, batch, fake)
        right, same = critic_loss(setup, batch._replace(mismatched=None), fake)
        wrong, _ = critic_loss(setup, batch._replace(mismatched=None), batch.mismatched)
        torch.testing.assert_close(whole, 0.75 * right + 0.25 * wrong, msg=name)
        assert torch.equal(estimate, same)


def modes_of(points: torch.Tensor) -> torch.Tensor:
    return torch.cdist(points, open_data("ring", DataOptions(), seed=0).modes).argmin(dim=1)


def test_no_mismatched_sample_fits_its_condition():
    setup = conditional(mismatch=0.5)
    asked, shown = [], []
    for step in range(200):
        real, mismatched = draw_real(setup, "real", step)
        assert torch.equal(modes_of(real.values), real.condition.argmax(dim=1))
        asked.append(mismatched.condition.argmax(dim=1))
        shown.append(modes_of(mismatched.values))
    asked, shown = torch.cat(asked), torch.cat(shown)
    assert not (asked == shown).any()
    # The seven others come equally often.
    counts = torch.bincount(shown[asked == 3], minlength=8)
    assert counts[3] == 0
    assert counts.sum() / 7 * 0.7 < counts[counts > 0].min()


def test_mismatched_samples_are_diverse():
    setup = conditional(mismatch=0.5)
    for step in range(20):
        _, mismatched = draw_real(setup, "real", step)
        assert len(torch.unique(mismatched.values, dim=0)) > setup.hparams.batch_size / 2


def test_a_generator_that_sees_real_samples_gets_their_conditions():
    """MMD without a critic: its outputs are samples joined with their conditions."""
    seen = []

    class Diary(MMD):
        def generator_loss(self, fake, real=None):
            seen.append((fake[:, 2:], real[:, 2:]))
            return super().generator_loss(fake, real)

    setup = conditional(objective="mmd", critic="identity", constraint="none", steps=3)
    list(train(dataclasses.replace(setup, objective=Diary())))
    assert len(seen) == 3
    assert all(torch.equal(of_fake, of_real) and of_fake.shape == (12, 8) for of_fake, of_real in seen)


def test_a_wrong_condition_is_drawn_if_no_batch_has_another():
    """One of a thousand rows is b, so that hardly any batch of twelve contains it."""
    table = pa.table({"x": np.arange(1000.0), "c": ["a"] * 999 + ["b"]})
    source = open_data(table, DataOptions(condition=("c",), held_out=0.0), seed=0)
    rare = source.conditions.encode({"c": ["b"]})
    batch = source.sample(12, rng(0))
    assert not (batch.condition == rare).all(dim=1).any()
    found = draw_mismatched(source, source.conditions, batch, Randomness(0), "real", 0)
    assert torch.equal(found.values, batch.values)
    assert torch.equal(found.condition, rare.expand(12, -1))


def test_equal_conditions_of_all_rows_are_refused():
    parts = open_data("ring", RING, seed=0).conditions.parts
    conditions = Conditions.of_rows(parts, torch.zeros(5, 1))

    class Alike:
        def sample(self, size, rng):
            return Batch(torch.randn(size, 2, generator=rng), conditions.expand(torch.zeros(size, 1)))

    with pytest.raises(UsageError, match="all rows have the same condition"):
        draw_mismatched(Alike(), conditions, Alike().sample(4, rng()), Randomness(0), "real", 0)


def test_the_penalty_also_acts_between_classes():
    """It gets generated and mismatched samples in the shares 1 - w and w."""
    seen = []

    class Watching(Unconstrained):
        def penalty(self, scores, real, fake, drawn):
            seen.append((real, fake))
            return 0.0

    setup = dataclasses.replace(conditional(mismatch=0.25), constraint=Watching())
    batch = draw_critic_batch(setup, "real", "noise of the critic", 0)
    real, mismatched, fake = batch.real, batch.mismatched, Batch(torch.zeros(12, 2), batch.condition)
    critic_loss(setup, batch, fake)
    ((right, wrong),) = seen
    assert right is real
    assert torch.equal(wrong.values[:3], mismatched.values[:3])
    assert torch.equal(wrong.values[3:], fake.values[3:])
    assert torch.equal(wrong.condition, real.condition)


def test_every_sample_of_a_mismatched_pack_is_mismatched():
    settings = dataclasses.replace(GAME, packing=3, mismatch=0.5)
    mismatched = draw_critic_batch(conditional(settings), "real", "noise of the critic", 0, 0).mismatched
    assert mismatched.condition.shape == (4, 24)
    asked = mismatched.condition.reshape(12, 8).argmax(dim=1)
    assert not (asked == modes_of(mismatched.values.reshape(12, 2))).any()
    assert len(played(settings)[1]) == 3


def test_a_mismatch_does_not_change_the_draws_of_real_samples():
    """The real batches are the same with and without a mismatch."""
    plain = open_data("ring", RING, seed=0)
    first, none = draw_real(conditional(), "real", 4, 1)
    second, some = draw_real(conditional(mismatch=0.5), "real", 4, 1)
    assert none is None
    assert some is not None
    assert torch.equal(first.values, second.values)
    expected = plain.sample(12, Randomness(0).at("real", 4, 1))
    assert torch.equal(second.condition, expected.condition)


@pytest.mark.parametrize("changes", [{}, {"mismatch": 0.5}, {"unrolled_steps": 2}, {"objective": "relativistic"}])
def test_conditional_training_is_reproducible(changes):
    (game, first), (_, second) = (played(dataclasses.replace(GAME, **changes)) for _ in range(2))
    assert [float(step.critic_loss) for step in first] == [float(step.critic_loss) for step in second]
    assert game.draw(torch.zeros(8, 2), torch.eye(8)).shape == (8, 2)


def test_the_generator_update_draws_its_own_conditions():
    setup = conditional()
    game, source = setup.game, setup.source
    asked, generate = [], game.generate
    game.generate = lambda noise, condition=None: asked.append(condition) or generate(noise, condition)
    list(train(setup))
    streams = Randomness(0)
    expected = []
    for step in range(3):
        # Two critic updates under the conditions of the real samples, then one generator update.
        expected += [source.sample(12, streams.at("real", step, t)).condition for t in range(2)]
        expected.append(source.conditions.draw(12, streams.at("conditions of the generator", step)))
    assert len(asked) == len(expected)
    assert all(torch.equal(one, other) for one, other in zip(asked, expected, strict=True))


def test_a_mismatch_needs_conditions():
    with pytest.raises(UsageError, match=r"a mismatch of 0\.5 needs conditions"):
        played(dataclasses.replace(GAME, mismatch=0.5, input=DataOptions()))


def test_a_conditional_ring_learns_the_mode_of_each_condition():
    settings = dataclasses.replace(
        GAME, generator="mlp:width=64,depth=2", critic="mlp:width=64,depth=2", batch_size=128, steps=400,
        generator_optimizer="adam:lr=0.003,beta1=0.5", critic_optimizer="adam:lr=0.003,beta1=0.5", latent_dim=2,
        constraint="penalty:weight=0.1", lr_schedule="cosine",
    )  # fmt: skip
    source = open_data("ring", RING, seed=0)
    game, _ = played(settings)
    asked = torch.arange(8).repeat_interleave(50)
    made = game.draw(torch.randn(400, 2, generator=rng()), source.conditions.expand(asked[:, None]))
    nearest = torch.cdist(made, source.modes).argmin(dim=1)
    assert (nearest == asked).float().mean() > 0.95
