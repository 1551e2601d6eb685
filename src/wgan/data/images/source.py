"""Images as the networks see them, and the way back to eight-bit pixels."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from wgan.batch import Layout
from wgan.data.finite import FiniteSource
from wgan.data.images.naming import shown
from wgan.data.images.ranges import LEVELS
from wgan.data.row_conditions import RowConditions
from wgan.data.scaling import to_dtype
from wgan.errors import CheckpointError, DataError

Axes = Literal["NHWC", "NCHW", "NHW"]
CHANNELS: dict[str, int] = {"L": 1, "RGB": 3, "RGBA": 4}
_HASHED_BYTES = 1 << 24
_BYTES: np.dtype[np.generic] = np.dtype(np.uint8)


@dataclass(frozen=True, kw_only=True)
class ImageCodec:
    """Between eight-bit pixels and the interval that the networks see: values = pixels / 127.5 - 1.

    Attributes:
        mode: What the channels mean: "L" (grey), "RGB" or "RGBA".
        height: Rows of pixels.
        width: Columns of pixels.
        dtype: Of the images that came in, and of those that `restore` returns.
        low: What black was there.
        high: What white was there.
        axes: The order of their axes: channels last or first, or no axis for the channel.
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
        """Whether black and white are other values than the ends of the type that came in."""
        ends = {"b": [(0, 1)], "f": [(0, 1), (-1, 1)]}.get(self.dtype.kind, [(0, LEVELS)])
        if self.dtype == np.uint16:
            ends.append((0, int(np.iinfo(np.uint16).max)))
        return (self.low, self.high) not in ends

    def encode(self, pixels: NDArray[np.uint8]) -> Tensor:
        """Map pixels to what the networks see.

        Args:
            pixels: Shape (N, channels, height, width), uint8.

        Returns:
            The same shape, float32, in [-1, 1].
        """
        # Rows of a read-only file mapping are copied here, rows gathered from one are a copy already.
        return torch.from_numpy(np.require(pixels, requirements=["C", "W"])).to(torch.float32).div_(127.5).sub_(1)

    def decode(self, values: Tensor) -> NDArray[np.uint8]:
        """Map what a generator puts out to pixels, rounded, and clamped where it strays.

        Args:
            values: Shape (N, channels, height, width), any float type.

        Returns:
            Shape (N, height, width, channels), uint8; not differentiable.
        """
        scaled = values.detach().to("cpu", torch.float32).add(1).mul_(127.5).round_().clamp_(0, 255)
        pixels: NDArray[np.uint8] = scaled.to(torch.uint8).permute(0, 2, 3, 1).contiguous().numpy()
        return pixels

    def files(self, values: Tensor) -> NDArray[np.generic]:
        """Map what a generator puts out to what image files hold: black and white or 16 bits where these came in.

        Args:
            values: As in `decode`.

        Returns:
            Shape (N, height, width, channels); boolean, uint16 or uint8.
        """
        if self.mode == "L" and self.dtype.newbyteorder("=") in (np.dtype(np.bool_), np.dtype(np.uint16)):
            return self._valued(values).transpose(0, 2, 3, 1)
        return self.decode(values)

    def restore(self, values: Tensor) -> NDArray[np.generic]:
        """Map what a generator puts out to images as they came in, not rounded to eight bits where they have more.

        Args:
            values: As in `decode`.

        Returns:
            The dtype, range and order of axes that came in; not differentiable.
        """
        array = self._valued(values)
        if self.axes == "NHW":
            array = array[:, 0]
        elif self.axes == "NHWC":
            array = array.transpose(0, 2, 3, 1)
        return np.ascontiguousarray(array)

    def _valued(self, values: Tensor) -> NDArray[np.generic]:
        """Shape (N, channels, height, width), in the dtype and range that came in."""
        if (self.dtype, self.low, self.high) == (_BYTES, 0, LEVELS):
            return self.decode(values).transpose(0, 3, 1, 2)
        share = values.detach().to("cpu", torch.float64).add(1).div_(2).clamp_(0, 1).numpy()
        return to_dtype(self.low + share * (self.high - self.low), self.dtype)

    def state(self) -> dict[str, object]:
        """Plain JSON values from which `from_state` builds this codec again."""
        state: dict[str, object] = {"kind": "images", "mode": self.mode, "height": self.height, "width": self.width}
        given = {"dtype": self.dtype.str, "low": self.low, "high": self.high, "axes": self.axes}
        return state if given == _GIVEN else state | {"given": given}

    @classmethod
    def from_state(cls, state: Mapping[str, object]) -> ImageCodec:
        """Build the codec that `state` describes.

        Raises:
            CheckpointError: A field is missing, or has a value that no codec has.
        """
        mode, height, width = state.get("mode"), state.get("height"), state.get("width")
        if not isinstance(mode, str) or mode not in CHANNELS:
            raise CheckpointError(f"image codec: mode is {mode!r}, not one of {', '.join(CHANNELS)}")
        for name, length in (("height", height), ("width", width)):
            if type(length) is not int or length < 1:
                raise CheckpointError(f"image codec: {name} is {length!r}, not a positive whole number")
        assert isinstance(height, int)
        assert isinstance(width, int)
        return cls(mode=mode, height=height, width=width, **_given(state.get("given", _GIVEN)))


_GIVEN = {"dtype": _BYTES.str, "low": 0.0, "high": float(LEVELS), "axes": "NHWC"}
"""What images are that came as files or arrays of bytes, of which earlier versions kept no more."""


def _given(given: object) -> dict[str, Any]:
    """What a codec's state says of the images that came in.

    Raises:
        CheckpointError: A value that no codec has.
    """
    try:
        if not isinstance(given, Mapping) or given.keys() != _GIVEN.keys():
            raise ValueError(f"it must hold {', '.join(_GIVEN)}")
        dtype, low, high = np.dtype(str(given["dtype"])), float(given["low"]), float(given["high"])
        if dtype.kind not in "biuf" or given["axes"] not in get_args(Axes) or not -math.inf < low < high < math.inf:
            raise ValueError("a value is out of range")
    except (TypeError, ValueError, SyntaxError) as error:
        raise CheckpointError(f"image codec: what came in is {given!r}: {error}") from None
    return {"dtype": dtype, "low": low, "high": high, "axes": given["axes"]}


class ImageSource(FiniteSource):
    """Images held as bytes, in memory or in a mapped file, and turned into floats a batch at a time.

    Args:
        name: As the user called it.
        pixels: Shape (N, channels, height, width), uint8; may be a read-only file mapping larger than memory.
        codec: What the pixels mean.
        share: Share of the images to hold out, 0 to 0.5.
        seed: The run's seed, which decides the images that are held out.
        notes: What the user should be told about how the images were read.
        labels: Shape (N,), each image's place in `classes`; None where there are none.
        classes: Names of the classes.
        digest: Digest of the pixels where it is already known.
        offers: What could be a condition, by name.
        row_conditions: The conditions of the images that are kept; None in an unconditional run.
        unseen: Share of the combinations of conditions that are kept from training.
        warning: The note that is issued as a warning too; empty if there is none.

    Attributes:
        labels: As given.
        classes: As given.
        pixels: As given.
        warning: As given.
    """

    codec: ImageCodec

    def __init__(
        self,
        name: str,
        pixels: NDArray[np.uint8],
        codec: ImageCodec,
        *,
        share: float,
        seed: int,
        notes: tuple[str, ...] = (),
        labels: NDArray[np.int64] | None = None,
        classes: tuple[str, ...] = (),
        digest: str | None = None,
        offers: tuple[str, ...] = (),
        row_conditions: RowConditions | None = None,
        unseen: float = 0.0,
        warning: str = "",
    ) -> None:
        if len(pixels) < 2:
            raise DataError(
                f"{shown(name)}: needs at least 2 images, found {len(pixels)}",
                remedy="Give more images: a distribution cannot be learnt from less.",
            )
        assert pixels.dtype == np.uint8
        assert pixels.shape[1:] == codec.layout.shape
        assert labels is None or len(labels) == len(pixels)
        rows: Tensor | int = len(pixels)
        if row_conditions is not None and row_conditions.kept is not None:
            rows = torch.from_numpy(np.flatnonzero(row_conditions.kept))
        super().__init__(
            name,
            codec,
            lambda rows: codec.encode(pixels[rows.numpy()]),
            rows,
            held_out=share,
            seed=seed,
            notes=notes,
            offers=offers,
            row_conditions=row_conditions,
            unseen=unseen,
        )
        self.pixels = pixels
        self.warning = warning
        self.labels = labels
        self.classes = classes
        self._digest = digest

    def describe(self) -> str:
        """Say in one line what was found: count, height x width x channels, classes, split."""
        channels, height, width = self.codec.layout.shape
        parts = [f"{len(self.pixels):,} images of {height}x{width}x{channels} ({self.codec.mode})"]
        if self.classes:
            some = ", ".join(self.classes[:10]) + (", ..." if len(self.classes) > 10 else "")
            parts.append(f"{len(self.classes)} class{'es' if len(self.classes) > 1 else ''} ({some})")
        parts.append(f"{self.size:,} to train on, {self.num_held_out:,} held out")
        return f"{shown(self.name)}: {'; '.join(parts)}{self._describe_conditions()}"

    def fingerprint(self) -> str:
        """A digest of the pixels, their meaning, the labels and the images held out; the path does not enter."""
        if self._digest is None:
            hasher = hashlib.blake2b(digest_size=16)
            rows = max(1, _HASHED_BYTES // self.codec.layout.size)
            for start in range(0, len(self.pixels), rows):
                hasher.update(np.ascontiguousarray(self.pixels[start : start + rows]).data)
            self._digest = hasher.hexdigest()
        codec = self.codec
        # What is only for the way back does not enter, nor did it before there was such.
        seen = f"ImageCodec(mode={codec.mode!r}, height={codec.height}, width={codec.width}, kind={codec.kind!r})"
        hasher = hashlib.blake2b(f"{self._digest}|{self.pixels.shape}|{seen}|".encode(), digest_size=16)
        hasher.update(self._rows["held-out"].numpy().astype("<i8").tobytes())
        hasher.update(self._digest_of_conditions())
        if self.labels is not None:
            hasher.update(repr(self.classes).encode("utf-8", "surrogateescape"))
            hasher.update(np.ascontiguousarray(self.labels, dtype="<i8").data)
        return hasher.hexdigest()
