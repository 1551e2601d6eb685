from __future__ import annotations

import gzip
import struct
import tracemalloc
from pathlib import Path

import numpy as np
import pytest

from wgan.data.images import idx as idx_room
from wgan.data.images import open_images
from wgan.errors import DataError
from wgan.settings import DataOptions

IMAGES = np.random.default_rng(0).integers(0, 256, (12, 5, 7), dtype=np.uint8)


def idx(array: np.ndarray, *, shape: tuple[int, ...] | None = None, kind: int = 8) -> bytes:
    shape = shape or array.shape
    return struct.pack(f">HBB{len(shape)}I", 0, kind, len(shape), *shape) + array.tobytes()


def open_idx(path: Path):
    return open_images(path, DataOptions(), seed=0, cache=None)


@pytest.mark.parametrize("name", ["train-images-idx3-ubyte", "train-images-idx3-ubyte.gz", "mine.gz", "mine.bin"])
def test_reads_raw_and_compressed(tmp_path, name):
    content = idx(IMAGES)
    (tmp_path / name).write_bytes(gzip.compress(content) if name.endswith(".gz") else content)
    source = open_idx(tmp_path / name)
    np.testing.assert_array_equal(source.pixels[:, 0], IMAGES)
    assert source.labels is None


@pytest.mark.parametrize("labels_name", ["a-labels-idx1-ubyte.gz", "a-labels-idx1-ubyte"])
def test_labels_are_found_by_name(tmp_path, labels_name):
    (tmp_path / "a-images-idx3-ubyte.gz").write_bytes(gzip.compress(idx(IMAGES)))
    labels = np.arange(12, dtype=np.uint8) % 3
    content = idx(labels)
    (tmp_path / labels_name).write_bytes(gzip.compress(content) if labels_name.endswith("gz") else content)
    source = open_idx(tmp_path / "a-images-idx3-ubyte.gz")
    assert source.labels.tolist() == labels.tolist()
    assert source.classes == ("0", "1", "2")


def test_labels_of_another_number_are_refused(tmp_path):
    (tmp_path / "a-images-idx3-ubyte").write_bytes(idx(IMAGES))
    (tmp_path / "a-labels-idx1-ubyte").write_bytes(idx(np.zeros(11, np.uint8)))
    with pytest.raises(DataError, match=r"11 labels, but .* has 12 images"):
        open_idx(tmp_path / "a-images-idx3-ubyte")


@pytest.mark.parametrize("compressed", [False, True])
@pytest.mark.parametrize(
    ("shape", "message"),
    [
        ((13, 5, 7), "ends at byte 436"),
        ((11, 5, 7), "continues after byte 401"),
        ((2**31, 2**15, 2**15), "header states"),
    ],
)
def test_a_header_with_a_wrong_size(tmp_path, shape, message, compressed):
    content = idx(IMAGES, shape=shape)
    path = tmp_path / "x-images-idx3"
    path.write_bytes(gzip.compress(content) if compressed else content)
    tracemalloc.start()
    with pytest.raises(DataError, match=message):
        open_idx(path)
    assert tracemalloc.get_traced_memory()[1] < 50e6
    tracemalloc.stop()


def test_a_file_larger_than_memory_is_not_decompressed(tmp_path, monkeypatch):
    monkeypatch.setattr(idx_room, "memory_bytes", lambda: 800)
    (tmp_path / "x-images-idx3.gz").write_bytes(gzip.compress(idx(IMAGES)))
    with pytest.raises(DataError, match="more than half of this machine's memory"):
        open_idx(tmp_path / "x-images-idx3.gz")
    (tmp_path / "x-images-idx3").write_bytes(idx(IMAGES))
    assert isinstance(open_idx(tmp_path / "x-images-idx3").pixels.base, np.memmap)


@pytest.mark.parametrize("keep", [15, 60, -5])
def test_a_truncated_gzip_names_the_offset(tmp_path, keep):
    path = tmp_path / "x-images-idx3.gz"
    path.write_bytes(gzip.compress(idx(IMAGES))[:keep])
    with pytest.raises(DataError, match=r"byte \d+"):
        open_idx(path)


def test_a_flipped_byte_in_a_gzip_is_noticed(tmp_path):
    content = bytearray(gzip.compress(idx(IMAGES)))
    content[200] ^= 0xFF
    path = tmp_path / "x-images-idx3.gz"
    path.write_bytes(content)
    with pytest.raises(DataError):
        open_idx(path)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "not an IDX file"),
        (b"hello world", "not an IDX file: begins with bytes 68 65 6c 6c"),
        (idx(IMAGES.astype(">f4"), kind=0x0D), "holds float32"),
        (idx(np.zeros(5, np.uint8)), "has 1 dimension "),
        (idx(IMAGES)[:9], "ends at byte 9, inside its header of 16 bytes"),
    ],
)
def test_other_files_than_idx_images_are_refused(tmp_path, content, message):
    path = tmp_path / "x-images-idx3"
    path.write_bytes(content)
    with pytest.raises(DataError, match=message) as caught:
        open_idx(path)
    assert caught.value.remedy
