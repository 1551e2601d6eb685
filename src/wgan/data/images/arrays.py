"""Arrays of images: find their axes and range, and convert them to 8-bit pixels."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from wgan.data.images.codec import CHANNELS, LEVELS, Axes, ImageCodec, to_levels
from wgan.data.images.conversion import (
    Conversion,
    Header,
    Survey,
    clipping_note,
    contrast_note,
    conversion_for,
    range_of,
)
from wgan.data.options import option_text
from wgan.errors import DataError, UsageError
from wgan.settings import DataOptions
from wgan.system.text import escaped

_MODES: dict[int, str] = {channels: mode for mode, channels in CHANNELS.items()}
_BLOCK_BYTES = 1 << 24
_SUPPORTED = (
    "Supported: (N, H, W), (N, H, W, C) or (N, C, H, W) with 1, 3 or 4 channels; "
    "booleans, integers 0 to 255, floats in [0, 1] or [-1, 1], and any numbers under --range."
)


@dataclass(frozen=True, kw_only=True)
class Pixels:
    """An array of images as 8-bit pixels.

    Attributes:
        array: Shape (N, channels, height, width), uint8.
        codec: The map back to the dtype, range and axes of the array.
        notes: Notes for the user.
        warning: The note that is issued as a warning too, or empty.
    """

    array: NDArray[np.uint8]
    codec: ImageCodec
    notes: tuple[str, ...]
    warning: str


def pixels_from_array(array: object, name: str, options: DataOptions) -> Pixels:
    """Find the axes and the range of an array of images, and convert it to the mode and size of the options.

    Args:
        array: Shape (N, H, W), (N, H, W, C) or (N, C, H, W). A memory map of uint8 stays one if nothing is converted.
        name: As the user called it.
        options: Mode, size and range.

    Returns:
        The pixels with their codec and notes.

    Raises:
        DataError: An unsupported rank, dtype, number of channels or range.
        UsageError: `fit` is given, but the aspect ratio does not change.
    """
    numbers = _numeric(array, name)
    stacked, axes, axes_note = _channels_first(numbers, name)
    pixels, values, notes = _eight_bit(stacked, name, options)
    mode = _MODES[pixels.shape[1]]
    height, width = pixels.shape[2:]
    header = Header(
        mode={"L": "grey"}.get(mode, mode),
        is_grey=mode == "L",
        has_alpha=mode == "RGBA",
        height=height,
        width=width,
        is_rotated=False,
    )
    survey = Survey()
    survey.add(header, len(pixels))
    conversion = conversion_for(survey, options)
    if options.fit != DataOptions().fit and height * conversion.width == width * conversion.height:
        target = f"{conversion.height}x{conversion.width}"
        result = "stay as they are" if target == f"{height}x{width}" else f"are scaled to {target}"
        raise UsageError(
            f"{escaped(name)}: {option_text('fit', options.fit)} has no effect: images of {height}x{width} {result}",
            remedy="Leave it out, or give a --size with another aspect ratio.",
        )
    if conversion.codec.layout.shape != pixels.shape[1:]:
        pixels = _converted(pixels, mode, conversion)
    codec = replace(
        conversion.codec,
        dtype=numbers.dtype,
        low=values.black,
        high=values.white,
        # Several channels need an axis even if the array has none.
        axes=axes if axes != "NHW" or conversion.mode == "L" else "NHWC",
    )
    warning = "" if range_of(options) else contrast_note(values.low, values.high, values.black, values.white)
    all_notes = tuple(note for note in (axes_note, *notes, conversion.describe(survey), warning) if note)
    return Pixels(array=pixels, codec=codec, notes=all_notes, warning=warning)


def _numeric(array: object, name: str) -> NDArray[np.generic]:
    if not isinstance(array, np.ndarray):
        try:
            array = np.asarray(array)
        except ValueError as error:
            raise DataError(
                f"{escaped(name)}: cannot be read as an array of images: {error}", remedy=_SUPPORTED
            ) from None
    if array.dtype.kind not in "biuf":
        raise DataError(
            f"{escaped(name)}: images of type {array.dtype} (shape {array.shape}) cannot be read", remedy=_SUPPORTED
        )
    if array.ndim not in (3, 4):
        raise DataError(
            f"{escaped(name)}: images of rank {array.ndim} (shape {array.shape}) cannot be read", remedy=_SUPPORTED
        )
    if array.size == 0:
        raise DataError(f"{escaped(name)}: the array of shape {array.shape} is empty", remedy=_SUPPORTED)
    return array


def _channels_first(array: NDArray[np.generic], name: str) -> tuple[NDArray[np.generic], Axes, str]:
    """Return a view of shape (N, C, H, W), the axes of the array, and a note if they are ambiguous."""
    if array.ndim == 3:
        return array[:, None], "NHW", ""
    first, last = array.shape[1] in _MODES, array.shape[3] in _MODES
    if not first and not last:
        raise DataError(
            f"{escaped(name)}: shape {array.shape} has 1, 3 or 4 channels neither in its second nor in its last axis",
            remedy=_SUPPORTED,
        )
    note = f"shape {array.shape} read as (N, H, W, C): channels last" if first and last else ""
    return (array.transpose(0, 3, 1, 2), "NHWC", note) if last else (array, "NCHW", "")


class _ValueLimits(NamedTuple):
    """The least and the largest value, and the values of black and white."""

    low: float
    high: float
    black: float
    white: float


def _eight_bit(
    array: NDArray[np.generic], name: str, options: DataOptions
) -> tuple[NDArray[np.uint8], _ValueLimits, tuple[str, ...]]:
    """Convert images of any real dtype to 8 bits; also returns their range, and notes on it."""
    given = range_of(options)
    low, high = _range(array, name)
    if given is None:
        black, white, note = _natural_range(array, low, high, name)
    else:
        black, white = given
        note = f"{array.dtype} from {low:.6g} to {high:.6g} read as {black:.6g} to {white:.6g}"
    ends = _ValueLimits(low, high, black, white)
    if array.dtype == np.uint8 and (black, white) == (0, LEVELS):
        return array.astype(np.uint8, copy=False), ends, (note,)
    pixels = np.empty(array.shape, np.uint8)
    num_clipped = 0
    for rows in _blocks(array):
        pixels[rows] = to_levels(array[rows], black, white)
        if low < black or high > white:
            block: NDArray[Any] = array[rows]
            is_outside = (block < black) | (block > white)
            num_clipped += int(is_outside.reshape(len(is_outside), -1).any(axis=1).sum())
    return pixels, ends, (note, clipping_note(num_clipped, black, white))


def _natural_range(array: NDArray[np.generic], low: float, high: float, name: str) -> tuple[float, float, str]:
    """The values of black and white for images of this dtype, and a note on them.

    Raises:
        DataError: There are values outside.
    """
    if array.dtype.kind == "b":
        return 0.0, 1.0, ""
    stretch = (
        f"Use --range {low:.6g} {high:.6g} to read the least value as black and the largest as white. {_SUPPORTED}"
    )
    if array.dtype.kind in "iu":
        if low < 0 or high > LEVELS:
            raise DataError(
                f"{escaped(name)}: {array.dtype} images range from {low:,.0f} to {high:,.0f}, wanted 0 to 255",
                remedy=stretch,
            )
        note = "" if array.dtype == np.uint8 else f"{array.dtype} from {low:.0f} to {high:.0f} read as 0 to 255"
        return 0.0, float(LEVELS), note
    if low >= 0 and high <= 1:
        return 0.0, 1.0, f"{array.dtype} read as [0, 1], rounded to 8 bits"
    if low >= -1 and high <= 1:
        return -1.0, 1.0, f"{array.dtype} read as [-1, 1], rounded to 8 bits"
    raise DataError(
        f"{escaped(name)}: {array.dtype} images range from {low:.6g} to {high:.6g}, wanted [0, 1] or [-1, 1]",
        remedy="If they are 0 to 255, use --range 0 255. " + stretch,
    )


def _range(array: NDArray[np.generic], name: str) -> tuple[float, float]:
    lows, highs = [], []
    for rows in _blocks(array):
        block = array[rows]
        low, high = block.min(), block.max()
        # A minimum is NaN if any entry is.
        if not (np.isfinite(low) and np.isfinite(high)):
            image = rows.start + int(np.argwhere(~np.isfinite(block))[0][0])
            raise DataError(
                f"{escaped(name)}: image {image + 1:,} holds NaN or infinity",
                remedy="Leave such images out, or repair them.",
            )
        lows.append(float(low))
        highs.append(float(high))
    return min(lows), max(highs)


def _blocks(array: NDArray[np.generic]) -> list[slice]:
    rows = max(1, _BLOCK_BYTES // max(1, array[0].nbytes))
    return [slice(start, start + rows) for start in range(0, len(array), rows)]


def _converted(pixels: NDArray[np.uint8], mode: str, conversion: Conversion) -> NDArray[np.uint8]:
    result = np.empty((len(pixels), *conversion.codec.layout.shape), np.uint8)
    for row, image in enumerate(pixels):
        channels_last = image[0] if mode == "L" else image.transpose(1, 2, 0)
        result[row], _ = conversion.convert(Image.fromarray(np.ascontiguousarray(channels_last)))
    return result
