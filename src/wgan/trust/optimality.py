"""How far a critic is from its optimum against a generator that stands still."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable

from wgan.constraints import Constraint
from wgan.data.source import Source
from wgan.draws import draw, draw_real
from wgan.game import Game
from wgan.objectives import Objective
from wgan.randomness import Randomness
from wgan.rules import Rules
from wgan.updates import Updates


def trained_further(
    game: Game, source: Source, objective: Objective, constraint: Constraint, rules: Rules, *, steps: int
) -> Game:
    """A game with a copy of the critic that was trained `steps` updates further, against the same generator.

    The updates are those of training: loss, penalty and projection, fresh real rows and fresh samples. Their rate falls
    from that of the run's beginning to 0 along a cosine, wherever the run's own rate stands.

    Args:
        game: Left as it was; nothing is drawn that training draws. Its generator is shared.
        source: The data.
        objective: What the two optimise.
        constraint: What holds the critic.
        rules: The numbers.
        steps: Updates of the critic.

    Returns:
        A game to be looked at, and not to be trained: its generator is that of `game`.
    """
    further = _with_own_critic(game)
    streams, k = Randomness(game.seed), game.steps_done
    move, update = Updates(further, objective, constraint, rules), rules.critic_steps_before(k)
    with game.only_looked_at():
        further.critic.train()
        game.generator.train()
        for t in range(steps):
            further.set_rates(0.5 + 0.5 * math.cos(math.pi * t / steps))
            real, mismatched = draw_real(game, source, rules, "real of the gap", k, t)
            noise = game.prior.sample(rules.batch_size, streams.at("noise of the gap", k, t))
            held = constraint.at(update + t)
            drawn = draw(game, objective, held, real.packed(rules.packing), k, -2 - t, mismatched=mismatched)
            move.critic(held, real, noise, drawn)
            constraint.project(further.critic)
    return further


def gap_to_optimality(
    game: Game,
    source: Source,
    objective: Objective,
    constraint: Constraint,
    rules: Rules,
    *,
    steps: int,
    before: float,
    certified: Callable[[Game], float | None],
) -> float | None:
    """The share of what a critic trained further proves that this one does not prove yet.

    Args:
        game: Left as it was.
        source: The data.
        objective: What the two optimise.
        constraint: What holds the critic.
        rules: The numbers.
        steps: Updates of the critic's copy.
        before: What the critic proves now.
        certified: What a game's critic proves of the same points.

    Returns:
        Between 0 and 1; None where there is nothing to train, or the copy diverged.
    """
    if not steps or next(game.critic.parameters(), None) is None:
        return None
    after = certified(trained_further(game, source, objective, constraint, rules, steps=steps))
    return None if after is None else relative_rise(before, after)


def relative_rise(before: float, after: float) -> float:
    """(after - before) / after, at least 0: 0 where there was no rise, 1 where all came by it."""
    return max(0.0, (after - before) / after) if after > 0 else 0.0


def _with_own_critic(game: Game) -> Game:
    """The same game but for a critic and a critic's optimiser of its own."""
    own = copy.copy(game)
    optimizer = game.critic_optimizer
    own.critic, own.critic_optimizer = copy.deepcopy((game.critic, optimizer))
    # PyTorch's optimisers copy what they have learnt, and not what else stands on them.
    for name, value in vars(optimizer).items():
        if name not in vars(own.critic_optimizer):
            setattr(own.critic_optimizer, name, value)
    rates = game._rates[optimizer]
    own._rates = {own.critic_optimizer: rates}
    return own
