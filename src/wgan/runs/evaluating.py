"""Evaluate a run's generator: its samples, whether they follow their conditions, and what the critic makes of these."""

from __future__ import annotations

from typing import Any, cast

import torch
from torch import Tensor

from wgan.batch import Batch
from wgan.evaluation.conditional_accuracy import conditional_accuracy as accuracy_of
from wgan.evaluation.metrics import SampleEvaluator
from wgan.runs.drawing import draw_for, drawn
from wgan.settings import Settings
from wgan.training.setup import Setup

_BLOCK = 512


def evaluate_setup(
    setup: Setup,
    settings: Settings,
    evaluator: SampleEvaluator,
    *,
    by_column: bool,
    conditional_accuracy: bool,
) -> dict[str, Any]:
    """Evaluate the samples of a generator.

    Args:
        setup: Networks and data; not changed.
        settings: Of the run.
        evaluator: Compares samples with held-out rows.
        by_column: Whether to compare each numeric column too.
        conditional_accuracy: Whether to measure if samples follow their conditions, if there are conditions.

    Returns:
        The numbers of `evaluator`, then those of `wgan.evaluation.conditional_accuracy`, by name.
    """
    game, source = setup.game, setup.source
    with game.engine.limits():
        # The name is part of the random stream and cannot change.
        found = evaluator(lambda num: drawn(game, source, num, "noise of the judge").values, by_column=by_column)
        if conditional_accuracy and source.conditions is not None:
            found |= _conditional_accuracy(setup, settings, evaluator.size)
    return found


def _conditional_accuracy(setup: Setup, settings: Settings, size: int) -> dict[str, float]:
    """The conditional accuracy of `size` samples; the classifier of a short run trains no longer than the run."""
    game, source = setup.game, setup.source

    def draw(condition: Tensor) -> Tensor:
        layout = source.codec.layout
        return draw_for(game.draw, game.prior, layout, condition, seed=game.seed, purpose="noise of the reader")

    # A critic that gives features, or samples themselves, scores a sample only against real rows and samples.
    packing = setup.hparams.packing
    real = source.labelled("train", _BLOCK * packing, torch.Generator().manual_seed(0))
    known = [
        _outputs(setup, batch)
        for batch in (real, Batch(draw(cast(Tensor, real.condition)), real.condition))
        if len(real.values) >= packing
    ]

    def score(rows: Batch) -> Tensor:
        return setup.objective.witness(_outputs(setup, rows), *known)

    return accuracy_of(
        source,
        draw,
        score if known else None,
        size=size,
        seed=settings.seed,
        engine=game.engine,
        steps=max(1, settings.steps),
    )


@torch.no_grad()
def _outputs(setup: Setup, rows: Batch) -> Tensor:
    """The critic's outputs in evaluation mode, block by block; rows that fill no pack are left out."""
    game, packing = setup.game, setup.hparams.packing
    critic, step = game.critic, _BLOCK * packing
    training = critic.training
    critic.eval()
    outputs = []
    for start in range(0, len(rows.values) // packing * packing, step):
        part = slice(start, min(start + step, len(rows.values) // packing * packing))
        condition = None if rows.condition is None else rows.condition[part]
        packed = setup.pack(game.engine.batch_to_device(Batch(rows.values[part], condition)))
        outputs.append(game.score(*packed).cpu())
    critic.train(training)
    return torch.cat(outputs) if outputs else torch.empty(0, dtype=torch.float32, device="cpu")
