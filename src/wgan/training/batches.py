"""What an update of either player draws, so that its loss is a pure function of what was drawn."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from wgan.batch import Batch
from wgan.constraints import Constraint
from wgan.data.conditions import Conditions
from wgan.data.source import Source
from wgan.errors import UsageError
from wgan.objectives import Objective
from wgan.randomness import Randomness
from wgan.training.game import Game
from wgan.training.hyperparameters import Hyperparameters

_ATTEMPTS = 8
"""Batches that are looked through for samples that do not fit a condition."""

LOOKING_AHEAD = -1
"""In place of the number of a critic update, in the draws of those that are only looked at."""


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
    game: Game, source: Source, hparams: Hyperparameters, purpose: str, *counters: int
) -> tuple[Batch, Mismatched | None]:
    """Draw a batch from the data, and others for its conditions that these do not fit, where rules want them.

    Args:
        game: Where they are brought to; its seed decides which are drawn.
        source: The data.
        hparams: Batch size, packing of the others, and whether they are wanted.
        purpose: What they are drawn for.
        counters: Where in the run.

    Raises:
        UsageError: They are wanted, and there are no conditions, or all rows have the same.
    """
    batch = source.sample(hparams.batch_size, Randomness(game.seed).at(purpose, *counters))
    real = game.engine.bring_batch(batch)
    if not hparams.mismatch:
        return real, None
    if batch.condition is None or source.conditions is None:
        raise UsageError(
            f"a mismatch of {hparams.mismatch:g} needs conditions, of which the data has none that are asked for",
            remedy="Name conditions (--condition), or set --mismatch to 0.",
        )
    wrong = draw_mismatched(source, source.conditions, batch, Randomness(game.seed), purpose, *counters)
    return real, Mismatched(game.engine.bring_batch(wrong).packed(hparams.packing), hparams.mismatch)


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
    size, left = len(batch.values), torch.arange(len(batch.values), device="cpu")
    values = batch.values.clone()
    # Counted on from a purpose of its own, so that runs with and without draw the same real samples.
    for attempt in range(_ATTEMPTS if len(conditions.codes) > 1 else 0):
        other = source.sample(size, streams.at(f"mismatched {purpose}", *counters, attempt))
        assert other.condition is not None
        _, which = torch.unique(torch.cat([batch.condition, other.condition]), dim=0, return_inverse=True)
        places = (left[:, None] + torch.arange(size, device="cpu")) % size
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
