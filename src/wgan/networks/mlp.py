"""Fully connected networks, for points, tables and images."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn

from wgan.batch import Layout
from wgan.networks.conditioning import (
    NOTHING,
    Chain,
    ConditionalNorm,
    Given,
    Joining,
    Projecting,
    refuse_features,
    refuse_norm,
    refuse_way,
)
from wgan.networks.layers import LeakyReLU, ReLU
from wgan.networks.players import Critic, Generator
from wgan.system.torch_state import built

Activation = Literal["relu", "leaky", "tanh", "softplus", "gelu", "silu"]
MOST_LAYERS = 1000
"""Most layers of a network: building each takes time, however small it is."""

_ACTIVATIONS: dict[str, type[nn.Module]] = {
    "relu": ReLU,
    "tanh": nn.Tanh,
    "softplus": nn.Softplus,
    "gelu": nn.GELU,
    "silu": nn.SiLU,
}


class FullPrecision(nn.Linear):
    """A linear layer in float32, independent of the precision of the others.

    In bfloat16 samples and scores would be rounded to a relative 1/128. The first and last layers are small, so float32
    costs little there.
    """

    def forward(self, values: Tensor) -> Tensor:
        """Shape (N, entries) to (N, outputs), of the weights' dtype."""
        # The context costs a small layer as much as its product: enter it only under autocast.
        if values.is_meta or not torch.is_autocast_enabled(values.device.type):
            return self._exact(values.to(self.weight.dtype))
        with torch.autocast(values.device.type, enabled=False):
            return self._exact(values.to(self.weight.dtype))

    def _exact(self, values: Tensor) -> Tensor:
        if self.out_features == 1 and torch.compiler.is_compiling():
            # Unlike a matrix product, this is fused with its neighbours into one loop.
            return (values * self.weight[0]).sum(dim=1, keepdim=True) + self.bias
        return super().forward(values)


@dataclass(frozen=True)
class MLP:
    """Layers of equal width, each followed by an activation.

    Source: Gulrajani et al. (2017) take 3 hidden layers of 512 for their toy data; the paper's MLPs are similar.
    """

    width: int = 512
    depth: int = 3
    activation: Activation = "relu"
    norm: Literal["none", "batch", "layer"] = "none"

    def __post_init__(self) -> None:
        if self.width < 1 or self.depth < 0:
            raise ValueError(f"width must be at least 1 and depth at least 0, not {self.width} and {self.depth}")
        if self.depth > MOST_LAYERS:
            raise ValueError(f"depth must be at most {MOST_LAYERS:,}, not {self.depth:,}")

    @built
    def generator(self, latent_dim: int, layout: Layout, given: Given = NOTHING) -> Generator:
        """A generator of samples of any shape."""
        refuse_way(given, "a generator", "concat", "norm")
        if given.size and given.way == "norm" and (self.norm == "none" or not self.depth):
            raise refuse_norm("mlp")
        joined = given.size if given.joins() else 0
        return Generator(self._layers(latent_dim + joined, layout.size, given), latent_dim, layout, given)

    @built
    def critic(self, layout: Layout, outputs: int = 1, given: Given = NOTHING) -> Critic:
        """A critic of samples of any shape."""
        refuse_way(given, "a critic", "concat", "projection")
        if given.joins():
            chain: nn.Module = Joining(self._layers(layout.size + given.size, outputs))
        else:
            chain = self._layers(layout.size, outputs)
        if given.size and given.way == "projection":
            refuse_features(outputs)
            assert isinstance(chain, Chain)
            chain = Projecting(chain, self.width if self.depth else layout.size, given.size)
        return Critic(Chain(nn.Flatten(), chain), outputs, given)

    def _layers(self, entries: int, outputs: int, given: Given = NOTHING) -> Chain:
        layers: list[nn.Module] = []
        for index in range(self.depth):
            layers.append(nn.Linear(self.width, self.width) if index else FullPrecision(entries, self.width))
            layers += self._normalisation(given)
            layers.append(LeakyReLU() if self.activation == "leaky" else _ACTIVATIONS[self.activation]())
        layers.append(FullPrecision(self.width if self.depth else entries, outputs))
        for layer in layers:
            if isinstance(layer, nn.Linear):
                # He's initialisation keeps the scale of ReLU layers; PyTorch's default shrinks it by sqrt(6) in each.
                nn.init.kaiming_uniform_(layer.weight, nonlinearity="relu" if layer is not layers[-1] else "linear")
                nn.init.zeros_(layer.bias)
        return Chain(*layers)

    def _normalisation(self, given: Given) -> list[nn.Module]:
        """Zero or one layer; with way "norm", scale and shift are functions of the condition."""
        if self.norm == "none":
            return []
        conditional = given.size > 0 and given.way == "norm"
        if self.norm == "batch":
            layer: nn.Module = nn.BatchNorm1d(self.width, affine=not conditional)
        else:
            layer = nn.LayerNorm(self.width, elementwise_affine=not conditional)
        return [ConditionalNorm(layer, self.width, given.size) if conditional else layer]
