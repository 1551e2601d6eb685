"""Algorithm 1: train a generator against a critic that is kept near its optimum.

`train` is a generator function: it yields after every update of the generator, and everything else (printing,
recording, judging, stopping, saving) is its caller's loop body.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

import torch
from torch import Tensor, nn

from wgan.batch import Batch
from wgan.constraints import Constraint
from wgan.data.conditions import Conditions
from wgan.data.source import Source
from wgan.errors import UsageError
from wgan.game import Game
from wgan.objectives import Objective
from wgan.optimizers import Foreseeing
from wgan.randomness import Randomness


@dataclass(frozen=True, kw_only=True)
class Rules:
    """The numbers of Algorithm 1.

    Attributes:
        generator_steps: Generator updates of the whole run.
        batch_size: Samples in each batch (m).
        critic_steps: Critic updates before each generator update (n_critic).
        schedule: "constant", or "authors": `AUTHORS_CRITIC_STEPS` critic updates before each of the first 25 generator
            updates and before every 500th, as in the authors' code.
        decay: How the learning rates fall from their start to zero over the run.
        average: Decay of the generator's exponential moving average; 0 for none.
        packing: Samples that the critic sees as one.
        unrolled_steps: Updates of the critic that the generator looks ahead.
        mismatch: Weight of real samples under wrong conditions in the critic's loss.

    Raises:
        UsageError: A number out of its range.
    """

    generator_steps: int
    batch_size: int = 64
    critic_steps: int = 5
    schedule: Literal["constant", "authors"] = "constant"
    decay: Literal["none", "linear", "cosine"] = "none"
    average: float = 0.0
    packing: int = 1
    unrolled_steps: int = 0
    mismatch: float = 0.0

    def __post_init__(self) -> None:
        wanted = {
            "generator_steps": (self.generator_steps >= 0, "at least 0"),
            "batch_size": (self.batch_size >= 1, "at least 1"),
            "critic_steps": (self.critic_steps >= 1, "at least 1"),
            "average": (0 <= self.average < 1, "at least 0 and below 1"),
            "packing": (self.packing >= 1, "at least 1"),
            "unrolled_steps": (self.unrolled_steps >= 0, "at least 0"),
            "mismatch": (0 <= self.mismatch < 1, "at least 0 and below 1"),
        }
        faults = [
            f"{name} must be {must}, not {getattr(self, name)}" for name, (holds, must) in wanted.items() if not holds
        ]
        if faults:
            raise UsageError("; ".join(faults))
        if self.batch_size % self.packing:
            raise UsageError(
                f"batches of {self.batch_size} cannot be packed by {self.packing}",
                remedy="Choose a batch size that is a multiple of it.",
            )

    def critic_steps_at(self, step: int) -> int:
        """Critic updates before the generator update that follows `step` others."""
        if self.schedule == "authors" and (step < 25 or step % 500 == 0):
            return AUTHORS_CRITIC_STEPS
        return self.critic_steps

    def critic_steps_before(self, step: int) -> int:
        """Critic updates of the whole run before those that precede the generator update that follows `step` others."""
        if self.schedule == "constant":
            return step * self.critic_steps
        long = min(step, 25) + max(0, step - 1) // 500
        return long * AUTHORS_CRITIC_STEPS + (step - long) * self.critic_steps

    def rate_at(self, step: int) -> float:
        """The factor on both learning rates after `step` generator updates, from 1 down to 0."""
        done = step / max(1, self.generator_steps)
        if self.decay == "linear":
            return 1.0 - done
        return 0.5 + 0.5 * math.cos(math.pi * done) if self.decay == "cosine" else 1.0


AUTHORS_CRITIC_STEPS = 100

_ATTEMPTS = 8
"""Batches that are looked through for samples that do not fit a condition."""

LOOKING_AHEAD = -1
"""In place of the number of a critic update, in the draws of those that are only looked at."""


@dataclass(frozen=True)
class Step:
    """What one generator update left to look at: 0-d detached tensors, so that nothing waits until they are read.

    Attributes:
        number: Generator updates done, this one included.
        estimate: The objective's estimate on the last critic batch.
        critic_loss: The loss of the last critic update, penalty included.
        generator_loss: The loss of the generator update.
    """

    number: int
    estimate: Tensor
    critic_loss: Tensor
    generator_loss: Tensor


class Drawn(NamedTuple):
    """What the critic's loss draws besides its samples, so that it is a pure function of them.

    Attributes:
        by_objective: Such as labels to be flipped.
        by_constraint: Such as the places of a gradient penalty.
        mismatched: Real samples under wrong conditions; None where these play no part.
    """

    by_objective: Tensor | None
    by_constraint: Tensor | None
    mismatched: Mismatched | None = None


class Mismatched(NamedTuple):
    """Real samples under the conditions of others, which are not theirs.

    Attributes:
        batch: The samples, packed, under the conditions of the batch of real ones row by row.
        weight: Their weight in the critic's loss.
    """

    batch: Batch
    weight: float


def draw(
    game: Game,
    objective: Objective,
    constraint: Constraint,
    real: Batch,
    *counters: int,
    mismatched: Mismatched | None = None,
) -> Drawn:
    """Draw for one batch, on the CPU whatever the device, and bring it there."""
    streams, shape = Randomness(game.seed), tuple(real.values.shape)
    by_objective = objective.draw(shape[0], streams.at("objective", *counters))
    by_constraint = constraint.draw(shape, streams.at("constraint", *counters))
    return Drawn(
        None if by_objective is None else game.engine.bring(by_objective),
        None if by_constraint is None else game.engine.bring(by_constraint),
        mismatched,
    )


def draw_real(
    game: Game, source: Source, rules: Rules, purpose: str, *counters: int
) -> tuple[Batch, Mismatched | None]:
    """Draw a batch from the data, and others for its conditions that these do not fit, where rules want them.

    Args:
        game: Where they are brought to; its seed decides which are drawn.
        source: The data.
        rules: Batch size, packing of the others, and whether they are wanted.
        purpose: What they are drawn for.
        counters: Where in the run.

    Raises:
        UsageError: They are wanted, and there are no conditions, or all rows have the same.
    """
    batch = source.sample(rules.batch_size, Randomness(game.seed).at(purpose, *counters))
    real = game.engine.bring_batch(batch)
    if not rules.mismatch:
        return real, None
    if batch.condition is None or source.conditions is None:
        raise UsageError(
            f"a mismatch of {rules.mismatch:g} needs conditions, of which the data has none that are asked for",
            remedy="Name conditions (--condition), or set --mismatch to 0.",
        )
    wrong = draw_mismatched(source, source.conditions, batch, Randomness(game.seed), purpose, *counters)
    return real, Mismatched(game.engine.bring_batch(wrong).packed(rules.packing), rules.mismatch)


def draw_mismatched(
    source: Source, conditions: Conditions, batch: Batch, streams: Randomness, purpose: str, *counters: int
) -> Batch:
    """For each condition of a batch draw a real sample whose own condition is another.

    Pairs of a right and a wrong sample thus share a condition, under which a penalty can look at what lies between.
    A wrong sample is the first of a batch of its own, from its place on, that does not fit; in the rare case that none
    of several batches has one, the right sample itself stays, under a condition that is drawn to be wrong.

    Args:
        source: The data.
        conditions: Those of the source.
        batch: Real samples under their own conditions, on the CPU.
        streams: What decides which are drawn.
        purpose: What `batch` was drawn for.
        counters: Where in the run.

    Raises:
        UsageError: All rows have the same condition.
    """
    assert batch.condition is not None
    size, left = len(batch.values), torch.arange(len(batch.values))
    values = batch.values.clone()
    # Counted on from a purpose of its own, so that runs with and without draw the same real samples.
    for attempt in range(_ATTEMPTS if len(conditions.codes) > 1 else 0):
        other = source.sample(size, streams.at(f"mismatched {purpose}", *counters, attempt))
        assert other.condition is not None
        _, which = torch.unique(torch.cat([batch.condition, other.condition]), dim=0, return_inverse=True)
        places = (left[:, None] + torch.arange(size)) % size
        fits_not = which[size:][places] != which[left][:, None]
        found = fits_not.any(dim=1)
        values[left[found]] = other.values[places[found, fits_not[found].int().argmax(dim=1)]]
        left = left[~found]
        if not len(left):
            return Batch(values, batch.condition)
    condition = batch.condition.clone()
    condition[left] = conditions.mismatched(condition[left], streams.at(f"wrong conditions of {purpose}", *counters))
    return Batch(values, condition)


def draw_conditions(game: Game, source: Source, num: int, rng: torch.Generator) -> Tensor | None:
    """Conditions as they occur in the data, for a generator that was made for them; None for any other."""
    if not game.generator.given.size:
        return None
    assert source.conditions is not None, "the generator was made for conditions that the data has not"
    return game.engine.bring(source.conditions.draw(num, rng))


def critic_loss(
    game: Game,
    objective: Objective,
    constraint: Constraint,
    real: Batch,
    fake: Batch,
    drawn: Drawn,
    weights: dict[str, Tensor] | None = None,
) -> tuple[Tensor, Tensor]:
    """The critic's loss and its estimate, a pure function of weights, batches and draws: both 0-d.

    (1 - w) L(real, fake) + w L(real, mismatched) + penalty, where the third kind of sample, real ones under wrong
    conditions, takes the place of generated ones, and w is its weight; the estimate knows nothing of it. The penalty
    sees generated and mismatched samples in the same shares: between classes, where no generated sample lies, the
    critic's slope is held too.

    Source: Reed et al. (2016), Algorithm 1, lines 6 to 9, whose w is one half, for the minimax game alone.
    """
    of_real, of_fake = game.score_both(real, fake, weights)

    def witness(values: Tensor, condition: Tensor | None) -> Tensor:
        return objective.witness(game.score(values, condition, weights), of_real, of_fake)

    loss = objective.critic_loss(of_real, of_fake, drawn.by_objective)
    if drawn.mismatched is not None:
        batch, weight = drawn.mismatched
        third = objective.critic_loss(of_real, game.score(*batch, weights), drawn.by_objective)
        loss = (1 - weight) * loss + weight * third
        # What the critic tells from the real samples is held as a whole, each kind by its weight.
        num = round(weight * len(fake.values))
        fake = Batch(torch.cat([batch.values[:num], fake.values[num:]]), fake.condition)
    loss = loss + constraint.penalty(witness, real, fake, drawn.by_constraint)
    return loss, objective.estimate(of_real.detach(), of_fake.detach())


def generator_loss(
    game: Game, objective: Objective, fake: Batch, real: Batch | None, weights: dict[str, Tensor] | None = None
) -> Tensor:
    """The generator's loss, 0-d, a pure function of its samples, the critic's weights and real samples if asked for."""
    of_real = game.score(*real, weights) if real is not None and objective.generator_sees_real else None
    return objective.generator_loss(game.score(*fake, weights), of_real)


def look_ahead(
    game: Game, objective: Objective, held: Sequence[Constraint], real: Batch, fake: Batch, drawn: Drawn
) -> dict[str, Tensor]:
    """The critic's weights after more of its updates, as a differentiable function of the generated samples.

    The updates are those that its optimiser would make on this one batch; the critic itself stays as it is.

    Args:
        game: Networks and optimisers; not changed.
        objective: What the two optimise.
        held: What holds the critic in each of the updates.
        real: The batch.
        fake: With the generator's graph.
        drawn: For the batch.

    Returns:
        Weights and buffers by name.

    Raises:
        UsageError: An optimiser whose updates are not known as formulas.

    Source: Metz, Poole, Pfau and Sohl-Dickstein (2017), equations 7 to 11: gradients through all steps, and the same
    batch in each of them as in the authors' code.
    """
    optimizer = game.critic_optimizer
    if not isinstance(optimizer, Foreseeing):
        raise UsageError(
            f"the updates of {type(optimizer).__name__} cannot be looked through",
            remedy="Use an optimiser of wgan.optimizers, or unrolled_steps=0.",
        )
    # Statistics that forward passes leave behind belong to updates that are never made.
    buffers = {name: buffer.clone() for name, buffer in game.critic.named_buffers()}
    named, slots = dict[str, Tensor](game.critic.named_parameters()), optimizer.slots()
    for constraint in held:
        loss, _ = critic_loss(game, objective, constraint, real, fake, drawn, named | buffers)
        weights = list(named.values())
        gradients = torch.autograd.grad(loss, weights, create_graph=True, allow_unused=True)
        weights, slots = optimizer.foresee(weights, gradients, slots)
        named = dict(zip(named, constraint.projected(weights), strict=True))
    return named | buffers


def descend(loss: Tensor, player: nn.Module, optimizer: torch.optim.Optimizer) -> None:
    """Move one player, and only that one, down the gradient of its loss; one without weights stays where it is."""
    weights = list(player.parameters())
    if not weights:
        return
    optimizer.zero_grad(set_to_none=True)
    # `inputs` is the subscript of the gradient sign: the other player gathers nothing.
    torch.autograd.backward(loss, inputs=weights)
    optimizer.step()


def train(game: Game, source: Source, objective: Objective, constraint: Constraint, rules: Rules) -> Iterator[Step]:
    """Train until `rules.generator_steps` generator updates are done, from wherever the game stands.

    The numbers in the margin are the lines of the paper's Algorithm 1. Every draw depends on the game's seed, its step
    and the draw's purpose alone, so a game that was saved and restored goes on as if it had never stopped: to the
    bit on the same CPU machine, and up to rounding on CUDA, which may add in another order each time.

    Args:
        game: Networks, optimisers, noise; changed in place.
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
    if (game.average is not None) != (rules.average > 0):
        kept = "keeps no average" if game.average is None else "keeps an average"
        raise UsageError(
            f"the game {kept} of its generator, but the rules' average is {rules.average}",
            remedy="Build the game with averaged=True where the rules' average is above 0, and only there.",
        )
    streams, m = Randomness(game.seed), rules.batch_size
    while game.steps_done < rules.generator_steps:  # 1
        k = game.steps_done
        game.set_rates(rules.rate_at(k))
        update = rules.critic_steps_before(k)
        for t in range(rules.critic_steps_at(k)):  # 2
            real, mismatched = draw_real(game, source, rules, "real", k, t)  # 3
            noise = game.prior.sample(m, streams.at("noise of the critic", k, t))  # 4
            with torch.no_grad():
                fake = game.generate(noise, real.condition)
            real, fake = real.packed(rules.packing), fake.packed(rules.packing)
            held = constraint.at(update + t)
            drawn = draw(game, objective, held, real, k, t, mismatched=mismatched)
            loss, estimate = critic_loss(game, objective, held, real, fake, drawn)
            descend(loss, game.critic, game.critic_optimizer)  # 5, 6
            constraint.project(game.critic)  # 7
        noise = game.prior.sample(m, streams.at("noise of the generator", k))  # 9
        shown = mismatched = None
        condition = draw_conditions(game, source, m, streams.at("conditions of the generator", k))
        if objective.generator_sees_real or rules.unrolled_steps:
            shown, mismatched = draw_real(game, source, rules, "real of the generator", k)
            condition = shown.condition
        fake = game.generate(noise, condition).packed(rules.packing)
        shown = None if shown is None else shown.packed(rules.packing)
        weights = None
        if rules.unrolled_steps:
            assert shown is not None
            drawn = draw(game, objective, constraint, shown, k, LOOKING_AHEAD, mismatched=mismatched)
            coming = [constraint.at(rules.critic_steps_before(k + 1) + t) for t in range(rules.unrolled_steps)]
            weights = look_ahead(game, objective, coming, shown, fake, drawn)
        loss_of_generator = generator_loss(game, objective, fake, shown, weights)  # 10
        descend(loss_of_generator, game.generator, game.generator_optimizer)  # 11
        game.update_average(rules.average)
        game.steps_done += 1
        yield Step(game.steps_done, estimate, loss.detach(), loss_of_generator.detach())
