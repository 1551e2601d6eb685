"""How many floating-point operations a piece of work needs: those of its matrix products and convolutions.

A multiplication and an addition are two operations; activations, norms and optimisers are not counted. What is counted
is what the work needs, not what an implementation does: a plain loop multiplies by zeros where second derivatives of
piecewise linear activations vanish, and computes the critic's weights' gradients in the generator's update.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import flop_registry

from bench.plain import PlainLoop


def iteration_flops(loop: PlainLoop) -> float:
    """Operations that an iteration of 5 critic updates and 1 generator update needs.

    Let g and c be those of one forward pass of generator and critic, g_1 and c_1 those of their first layers and c_L of
    the critic's last. The gradient of a layer's weights and that of its input take as many each as the layer itself.

    - A critic update takes g for its samples and 2 (3 c - c_1) for the scores of both kinds: samples have no gradient.
    - A penalty takes 4 c - 2 c_L: a pass without its last layer, the slopes, and the gradient of these by the weights
      and by what flows backwards, the constant at its beginning left out. Activations are piecewise linear.
    - A generator update takes 3 g - g_1 + 2 c: no gradient of the noise or of the critic's weights.

    Args:
        loop: Networks that are chains of layers, the critic without norm where it is penalised.
    """
    generator, critic = layer_flops(loop.generator, loop.noise()), layer_flops(loop.critic, loop.real())
    g, c = sum(generator), sum(critic)
    penalty = 4 * c - 2 * critic[-1] if loop.penalised else 0.0
    return 5 * (g + 2 * (3 * c - critic[0]) + penalty) + 3 * g - generator[0] + 2 * c


@torch.no_grad()
def layer_flops(network: nn.Module, values: Tensor) -> list[float]:
    """Operations of one forward pass through each layer of a chain that has any."""
    found = []
    for layer in network.children():
        with _Counting() as counting:
            values = layer(values)
        found.append(counting.total)
    return [count for count in found if count]


def count_flops(function: Callable[[], object]) -> float:
    """Floating-point operations of the matrix products and convolutions of a function, backward ones included.

    A multiplication and an addition are two operations; activations, norms and optimisers are not counted.
    """
    with _Counting() as counting:
        function()
    return float(counting.total)


def counted(function: Callable[[], object]) -> float:
    """Operations that a function really makes, backward ones included."""
    with _Counting() as counting:
        function()
    return float(counting.total)


class _Counting(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Adds up what torch's own formulas say of each operation. Its `FlopCounterMode` refuses inner gradients."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.total = 0.0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:  # noqa: ANN401
        values = func(*args, **(kwargs or {}))
        formula = flop_registry.get(func.overloadpacket)
        if formula is not None:
            self.total += formula(*args, **(kwargs or {}), out_val=values)
        return values
