"""Draw what an update of either player needs, so that its loss is a pure function of the batch."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from wgan.batch import Batch
from wgan.data.conditions import Conditions
from wgan.data.source import Source
from wgan.errors import UsageError
from wgan.randomness import Randomness
from wgan.training.setup import Setup

_ATTEMPTS = 8
"""Batches that are searched for samples that do not fit a condition."""

LOOKING_AHEAD = -1
"""Stands for the number of the critic update in the random streams of updates that are computed but not applied."""


class CriticBatch(NamedTuple):
    """What one critic update is computed from. Of "packs": samples joined to one, as the critic sees them.

    Attributes:
        real: Real samples, N packs.
        noise: For as many generated samples, shape (N * packing, latent_dim), on the CPU.
        condition: The condition of each generated sample, not packed; None for an unconditional game.
        objective_draw: What the objective draws, such as the labels to flip.
        constraint_draw: What the constraint draws, such as the positions between real and generated samples.
        mismatched: Real samples under wrong conditions, N packs; None without a mismatch.
    """

    real: Batch
    noise: Tensor
    condition: Tensor | None = None
    objective_draw: Tensor | None = None
    constraint_draw: Tensor | None = None
    mismatched: Batch | None = None


class GeneratorBatch(NamedTuple):
    """What one generator update is computed from.

    Attributes:
        noise: Shape (N * packing, latent_dim), on the CPU.
        condition: The condition of each sample, not packed; None for an unconditional game.
        real: Real samples, N packs, where the objective's generator sees them.
        unrolled: The batch of the critic updates that are unrolled; None without unrolling.
    """

    noise: Tensor
    condition: Tensor | None = None
    real: Batch | None = None
    unrolled: CriticBatch | None = None


def draw_critic_batch(setup: Setup, real_stream: str, noise_stream: str, *counters: int) -> CriticBatch:
    """Draw real samples, and noise for as many generated ones under their conditions.

    Args:
        setup: Its game's seed decides which are drawn.
        real_stream: Random stream of the real samples.
        noise_stream: Random stream of the noise.
        counters: Where in the run.

    Returns:
        A batch without the draws of objective and constraint, which `with_loss_draws` adds.

    Raises:
        UsageError: As `draw_real`.
    """
    streams = Randomness(setup.game.seed)
    samples, mismatched = draw_real(setup, real_stream, *counters)  # 3
    noise = setup.game.prior.sample(setup.hparams.batch_size, streams.at(noise_stream, *counters))  # 4
    return CriticBatch(
        real=setup.pack(samples),
        noise=noise,
        condition=samples.condition,
        mismatched=None if mismatched is None else setup.pack(mismatched),
    )


def with_loss_draws(setup: Setup, batch: CriticBatch, *counters: int) -> CriticBatch:
    """The batch with what objective and constraint draw: on the CPU at first, so that all devices draw the same.

    Args:
        setup: With the constraint of this update (`Setup.at`).
        batch: Real samples and noise.
        counters: Where in the run.
    """
    streams, shape, engine = Randomness(setup.game.seed), tuple(batch.real.values.shape), setup.game.engine
    of_objective = setup.objective.draw(shape[0], streams.at("objective", *counters))
    of_constraint = setup.constraint.draw(shape, streams.at("constraint", *counters))
    return batch._replace(
        objective_draw=None if of_objective is None else engine.to_device(of_objective),
        constraint_draw=None if of_constraint is None else engine.to_device(of_constraint),
    )


def draw_generator_batch(setup: Setup) -> GeneratorBatch:
    """Draw the batch of the next generator update: noise, conditions, and real samples where its loss sees them."""
    game, position = setup.game, setup.game.position
    if setup.objective.generator_sees_real or setup.hparams.unrolled_steps:
        batch = draw_critic_batch(setup, "real of the generator", "noise of the generator", *position)
        return as_generator_batch(setup, batch, game.steps_done)
    streams, condition = Randomness(game.seed), None
    noise = game.prior.sample(setup.hparams.batch_size, streams.at("noise of the generator", *position))  # 9
    if game.generator.given.size:
        conditions = setup.source.conditions
        assert conditions is not None, "the generator takes conditions, but the data has none"
        drawn = conditions.draw(len(noise), streams.at("conditions of the generator", *position))
        condition = game.engine.to_device(drawn)
    return GeneratorBatch(noise, condition)


def as_generator_batch(setup: Setup, batch: CriticBatch, step: int) -> GeneratorBatch:
    """The batch of a generator update on the samples of a critic's batch.

    Args:
        setup: With the constraint of the run.
        batch: Real samples and noise.
        step: Generator updates before this one.
    """
    unrolled = with_loss_draws(setup, batch, step, LOOKING_AHEAD) if setup.hparams.unrolled_steps else None
    real = batch.real if setup.objective.generator_sees_real else None
    return GeneratorBatch(batch.noise, batch.condition, real, unrolled)


def generate(setup: Setup, noise: Tensor, condition: Tensor | None) -> Batch:
    """Samples of the generator under training, packed as the critic sees them."""
    return setup.pack(setup.game.generate(noise, condition))


def draw_real(setup: Setup, purpose: str, *counters: int) -> tuple[Batch, Batch | None]:
    """Draw real samples and, with a mismatch, others that do not fit the conditions of these.

    Args:
        setup: Its game's seed decides which are drawn.
        purpose: The random stream.
        counters: Where in the run.

    Returns:
        Both batches on the game's device, not packed; the second is None without a mismatch.

    Raises:
        UsageError: A mismatch is set, but there are no conditions, or all rows have the same.
    """
    game, source = setup.game, setup.source
    batch = source.sample(setup.hparams.batch_size, Randomness(game.seed).at(purpose, *counters))
    real = game.engine.batch_to_device(batch)
    if not setup.hparams.mismatch:
        return real, None
    if batch.condition is None or source.conditions is None:
        raise UsageError(
            f"a mismatch of {setup.hparams.mismatch:g} needs conditions, and none are requested",
            remedy="Name conditions (--condition), or set --mismatch to 0.",
        )
    wrong = draw_mismatched(source, source.conditions, batch, Randomness(game.seed), purpose, *counters)
    return real, game.engine.batch_to_device(wrong)


def draw_mismatched(
    source: Source, conditions: Conditions, batch: Batch, streams: Randomness, purpose: str, *counters: int
) -> Batch:
    """For each condition of a batch, draw a real sample that has another condition.

    A matching and a mismatched sample share each condition, so that a penalty can act between the two. Row i searches
    a second batch from row i on, and takes the first sample that does not fit. If none of several batches has one,
    which is rare, the row keeps its own sample and draws a wrong condition instead.

    Args:
        source: The data.
        conditions: Those of the source.
        batch: Real samples under their own conditions, on the CPU.
        streams: The randomness.
        purpose: The random stream of `batch`.
        counters: Where in the run.

    Raises:
        UsageError: All rows have the same condition.
    """
    assert batch.condition is not None
    size, left = len(batch.values), torch.arange(len(batch.values), device="cpu")
    values = batch.values.clone()
    # A separate stream, so that runs with and without a mismatch draw the same real samples.
    for attempt in range(_ATTEMPTS if len(conditions.codes) > 1 else 0):
        other = source.sample(size, streams.at(f"mismatched {purpose}", *counters, attempt))
        assert other.condition is not None
        _, which = torch.unique(torch.cat([batch.condition, other.condition]), dim=0, return_inverse=True)
        rows = (left[:, None] + torch.arange(size, device="cpu")) % size
        mismatches = which[size:][rows] != which[left][:, None]
        found = mismatches.any(dim=1)
        values[left[found]] = other.values[rows[found, mismatches[found].int().argmax(dim=1)]]
        left = left[~found]
        if not len(left):
            return Batch(values, batch.condition)
    condition = batch.condition.clone()
    condition[left] = conditions.mismatched(condition[left], streams.at(f"wrong conditions of {purpose}", *counters))
    return Batch(values, condition)
