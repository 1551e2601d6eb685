"""What reaches the generator, and whether the discriminator has stopped saying anything.

Both look at a game as it stands and leave it as it was, so that they can be asked at any step of a run.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from wgan.batch import Batch
from wgan.constraints import Constraint
from wgan.data.source import Source
from wgan.errors import UsageError
from wgan.objectives import Objective
from wgan.randomness import Randomness
from wgan.system.torch_state import in_usual_state, usable
from wgan.training.batches import draw_real
from wgan.training.game import Game
from wgan.training.hyperparameters import Hyperparameters
from wgan.training.losses import generator_loss, ruled_generator_loss
from wgan.transport.measures import Array, as_float64

SURE = 1e-3
"""A discriminator whose probability is closer than this to 0 or 1 is called saturated there."""


@dataclass(frozen=True, kw_only=True)
class GeneratorGradient:
    """How strongly the generator is pulled: 0-d detached tensors, so that nothing waits until they are read.

    Attributes:
        at_samples: The mean length of the pull on one generated sample, N |d loss / d sample|, whatever the batch's
            size; under a Wasserstein critic its mean slope at generated samples, of one that sees packs of k, k times
            that in one of them.
        at_weights: The norm of d loss / d weights over all of the generator's weights.
    """

    at_samples: Tensor
    at_weights: Tensor


@dataclass(frozen=True, kw_only=True)
class Saturation:
    """How sure a discriminator is, 0-d detached tensors.

    Attributes:
        share: Share of all samples, real and generated alike, at which D is within `SURE` of 0 or 1.
        share_of_real: Likewise of the real samples.
        share_of_fake: Likewise of the generated ones.
        slope: The mean of D (1 - D), by which every gradient through the sigmoid is multiplied: at most 1/4.
    """

    share: Tensor
    share_of_real: Tensor
    share_of_fake: Tensor
    slope: Tensor


@dataclass(frozen=True, kw_only=True)
class GradientStats:
    """What was found of a run on its probe.

    Attributes:
        gradient: What reaches its generator.
        saturation: How sure its critic is; None where that is no classifier, or where its scores are not finite.
    """

    gradient: GeneratorGradient
    saturation: Saturation | None

    def numbers(self) -> dict[str, float]:
        """All of it by name, as plain numbers; those that are not finite are left out."""
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


@in_usual_state
def gradient_stats(
    game: Game, source: Source, objective: Objective, constraint: Constraint, hparams: Hyperparameters
) -> GradientStats:
    """The gradient that reaches the generator of a run as it stands, and how sure the critic is.

    Both are of one batch, the same at whatever step of the run, so that they compare along it. The loss is that of the
    run's own generator updates: under the conditions of the data, of packed samples, and through the updates of the
    critic that are looked ahead to.

    Args:
        game: Neither weights, gradients, optimisers nor running statistics change, and nothing is drawn that training
            draws; learning rates become those of the last update, which they are unless the game was just restored.
        source: The data.
        objective: What the two optimise.
        constraint: What holds the critic.
        hparams: The numbers.

    Returns:
        Tensors that nothing waits for until they are read.

    Raises:
        UsageError: As `wgan.training.loop.train`.

    Cost: One generator update without the step, and one pass of the critic forwards.
    """
    streams, last = Randomness(game.seed), max(0, game.steps_done - 1)
    # A look ahead goes at the critic's rate, which in a game just restored the next update would be the first to set.
    game.set_rates(hparams.rate_at(last))
    real, mismatched = draw_real(game, source, hparams, "real of the probe")
    noise = game.prior.sample(hparams.batch_size, streams.at("noise of the probe"))
    shown = real if objective.generator_sees_real or hparams.unrolled_steps else None
    with game.only_looked_at():
        fake = game.generate(noise, real.condition)
        loss = ruled_generator_loss(game, objective, constraint, hparams, fake, shown, mismatched, last)
        gradient = _norms(*_pulls(game, fake, loss))
        with torch.no_grad():
            made = Batch(fake.values.detach(), fake.condition)
            scores = game.score_both(real.packed(hparams.packing), made.packed(hparams.packing))
            logits = objective.logits(*scores)
    if logits is None or not all(bool(side.isfinite().all()) for side in logits):
        return GradientStats(gradient=gradient, saturation=None)
    return GradientStats(gradient=gradient, saturation=saturation(*logits))


@in_usual_state
def generator_gradient(
    game: Game, objective: Objective, noise: Tensor, real: Batch | None = None, *, packing: int = 1
) -> GeneratorGradient:
    """The gradient of an objective's generator loss, at the samples and at the generator's weights.

    Any objective can be asked of any critic whose outputs it understands, not only the one that the critic was trained
    by: that is how the two losses of the original GAN are compared on one discriminator.

    Args:
        game: Neither weights, gradients nor running statistics change.
        objective: Whose loss.
        noise: Shape (N, latent_dim).
        real: As many real samples, for an objective whose generator sees them, and for their conditions.
        packing: Samples that the critic sees as one, of which N is a multiple.

    Returns:
        Two norms, 0-d.

    Raises:
        UsageError: An objective that needs real samples got none, or a number of samples that cannot be packed.

    Cost: One generator update without the step.
    """
    return _norms(*_gradients(game, objective, noise, real, packing))


@in_usual_state
def weight_gradient(
    game: Game, objective: Objective, noise: Tensor, real: Batch | None = None, *, packing: int = 1
) -> Tensor:
    """The gradient of an objective's generator loss with respect to all of the generator's weights.

    Args:
        game: As in `generator_gradient`.
        objective: Likewise.
        noise: Likewise.
        real: Likewise.
        packing: Likewise.

    Returns:
        Shape (W,), float64, detached, in the order of `generator.parameters()`.

    Raises:
        UsageError: As `generator_gradient`.
    """
    return _gradients(game, objective, noise, real, packing)[1]


@in_usual_state
def saturation(real_scores: Array, fake_scores: Array) -> Saturation:
    """How much of a discriminator D = sigmoid(score) has saturated.

    Args:
        real_scores: Logits of real samples, any shape.
        fake_scores: Logits of generated samples.

    Returns:
        Four numbers.

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
    # D is within `SURE` of an end where its logit is at least that of 1 - SURE, in size.
    is_sure = both.abs() >= math.log((1.0 - SURE) / SURE)
    return Saturation(
        share=is_sure.double().mean(),
        share_of_real=is_sure[: len(real)].double().mean(),
        share_of_fake=is_sure[len(real) :].double().mean(),
        slope=(both.sigmoid() * (-both).sigmoid()).mean(),
    )


def _gradients(
    game: Game, objective: Objective, noise: Tensor, real: Batch | None, packing: int
) -> tuple[Tensor, Tensor]:
    """At the samples, shape (N, *layout.shape), and at all weights, shape (W,), float64."""
    if objective.generator_sees_real and real is None:
        raise UsageError(
            f"the generator of {objective.title} is told of real samples, and none came",
            remedy="Give a batch of as many real samples as there is noise.",
        )
    if len(noise) % packing:
        raise UsageError(
            f"{len(noise)} samples cannot be packed by {packing}", remedy="Take a number of them that is a multiple."
        )
    shown = None if real is None else game.engine.bring_batch(_usable(real))
    with game.only_looked_at():
        fake = game.generate(usable(noise), None if shown is None else shown.condition)
        packed = None if shown is None else shown.packed(packing)
        return _pulls(game, fake, generator_loss(game, objective, fake.packed(packing), packed))


def _usable(batch: Batch) -> Batch:
    return Batch(usable(batch.values), None if batch.condition is None else usable(batch.condition))


def _pulls(game: Game, fake: Batch, loss: Tensor) -> tuple[Tensor, Tensor]:
    """The gradient of a loss of generated samples at these and at all weights of the generator, as above."""
    touched = [fake.values, *game.generator.parameters()]
    # What the loss does not touch is pulled at by nothing.
    pull, *slopes = torch.autograd.grad(loss, touched, allow_unused=True, materialize_grads=True)
    return pull.double(), torch.cat([slope.flatten().double() for slope in slopes])


def _norms(at_samples: Tensor, at_weights: Tensor) -> GeneratorGradient:
    lengths = at_samples.flatten(1).norm(dim=1) * len(at_samples)
    return GeneratorGradient(at_samples=lengths.mean(), at_weights=at_weights.norm())
