"""Algorithm 1: train a generator against a critic that is kept near its optimum.

`train` is a generator function that yields after each generator update. Printing, logging, evaluating, stopping and
saving belong in the body of the caller's loop.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from torch import Tensor

from wgan.errors import UsageError
from wgan.system.threads import MATMUL_LIBRARY
from wgan.system.torch_state import in_default_state
from wgan.training.batches import draw_critic_batch, draw_generator_batch, with_loss_draws
from wgan.training.game import Game
from wgan.training.setup import Setup
from wgan.training.updates import CompiledUpdates, Updates


@dataclass(frozen=True)
class Step:
    """One generator update: 0-d detached tensors, so that nothing waits for a device until they are read.

    Attributes:
        number: Generator updates done, this one included.
        estimate: The objective's estimate on the last critic batch.
        critic_loss: The loss of the last critic update, penalty included.
        generator_loss: The loss of the generator update.
        critic_updates: Critic updates since the previous generator update, a plain number.
    """

    number: int
    estimate: Tensor
    critic_loss: Tensor
    generator_loss: Tensor
    critic_updates: int


@in_default_state
def train(setup: Setup) -> Iterator[Step]:
    """Train until `hparams.generator_steps` generator updates are done, starting from the state of the game.

    The numbers on the right, here and in `wgan.training.batches` and `wgan.training.updates`, are the lines of
    Algorithm 1 in the paper. Losses are descended, where the paper ascends the critic's estimate.

    Every random draw depends only on the game's seed, its step and the purpose of the draw. A game that was saved and
    restored therefore continues as if it had never stopped: bit for bit on the same CPU machine, up to rounding on
    CUDA, where sums may change their order.

    Args:
        setup: What to train, on what data and how. Its game is changed in place.

    Yields:
        One `Step` after each generator update.

    Raises:
        UsageError: `hparams.ema_decay` is above 0 and the game keeps no average of its generator, or the reverse; or
            the critic schedule yields nothing.

    Source: Arjovsky, Chintala and Bottou (2017), Algorithm 1.
    """
    game, hparams = setup.game, setup.hparams
    _check_average(game, hparams.ema_decay)
    updates = CompiledUpdates() if game.engine.compiled else Updates()
    while game.steps_done < hparams.generator_steps:  # 1
        # The choice of oneDNN or MKL is global to the process: other threads must find it unchanged between steps.
        with MATMUL_LIBRARY.use(onednn=game.engine.onednn):
            game.set_lr(hparams.lr_factor_at(game.steps_done))
            first = hparams.critic_steps_before(game.steps_done)
            t = -1
            for t in setup.critic_schedule(setup):  # 2
                critic_loss, estimate = critic_step(setup, updates, first + t, (*game.position, t))  # 3 to 7
            if t < 0:
                raise _no_critic_updates(game.steps_done)
            batch = draw_generator_batch(setup)  # 9
            generator_loss = updates.generator(setup, batch)  # 10, 11
            game.update_average(hparams.ema_decay)
            game.steps_done += 1
        yield Step(game.steps_done, estimate, critic_loss, generator_loss, t + 1)


def critic_step(
    setup: Setup,
    updates: Updates,
    update: int,
    counters: tuple[int, ...],
    *,
    real_stream: str = "real",
    noise_stream: str = "noise of the critic",
    loss_counters: tuple[int, ...] | None = None,
) -> tuple[Tensor, Tensor]:
    """Draw a batch and update the critic on it: the inner loop of Algorithm 1.

    Args:
        setup: With the constraint of the run; its critic is changed in place.
        updates: How the update is computed.
        update: Number of this critic update, from 0: lazy penalties depend on it. `train` numbers from
            `hparams.critic_steps_before`, which counts the fixed schedule only. With `hparams.optimality` above 0
            the numbers after one generator update therefore overlap with those before it.
        counters: Where in the run, for the random streams of real samples and noise.
        real_stream: Random stream of the real samples.
        noise_stream: Random stream of the noise.
        loss_counters: Where in the run, for what objective and constraint draw; `counters` if None.

    Returns:
        The critic's loss and the objective's estimate, both 0-d and before the update.
    """
    current = setup.at(update)
    batch = draw_critic_batch(current, real_stream, noise_stream, *counters)  # 3, 4
    batch = with_loss_draws(current, batch, *(loss_counters or counters))
    return updates.critic(current, batch)  # 5, 6, 7


def _no_critic_updates(step: int) -> UsageError:
    return UsageError(
        f"the critic schedule yields no update before generator update {step + 1:,}",
        remedy="A schedule yields at least once for each generator update.",
    )


def _check_average(game: Game, ema_decay: float) -> None:
    if (game.average is not None) != (ema_decay > 0):
        kept = "keeps no average" if game.average is None else "keeps an average"
        raise UsageError(
            f"the game {kept} of its generator, but hparams.ema_decay is {ema_decay}",
            remedy="Build the game with averaged=True if hparams.ema_decay is above 0, and with averaged=False if not.",
        )
