"""Decode one encoded image safely: formats, size limits, EXIF orientation."""

from __future__ import annotations

import contextlib
import io
import math
import threading
from collections.abc import Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError

from wgan.data.images.conversion import Conversion, Header
from wgan.system.warning_filters import quiet

ENCODINGS: dict[str, tuple[str, ...]] = {
    "PNG": (".png",),
    "JPEG": (".jpg", ".jpeg", ".jpe", ".jfif"),
    "WEBP": (".webp",),
    "BMP": (".bmp",),
    "GIF": (".gif",),
    "TIFF": (".tif", ".tiff"),
    "PPM": (".ppm", ".pgm", ".pbm", ".pnm"),
    "AVIF": (".avif",),
}
"""Pillow's names of the formats that are decoded, with the endings of their files, the usual one first."""

ENDINGS = frozenset(ending for endings in ENCODINGS.values() for ending in endings)
# Below the size at which Pillow itself warns of decompression bombs.
MAX_PIXELS = 80_000_000
MAX_ENCODED_BYTES = 1 << 26
_LARGE_PIXELS = 10_000_000
_ORIENTATION_TAG = 0x0112
_large_image_lock = threading.Lock()


class BrokenImage(Exception):  # noqa: N818 - only used in this package: becomes a DataError or a skipped image
    """An encoded image that cannot be decoded; its text is the reason."""


def quiet_pillow() -> AbstractContextManager[None]:
    """Ignore Pillow's warnings within the block, in all threads. Images that are too large raise an error instead."""
    return quiet(r"PIL\.")


def header_of(encoded: bytes) -> Header:
    """Read the header of an image without decoding its pixels.

    Raises:
        BrokenImage: It is not an image in one of `ENCODINGS`, or too large.
    """
    with _opened(encoded) as image:
        return Header.of(image, _orientation(image))


@dataclass(frozen=True, kw_only=True)
class DecodedImage:
    """A decoded image.

    Attributes:
        header: Its header.
        pixels: Shape (channels, height, width), uint8.
        low: The least value of its colours, in the range of the file.
        high: The largest value.
    """

    header: Header
    pixels: NDArray[np.uint8]
    low: float
    high: float


def decode(encoded: bytes, conversion: Conversion) -> DecodedImage:
    """Decode and convert one image.

    Raises:
        BrokenImage: It is not an image in one of `ENCODINGS`, is too large, or its data are damaged.
    """
    with _opened(encoded) as image:
        # Several threads that each decode a very large image would exceed the memory limit of one image.
        is_large = image.width * image.height > _LARGE_PIXELS
        with _large_image_lock if is_large else contextlib.nullcontext():
            header = Header.of(image, _orientation(image))
            try:
                _use_draft_mode(image, header, conversion)
                image.load()
                upright: Image.Image = image
                if _orientation(image) != 1:
                    upright = ImageOps.exif_transpose(image)
                pixels, (low, high) = conversion.convert(upright)
                return DecodedImage(header=header, pixels=pixels, low=low, high=high)
            except BrokenImage:
                raise
            except Exception as error:
                # Decoders raise almost any exception on damaged input.
                raise BrokenImage(f"its data are damaged or truncated ({_one_line(error)})") from None


@contextlib.contextmanager
def _opened(encoded: bytes) -> Iterator[Image.Image]:
    too_large = f"an image may have at most {MAX_PIXELS:,} pixels"
    canvas = _webp_canvas(encoded)
    if canvas is not None and canvas[0] * canvas[1] > MAX_PIXELS:
        raise BrokenImage(f"{canvas[1]}x{canvas[0]} is too large: {too_large}")
    try:
        image = Image.open(io.BytesIO(encoded), formats=tuple(ENCODINGS))
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        raise BrokenImage(f"it is too large: {too_large}") from None
    except UnidentifiedImageError:
        raise BrokenImage(f"it is not in a known format ({', '.join(ENCODINGS)})") from None
    except Exception as error:
        raise BrokenImage(f"its header is damaged ({_one_line(error)})") from None
    with image:
        if image.width * image.height > MAX_PIXELS:
            raise BrokenImage(f"{image.height}x{image.width} is too large: {too_large}")
        if image.mode == "F":
            raise BrokenImage("its pixels are floating-point numbers, whose range is not known")
        yield image


def _webp_canvas(encoded: bytes) -> tuple[int, int] | None:
    """Width and height of a WebP. Pillow's decoder allocates the whole canvas when it opens the file."""
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


def _orientation(image: Image.Image) -> int:
    # `getexif` decodes a whole PNG to look for EXIF data after the pixels.
    if image.format == "PNG" and not {"exif", "Raw profile type exif"} & image.info.keys():
        return 1
    try:
        value = image.getexif().get(_ORIENTATION_TAG, 1)
    except Exception:  # damaged EXIF data do not affect the pixels
        return 1
    return value if isinstance(value, int) and 1 <= value <= 8 else 1


def _use_draft_mode(image: Image.Image, header: Header, conversion: Conversion) -> None:
    """Let the JPEG decoder downscale images that become much smaller anyway, which is much faster."""
    if image.format not in ("JPEG", "MPO") or image.mode not in ("L", "RGB"):
        return
    scale = 2 * max(conversion.height / header.height, conversion.width / header.width)
    if scale < 1:
        image.draft(image.mode, (math.ceil(image.width * scale), math.ceil(image.height * scale)))


def _one_line(error: BaseException) -> str:
    text = str(error).splitlines()
    return text[0][:120] if text else type(error).__name__
