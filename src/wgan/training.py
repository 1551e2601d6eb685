"""Algorithm 1: train a generator against a critic that is kept near its optimum.

`train` is a generator function: it yields after every update of the generator, and everything else (printing,
recording, judging, stopping, saving) is its caller's loop body.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from wgan.batch import Batch
from wgan.constraints import Constraint
from wgan.data.source import Source
from wgan.draws import LOOKING_AHEAD, Drawn, Mismatched, draw, draw_conditions, draw_real
from wgan.errors import UsageError
from wgan.game import Game
from wgan.objectives import Objective
from wgan.optimizers import Foreseeing
from wgan.randomness import Randomness
from wgan.rules import Rules


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


def ruled_generator_loss(
    game: Game,
    objective: Objective,
    constraint: Constraint,
    rules: Rules,
    fake: Batch,
    shown: Batch | None,
    mismatched: Mismatched | None,
    step: int,
) -> Tensor:
    """The generator's loss as the rules of a run have it: of packed samples, before the critic that they look ahead to.

    Args:
        game: Not changed but for statistics that forward passes leave behind.
        objective: What the two optimise.
        constraint: What holds the critic in the updates that are looked ahead to.
        rules: The numbers.
        fake: Generated samples with their graph, not packed.
        shown: As many real ones, not packed, where the objective's generator or a look ahead sees such.
        mismatched: For a look ahead, where the critic sees them.
        step: Generator updates before this one.

    Returns:
        0-d, differentiable.
    """
    fake, shown = fake.packed(rules.packing), None if shown is None else shown.packed(rules.packing)
    if not rules.unrolled_steps:
        return generator_loss(game, objective, fake, shown)
    assert shown is not None, "a look ahead sees real samples"
    drawn = draw(game, objective, constraint, shown, step, LOOKING_AHEAD, mismatched=mismatched)
    coming = [constraint.at(rules.critic_steps_before(step + 1) + t) for t in range(rules.unrolled_steps)]
    return generator_loss(game, objective, fake, shown, look_ahead(game, objective, coming, shown, fake, drawn))


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
        fake = game.generate(noise, condition)
        loss_of_generator = ruled_generator_loss(game, objective, constraint, rules, fake, shown, mismatched, k)  # 10
        descend(loss_of_generator, game.generator, game.generator_optimizer)  # 11
        game.update_average(rules.average)
        game.steps_done += 1
        yield Step(game.steps_done, estimate, loss.detach(), loss_of_generator.detach())
