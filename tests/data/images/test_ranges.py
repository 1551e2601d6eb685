"""Images that use little of the range of their type, and round trips of dtype, range and axes."""

from __future__ import annotations

import hashlib
import json
import re

import numpy as np
import pytest
import torch
from PIL import Image

from wgan.data import codec_from_state, open_data
from wgan.data.images import images_from_array, open_images
from wgan.errors import CheckpointError, DataError, UsageError
from wgan.settings import DataOptions

SHADES = np.arange(16 * 16).reshape(16, 16)


def open_array(array, **options):
    return images_from_array(array, None, "x.npy", DataOptions(held_out=0.0, **options), 0)


def back(source):
    """All images, encoded and restored by a codec that was stored and read."""
    codec = codec_from_state(json.loads(json.dumps(source.codec.state())))
    return codec.restore(source.codec.encode(source.pixels))


BYTES = np.random.default_rng(0).integers(0, 256, (6, 3, 5, 7), np.uint8)


@pytest.mark.parametrize("axes", [(0, 1, 2, 3), (0, 2, 3, 1)], ids=["channels first", "channels last"])
@pytest.mark.parametrize(
    "array",
    [
        BYTES,
        BYTES.astype(np.int64),
        BYTES.astype(">i2"),
        (BYTES / 255).astype(np.float32),
        (BYTES / 255).astype(">f8"),
        (BYTES / 127.5 - 1).astype(np.longdouble),
        BYTES > 99,
    ],
    ids=lambda array: array.dtype.str,
)
def test_dtype_range_and_axes_of_arrays_round_trip(array, axes):
    array = np.ascontiguousarray(array.transpose(axes))
    restored = back(open_array(array))
    assert restored.dtype == array.dtype
    assert restored.dtype.byteorder == array.dtype.byteorder
    np.testing.assert_allclose(restored, array, atol=1e-6)
    grey = array[..., 0]
    np.testing.assert_allclose(back(open_array(grey)), grey, atol=1e-6)


def test_the_threshold_of_booleans_is_zero():
    source = open_array(np.arange(2 * 4 * 4).reshape(2, 4, 4) % 8 == 0)
    assert source.sample(2, torch.Generator().manual_seed(0)).values.unique().tolist() == [-1, 1]
    values = torch.tensor([-1.0, -0.3, 0.3, 1.0]).repeat(4).view(1, 1, 4, 4)
    assert source.codec.restore(values)[0, 0].tolist() == [False, False, True, True]


@pytest.mark.parametrize(
    ("array", "named"),
    [
        (SHADES[None].repeat(3, 0).astype(np.uint8) % 2, "0 to 1 of 0 to 255.*--range 0 1"),
        (SHADES[None].repeat(3, 0).astype(np.int64) % 100 + 20, "20 to 119 of 0 to 255.*--range 20 119"),
        (SHADES[None].repeat(3, 0) / 1000, r"0 to 0.255 of 0 to 1.*--range 0 0.255"),
    ],
)
def test_little_contrast_is_noted_and_stretched_on_request(array, named):
    source = open_array(array)
    assert source.warning in source.notes
    assert re.search(named, source.warning)
    low, high = float(array.min()), float(array.max())
    stretched = open_array(array, range=(low, high))
    assert not stretched.warning
    assert (stretched.pixels.min(), stretched.pixels.max()) == (0, 255)
    restored = back(stretched)
    assert restored.dtype == array.dtype
    np.testing.assert_allclose(restored, array, atol=(high - low) / 500 if array.dtype.kind == "f" else 0)


def test_enough_contrast_is_not_noted():
    assert not open_array(SHADES[None].repeat(3, 0).astype(np.uint8) // 2 * 2).warning
    assert not open_array(SHADES[None].repeat(3, 0) > 9).warning


@pytest.mark.parametrize(
    "array",
    [SHADES[None].repeat(3, 0).astype(np.int16) * 40 - 1000, SHADES[None].repeat(3, 0) * 40.5 - 1000],
    ids=["int16", "float64"],
)
def test_any_numbers_are_accepted_with_a_range(array):
    with pytest.raises(DataError, match=r"range from -1,?000 to .*\n(.*)range=\(-1000, "):
        open_array(array)
    high = float(array.max())
    restored = back(open_array(array, range=(-1000.0, high)))
    assert restored.dtype == array.dtype
    assert np.abs(restored - array).max() <= (high + 1000) / 255 / 2 + 0.5
    source = open_array(array, range=(-1000.0, 400.0))
    assert "3 images have values outside -1000 to 400, which are clipped" in source.notes
    assert back(source).max() == 400


def test_state_of_another_form_is_refused():
    state = open_array(BYTES / 255).codec.state()
    for wrong in ({}, {"dtype": "O"}, {"low": 5.0}, {"axes": "HWN"}, {"high": float("inf")}, {"dtype": "(("}):
        given = {**state["given"], **wrong} if wrong else {}
        with pytest.raises(CheckpointError, match="image codec"):
            codec_from_state({**state, "given": given})


def written(folder, images, **options):
    for number, image in enumerate(images):
        Image.fromarray(image).save(folder / f"{number}.png")
    return open_images(folder, DataOptions(held_out=0.0, **options), seed=0, cache=None)


TWELVE_BITS = [np.roll(SHADES * 16, number, 1).astype(np.uint16) for number in range(3)]


def test_twelve_bits_in_files_of_sixteen(tmp_path):
    source = written(tmp_path, TWELVE_BITS)
    assert source.warning == (
        "pixels use 0 to 4080 of 0 to 65535, and the networks see little contrast: stretch them by --range 0 4080"
    )
    stretched = open_images(tmp_path, DataOptions(held_out=0.0, range=(0.0, 4080.0)), seed=0, cache=tmp_path / "cache")
    assert not stretched.warning
    np.testing.assert_array_equal(stretched.pixels[0, 0], SHADES)
    again = open_images(tmp_path, DataOptions(held_out=0.0, range=(0.0, 4080.0)), seed=0, cache=tmp_path / "cache")
    assert again.codec == stretched.codec
    restored = stretched.codec.files(stretched.codec.encode(stretched.pixels))
    assert restored.dtype == np.uint16
    np.testing.assert_array_equal(restored[..., 0], TWELVE_BITS)
    cut = open_images(tmp_path, DataOptions(range=(0.0, 2000.0)), seed=0, cache=None)
    assert "3 images have values outside 0 to 2000, which are clipped" in cut.notes


def test_eight_bits_in_files_are_stretched_too(tmp_path):
    dark = [(np.roll(SHADES, number, 1) // 4).astype(np.uint8) for number in range(3)]
    source = written(tmp_path, dark)
    assert source.warning.endswith("--range 0 63")
    stretched = open_images(tmp_path, DataOptions(held_out=0.0, range=(0.0, 63.0)), seed=0, cache=None)
    assert stretched.pixels.max() == 255
    np.testing.assert_array_equal(stretched.codec.restore(stretched.codec.encode(stretched.pixels))[..., 0], dark)


def test_black_and_white_files_round_trip(tmp_path):
    source = written(tmp_path, [SHADES % number == 0 for number in (2, 3, 5)])
    restored = source.codec.files(source.codec.encode(source.pixels))
    assert restored.dtype == bool
    np.testing.assert_array_equal(restored[1, ..., 0], SHADES % 3 == 0)


def test_an_ambiguous_range_is_refused(tmp_path):
    Image.fromarray(SHADES.astype(np.uint8)).save(tmp_path / "eight.png")
    Image.fromarray(TWELVE_BITS[0]).save(tmp_path / "sixteen.png")
    with pytest.raises(UsageError, match="some images have 16 bits and others 8"):
        open_images(tmp_path, DataOptions(range=(0.0, 9.0), mode="L", size=(16, 16)), seed=0, cache=None)
    assert open_images(tmp_path, DataOptions(), seed=0, cache=None).codec.dtype == np.uint8


def test_a_range_with_an_alpha_channel_or_without_shades_is_refused(tmp_path):
    Image.new("RGBA", (8, 8)).save(tmp_path / "a.png")
    Image.new("RGBA", (8, 8)).save(tmp_path / "b.png")
    with pytest.raises(UsageError, match="range cannot be used with an alpha channel"):
        open_images(tmp_path, DataOptions(range=(0.0, 9.0)), seed=0, cache=None)
    for name in "ab":
        Image.new("1", (8, 8)).save(tmp_path / f"{name}.png")
    with pytest.raises(UsageError, match="does not apply to black and white"):
        open_images(tmp_path, DataOptions(range=(0.0, 9.0)), seed=0, cache=None)


@pytest.mark.parametrize("wrong", [(5.0, 5.0), (9.0, 1.0), (0.0, float("inf")), (float("nan"), 1.0)])
def test_invalid_ranges_are_refused(wrong):
    with pytest.raises(UsageError, match="range must be two numbers, the lower one first"):
        open_data(BYTES, DataOptions(range=wrong), seed=0)


def test_the_fingerprint_does_not_depend_on_the_dtype():
    # The fingerprint of an earlier version, which resumed runs compare.
    source = open_array((BYTES / 255).astype(np.float32))

    digest = hashlib.blake2b(np.ascontiguousarray(source.pixels).data, digest_size=16).hexdigest()
    seen = f"{digest}|(6, 3, 5, 7)|ImageCodec(mode='RGB', height=5, width=7, kind='images')|"
    assert source.fingerprint() == hashlib.blake2b(seen.encode(), digest_size=16).hexdigest()
