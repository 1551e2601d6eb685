from __future__ import annotations

import errno
import json
import os
import pickle
import shutil
import time
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
import torch

from wgan.data.images import decoded, images_from_array, open_images, pipeline
from wgan.errors import CheckpointError, DataError, DataWarning, UsageError
from wgan.settings import DataOptions


def open_cached(path: Path, cache: Path | None, **options):
    return open_images(path, DataOptions(**options), seed=0, cache=cache)


def packs_in(cache: Path) -> list[Path]:
    return sorted(cache.iterdir())


@pytest.fixture
def no_decoding(monkeypatch):
    def refuse(*_):
        raise AssertionError("decoded again")

    def start():
        monkeypatch.setattr(pipeline, "decode", refuse)
        monkeypatch.setattr(pipeline, "header_of", refuse)

    return start


def test_a_cached_source_equals_one_in_memory(folder, tmp_path):
    packed, kept = open_cached(folder, tmp_path / "cache"), open_cached(folder, None)
    assert isinstance(packed.pixels, np.memmap)
    np.testing.assert_array_equal(packed.pixels, kept.pixels)
    assert packed.notes == kept.notes
    assert packed.fingerprint() == kept.fingerprint()
    assert [place.name[0] for place in packs_in(tmp_path / "cache")] != ["."]


def test_the_stored_digest_is_that_of_the_pixels(folder, tmp_path):
    packed = open_cached(folder, tmp_path / "cache")
    array = images_from_array(np.asarray(packed.pixels), None, "x", DataOptions(), 0)
    assert array.fingerprint() == packed.fingerprint()


def test_an_entry_is_reused(tmp_path, encode, no_decoding):
    for name in ("cat/1.png", "dog/1.png", "dog/tags.csv"):
        (tmp_path / "x" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "x" / name).write_bytes(encode())
    first = open_cached(tmp_path / "x", tmp_path / "cache")
    no_decoding()
    again = open_cached(tmp_path / "x", tmp_path / "cache", held_out=0.3)
    np.testing.assert_array_equal(first.pixels, again.pixels)
    assert again.labels.tolist() == [0, 1]
    assert (again.notes, again.classes) == (first.notes, first.classes)


def test_other_options_give_another_entry(folder, tmp_path):
    cache = tmp_path / "cache"
    open_cached(folder, cache)
    for number, options in enumerate(({"size": (4, 4)}, {"mode": "L"}, {"fit": "pad"}, {"skip_broken": True})):
        open_cached(folder, cache, **options)
        assert len(packs_in(cache)) == number + 2


def settle(folder: Path, cache: Path) -> None:
    """Make the images look as if they had not changed for long, and note it in the entry."""
    later = time.time_ns() + 10_000_000_000
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(time, "time_ns", lambda: later)
        open_cached(folder, cache)
    (place,) = packs_in(cache)
    assert json.loads((place / "pack.json").read_text())["stamp"][1] is True


@pytest.mark.parametrize("how", ["written over", "moved in its place", "grown"])
@pytest.mark.parametrize("long_there", [False, True])
def test_an_image_that_is_replaced_is_decoded_again_whatever_its_size_and_time(
    folder, tmp_path, encode, how, long_there
):
    path, cache = folder / "1.png", tmp_path / "cache"
    path.write_bytes(encode(0, "L", (8, 8), "BMP"))
    first = open_cached(folder, cache)
    if long_there:
        settle(folder, cache)
    before = path.stat()
    other = tmp_path / "other"
    other.write_bytes(encode(9, "L", (8, 8), "BMP") + b"more" * (how == "grown"))
    if how == "moved in its place":
        os.utime(other, ns=(before.st_atime_ns, before.st_mtime_ns))
        other.replace(path)
    else:
        path.write_bytes(other.read_bytes())
        os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert path.stat().st_mtime_ns == before.st_mtime_ns
    assert (path.stat().st_size == before.st_size) == (how != "grown")
    with pytest.warns(DataWarning, match="images were changed since they were decoded: they are decoded again"):
        again = open_cached(folder, cache)
    np.testing.assert_array_equal(again.pixels, open_cached(folder, None).pixels)
    assert not np.array_equal(again.pixels, first.pixels)
    assert again.fingerprint() != first.fingerprint()
    assert len(packs_in(cache)) == 1


@pytest.mark.parametrize("ending", ["zip", "tar"])
def test_an_archive_that_is_replaced_is_decoded_again(tmp_path, encode, ending):
    path = tmp_path / f"x.{ending}"

    def write(first: int) -> None:
        folder = tmp_path / str(first)
        folder.mkdir()
        for number in range(3):
            (folder / f"{number}.bmp").write_bytes(encode(first + number, "L", (8, 8), "BMP"))
        shutil.make_archive(str(path.with_suffix("")), ending, folder)
        os.utime(path, ns=(1, 1))

    write(0)
    open_cached(path, tmp_path / "cache")
    write(5)
    with pytest.warns(DataWarning, match="images were changed"):
        again = open_cached(path, tmp_path / "cache")
    np.testing.assert_array_equal(again.pixels, open_cached(path, None).pixels)


def test_the_same_images_under_other_times_are_not_decoded_again(folder, tmp_path, no_decoding):
    cache = tmp_path / "cache"
    first = open_cached(folder, cache)
    settle(folder, cache)
    (place,) = packs_in(cache)
    before = (place / "pack.json").read_bytes()
    for path in folder.iterdir():
        os.utime(path, ns=(1, 1))
    no_decoding()
    again = open_cached(folder, cache)
    assert again.fingerprint() == first.fingerprint()
    assert (place / "pack.json").read_bytes() != before


def test_images_that_did_not_change_recently_are_not_read(folder, tmp_path, monkeypatch):
    open_cached(folder, tmp_path / "cache")
    settle(folder, tmp_path / "cache")
    monkeypatch.setattr(pipeline, "load", lambda encoded: pytest.fail("read"))
    open_cached(folder, tmp_path / "cache")


def test_every_changed_byte_of_an_entry_is_detected(folder, tmp_path, encode, monkeypatch):
    monkeypatch.setattr(decoded, "BLOCK_BYTES", 100)
    cache = tmp_path / "cache"
    (folder / "tags.csv").write_text("file,hair\n" + "".join(f"{number}.png,red\n" for number in range(3)))
    shutil.make_archive(str(tmp_path / "x"), "zip", folder)
    first = np.array(open_cached(tmp_path / "x.zip", cache).pixels)
    (place,) = packs_in(cache)
    rng = np.random.default_rng(0)
    for path in sorted(place.iterdir()):
        whole = path.read_bytes()
        start = len(whole) - first.nbytes if path.name == "pixels.npy" else 0
        for spot in {start, len(whole) - 1, *rng.integers(start, len(whole), 15).tolist()}:
            changed = bytearray(whole)
            changed[spot] ^= 1 << int(rng.integers(8))
            path.write_bytes(changed)
            with pytest.warns(DataWarning, match=rf"decoded images in '{place}' are damaged .*{path.name}.* again"):
                again = open_cached(tmp_path / "x.zip", cache)
            np.testing.assert_array_equal(again.pixels, first)
        open_cached(tmp_path / "x.zip", cache)


def test_zeroed_pixels_are_not_trained_on(folder, tmp_path):
    first = np.array(open_cached(folder, tmp_path / "cache").pixels)
    (place,) = packs_in(tmp_path / "cache")
    with (place / "pixels.npy").open("r+b") as file:
        file.seek(-first.nbytes // 2, os.SEEK_END)
        file.write(bytes(first.nbytes // 2))
    with pytest.warns(DataWarning, match=r"pixels.npy does not match its checksum from byte 128"):
        again = open_cached(folder, tmp_path / "cache")
    np.testing.assert_array_equal(again.pixels, first)
    np.testing.assert_array_equal(open_cached(folder, tmp_path / "cache").pixels, first)


def test_an_open_entry_stays_valid_when_another_run_replaces_it(folder, tmp_path, encode):
    first = open_cached(folder, tmp_path / "cache")
    before = np.array(first.pixels)
    (folder / "1.png").write_bytes(encode(9))
    with pytest.warns(DataWarning, match="images were changed"):
        second = open_cached(folder, tmp_path / "cache")
    np.testing.assert_array_equal(first.pixels, before)
    assert not np.array_equal(second.pixels, before)


@pytest.mark.parametrize("damage", ["truncate", "grow", "pickle", "shape", "version", "facts", "empty"])
def test_a_damaged_entry_is_decoded_again(folder, tmp_path, damage):
    cache = tmp_path / "cache"
    first = np.array(open_cached(folder, cache).pixels)
    (place,) = packs_in(cache)
    pixels, facts = place / "pixels.npy", place / "pack.json"
    stated = json.loads(facts.read_text())
    if damage == "truncate":
        os.truncate(pixels, 300)
    elif damage == "grow":
        os.truncate(pixels, pixels.stat().st_size + 1)
    elif damage == "pickle":
        pixels.write_bytes(pickle.dumps(first))
    elif damage == "empty":
        facts.write_text("")
    elif damage == "facts":
        facts.write_text("[]")
    else:
        facts.write_text(json.dumps(stated | {damage: [5, 3, 8, 8] if damage == "shape" else 99}))
    with pytest.warns(DataWarning, match="are damaged .*: they are decoded again"):
        again = open_cached(folder, cache)
    np.testing.assert_array_equal(again.pixels, first)
    assert packs_in(cache) == [place]


@pytest.mark.parametrize("number", [1, 31, 32, 33, 100])
def test_order_and_count_are_right_for_any_number(tmp_path, encode, number):
    place = tmp_path / "x"
    place.mkdir()
    for image in range(number + 1):
        (place / f"{image:04}.png").write_bytes(encode(image, "L", (3, 5)))
    source = open_cached(place, tmp_path / "cache")
    first = [
        np.random.default_rng(image).integers(0, 256, (3, 5, 1), dtype=np.uint8)[..., 0] for image in range(number + 1)
    ]
    np.testing.assert_array_equal(source.pixels[:, 0], first)


def test_skipped_images_leave_no_gap(tmp_path, encode):
    for number in range(200):
        (tmp_path / f"{number:03}.png").write_bytes(encode(number)[: 90 if number in (0, 150) else None])
    with pytest.warns(DataWarning, match="2 of 200"):
        packed = open_cached(tmp_path, tmp_path / "cache", skip_broken=True)
    assert len(packed.pixels) == 198
    again = open_cached(tmp_path, tmp_path / "cache", skip_broken=True)
    assert any("2 of 200" in note for note in again.notes)


def test_a_cache_within_the_folder_of_images_is_skipped(folder, no_decoding):
    first = open_cached(folder, folder / "cache")
    no_decoding()
    np.testing.assert_array_equal(open_cached(folder, folder / "cache").pixels, first.pixels)


def test_a_failure_leaves_nothing_behind(folder, tmp_path, encode):
    (folder / "2.png").write_bytes(encode(2)[:100])
    with pytest.raises(DataError):
        open_cached(folder, tmp_path / "cache")
    assert packs_in(tmp_path / "cache") == []


def test_a_full_disk_is_reported_and_leaves_nothing_behind(folder, tmp_path, monkeypatch):
    def full(descriptor):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(CheckpointError, match=r"pixels.npy' could not be written: the disk is full \([\d,]+ b"):
        open_cached(folder, tmp_path / "cache")
    assert packs_in(tmp_path / "cache") == []


def test_a_cache_that_cannot_be_created(folder, tmp_path):
    (tmp_path / "file").write_text("x")
    with pytest.raises(UsageError, match="cannot be written"):
        open_cached(folder, tmp_path / "file" / "cache")


def test_pixels_that_exceed_memory_need_a_cache(folder, monkeypatch):
    monkeypatch.setattr(decoded, "memory_bytes", lambda: 1000)
    with pytest.raises(UsageError, match="more than half of this machine's memory") as caught:
        open_cached(folder, None)
    assert "cache" in caught.value.remedy


def test_leftovers_of_killed_runs_are_removed_after_a_day(folder, tmp_path):
    cache = tmp_path / "cache"
    old, new = cache / ".tmp-old", cache / ".tmp-new"
    for left in (old, new):
        left.mkdir(parents=True)
    day_ago = time.time() - 90_000
    os.utime(old, (day_ago, day_ago))
    open_cached(folder, cache)
    assert not old.exists()
    assert new.exists()


def test_training_continues_when_the_images_vanish(folder, tmp_path):
    source = open_cached(folder, tmp_path / "cache")
    for file in folder.iterdir():
        file.unlink()
    for file in packs_in(tmp_path / "cache")[0].iterdir():
        file.unlink()
    assert source.sample(50, torch.Generator().manual_seed(0)).values.shape == (50, 3, 8, 8)


def test_an_entry_is_read_by_rows(tmp_path):
    np.save(tmp_path / "x.npy", np.zeros((20_000, 64, 64), np.uint8))
    source = images_from_array(np.load(tmp_path / "x.npy", mmap_mode="r"), None, "x", DataOptions(), 0)
    tracemalloc.start()
    source.sample(64, torch.Generator().manual_seed(0))
    assert tracemalloc.get_traced_memory()[1] < 2e6
    tracemalloc.stop()


def test_many_large_images_take_bounded_memory(tmp_path, encode):
    content = encode(0, "RGB", (600, 800), "BMP")
    for number in range(40):
        (tmp_path / f"{number}.bmp").write_bytes(content)
    tracemalloc.start()
    open_cached(tmp_path, tmp_path / "cache", size=(8, 8))
    # 58 MB of encoded images, of which a few per core are in memory at one time.
    assert tracemalloc.get_traced_memory()[1] < 30e6
    tracemalloc.stop()
