"""Gradients at each layer of both players, the direction of the critic's next step, and the share of clipped weights.

A gradient that vanishes within the critic does not reach the generator. A step against the present gradient is due to
momentum.
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from wgan.batch import Batch
from wgan.constraints import Constraint, WeightClipping
from wgan.optimizers import FunctionalOptimizer
from wgan.training.batches import CriticBatch, as_generator_batch, draw_critic_batch, generate, with_loss_draws
from wgan.training.losses import critic_loss, generator_loss
from wgan.training.setup import Setup

NEAR_BOUND = 1e-3
"""A weight counts as clipped if its absolute value is within this share of the bound."""

_LAYERS = (nn.Linear, nn.modules.conv._ConvNd)

# In place of the counters of training in the random streams: a single number, which training never uses.
_NO_UPDATE = -1


@dataclass(frozen=True, kw_only=True)
class GradientDiagnostics:
    """Gradients of the next updates of both players; empty or None where there are none.

    Attributes:
        critic_layers: Mean norm of the gradient of the critic's loss for one sample, without its penalty, at the
            output of each of its layers, first to last. For a Wasserstein critic the last one is 1, and ratios of
            neighbours show by what factor a layer shrinks or amplifies the gradient.
        critic_weights: Norm of the gradient of the critic's loss with its penalty, at each weight matrix of the critic,
            in the order of its parameters.
        generator_layers: As `critic_layers`, of the generator's loss, from the noise to the samples.
        generator_weights: As `critic_weights`, of the generator's loss.
        step_cosine: Cosine of the angle between the critic's next step and the negative gradient of `critic_weights`.
        at_bound: Share of the critic's weights that are clipped.
    """

    critic_layers: tuple[float, ...]
    critic_weights: tuple[float, ...]
    generator_layers: tuple[float, ...]
    generator_weights: tuple[float, ...]
    step_cosine: float | None
    at_bound: float | None


def diagnose_gradients(setup: Setup) -> GradientDiagnostics:
    """Compute the gradients of the next updates of both players, without updating them.

    The batch is drawn as in training and is the same at every step of a run, so that values of different steps compare.
    The critic's loss is that of its next update, with a lazy penalty only if it is due.

    Gradients are taken at the output of each layer, except layers of the condition alone. They show where the gradient
    vanishes, which gradients at weights do not. If each layer shrinks its input K times, the gradient at an output
    shrinks K times with each layer away from the scores. The gradient at a weight matrix is the product of that with
    the layer's input, which shrinks in the other direction: it is about the same for all layers. An example is a critic
    of 12 ReLU layers of 64, clipped at 0.01, on the swiss roll. There the former falls from 1 to 4e-16, by about 20 in
    each layer, while the latter is within a factor of 3 at the first seven matrices.

    The step is that of the optimiser before clipping; its cosine does not depend on the learning rate. Without momentum
    the step only rescales the entries of the gradient, and the cosine is above 0. On the ring it was .28 to .7 with
    RMSProp and with Adam at beta1 = 0. With a penalty and beta1 = .5 it was .13 to .6. With beta1 = .9, at the same
    learning rate or ten times as much, it was .4 at first, then about .1 and sometimes below 0. The estimate stayed
    several times too large. With batches of 256, the cosine of one batch differs by .06 from the mean of many.
    Under clipping it was .2 to .6 even where beta1 = .9 made the estimate swing from 25 to -2 and back, since no single
    step was against the gradient. A cosine near 0 indicates momentum; a larger one does not rule it out.

    The clipping bound at which the gradient vanishes depends on the critic. For 3 layers of 128 on the ring, after 500
    updates with bounds of .001, .003, .01, .03, .1, .3 and 1, the first of `critic_layers` was 8e-6, 5e-4, .02, .6, 24,
    340 and 5,400. The last of `generator_layers` was 2e-8, 2e-6, 3e-4, .1, 10, 260 and 10,000. With the first two
    bounds the generator had not learned anything. `at_bound` was .73, .76, .55, .55, .40, .33 and .06.

    Args:
        setup: Parameters, optimisers and running statistics do not change, and nothing is drawn from the random streams
            of training. Learning rates become those of the last update.

    Returns:
        Numbers, which can be infinite or NaN in a run that has diverged.

    Raises:
        UsageError: As `wgan.training.loop.train`.

    Cost: Two updates of the critic and one of the generator, without the optimisers' steps.

    Source: Gulrajani et al. (2017), section 4.2 and figure 1b, for gradients at successive layers of activations;
    Arjovsky, Chintala and Bottou (2017), section 3, for the cosine, which "usually turned negative" where momentum made
    training of a critic unstable.
    """
    game, last = setup.game, max(0, setup.game.steps_done - 1)
    # Unrolled updates use the critic's learning rate. In a game just restored it has not been set yet.
    game.set_lr(setup.hparams.lr_factor_at(last))
    # The name is part of the random stream and cannot change.
    batch = draw_critic_batch(setup, "real of the moves", "noise of the moves")
    with game.preserved():
        game.critic.train()
        game.generator.train()
        current = setup.at(setup.hparams.critic_steps_before(game.steps_done))
        with torch.no_grad():
            fake = generate(setup, batch.noise, batch.condition)
        batch = with_loss_draws(current, batch, _NO_UPDATE)
        critic_layers = _critic_layers(setup, batch, fake)
        loss, _ = critic_loss(current, batch, fake)
        critic_gradients = _gradients(loss, list(game.critic.parameters()))
        generator_layers, generator_gradients = _generator_layers(setup, batch, last)
    return GradientDiagnostics(
        critic_layers=critic_layers,
        critic_weights=_matrix_norms(critic_gradients),
        generator_layers=generator_layers,
        generator_weights=_matrix_norms(generator_gradients),
        step_cosine=step_cosine(game.critic_optimizer, critic_gradients),
        at_bound=share_at_bound(game.critic, setup.constraint),
    )


def step_cosine(optimizer: torch.optim.Optimizer, gradients: list[Tensor]) -> float | None:
    """The cosine of the angle between the step that an optimiser would make next and the negative gradient.

    Args:
        optimizer: With its state; not changed.
        gradients: Of each of its parameters, in their order.

    Returns:
        Between -1 and 1; None without parameters, without a gradient, or for an optimiser without a functional form.

    Source: Arjovsky, Chintala and Bottou (2017), section 3.
    """
    if not isinstance(optimizer, FunctionalOptimizer):
        return None
    # From parameters 0 and with learning rate 1 the new parameters are the step itself, in full precision.
    steps, _ = optimizer.functional_step(
        [torch.zeros_like(gradient) for gradient in gradients],
        gradients,
        optimizer.slots(),
        torch.ones((), dtype=torch.float32, device="cpu"),
    )
    inner, lengths = 0.0, [0.0, 0.0]
    for step, gradient in zip(steps, gradients, strict=True):
        taken, steepest = step.double().flatten(), -gradient.double().flatten()
        inner += float(taken @ steepest)
        lengths = [lengths[0] + float(taken @ taken), lengths[1] + float(steepest @ steepest)]
    if not all(0 < length < math.inf for length in lengths):
        return None
    return min(1.0, max(-1.0, inner / (math.sqrt(lengths[0]) * math.sqrt(lengths[1]))))


@torch.no_grad()
def share_at_bound(critic: nn.Module, constraint: Constraint) -> float | None:
    """The share of a critic's weights, biases included, within `NEAR_BOUND` of the clipping bound.

    Args:
        critic: Any.
        constraint: Of the critic.

    Returns:
        Between 0 and 1; None without weight clipping.
    """
    weights = list(critic.parameters())
    if not isinstance(constraint, WeightClipping) or not weights:
        return None
    least = (1.0 - NEAR_BOUND) * constraint.bound
    clipped = sum(int((weight.abs() >= least).sum()) for weight in weights)
    return clipped / sum(weight.numel() for weight in weights)


def _critic_layers(setup: Setup, batch: CriticBatch, fake: Batch) -> tuple[float, ...]:
    """At the critic's layers, of the loss without the penalty, which is taken at other samples."""
    real, fake = (Batch(each.values.detach().requires_grad_(True), each.condition) for each in (batch.real, fake))
    with _outputs(setup.game.critic) as outputs:
        loss = setup.objective.critic_loss(*setup.game.score_both(real, fake), batch.objective_draw)
    return _lengths(outputs, _gradients(loss, [each for parts in outputs.values() for each in parts]), len(real.values))


def _generator_layers(setup: Setup, batch: CriticBatch, step: int) -> tuple[tuple[float, ...], list[Tensor]]:
    """Gradients of the generator's loss at its layers and at each of its parameters."""
    with _outputs(setup.game.generator) as outputs:
        fake = generate(setup, batch.noise.clone().requires_grad_(True), batch.condition)
    loss = generator_loss(setup, as_generator_batch(setup, batch, step), fake, step)
    layers = [each for parts in outputs.values() for each in parts]
    found = _gradients(loss, [*layers, *setup.game.generator.parameters()])
    return _lengths(outputs, found[: len(layers)], len(batch.noise)), found[len(layers) :]


@contextlib.contextmanager
def _outputs(player: nn.Module) -> Iterator[dict[nn.Module, list[Tensor]]]:
    """The outputs of a player's layers within the block, by layer in the order of their first calls.

    Layers whose input has no gradient, such as the embedding of a condition, are left out.
    """
    found: dict[nn.Module, list[Tensor]] = {}

    def keep(layer: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        if inputs[0].requires_grad:
            found.setdefault(layer, []).append(output)

    hooks = [layer.register_forward_hook(keep) for layer in player.modules() if isinstance(layer, _LAYERS)]
    try:
        yield found
    finally:
        for hook in hooks:
            hook.remove()


def _gradients(loss: Tensor, tensors: list[Tensor]) -> list[Tensor]:
    """The gradient at each tensor; 0 where the loss does not depend on it."""
    if not tensors:
        return []
    return list(torch.autograd.grad(loss, tensors, allow_unused=True, materialize_grads=True))


def _lengths(outputs: dict[nn.Module, list[Tensor]], gradients: list[Tensor], num: int) -> tuple[float, ...]:
    """The mean norm, at each layer, of the gradient for one sample, independent of the number of samples."""
    lengths, rest = [], iter(gradients)
    for parts in outputs.values():
        each = torch.cat([next(rest).flatten(1).double().norm(dim=1) for _ in parts])
        lengths.append(num * float(each.mean()))
    return tuple(lengths)


def _matrix_norms(gradients: list[Tensor]) -> tuple[float, ...]:
    return tuple(float(gradient.double().norm()) for gradient in gradients if gradient.dim() > 1)
