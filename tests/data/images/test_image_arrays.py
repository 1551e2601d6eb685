from __future__ import annotations

import numpy as np
import pytest

from wgan.data import open_data
from wgan.data.images import images_from_array
from wgan.errors import DataError, UsageError
from wgan.settings import DataOptions


def open_array(array, labels=None, **options):
    return images_from_array(array, labels, "x.npy", DataOptions(**options), 0)


def noise(*shape: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)


@pytest.mark.parametrize(
    ("shape", "layout"),
    [
        ((5, 28, 28), (1, 28, 28)),
        ((5, 28, 28, 1), (1, 28, 28)),
        ((5, 1, 28, 28), (1, 28, 28)),
        ((5, 48, 80, 3), (3, 48, 80)),
        ((5, 3, 48, 80), (3, 48, 80)),
        ((5, 96, 96, 4), (4, 96, 96)),
        ((5, 4, 33, 17), (4, 33, 17)),
    ],
)
def test_any_height_width_and_channels(shape, layout):
    array = noise(*shape)
    source = open_array(array)
    assert source.codec.layout.shape == layout
    first = array[0] if array.ndim == 4 else array[0][None]
    np.testing.assert_array_equal(source.pixels[0], first.transpose(2, 0, 1) if shape[-1] == layout[0] else first)


def test_ambiguous_axes_are_noted():
    source = open_array(noise(5, 3, 8, 3))
    assert source.codec.layout.shape == (3, 3, 8)
    assert "read as (N, H, W, C)" in source.notes[0]


@pytest.mark.parametrize(("scale", "shift", "said"), [(1 / 255, 0, r"[0, 1]"), (1 / 127.5, -1, r"[-1, 1]")])
@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_floats_are_read_by_their_range(scale, shift, said, dtype):
    pixels = noise(4, 8, 8)
    source = open_array((pixels * scale + shift).astype(dtype).clip(-1, 1))
    assert said in source.notes[0]
    assert np.abs(source.pixels[:, 0].astype(int) - pixels).max() <= (1 if dtype is np.float16 else 0)


def test_other_integers_from_0_to_255_are_accepted():
    pixels = noise(4, 8, 8)
    source = open_array(pixels.astype(np.int64))
    np.testing.assert_array_equal(source.pixels[:, 0], pixels)
    assert "int64" in source.notes[0]


@pytest.mark.parametrize(
    ("array", "message"),
    [
        (np.zeros((3, 4), np.uint8), r"rank 2 \(shape \(3, 4\)\)"),
        (np.zeros((3, 4, 4, 3, 2), np.uint8), "rank 5"),
        (np.zeros((3, 4, 4), object), "type object"),
        (np.zeros((3, 4, 4), complex), "type complex128"),
        (np.full((3, 4, 4), "a"), "type <U1"),
        (np.zeros((3, 8, 8, 2), np.uint8), "1, 3 or 4 channels"),
        (np.zeros((0, 4, 4), np.uint8), "empty"),
        (np.full((3, 4, 4), 256, np.int32), "range from 256 to 256"),
        (np.full((3, 4, 4), -1, np.int32), "range from -1 to -1"),
        (np.full((3, 4, 4), 200.0), "wanted .0, 1. or"),
        ([np.zeros((2, 2)), np.zeros((3, 3))], "cannot be read as an array"),
    ],
)
def test_arrays_that_are_not_images_are_refused(array, message):
    with pytest.raises(DataError, match=message) as caught:
        open_array(array)
    assert caught.value.remedy


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_numbers_that_are_not_finite_are_found(bad):
    array = np.zeros((5, 4, 4))
    array[2, 1, 1] = bad
    with pytest.raises(DataError, match="image 3 holds NaN or infinity"):
        open_array(array)


def test_one_image_is_too_few():
    with pytest.raises(DataError, match="at least 2 images, found 1"):
        open_array(noise(1, 8, 8))


def test_mode_and_size_are_applied_and_noted():
    source = open_array(noise(3, 20, 40), mode="RGB", size=(10, 10))
    assert source.codec.layout.shape == (3, 10, 10)
    assert source.notes == ("3 grey -> RGB; size 20x40 -> 10x10, cropped at the centre",)


def test_large_images_are_scaled_down():
    source = open_array(noise(2, 192, 256, 3))
    assert source.codec.layout.shape == (3, 64, 88)


@pytest.mark.parametrize("size", [(0, 8), (8, 0), (-1, 8)])
def test_a_size_with_one_zero_is_refused(size):
    with pytest.raises(UsageError, match="size must be two numbers"):
        open_data(noise(3, 8, 8), DataOptions(size=size), seed=0)


def test_a_memory_map_is_not_copied(tmp_path):
    np.save(tmp_path / "x.npy", noise(50, 8, 6, 3))
    mapped = np.load(tmp_path / "x.npy", mmap_mode="r")
    source = open_array(mapped)
    assert np.shares_memory(source.pixels, mapped)
    assert source.pixels.shape == (50, 3, 8, 6)


def test_labels_are_strings_or_numbers():
    source = open_array(noise(4, 8, 8), np.array(["dog", "cat", "dog", "dog"]))
    assert source.classes == ("cat", "dog")
    assert source.labels.tolist() == [1, 0, 1, 1]
    assert open_array(noise(3, 8, 8), [7, 5, 7]).classes == ("5", "7")


@pytest.mark.parametrize("labels", [[1, 2], [[1], [2], [3]], [0.5, 1.0, 2.0]])
def test_labels_that_do_not_fit_are_refused(labels):
    with pytest.raises(DataError, match="labels of shape"):
        open_array(noise(3, 8, 8), labels)
