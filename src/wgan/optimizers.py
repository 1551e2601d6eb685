"""Optimisers of a player's parameters.

To add one, write its class here and add it to `OPTIMIZERS`.
"""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Protocol, cast

import torch
from torch import Tensor, nn

from wgan.errors import UsageError
from wgan.settings.registry import Registry


class Optimizer(Protocol):
    """The settings of an optimiser.

    Attributes:
        lr: The learning rate at the start of a run, above 0.
    """

    @property
    def lr(self) -> float:
        """The learning rate at the start of a run."""
        ...

    def build(self, parameters: Iterable[nn.Parameter]) -> torch.optim.Optimizer:
        """An optimiser of these parameters, possibly none; its groups hold `lr` as "lr"."""
        ...


Slots = list[dict[str, Tensor]]
"""The state of an optimiser: for each parameter, tensors by name."""

_EPSILON = 1e-8


class FunctionalOptimizer(torch.optim.Optimizer):
    """An optimiser whose step is also available as a differentiable function."""

    # PyTorch wraps these to exclude them from compilation. The wrappers import its compiler, which takes a second even
    # where only samples are drawn.
    add_param_group = inspect.unwrap(torch.optim.Optimizer.add_param_group)
    state_dict = inspect.unwrap(torch.optim.Optimizer.state_dict)
    load_state_dict = inspect.unwrap(torch.optim.Optimizer.load_state_dict)

    def slots(self) -> Slots:
        """A copy of the state of each parameter, empty before the first update."""
        return [dict(self.state[parameter]) for group in self.param_groups for parameter in group["params"]]

    def initialised_slots(self) -> Slots:
        """The state of each parameter itself, to be changed in place; initialised if there was no update yet."""
        parameters = [parameter for group in self.param_groups for parameter in group["params"]]
        for parameter in parameters:
            if not self.state[parameter]:
                self.state[parameter] = self._first_slot(parameter)
        return [self.state[parameter] for parameter in parameters]

    def functional_step(
        self,
        parameters: Sequence[Tensor],
        gradients: Sequence[Tensor | None],
        slots: Slots,
        lr: Tensor | None = None,
    ) -> tuple[list[Tensor], Slots]:
        """Parameters and state after one step, not in place.

        Args:
            parameters: In the order of the optimiser's own, and of their shapes.
            gradients: Of each; None leaves a parameter as it is.
            slots: The state, from `slots` or from the step before.
            lr: The learning rate, 0-d; that of the optimiser's groups if None.

        Returns:
            New parameters and state, differentiable with respect to parameters, gradients and state.
        """
        if lr is None:
            rates = [group["lr"] for group in self.param_groups for _ in group["params"]]
        else:
            rates = [lr] * len(parameters)
        updated = [
            (parameter, slot) if gradient is None else self._functional_step(parameter, gradient, slot, rate)
            for parameter, gradient, slot, rate in zip(parameters, gradients, slots, rates, strict=True)
        ]
        return [parameter for parameter, _ in updated], [slot for _, slot in updated]

    def _functional_step(
        self, weight: Tensor, gradient: Tensor, slot: dict[str, Tensor], lr: Tensor | float
    ) -> tuple[Tensor, dict[str, Tensor]]:
        raise NotImplementedError

    def _first_slot(self, weight: Tensor) -> dict[str, Tensor]:
        raise NotImplementedError


class _RMSprop(torch.optim.RMSprop, FunctionalOptimizer):
    def __init__(self, parameters: Iterable[nn.Parameter], numbers: RMSProp) -> None:
        self.numbers = numbers
        super().__init__(_group(parameters), lr=numbers.lr, alpha=numbers.alpha, eps=_EPSILON, foreach=True)

    def step(self, closure: Callable[[], float] | None = None) -> float | None:  # type: ignore[override]
        """Update the parameters, with a float32 state whatever PyTorch's default dtype is."""
        if not self.state:
            for weight in (weight for group in self.param_groups for weight in group["params"]):
                if weight.grad is not None:
                    self.state[weight] = self._first_slot(weight)
        return cast(float | None, super().step(closure))

    def _functional_step(
        self, weight: Tensor, gradient: Tensor, slot: dict[str, Tensor], lr: Tensor | float
    ) -> tuple[Tensor, dict[str, Tensor]]:
        square = slot.get("square_avg", torch.zeros_like(weight))
        square = torch.lerp(gradient.square(), square, self.numbers.alpha)
        step = slot.get("step", torch.zeros((), dtype=torch.float32, device="cpu")) + 1
        return weight - lr * gradient / (_root(square) + _EPSILON), {"step": step, "square_avg": square}

    def _first_slot(self, weight: Tensor) -> dict[str, Tensor]:
        return {"step": torch.zeros((), dtype=torch.float32, device="cpu"), "square_avg": torch.zeros_like(weight)}


class _Adam(torch.optim.Adam, FunctionalOptimizer):
    def __init__(self, parameters: Iterable[nn.Parameter], numbers: Adam) -> None:
        self.numbers = numbers
        betas = (numbers.beta1, numbers.beta2)
        super().__init__(_group(parameters), lr=numbers.lr, betas=betas, eps=_EPSILON, fused=True)

    def _functional_step(
        self, weight: Tensor, gradient: Tensor, slot: dict[str, Tensor], lr: Tensor | float
    ) -> tuple[Tensor, dict[str, Tensor]]:
        none, beta1, beta2 = torch.zeros_like(weight), self.numbers.beta1, self.numbers.beta2
        step = slot.get("step", weight.new_zeros(())) + 1
        mean = torch.lerp(gradient, slot.get("exp_avg", none), beta1)
        square = torch.lerp(gradient.square(), slot.get("exp_avg_sq", none), beta2)
        width = _root(square) / (1 - beta2**step).sqrt() + _EPSILON
        moved = weight - lr / (1 - beta1**step) * mean / width
        return moved, {"step": step, "exp_avg": mean, "exp_avg_sq": square}

    def _first_slot(self, weight: Tensor) -> dict[str, Tensor]:
        # Fused Adam counts in float32 where the weights are.
        step = torch.zeros((), device=weight.device, dtype=torch.float32)
        return {"step": step, "exp_avg": torch.zeros_like(weight), "exp_avg_sq": torch.zeros_like(weight)}


def _root(square: Tensor) -> Tensor:
    """The square root, with derivative 0 at 0, for parameters that have had no gradient yet."""
    return torch.where(square > 0, torch.where(square > 0, square, 1.0).sqrt(), 0.0)


@dataclass(frozen=True)
class RMSProp:
    """Gradients divided by a running root mean square; no momentum.

    Source: Arjovsky, Chintala and Bottou (2017), Algorithm 1, lines 6 and 11, whose learning rate is 5e-5: momentum can
    make the training of a critic unstable.
    """

    lr: float = 5e-5
    alpha: float = 0.99

    def __post_init__(self) -> None:
        _check_rate(self.lr)
        _check_share("alpha", self.alpha)

    def build(self, parameters: Iterable[nn.Parameter]) -> FunctionalOptimizer:
        """An RMSProp optimiser that updates all parameters together."""
        return _RMSprop(parameters, self)


@dataclass(frozen=True)
class Adam:
    """Adam, by default with the learning rate and betas of the WGAN-GP paper.

    Source: Kingma and Ba (2015); defaults of Gulrajani et al. (2017), Algorithm 1.
    """

    lr: float = 1e-4
    beta1: float = 0.0
    beta2: float = 0.9

    def __post_init__(self) -> None:
        _check_rate(self.lr)
        _check_share("beta1", self.beta1)
        _check_share("beta2", self.beta2)

    def build(self, parameters: Iterable[nn.Parameter]) -> FunctionalOptimizer:
        """A fused Adam optimiser."""
        return _Adam(parameters, self)


@dataclass(frozen=True, eq=False)
class OwnOptimizer:
    """An optimiser from PyTorch or the user's own.

    Attributes:
        make: From parameters to a `torch.optim.Optimizer`, such as `functools.partial(torch.optim.AdamW, lr=1e-3)`.
    """

    make: Callable[[Iterable[nn.Parameter]], torch.optim.Optimizer]

    @cached_property
    def lr(self) -> float:
        """The learning rate at the start, from the optimiser."""
        return float(self._checked().param_groups[0]["lr"])

    def build(self, parameters: Iterable[nn.Parameter]) -> torch.optim.Optimizer:
        """An optimiser of these parameters.

        Raises:
            UsageError: It cannot be made or used, or its state is not made of tensors.
        """
        self._checked()
        return self.make(list(parameters))

    def _checked(self) -> torch.optim.Optimizer:
        """An optimiser of a dummy parameter, after one update."""
        name = getattr(getattr(self.make, "func", self.make), "__name__", type(self.make).__name__)
        weight = nn.Parameter(torch.ones(2, 2))
        try:
            optimizer = self.make([weight])
            if not isinstance(optimizer, torch.optim.Optimizer):
                raise UsageError(f"{name} made {type(optimizer).__name__}, not a torch.optim.Optimizer")
            weight.grad = torch.ones_like(weight)
            optimizer.step()
        except UsageError:
            raise
        except Exception as error:
            raise UsageError(
                f"the optimiser {name} failed on one parameter: {type(error).__name__}: {error}",
                remedy="Give a function of parameters alone: functools.partial(torch.optim.AdamW, lr=1e-3).",
            ) from error
        rates = [group.get("lr") for group in optimizer.param_groups]
        if not all(isinstance(lr, float | int) for lr in rates):
            raise UsageError(f"the optimiser {name} has no learning rate that is a number", remedy="Give it as lr=...")
        for slot, value in optimizer.state[weight].items():
            if not isinstance(value, Tensor):
                raise UsageError(
                    f"the optimiser {name} keeps '{slot}', {type(value).__name__}, and checkpoints hold tensors alone"
                )
        return optimizer


def _group(parameters: Iterable[nn.Parameter]) -> list[dict[str, Any]]:
    """One group: PyTorch accepts an empty group, but not an empty list of parameters."""
    return [{"params": list(parameters)}]


def _check_rate(lr: float) -> None:
    if not 0 < lr < math.inf:
        raise ValueError(f"lr must be above 0 and finite, not {lr}")


def _check_share(name: str, value: float) -> None:
    if not 0 <= value < 1:
        raise ValueError(f"{name} must be at least 0 and below 1, not {value}")


OPTIMIZERS: Registry[Optimizer] = Registry("optimizer", {"rmsprop": RMSProp, "adam": Adam}, members=("lr", "build"))
