"""Fully connected networks, for points, tables, and the paper's hardest test of a generator of images."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from torch import nn

from wgan.batch import Layout
from wgan.networks.players import Critic, Generator

Activation = Literal["relu", "leaky", "tanh", "softplus", "gelu", "silu"]
_ACTIVATIONS: dict[str, type[nn.Module]] = {
    "relu": nn.ReLU,
    "tanh": nn.Tanh,
    "softplus": nn.Softplus,
    "gelu": nn.GELU,
    "silu": nn.SiLU,
}


@dataclass(frozen=True)
class MLP:
    """Layers of equal width, each followed by an activation.

    Source: Gulrajani et al. (2017) take 3 hidden layers of 512 for their toy data; the paper's MLPs are alike.
    """

    width: int = 512
    depth: int = 3
    activation: Activation = "relu"
    norm: Literal["none", "batch", "layer"] = "none"

    def __post_init__(self) -> None:
        if self.width < 1 or self.depth < 0:
            raise ValueError(f"width must be at least 1 and depth at least 0, not {self.width} and {self.depth}")

    def generator(self, noise_size: int, layout: Layout) -> Generator:
        """A generator of samples of any shape."""
        return Generator(self._layers(noise_size, layout.size), noise_size, layout)

    def critic(self, layout: Layout, outputs: int = 1) -> Critic:
        """A critic of samples of any shape."""
        return Critic(nn.Sequential(nn.Flatten(), self._layers(layout.size, outputs)), outputs)

    def _layers(self, entries: int, outputs: int) -> nn.Sequential:
        layers: list[nn.Module] = []
        for index in range(self.depth):
            layers.append(nn.Linear(entries if index == 0 else self.width, self.width))
            if self.norm != "none":
                layers.append(nn.BatchNorm1d(self.width) if self.norm == "batch" else nn.LayerNorm(self.width))
            layers.append(nn.LeakyReLU(0.2) if self.activation == "leaky" else _ACTIVATIONS[self.activation]())
        layers.append(nn.Linear(self.width if self.depth else entries, outputs))
        for layer in layers:
            if isinstance(layer, nn.Linear):
                # He's variance keeps the scale through ReLU layers; PyTorch's default shrinks it by sqrt(6) each.
                nn.init.kaiming_uniform_(layer.weight, nonlinearity="relu" if layer is not layers[-1] else "linear")
                nn.init.zeros_(layer.bias)
        return nn.Sequential(*layers)
