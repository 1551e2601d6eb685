"""Arrays of images: which axis is which, and how their numbers become eight-bit pixels."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from wgan.data.applying import spelt
from wgan.data.images.decoding import Facts, Policy, Survey, resolve
from wgan.data.images.naming import shown
from wgan.data.images.ranges import LEVELS, asked_range, note_on_cut, note_on_narrow, to_levels
from wgan.data.images.source import CHANNELS, Axes, ImageCodec
from wgan.errors import DataError, UsageError
from wgan.settings import DataOptions

_MODES: dict[int, str] = {channels: mode for mode, channels in CHANNELS.items()}
_BLOCK_BYTES = 1 << 24
_TAKEN = (
    "Taken: (N, H, W), (N, H, W, C) or (N, C, H, W) with 1, 3 or 4 channels; "
    "booleans, integers 0 to 255, floats in [0, 1] or [-1, 1], and any numbers under --range."
)


@dataclass(frozen=True, kw_only=True)
class Pixels:
    """An array of images as eight-bit pixels.

    Attributes:
        array: Shape (N, channels, height, width), uint8.
        codec: The way back to the dtype, range and axes that came.
        notes: What the user should be told.
        warning: The note that must be heard, or empty.
    """

    array: NDArray[np.uint8]
    codec: ImageCodec
    notes: tuple[str, ...]
    warning: str


def pixels_from_array(array: object, name: str, options: DataOptions) -> Pixels:
    """Find the axes and the range of an array of images, and bring it to the declared mode and size.

    Args:
        array: Shape (N, H, W), (N, H, W, C) or (N, C, H, W). A file mapping of uint8 stays one where nothing changes.
        name: As the user called it.
        options: The mode, size and range that are wanted.

    Returns:
        Pixels, what they are, and notes.

    Raises:
        DataError: Another rank, type, number of channels or range.
        UsageError: `fit`, where no image has to be fitted into another shape.
    """
    numbers = _numeric(array, name)
    stacked, axes, said = _channels_first(numbers, name)
    pixels, ends, notes = _eight_bit(stacked, name, options)
    mode = _MODES[pixels.shape[1]]
    survey = Survey()
    word = {"L": "grey"}.get(mode, mode)
    height, width = pixels.shape[2:]
    facts = Facts(
        mode=word, is_grey=mode == "L", has_alpha=mode == "RGBA", height=height, width=width, is_rotated=False
    )
    survey.add(facts, len(pixels))
    policy = resolve(survey, options)
    if options.fit != DataOptions().fit and height * policy.width == width * policy.height:
        target = f"{policy.height}x{policy.width}"
        becomes = "stay as they are" if target == f"{height}x{width}" else f"become {target} whole"
        raise UsageError(
            f"{shown(name)}: {spelt('fit', options.fit)} means nothing here: images of {height}x{width} {becomes}",
            remedy="Leave it out, or give a --size of another shape.",
        )
    if policy.codec.layout.shape != pixels.shape[1:]:
        pixels = _applied(pixels, mode, policy)
    codec = replace(
        policy.codec,
        dtype=numbers.dtype,
        low=ends.black,
        high=ends.white,
        # Images that came without an axis for the channel need one where they are to have several.
        axes=axes if axes != "NHW" or policy.mode == "L" else "NHWC",
    )
    narrow = "" if asked_range(options) else note_on_narrow(ends.low, ends.high, ends.black, ends.white)
    all_notes = tuple(note for note in (said, *notes, policy.note(survey), narrow) if note)
    return Pixels(array=pixels, codec=codec, notes=all_notes, warning=narrow)


def _numeric(array: object, name: str) -> NDArray[np.generic]:
    if not isinstance(array, np.ndarray):
        try:
            array = np.asarray(array)
        except ValueError as error:
            raise DataError(f"{shown(name)}: cannot be read as an array of images: {error}", remedy=_TAKEN) from None
    if array.dtype.kind not in "biuf":
        raise DataError(
            f"{shown(name)}: images of type {array.dtype} (shape {array.shape}) cannot be read", remedy=_TAKEN
        )
    if array.ndim not in (3, 4):
        raise DataError(
            f"{shown(name)}: images of rank {array.ndim} (shape {array.shape}) cannot be read", remedy=_TAKEN
        )
    if array.size == 0:
        raise DataError(f"{shown(name)}: the array of shape {array.shape} is empty", remedy=_TAKEN)
    return array


def _channels_first(array: NDArray[np.generic], name: str) -> tuple[NDArray[np.generic], Axes, str]:
    """Return a view of shape (N, C, H, W), the axes that came, and a note where they could be read in two ways."""
    if array.ndim == 3:
        return array[:, None], "NHW", ""
    first, last = array.shape[1] in _MODES, array.shape[3] in _MODES
    if not first and not last:
        raise DataError(
            f"{shown(name)}: shape {array.shape} has 1, 3 or 4 channels neither in its second nor in its last axis",
            remedy=_TAKEN,
        )
    said = f"shape {array.shape} read as (N, H, W, C): channels last" if first and last else ""
    return (array.transpose(0, 3, 1, 2), "NHWC", said) if last else (array, "NCHW", "")


class _Ends(NamedTuple):
    """The least and the largest value that occur, and those that are read as black and white."""

    low: float
    high: float
    black: float
    white: float


def _eight_bit(
    array: NDArray[np.generic], name: str, options: DataOptions
) -> tuple[NDArray[np.uint8], _Ends, tuple[str, ...]]:
    """Bring images of any real type to eight bits; also their range, and notes on it."""
    asked = asked_range(options)
    low, high = _range(array, name)
    if asked is None:
        black, white, note = _natural_range(array, low, high, name)
    else:
        black, white = asked
        note = f"{array.dtype} from {low:.6g} to {high:.6g} read as {black:.6g} to {white:.6g}"
    ends = _Ends(low, high, black, white)
    if array.dtype == np.uint8 and (black, white) == (0, LEVELS):
        return array.astype(np.uint8, copy=False), ends, (note,)
    pixels = np.empty(array.shape, np.uint8)
    num_cut = 0
    for rows in _blocks(array):
        pixels[rows] = to_levels(array[rows], black, white)
        if low < black or high > white:
            block: NDArray[Any] = array[rows]
            beyond = (block < black) | (block > white)
            num_cut += int(beyond.reshape(len(beyond), -1).any(axis=1).sum())
    return pixels, ends, (note, note_on_cut(num_cut, black, white))


def _natural_range(array: NDArray[np.generic], low: float, high: float, name: str) -> tuple[float, float, str]:
    """What is black and white in images of this type, and a note on it.

    Raises:
        DataError: There are values beyond it.
    """
    if array.dtype.kind == "b":
        return 0.0, 1.0, ""
    stretch = f"Use --range {low:.6g} {high:.6g} to read the least value as black and the largest as white. {_TAKEN}"
    if array.dtype.kind in "iu":
        if low < 0 or high > LEVELS:
            raise DataError(
                f"{shown(name)}: {array.dtype} images range from {low:,.0f} to {high:,.0f}, wanted 0 to 255",
                remedy=stretch,
            )
        note = "" if array.dtype == np.uint8 else f"{array.dtype} from {low:.0f} to {high:.0f} read as 0 to 255"
        return 0.0, float(LEVELS), note
    if low >= 0 and high <= 1:
        return 0.0, 1.0, f"{array.dtype} read as [0, 1], rounded to 8 bits"
    if low >= -1 and high <= 1:
        return -1.0, 1.0, f"{array.dtype} read as [-1, 1], rounded to 8 bits"
    raise DataError(
        f"{shown(name)}: {array.dtype} images range from {low:.6g} to {high:.6g}, wanted [0, 1] or [-1, 1]",
        remedy="If they are 0 to 255, use --range 0 255. " + stretch,
    )


def _range(array: NDArray[np.generic], name: str) -> tuple[float, float]:
    lows, highs = [], []
    for rows in _blocks(array):
        block = array[rows]
        low, high = block.min(), block.max()
        # A minimum is NaN where any entry is: one look finds both kinds of numbers that are not finite.
        if not (np.isfinite(low) and np.isfinite(high)):
            image = rows.start + int(np.argwhere(~np.isfinite(block))[0][0])
            raise DataError(
                f"{shown(name)}: image {image + 1:,} holds NaN or infinity",
                remedy="Leave such images out, or repair them.",
            )
        lows.append(float(low))
        highs.append(float(high))
    return min(lows), max(highs)


def _blocks(array: NDArray[np.generic]) -> list[slice]:
    rows = max(1, _BLOCK_BYTES // max(1, array[0].nbytes))
    return [slice(start, start + rows) for start in range(0, len(array), rows)]


def _applied(pixels: NDArray[np.uint8], mode: str, policy: Policy) -> NDArray[np.uint8]:
    result = np.empty((len(pixels), *policy.codec.layout.shape), np.uint8)
    for row, image in enumerate(pixels):
        shown = image[0] if mode == "L" else np.ascontiguousarray(image.transpose(1, 2, 0))
        result[row] = policy.apply(Image.fromarray(np.ascontiguousarray(shown)))
    return result
