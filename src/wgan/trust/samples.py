"""The samples that evidence is computed from: fixed real rows, generated samples, and the critic's scores of both.

Samples come from the generator under training, not from its moving average. The critic was trained against the former,
and its scores of the latter say nothing about its own training.
"""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass

import torch
from torch import Tensor

from wgan.batch import Batch, Layout
from wgan.data.source import Source
from wgan.errors import UsageError
from wgan.networks import mixes_batch
from wgan.randomness import Randomness
from wgan.system.text import counted
from wgan.training.setup import Setup

_POINTS, _IMAGES = 1_000, 512
_AT_ONCE = 256
"""Samples in one pass if their number does not change results: few enough to keep layers' outputs in cache."""


def most_rows(layout: Layout) -> int:
    """Points to evaluate on each side: 1,000 vectors, or 512 images, whose costs take longer to compute."""
    return _IMAGES if layout.is_image else _POINTS


@dataclass(frozen=True, kw_only=True)
class Rows:
    """Real rows that stay the same during a run, equally many of each kind, on the CPU and not packed.

    Attributes:
        held_out: Rows that are never trained on.
        training: Rows that are trained on.
    """

    held_out: Batch
    training: Batch

    @classmethod
    def of(cls, source: Source, *, size: int, packing: int, seed: int) -> Rows:
        """Draw them without repetition.

        Args:
            source: The data. A sampler, which never repeats itself, gives fresh rows for both.
            size: Most points on each side, which are rows or packs of them; limited by the rows held out.
            packing: Rows in one point.
            seed: Of the draw.

        Raises:
            UsageError: Fewer rows are held out than the critic sees as one.
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
    """Rows and the critic's scores of them.

    Attributes:
        rows: On the game's device, not packed.
        points: The rows as the critic sees them: N points, which are packs of rows with packing.
        outputs: The critic's outputs, shape (N,) or (N, K), float32.
        scores: The objective's witness of the outputs, shape (N,): high for real samples.
    """

    rows: Batch
    points: Batch
    outputs: Tensor
    scores: Tensor


@dataclass(frozen=True, kw_only=True)
class Snapshot:
    """Real rows and generated samples, equally many, with the critic's scores at one step of a run.

    Attributes:
        held_out: Rows that are never trained on.
        training: Rows that are trained on.
        fake: Samples under the conditions of the held-out rows, row by row.
        training_estimate: The objective's estimate, in its own unit, on training rows and samples under their
            conditions.
        held_out_estimate: The same on held-out rows.
    """

    held_out: ScoredSamples
    training: ScoredSamples
    fake: ScoredSamples
    training_estimate: float
    held_out_estimate: float


@dataclass(frozen=True, kw_only=True)
class Rescored:
    """The scores of another critic on the points of a snapshot.

    Attributes:
        held_out: Scores of the held-out rows, shape (N,).
        fake: Scores of the samples, shape (N,).
        held_out_estimate: The objective's estimate on both.
    """

    held_out: Tensor
    fake: Tensor
    held_out_estimate: float


def snapshot(setup: Setup, rows: Rows) -> Snapshot:
    """Generate as many samples as there are rows, always from the same noise, and score all of them.

    Networks are evaluated as in training. With batch norm this means batches of the training's size, each normalised
    by itself: with running statistics, generator and critic would differ from those that were trained. Without batch
    norm each score depends on its own sample, and power iterations are suspended, so that all scores are of one
    function.

    Args:
        setup: Not changed. Nothing is drawn from the random streams of training.
        rows: The real rows.

    Returns:
        Without a graph, on the game's device.

    Cost: One pass of each player over the samples, and of the critic over the rows.
    """
    game, objective = setup.game, setup.objective
    held_out, training = game.engine.batch_to_device(rows.held_out), game.engine.batch_to_device(rows.training)
    noise = game.prior.sample(len(held_out.values), Randomness(game.seed).at("noise of the evidence"))
    with game.preserved(), torch.no_grad():
        fake = generated(setup, noise, held_out.condition)
        # A critic may have a bias for each condition, which cancels only between samples under equal conditions.
        matching = fake if training.condition is None else generated(setup, noise, training.condition)
        batches = (held_out, training, fake)
        points = [setup.pack(batch) for batch in batches]
        of_held_out, of_training, of_fake = outputs = [outputs_of(setup, each) for each in points]
        of_matching = of_fake if matching is fake else outputs_of(setup, setup.pack(matching))
        estimates = [objective.estimate(of_training, of_matching), objective.estimate(of_held_out, of_fake)]
        # A witness may depend on real samples: as the critic, it is fitted to training rows.
        scores = [objective.witness(each, of_training, of_fake) for each in outputs]
    scored = [
        ScoredSamples(rows=batch, points=each, outputs=output, scores=score)
        for batch, each, output, score in zip(batches, points, outputs, scores, strict=True)
    ]
    return Snapshot(
        held_out=scored[0],
        training=scored[1],
        fake=scored[2],
        training_estimate=float(estimates[0]),
        held_out_estimate=float(estimates[1]),
    )


def rescore(setup: Setup, seen: Snapshot) -> Rescored:
    """Score the held-out rows and samples of a snapshot by a critic, which may be another than that of the snapshot.

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
    """Samples as in training, not packed; running statistics change."""
    game = setup.game
    game.generator.train()
    at_once = setup.hparams.batch_size if mixes_batch(game.generator) else _AT_ONCE
    values = [
        game.generate(noise[part], None if condition is None else condition[part]).values
        for part in _even(len(noise), at_once)
    ]
    return Batch(torch.cat(values), condition)


def outputs_of(setup: Setup, points: Batch) -> Tensor:
    """The critic's outputs for points; running statistics change."""
    game, hparams = setup.game, setup.hparams
    tied = mixes_batch(game.critic)
    game.critic.train(tied)
    at_once = hparams.batch_size // hparams.packing if tied else _AT_ONCE
    values, condition = points
    outputs = [
        game.score(values[part], None if condition is None else condition[part]) for part in _even(len(values), at_once)
    ]
    return torch.cat(outputs)


def _even(num: int, most: int) -> list[slice]:
    """As few slices of at most `most` rows as possible, of nearly equal size: batch norm needs several rows."""
    count = max(1, math.ceil(num / most))
    ends = [round(num * index / count) for index in range(count + 1)]
    return [slice(start, stop) for start, stop in itertools.pairwise(ends)]


def _first(batch: Batch, num: int) -> Batch:
    return Batch(batch.values[:num], None if batch.condition is None else batch.condition[:num])
