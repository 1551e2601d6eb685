"""Whether training still makes sense: finite numbers, and weights of a size that can still learn."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor

from wgan.constraints import WeightClipping
from wgan.errors import NumericError
from wgan.training.factory import Parts
from wgan.training.game import Game

LARGEST_WEIGHT = 500.0
"""Absolute value of a weight, in units of the data's largest entry where that is above 1, at which training counts as
diverged. Weights of networks that learn are below 10, and scales of normalisation layers below 100; at a learning rate
of 1,000 one update passes it. With clipping nothing ever becomes infinite, so a bound on the size has to say so."""

MOST_CROSSINGS = 10.0
"""How many times over one update of a clipped critic may cross the whole box [-c, c]. RMSProp and Adam move a weight by
about the learning rate in each update, so a rate above this many boxes throws every weight from wall to wall."""


SENSELESS_RATE = 1.0
"""A learning rate from which on nothing can be learnt, since weights move by about as much in each update. Where half
of it is still no less, going back is no help."""


class DivergedError(NumericError):
    """Training makes no sense any more. A run goes back from it where that may help, and ends with it where not.

    Attributes:
        step: The generator update after which it was seen.
        fault: What is wrong, in a clause.
    """

    def __init__(self, step: int, fault: str) -> None:
        super().__init__(f"training diverged at step {step:,}: {fault}")
        self.step, self.fault = step, fault


def may_be_slowed(game: Game, parts: Parts) -> bool:
    """Whether half the learning rates are such that something can be learnt."""
    fastest = max(parts.generator_optimizer.lr, parts.critic_optimizer.lr)
    return fastest * game.lr_factor / 2 < SENSELESS_RATE


def rates(game: Game, parts: Parts) -> str:
    """The learning rates at the start of the run, as they are after as many halvings as there were rollbacks."""
    generator, critic = (each.lr * game.lr_factor for each in (parts.generator_optimizer, parts.critic_optimizer))
    return f"{generator:g} for the generator, {critic:g} for the critic"


def diverged_for_good(diverged: DivergedError, good: Path, game: Game, parts: Parts) -> NumericError:
    """The error that a run ends with.

    Args:
        diverged: What happened.
        good: The last good checkpoint.
        game: As it stands.
        parts: The rates at the start of the run.
    """
    tried = f" after {game.rollbacks} rollbacks" if game.rollbacks > 1 else " after a rollback" * game.rollbacks
    return NumericError(
        f"{diverged.message}. The last good checkpoint{tried} is {good}",
        remedy=f"Most likely the learning rates are too high ({rates(game, parts)}): begin again with a tenth of them "
        "or less.",
    )


def fault_of(game: Game, parts: Parts, numbers: Mapping[str, float], scale: float) -> str | None:
    """Say what is wrong with the state of training, if anything is.

    Args:
        game: As it stands after an update.
        parts: What holds the critic, and the rates at the start of the run.
        numbers: What was read from the last step, by name.
        scale: The largest absolute entry of the data, as the networks see them.

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
            return f"each update of the critic, at a rate of {lr:g}, throws its weights across a box {width:g} wide"
    return None


def first_not_finite(tensors: Mapping[str, Tensor]) -> str | None:
    """The name of a tensor that holds NaN or infinity, if any does."""
    for name, tensor in tensors.items():
        if tensor.is_floating_point() and not bool(torch.isfinite(tensor).all()):
            return name
    return None


def _largest(weights: list[Tensor]) -> float:
    """The largest absolute value; NaN where there is one, and 0 of no weights."""
    if not weights:
        return 0.0
    return float(torch.stack([weight.detach().abs().max() for weight in weights]).max())
