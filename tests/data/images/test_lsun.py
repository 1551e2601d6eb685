from __future__ import annotations

import contextlib
import random
import subprocess
from pathlib import Path

import lmdb
import numpy as np
import pytest

from wgan.data.images import lsun, open_images
from wgan.errors import DataError
from wgan.settings import DataOptions


def write(path: Path, entries: dict[bytes, bytes], **options: object) -> Path:
    with lmdb.open(str(path), map_size=1 << 26, **options) as env, env.begin(write=True) as transaction:
        for key, value in entries.items():
            transaction.put(key, value)
    return path


@pytest.fixture
def database(tmp_path, encode) -> Path:
    return write(tmp_path / "bedroom_lmdb", {f"{number:040x}".encode(): encode(number) for number in range(40)})


def open_database(path: Path, **options):
    return open_images(path, DataOptions(**options), seed=0, cache=None)


def test_reads_entries_in_the_order_of_keys(database):
    before = {entry.name: entry.stat().st_mtime_ns for entry in database.iterdir()}
    source = open_database(database)
    assert len(source.pixels) == 40
    wanted = np.random.default_rng(7).integers(0, 256, (8, 8, 3), dtype=np.uint8)
    np.testing.assert_array_equal(source.pixels[7], wanted.transpose(2, 0, 1))
    assert {entry.name: entry.stat().st_mtime_ns for entry in database.iterdir()} == before


def test_the_database_file_can_be_opened(database):
    assert len(open_database(database / "data.mdb").pixels) == 40


def test_an_empty_database(tmp_path):
    with pytest.raises(DataError, match="no images in this LMDB"):
        open_database(write(tmp_path / "x", {}))


def test_entries_that_are_not_images_are_named_by_their_key(tmp_path, encode):
    path = write(tmp_path / "x", {b"a\n\xff": b"no image", b"b": encode()})
    with pytest.raises(DataError, match=r"a\\n\\xff: it is not in a known format"):
        open_database(path)


def test_a_value_with_too_many_bytes_is_not_sent(database, monkeypatch):
    monkeypatch.setattr(lsun, "MAX_ENCODED_BYTES", 100)
    with pytest.raises(DataError, match=r"bytes are too many"):
        open_database(database)


@pytest.mark.parametrize("share", [0.0, 0.2, 0.5, 0.9])
def test_a_truncated_database_is_an_error_not_a_crash(database, share):
    file = database / "data.mdb"
    whole = file.read_bytes()
    file.write_bytes(whole[: int(len(whole) * share)])
    with pytest.raises(DataError, match=r"LMDB cannot be read|damaged|not in a known format"):
        open_database(database)


def test_a_truncated_database_states_where_it_ends(database):
    file = database / "data.mdb"
    whole = file.read_bytes()
    file.write_bytes(whole[:8192])
    with pytest.raises(DataError, match=rf"the file ends at byte 8,192, its header states {len(whole):,}"):
        open_database(database)


@pytest.mark.timeout(60)
def test_garbage_in_a_database_is_an_error_not_a_crash(database):
    file = database / "data.mdb"
    whole = file.read_bytes()
    draw = random.Random(0)
    for _ in range(12):
        changed = bytearray(whole)
        for _ in range(4):
            place = draw.randrange(len(whole) - 64)
            changed[place : place + 64] = draw.randbytes(64)
        file.write_bytes(changed)
        with contextlib.suppress(DataError):
            open_database(database)


def test_a_killed_reader_is_an_error(database, tmp_path, monkeypatch):
    program = tmp_path / "lsun_reader.py"
    program.write_text("import os, signal\nos.kill(os.getpid(), signal.SIGBUS)\n")
    monkeypatch.setattr(lsun, "__file__", str(tmp_path / "lsun.py"))
    with pytest.raises(DataError, match="the process that reads it ended with signal SIGBUS"):
        open_database(database)


def test_a_reader_that_sends_nothing_times_out(database, tmp_path, monkeypatch):
    (tmp_path / "lsun_reader.py").write_text("import time\ntime.sleep(60)\n")
    monkeypatch.setattr(lsun, "__file__", str(tmp_path / "lsun.py"))
    monkeypatch.setattr(lsun, "_TIMEOUT_SECONDS", 0.2)
    with pytest.raises(DataError, match="no data arrived for"):
        open_database(database)


@pytest.mark.parametrize("output", ["b'Z' * 9", "b'E' + b'\\xff' * 8", "b'D' + bytes(8)"])
def test_invalid_frames_are_refused(database, tmp_path, monkeypatch, output):
    stated = "import struct\nframe = b'1 1 5'\nhead = struct.pack('>cII', b'I', 5, 0) + frame\n"
    (tmp_path / "lsun_reader.py").write_text(f"import sys\n{stated}sys.stdout.buffer.write(head + {output})\n")
    monkeypatch.setattr(lsun, "__file__", str(tmp_path / "lsun.py"))
    with pytest.raises(DataError, match="cannot be read after entry 0 of 5"):
        open_database(database)


@pytest.mark.parametrize("number", [0, 39])
def test_stopping_early_ends_the_reader(database, encode, monkeypatch, number):
    started = []

    class Watched(subprocess.Popen):
        def __init__(self, *args, **options):
            super().__init__(*args, **options)
            started.append(self)

    monkeypatch.setattr(lsun.subprocess, "Popen", Watched)
    with lmdb.open(str(database), map_size=1 << 26) as env, env.begin(write=True) as transaction:
        transaction.put(f"{number:040x}".encode(), encode()[:50])
    with pytest.raises(DataError, match="damaged"):
        open_database(database)
    assert started
    assert all(process.returncode is not None for process in started)
