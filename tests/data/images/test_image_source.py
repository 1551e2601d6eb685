from __future__ import annotations

import time

import numpy as np
import pytest
import torch

from wgan.data.images import ImageCodec, ImageSource, images_from_array, open_embedded
from wgan.errors import CheckpointError, DataError, UsageError
from wgan.settings import DataOptions

RGB = ImageCodec(mode="RGB", height=4, width=6)


def rng(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def numbered(count: int = 20) -> np.ndarray:
    """Images whose every pixel is the image's number."""
    return np.broadcast_to(np.arange(count, dtype=np.uint8)[:, None, None], (count, 4, 6)).copy()


def test_every_byte_round_trips():
    codec = ImageCodec(mode="L", height=16, width=16)
    pixels = np.arange(256, dtype=np.uint8).reshape(1, 1, 16, 16)
    values = codec.encode(pixels)
    assert values.min() == -1
    assert values.max() == 1
    assert values.dtype == torch.float32
    np.testing.assert_array_equal(codec.decode(values)[0, ..., 0], pixels[0, 0])


def test_decode_clamps_rounds_and_puts_channels_last():
    values = torch.tensor([-7.0, 0.001, 7.0]).view(1, 3, 1, 1).expand(2, 3, 4, 6).requires_grad_()
    decoded = RGB.decode(values)
    assert decoded.shape == (2, 4, 6, 3)
    assert decoded.dtype == np.uint8
    assert decoded[0, 0, 0].tolist() == [0, 128, 255]


def test_layout_is_bounded():
    assert RGB.layout.shape == (3, 4, 6)
    assert RGB.layout.bounded


def test_state_round_trips():
    assert ImageCodec.from_state(RGB.state()) == RGB


@pytest.mark.parametrize(
    ("field", "value"), [("mode", "CMYK"), ("mode", None), ("height", 0), ("width", 2.5), ("width", True)]
)
def test_state_with_a_wrong_field_is_refused(field, value):
    with pytest.raises(CheckpointError, match=field):
        ImageCodec.from_state({**RGB.state(), field: value})


def test_rows_held_out_are_never_trained_on():
    source = images_from_array(numbered(), None, "x", DataOptions(held_out=0.25), 3)
    assert (source.size, source.num_held_out) == (15, 5)

    def numbers(values: torch.Tensor) -> list[int]:
        return source.codec.decode(values)[:, 0, 0, 0].tolist()

    held = numbers(source.held_out(100, rng()))
    assert len(held) == len(set(held)) == 5
    assert set(numbers(source.sample(2000, rng()).values)) == set(range(20)) - set(held)


def test_distinct_rows_are_those_of_training_each_at_most_once():
    source = images_from_array(numbered(), None, "x", DataOptions(held_out=0.25), 3)

    def numbers(values: torch.Tensor) -> list[int]:
        return source.codec.decode(values)[:, 0, 0, 0].tolist()

    every = numbers(source.distinct(100, rng()))
    assert sorted(every) == sorted(set(range(20)) - set(numbers(source.held_out(100, rng()))))
    assert len(set(numbers(source.distinct(10, rng())))) == 10
    assert torch.equal(source.distinct(10, rng()), source.distinct(10, rng()))
    assert not torch.equal(source.distinct(10, rng()), source.distinct(10, rng(1)))


def test_held_out_returns_at_most_size_rows_and_depends_on_the_generator():
    source = images_from_array(numbered(200), None, "x", DataOptions(held_out=0.5), 0)
    first, again, other = (source.held_out(7, rng(seed)) for seed in (1, 1, 2))
    assert len(first) == 7
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


def test_without_a_share_nothing_is_held_out():
    source = images_from_array(numbered(), None, "x", DataOptions(held_out=0), 0)
    assert source.size == 20
    assert source.held_out(5, rng()).shape == (0, 1, 4, 6)


def test_sample_is_repeatable_and_unconditional():
    source = images_from_array(numbered(), None, "x", DataOptions(), 0)
    batch = source.sample(8, rng(5))
    assert batch.condition is None
    assert batch.values.shape == (8, 1, 4, 6)
    assert torch.equal(batch.values, source.sample(8, rng(5)).values)


def test_sampling_does_not_change_the_pixels():
    array = numbered()
    source = images_from_array(array, None, "x", DataOptions(), 0)
    source.sample(100, rng())
    np.testing.assert_array_equal(array, numbered())


def test_the_fingerprint_changes_only_with_what_changes_training():
    labels = np.arange(20) % 2
    changed = numbered()
    changed[7, 1, 1] += 1

    def print_of(array=None, labels=None, name="x", held_out=0.1, seed=0):
        array = numbered() if array is None else array
        return images_from_array(array, labels, name, DataOptions(held_out=held_out), seed).fingerprint()

    prints = [
        print_of(),
        print_of(changed),
        print_of(labels=labels),
        print_of(labels=1 - labels),
        print_of(held_out=0.2),
        print_of(seed=1),
    ]
    assert len(set(prints)) == len(prints)
    assert print_of(name="y") == prints[0]


def test_one_image_is_too_few():
    with pytest.raises(DataError, match="at least 2 images, found 1"):
        ImageSource("x", np.zeros((1, 3, 4, 6), np.uint8), RGB, share=0.1, seed=0)


def test_embedded_images_are_the_fashion_test_split():
    source = open_embedded(DataOptions(), seed=0)
    assert source.describe().startswith("fashion-mnist: 10,000 images of 28x28x1 (L); 10 classes (T-shirt/top, Trouser")
    assert source.labels is not None
    assert np.bincount(source.labels).tolist() == [1000] * 10
    assert (source.size, source.num_held_out) == (9000, 1000)


def test_a_batch_takes_well_under_a_millisecond():
    source = open_embedded(DataOptions(), seed=0)
    generator, seconds = rng(), []
    for _ in range(200):
        start = time.perf_counter()
        source.sample(64, generator)
        seconds.append(time.perf_counter() - start)
    assert np.median(seconds) < 1e-3


@pytest.mark.parametrize(
    ("option", "value"),
    [("scaling", "each"), ("missing", "drop"), ("categorical", ("a",)), ("ignore", ("a",)), ("header", False)],
)
def test_options_of_tables_are_refused(option, value):
    with pytest.raises(UsageError, match=f"{option}=.* cannot be used with fashion-mnist"):
        open_embedded(DataOptions(**{option: value}), seed=0)
