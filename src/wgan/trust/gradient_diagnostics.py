"""How both players are about to move: what pulls at each of their layers, which way the critic steps, what stops it.

A gradient that dies on its way through a critic leaves the generator nothing, and a step that goes against the gradient
it was made of is momentum's.
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
"""A weight whose size is closer than this share of the bound to it counts as clipped."""

_LAYERS = (nn.Linear, nn.modules.conv._ConvNd)

# Where training counts generator updates and critic updates, one number stands for neither.
_NO_UPDATE = -1


@dataclass(frozen=True, kw_only=True)
class GradientDiagnostics:
    """What the next updates of both players would go by; empty or None where there is no such thing.

    Attributes:
        critic_layers: Mean length of the gradient of the critic's loss, its penalty left aside, at what each of the
            critic's layers puts out for one sample, from the samples to the scores. For a Wasserstein critic the last
            is 1, and the others tell by what factor each further layer lets it die or explode.
        critic_weights: Norm of the gradient of the critic's loss, its penalty included, at each of its weight matrices,
            in the order in which the critic holds them.
        generator_layers: As `critic_layers`, of the generator's loss, from the noise to the samples.
        generator_weights: As `critic_weights`, of the generator's loss.
        step_cosine: Cosine of the angle between the coming step of the critic's weights and the negative gradient of
            the loss that `critic_weights` are of.
        at_bound: Share of the critic's weights that sit where they are clipped.
    """

    critic_layers: tuple[float, ...]
    critic_weights: tuple[float, ...]
    generator_layers: tuple[float, ...]
    generator_weights: tuple[float, ...]
    step_cosine: float | None
    at_bound: float | None


def diagnose_gradients(setup: Setup) -> GradientDiagnostics:
    """Look at the updates that both players would make next, without making them.

    All is of one batch that is drawn as training draws its own, the same at whatever moment of the run, so that numbers
    along it compare. The critic's loss is that of its coming update: a lazy penalty is in it when its turn has come.

    For each of a critic's layers but those that see the condition alone, the gradient is taken at the layer's output.
    That, and not the gradient at weights, shows where it vanishes: between layers that shrink their input K times, the
    gradient at an output shrinks K times with every step away from the scores, whereas that at a weight matrix is the
    product of a gradient that has passed all layers behind it and a signal that has passed all before, the same product
    for each. In a critic of 12 ReLU layers of 64, clipped at 0.01, on the swiss roll, the former falls from 1 to 4e-16,
    by some 20 in each layer, while the latter is within a factor of 3 at the first seven matrices.

    The step is that of the optimiser before any weights are clipped, whatever its rate. Without a memory of earlier
    gradients it can only stretch the gradient's entries, and the cosine is above 0. On the ring it was .28 to .7 by
    RMSProp and by Adam with beta1 = 0; .13 to .6 with .5, under a penalty; and with .9, at the same rate or ten times
    that, .4 at first and then about .1, below 0 now and then, while the estimate stayed several times as large. With
    batches of 256 one batch strays by .06 from the mean of many. Under clipping it was .2 to .6 even where momentum
    of .9 threw the estimate from 25 to -2 and back: what is against the gradient there is the whole way, and no step.
    A cosine near 0 accuses momentum; a larger one acquits it of nothing.

    At which clip a gradient dies depends on the critic. Of 3 layers of 128 on the ring, after 500 updates with clips of
    .001, .003, .01, .03, .1, .3, 1, the first of `critic_layers` was 8e-6, 5e-4, .02, .6, 24, 340 and 5,400, and the
    last of `generator_layers` 2e-8, 2e-6, 3e-4, .1, 10, 260 and 10,000; at the first two the generator had not learnt
    anything. `at_bound` was .73, .76, .55, .55, .40, .33 and .06.

    Args:
        setup: Parameters, optimisers and running statistics do not change, and nothing is drawn from the random streams
            of training. Learning rates become those of the last update.

    Returns:
        Numbers, which may be infinite or NaN in a run that has diverged.

    Raises:
        UsageError: As `wgan.training.loop.train`.

    Cost: Two updates of the critic and one of the generator, without the steps.

    Source: Gulrajani et al. (2017), section 4.2 and figure 1b, for gradients at successive layers of activations;
    Arjovsky, Chintala and Bottou (2017), section 3, for the cosine, which "usually turned negative" where momentum made
    training of a critic unstable.
    """
    game, last = setup.game, max(0, setup.game.steps_done - 1)
    # Unrolled updates use the critic's learning rate. In a game just restored it has not been set yet.
    game.set_lr(setup.hparams.lr_factor_at(last))
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
        optimizer: With what it remembers; not changed.
        gradients: Of each of its weights, in their order.

    Returns:
        Between -1 and 1; None where there are no weights, no gradient or no formula of the step.

    Source: Arjovsky, Chintala and Bottou (2017), section 3.
    """
    if not isinstance(optimizer, FunctionalOptimizer):
        return None
    # From weights 0 and at the rate 1 the new weights are the step itself, with all its digits.
    steps, _ = optimizer.functional_step(
        [torch.zeros_like(gradient) for gradient in gradients],
        gradients,
        optimizer.slots(),
        torch.ones((), dtype=torch.float32, device="cpu"),
    )
    inner, lengths = 0.0, [0.0, 0.0]
    for step, gradient in zip(steps, gradients, strict=True):
        ahead, downhill = step.double().flatten(), -gradient.double().flatten()
        inner += float(ahead @ downhill)
        lengths = [lengths[0] + float(ahead @ ahead), lengths[1] + float(downhill @ downhill)]
    if not all(0 < length < math.inf for length in lengths):
        return None
    return min(1.0, max(-1.0, inner / (math.sqrt(lengths[0]) * math.sqrt(lengths[1]))))


@torch.no_grad()
def share_at_bound(critic: nn.Module, constraint: Constraint) -> float | None:
    """The share of a critic's weights, biases included, that sit within `NEAR_BOUND` of where they are clipped.

    Args:
        critic: Any.
        constraint: What holds it.

    Returns:
        Between 0 and 1; None where nothing is clipped.
    """
    weights = list(critic.parameters())
    if not isinstance(constraint, WeightClipping) or not weights:
        return None
    least = (1.0 - NEAR_BOUND) * constraint.bound
    clipped = sum(int((weight.abs() >= least).sum()) for weight in weights)
    return clipped / sum(weight.numel() for weight in weights)


def _critic_layers(setup: Setup, batch: CriticBatch, fake: Batch) -> tuple[float, ...]:
    """At the critic's layers, of the objective's loss without the penalty, which is of other samples."""
    real, fake = (Batch(each.values.detach().requires_grad_(True), each.condition) for each in (batch.real, fake))
    with _outputs(setup.game.critic) as outputs:
        loss = setup.objective.critic_loss(*setup.game.score_both(real, fake), batch.objective_draw)
    return _lengths(outputs, _gradients(loss, [each for parts in outputs.values() for each in parts]), len(real.values))


def _generator_layers(setup: Setup, batch: CriticBatch, step: int) -> tuple[tuple[float, ...], list[Tensor]]:
    """At the generator's layers and at each of its parameters, of its own loss."""
    with _outputs(setup.game.generator) as outputs:
        fake = generate(setup, batch.noise.clone().requires_grad_(True), batch.condition)
    loss = generator_loss(setup, as_generator_batch(setup, batch, step), fake, step)
    layers = [each for parts in outputs.values() for each in parts]
    found = _gradients(loss, [*layers, *setup.game.generator.parameters()])
    return _lengths(outputs, found[: len(layers)], len(batch.noise)), found[len(layers) :]


@contextlib.contextmanager
def _outputs(player: nn.Module) -> Iterator[dict[nn.Module, list[Tensor]]]:
    """What a player's layers put out within the block, by layers in the order of their first calls.

    Those whose input hangs on nothing that has a gradient, such as the embedding of a condition, are left out.
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
    """The mean length at each layer of the gradient of one sample's loss, whatever the number of samples."""
    lengths, rest = [], iter(gradients)
    for parts in outputs.values():
        each = torch.cat([next(rest).flatten(1).double().norm(dim=1) for _ in parts])
        lengths.append(num * float(each.mean()))
    return tuple(lengths)


def _matrix_norms(gradients: list[Tensor]) -> tuple[float, ...]:
    return tuple(float(gradient.double().norm()) for gradient in gradients if gradient.dim() > 1)
