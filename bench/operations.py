"""The floating-point operations that training needs: those of its matrix products and convolutions.

A multiplication and an addition are two operations. Activations, norms and optimisers are not counted. A program may do
more than is needed: a plain loop multiplies by zeros where second derivatives of piecewise linear activations vanish.
It also computes the gradients of the critic's parameters in the generator's update.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import flop_registry

from bench.plain import PlainLoop


def weights_of(network: nn.Module) -> int:
    """The number of parameters of a network."""
    return sum(weight.numel() for weight in network.parameters())


def iteration_flops(loop: PlainLoop) -> float:
    """Operations that an iteration of 5 critic updates and 1 generator update needs.

    Let g and c be the operations of one forward pass of the generator and of the critic, g_1 and c_1 those of their
    first layers and c_L those of the critic's last. The gradient with respect to a layer's parameters and that with
    respect to its input take as many operations each as the layer itself.

    - A critic update takes g for its samples and 2 (3 c - c_1) for the scores of real and fake samples, which need no
      gradient themselves.
    - A gradient penalty takes 4 c - 2 c_L: a forward pass without the last layer, the gradient with respect to the
      input, and the derivatives of that gradient. Activations are piecewise linear.
    - A generator update takes 3 g - g_1 + 2 c: no gradient of the noise or of the critic's parameters.

    Args:
        loop: Its networks are chains of layers. A penalised critic has no norm.
    """
    generator, critic = layer_flops(loop.generator, loop.noise()), layer_flops(loop.critic, loop.real())
    g, c = sum(generator), sum(critic)
    penalty = 4 * c - 2 * critic[-1] if loop.penalised else 0.0
    return 5 * (g + 2 * (3 * c - critic[0]) + penalty) + 3 * g - generator[0] + 2 * c


@torch.no_grad()
def layer_flops(network: nn.Module, values: Tensor) -> list[float]:
    """Operations of one forward pass through each layer of a chain, layers without operations left out."""
    counts = []
    for layer in network.children():
        with _Counting() as counting:
            values = layer(values)
        counts.append(counting.total)
    return [count for count in counts if count]


def counted(function: Callable[[], object]) -> float:
    """Operations of the matrix products and convolutions that a function executes, backward passes included."""
    with _Counting() as counting:
        function()
    return float(counting.total)


class _Counting(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Sums torch's own formulas over the operations. torch's `FlopCounterMode` does not support nested gradients."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.total = 0.0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:  # noqa: ANN401
        values = func(*args, **(kwargs or {}))
        formula = flop_registry.get(func.overloadpacket)
        if formula is not None:
            self.total += formula(*args, **(kwargs or {}), out_val=values)
        return values
