"""What the convolutional networks share: the sequence of sizes, and normalisation by name."""

from __future__ import annotations

from typing import Literal

from torch import nn

from wgan.batch import Layout
from wgan.errors import UsageError
from wgan.networks.conditioning import NOTHING, ConditionalNorm, Given

Norm = Literal["batch", "layer", "none"]


def resolutions(layout: Layout, network: str) -> list[tuple[int, int]]:
    """The sizes of the feature maps, from the image's down to the smallest, each half the one before, rounded down.

    Halving stops as soon as a side is 4 or less, so 64 x 64 ends at 4 x 4, 28 x 28 at 3 x 3 and 48 x 80 at 3 x 5.

    Args:
        layout: What a sample is.
        network: The name to use in an error.

    Returns:
        At least two (height, width).

    Raises:
        UsageError: Samples that are no images, or images below 2 x 2.
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
    """Zero or one layer: over the batch, over each sample (one mean and variance of all its entries), or none.

    Args:
        norm: Over what.
        channels: Of what is normalised.
        given: Whose way is "norm" where scale and shift are to follow from the condition.
    """
    if norm == "none":
        return []
    follows = given.size > 0 and given.way == "norm"
    kind = nn.BatchNorm2d(channels, affine=not follows) if norm == "batch" else None
    layer: nn.Module = kind or nn.GroupNorm(1, channels, affine=not follows)
    return [ConditionalNorm(layer, channels, given.size) if follows else layer]
