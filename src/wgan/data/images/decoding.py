"""From an encoded image to pixels of one declared mode and size; what is safe to decode is decided before decoding."""

from __future__ import annotations

import contextlib
import io
import math
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError

from wgan.data.images.ranges import asked_range, to_levels
from wgan.data.images.source import ImageCodec
from wgan.settings import DataOptions
from wgan.system.warning_filters import quiet

FORMATS = ("PNG", "JPEG", "WEBP", "BMP", "GIF", "TIFF", "PPM", "AVIF")
ENDINGS = frozenset(
    ".png .jpg .jpeg .jpe .jfif .webp .bmp .gif .tif .tiff .ppm .pgm .pbm .pnm .avif".split()  # noqa: SIM905 - a list to read
)
# Below the size at which Pillow itself begins to warn of decompression bombs.
MAX_PIXELS = 80_000_000
MAX_ENCODED_BYTES = 1 << 26
_LARGE_PIXELS = 10_000_000
_LARGEST_KEPT = 128
_SHORTER_SIDE = 64
_ORIENTATION = 0x0112
_SIXTEEN_BIT = ("I", "I;16", "I;16B", "I;16L", "I;16N")
WHITE_OF_16_BITS = 65_535
SIXTEEN_BIT = "16-bit grey"
BLACK_AND_WHITE = "black and white"
_WORDS = {
    "1": BLACK_AND_WHITE,
    "L": "grey",
    "LA": "grey with alpha",
    "P": "palette",
    "PA": "palette with alpha",
    **dict.fromkeys(_SIXTEEN_BIT, SIXTEEN_BIT),
}
_one_large_image = threading.Lock()


class BrokenImage(Exception):  # noqa: N818 - caught inside this folder, where it becomes a DataError or a skipped image
    """An encoded image that cannot or must not be decoded; its text says why."""


@dataclass(frozen=True, kw_only=True)
class Facts:
    """What the header of one image says.

    Attributes:
        mode: In words: "grey", "palette", "RGB".
        is_grey: It has one channel and no alpha.
        has_alpha: It has a transparent channel or colour.
        height: Rows, after rotation.
        width: Columns, after rotation.
        is_rotated: Its EXIF data ask for a rotation or a reflection.
    """

    mode: str
    is_grey: bool
    has_alpha: bool
    height: int
    width: int
    is_rotated: bool


@dataclass
class Survey:
    """What was seen in all images together, in memory that does not grow with their number."""

    modes: Counter[str] = field(default_factory=Counter)
    num_images: int = 0
    num_grey: int = 0
    num_alpha: int = 0
    num_rotated: int = 0
    heights: tuple[int, int] = (0, 0)
    widths: tuple[int, int] = (0, 0)

    def add(self, facts: Facts, count: int = 1) -> None:
        """Count images with these facts."""
        first = self.num_images == 0
        low, high = self.heights
        self.heights = (facts.height if first else min(low, facts.height), max(high, facts.height))
        low, high = self.widths
        self.widths = (facts.width if first else min(low, facts.width), max(high, facts.width))
        self.num_images += count
        self.modes[facts.mode] += count
        self.num_grey += count * facts.is_grey
        self.num_alpha += count * facts.has_alpha
        self.num_rotated += count * facts.is_rotated

    @property
    def common_size(self) -> tuple[int, int] | None:
        """Height and width where all images have the same, else None."""
        same = self.heights[0] == self.heights[1] and self.widths[0] == self.widths[1]
        return (self.heights[0], self.widths[0]) if same else None


@dataclass(frozen=True, kw_only=True)
class Policy:
    """What every image becomes.

    Attributes:
        mode: "L", "RGB" or "RGBA".
        height: Rows.
        width: Columns.
        fit: What happens to images of another aspect ratio.
        range: What is black and white, in the values of the files; None for all that their type has.
    """

    mode: Literal["L", "RGB", "RGBA"]
    height: int
    width: int
    fit: Literal["crop", "pad", "stretch"]
    range: tuple[float, float] | None = None

    @property
    def codec(self) -> ImageCodec:
        """The codec of the images that come out."""
        return ImageCodec(mode=self.mode, height=self.height, width=self.width)

    def apply(self, image: Image.Image) -> NDArray[np.uint8]:
        """Convert and scale one decoded image.

        Returns:
            Shape (channels, height, width), uint8.
        """
        return self.measured(image)[0]

    def measured(self, image: Image.Image) -> tuple[NDArray[np.uint8], tuple[float, float]]:
        """Convert and scale one decoded image; also its least and largest value before it was stretched."""
        levels, ends = _levels(image, self.range) if image.mode in _SIXTEEN_BIT else (image, None)
        converted = _converted(levels, self.mode)
        if self.range is not None and ends is None:
            values = np.asarray(converted)
            ends = float(values.min()), float(values.max())
            converted = Image.fromarray(to_levels(values, *self.range))
        pixels = np.asarray(_fitted(converted, self))
        pixels = pixels[None] if pixels.ndim == 2 else np.ascontiguousarray(pixels.transpose(2, 0, 1))
        colours = pixels[:3]
        return pixels, ends or (float(colours.min()), float(colours.max()))

    def note(self, survey: Survey) -> str:
        """Say in one line, with counts, what came and what became of it. Sizes are height x width."""
        came = ", ".join(f"{count:,} {mode}" for mode, count in survey.modes.most_common())
        becomes = {"L": "grey"}.get(self.mode, self.mode)
        parts = [came if list(survey.modes) == [becomes] else f"{came} -> {becomes}"]
        if survey.num_alpha and self.mode != "RGBA":
            parts.append(f"alpha of {survey.num_alpha:,} laid over white")
        if survey.num_rotated:
            parts.append(f"{survey.num_rotated:,} rotated by EXIF")
        parts.append(self._note_on_size(survey))
        return "; ".join(parts)

    def _note_on_size(self, survey: Survey) -> str:
        target = f"{self.height}x{self.width}"
        if survey.common_size == (self.height, self.width):
            return f"size {target}"
        if survey.common_size:
            text = f"size {survey.common_size[0]}x{survey.common_size[1]} -> {target}"
            if survey.common_size[0] * self.width == survey.common_size[1] * self.height:
                return text
        else:
            (low_height, high_height), (low_width, high_width) = survey.heights, survey.widths
            text = f"sizes {low_height}x{low_width} to {high_height}x{high_width} -> {target}"
        how = {"crop": "cut to the middle", "pad": "padded", "stretch": "stretched"}[self.fit]
        return f"{text}, {how}"


def resolve(survey: Survey, options: DataOptions) -> Policy:
    """Decide what every image becomes.

    Where the options leave it open: grey if all are grey, RGBA if all have alpha, else RGB with alpha laid over white;
    the size that all have if no side is above 128 pixels; if all have one larger size, that size scaled to 64 pixels on
    the shorter side, the longer one rounded to a multiple of 8; else 64x64.
    """
    height, width = options.size
    if (height, width) == (0, 0):
        height, width = _size_for(survey)
    mode = options.mode
    if mode == "auto":
        if survey.num_grey == survey.num_images:
            mode = "L"
        elif survey.num_alpha == survey.num_images:
            mode = "RGBA"
        else:
            mode = "RGB"
    return Policy(mode=mode, height=height, width=width, fit=options.fit, range=asked_range(options))


def _size_for(survey: Survey) -> tuple[int, int]:
    if survey.common_size is None:
        return _SHORTER_SIDE, _SHORTER_SIDE
    height, width = survey.common_size
    if max(height, width) <= _LARGEST_KEPT:
        return height, width

    def scaled(side: int) -> int:
        # A strip a thousand times as long as wide must not become a thousand times 64.
        exact = min(side * _SHORTER_SIDE / min(height, width), 8 * _SHORTER_SIDE)
        return max(8, round(exact / 8) * 8)

    return scaled(height), scaled(width)


def quiet_pillow() -> AbstractContextManager[None]:
    """Ignore Pillow's warnings within the block, for all threads. What is too large is refused without them."""
    return quiet(r"PIL\.")


def probe(encoded: bytes) -> Facts:
    """Read what the header says, without decoding a pixel.

    Raises:
        BrokenImage: It is not an image of the formats taken, or too large.
    """
    with _opened(encoded) as image:
        return _facts(image)


@dataclass(frozen=True, kw_only=True)
class Decoded:
    """A decoded image.

    Attributes:
        facts: What its header says.
        pixels: Shape (channels, height, width), uint8.
        low: The least value of its colours, in the file's own range.
        high: The largest.
    """

    facts: Facts
    pixels: NDArray[np.uint8]
    low: float
    high: float


def decode(encoded: bytes, policy: Policy) -> Decoded:
    """Decode one image.

    Raises:
        BrokenImage: It is not an image of the formats taken, is too large, or its data are damaged.
    """
    with _opened(encoded) as image:
        # Many threads each holding a very large image would together exceed the memory that one may take.
        alone = _one_large_image if image.width * image.height > _LARGE_PIXELS else contextlib.nullcontext()
        with alone:
            facts = _facts(image)
            try:
                _shrink_while_decoding(image, facts, policy)
                image.load()
                upright: Image.Image = image
                if _orientation(image) != 1:
                    upright = ImageOps.exif_transpose(image)
                pixels, (low, high) = policy.measured(upright)
                return Decoded(facts=facts, pixels=pixels, low=low, high=high)
            except BrokenImage:
                raise
            except Exception as error:
                # Decoders raise nearly anything on damaged input.
                raise BrokenImage(f"its data are damaged or truncated ({_one_line(error)})") from None


@contextlib.contextmanager
def _opened(encoded: bytes) -> Iterator[Image.Image]:
    too_large = f"an image may have at most {MAX_PIXELS:,} pixels"
    canvas = _webp_canvas(encoded)
    if canvas is not None and canvas[0] * canvas[1] > MAX_PIXELS:
        raise BrokenImage(f"{canvas[1]}x{canvas[0]} is too large: {too_large}")
    try:
        image = Image.open(io.BytesIO(encoded), formats=FORMATS)
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        raise BrokenImage(f"it is too large: {too_large}") from None
    except UnidentifiedImageError:
        raise BrokenImage(f"it is none of the formats that are read ({', '.join(FORMATS)})") from None
    except Exception as error:
        raise BrokenImage(f"its header is damaged ({_one_line(error)})") from None
    with image:
        if image.width * image.height > MAX_PIXELS:
            raise BrokenImage(f"{image.height}x{image.width} is too large: {too_large}")
        if image.mode == "F":
            raise BrokenImage("its pixels are floating-point numbers, whose black and white are not known")
        yield image


def _webp_canvas(encoded: bytes) -> tuple[int, int] | None:
    """Width and height of an extended or lossless WebP, whose decoder allocates its canvas already when opened."""
    if encoded[:4] != b"RIFF" or encoded[8:12] != b"WEBP" or len(encoded) < 30:
        return None
    if encoded[12:16] == b"VP8X":
        return 1 + int.from_bytes(encoded[24:27], "little"), 1 + int.from_bytes(encoded[27:30], "little")
    if encoded[12:16] == b"VP8L":
        bits = int.from_bytes(encoded[21:25], "little")
        return 1 + (bits & 0x3FFF), 1 + (bits >> 14 & 0x3FFF)
    if encoded[12:16] == b"VP8 ":
        return int.from_bytes(encoded[26:28], "little") & 0x3FFF, int.from_bytes(encoded[28:30], "little") & 0x3FFF
    return None


def _facts(image: Image.Image) -> Facts:
    orientation = _orientation(image)
    height, width = image.height, image.width
    # Pillow turns a TIFF by itself, and already states the size that it will have.
    if orientation >= 5 and image.format != "TIFF":
        height, width = width, height
    has_alpha = image.has_transparency_data
    mode = _WORDS.get(image.mode, image.mode)
    if has_alpha and "A" not in image.mode:
        mode += " with transparency"
    is_grey = image.mode in ("1", "L", *_SIXTEEN_BIT) and not has_alpha
    return Facts(
        mode=mode, is_grey=is_grey, has_alpha=has_alpha, height=height, width=width, is_rotated=orientation != 1
    )


def _orientation(image: Image.Image) -> int:
    # Asking a PNG without EXIF data before its pixels for them would decode it.
    if image.format == "PNG" and not {"exif", "Raw profile type exif"} & image.info.keys():
        return 1
    try:
        value = image.getexif().get(_ORIENTATION, 1)
    except Exception:  # damaged EXIF data spoil no pixel
        return 1
    return value if isinstance(value, int) and 1 <= value <= 8 else 1


def _shrink_while_decoding(image: Image.Image, facts: Facts, policy: Policy) -> None:
    """Let the JPEG decoder halve an image that will be at most a quarter as large anyway: it is far faster."""
    if image.format not in ("JPEG", "MPO") or image.mode not in ("L", "RGB"):
        return
    scale = 2 * max(policy.height / facts.height, policy.width / facts.width)
    if scale < 1:
        image.draft(image.mode, (math.ceil(image.width * scale), math.ceil(image.height * scale)))


def _levels(image: Image.Image, named: tuple[float, float] | None) -> tuple[Image.Image, tuple[float, float]]:
    """A 16-bit image in eight bits, and its least and largest value."""
    wide = np.asarray(image).astype(np.int64).clip(0, WHITE_OF_16_BITS)
    levels = ((wide + 128) // 257).astype(np.uint8) if named is None else to_levels(wide, *named)
    return Image.fromarray(levels), (float(wide.min()), float(wide.max()))


def _converted(image: Image.Image, mode: str) -> Image.Image:
    if image.has_transparency_data:
        image = image if image.mode == "RGBA" else image.convert("RGBA")
        if mode != "RGBA":
            paper = Image.new("RGBA", image.size, "white")
            paper.alpha_composite(image)
            image = paper.convert("RGB")
    elif image.mode not in ("L", "RGB", "1"):
        image = image.convert("RGB")
    return image if image.mode == mode else image.convert(mode)


def _fitted(image: Image.Image, policy: Policy) -> Image.Image:
    size = (policy.width, policy.height)
    if image.size == size:
        return image
    how = Image.Resampling.LANCZOS
    if policy.fit == "crop":
        return ImageOps.fit(image, size, method=how)
    if policy.fit == "pad":
        return ImageOps.pad(image, size, method=how)
    return image.resize(size, resample=how)


def _one_line(error: BaseException) -> str:
    text = str(error).splitlines()
    return text[0][:120] if text else type(error).__name__
