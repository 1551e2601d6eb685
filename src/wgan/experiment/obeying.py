"""A run's generator and critic before the judge of their obedience."""

from __future__ import annotations

import torch
from torch import Tensor

from wgan.batch import Batch
from wgan.data.source import Source
from wgan.experiment.drawing import draw_for
from wgan.game import Game
from wgan.obedience import obedience
from wgan.settings import Settings

_BLOCK = 512


def obeyed(game: Game, source: Source, settings: Settings, size: int) -> dict[str, float]:
    """What `wgan.obedience.obedience` finds; nothing in a run without conditions.

    Args:
        game: As it stands.
        source: The data.
        settings: Of the run; a short one gets a reader that is trained no longer than itself.
        size: Samples to look at.
    """
    if source.conditions is None:
        return {}

    def draw(condition: Tensor) -> Tensor:
        layout = source.codec.layout
        return draw_for(game.draw, game.prior, layout, condition, seed=game.seed, purpose="noise of the reader")

    def score(rows: Batch) -> Tensor:
        return _scores(game, rows, settings.packing)

    # Some critics give features, or the samples themselves, beside or in place of a score.
    probe = source.labelled("train", settings.packing, torch.Generator().manual_seed(0))
    has_score = len(probe.values) == settings.packing and _scores(game, probe, settings.packing).dim() == 1
    return obedience(
        source,
        draw,
        score if has_score else None,
        size=size,
        seed=settings.seed,
        engine=game.engine,
        steps=max(1, settings.steps),
    )


@torch.no_grad()
def _scores(game: Game, rows: Batch, packing: int) -> Tensor:
    """The critic's scores, with its statistics as they stand, in blocks; rows left over by packing are left out."""
    critic, step = game.critic, _BLOCK * packing
    training = critic.training
    critic.eval()
    scores = []
    for start in range(0, len(rows.values) // packing * packing, step):
        part = slice(start, min(start + step, len(rows.values) // packing * packing))
        condition = None if rows.condition is None else rows.condition[part]
        packed = game.engine.bring_batch(Batch(rows.values[part], condition)).packed(packing)
        scores.append(game.score(*packed).cpu())
    critic.train(training)
    return torch.cat(scores) if scores else torch.empty(0)
