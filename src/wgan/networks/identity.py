"""The identity, for objectives that compare samples without a critic."""

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
    """The identity as a critic, for objectives that need none.

    Source: Li, Swersky and Zemel (2015), whose generators are trained without one.
    """

    def generator(self, latent_dim: int, layout: Layout, given: Given = NOTHING) -> Generator:
        """Not available.

        Raises:
            UsageError: Always.
        """
        raise UsageError("identity is no network, so it cannot generate", remedy="Use --generator mlp.")

    def critic(self, layout: Layout, outputs: int = 1, given: Given = NOTHING) -> Critic:
        """The identity; `outputs` is ignored."""
        return HandsOn(layout)


class HandsOn(Critic):
    """A critic without parameters, whose outputs are the entries of the sample and of its condition.

    Args:
        layout: Of the data.
    """

    def __init__(self, layout: Layout) -> None:
        # Objectives on scores check the number of outputs: 0 makes all of them reject this critic.
        super().__init__(nn.Identity(), outputs=0)

    def forward(self, values: Tensor, condition: Tensor | None = None) -> Tensor:
        """The entries, shape (N, D + C), float32, differentiable."""
        rows = values.flatten(1).float()
        return rows if condition is None else torch.cat([rows, condition.float()], dim=1)
