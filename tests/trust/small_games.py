"""Small setups for tests of evidence, and comparisons of their state."""

import itertools

from wgan.data import open_data
from wgan.runs.setups import build_setup
from wgan.settings import Settings
from wgan.training.loop import train


def small(**changes):
    """The setup of a small run, by default on the ring."""
    settings = Settings(
        **{
            "data": "ring", "generator": "mlp:width=8,depth=1", "critic": "mlp:width=8,depth=1,activation=tanh",
            "constraint": "penalty", "latent_dim": 2, "threads": 1, "batch_size": 16, "steps": 12, "critic_steps": 2,
            "critic_optimizer": "adam:lr=0.03,beta1=0.5", "generator_optimizer": "adam:lr=0.01",
            "precision": "float32", "device": "cpu", "engine": "eager",
        }
        | changes
    )  # fmt: skip
    return build_setup(settings, open_data(settings.data, settings.input, seed=0))


def played(setup, num):
    """Train for so many more generator updates; returns the game."""
    list(itertools.islice(train(setup), num))
    return setup.game


def state_of(game):
    """Copies of all that training changes, including buffers, optimisers and modes."""
    tensors, facts = game.state()
    rates = [group["lr"] for optimizer in (game.generator_optimizer, game.critic_optimizer)
             for group in optimizer.param_groups]  # fmt: skip
    modes = [module.training for player in (game.generator, game.critic) for module in player.modules()]
    return {name: value.clone() for name, value in tensors.items()}, facts, rates, modes


def assert_same_state(found, wanted):
    """Assert that both are equal bit for bit."""
    assert found[1:] == wanted[1:]
    assert found[0].keys() == wanted[0].keys()
    for name, value in wanted[0].items():
        assert bool((found[0][name] == value).all()), name
