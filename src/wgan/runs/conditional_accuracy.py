"""A run's generator and critic before the judge of their obedience."""

from __future__ import annotations

from typing import cast

import torch
from torch import Tensor

from wgan.batch import Batch
from wgan.data.source import Source
from wgan.evaluation.conditional_accuracy import conditional_accuracy
from wgan.objectives import Objective
from wgan.runs.drawing import draw_for
from wgan.settings import Settings
from wgan.training.game import Game

_BLOCK = 512


def obeyed(game: Game, source: Source, settings: Settings, objective: Objective, size: int) -> dict[str, float]:
    """What `wgan.evaluation.conditional_accuracy.conditional_accuracy` finds; nothing in a run without conditions.

    Args:
        game: As it stands.
        source: The data.
        settings: Of the run; a short one gets a reader that is trained no longer than itself.
        objective: What the two players optimise.
        size: Samples to look at.
    """
    if source.conditions is None:
        return {}

    def draw(condition: Tensor) -> Tensor:
        layout = source.codec.layout
        return draw_for(game.draw, game.prior, layout, condition, seed=game.seed, purpose="noise of the reader")

    # Where the critic gives features, or the samples themselves, what tells real rows from samples is made of both.
    packing = settings.packing
    real = source.labelled("train", _BLOCK * packing, torch.Generator().manual_seed(0))
    known = [
        _outputs(game, batch, packing)
        for batch in (real, Batch(draw(cast(Tensor, real.condition)), real.condition))
        if len(real.values) >= packing
    ]

    def score(rows: Batch) -> Tensor:
        return objective.witness(_outputs(game, rows, packing), *known)

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
def _outputs(game: Game, rows: Batch, packing: int) -> Tensor:
    """What the critic puts out, its statistics as they stand, in blocks; rows left over by packing are left out."""
    critic, step = game.critic, _BLOCK * packing
    training = critic.training
    critic.eval()
    outputs = []
    for start in range(0, len(rows.values) // packing * packing, step):
        part = slice(start, min(start + step, len(rows.values) // packing * packing))
        condition = None if rows.condition is None else rows.condition[part]
        packed = game.engine.bring_batch(Batch(rows.values[part], condition)).packed(packing)
        outputs.append(game.score(*packed).cpu())
    critic.train(training)
    return torch.cat(outputs) if outputs else torch.empty(0, dtype=torch.float32, device="cpu")
