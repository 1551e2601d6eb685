"""What is looked at: the same real rows all along a run, samples of the generator as the critic meets it, and scores.

The generator is the one under training, not its average: the critic has never met the average, and what it says of that
one proves nothing of itself.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import torch
from torch import Tensor

from wgan.batch import Batch, Layout
from wgan.data.source import Source
from wgan.errors import UsageError
from wgan.networks import ties_samples
from wgan.randomness import Randomness
from wgan.system.text import counted
from wgan.training.setup import Setup

_POINTS, _IMAGES = 1_000, 512
_AT_ONCE = 256
"""Samples in one pass where the number changes nothing: few enough that what layers leave stays near a processor."""


def most_rows(layout: Layout) -> int:
    """The number of points to look at on each side: 1,000 of vectors, and 512 of images, whose costs are dearer."""
    return _IMAGES if layout.is_image else _POINTS


@dataclass(frozen=True, kw_only=True)
class Rows:
    """Real rows that stay the same along a run, as many of each kind, on the CPU and not packed.

    Attributes:
        held_out: Rows that training never sees.
        training: Rows that it sees.
    """

    held_out: Batch
    training: Batch

    @classmethod
    def of(cls, source: Source, *, size: int, packing: int, seed: int) -> Rows:
        """Draw them without repetition.

        Args:
            source: The data. One that never repeats itself gives fresh rows for both.
            size: Points on each side, at most: rows, or packs of them; no more than are held out.
            packing: Rows in one point.
            seed: What decides which.

        Raises:
            UsageError: Fewer rows were held out than the critic sees at once.
        """
        streams = Randomness(seed)
        parts = [
            source.labelled(part, size * packing, streams.at(f"{part} rows of the evidence"))
            for part in ("held-out", "train")
        ]
        num = min(len(part.values) for part in parts) // packing * packing
        if not num:
            raise UsageError(
                f"{counted(held := len(parts[0].values), 'row')} {'was' if held == 1 else 'were'} held out, "
                f"and evidence of a critic needs at least {packing}",
                remedy="Hold out more of them by --held-out.",
            )
        held_out, training = (_first(part, num) for part in parts)
        return cls(held_out=held_out, training=training)


@dataclass(frozen=True, kw_only=True)
class ScoredSamples:
    """Some rows, and what the critic says of them.

    Attributes:
        rows: On the game's device, not packed.
        points: The same as the critic sees them: N points, packed where it sees several rows as one.
        outputs: What the critic puts out for each point, shape (N,) or (N, K), float32.
        scores: What tells real from fake in that, shape (N,): high for what is real.
    """

    rows: Batch
    points: Batch
    outputs: Tensor
    scores: Tensor


@dataclass(frozen=True, kw_only=True)
class Snapshot:
    """A game at one moment: real rows and samples, as many of each, with the critic's scores.

    Attributes:
        held_out: Rows that training never sees.
        training: Rows that it sees.
        fake: Samples, under the held-out rows' own conditions, row by row.
        training_estimate: The objective's estimate, in its own unit, of training rows against samples, which are there
            under the conditions of these rows.
        held_out_estimate: The same of held-out rows.
    """

    held_out: ScoredSamples
    training: ScoredSamples
    fake: ScoredSamples
    training_estimate: float
    held_out_estimate: float


@dataclass(frozen=True, kw_only=True)
class Rescored:
    """What a critic says of points that were looked at before.

    Attributes:
        held_out: Scores of the held-out rows, shape (N,).
        fake: Scores of the samples, shape (N,).
        held_out_estimate: The objective's estimate of the two.
    """

    held_out: Tensor
    fake: Tensor
    held_out_estimate: float


def snapshot(setup: Setup, rows: Rows) -> Snapshot:
    """Generate as many samples as there are rows, of the same noise at every moment, and score all.

    Networks are evaluated as training evaluates them. Where batch norm ties the samples of a batch together, that is in
    batches of the training's size, each normalised by itself: running statistics would show a generator that the critic
    does not meet, and a critic that no loss was ever of. Elsewhere a sample's score is its own, and power iterations
    rest, so that all scores are of one function.

    Args:
        setup: Not changed. Nothing is drawn from the random streams of training.
        rows: The real ones.

    Returns:
        Without a graph, on the game's device.

    Cost: One pass of each player over the samples, and of the critic over the rows.
    """
    game, objective = setup.game, setup.objective
    held_out, training = game.engine.bring_batch(rows.held_out), game.engine.bring_batch(rows.training)
    noise = game.prior.sample(len(held_out.values), Randomness(game.seed).at("noise of the evidence"))
    with game.preserved(), torch.no_grad():
        fake = generated(setup, noise, held_out.condition)
        # Under conditions a critic may have a bias for each, which cancels only between samples that share them.
        alike = fake if training.condition is None else generated(setup, noise, training.condition)
        batches = (held_out, training, fake)
        points = [setup.pack(batch) for batch in batches]
        of_held_out, of_training, of_fake = outputs = [outputs_of(setup, each) for each in points]
        of_alike = of_fake if alike is fake else outputs_of(setup, setup.pack(alike))
        estimates = [objective.estimate(of_training, of_alike), objective.estimate(of_held_out, of_fake)]
        # What a witness is made of besides the critic comes from training, as the critic does.
        scores = [objective.witness(each, of_training, of_fake) for each in outputs]
    looked = [
        ScoredSamples(rows=batch, points=each, outputs=output, scores=score)
        for batch, each, output, score in zip(batches, points, outputs, scores, strict=True)
    ]
    return Snapshot(
        held_out=looked[0],
        training=looked[1],
        fake=looked[2],
        training_estimate=float(estimates[0]),
        held_out_estimate=float(estimates[1]),
    )


def rescore(setup: Setup, seen: Snapshot) -> Rescored:
    """What a game's critic, which may be another by now, says of held-out rows and of samples already made.

    Args:
        setup: Whose critic; not changed.
        seen: The points.
    """
    objective = setup.objective
    with setup.game.preserved(), torch.no_grad():
        of_held_out, of_training, of_fake = (
            outputs_of(setup, each.points) for each in (seen.held_out, seen.training, seen.fake)
        )
        return Rescored(
            held_out=objective.witness(of_held_out, of_training, of_fake),
            fake=objective.witness(of_fake, of_training, of_fake),
            held_out_estimate=float(objective.estimate(of_held_out, of_fake)),
        )


def generated(setup: Setup, noise: Tensor, condition: Tensor | None) -> Batch:
    """Samples as the critic meets them, not packed; running statistics move."""
    game = setup.game
    game.generator.train()
    at_once = setup.hparams.batch_size if ties_samples(game.generator) else _AT_ONCE
    values = [
        game.generate(noise[part], None if condition is None else condition[part]).values
        for part in _even(len(noise), at_once)
    ]
    return Batch(torch.cat(values), condition)


def outputs_of(setup: Setup, points: Batch) -> Tensor:
    """What the critic puts out for points; running statistics move."""
    game, hparams = setup.game, setup.hparams
    tied = ties_samples(game.critic)
    game.critic.train(tied)
    at_once = hparams.batch_size // hparams.packing if tied else _AT_ONCE
    values, condition = points
    outputs = [
        game.score(values[part], None if condition is None else condition[part]) for part in _even(len(values), at_once)
    ]
    return torch.cat(outputs)


def _even(num: int, most: int) -> list[slice]:
    """Slices of rows, in order, as few as hold `most` at most, and as even as can be: batch norm needs company."""
    count = max(1, -(-num // most))
    ends = [round(num * index / count) for index in range(count + 1)]
    return [slice(start, stop) for start, stop in itertools.pairwise(ends)]


def _first(batch: Batch, num: int) -> Batch:
    return Batch(batch.values[:num], None if batch.condition is None else batch.condition[:num])
