from __future__ import annotations

import contextlib
import gzip
import io
import os
import pickle
import random
import stat
import tarfile
import zipfile
from pathlib import Path

import numpy as np
import pytest

from wgan.data.images import open_images
from wgan.errors import DataError
from wgan.settings import DataOptions


def open_archive(path: Path, **options):
    return open_images(path, DataOptions(**options), seed=0, cache=None)


def write_zip(path: Path, contents: dict[str, bytes]) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in contents.items():
            archive.writestr(name, content)
    return path


def write_tar(path: Path, contents: dict[str, bytes], *, extra: tarfile.TarInfo | None = None, format: int = 2) -> Path:
    mode = {".gz": "w:gz", ".tgz": "w:gz", ".bz2": "w:bz2", ".xz": "w:xz"}.get(path.suffix, "w:")
    with tarfile.open(path, mode, format=format) as archive:
        for name, content in contents.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
        if extra:
            archive.addfile(extra)
    return path


@pytest.fixture
def contents(encode) -> dict[str, bytes]:
    return {f"faces/{number}.png": encode(number) for number in range(5)} | {"faces/prices.csv": b"file,hair\n"}


@pytest.mark.parametrize("name", ["x.zip", "x.tar", "x.tar.gz", "x.tgz", "x.tar.bz2", "x.tar.xz"])
def test_reads_archives_without_writing_to_disk(tmp_path, contents, name):
    path = (write_zip if name == "x.zip" else write_tar)(tmp_path / name, contents)
    source = open_archive(path)
    for number in range(5):
        wanted = np.random.default_rng(number).integers(0, 256, (8, 8, 3), dtype=np.uint8)
        np.testing.assert_array_equal(source.pixels[number], wanted.transpose(2, 0, 1))
    assert source.labels is None
    assert source.notes[1] == "ignored, as they are not images: 1 .csv"
    assert [entry.name for entry in tmp_path.iterdir()] == [name]


@pytest.mark.parametrize("write", [write_zip, write_tar])
def test_folders_in_an_archive_are_classes(tmp_path, encode, write):
    path = write(tmp_path / f"x.{write.__name__[-3:]}", {"d/b/1.png": encode(), "d/a/1.png": encode()})
    source = open_archive(path)
    assert source.classes == ("a", "b")


def test_a_zip_is_read_in_the_order_of_names(tmp_path, contents):
    shuffled = dict(reversed(contents.items()))
    first = open_archive(write_zip(tmp_path / "a.zip", contents)).fingerprint()
    assert open_archive(write_zip(tmp_path / "b.zip", shuffled)).fingerprint() == first


@pytest.mark.parametrize("write", [write_zip, write_tar])
@pytest.mark.parametrize("name", ["../x.png", "a/../../x.png", "/etc/x.png", "..\\x.png", "C:\\x.png", "C:/x.png"])
def test_names_that_lead_out_are_refused(tmp_path, contents, write, name):
    path = write(tmp_path / f"x.{write.__name__[-3:]}", contents | {name: b"x"})
    with pytest.raises(DataError, match="is refused: its path leads out of the archive"):
        open_archive(path)


@pytest.mark.parametrize(
    ("kind", "reason"),
    [
        (tarfile.SYMTYPE, "link"),
        (tarfile.LNKTYPE, "link"),
        (tarfile.CHRTYPE, "device"),
        (tarfile.BLKTYPE, "device"),
        (tarfile.FIFOTYPE, "device"),
    ],
)
def test_links_and_devices_in_a_tar_are_refused(tmp_path, contents, kind, reason):
    member = tarfile.TarInfo("x.png")
    member.type, member.linkname = kind, "/etc/passwd"
    with pytest.raises(DataError, match=rf"member 'x\.png' is refused: it is a {reason}"):
        open_archive(write_tar(tmp_path / "x.tar", contents, extra=member))


@pytest.mark.parametrize(("kind", "reason"), [(stat.S_IFLNK, "link"), (stat.S_IFCHR, "device")])
def test_links_and_devices_in_a_zip_are_refused(tmp_path, contents, kind, reason):
    path = write_zip(tmp_path / "x.zip", contents)
    member = zipfile.ZipInfo("x.png")
    member.external_attr = (kind | 0o777) << 16
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr(member, "/etc/passwd")
    with pytest.raises(DataError, match=f"it is a {reason}"):
        open_archive(path)


class _Trap:
    def __reduce__(self):
        return (os.mkdir, (_Trap.place,))

    place = ""


@pytest.mark.parametrize("ending", ["pkl", "png"])
def test_a_tar_of_pickles_is_never_loaded(tmp_path, ending):
    _Trap.place = str(tmp_path / "sprung")
    content = pickle.dumps(_Trap())
    path = write_tar(tmp_path / "x.tar", {f"{number}.{ending}": content for number in range(3)})
    message = "no images in this tar archive .endings seen: 3 .pkl" if ending == "pkl" else "not in a known format"
    with pytest.raises(DataError, match=message):
        open_archive(path)
    assert not (tmp_path / "sprung").exists()


@pytest.mark.parametrize("share", [0.1, 0.5, 0.9])
@pytest.mark.parametrize("name", ["x.zip", "x.tar", "x.tar.gz", "x.tar.xz"])
def test_a_truncated_archive_names_the_offset(tmp_path, contents, name, share):
    path = (write_zip if name == "x.zip" else write_tar)(tmp_path / name, contents)
    whole = path.read_bytes()
    # An uncompressed tar ends in padding, which may be missing.
    length = len(whole) if name != "x.tar" else 6 * 1024
    path.write_bytes(whole[: int(length * share)])
    with pytest.raises(DataError, match=r"byte [\d,]+.*") as caught:
        open_archive(path)
    assert "damaged" in caught.value.remedy


@pytest.mark.parametrize("name", ["x.tar.gz", "x.tar.xz", "x.tar.bz2"])
@pytest.mark.parametrize("spoil", [lambda whole: whole[:-6], lambda whole: whole[:-7] + b"~~~" + whole[-4:]])
def test_the_end_of_an_archive_is_verified(tmp_path, contents, name, spoil):
    path = write_tar(tmp_path / name, contents)
    path.write_bytes(spoil(path.read_bytes()))
    with pytest.raises(DataError, match="cannot be read beyond byte"):
        open_archive(path)


def test_a_tar_truncated_between_two_members(tmp_path, contents):
    path = write_tar(tmp_path / "x.tar", contents)
    path.write_bytes(path.read_bytes()[: 2 * 1024])
    with pytest.raises(DataError, match=r"cannot be read beyond byte 2,048 \(uncompressed\)"):
        open_archive(path)


def test_a_damaged_header_within_a_tar_is_an_error(tmp_path, contents):
    path = write_tar(tmp_path / "x.tar", contents)
    whole = bytearray(path.read_bytes())
    whole[2 * 1024 + 10] ^= 0xFF
    path.write_bytes(whole)
    with pytest.raises(DataError, match="byte 2,048"):
        open_archive(path)


def test_a_very_long_name_is_refused(tmp_path, contents):
    member = tarfile.TarInfo("././@LongLink")
    member.type, member.size = tarfile.GNUTYPE_LONGNAME, 1 << 30
    with gzip.open(tmp_path / "x.tar.gz", "wb") as file:
        file.write(member.tobuf(tarfile.GNU_FORMAT) + bytes(4096))
    with pytest.raises(DataError, match=r"states a size of 1,073,741,824 bytes"):
        open_archive(tmp_path / "x.tar.gz")


def test_damage_in_a_zip_names_the_member_and_the_offset(tmp_path, contents):
    path = write_zip(tmp_path / "x.zip", contents)
    with zipfile.ZipFile(path) as archive:
        offset = archive.getinfo("faces/3.png").header_offset
    whole = bytearray(path.read_bytes())
    whole[offset + 100] ^= 0xFF
    path.write_bytes(whole)
    with pytest.raises(DataError, match=rf"x\.zip, faces/3\.png: its data from byte {offset} on are damaged"):
        open_archive(path)


def test_a_zip_bomb_is_not_unpacked(tmp_path, contents):
    path = write_zip(tmp_path / "x.zip", contents | {"big.png": bytes(70_000_000)})
    with pytest.raises(DataError, match=r"big\.png: 70,000,000 bytes are too many"):
        open_archive(path)


def test_an_encrypted_zip_is_refused(tmp_path, contents):
    path = write_zip(tmp_path / "x.zip", contents)
    whole = bytearray(path.read_bytes())
    for mark, flags in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        whole[whole.index(mark) + flags] |= 1
    path.write_bytes(whole)
    with pytest.raises(DataError, match="encrypted"):
        open_archive(path)


@pytest.mark.parametrize("name", ["x.zip", "x.tar", "x.tar.gz"])
def test_flipped_bytes_raise_no_other_error(tmp_path, contents, name):
    path = (write_zip if name == "x.zip" else write_tar)(tmp_path / name, contents)
    whole = path.read_bytes()
    draw = random.Random(0)
    for _ in range(60):
        changed = bytearray(whole)
        for _ in range(3):
            changed[draw.randrange(len(whole))] ^= 1 << draw.randrange(8)
        path.write_bytes(changed)
        with contextlib.suppress(DataError):
            open_archive(path)
