"""The convolutional networks of DCGAN, for images of any size and number of channels."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from torch import nn

from wgan.batch import Layout
from wgan.networks.conditioning import (
    NOTHING,
    Chain,
    Given,
    Joining,
    Projecting,
    refuse_features,
    refuse_norm,
    refuse_way,
)
from wgan.networks.layers import LeakyReLU, Norm, ReLU, normalisation, resolutions
from wgan.networks.players import Critic, Generator
from wgan.system.torch_state import built


@dataclass(frozen=True)
class DCGAN:
    """Convolutions of kernel 4 and stride 2, with filters that double at each halving of the image, or stay constant.

    Source: Radford, Metz and Chintala (2016). The paper's stability experiment takes norm=none, growth=constant for the
    generator.
    """

    filters: int = 64
    norm: Norm = "batch"
    growth: Literal["doubling", "constant"] = "doubling"
    init: Literal["normal", "he"] = "normal"

    def __post_init__(self) -> None:
        if self.filters < 1:
            raise ValueError(f"filters must be at least 1, not {self.filters}")

    def _channels(self, levels: int) -> list[int]:
        return [self.filters * (2**level if self.growth == "doubling" else 1) for level in range(levels)]

    @built
    def generator(self, latent_dim: int, layout: Layout, given: Given = NOTHING) -> Generator:
        """A generator of images: a linear map to the smallest feature map, then transposed convolutions."""
        refuse_way(given, "a generator", "concat", "norm")
        if given.size and given.way == "norm" and self.norm == "none":
            raise refuse_norm("dcgan")
        joined = given.size if given.joins() else 0
        sizes = resolutions(layout, "dcgan")
        channels = self._channels(len(sizes) - 1)
        height, width = sizes[-1]
        layers: list[nn.Module] = [
            nn.Linear(latent_dim + joined, channels[-1] * height * width, bias=self.norm == "none"),
            nn.Unflatten(1, (channels[-1], height, width)),
            *normalisation(self.norm, channels[-1], given),
            ReLU(),
        ]
        for level in reversed(range(len(channels))):
            outputs = channels[level - 1] if level else layout.shape[0]
            # A side that was odd before halving is twice the half plus one.
            odd = (sizes[level][0] % 2, sizes[level][1] % 2)
            bias = level == 0 or self.norm == "none"
            layers.append(nn.ConvTranspose2d(channels[level], outputs, 4, 2, 1, output_padding=odd, bias=bias))
            if level:
                layers += [*normalisation(self.norm, outputs, given), ReLU()]
        return Generator(_initialised(Chain(*layers), self.init), latent_dim, layout, given)

    @built
    def critic(self, layout: Layout, outputs: int = 1, given: Given = NOTHING) -> Critic:
        """A critic of images: the generator's mirror, with leaky activations and no norm on its first layer."""
        refuse_way(given, "a critic", "concat", "projection")
        joined = given.size if given.joins(default=outputs != 1) else 0
        sizes = resolutions(layout, "dcgan")
        channels = self._channels(len(sizes) - 1)
        layers: list[nn.Module] = []
        for level, filters in enumerate(channels):
            inputs = channels[level - 1] if level else layout.shape[0] + joined
            has_norm = level > 0 and self.norm != "none"
            layers.append(nn.Conv2d(inputs, filters, 4, 2, 1, bias=not has_norm))
            layers += [*(normalisation(self.norm, filters) if has_norm else []), LeakyReLU()]
        layers.append(nn.Conv2d(channels[-1], outputs, sizes[-1]))
        body: nn.Module = _initialised(chain := Chain(*layers), self.init)
        if joined:
            body = Joining(chain)
        elif given.size:
            refuse_features(outputs)
            body = Projecting(chain, channels[-1] * sizes[-1][0] * sizes[-1][1], given.size)
        return Critic(body, outputs, given)


def _initialised(network: nn.Module, weights: Literal["normal", "he"]) -> nn.Module:
    """Weights from N(0, 0.02) and norm scales from N(1, 0.02), biases 0, as in the paper; or weights by He's rule.

    Without norms, N(0, 0.02) shrinks the signal in each layer. He's initialisation, for leaky ReLU, keeps its scale.
    """
    for module in network.modules():
        if isinstance(module, nn.Conv2d | nn.ConvTranspose2d | nn.Linear):
            if weights == "he":
                nn.init.kaiming_normal_(module.weight, a=0.2)
            else:
                nn.init.normal_(module.weight, 0.0, 0.02)
            if module.bias is not None:
                nn.init.zeros_(module.bias)
        elif isinstance(module, nn.BatchNorm2d | nn.GroupNorm) and module.affine:
            nn.init.normal_(module.weight, 1.0, 0.02)
    return network
