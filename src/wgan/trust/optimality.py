"""How far a critic is from its optimum against a generator that stands still."""

from __future__ import annotations

import math

from wgan.constraints import Constraint
from wgan.data.source import Source
from wgan.objectives import Objective
from wgan.randomness import Randomness
from wgan.training.batches import LOOKING_AHEAD, draw, draw_real
from wgan.training.game import Game
from wgan.training.hyperparameters import Hyperparameters
from wgan.training.updates import Updates


def trained_further(
    game: Game, source: Source, objective: Objective, constraint: Constraint, hparams: Hyperparameters, *, steps: int
) -> Game:
    """A game with a copy of the critic that was trained some updates further, against the same generator.

    The updates are those of training: its loss, penalty and projection, real rows of the training's and samples drawn
    afresh, and an optimiser that remembers what the critic's own does. Their rate alone is another: it falls along a
    cosine from that of the run's beginning to 0. At the rate at which a run is about to end a copy would not move,
    however much there was to gain; at the first rate throughout it would be left jumping about its optimum.

    Args:
        game: Left as it was; nothing is drawn that training draws.
        source: The data.
        objective: What the two optimise.
        constraint: What holds the critic.
        hparams: The numbers.
        steps: Updates of the copy, at least 0.

    Returns:
        A game to be looked at: its generator is that of `game`.

    Raises:
        UsageError: As `wgan.training.loop.train`.

    Cost: As many updates of the critic, operation by operation.
    """
    further = game.with_own_critic()
    streams, k, update = Randomness(game.seed), game.steps_done, hparams.critic_steps_before(game.steps_done)
    move = Updates(further, objective, constraint, hparams)
    with game.only_looked_at():
        for player in (game.generator, further.critic):
            player.train()
        for t in range(steps):
            further.set_rates(0.5 + 0.5 * math.cos(math.pi * t / steps))
            real, mismatched = draw_real(game, source, hparams, "real of the gap", k, t)
            noise = game.prior.sample(hparams.batch_size, streams.at("noise of the gap", k, t))
            held = constraint.at(update + t)
            packed = real.packed(hparams.packing)
            drawn = draw(game, objective, held, packed, k, LOOKING_AHEAD, t, mismatched=mismatched)
            move.critic(held, real, noise, drawn)
            constraint.project(further.critic)
    return further


def relative_rise(before: float, after: float) -> float:
    """(after - before) / after, at least 0: the share of `after` that was not there before.

    Args:
        before: What a critic proves, at least 0.
        after: What it proves once it was trained further, at least 0.

    Returns:
        Between 0, where there was no rise, and 1, where all came by it.
    """
    return max(0.0, (after - before) / after) if after > 0 else 0.0
