"""The conversion of every image of a data set to one mode, one size and one range of values."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass, field, replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

from wgan.data.images.codec import LEVELS, ImageCodec, to_levels
from wgan.errors import UsageError
from wgan.settings import DataOptions

SIXTEEN_BIT = "16-bit grey"
BLACK_AND_WHITE = "black and white"
_SIXTEEN_BIT_MODES = ("I", "I;16", "I;16B", "I;16L", "I;16N")
_MAX_16_BIT = 65_535
_MODE_NAMES = {
    "1": BLACK_AND_WHITE,
    "L": "grey",
    "LA": "grey with alpha",
    "P": "palette",
    "PA": "palette with alpha",
    **dict.fromkeys(_SIXTEEN_BIT_MODES, SIXTEEN_BIT),
}
_MAX_KEPT_SIDE = 128
_SHORTER_SIDE = 64


@dataclass(frozen=True, kw_only=True)
class Header:
    """The header of one image.

    Attributes:
        mode: In words: "grey", "palette", "RGB".
        is_grey: It has one channel and no alpha.
        has_alpha: It has a transparent channel or colour.
        height: Rows, after rotation.
        width: Columns, after rotation.
        is_rotated: Its EXIF data specify a rotation or a reflection.
    """

    mode: str
    is_grey: bool
    has_alpha: bool
    height: int
    width: int
    is_rotated: bool

    @classmethod
    def of(cls, image: Image.Image, orientation: int) -> Header:
        """The header of an opened image.

        Args:
            image: Opened by Pillow; its pixels need not be decoded.
            orientation: The EXIF orientation, 1 to 8.
        """
        height, width = image.height, image.width
        # Pillow rotates a TIFF itself, and reports the size after rotation.
        if orientation >= 5 and image.format != "TIFF":
            height, width = width, height
        has_alpha = image.has_transparency_data
        mode = _MODE_NAMES.get(image.mode, image.mode)
        if has_alpha and "A" not in image.mode:
            mode += " with transparency"
        return cls(
            mode=mode,
            is_grey=image.mode in ("1", "L", *_SIXTEEN_BIT_MODES) and not has_alpha,
            has_alpha=has_alpha,
            height=height,
            width=width,
            is_rotated=orientation != 1,
        )


@dataclass
class Survey:
    """Statistics of the headers of all images, in constant memory."""

    modes: Counter[str] = field(default_factory=Counter)
    num_images: int = 0
    num_grey: int = 0
    num_alpha: int = 0
    num_rotated: int = 0
    heights: tuple[int, int] = (0, 0)
    widths: tuple[int, int] = (0, 0)

    def add(self, header: Header, count: int = 1) -> None:
        """Count images with this header."""
        is_first = self.num_images == 0
        low, high = self.heights
        self.heights = (header.height if is_first else min(low, header.height), max(high, header.height))
        low, high = self.widths
        self.widths = (header.width if is_first else min(low, header.width), max(high, header.width))
        self.num_images += count
        self.modes[header.mode] += count
        self.num_grey += count * header.is_grey
        self.num_alpha += count * header.has_alpha
        self.num_rotated += count * header.is_rotated

    @property
    def common_size(self) -> tuple[int, int] | None:
        """Height and width if all images have the same, else None."""
        is_common = self.heights[0] == self.heights[1] and self.widths[0] == self.widths[1]
        return (self.heights[0], self.widths[0]) if is_common else None


@dataclass(frozen=True, kw_only=True)
class Conversion:
    """Mode, size and range that every image is converted to.

    Attributes:
        mode: "L", "RGB" or "RGBA".
        height: Rows.
        width: Columns.
        fit: How an image of another aspect ratio is fitted.
        range: Values of black and white in the files; None for the limits of their type.
    """

    mode: Literal["L", "RGB", "RGBA"]
    height: int
    width: int
    fit: Literal["crop", "pad", "stretch"]
    range: tuple[float, float] | None = None

    @property
    def codec(self) -> ImageCodec:
        """The codec of the converted images."""
        return ImageCodec(mode=self.mode, height=self.height, width=self.width)

    def convert(self, image: Image.Image) -> tuple[NDArray[np.uint8], tuple[float, float]]:
        """Convert and scale one decoded image.

        Returns:
            Pixels of shape (channels, height, width), uint8, and the least and largest value before stretching.
        """
        levels, limits = _levels(image, self.range) if image.mode in _SIXTEEN_BIT_MODES else (image, None)
        converted = _with_mode(levels, self.mode)
        if self.range is not None and limits is None:
            values = np.asarray(converted)
            limits = float(values.min()), float(values.max())
            converted = Image.fromarray(to_levels(values, *self.range))
        pixels = np.asarray(self._fitted(converted))
        pixels = pixels[None] if pixels.ndim == 2 else np.ascontiguousarray(pixels.transpose(2, 0, 1))
        colours = pixels[:3]
        return pixels, limits or (float(colours.min()), float(colours.max()))

    def _fitted(self, image: Image.Image) -> Image.Image:
        size, method = (self.width, self.height), Image.Resampling.LANCZOS
        if image.size == size:
            return image
        if self.fit == "crop":
            return ImageOps.fit(image, size, method=method)
        if self.fit == "pad":
            return ImageOps.pad(image, size, method=method)
        return image.resize(size, resample=method)

    def describe(self, survey: Survey) -> str:
        """The images before and after conversion, in one line with counts. Sizes are height x width."""
        found = ", ".join(f"{count:,} {mode}" for mode, count in survey.modes.most_common())
        mode = {"L": "grey"}.get(self.mode, self.mode)
        parts = [found if list(survey.modes) == [mode] else f"{found} -> {mode}"]
        if survey.num_alpha and self.mode != "RGBA":
            parts.append(f"alpha of {survey.num_alpha:,} laid over white")
        if survey.num_rotated:
            parts.append(f"{survey.num_rotated:,} rotated by EXIF")
        parts.append(self._describe_size(survey))
        return "; ".join(parts)

    def _describe_size(self, survey: Survey) -> str:
        target = f"{self.height}x{self.width}"
        if survey.common_size == (self.height, self.width):
            return f"size {target}"
        if survey.common_size:
            height, width = survey.common_size
            text = f"size {height}x{width} -> {target}"
            if height * self.width == width * self.height:
                return text
        else:
            (low_height, high_height), (low_width, high_width) = survey.heights, survey.widths
            text = f"sizes {low_height}x{low_width} to {high_height}x{high_width} -> {target}"
        method = {"crop": "cropped at the centre", "pad": "padded", "stretch": "stretched"}[self.fit]
        return f"{text}, {method}"


def conversion_for(survey: Survey, options: DataOptions) -> Conversion:
    """Choose the conversion of all images.

    Defaults: grey if all images are grey, RGBA if all have alpha, else RGB with alpha laid over white. The common size
        if no side is above 128 pixels. A larger common size is scaled to 64 pixels on the shorter side, with the longer
        one rounded to a multiple of 8. 64x64 if sizes differ.
    """
    height, width = options.size
    if (height, width) == (0, 0):
        height, width = _default_size(survey)
    mode = options.mode
    if mode == "auto":
        if survey.num_grey == survey.num_images:
            mode = "L"
        elif survey.num_alpha == survey.num_images:
            mode = "RGBA"
        else:
            mode = "RGB"
    return Conversion(mode=mode, height=height, width=width, fit=options.fit, range=range_of(options))


def _default_size(survey: Survey) -> tuple[int, int]:
    if survey.common_size is None:
        return _SHORTER_SIDE, _SHORTER_SIDE
    height, width = survey.common_size
    if max(height, width) <= _MAX_KEPT_SIDE:
        return height, width

    def scaled(side: int) -> int:
        # The longer side of very long strips is limited too.
        exact = min(side * _SHORTER_SIDE / min(height, width), 8 * _SHORTER_SIDE)
        return max(8, round(exact / 8) * 8)

    return scaled(height), scaled(width)


def _levels(image: Image.Image, limits: tuple[float, float] | None) -> tuple[Image.Image, tuple[float, float]]:
    """A 16-bit image in 8 bits, and its least and largest value."""
    values = np.asarray(image).astype(np.int64).clip(0, _MAX_16_BIT)
    levels = ((values + 128) // 257).astype(np.uint8) if limits is None else to_levels(values, *limits)
    return Image.fromarray(levels), (float(values.min()), float(values.max()))


def _with_mode(image: Image.Image, mode: str) -> Image.Image:
    if image.has_transparency_data:
        image = image if image.mode == "RGBA" else image.convert("RGBA")
        if mode != "RGBA":
            background = Image.new("RGBA", image.size, "white")
            background.alpha_composite(image)
            image = background.convert("RGB")
    elif image.mode not in ("L", "RGB", "1"):
        image = image.convert("RGB")
    return image if image.mode == mode else image.convert(mode)


def range_of(options: DataOptions) -> tuple[float, float] | None:
    """The values of black and white that the user gave; None if the type of the images decides."""
    return None if options.range == DataOptions().range else options.range


@dataclass
class ValueRange:
    """The least and the largest value of the images decoded so far.

    Attributes:
        limits: Values of black and white that the user gave, or None.
        low: The least value.
        high: The largest value.
        num_clipped: Images with values outside `limits`.
    """

    limits: tuple[float, float] | None
    low: float = math.inf
    high: float = -math.inf
    num_clipped: int = 0

    def add(self, low: float, high: float) -> None:
        """Count an image, given its least and largest value."""
        self.low, self.high = min(self.low, low), max(self.high, high)
        if self.limits is not None:
            self.num_clipped += low < self.limits[0] or high > self.limits[1]

    def note(self) -> str:
        """A note on the images that were clipped to `limits`; empty if there are none."""
        return "" if self.limits is None else clipping_note(self.num_clipped, *self.limits)

    def codec_for(self, codec: ImageCodec, survey: Survey) -> tuple[ImageCodec, str]:
        """The codec with the dtype and range of the files, and a note if the images use little of that range.

        Args:
            codec: Of the converted images.
            survey: Of the files.
        """
        dtype: np.dtype[np.generic] = np.dtype(np.uint8)
        white = LEVELS
        if set(survey.modes) == {SIXTEEN_BIT}:
            dtype, white = np.dtype(np.uint16), _MAX_16_BIT
        if set(survey.modes) == {BLACK_AND_WHITE}:
            return replace(codec, dtype=np.dtype(np.bool_), low=0.0, high=1.0), ""
        low, high = self.limits or (0.0, float(white))
        note = "" if self.limits else contrast_note(self.low, self.high, 0.0, white)
        return replace(codec, dtype=dtype, low=low, high=high), note


def check_range(survey: Survey, conversion: Conversion, name: str) -> None:
    """Refuse --range if it would mean different things for different images.

    Raises:
        UsageError: Some images have 16 bits and others 8; an alpha channel; black and white images only.
    """
    remedy = "Leave --range out, or convert the images to one type first."
    if SIXTEEN_BIT in survey.modes and len(survey.modes) > 1:
        raise UsageError(f"{name}: --range is given, but some images have 16 bits and others 8", remedy=remedy)
    if conversion.mode == "RGBA":
        raise UsageError(f"{name}: --range cannot be used with an alpha channel", remedy="Use --mode RGB too.")
    if set(survey.modes) == {BLACK_AND_WHITE}:
        raise UsageError(f"{name}: --range does not apply to black and white images", remedy="Leave it out.")


def contrast_note(low: float, high: float, black: float, white: float) -> str:
    """A note on images that use less than half of their range; empty if they use more.

    Args:
        low: The least value of all images.
        high: The largest value.
        black: The lower limit of their type.
        white: The upper limit.
    """
    if not 0 < high - low < (white - black) / 2:
        return ""
    used = f"{low:.6g} to {high:.6g}"
    return (
        f"pixels use {used} of {black:.6g} to {white:.6g}, and the networks see little contrast: "
        f"stretch them by --range {low:.6g} {high:.6g}"
    )


def clipping_note(num_clipped: int, low: float, high: float) -> str:
    """A note on images with values outside the range that the user gave; empty if there are none."""
    if not num_clipped:
        return ""
    images = "1 image has" if num_clipped == 1 else f"{num_clipped:,} images have"
    return f"{images} values outside {low:.6g} to {high:.6g}, which are clipped"
