"""The image codec: from 8-bit pixels to network units, and back to the dtype and range of the data."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from wgan.batch import Layout
from wgan.data.scaling import to_dtype
from wgan.errors import CheckpointError

LEVELS = 255
"""Networks learn pixels as whole numbers from 0 to this."""

Axes = Literal["NHWC", "NCHW", "NHW"]
CHANNELS: dict[str, int] = {"L": 1, "RGB": 3, "RGBA": 4}
_BYTES: np.dtype[np.generic] = np.dtype(np.uint8)


@dataclass(frozen=True, kw_only=True)
class ImageCodec:
    """The map between 8-bit pixels and network units: values = pixels / 127.5 - 1.

    Attributes:
        mode: Meaning of the channels: "L" (grey), "RGB" or "RGBA".
        height: Rows of pixels.
        width: Columns of pixels.
        dtype: Of the images of the data, and of those that `restore` returns.
        low: Value of black in the data.
        high: Value of white in the data.
        axes: Order of the axes in the data: channels last, channels first, or no axis for the channel.
        kind: Always "images".
    """

    mode: str
    height: int
    width: int
    dtype: np.dtype[np.generic] = _BYTES
    low: float = 0.0
    high: float = float(LEVELS)
    axes: Axes = "NHWC"
    kind: Literal["images"] = "images"

    @property
    def layout(self) -> Layout:
        """Shape (channels, height, width), every entry in [-1, 1]."""
        return Layout(shape=(CHANNELS[self.mode], self.height, self.width), bounded=True)

    @property
    def is_stretched(self) -> bool:
        """Whether black and white differ from the limits of the dtype."""
        limits = {"b": [(0, 1)], "f": [(0, 1), (-1, 1)]}.get(self.dtype.kind, [(0, LEVELS)])
        if self.dtype == np.uint16:
            limits.append((0, int(np.iinfo(np.uint16).max)))
        return (self.low, self.high) not in limits

    def encode(self, pixels: NDArray[np.uint8]) -> Tensor:
        """Map pixels to network units.

        Args:
            pixels: Shape (N, channels, height, width), uint8.

        Returns:
            The same shape, float32, in [-1, 1].
        """
        # This copies slices of a read-only memory map; rows selected by index are copies already.
        return torch.from_numpy(np.require(pixels, requirements=["C", "W"])).to(torch.float32).div_(127.5).sub_(1)

    def decode(self, values: Tensor) -> NDArray[np.uint8]:
        """Map network units to pixels, rounded and clamped.

        Args:
            values: Shape (N, channels, height, width), any float type.

        Returns:
            Shape (N, height, width, channels), uint8; not differentiable.
        """
        scaled = values.detach().to("cpu", torch.float32).add(1).mul_(127.5).round_().clamp_(0, 255)
        pixels: NDArray[np.uint8] = scaled.to(torch.uint8).permute(0, 2, 3, 1).contiguous().numpy()
        return pixels

    def files(self, values: Tensor) -> NDArray[np.generic]:
        """Map network units to pixels for image files: black and white or 16 bits if the data has them, else 8 bits.

        Args:
            values: As in `decode`.

        Returns:
            Shape (N, height, width, channels); boolean, uint16 or uint8.
        """
        if self.mode == "L" and self.dtype.newbyteorder("=") in (np.dtype(np.bool_), np.dtype(np.uint16)):
            return self._restored(values).transpose(0, 2, 3, 1)
        return self.decode(values)

    def restore(self, values: Tensor) -> NDArray[np.generic]:
        """Map network units to images in the form of the data, not rounded to 8 bits if the data has more.

        Args:
            values: As in `decode`.

        Returns:
            Images with the dtype, range and axes of the data; not differentiable.
        """
        array = self._restored(values)
        if self.axes == "NHW":
            array = array[:, 0]
        elif self.axes == "NHWC":
            array = array.transpose(0, 2, 3, 1)
        return np.ascontiguousarray(array)

    def _restored(self, values: Tensor) -> NDArray[np.generic]:
        """Shape (N, channels, height, width), in the dtype and range of the data."""
        if (self.dtype, self.low, self.high) == (_BYTES, 0, LEVELS):
            return self.decode(values).transpose(0, 3, 1, 2)
        fraction = values.detach().to("cpu", torch.float64).add(1).div_(2).clamp_(0, 1).numpy()
        return to_dtype(self.low + fraction * (self.high - self.low), self.dtype)

    def state(self) -> dict[str, object]:
        """Plain JSON values from which `from_state` builds this codec again."""
        state: dict[str, object] = {"kind": "images", "mode": self.mode, "height": self.height, "width": self.width}
        given = {"dtype": self.dtype.str, "low": self.low, "high": self.high, "axes": self.axes}
        return state if given == _DEFAULT_GIVEN else state | {"given": given}

    @classmethod
    def from_state(cls, state: Mapping[str, object]) -> ImageCodec:
        """Build the codec that `state` describes.

        Raises:
            CheckpointError: A field is missing or has an invalid value.
        """
        mode, height, width = state.get("mode"), state.get("height"), state.get("width")
        if not isinstance(mode, str) or mode not in CHANNELS:
            raise CheckpointError(f"image codec: mode is {mode!r}, not one of {', '.join(CHANNELS)}")
        for name, length in (("height", height), ("width", width)):
            if type(length) is not int or length < 1:
                raise CheckpointError(f"image codec: {name} is {length!r}, not a positive whole number")
        assert isinstance(height, int)
        assert isinstance(width, int)
        return cls(mode=mode, height=height, width=width, **_read_given(state.get("given", _DEFAULT_GIVEN)))


_DEFAULT_GIVEN = {"dtype": _BYTES.str, "low": 0.0, "high": float(LEVELS), "axes": "NHWC"}
"""The form of 8-bit images. It is not stored: earlier versions supported no other."""


def _read_given(given: object) -> dict[str, Any]:
    """The fields of a codec that describe the form of the data.

    Raises:
        CheckpointError: A value is invalid.
    """
    try:
        if not isinstance(given, Mapping) or given.keys() != _DEFAULT_GIVEN.keys():
            raise ValueError(f"it must hold {', '.join(_DEFAULT_GIVEN)}")
        dtype, low, high = np.dtype(str(given["dtype"])), float(given["low"]), float(given["high"])
        if dtype.kind not in "biuf" or given["axes"] not in get_args(Axes) or not -math.inf < low < high < math.inf:
            raise ValueError("a value is out of range")
    except (TypeError, ValueError, SyntaxError) as error:
        raise CheckpointError(f"image codec: the form of the data is {given!r}: {error}") from None
    return {"dtype": dtype, "low": low, "high": high, "axes": given["axes"]}


def to_levels(values: NDArray[Any], low: float, high: float) -> NDArray[np.uint8]:
    """Round values to the nearest of 256 levels; values outside the range are clipped.

    Args:
        values: Any shape and real type, finite.
        low: Value of black.
        high: Value of white.

    Returns:
        The same shape.
    """
    factor = LEVELS / (high - low)
    levels: NDArray[np.uint8] = (
        np.rint(values.astype(np.float64) * factor - low * factor).clip(0, LEVELS).astype(np.uint8)
    )
    return levels
