"""How far a critic is from its optimum while the generator does not change."""

from __future__ import annotations

import dataclasses
import math

from wgan.training.batches import LOOKING_AHEAD
from wgan.training.loop import critic_step
from wgan.training.setup import Setup
from wgan.training.updates import Updates


def trained_further(setup: Setup, *, steps: int) -> Setup:
    """A setup with a copy of the critic that was trained some updates further, against the same generator.

    The updates are those of training: its loss, penalty and projection, fresh training rows and samples, and a copy of
    the critic's optimiser with its state. Only the learning rate differs: it falls along a cosine from the rate at the
    beginning of the run to 0. At the rate at the end of a run the copy would hardly move, however much there was to
    gain. At the first rate throughout it would keep moving around its optimum.

    Args:
        setup: Not changed. Nothing is drawn from the random streams of training.
        steps: Updates of the copy, at least 0.

    Returns:
        The setup with the copy. It shares the generator with `setup`.

    Raises:
        UsageError: As `wgan.training.loop.train`.

    Cost: As many updates of the critic, operation by operation.
    """
    game = setup.game.with_own_critic()
    further, k = dataclasses.replace(setup, game=game), game.steps_done
    first = setup.hparams.critic_steps_before(k)
    # The name is part of the random stream and cannot change.
    streams = {"real_stream": "real of the gap", "noise_stream": "noise of the gap"}
    with setup.game.preserved():
        for player in (game.generator, game.critic):
            player.train()
        for t in range(steps):
            game.set_lr(0.5 + 0.5 * math.cos(math.pi * t / steps))
            critic_step(further, Updates(), first + t, (k, t), **streams, loss_counters=(k, LOOKING_AHEAD, t))
    return further


def relative_rise(before: float, after: float) -> float:
    """(after - before) / after, at least 0: the share of `after` that further training has added.

    Args:
        before: What a critic proves, at least 0.
        after: What it proves once it was trained further, at least 0.

    Returns:
        Between 0, where nothing was added, and 1, where everything was.
    """
    return max(0.0, (after - before) / after) if after > 0 else 0.0
