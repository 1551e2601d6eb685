"""Generators and critics of any network: their inputs and outputs, and the output activation of a layout."""

from __future__ import annotations

from typing import Protocol

import torch
from torch import Tensor, nn

from wgan.batch import Layout
from wgan.errors import UsageError
from wgan.networks.conditioning import NOTHING, Given


class Architecture(Protocol):
    """A family of networks with its parameters: an entry of the registry."""

    def generator(self, latent_dim: int, layout: Layout, given: Given = NOTHING) -> Generator:
        """A generator from noise (N, latent_dim), and a condition if `given`, to samples (N, *layout.shape).

        Raises:
            UsageError: A layout or a way of conditioning that this family does not support.
        """
        ...

    def critic(self, layout: Layout, outputs: int = 1, given: Given = NOTHING) -> Critic:
        """A critic from samples (N, *layout.shape), and conditions if `given`, to scores (N,) or (N, outputs).

        Raises:
            UsageError: A layout or a way of conditioning that this family does not support.
        """
        ...


class Generator(nn.Module):
    """A generator: noise to samples.

    Args:
        body: From noise (N, latent_dim) to (N, layout.size) or (N, *layout.shape), unbounded.
        latent_dim: Dimensions of the noise.
        layout: Of a sample; its range and its one-hot groups decide the output activation.
        given: The condition. If it is concatenated to the noise, the body takes so many more entries, otherwise a
            second argument.
    """

    def __init__(self, body: nn.Module, latent_dim: int, layout: Layout, given: Given = NOTHING) -> None:
        super().__init__()
        self.body = body
        self.latent_dim = latent_dim
        self.layout = layout
        self.given = given

    def forward(self, noise: Tensor, condition: Tensor | None = None) -> Tensor:
        """Generate samples.

        Args:
            noise: Shape (N, latent_dim).
            condition: Shape (N, given.size); ignored by an unconditional generator.

        Returns:
            Shape (N, *layout.shape), differentiable.

        Raises:
            UsageError: A conditional generator was given no condition.
        """
        if not self.given.size:
            values: Tensor = self.body(noise)
        elif condition is None:
            raise UsageError(
                "this generator was made for conditions, and none came", remedy="Draw some with the noise."
            )
        elif self.given.joins():
            values = self.body(torch.cat([noise, condition.to(noise.dtype)], dim=1))
        else:
            values = self.body(noise, condition)
        values = values.reshape(-1, *self.layout.shape)
        if self.layout.bounded:
            return values.tanh()
        if not self.layout.groups:
            return values
        return torch.cat(list(_blocks(values, self.layout.groups)), dim=1)


def _blocks(values: Tensor, groups: tuple[tuple[int, int], ...]) -> list[Tensor]:
    """The columns of `values` in order, with a softmax over each one-hot group."""
    blocks, done = [], 0
    for start, stop in groups:
        blocks += [values[:, done:start], values[:, start:stop].softmax(dim=1)]
        done = stop
    return [*blocks, values[:, done:]]


class Critic(nn.Module):
    """A critic: samples to scores, one number each, without a sigmoid; or to several features.

    Args:
        body: From samples (N, *layout.shape) to N x outputs numbers in any shape.
        outputs: Numbers for each sample.
        given: The condition of each sample, which the body takes as its second argument.

    Attributes:
        given: The condition of each sample, as it enters the body.
        is_energy: Whether scores are never above 0: minus an energy.
        shows_codes: Whether the outputs include the code of each sample; None if there are no codes.
    """

    is_energy: bool = False
    shows_codes: bool | None = None
    given: Given = NOTHING

    def __init__(self, body: nn.Module, outputs: int = 1, given: Given = NOTHING) -> None:
        super().__init__()
        self.body = body
        self.outputs = outputs
        self.given = given

    def forward(self, values: Tensor, condition: Tensor | None = None) -> Tensor:
        """Score samples.

        Args:
            values: Shape (N, *layout.shape).
            condition: Shape (N, given.size); ignored by an unconditional critic.

        Returns:
            Shape (N,), or (N, outputs) for several; float32, differentiable.

        Raises:
            UsageError: A conditional critic was given no condition.
        """
        if self.given.size and condition is None:
            raise UsageError("this critic was made for conditions, and none came", remedy="Give those of the samples.")
        scores: Tensor = self.body(values, condition) if self.given.size else self.body(values)
        return scores.reshape(len(values), *[self.outputs] * (self.outputs > 1)).float()


def mixes_batch(network: nn.Module) -> bool:
    """Whether a sample's output depends on the rest of its batch, as with batch norm: do not join such batches."""
    return any(
        isinstance(module, nn.modules.batchnorm._BatchNorm) or getattr(module, "mixes_batch", False) is True
        for module in network.modules()
    )
