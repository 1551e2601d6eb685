"""The small residual networks of WGAN-GP, for images of any size and number of channels."""

from __future__ import annotations

from dataclasses import dataclass

import torch.nn.functional as F
from torch import Tensor, nn

from wgan.batch import Layout
from wgan.networks.conditioning import (
    NOTHING,
    Chain,
    Given,
    Joining,
    Projecting,
    TakesCondition,
    refuse_features,
    refuse_norm,
    refuse_way,
)
from wgan.networks.layers import Norm, ReLU, normalisation, resolutions
from wgan.networks.players import Critic, Generator
from wgan.system.torch_state import built


@dataclass(frozen=True)
class ResNet:
    """Residual blocks of two 3 x 3 convolutions, one block for each halving of the image and two more in the critic.

    Source: Gulrajani et al. (2017), appendix on the CIFAR-10 architecture (128 filters; no norm in the critic, batch
    norm in the generator). Here norm applies to the generator as given, to the critic with batch replaced by none.
    """

    filters: int = 128
    norm: Norm = "batch"

    def __post_init__(self) -> None:
        if self.filters < 1:
            raise ValueError(f"filters must be at least 1, not {self.filters}")

    @built
    def generator(self, latent_dim: int, layout: Layout, given: Given = NOTHING) -> Generator:
        """A generator of images: a linear map, one upsampling block for each level, and a last convolution."""
        refuse_way(given, "a generator", "concat", "norm")
        if given.size and given.way == "norm" and self.norm == "none":
            raise refuse_norm("resnet")
        joined = given.size if given.joins() else 0
        sizes = resolutions(layout, "resnet")
        height, width = sizes[-1]
        chain = Chain(
            nn.Linear(latent_dim + joined, self.filters * height * width),
            nn.Unflatten(1, (self.filters, height, width)),
            *[_Block(self.filters, self.filters, self.norm, enlarge_to=size, given=given) for size in sizes[-2::-1]],
            *normalisation(self.norm, self.filters, given),
            ReLU(),
            nn.Conv2d(self.filters, layout.shape[0], 3, padding=1),
        )
        return Generator(_initialised(chain), latent_dim, layout, given)

    @built
    def critic(self, layout: Layout, outputs: int = 1, given: Given = NOTHING) -> Critic:
        """A critic of images: one downsampling block for each level, two more blocks, mean pooling, a linear map."""
        refuse_way(given, "a critic", "concat", "projection")
        joined = given.size if given.joins(default=outputs != 1) else 0
        sizes = resolutions(layout, "resnet")
        norm: Norm = "none" if self.norm == "batch" else self.norm
        entries = [layout.shape[0] + joined, *[self.filters] * (len(sizes) - 2)]
        chain = Chain(
            *[_Block(channels, self.filters, norm, halve=True) for channels in entries],
            *[_Block(self.filters, self.filters, norm) for _ in range(2)],
            ReLU(),
            nn.AdaptiveAvgPool2d(1),
            nn.Flatten(),
            nn.Linear(self.filters, outputs),
        )
        body = _initialised(chain)
        if joined:
            body = Joining(chain)
        elif given.size:
            refuse_features(outputs)
            body = Projecting(chain, self.filters, given.size)
        return Critic(body, outputs, given)


class _Block(nn.Module, TakesCondition):
    """Twice norm, ReLU and convolution, plus a shortcut; upsampled before or downsampled after."""

    def __init__(
        self,
        inputs: int,
        outputs: int,
        norm: Norm,
        *,
        halve: bool = False,
        enlarge_to: tuple[int, int] | None = None,
        given: Given = NOTHING,
    ) -> None:
        super().__init__()
        self.halve, self.enlarge_to = halve, enlarge_to
        # The first block takes pixels: a ReLU would lose the negative ones, and a norm their scale.
        self.before = Chain(*([*normalisation(norm, inputs, given), ReLU()] if inputs == outputs else []))
        self.first = nn.Conv2d(inputs, outputs, 3, padding=1)
        self.between = Chain(*normalisation(norm, outputs, given), ReLU())
        self.second = nn.Conv2d(outputs, outputs, 3, padding=1)
        self.shortcut = nn.Conv2d(inputs, outputs, 1) if inputs != outputs else nn.Identity()

    def forward(self, values: Tensor, condition: Tensor | None = None) -> Tensor:
        """Residual plus shortcut, shape (N, outputs, height', width')."""
        residual = self.before(values, condition)
        if self.enlarge_to is not None:
            residual = F.interpolate(residual, size=self.enlarge_to, mode="nearest")
            values = F.interpolate(values, size=self.enlarge_to, mode="nearest")
        residual = self.second(self.between(self.first(residual), condition))
        if self.halve:
            residual, values = F.avg_pool2d(residual, 2), F.avg_pool2d(values, 2)
        combined: Tensor = self.shortcut(values) + residual
        return combined


def _initialised(network: nn.Module) -> nn.Module:
    """He's uniform initialisation, biases 0; for layers without a ReLU, Glorot's differs only by sqrt(2)."""
    for module in network.modules():
        if isinstance(module, nn.Conv2d | nn.Linear):
            nn.init.kaiming_uniform_(module.weight, nonlinearity="relu")
            if module.bias is not None:
                nn.init.zeros_(module.bias)
    return network
