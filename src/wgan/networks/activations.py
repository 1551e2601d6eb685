"""Activations of straight pieces, whose second derivative is nowhere computed, because it is zero.

A gradient penalty differentiates the critic's gradient. PyTorch's own layers then send a tensor of zeros, the second
derivative of every ReLU, back through all layers before: as many matrix products as a backward pass, to add nothing.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional


class _Pieces(torch.autograd.Function):
    """max(x, slope x), whose derivative is a constant wherever there is one."""

    # In one with forward, though newer code parts them: what parts them costs 45 µs a call, a tenth of small updates.
    @staticmethod
    def forward(ctx: Any, values: Tensor, slope: float) -> Tensor:  # noqa: ANN401 - torch's own
        output = functional.leaky_relu(values, slope) if slope else values.relu()
        # The signs are those of the input, and the next layer keeps the output anyway.
        ctx.save_for_backward(output)
        ctx.slope = slope
        return output

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:  # noqa: ANN401
        (output,) = ctx.saved_tensors
        # Detached: which piece a value lies on does not change with it.
        output = output.detach()
        if ctx.slope:
            return torch.ops.aten.leaky_relu_backward(gradients[0], output, ctx.slope, True), None
        return torch.ops.aten.threshold_backward(gradients[0], output, 0.0), None


class ReLU(nn.ReLU):
    """max(x, 0), as PyTorch's in values and in all derivatives, without the products of zeros."""

    lipschitz_constant = 1.0

    def forward(self, values: Tensor) -> Tensor:
        """Any shape to the same."""
        return _pieces(values, 0.0)


class LeakyReLU(nn.LeakyReLU):
    """max(x, slope x) for a slope from 0 to 1, likewise."""

    def __init__(self, slope: float = 0.2) -> None:
        if not 0 < slope <= 1:
            raise ValueError(f"slope must be above 0 and at most 1, not {slope}")
        super().__init__(slope)

    def forward(self, values: Tensor) -> Tensor:
        """Any shape to the same."""
        return _pieces(values, self.negative_slope)


def _pieces(values: Tensor, slope: float) -> Tensor:
    if torch.compiler.is_compiling():
        # A function with a backward pass of its own loses its second derivatives where gradients are traced; operation
        # by operation this takes three passes over memory, but compiled it is one.
        return torch.where(values > 0, values, slope * values if slope else 0.0)
    if torch.is_grad_enabled() and values.requires_grad:
        activated: Tensor = _Pieces.apply(values, slope)  # type: ignore[no-untyped-call]
        return activated
    return functional.leaky_relu(values, slope) if slope else values.relu()
