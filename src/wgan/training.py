"""Algorithm 1: train a generator against a critic that is kept near its optimum.

`train` is a generator function: it yields after every update of the generator, and everything else (printing,
recording, judging, stopping, saving) is its caller's loop body.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import overload

from torch import Tensor

from wgan.ambient import in_usual_state
from wgan.constraints import Constraint
from wgan.data.source import Source
from wgan.draws import draw, draw_conditions, draw_real
from wgan.errors import UsageError
from wgan.game import Game
from wgan.objectives import Objective
from wgan.randomness import Randomness
from wgan.rounds import critic_updates
from wgan.rules import Rules
from wgan.threads import PRODUCTS
from wgan.updates import updates


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


@dataclass(frozen=True)
class Setup:
    """All that `train` needs: the players, the data, what is optimised, what holds the critic, and the numbers.

    Attributes:
        game: Networks, optimisers, noise; changed by training.
        source: The data.
        objective: What the two optimise.
        constraint: What holds the critic.
        rules: The numbers.
    """

    game: Game
    source: Source
    objective: Objective
    constraint: Constraint
    rules: Rules


@overload
def train(game: Setup) -> Iterator[Step]: ...
@overload
def train(game: Game, source: Source, objective: Objective, constraint: Constraint, rules: Rules) -> Iterator[Step]: ...
@in_usual_state
def train(
    game: Game | Setup,
    source: Source | None = None,
    objective: Objective | None = None,
    constraint: Constraint | None = None,
    rules: Rules | None = None,
) -> Iterator[Step]:
    """Train until `rules.generator_steps` generator updates are done, from wherever the game stands.

    The numbers in the margin are the lines of the paper's Algorithm 1. Every draw depends on the game's seed, its step
    and the draw's purpose alone, so a game that was saved and restored goes on as if it had never stopped: to the
    bit on the same CPU machine, and up to rounding on CUDA, which may add in another order each time.

    Args:
        game: Networks, optimisers, noise; changed in place. Or a `Setup`, which holds the others too.
        source: The data.
        objective: What the two optimise.
        constraint: What holds the critic.
        rules: The numbers.

    Yields:
        One `Step` after each generator update.

    Raises:
        UsageError: The rules want an average that the game does not keep, or the game keeps one that they do not move.

    Source: Arjovsky, Chintala and Bottou (2017), Algorithm 1.
    """
    if isinstance(game, Setup):
        setup, game = game, game.game
        source, objective, constraint, rules = setup.source, setup.objective, setup.constraint, setup.rules
    assert source is not None and objective is not None and constraint is not None and rules is not None  # noqa: PT018
    if (game.average is not None) != (rules.average > 0):
        kept = "keeps no average" if game.average is None else "keeps an average"
        raise UsageError(
            f"the game {kept} of its generator, but the rules' average is {rules.average}",
            remedy="Build the game with averaged=True where the rules' average is above 0, and only there.",
        )
    streams, m = Randomness(game.seed), rules.batch_size
    move = updates(game, objective, constraint, rules)
    while game.steps_done < rules.generator_steps:  # 1
        # Who multiplies is the process's choice: other threads must find it as it was between two steps.
        with PRODUCTS.by(onednn=game.engine.onednn):
            k, here = game.steps_done, game.place
            game.set_rates(rules.rate_at(k))
            update = rules.critic_steps_before(k)
            for t in critic_updates(game, source, objective, rules):  # 2
                real, mismatched = draw_real(game, source, rules, "real", *here, t)  # 3
                noise = game.prior.sample(m, streams.at("noise of the critic", *here, t))  # 4
                held = constraint.at(update + t)
                drawn = draw(game, objective, held, real.packed(rules.packing), *here, t, mismatched=mismatched)
                critic_loss, estimate = move.critic(held, real, noise, drawn)  # 5, 6
                constraint.project(game.critic)  # 7
            noise = game.prior.sample(m, streams.at("noise of the generator", *here))  # 9
            shown = mismatched = None
            condition = draw_conditions(game, source, m, streams.at("conditions of the generator", *here))
            if objective.generator_sees_real or rules.unrolled_steps:
                shown, mismatched = draw_real(game, source, rules, "real of the generator", *here)
                condition = shown.condition
            generator_loss = move.generator(noise, condition, shown, mismatched)  # 10, 11
            game.update_average(rules.average)
            game.steps_done += 1
        yield Step(game.steps_done, estimate, critic_loss, generator_loss, t + 1)
