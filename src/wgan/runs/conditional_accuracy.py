"""A run's generator and critic before the judge of their obedience."""

from __future__ import annotations

from typing import cast

import torch
from torch import Tensor

from wgan.batch import Batch
from wgan.evaluation.conditional_accuracy import conditional_accuracy
from wgan.runs.drawing import draw_for
from wgan.settings import Settings
from wgan.training.setup import Setup

_BLOCK = 512


def obeyed(setup: Setup, settings: Settings, size: int) -> dict[str, float]:
    """What `wgan.evaluation.conditional_accuracy.conditional_accuracy` finds; nothing in a run without conditions.

    Args:
        setup: What is trained; not changed.
        settings: Of the run; a short one gets a reader that is trained no longer than itself.
        size: Samples to look at.
    """
    game, source = setup.game, setup.source
    if source.conditions is None:
        return {}

    def draw(condition: Tensor) -> Tensor:
        layout = source.codec.layout
        return draw_for(game.draw, game.prior, layout, condition, seed=game.seed, purpose="noise of the reader")

    # Where the critic gives features, or the samples themselves, what tells real rows from samples is made of both.
    packing = setup.hparams.packing
    real = source.labelled("train", _BLOCK * packing, torch.Generator().manual_seed(0))
    known = [
        _outputs(setup, batch)
        for batch in (real, Batch(draw(cast(Tensor, real.condition)), real.condition))
        if len(real.values) >= packing
    ]

    def score(rows: Batch) -> Tensor:
        return setup.objective.witness(_outputs(setup, rows), *known)

    return conditional_accuracy(
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
    """What the critic puts out, its statistics as they stand, in blocks; rows left over by packing are left out."""
    game, packing = setup.game, setup.hparams.packing
    critic, step = game.critic, _BLOCK * packing
    training = critic.training
    critic.eval()
    outputs = []
    for start in range(0, len(rows.values) // packing * packing, step):
        part = slice(start, min(start + step, len(rows.values) // packing * packing))
        condition = None if rows.condition is None else rows.condition[part]
        packed = setup.pack(game.engine.bring_batch(Batch(rows.values[part], condition)))
        outputs.append(game.score(*packed).cpu())
    critic.train(training)
    return torch.cat(outputs) if outputs else torch.empty(0, dtype=torch.float32, device="cpu")
