"""Detect divergence: numbers that are not finite, and weights too large to learn."""

from __future__ import annotations

import math
from collections.abc import Mapping

import torch
from torch import Tensor

from wgan.constraints import WeightClipping
from wgan.errors import NumericError
from wgan.training.factory import Parts
from wgan.training.game import Game

LARGEST_WEIGHT = 500.0
"""Absolute value of a weight above which training has diverged; in units of the largest entry of the data if that is
above 1. Weights of networks that learn are below 10, and scales of normalisation layers below 100. At a learning rate
of 1,000 one update exceeds it. With clipping nothing ever becomes infinite, so a bound is needed."""

MOST_CROSSINGS = 10.0
"""Widths of the box [-c, c] that one update of a clipped critic may cross. RMSProp and Adam move a weight by about the
learning rate, so that a higher rate moves every weight from one bound to the other in each update."""


class DivergedError(NumericError):
    """Training has diverged. A run rolls back to a checkpoint if that may help, and ends otherwise.

    Attributes:
        step: The generator update after which it was detected.
        fault: What is wrong, in a clause.
    """

    def __init__(self, step: int, fault: str) -> None:
        super().__init__(f"training diverged at step {step:,}: {fault}")
        self.step, self.fault = step, fault


def fault_of(game: Game, parts: Parts, numbers: Mapping[str, float], scale: float) -> str | None:
    """What is wrong with the state of training, if anything is.

    Args:
        game: Its networks as they are.
        parts: The constraint, and the learning rates at the start of the run.
        numbers: Of the last update, by name.
        scale: The largest absolute entry of the data, as the networks see it.

    Returns:
        A clause such as "the estimate is nan", or None.
    """
    for name, value in numbers.items():
        if not math.isfinite(value):
            return f"the {name.replace('_', ' ')} is {value}"
    limit = LARGEST_WEIGHT * max(1.0, scale)
    for player, network in (("generator", game.generator), ("critic", game.critic)):
        largest = _largest(list(network.parameters()))
        if not math.isfinite(largest):
            return f"a weight of the {player} is not finite"
        if largest > limit:
            return f"a weight of the {player} has grown to {largest:.3g} (the limit is {limit:.3g})"
    if isinstance(parts.constraint, WeightClipping):
        lr, width = parts.critic_optimizer.lr * game.lr_factor, 2 * parts.constraint.bound
        if lr > MOST_CROSSINGS * width:
            return (
                f"at a learning rate of {lr:g} each update of the critic moves its weights across a box {width:g} wide"
            )
    return None


def first_not_finite(tensors: Mapping[str, Tensor]) -> str | None:
    """The name of the first tensor that holds NaN or infinity, if any does."""
    for name, tensor in tensors.items():
        if tensor.is_floating_point() and not bool(torch.isfinite(tensor).all()):
            return name
    return None


def _largest(weights: list[Tensor]) -> float:
    """The largest absolute value; NaN if there is one, and 0 without weights."""
    if not weights:
        return 0.0
    return float(torch.stack([weight.detach().abs().max() for weight in weights]).max())
