"""What a constraint is: the moments at which a critic can be held."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn

from wgan.batch import Batch
from wgan.errors import UsageError
from wgan.networks import ties_samples

Scores = Callable[[Tensor, Tensor | None], Tensor]


class Constraint:
    """The moments at which a critic can be held, each doing nothing here; a row defines those that it needs.

    Attributes:
        scale: In what unit a Wasserstein critic's estimate then is, as a curve's axis would say it.
        holds: Whether there must be a critic with weights for it to act on.
        bounds_slope: Whether it keeps the critic's slopes near or below one number everywhere.
    """

    holds: ClassVar[bool] = True
    bounds_slope: ClassVar[bool] = False

    @property
    def scale(self) -> str:
        """As above."""
        return "in units that change as the critic grows"

    def attach(self, critic: nn.Module) -> None:
        """Change or check the critic, once, before its optimiser is built.

        Raises:
            UsageError: A critic that this constraint cannot hold.
        """

    def at(self, update: int) -> Constraint:
        """What holds the critic in its update number `update` of the run, the first being 0: a lazy one rests.

        Equal ones share a compiled update, so that there should be few that differ, and all must be hashable.
        """
        return self

    def draw(self, shape: tuple[int, ...], rng: torch.Generator) -> Tensor | None:
        """Draw what `penalty` needs at random, so that the loss itself is a pure function.

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
            fake: The batch of generated samples, of the same size; without a graph, except where the generator looks
                ahead through the critic's updates.
            drawn: What `draw` returned for this batch.
        """
        return 0.0

    def project(self, critic: nn.Module) -> None:
        """Bring the critic's weights back into the set that is allowed, after an update (Algorithm 1, line 7)."""

    def projected(self, weights: list[Tensor]) -> list[Tensor]:
        """The same of weights that are not the critic's own, without changing them: differentiable."""
        return weights


@dataclass(frozen=True)
class Unconstrained(Constraint):
    """Nothing: the critic is free, its scores can grow without bound, and a Wasserstein curve is no distance."""

    holds: ClassVar[bool] = False


def refuse_batch_norm(critic: nn.Module, why: str) -> None:
    """Refuse a critic in which samples of a batch change one another's scores.

    Raises:
        UsageError: A layer of batch norm, named.
    """
    for name, module in critic.named_modules():
        if isinstance(module, nn.modules.batchnorm._BatchNorm):
            raise UsageError(
                f"{why}, but the critic's '{name}' is batch norm",
                remedy="Give the critic norm=layer or norm=none, for example --critic dcgan:norm=none; in a module of "
                "your own, take nn.LayerNorm or nn.GroupNorm.",
            )
    if ties_samples(critic):
        raise UsageError(
            f"{why}, but in this critic a sample's score depends on the rest of its batch",
            remedy="Leave out what looks at the whole batch, such as its mean or its standard deviation.",
        )
