"""How a player's weights follow their gradient.

To add an optimiser, write its class here and give it a row in `OPTIMIZERS`.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import nn

from wgan.choices import Catalog


class Optimizer(Protocol):
    """The settings of an optimiser.

    Attributes:
        rate: The learning rate at the start of a run, above 0.
    """

    @property
    def rate(self) -> float:
        """As above."""
        ...

    def build(self, parameters: Iterable[nn.Parameter]) -> torch.optim.Optimizer:
        """An optimiser of these parameters, whose groups hold `rate` as "lr"."""
        ...


@dataclass(frozen=True)
class RMSProp:
    """Gradients divided by a running root mean square; no momentum.

    Source: Arjovsky, Chintala and Bottou (2017), Algorithm 1, lines 6 and 11, whose default rate is 5e-5: momentum can
    make a critic under training unstable.
    """

    rate: float = 5e-5
    smoothing: float = 0.99

    def __post_init__(self) -> None:
        _check_rate(self.rate)
        _check_share("smoothing", self.smoothing)

    def build(self, parameters: Iterable[nn.Parameter]) -> torch.optim.Optimizer:
        """An RMSProp optimiser, all parameters in one pass."""
        return torch.optim.RMSprop(parameters, lr=self.rate, alpha=self.smoothing, foreach=True)


@dataclass(frozen=True)
class Adam:
    """Adam, by default with the rate and betas of the WGAN-GP paper.

    Source: Kingma and Ba (2015); defaults of Gulrajani et al. (2017), Algorithm 1.
    """

    rate: float = 1e-4
    beta1: float = 0.0
    beta2: float = 0.9

    def __post_init__(self) -> None:
        _check_rate(self.rate)
        _check_share("beta1", self.beta1)
        _check_share("beta2", self.beta2)

    def build(self, parameters: Iterable[nn.Parameter]) -> torch.optim.Optimizer:
        """An Adam optimiser whose update is one fused operation for each parameter."""
        return torch.optim.Adam(parameters, lr=self.rate, betas=(self.beta1, self.beta2), fused=True)


def _check_rate(rate: float) -> None:
    if not 0 < rate < math.inf:
        raise ValueError(f"rate must be above 0 and finite, not {rate}")


def _check_share(name: str, value: float) -> None:
    if not 0 <= value < 1:
        raise ValueError(f"{name} must be at least 0 and below 1, not {value}")


OPTIMIZERS: Catalog[Optimizer] = Catalog("optimizer", {"rmsprop": RMSProp, "adam": Adam})
