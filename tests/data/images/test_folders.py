from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from wgan.data.images import collection, folders, open_images
from wgan.data.images.cache import decoded_images
from wgan.data.images.collection import Tally, labels_from_folders, load
from wgan.data.images.folders import Folder
from wgan.errors import DataError, DataWarning, UsageError
from wgan.settings import DataOptions


def open_folder(path: Path, **options):
    return open_images(path, DataOptions(**options), seed=0, cache=None)


def names_in(path: Path) -> list[str]:
    return [name for name, _ in Folder(path).stream(Tally())]


def test_reads_all_images_in_the_order_of_their_names(folder, encode):
    source = open_folder(folder)
    for number in range(4):
        wanted = np.random.default_rng(number).integers(0, 256, (8, 8, 3), dtype=np.uint8)
        np.testing.assert_array_equal(source.pixels[number], wanted.transpose(2, 0, 1))
    assert source.notes == ("4 RGB; size 8x8",)
    assert source.describe().endswith("pictures: 4 images of 8x8x3 (RGB); 3 to train on, 1 held out")


def test_sub_folders_are_classes(tmp_path, encode):
    for place in ("data/cat/a.png", "data/dog/x/b.png", "data/cat/c.png"):
        (tmp_path / place).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / place).write_bytes(encode())
    source = open_folder(tmp_path)
    assert source.classes == ("cat", "dog")
    assert source.labels.tolist() == [0, 0, 1]
    assert "2 classes (cat, dog)" in source.describe()


@pytest.mark.parametrize(
    ("names", "classes"),
    [
        (["a.png", "b.png"], ()),
        (["x/a.png", "b.png"], ()),
        (["x/a.png", "x/b.png"], ()),
        (["x/a.png", "y/b.png"], ("x", "y")),
        (["r/x/a.png", "r/y/z/b.png"], ("x", "y")),
        (["r/x/a.png", "r/b.png"], ()),
        (["xa/1.png", "xb/1.png"], ("xa", "xb")),
    ],
)
def test_classes_are_the_folders_below_the_shared_one(names, classes):
    labels, found = labels_from_folders(names)
    assert found == classes
    assert (labels is None) == (not classes)


def test_a_folder_without_images_lists_the_endings(tmp_path):
    for name in ("a.csv", "b.CSV", "c.txt", "noending"):
        (tmp_path / name).write_text("x")
    with pytest.raises(DataError, match=r"no images in this folder \(endings seen: 2 .csv, 1 .txt, 1 without ending"):
        open_folder(tmp_path)


def test_an_empty_folder(tmp_path):
    with pytest.raises(DataError, match="it is empty"):
        open_folder(tmp_path)


def test_a_folder_without_images_is_refused_if_mode_and_size_are_given(tmp_path):
    (tmp_path / "a.csv").write_text("x")
    with pytest.raises(DataError, match=r"endings seen: 1 \.csv"):
        open_folder(tmp_path, mode="RGB", size=(8, 8))


def test_other_files_are_ignored_with_a_note(folder):
    (folder / "prices.csv").write_text("x")
    (folder / "._0.png").write_text("x")
    assert open_folder(folder).notes[1:] == ("ignored, as they are not images: 1 .csv", "skipped: 1 hidden")


def test_runs_and_the_cache_inside_the_folder_are_skipped(folder, encode):
    cache = folder / "packs"

    def opened():
        return open_images(folder, DataOptions(), seed=0, cache=cache)

    before = opened().fingerprint()
    for place in ("runs/one/samples", "runs/one/checkpoints", "runs/two/samples", ".thumbnails/large", "packs/x"):
        (folder / place).mkdir(parents=True)
        (folder / place / "sheet.png").write_bytes(encode(9))
    for place in ("runs/one/settings.toml", "runs/two/settings.toml", "runs/two/metrics.jsonl"):
        (folder / place).write_text("")
    assert names_in(folder) == ["0.png", "1.png", "2.png", "3.png", "packs/x/sheet.png"]
    after = opened()
    assert after.fingerprint() == before
    assert after.notes == (
        "4 RGB; size 8x8",
        "skipped: 1 folders of decoded images",
        "skipped: 1 hidden folders",
        "skipped: 2 run directories",
    )


def test_a_folder_with_settings_alone_is_data_and_so_are_named_samples_of_a_run(folder, encode):
    (folder / "settings.toml").write_text("")
    (folder / "below").mkdir()
    (folder / "below" / "settings.toml").write_text("")
    (folder / "below" / "4.png").write_bytes(encode(4))
    assert len(names_in(folder)) == 5
    (folder / "metrics.jsonl").write_text("")
    assert len(names_in(folder)) == 5


def test_one_image_is_too_few(tmp_path, encode):
    (tmp_path / "a.png").write_bytes(encode())
    with pytest.raises(DataError, match="at least 2 images, found 1"):
        open_folder(tmp_path)


def test_a_truncated_image_is_named(folder, encode):
    (folder / "2.png").write_bytes(encode(2)[:100])
    with pytest.raises(DataError, match=r"pictures/2\.png: its data are damaged or truncated") as caught:
        open_folder(folder)
    assert caught.value.remedy == "Repair or remove it."


@pytest.mark.parametrize(("number", "offered"), [(99, False), (100, True)])
def test_skipping_is_suggested_if_it_can_help(tmp_path, encode, number, offered):
    for place in range(number):
        (tmp_path / f"{place:03}.png").write_bytes(encode(1))
    (tmp_path / "007.png").write_bytes(encode(7)[:100])
    with pytest.raises(DataError, match=r"007\.png") as caught:
        open_folder(tmp_path)
    assert ("--skip-broken" in caught.value.remedy) == offered


def test_a_folder_of_idx_files_names_those_of_images(tmp_path):
    for name in ("a-images-idx3-ubyte", "b-images-idx3-ubyte"):
        (tmp_path / name).write_bytes(b"\0\0\x08\x03" + b"\0\0\0\2" * 3 + b"12345678")
    (tmp_path / "a-labels-idx1-ubyte").write_bytes(b"\0\0\x08\x01\0\0\0\2" + b"12")
    with pytest.raises(DataError, match="no images in this folder") as caught:
        open_folder(tmp_path)
    assert f"'{tmp_path / 'a-images-idx3-ubyte'}', '{tmp_path / 'b-images-idx3-ubyte'}'" in caught.value.remedy
    assert "labels" not in caught.value.remedy


def test_one_broken_image_in_a_hundred_is_skipped_with_a_warning(tmp_path, encode):
    for number in range(100):
        (tmp_path / f"{number:03}.png").write_bytes(encode(number))
    (tmp_path / "007.png").write_bytes(encode(7)[:100])
    with pytest.warns(DataWarning, match=r"skipped as broken: 1 of 100 \(007\.png: its data are damaged"):
        source = open_folder(tmp_path, skip_broken=True)
    assert len(source.pixels) == 99
    assert any("skipped as broken: 1 of 100" in note for note in source.notes)
    (tmp_path / "008.png").write_bytes(b"")
    with pytest.raises(DataError, match="2 of 100 images are broken, more than one in a hundred"):
        open_folder(tmp_path, skip_broken=True)


def test_skipping_does_not_turn_no_images_into_few(tmp_path):
    (tmp_path / "a.png").write_text("text")
    for options in ({}, {"mode": "RGB", "size": (8, 8)}):
        with pytest.raises(DataError, match=r"a\.png: it is not in a known format"):
            open_folder(tmp_path, skip_broken=True, **options)


def test_unusual_names_are_read_and_escaped_where_shown(tmp_path, encode):
    names = ["雪 été.png", "new\nline.png", "x" * 251 + ".png", "\x1b[31mred.png"]
    for name in names:
        (tmp_path / name).write_bytes(encode())
    assert len(open_folder(tmp_path).pixels) == 4
    (tmp_path / "new\nline.png").write_bytes(b"")
    with pytest.raises(DataError, match=r"new\\nline\.png: "):
        open_folder(tmp_path)


def test_a_folder_with_a_newline_in_its_name_is_shown_on_one_line(tmp_path, folder):
    place = folder.rename(tmp_path / "two\nlines")
    assert "two\\nlines: 4 images" in open_folder(place).describe()
    (place / "1.png").write_bytes(b"")
    with pytest.raises(DataError, match=r"two\\nlines/1\.png: ") as caught:
        open_folder(place)
    assert "\n" not in caught.value.message


def test_names_that_are_not_unicode_are_read(tmp_path, encode):
    for name in (b"a\xff.png", b"b.png"):
        try:
            Path(os.fsdecode(os.fsencode(tmp_path) + b"/" + name)).write_bytes(encode())
        except OSError:
            pytest.skip("this file system takes only unicode")
    assert len(open_folder(tmp_path).pixels) == 2


def test_a_link_to_a_parent_folder_is_entered_once(folder):
    (folder / "again").symlink_to(folder, target_is_directory=True)
    (folder / "self.png").symlink_to(folder / "self.png")
    source = open_folder(folder)
    assert len(source.pixels) == 4
    assert source.notes[1:] == (
        "skipped: 1 broken links",
        "skipped: 1 folders reached again through a link",
    )


def test_links_to_other_files_and_folders_are_followed(tmp_path, folder):
    place = tmp_path / "links"
    place.mkdir()
    (place / "a.png").symlink_to(folder / "0.png")
    (place / "more").symlink_to(folder)
    assert names_in(place) == ["a.png", "more/0.png", "more/1.png", "more/2.png", "more/3.png"]


@pytest.mark.timeout(20)
def test_a_pipe_does_not_block(folder):
    os.mkfifo(folder / "pipe.png")
    source = open_folder(folder)
    assert len(source.pixels) == 4
    assert "skipped: 1 pipes, sockets or devices" in source.notes
    with pytest.raises(collection.BrokenImage, match="not a regular file"):
        load(folder / "pipe.png")


@pytest.mark.skipif(os.geteuid() == 0, reason="nothing is unreadable to root")
def test_unreadable_members_are_reported(folder):
    (folder / "below").mkdir(mode=0)
    try:
        assert "skipped: 1 unreadable folders" in open_folder(folder).notes
        (folder / "1.png").chmod(0)
        with pytest.raises(DataError, match=r"1\.png: it cannot be read \(Permission denied\)"):
            open_folder(folder)
    finally:
        (folder / "below").chmod(0o700)


def test_an_unreadable_folder_is_reported(folder, monkeypatch):
    (folder / "below").mkdir()
    scandir = os.scandir

    def deny(path):
        if Path(path).name == "below":
            raise PermissionError(13, "Permission denied")
        return scandir(path)

    monkeypatch.setattr(folders.os, "scandir", deny)
    assert "skipped: 1 unreadable folders" in open_folder(folder).notes
    with pytest.raises(DataError, match="cannot be listed: Permission denied"):
        open_folder(folder / "below")


def test_an_unreadable_file_is_reported(folder, monkeypatch):
    def deny(path):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(collection, "_read_regular", deny)
    with pytest.raises(DataError, match=r"0\.png: it cannot be read \(Permission denied\)"):
        open_folder(folder)


def test_a_file_that_vanishes_is_retried_and_then_reported(folder, monkeypatch):
    monkeypatch.setattr(collection, "_RETRY_SECONDS", (0.0, 0.0))
    listed = Folder(folder)
    (folder / "2.png").unlink()
    with pytest.raises(
        DataError, match=r"2\.png: was listed but cannot be read any more, after 3 attempts: No such file"
    ):
        decoded_images(listed, DataOptions(), None)


def test_a_file_that_reappears_is_read(folder, monkeypatch):
    monkeypatch.setattr(collection, "_RETRY_SECONDS", (0.0, 0.0))
    read, failures = collection._read_regular, [FileNotFoundError(2, "No such file"), OSError(116, "Stale file handle")]

    def unsteady(path):
        if path.name == "2.png" and failures:
            raise failures.pop()
        return read(path)

    monkeypatch.setattr(collection, "_read_regular", unsteady)
    assert len(open_folder(folder).pixels) == 4
    assert not failures


def test_a_file_with_too_many_bytes_is_not_read(folder):
    with (folder / "1.png").open("r+b") as file:
        file.truncate(1 << 30)
    with pytest.raises(DataError, match="1,073,741,824 bytes are too many"):
        open_folder(folder)


def test_a_missing_path(tmp_path):
    with pytest.raises(UsageError, match="no such file or folder"):
        open_folder(tmp_path / "none")


def test_a_single_image_and_a_file_of_another_kind(folder, tmp_path):
    with pytest.raises(DataError, match="is one image"):
        open_folder(folder / "0.png")
    (tmp_path / "x.doc").write_text("x")
    with pytest.raises(DataError, match="not a collection of images"):
        open_folder(tmp_path / "x.doc")
