"""No network: samples as they are, for objectives that compare them without a critic."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from wgan.batch import Layout
from wgan.errors import UsageError
from wgan.networks.conditioning import NOTHING, Given
from wgan.networks.players import Critic, Generator


@dataclass(frozen=True)
class Identity:
    """No critic at all: each sample is handed on as it is, for games that need none.

    Source: Li, Swersky and Zemel (2015), whose generators are trained without one.
    """

    def generator(self, latent_dim: int, layout: Layout, given: Given = NOTHING) -> Generator:
        """There is none.

        Raises:
            UsageError: Always.
        """
        raise UsageError("identity is no network, so it cannot generate", remedy="Use --generator mlp.")

    def critic(self, layout: Layout, outputs: int = 1, given: Given = NOTHING) -> Critic:
        """What hands samples on, whatever number of outputs was asked for."""
        return HandsOn(layout)


class HandsOn(Critic):
    """A critic without weights, whose outputs are the entries of the sample, and of its condition if it has one.

    Args:
        layout: What a sample is.
    """

    def __init__(self, layout: Layout) -> None:
        # No game asks for 0 outputs, so that those of a score refuse this critic whatever the size of a sample.
        super().__init__(nn.Identity(), outputs=0)

    def forward(self, values: Tensor, condition: Tensor | None = None) -> Tensor:
        """The entries, shape (N, D + C), float32, differentiable."""
        rows = values.flatten(1).float()
        return rows if condition is None else torch.cat([rows, condition.float()], dim=1)
