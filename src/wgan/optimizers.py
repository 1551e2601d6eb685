"""How a player's weights follow their gradient.

To add an optimiser, write its class here and give it a row in `OPTIMIZERS`.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import Tensor, nn

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
        """An optimiser of these parameters, of which there may be none; its groups hold `rate` as "lr"."""
        ...


Slots = list[dict[str, Tensor]]


class Foreseeing(torch.optim.Optimizer):
    """An optimiser that can say what its next update would make of weights, as a differentiable function."""

    def slots(self) -> Slots:
        """What it keeps for each weight now, empty before the first update."""
        return [dict(self.state[weight]) for group in self.param_groups for weight in group["params"]]

    def foresee(
        self, weights: Sequence[Tensor], gradients: Sequence[Tensor | None], slots: Slots
    ) -> tuple[list[Tensor], Slots]:
        """The weights and slots after one update, without making it.

        Args:
            weights: In the order of its parameters, of their shapes.
            gradients: Of each; None leaves a weight as it is.
            slots: From `slots`, or from the update before.

        Returns:
            New weights and slots, differentiable with respect to weights, gradients and slots.
        """
        rules = [group for group in self.param_groups for _ in group["params"]]
        updated = [
            (weight, slot) if gradient is None else self._foresee(weight, gradient, slot, rule)
            for weight, gradient, slot, rule in zip(weights, gradients, slots, rules, strict=True)
        ]
        return [weight for weight, _ in updated], [slot for _, slot in updated]

    def _foresee(
        self, weight: Tensor, gradient: Tensor, slot: dict[str, Tensor], rule: dict[str, Any]
    ) -> tuple[Tensor, dict[str, Tensor]]:
        raise NotImplementedError


class _RMSprop(torch.optim.RMSprop, Foreseeing):
    def _foresee(
        self, weight: Tensor, gradient: Tensor, slot: dict[str, Tensor], rule: dict[str, Any]
    ) -> tuple[Tensor, dict[str, Tensor]]:
        square = slot.get("square_avg", torch.zeros_like(weight))
        square = torch.lerp(gradient.square(), square, rule["alpha"])
        return weight - rule["lr"] * gradient / (_root(square) + rule["eps"]), {"square_avg": square}


class _Adam(torch.optim.Adam, Foreseeing):
    def _foresee(
        self, weight: Tensor, gradient: Tensor, slot: dict[str, Tensor], rule: dict[str, Any]
    ) -> tuple[Tensor, dict[str, Tensor]]:
        none, (beta1, beta2) = torch.zeros_like(weight), rule["betas"]
        step = slot.get("step", weight.new_zeros(())) + 1
        mean = torch.lerp(gradient, slot.get("exp_avg", none), beta1)
        square = torch.lerp(gradient.square(), slot.get("exp_avg_sq", none), beta2)
        width = _root(square) / (1 - beta2**step).sqrt() + rule["eps"]
        moved = weight - rule["lr"] / (1 - beta1**step) * mean / width
        return moved, {"step": step, "exp_avg": mean, "exp_avg_sq": square}


def _root(square: Tensor) -> Tensor:
    """The square root, with the derivative 0 at 0, where nothing has ever pulled at a weight."""
    return torch.where(square > 0, torch.where(square > 0, square, 1.0).sqrt(), 0.0)


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

    def build(self, parameters: Iterable[nn.Parameter]) -> Foreseeing:
        """An RMSProp optimiser, all parameters in one pass."""
        return _RMSprop(_group(parameters), lr=self.rate, alpha=self.smoothing, foreach=True)


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

    def build(self, parameters: Iterable[nn.Parameter]) -> Foreseeing:
        """An Adam optimiser whose update is one fused operation for each parameter."""
        return _Adam(_group(parameters), lr=self.rate, betas=(self.beta1, self.beta2), fused=True)


def _group(parameters: Iterable[nn.Parameter]) -> list[dict[str, Any]]:
    """One group: an empty one is taken, where an empty list of parameters would be refused."""
    return [{"params": list(parameters)}]


def _check_rate(rate: float) -> None:
    if not 0 < rate < math.inf:
        raise ValueError(f"rate must be above 0 and finite, not {rate}")


def _check_share(name: str, value: float) -> None:
    if not 0 <= value < 1:
        raise ValueError(f"{name} must be at least 0 and below 1, not {value}")


OPTIMIZERS: Catalog[Optimizer] = Catalog("optimizer", {"rmsprop": RMSProp, "adam": Adam})
