"""What each player goes down: pure functions of networks, batches and what was drawn."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from wgan.batch import Batch
from wgan.constraints import Constraint
from wgan.errors import UsageError
from wgan.objectives import Objective
from wgan.optimizers import FunctionalOptimizer
from wgan.system.torch_state import in_usual_state
from wgan.training.batches import LOOKING_AHEAD, Drawn, Mismatched, draw
from wgan.training.game import Game
from wgan.training.hyperparameters import Hyperparameters


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


@in_usual_state
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
    if not isinstance(optimizer, FunctionalOptimizer):
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
    hparams: Hyperparameters,
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
        hparams: The numbers.
        fake: Generated samples with their graph, not packed.
        shown: As many real ones, not packed, where the objective's generator or a look ahead sees such.
        mismatched: For a look ahead, where the critic sees them.
        step: Generator updates before this one.

    Returns:
        0-d, differentiable.
    """
    fake, shown = fake.packed(hparams.packing), None if shown is None else shown.packed(hparams.packing)
    if not hparams.unrolled_steps:
        return generator_loss(game, objective, fake, shown)
    assert shown is not None, "a look ahead sees real samples"
    drawn = draw(game, objective, constraint, shown, step, LOOKING_AHEAD, mismatched=mismatched)
    coming = [constraint.at(hparams.critic_steps_before(step + 1) + t) for t in range(hparams.unrolled_steps)]
    return generator_loss(game, objective, fake, shown, look_ahead(game, objective, coming, shown, fake, drawn))
