"""How a condition enters a network: joined to what goes in, by the scales of its norms, or by a projection."""

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
    """What a player is told besides noise or a sample.

    Attributes:
        size: Entries of the condition; 0 for an unconditional player.
        way: How they enter; None for what suits the network best, "argument" for modules that take them as their second
            argument.
    """

    size: int = 0
    way: Way | None = None

    def joins(self, *, default: bool = True) -> bool:
        """Whether the condition is joined to what goes in; `default` is for a way that is left open."""
        return self.size > 0 and (self.way == "concat" or (self.way is None and default))

    def packed(self, num: int) -> Given:
        """What is told of so many samples that are joined to one."""
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
    """What the generator and the critic are told, for one of the settings' words.

    Args:
        conditioning: "concat" for both; "norm" for the generator, or "projection" for the critic, concat for the other;
            "norm-projection"; or "auto".
        size: Entries of the condition.
    """
    generator, critic = _WAYS[conditioning]
    return Given(size=size, way=generator), Given(size=size, way=critic)


class TakesCondition:
    """The mark of modules whose second argument is the condition."""


class Chain(nn.Sequential, TakesCondition):
    """Layers one after another, of which those that take a condition are handed it."""

    def forward(self, values: Tensor, condition: Tensor | None = None) -> Tensor:
        """Apply all layers."""
        for layer in self:
            values = layer(values, condition) if isinstance(layer, TakesCondition) else layer(values)
        return values


class ConditionalNorm(nn.Module, TakesCondition):
    """A norm whose scale and shift follow from the condition: (1 + s(c)) * norm(x) + t(c), with s and t affine.

    At the beginning both are 0, whatever the condition.

    Args:
        norm: The norm, without a scale and shift of its own.
        channels: Channels of what is normalised.
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
        places = (slice(None), slice(None), *[None] * (values.dim() - 2))
        followed: Tensor = self.norm(values) * (1 + scale[places]) + shift[places]
        return followed


class Joining(nn.Module, TakesCondition):
    """Sees samples with their condition: as more entries of a vector, as constant channels of an image.

    Args:
        chain: What sees them, of samples with so many more entries or channels.
    """

    def __init__(self, chain: nn.Module) -> None:
        super().__init__()
        self.chain = chain

    def forward(self, values: Tensor, condition: Tensor | None = None) -> Tensor:
        """Apply the layers to both."""
        assert condition is not None
        planes = condition.to(values.dtype).reshape(*condition.shape, *[1] * (values.dim() - 2))
        joined: Tensor = self.chain(torch.cat([values, planes.expand(-1, -1, *values.shape[2:])], dim=1))
        return joined


class Projecting(nn.Module, TakesCondition):
    """Scores samples by themselves, plus <E c, h(x)>: E an embedding of the condition, h what the last layer sees.

    Args:
        chain: Layers whose last is affine, from features to one score.
        features: Entries of what the last layer sees.
        size: Entries of the condition.

    Source: Miyato and Koyama (2018), equation 3.
    """

    def __init__(self, chain: nn.Sequential, features: int, size: int) -> None:
        super().__init__()
        self.before, self.last = chain[:-1], chain[-1]
        self.embedding = nn.Linear(size, features, bias=False)
        # As large as the last layer's weights: neither part of the score drowns the other.
        nn.init.normal_(self.embedding.weight, std=features**-0.5)

    def forward(self, values: Tensor, condition: Tensor | None = None) -> Tensor:
        """Scores, shape (N, 1)."""
        assert condition is not None
        seen = self.before(values)
        projection = (self.embedding(condition) * seen.flatten(1)).sum(dim=1, keepdim=True)
        scores: Tensor = self.last(seen).reshape(len(values), 1) + projection
        return scores


def refuse_way(given: Given, network: str, *ways: Way | Literal["auto"]) -> None:
    """Refuse a way that a network does not have for its player.

    Raises:
        UsageError: The way is none of `ways`.
    """
    if given.size and given.way is not None and given.way not in ways:
        raise UsageError(
            f"a condition cannot enter {network} by {given.way}", remedy=f"Use --conditioning {' or '.join(ways)}."
        )


def refuse_norm(network: str) -> UsageError:
    """The error for a conditional norm where there is no norm."""
    return UsageError(
        f"the condition is to enter the generator by its norms, but {network} has norm=none",
        remedy=f"Use --generator {network}:norm=batch, or --conditioning concat.",
    )


def refuse_features(outputs: int) -> None:
    """Refuse a projection where the critic gives features instead of a score.

    Raises:
        UsageError: There are several outputs.
    """
    if outputs != 1:
        raise UsageError(
            f"a projection adds to one score, and this objective's critic gives {outputs} features",
            remedy="Use --conditioning concat.",
        )
