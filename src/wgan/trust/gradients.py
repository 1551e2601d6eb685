"""The gradient that the generator receives, and the saturation of a discriminator.

Both can be computed at any step of a run and leave it unchanged.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from wgan.batch import Batch
from wgan.errors import UsageError
from wgan.system.torch_state import in_default_state, usable
from wgan.training.batches import GeneratorBatch, as_generator_batch, draw_critic_batch, generate
from wgan.training.losses import generator_loss
from wgan.training.setup import Setup
from wgan.transport.measures import Array, as_float64

SURE = 1e-3
"""A discriminator counts as saturated where its probability is closer than this to 0 or 1."""


@dataclass(frozen=True, kw_only=True)
class GeneratorGradient:
    """The size of the generator's gradient: 0-d detached tensors, so that nothing waits until they are read.

    Attributes:
        at_samples: The mean of N |d loss / d sample| over the N samples, which does not depend on N. For a Wasserstein
            critic it is the mean slope at generated samples, with packs of k samples k times the slope in one of them.
        at_weights: The norm of d loss / d parameters over all parameters of the generator.
    """

    at_samples: Tensor
    at_weights: Tensor


@dataclass(frozen=True, kw_only=True)
class Saturation:
    """The saturation of a discriminator, 0-d detached tensors.

    Attributes:
        share: Share of all samples, real and generated, at which D is within `SURE` of 0 or 1.
        share_of_real: The same of the real samples.
        share_of_fake: The same of the generated samples.
        slope: The mean of D (1 - D), the factor of every gradient through the sigmoid: at most 1/4.
    """

    share: Tensor
    share_of_real: Tensor
    share_of_fake: Tensor
    slope: Tensor


@dataclass(frozen=True, kw_only=True)
class GradientStats:
    """Gradient statistics of a run on a fixed batch.

    Attributes:
        gradient: The generator's gradient.
        saturation: The critic's saturation; None if it is not a classifier, or its scores are not finite.
    """

    gradient: GeneratorGradient
    saturation: Saturation | None

    def numbers(self) -> dict[str, float]:
        """All finite values by name, as plain numbers."""
        found = {"gradient_at_samples": self.gradient.at_samples, "gradient_at_weights": self.gradient.at_weights}
        if self.saturation is not None:
            found |= {
                "saturated": self.saturation.share,
                "saturated_real": self.saturation.share_of_real,
                "saturated_fake": self.saturation.share_of_fake,
                "saturation_slope": self.saturation.slope,
            }
        read = {name: value.item() for name, value in found.items()}
        return {name: value for name, value in read.items() if math.isfinite(value)}


@in_default_state
def gradient_stats(setup: Setup) -> GradientStats:
    """The generator's gradient at the present state of a run, and the saturation of the critic.

    Both are computed on the same batch at every step, so that values of different steps compare. The loss is that of
    the generator's updates, with conditions, packing and unrolled critic updates.

    Args:
        setup: Parameters, gradients, optimisers and running statistics do not change, and nothing is drawn from the
            random streams of training. Learning rates become those of the last update, which differs only after a
            game was restored.

    Returns:
        0-d tensors, so that nothing waits until they are read.

    Raises:
        UsageError: As `wgan.training.loop.train`.

    Cost: One generator update without the optimiser's step, and one forward pass of the critic.
    """
    game, last = setup.game, max(0, setup.game.steps_done - 1)
    # Unrolled updates use the critic's learning rate. In a game just restored it has not been set yet.
    game.set_lr(setup.hparams.lr_factor_at(last))
    # The name is part of the random stream and cannot change.
    batch = draw_critic_batch(setup, "real of the probe", "noise of the probe")
    with game.preserved():
        fake = generate(setup, batch.noise, batch.condition)
        loss = generator_loss(setup, as_generator_batch(setup, batch, last), fake, last)
        gradient = _norms(*_gradients_of(setup, loss, fake))
        with torch.no_grad():
            logits = setup.objective.logits(*game.score_both(batch.real, Batch(fake.values.detach(), fake.condition)))
    if logits is None or not all(bool(side.isfinite().all()) for side in logits):
        return GradientStats(gradient=gradient, saturation=None)
    return GradientStats(gradient=gradient, saturation=saturation(*logits))


@in_default_state
def generator_gradient(setup: Setup, noise: Tensor, real: Batch | None = None) -> GeneratorGradient:
    """The gradient of the generator's loss, at the samples and at the generator's parameters, without unrolling.

    The objective may be any that accepts the critic's outputs, not only the one that the critic was trained by. For
    example, the two losses of the original GAN can be compared on one discriminator.

    Args:
        setup: Its game does not change: parameters, gradients and running statistics.
        noise: Shape (N, latent_dim), N a multiple of `hparams.packing`.
        real: N real samples, not packed, for an objective whose generator sees them, and for their conditions.

    Returns:
        Two norms, 0-d.

    Raises:
        UsageError: An objective that needs real samples got none, or a number of samples that cannot be packed.

    Cost: One generator update without the optimiser's step.
    """
    return _norms(*_generator_gradients(setup, noise, real))


@in_default_state
def weight_gradient(setup: Setup, noise: Tensor, real: Batch | None = None) -> Tensor:
    """The gradient of the generator's loss with respect to all of the generator's parameters, without unrolling.

    Args:
        setup: As in `generator_gradient`.
        noise: Likewise.
        real: Likewise.

    Returns:
        Shape (W,), float64, detached, in the order of `generator.parameters()`.

    Raises:
        UsageError: As `generator_gradient`.
    """
    return _generator_gradients(setup, noise, real)[1]


@in_default_state
def saturation(real_scores: Array, fake_scores: Array) -> Saturation:
    """The saturation of a discriminator D = sigmoid(score).

    Args:
        real_scores: Logits of real samples, any shape.
        fake_scores: Logits of generated samples.

    Returns:
        Four numbers, 0-d.

    Raises:
        UsageError: No scores.
        NumericError: Scores that are not finite.

    Source: Arjovsky and Bottou (2017), theorem 2.4: a discriminator that is perfect has no gradient.
    """
    real, fake = as_float64(real_scores, "real_scores").detach(), as_float64(fake_scores, "fake_scores").detach()
    if not real.numel() or not fake.numel():
        raise UsageError("saturation needs at least one score of real and one of generated samples")
    real, fake = real.reshape(-1), fake.reshape(-1).to(real.device)
    both = torch.cat([real, fake])
    # D is within `SURE` of 0 or 1 where the absolute logit is at least that of 1 - SURE.
    is_saturated = both.abs() >= math.log((1.0 - SURE) / SURE)
    return Saturation(
        share=is_saturated.double().mean(),
        share_of_real=is_saturated[: len(real)].double().mean(),
        share_of_fake=is_saturated[len(real) :].double().mean(),
        slope=(both.sigmoid() * (-both).sigmoid()).mean(),
    )


def _generator_gradients(setup: Setup, noise: Tensor, real: Batch | None) -> tuple[Tensor, Tensor]:
    """At the samples, shape (N, *layout.shape), and at all parameters, shape (W,), float64."""
    if setup.objective.generator_sees_real and real is None:
        raise UsageError(
            f"the generator of {setup.objective.title} needs real samples, and none were given",
            remedy="Give a batch of as many real samples as there is noise.",
        )
    if len(noise) % setup.hparams.packing:
        raise UsageError(
            f"{len(noise)} samples cannot be packed by {setup.hparams.packing}",
            remedy="Take a number of them that is a multiple.",
        )
    shown = None if real is None else setup.game.engine.batch_to_device(_usable(real))
    condition = None if shown is None else shown.condition
    seen = setup.pack(shown) if shown is not None and setup.objective.generator_sees_real else None
    with setup.game.preserved():
        batch = GeneratorBatch(usable(noise), condition, seen)
        fake = generate(setup, batch.noise, condition)
        return _gradients_of(setup, generator_loss(setup, batch, fake), fake)


def _usable(batch: Batch) -> Batch:
    return Batch(usable(batch.values), None if batch.condition is None else usable(batch.condition))


def _gradients_of(setup: Setup, loss: Tensor, fake: Batch) -> tuple[Tensor, Tensor]:
    """The gradient of a loss at generated samples, which come packed, and at all parameters, as above."""
    generator = setup.game.generator
    # The gradient is 0 where the loss does not depend on a tensor.
    at_packs, *at_parameters = torch.autograd.grad(
        loss, [fake.values, *generator.parameters()], allow_unused=True, materialize_grads=True
    )
    at_samples = at_packs.reshape(-1, *generator.layout.shape).double()
    return at_samples, torch.cat([gradient.flatten().double() for gradient in at_parameters])


def _norms(at_samples: Tensor, at_weights: Tensor) -> GeneratorGradient:
    lengths = at_samples.flatten(1).norm(dim=1) * len(at_samples)
    return GeneratorGradient(at_samples=lengths.mean(), at_weights=at_weights.norm())
