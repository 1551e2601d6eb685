"""How a condition enters a network: concatenated to the input, by conditional norms, or by a projection."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from wgan.errors import UsageError

Way = Literal["concat", "norm", "projection", "argument"]
Conditioning = Literal["auto", "concat", "norm", "projection", "norm-projection"]


@dataclass(frozen=True, kw_only=True)
class Given:
    """The condition of a player.

    Attributes:
        size: Entries of the condition; 0 for an unconditional player.
        way: How it enters; None for the network's default, "argument" for the second argument of a module.
    """

    size: int = 0
    way: Way | None = None

    def joins(self, *, default: bool = True) -> bool:
        """Whether the condition is concatenated to the input; `default` is for way None."""
        return self.size > 0 and (self.way == "concat" or (self.way is None and default))

    def packed(self, num: int) -> Given:
        """The condition of `num` samples joined to one."""
        return Given(size=num * self.size, way=self.way)


NOTHING = Given()

_WAYS: dict[Conditioning, tuple[Way | None, Way | None]] = {
    "auto": (None, None),
    "concat": ("concat", "concat"),
    "norm": ("norm", "concat"),
    "projection": ("concat", "projection"),
    "norm-projection": ("norm", "projection"),
}


def given_to(conditioning: Conditioning, size: int) -> tuple[Given, Given]:
    """The condition of the generator and of the critic, for a value of the setting `conditioning`.

    Args:
        conditioning: "concat" for both; "norm" for the generator, or "projection" for the critic, concat for the other;
            "norm-projection"; or "auto".
        size: Entries of the condition.
    """
    generator, critic = _WAYS[conditioning]
    return Given(size=size, way=generator), Given(size=size, way=critic)


class TakesCondition:
    """Base of modules whose second argument is the condition."""


class Chain(nn.Sequential, TakesCondition):
    """A sequence of layers that passes the condition to those that take it."""

    def forward(self, values: Tensor, condition: Tensor | None = None) -> Tensor:
        """Apply all layers."""
        for layer in self:
            values = layer(values, condition) if isinstance(layer, TakesCondition) else layer(values)
        return values


class ConditionalNorm(nn.Module, TakesCondition):
    """A norm with conditional scale and shift: (1 + s(c)) * norm(x) + t(c), with s and t affine and initially 0.

    Args:
        norm: The norm, without scale and shift.
        channels: Of the input.
        size: Entries of the condition.

    Source: Dumoulin, Shlens and Kudlur (2017), equation 5; de Vries et al. (2017).
    """

    def __init__(self, norm: nn.Module, channels: int, size: int) -> None:
        super().__init__()
        self.norm = norm
        self.weight = nn.Parameter(torch.zeros(2 * channels, size, dtype=torch.float32, device="cpu"))
        self.bias = nn.Parameter(torch.zeros(2 * channels, dtype=torch.float32, device="cpu"))

    def forward(self, values: Tensor, condition: Tensor | None = None) -> Tensor:
        """Normalise, scale and shift; the same shape."""
        assert condition is not None
        scale, shift = F.linear(condition, self.weight, self.bias).chunk(2, dim=1)
        index = (slice(None), slice(None), *[None] * (values.dim() - 2))
        scaled: Tensor = self.norm(values) * (1 + scale[index]) + shift[index]
        return scaled


class Joining(nn.Module, TakesCondition):
    """Concatenates samples and conditions: as more entries of a vector, or as constant channels of an image.

    Args:
        chain: The layers after it.
    """

    def __init__(self, chain: nn.Module) -> None:
        super().__init__()
        self.chain = chain

    def forward(self, values: Tensor, condition: Tensor | None = None) -> Tensor:
        """Concatenate both and apply the layers."""
        assert condition is not None
        planes = condition.to(values.dtype).reshape(*condition.shape, *[1] * (values.dim() - 2))
        joined: Tensor = self.chain(torch.cat([values, planes.expand(-1, -1, *values.shape[2:])], dim=1))
        return joined


class Projecting(nn.Module, TakesCondition):
    """A projection critic: the score of the sample alone plus <E c, h(x)>, E an embedding and h the last features.

    Args:
        chain: Layers, of which the last is affine, from features to one score.
        features: Inputs of the last layer.
        size: Entries of the condition.

    Source: Miyato and Koyama (2018), equation 3.
    """

    def __init__(self, chain: nn.Sequential, features: int, size: int) -> None:
        super().__init__()
        self.before, self.last = chain[:-1], chain[-1]
        self.embedding = nn.Linear(size, features, bias=False)
        # On the scale of the last layer's weights, so that both parts of the score are of similar size.
        nn.init.normal_(self.embedding.weight, std=features**-0.5)

    def forward(self, values: Tensor, condition: Tensor | None = None) -> Tensor:
        """Scores, shape (N, 1)."""
        assert condition is not None
        features = self.before(values)
        projection = (self.embedding(condition) * features.flatten(1)).sum(dim=1, keepdim=True)
        scores: Tensor = self.last(features).reshape(len(values), 1) + projection
        return scores


def refuse_way(given: Given, network: str, *ways: Way | Literal["auto"]) -> None:
    """Raise for a way of conditioning that a network does not support.

    Raises:
        UsageError: The way is none of `ways`.
    """
    if given.size and given.way is not None and given.way not in ways:
        raise UsageError(
            f"a condition cannot enter {network} by {given.way}", remedy=f"Use --conditioning {' or '.join(ways)}."
        )


def refuse_norm(network: str) -> UsageError:
    """The error for conditional norms in a network without norms."""
    return UsageError(
        f"the condition is to enter the generator by its norms, but {network} has norm=none",
        remedy=f"Use --generator {network}:norm=batch, or --conditioning concat.",
    )


def refuse_features(outputs: int) -> None:
    """Raise for a projection in a critic of features instead of one score.

    Raises:
        UsageError: There is not exactly one output.
    """
    if outputs != 1:
        raise UsageError(
            f"a projection adds to one score, and this objective's critic gives {outputs} features",
            remedy="Use --conditioning concat.",
        )
