"""Layers that the networks share: activations, normalisation, and the sizes of feature maps."""

from __future__ import annotations

from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

from wgan.batch import Layout
from wgan.errors import UsageError
from wgan.networks.conditioning import NOTHING, ConditionalNorm, Given

Norm = Literal["batch", "layer", "none"]


def resolutions(layout: Layout, network: str) -> list[tuple[int, int]]:
    """The sizes of the feature maps, from the image's size down, each half of the one before, rounded down.

    Halving stops as soon as a side is 4 or less. Examples: 64 x 64 ends at 4 x 4, 28 x 28 at 3 x 3, 48 x 80 at 3 x 5.

    Args:
        layout: Of the data.
        network: Name for the error message.

    Returns:
        At least two (height, width).

    Raises:
        UsageError: Samples that are not images, or images below 2 x 2.
    """
    if not layout.is_image:
        raise UsageError(
            f"{network} is a network for images, but a sample of this data is a vector of {layout.size} numbers",
            remedy="Use mlp.",
        )
    _, height, width = layout.shape
    if min(height, width) < 2:
        raise UsageError(f"{network} needs images of at least 2 x 2, not {height} x {width}", remedy="Use mlp.")
    sizes = [(height, width), (height // 2, width // 2)]
    while min(sizes[-1]) > 4:
        sizes.append((sizes[-1][0] // 2, sizes[-1][1] // 2))
    return sizes


def normalisation(norm: Norm, channels: int, given: Given = NOTHING) -> list[nn.Module]:
    """Zero or one layer: batch norm, layer norm (one mean and variance for each sample), or none.

    Args:
        norm: Which.
        channels: Of its input.
        given: With way "norm", scale and shift are functions of the condition.
    """
    if norm == "none":
        return []
    conditional = given.size > 0 and given.way == "norm"
    kind = nn.BatchNorm2d(channels, affine=not conditional) if norm == "batch" else None
    layer: nn.Module = kind or nn.GroupNorm(1, channels, affine=not conditional)
    return [ConditionalNorm(layer, channels, given.size) if conditional else layer]


class _Pieces(torch.autograd.Function):
    """max(x, slope x), without the computation of its second derivative, which is 0.

    A gradient penalty differentiates the critic's gradient. With PyTorch's own layers this sends zeros, the second
    derivatives of all ReLUs, back through all layers before them, at the cost of another backward pass.
    """

    # The older form of a Function, without setup_context, which costs 45 µs a call: a tenth of a small update.
    @staticmethod
    def forward(ctx: Any, values: Tensor, slope: float) -> Tensor:  # noqa: ANN401 - torch's own
        output = functional.leaky_relu(values, slope) if slope else values.relu()
        # The output has the signs of the input, and the next layer saves it anyway.
        ctx.save_for_backward(output)
        ctx.slope = slope
        return output

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:  # noqa: ANN401
        (output,) = ctx.saved_tensors
        # Detached: the sign is locally constant.
        output = output.detach()
        if ctx.slope:
            return torch.ops.aten.leaky_relu_backward(gradients[0], output, ctx.slope, True), None
        return torch.ops.aten.threshold_backward(gradients[0], output, 0.0), None


class ReLU(nn.ReLU):
    """max(x, 0), with the values and derivatives of PyTorch's ReLU, but a cheaper second derivative."""

    lipschitz_constant = 1.0

    def forward(self, values: Tensor) -> Tensor:
        """Any shape to the same shape."""
        return _pieces(values, 0.0)


class LeakyReLU(nn.LeakyReLU):
    """max(x, slope x) for a slope in (0, 1], likewise."""

    def __init__(self, slope: float = 0.2) -> None:
        if not 0 < slope <= 1:
            raise ValueError(f"slope must be above 0 and at most 1, not {slope}")
        super().__init__(slope)

    def forward(self, values: Tensor) -> Tensor:
        """Any shape to the same shape."""
        return _pieces(values, self.negative_slope)


def _pieces(values: Tensor, slope: float) -> Tensor:
    if torch.compiler.is_compiling():
        # torch.compile loses the second derivatives of a custom Function. The three operations are compiled into one.
        return torch.where(values > 0, values, slope * values if slope else 0.0)
    if torch.is_grad_enabled() and values.requires_grad:
        activated: Tensor = _Pieces.apply(values, slope)  # type: ignore[no-untyped-call]
        return activated
    return functional.leaky_relu(values, slope) if slope else values.relu()
