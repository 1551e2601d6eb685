"""How near samples are to data, as one number."""

from __future__ import annotations

import torch
from torch import Tensor

from wgan.estimator.forms import encoded
from wgan.evaluation.metrics import harden
from wgan.randomness import Randomness
from wgan.runs import Trained
from wgan.system.threads import on_threads
from wgan.transport import exact, sliced

_MOST_SCORED = 2500


@on_threads(1)  # the last digits depend on their number, which is another in each worker of a grid search
def minus_distance(trained: Trained, X: object, seed: int) -> float:  # noqa: N803 - scikit-learn's name
    """Minus the W1 distance between data and as many samples: greater is better, 0 is best.

    Args:
        trained: What was fitted.
        X: Data of the kind that was fitted.
        seed: Of the samples, and of the rows where there are too many.

    Raises:
        DataError: Other columns or another shape than were fitted.
    """
    codec, streams = trained.codec, Randomness(seed)

    def choose(num_rows: int) -> Tensor | slice:
        if num_rows <= _MOST_SCORED:
            return slice(None)
        return torch.randperm(num_rows, generator=streams.at("rows to score"), device="cpu")[:_MOST_SCORED]

    real = encoded(X, codec, choose)
    fake = trained.values(len(real), seed)
    if codec.layout.is_image:
        return -float(sliced(fake, real, streams.at("directions of the score"), dtype=torch.float32).distance)
    unit = getattr(codec, "unit", None) or 1.0
    return -unit * float(exact(harden(fake, codec.layout.groups), real).cost)
