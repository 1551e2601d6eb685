"""Arrays of images: which axis is which, and how their numbers become eight-bit pixels."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from wgan.data.applying import spelt
from wgan.data.images.decoding import Facts, Policy, Survey, resolve
from wgan.data.images.naming import shown
from wgan.data.images.source import CHANNELS
from wgan.errors import DataError, UsageError
from wgan.settings import DataOptions

_MODES: dict[int, str] = {channels: mode for mode, channels in CHANNELS.items()}
_BLOCK_BYTES = 1 << 24
_TAKEN = (
    "Taken: (N, H, W), (N, H, W, C) or (N, C, H, W) with 1, 3 or 4 channels; "
    "integers 0 to 255, floats in [0, 1] or [-1, 1]."
)


def pixels_from_array(
    array: object, name: str, options: DataOptions
) -> tuple[NDArray[np.uint8], Policy, tuple[str, ...]]:
    """Find the axes and the range of an array of images, and bring it to the declared mode and size.

    Args:
        array: Shape (N, H, W), (N, H, W, C) or (N, C, H, W). A file mapping of uint8 stays one where nothing changes.
        name: As the user called it.
        options: The mode and size that are wanted.

    Returns:
        Pixels (N, channels, height, width), what they became, and notes.

    Raises:
        DataError: Another rank, type, number of channels or range.
        UsageError: `fit`, where no image has to be fitted into another shape.
    """
    numbers = _numeric(array, name)
    stacked, axes = _channels_first(numbers, name)
    pixels, scale = _eight_bit(stacked, name)
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
    notes = [note for note in (axes, scale) if note]
    return pixels, policy, (*notes, policy.note(survey))


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


def _channels_first(array: NDArray[np.generic], name: str) -> tuple[NDArray[np.generic], str]:
    """Return a view of shape (N, C, H, W), and a note where the axes could have been read in two ways."""
    if array.ndim == 3:
        return array[:, None], ""
    first, last = array.shape[1] in _MODES, array.shape[3] in _MODES
    if not first and not last:
        raise DataError(
            f"{shown(name)}: shape {array.shape} has 1, 3 or 4 channels neither in its second nor in its last axis",
            remedy=_TAKEN,
        )
    if first and last:
        return array.transpose(0, 3, 1, 2), f"shape {array.shape} read as (N, H, W, C): channels last"
    return (array.transpose(0, 3, 1, 2) if last else array), ""


def _eight_bit(array: NDArray[np.generic], name: str) -> tuple[NDArray[np.uint8], str]:
    if array.dtype == np.uint8:
        return array.astype(np.uint8, copy=False), ""
    low, high = _range(array, name)
    if array.dtype.kind in "iu":
        if low < 0 or high > 255:
            raise DataError(
                f"{shown(name)}: {array.dtype} images range from {low:,.0f} to {high:,.0f}, wanted 0 to 255",
                remedy=_TAKEN,
            )
        factor, shift, note = 1.0, 0.0, f"{array.dtype} from {low:.0f} to {high:.0f} read as 0 to 255"
    elif low >= 0 and high <= 1:
        factor, shift, note = 255.0, 0.0, f"{array.dtype} read as [0, 1], rounded to 8 bits"
    elif low >= -1 and high <= 1:
        factor, shift, note = 127.5, 127.5, f"{array.dtype} read as [-1, 1], rounded to 8 bits"
    else:
        raise DataError(
            f"{shown(name)}: {array.dtype} images range from {low:.6g} to {high:.6g}, wanted [0, 1] or [-1, 1]",
            remedy="If they are 0 to 255, divide by 255 first.",
        )
    pixels = np.empty(array.shape, np.uint8)
    for rows in _blocks(array):
        pixels[rows] = np.rint(array[rows].astype(np.float64) * factor + shift)
    return pixels, note


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
