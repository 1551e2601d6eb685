"""The game: samples drawn in blocks, evaluation without side effects, and rollbacks."""

import dataclasses

import pytest
import torch

import wgan.training.game
from wgan.batch import Layout
from wgan.settings import Settings
from wgan.training.factory import build_game

SMALL = Settings(generator="mlp:width=16,depth=1", critic="mlp:width=4,depth=1", latent_dim=3, device="cpu")
IMAGES = dataclasses.replace(SMALL, generator="dcgan:filters=4", critic="dcgan:filters=2,norm=none")


def at_most(game, monkeypatch, rows):
    """Set the block size of drawing; return the list of block sizes that the generator gets."""
    given = []
    game.sampling_generator.register_forward_pre_hook(lambda _, inputs: given.append(len(inputs[0])))
    monkeypatch.setattr(wgan.training.game, "_VECTORS_AT_ONCE", rows)
    monkeypatch.setattr(wgan.training.game, "_IMAGES_AT_ONCE", rows)
    return given


@pytest.mark.parametrize(
    ("settings", "layout"),
    [
        (SMALL, Layout(shape=(5,), groups=((1, 3),))),
        (dataclasses.replace(SMALL, ema_decay=0.0), Layout(shape=(2,))),
        (dataclasses.replace(IMAGES, precision="float32"), Layout(shape=(1, 8, 8), bounded=True)),
        (dataclasses.replace(IMAGES, precision="bfloat16"), Layout(shape=(1, 8, 8), bounded=True)),
    ],
)
@pytest.mark.parametrize("conditional", [False, True])
def test_drawing_in_blocks_gives_the_same_samples(settings, layout, conditional, monkeypatch):
    game = build_game(settings, layout, 2 if conditional else 0)
    noise = torch.randn(11, 3, generator=torch.Generator().manual_seed(0))
    condition = torch.randn(11, 2, generator=torch.Generator().manual_seed(1)) if conditional else None
    given = at_most(game, monkeypatch, 100)
    whole = game.draw(noise, condition)
    at_most(game, monkeypatch, 4)
    parts = game.draw(noise, condition)
    assert given == [11, 4, 4, 3]
    assert parts.shape == (11, *layout.shape)
    assert (parts.dtype, parts.requires_grad) == (torch.float32, False)
    # In bfloat16, a sum in another order may round to the neighbouring number.
    torch.testing.assert_close(parts, whole, rtol=0, atol=2e-2 if settings.precision == "bfloat16" else 1e-6)
    assert game.sampling_generator.training


def test_no_noise_gives_no_samples(monkeypatch):
    game = build_game(SMALL, Layout(shape=(2,)))
    assert at_most(game, monkeypatch, 4) == []
    assert game.draw(torch.empty(0, 3)).shape == (0, 2)


def test_preserved_restores_statistics_power_iterations_and_modes():
    settings = dataclasses.replace(IMAGES, constraint="spectral", precision="float32")
    game = build_game(settings, Layout(shape=(1, 8, 8), bounded=True))
    before = [buffer.clone() for player in (game.generator, game.critic) for buffer in player.buffers()]
    noise = torch.randn(11, 3, generator=torch.Generator().manual_seed(0))
    with torch.no_grad(), game.preserved():
        game.critic.eval()
        game.critic.train()
        scores = game.score(game.generate(noise).values)
        assert scores.requires_grad
        moved = [buffer for player in (game.generator, game.critic) for buffer in player.buffers()]
        assert sum(not torch.equal(*pair) for pair in zip(moved, before, strict=True)) >= 2
        game.critic.eval()
    after = [buffer for player in (game.generator, game.critic) for buffer in player.buffers()]
    assert all(torch.equal(*pair) for pair in zip(after, before, strict=True))
    assert all(module.training for player in (game.generator, game.critic) for module in player.modules())


def test_a_rollback_halves_the_learning_rates_and_is_saved():
    game, again = build_game(SMALL, Layout(shape=(2,))), build_game(SMALL, Layout(shape=(2,)))
    game.set_lr(0.5)
    rates = [group["lr"] for group in game.critic_optimizer.param_groups]
    assert game.position == (0,)
    game.rollbacks = 2
    game.set_lr(0.5)
    assert [group["lr"] for group in game.critic_optimizer.param_groups] == [lr / 4 for lr in rates]
    assert game.position == (0, 2)
    tensors, facts = game.state()
    again.restore(tensors, facts)
    assert again.rollbacks == 2
    # A state of an earlier version, without rollbacks.
    del facts["rollbacks"]
    again.restore(tensors, facts)
    assert again.rollbacks == 0
