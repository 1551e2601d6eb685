"""Encoded images to write into folders, archives and databases."""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

Encode = Callable[..., bytes]


@pytest.fixture
def encode() -> Encode:
    """encode(number, mode, size, format): an encoded image of random pixels, with its number as the seed."""

    def encoded(
        number: int = 0, mode: str = "RGB", size: tuple[int, int] = (8, 8), format: str = "PNG", **options: object
    ) -> bytes:
        height, width = size
        rng = np.random.default_rng(number)
        channels = {"L": 1, "RGB": 3, "RGBA": 4}.get(mode, 3)
        pixels = rng.integers(0, 256, (height, width, channels), dtype=np.uint8)
        image = Image.fromarray(pixels[..., 0] if channels == 1 else pixels)
        if mode == "I;16":
            image = Image.fromarray(rng.integers(0, 65536, (height, width), dtype=np.uint16))
        elif mode not in ("L", "RGB", "RGBA"):
            image = image.convert(mode)
        buffer = io.BytesIO()
        image.save(buffer, format=format, **options)
        return buffer.getvalue()

    return encoded


@pytest.fixture
def folder(tmp_path: Path, encode: Encode) -> Path:
    """Four RGB images of 8x8, written in another order than that of their names."""
    place = tmp_path / "pictures"
    place.mkdir()
    for number in (3, 1, 0, 2):
        (place / f"{number}.png").write_bytes(encode(number))
    return place


@pytest.fixture
def bomb() -> bytes:
    """A PNG of 50,000 x 50,000 pixels in a few hundred kilobytes."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    rows = zlib.compress(bytes((50_000 // 8 + 1) * 50_000), 9)
    header = struct.pack(">IIBBBBB", 50_000, 50_000, 1, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")
