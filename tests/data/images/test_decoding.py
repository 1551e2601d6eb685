from __future__ import annotations

import io
import struct
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from wgan.data.images import open_images
from wgan.data.images.conversion import Conversion
from wgan.data.images.decoding import BrokenImage, decode, header_of, quiet_pillow
from wgan.errors import DataError
from wgan.settings import DataOptions


def policy(mode="RGB", height=8, width=8, fit="crop"):
    return Conversion(mode=mode, height=height, width=width, fit=fit)


def saved(image: Image.Image, format: str = "PNG", **options) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, format=format, **options)
    return buffer.getvalue()


def pixels_of(image: Image.Image, mode: str, format: str = "PNG", **options) -> np.ndarray:
    wanted = policy(mode, image.height, image.width)
    return decode(saved(image, format, **options), wanted).pixels


@pytest.mark.parametrize("format", ["PNG", "JPEG", "WEBP", "BMP", "GIF", "TIFF", "PPM"])
def test_every_supported_format(encode, format):
    image = decode(encode(0, "RGB", (8, 12), format), policy(width=12))
    assert (image.header.height, image.header.width) == (8, 12)
    assert image.pixels.shape == (3, 8, 12)


@pytest.mark.parametrize(
    ("content", "name"),
    [
        (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 8 8\n", "eps.png"),
        (b"this is a text\n", "text.png"),
        (b"", "empty.png"),
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "drawing.png"),
    ],
)
def test_other_content_under_an_image_name_is_refused(folder, content, name):
    (folder / name).write_bytes(content)
    with pytest.raises(DataError, match=f"{name}: it is not in a known format"):
        open_images(folder, DataOptions(), seed=0, cache=None)


def test_a_decompression_bomb_is_refused_before_it_is_decoded(folder, bomb):
    (folder / "bomb.png").write_bytes(bomb)
    # A subprocess, since the peak of memory is that of the process.
    program = """
import resource, sys
from pathlib import Path
from wgan.data.images import open_images
from wgan.errors import DataError
from wgan.settings import DataOptions
peak = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
before = peak()
for options in (DataOptions(), DataOptions(mode="RGB", size=(8, 8))):
    try:
        open_images(sys.argv[1], options, seed=0, cache=None)
    except DataError as error:
        print(error.message)
print(peak() - before)
"""
    done = subprocess.run([sys.executable, "-c", program, str(folder)], capture_output=True, text=True, check=True)
    *messages, grown = done.stdout.splitlines()
    assert len(messages) == 2
    assert all("bomb.png: it is too large" in message for message in messages)
    assert int(grown) < 100e6


@pytest.mark.parametrize("kind", [b"VP8X", b"VP8L", b"VP8 "])
def test_a_webp_with_a_huge_canvas_is_refused_before_it_is_opened(kind):
    side = 16_383
    content = {
        b"VP8X": bytes(4) + (side - 1).to_bytes(3, "little") * 2,
        b"VP8L": b"\x2f" + ((side - 1) | (side - 1) << 14).to_bytes(4, "little") + bytes(20),
        b"VP8 ": bytes(3) + b"\x9d\x01\x2a" + struct.pack("<HH", side, side) + bytes(20),
    }[kind]
    body = b"WEBP" + kind + struct.pack("<I", len(content)) + content
    with pytest.raises(BrokenImage, match="16383x16383 is too large"):
        header_of(b"RIFF" + struct.pack("<I", len(body)) + body)


def test_a_decompression_bomb_that_pillow_only_warns_about_is_refused():
    header = b"P4\n9500 9500\n"
    with quiet_pillow(), pytest.raises(BrokenImage, match="too large"):
        header_of(header)


@pytest.mark.parametrize("format", ["PNG", "JPEG", "WEBP", "BMP", "GIF", "TIFF", "PPM"])
def test_a_truncated_image_is_broken(encode, format):
    content = encode(0, "RGB", (32, 32), format)
    with pytest.raises(BrokenImage, match="damaged"):
        decode(content[: len(content) // 2], policy(height=32, width=32))


def test_grey_becomes_colour_and_colour_grey():
    grey = Image.new("L", (2, 2), 77)
    assert pixels_of(grey, "RGB")[:, 0, 0].tolist() == [77, 77, 77]
    assert pixels_of(grey, "RGBA")[:, 0, 0].tolist() == [77, 77, 77, 255]
    assert pixels_of(Image.new("RGB", (2, 2), (100, 100, 100)), "L")[:, 0, 0].tolist() == [100]


def test_sixteen_bits_are_scaled_to_eight():
    wide = np.array([[0, 257, 32_896, 65_535]], np.uint16)
    assert pixels_of(Image.fromarray(wide), "L")[0, 0].tolist() == [0, 1, 128, 255]


def test_alpha_is_composited_over_white_or_kept():
    half = Image.new("RGBA", (1, 1), (0, 0, 0, 0))
    assert pixels_of(half, "RGB")[:, 0, 0].tolist() == [255, 255, 255]
    assert pixels_of(half, "L")[:, 0, 0].tolist() == [255]
    assert pixels_of(half, "RGBA")[:, 0, 0].tolist() == [0, 0, 0, 0]


def test_a_transparent_palette_entry_counts_as_alpha():
    image = Image.new("P", (1, 2))
    image.putpalette([255, 0, 0, 0, 0, 255])
    image.putdata([0, 1])
    content = saved(image, transparency=0)
    assert header_of(content).has_alpha
    assert decode(content, policy("RGB", 2, 1)).pixels[:, :, 0].T.tolist() == [[255, 255, 255], [0, 0, 255]]


def test_cmyk_and_black_and_white():
    assert pixels_of(Image.new("CMYK", (1, 1), (0, 0, 0, 255)), "RGB", "TIFF")[:, 0, 0].tolist() == [0, 0, 0]
    assert pixels_of(Image.new("1", (1, 1), 1), "L")[:, 0, 0].tolist() == [255]


def test_floating_point_pixels_are_refused():
    with pytest.raises(BrokenImage, match="floating-point"):
        header_of(saved(Image.new("F", (2, 2)), "TIFF"))


@pytest.mark.parametrize("format", ["JPEG", "PNG", "WEBP", "TIFF"])
def test_exif_rotation_is_applied(format):
    image = Image.new("RGB", (16, 8), "black")
    image.paste("white", (0, 0, 8, 8))  # the left half
    exif = Image.Exif()
    exif[0x0112] = 6  # rotate clockwise: the left half becomes the top
    content = saved(image, format, exif=exif)
    facts = header_of(content)
    assert facts.is_rotated
    assert (facts.height, facts.width) == (16, 8)
    pixels = decode(content, policy("L", 16, 8)).pixels[0]
    assert pixels[:7].min() > 240
    assert pixels[9:].max() < 15


def test_crop_pad_and_stretch():
    image = Image.new("RGB", (16, 8), "black")
    image.paste("white", (4, 0, 12, 8))  # the middle half
    content = saved(image)
    crop, pad, stretch = (decode(content, policy("L", 8, 8, fit)).pixels[0] for fit in ("crop", "pad", "stretch"))
    assert crop.min() == 255
    assert pad[:2].max() == 0
    assert pad[-2:].max() == 0
    assert stretch[:, 0].max() < 60
    assert stretch[:, 4].min() > 200


def test_a_large_jpeg_shrunk_while_decoding_looks_the_same():
    ramp = np.linspace(0, 255, 640).astype(np.uint8)
    image = Image.fromarray(np.broadcast_to(ramp[None, :, None], (480, 640, 3)).copy())
    shrunk = decode(saved(image, "JPEG", quality=95), policy(height=48, width=64)).pixels.astype(int)
    whole = decode(saved(image, "PNG"), policy(height=48, width=64)).pixels.astype(int)
    assert np.abs(shrunk - whole).max() <= 4


def test_a_mixed_folder_gets_one_conversion(tmp_path: Path, encode):
    exif = Image.Exif()
    exif[0x0112] = 6
    contents = {
        "grey.png": encode(1, "L", (30, 20)),
        "alpha.png": encode(2, "RGBA", (20, 30)),
        "palette.gif": encode(3, "P", (20, 20), "GIF"),
        "deep.png": encode(4, "I;16", (24, 20)),
        "print.jpg": encode(5, "CMYK", (20, 20), "JPEG"),
        "turned.jpg": encode(6, "RGB", (50, 20), "JPEG", exif=exif),
    }
    for name, content in contents.items():
        (tmp_path / name).write_bytes(content)
    source = open_images(tmp_path, DataOptions(), seed=0, cache=None)
    assert source.codec.layout.shape == (3, 64, 64)
    (note,) = source.notes
    for part in ("1 grey", "1 RGBA", "1 palette", "1 16-bit grey", "1 CMYK", "-> RGB", "alpha of 1 laid over white"):
        assert part in note
    assert "1 rotated by EXIF; sizes 20x20 to 30x50 -> 64x64, cropped at the centre" in note


@pytest.mark.parametrize(("mode", "expected"), [("L", "L"), ("RGBA", "RGBA"), ("RGB", "RGB"), ("I;16", "L")])
def test_the_mode_is_common_to_all_images(tmp_path, encode, mode, expected):
    for number in range(3):
        (tmp_path / f"{number}.png").write_bytes(encode(number, mode))
    assert open_images(tmp_path, DataOptions(), seed=0, cache=None).codec.mode == expected
