"""The two players, whatever network they are made of: shapes in, shapes out, and the head that a layout asks for."""

from __future__ import annotations

from typing import Protocol

import torch
from torch import Tensor, nn

from wgan.batch import Layout


class Architecture(Protocol):
    """A family of networks with its parameters: a row of the networks' table."""

    def generator(self, noise_size: int, layout: Layout) -> Generator:
        """A generator from noise (N, noise_size) to samples (N, *layout.shape).

        Raises:
            UsageError: A layout that this family cannot make.
        """
        ...

    def critic(self, layout: Layout, outputs: int = 1) -> Critic:
        """A critic from samples (N, *layout.shape) to scores (N,), or to so many outputs each.

        Raises:
            UsageError: A layout that this family cannot judge.
        """
        ...


class Generator(nn.Module):
    """A generator: noise to samples.

    Args:
        body: From noise (N, noise_size) to (N, layout.size) or (N, *layout.shape), unbounded.
        noise_size: Dimensions of the noise.
        layout: What a sample is; its range and its categories decide the head.
    """

    def __init__(self, body: nn.Module, noise_size: int, layout: Layout) -> None:
        super().__init__()
        self.body = body
        self.noise_size = noise_size
        self.layout = layout

    def forward(self, noise: Tensor, condition: Tensor | None = None) -> Tensor:
        """Generate samples.

        Args:
            noise: Shape (N, noise_size).
            condition: Reserved for conditional games; these networks take no notice of it.

        Returns:
            Shape (N, *layout.shape), differentiable.
        """
        values: Tensor = self.body(noise).reshape(-1, *self.layout.shape)
        if self.layout.bounded:
            return values.tanh()
        if not self.layout.groups:
            return values
        return torch.cat(list(_blocks(values, self.layout.groups)), dim=1)


def _blocks(values: Tensor, groups: tuple[tuple[int, int], ...]) -> list[Tensor]:
    """The columns of `values` in order, those of each one-hot group made a probability vector."""
    blocks, done = [], 0
    for start, stop in groups:
        blocks += [values[:, done:start], values[:, start:stop].softmax(dim=1)]
        done = stop
    return [*blocks, values[:, done:]]


class Critic(nn.Module):
    """A critic: samples to scores, one number each, with no sigmoid; or to several, for objectives of features.

    Args:
        body: From samples (N, *layout.shape) to N x outputs numbers in any shape.
        outputs: Numbers for each sample.

    Attributes:
        is_energy: Whether scores are never above 0: minus an energy.
    """

    is_energy: bool = False

    def __init__(self, body: nn.Module, outputs: int = 1) -> None:
        super().__init__()
        self.body = body
        self.outputs = outputs

    def forward(self, values: Tensor, condition: Tensor | None = None) -> Tensor:
        """Score samples.

        Args:
            values: Shape (N, *layout.shape).
            condition: Reserved for conditional games; these networks take no notice of it.

        Returns:
            Shape (N,), or (N, outputs) where there are several; float32, differentiable.
        """
        scores: Tensor = self.body(values)
        return scores.reshape(len(values), *[self.outputs] * (self.outputs > 1)).float()


def ties_samples(network: nn.Module) -> bool:
    """Whether a sample's output depends on the rest of its batch (batch norm), so that batches must not be joined."""
    return any(isinstance(module, nn.modules.batchnorm._BatchNorm) for module in network.modules())
