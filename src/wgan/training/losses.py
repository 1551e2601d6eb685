"""The losses of both players: pure functions of networks and batches."""

from __future__ import annotations

import torch
from torch import Tensor

from wgan.batch import Batch
from wgan.errors import UsageError
from wgan.optimizers import FunctionalOptimizer
from wgan.system.torch_state import in_default_state
from wgan.training.batches import CriticBatch, GeneratorBatch
from wgan.training.setup import Setup


def critic_loss(
    setup: Setup, batch: CriticBatch, fake: Batch, parameters: dict[str, Tensor] | None = None
) -> tuple[Tensor, Tensor]:
    """The critic's loss and the objective's estimate, both 0-d.

    (1 - w) L(real, fake) + w L(real, mismatched) + penalty, where w is `hparams.mismatch`. The estimate is of real and
    fake alone. The penalty sees generated and mismatched samples in the shares 1 - w and w, so that it also bounds the
    critic's slope between classes, where no generated sample lies.

    Args:
        setup: With the constraint of this update (`Setup.at`).
        batch: Real and mismatched samples, and what objective and constraint draw.
        fake: Generated samples, packed.
        parameters: Parameters and buffers of the critic by name, in place of its own.

    Source: Reed et al. (2016), Algorithm 1, lines 6 to 9, for the minimax loss with w = 1/2.
    """
    game, objective, real = setup.game, setup.objective, batch.real
    real_scores, fake_scores = game.score_both(real, fake, parameters)

    def witness(values: Tensor, condition: Tensor | None) -> Tensor:
        return objective.witness(game.score(values, condition, parameters), real_scores, fake_scores)

    loss = objective.critic_loss(real_scores, fake_scores, batch.objective_draw)
    if batch.mismatched is not None:
        weight, wrong = setup.hparams.mismatch, batch.mismatched
        mismatch_loss = objective.critic_loss(real_scores, game.score(*wrong, parameters), batch.objective_draw)
        loss = (1 - weight) * loss + weight * mismatch_loss
        num = round(weight * len(fake.values))
        fake = Batch(torch.cat([wrong.values[:num], fake.values[num:]]), fake.condition)
    loss = loss + setup.constraint.penalty(witness, real, fake, batch.constraint_draw)
    return loss, objective.estimate(real_scores.detach(), fake_scores.detach())


def generator_loss(setup: Setup, batch: GeneratorBatch, fake: Batch, step: int = 0) -> Tensor:
    """The generator's loss, 0-d, against the critic as it is or, with unrolling, as it will be after more updates.

    Args:
        setup: With the constraint of the run; not changed, except for statistics of batch norm.
        batch: Real samples, where the loss sees them.
        fake: Samples with their graph, packed.
        step: Generator updates before this one. Only unrolling depends on it.
    """
    game, objective = setup.game, setup.objective
    parameters = None if batch.unrolled is None else unrolled_critic(setup, batch.unrolled, fake, step)
    real_scores = None if batch.real is None else game.score(*batch.real, parameters)
    return objective.generator_loss(game.score(*fake, parameters), real_scores)


@in_default_state
def unrolled_critic(setup: Setup, batch: CriticBatch, fake: Batch, step: int) -> dict[str, Tensor]:
    """The critic's parameters after `hparams.unrolled_steps` more updates, as a differentiable function of `fake`.

    The updates are those that its optimiser would make on this one batch. The critic itself does not change.

    Args:
        setup: With the constraint of the run.
        batch: The batch of all the updates.
        fake: Samples with the generator's graph, packed.
        step: Generator updates before the one that looks ahead.

    Returns:
        Parameters and buffers by name.

    Raises:
        UsageError: An optimiser that has no functional form.

    Source: Metz, Poole, Pfau and Sohl-Dickstein (2017), equations 7 to 11: gradients through all steps, and the same
    batch in each of them as in the authors' code.
    """
    game, optimizer = setup.game, setup.game.critic_optimizer
    if not isinstance(optimizer, FunctionalOptimizer):
        raise UsageError(
            f"the updates of {type(optimizer).__name__} cannot be looked through",
            remedy="Use an optimiser of wgan.optimizers, or unrolled_steps=0.",
        )
    # Forward passes change buffers such as running statistics: these updates are not applied, so copies take it.
    buffers = {name: buffer.clone() for name, buffer in game.critic.named_buffers()}
    named, slots = dict[str, Tensor](game.critic.named_parameters()), optimizer.slots()
    first = setup.hparams.critic_steps_before(step + 1)
    for update in range(first, first + setup.hparams.unrolled_steps):
        current = setup.at(update)
        loss, _ = critic_loss(current, batch, fake, named | buffers)
        parameters = list(named.values())
        gradients = torch.autograd.grad(loss, parameters, create_graph=True, allow_unused=True)
        parameters, slots = optimizer.functional_step(parameters, gradients, slots)
        named = dict(zip(named, current.constraint.projected(parameters), strict=True))
    return named | buffers
