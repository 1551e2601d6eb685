"""The interface of a constraint: the points in training at which it acts."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn

from wgan.batch import Batch
from wgan.errors import UsageError
from wgan.networks import mixes_batch

Scores = Callable[[Tensor, Tensor | None], Tensor]


class Constraint:
    """A constraint on the critic. Here every method does nothing; a subclass overrides those that it needs.

    Attributes:
        scale: The unit of a Wasserstein critic's estimate, for the axis of a curve.
        needs_parameters: Whether it needs a critic with parameters.
        bounds_slope: Whether it keeps the critic's slopes near or below one number everywhere.
    """

    needs_parameters: ClassVar[bool] = True
    bounds_slope: ClassVar[bool] = False

    @property
    def scale(self) -> str:
        """The unit of a Wasserstein critic's estimate, for the axis of a curve."""
        return "in units that change as the critic grows"

    def attach(self, critic: nn.Module) -> None:
        """Change or check the critic, once, before its optimiser is built.

        Raises:
            UsageError: A critic that this constraint does not apply to.
        """

    def at(self, update: int) -> Constraint:
        """The constraint of critic update number `update`, from 0; lazy penalties skip some updates.

        Equal constraints share one compiled update: there should be few different ones, and all must be hashable.
        """
        return self

    def draw(self, shape: tuple[int, ...], rng: torch.Generator) -> Tensor | None:
        """Draw the random numbers that `penalty` needs, so that the loss is a pure function.

        Args:
            shape: Of the batch of real samples, (N, *shape).
            rng: The randomness.
        """
        return None

    def penalty(self, scores: Scores, real: Batch, fake: Batch, drawn: Tensor | None) -> Tensor | float:
        """A term added to the critic's loss: 0-d, twice differentiable.

        Args:
            scores: The critic, from values (N, *shape) and a condition to scores (N,).
            real: The batch of real samples.
            fake: The batch of generated samples, of the same size; without a graph, except in unrolled updates.
            drawn: What `draw` returned for this batch.
        """
        return 0.0

    def project(self, critic: nn.Module) -> None:
        """Project the critic's parameters onto the allowed set after an update (Algorithm 1, line 7)."""

    def projected(self, weights: list[Tensor]) -> list[Tensor]:
        """The projection of other parameters, differentiable and not in place."""
        return weights


@dataclass(frozen=True)
class Unconstrained(Constraint):
    """No constraint: scores can grow without bound, and a Wasserstein estimate is not a distance."""

    needs_parameters: ClassVar[bool] = False


def refuse_batch_norm(critic: nn.Module, why: str) -> None:
    """Raise for a critic in which the score of a sample depends on the rest of its batch.

    Raises:
        UsageError: A layer of batch norm, which is named.
    """
    for name, module in critic.named_modules():
        if isinstance(module, nn.modules.batchnorm._BatchNorm):
            raise UsageError(
                f"{why}, but the critic's '{name}' is batch norm",
                remedy="Give the critic norm=layer or norm=none, for example --critic dcgan:norm=none; in a module of "
                "your own, take nn.LayerNorm or nn.GroupNorm.",
            )
    if mixes_batch(critic):
        raise UsageError(
            f"{why}, but in this critic a sample's score depends on the rest of its batch",
            remedy="Leave out what looks at the whole batch, such as its mean or its standard deviation.",
        )
