"""Algorithm 1: train a generator against a critic that is kept near its optimum.

`train` is a generator function that yields after each generator update. Printing, logging, evaluating, stopping and
saving belong in the body of the caller's loop.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from torch import Tensor

from wgan.constraints import Constraint
from wgan.data.source import Source
from wgan.errors import UsageError
from wgan.objectives import Objective
from wgan.randomness import Randomness
from wgan.system.threads import PRODUCTS
from wgan.system.torch_state import in_usual_state
from wgan.training.batches import draw, draw_conditions, draw_real
from wgan.training.game import Game
from wgan.training.hyperparameters import Hyperparameters
from wgan.training.updates import updates


@dataclass(frozen=True)
class Step:
    """What one generator update left to look at: 0-d detached tensors, so that nothing waits until they are read.

    Attributes:
        number: Generator updates done, this one included.
        estimate: The objective's estimate on the last critic batch.
        critic_loss: The loss of the last critic update, penalty included.
        generator_loss: The loss of the generator update.
        critic_updates: Critic updates that came before it, a plain number.
    """

    number: int
    estimate: Tensor
    critic_loss: Tensor
    generator_loss: Tensor
    critic_updates: int


def fixed_critic_steps(setup: Setup) -> Iterator[int]:
    """Number the critic updates before the next generator update, as many as the hyperparameters say.

    Raises:
        UsageError: The hyperparameters ask for a critic at its optimum, which takes another schedule.
    """
    if setup.hparams.optimality:
        raise UsageError(
            f"an optimality of {setup.hparams.optimality:g} needs a critic schedule that measures it",
            remedy="Build the setup with wgan.setup, or pass wgan.trust.critic_schedule.until_optimal.",
        )
    yield from range(setup.hparams.critic_steps_at(setup.game.steps_done))


@dataclass(frozen=True)
class Setup:
    """All that `train` needs.

    Attributes:
        game: Generator, critic, optimisers, prior; changed by training.
        source: The data.
        objective: The losses of both players.
        constraint: What keeps the critic Lipschitz.
        hparams: The numbers of Algorithm 1.
        critic_schedule: Called before each generator update; yields once for each critic update.
    """

    game: Game
    source: Source
    objective: Objective
    constraint: Constraint
    hparams: Hyperparameters
    critic_schedule: Callable[[Setup], Iterator[int]] = fixed_critic_steps


@in_usual_state
def train(setup: Setup) -> Iterator[Step]:
    """Train until `hparams.generator_steps` generator updates are done, starting from the state of the game.

    The numbers on the right are the lines of Algorithm 1 in the paper. Every random draw depends only on the game's
    seed, its step and the purpose of the draw. A game that was saved and restored therefore continues as if it had
    never stopped: bit for bit on the same CPU machine, up to rounding on CUDA, where sums may change their order.

    Args:
        setup: What to train, on what data and how. Its game is changed in place.

    Yields:
        One `Step` after each generator update.

    Raises:
        UsageError: `hparams.ema_decay` is above 0 and the game keeps no average of its generator, or the reverse.

    Source: Arjovsky, Chintala and Bottou (2017), Algorithm 1.
    """
    game, source, hparams = setup.game, setup.source, setup.hparams
    objective, constraint = setup.objective, setup.constraint
    if (game.average is not None) != (hparams.ema_decay > 0):
        kept = "keeps no average" if game.average is None else "keeps an average"
        raise UsageError(
            f"the game {kept} of its generator, but hparams.ema_decay is {hparams.ema_decay}",
            remedy="Build the game with averaged=True if hparams.ema_decay is above 0, and with averaged=False if not.",
        )
    streams, m = Randomness(game.seed), hparams.batch_size
    step = updates(game, objective, constraint, hparams)
    while game.steps_done < hparams.generator_steps:  # 1
        # The choice of oneDNN or MKL is global to the process: other threads must find it unchanged between steps.
        with PRODUCTS.by(onednn=game.engine.onednn):
            k, position = game.steps_done, game.place
            game.set_rates(hparams.rate_at(k))
            critic_updates = hparams.critic_steps_before(k)
            for t in setup.critic_schedule(setup):  # 2
                real, mismatched = draw_real(game, source, hparams, "real", *position, t)  # 3
                noise = game.prior.sample(m, streams.at("noise of the critic", *position, t))  # 4
                current = constraint.at(critic_updates + t)
                drawn = draw(
                    game, objective, current, real.packed(hparams.packing), *position, t, mismatched=mismatched
                )
                critic_loss, estimate = step.critic(current, real, noise, drawn)  # 5, 6
                constraint.project(game.critic)  # 7
            noise = game.prior.sample(m, streams.at("noise of the generator", *position))  # 9
            shown = mismatched = None
            condition = draw_conditions(game, source, m, streams.at("conditions of the generator", *position))
            if objective.generator_sees_real or hparams.unrolled_steps:
                shown, mismatched = draw_real(game, source, hparams, "real of the generator", *position)
                condition = shown.condition
            generator_loss = step.generator(noise, condition, shown, mismatched)  # 10, 11
            game.update_average(hparams.ema_decay)
            game.steps_done += 1
        yield Step(game.steps_done, estimate, critic_loss, generator_loss, t + 1)
