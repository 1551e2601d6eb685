import errno
import json
import os
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from wgan.errors import CheckpointError, UsageError
from wgan.system import storage
from wgan.system.storage import Ownership


def names(directory: Path) -> list[str]:
    return sorted(path.name for path in directory.iterdir())


def hold(directory: Path) -> subprocess.Popen[str]:
    """A process that owns `directory` until it is ended."""
    program = textwrap.dedent(
        """
        import sys, time
        from pathlib import Path
        from wgan.system.storage import Ownership
        ownership = Ownership(Path(sys.argv[1]))
        print("owned", flush=True)
        time.sleep(60)
        """
    )
    process = subprocess.Popen([sys.executable, "-c", program, str(directory)], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "owned\n"
    return process


def test_a_file_is_replaced_atomically(tmp_path):
    path = tmp_path / "note.json"
    storage.replace_file(path, b"old")
    storage.replace_file(path, b"new")
    assert path.read_bytes() == b"new"
    assert names(tmp_path) == ["note.json"]


@pytest.mark.parametrize("fault", [errno.ENOSPC, errno.EIO, errno.EDQUOT])
def test_a_failing_disk_keeps_the_old_file_and_leaves_nothing_else(tmp_path, monkeypatch, fault):
    path = tmp_path / "note.json"
    storage.replace_file(path, b"old")

    def fail(descriptor: int) -> None:
        raise OSError(fault, os.strerror(fault))

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(CheckpointError, match=r"note.json' could not be written.*3 bytes needed, [\d,]+ free"):
        storage.replace_file(path, b"new")
    assert path.read_bytes() == b"old"
    assert names(tmp_path) == ["note.json"]


def test_free_space_is_checked_before_writing(tmp_path):
    with pytest.raises(
        CheckpointError, match=r"disk is full.*needs 1,152,921,504,606,846,976 bytes and [\d,]+ are free"
    ):
        storage.require_space(tmp_path, 1 << 60)
    storage.require_space(tmp_path, 1)


def test_floats_are_exact_and_nan_is_refused():
    values = [0.1, 1 / 3, 5e-324, 1.7976931348623157e308, -0.0]
    assert [value.hex() for value in json.loads(storage.canonical_json(values))] == [value.hex() for value in values]
    with pytest.raises(ValueError, match="not JSON compliant"):
        storage.canonical_json({"estimate": float("nan")})


def test_sweeping_removes_temporary_files_only(tmp_path):
    (tmp_path / "kept").mkdir()
    (tmp_path / ".hidden").write_text("kept")
    storage.temporary_beside(tmp_path / "file").write_text("half")
    folder = storage.temporary_beside(tmp_path / "folder")
    folder.mkdir()
    (folder / "part").write_text("half")
    storage.sweep(tmp_path)
    assert names(tmp_path) == [".hidden", "kept"]


def test_with_several_writers_only_old_files_are_swept(tmp_path):
    old, new = (storage.temporary_beside(tmp_path / name) for name in ("old", "new"))
    for folder in (old, new):
        folder.mkdir()
    os.utime(old, (0, 0))
    storage.sweep(tmp_path, older_than=3_600)
    assert names(tmp_path) == [new.name]
    storage.sweep(tmp_path)
    assert names(tmp_path) == []


def test_a_folder_is_replaced_atomically(tmp_path):
    place = tmp_path / "place"
    for content in ("old", "new"):
        made = storage.temporary_beside(place)
        made.mkdir()
        (made / content).write_text(content)
        storage.install_folder(made, place)
        assert names(place) == [content]
    assert names(tmp_path) == ["place"]


def test_a_second_owner_is_refused_with_the_process_id_of_the_first(tmp_path):
    holder = hold(tmp_path)
    try:
        with pytest.raises(UsageError, match=f"process {holder.pid} is training in it"):
            Ownership(tmp_path)
    finally:
        holder.send_signal(signal.SIGKILL)
        holder.wait()
    # However its owner ended, the directory is free at once, even if the lock file remains.
    assert (tmp_path / "lock").read_text() == str(holder.pid)
    ownership = Ownership(tmp_path)
    assert (tmp_path / "lock").read_text() == str(os.getpid())
    ownership.release()
    assert (tmp_path / "lock").read_text() == ""


def test_the_same_process_cannot_own_twice_and_can_own_again(tmp_path):
    first = Ownership(tmp_path)
    with pytest.raises(UsageError, match=f"process {os.getpid()} "):
        Ownership(tmp_path)
    first.release()
    first.release()
    Ownership(tmp_path).release()


@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_a_forked_child_does_not_keep_the_lock(tmp_path):
    ownership = Ownership(tmp_path)
    to_child, to_parent = os.pipe(), os.pipe()
    child = os.fork()
    if child == 0:
        os.write(to_parent[1], b"here")
        os.close(to_child[1])
        os.read(to_child[0], 1)
        os._exit(0)
    os.read(to_parent[0], 4)
    # As after a kill of the parent: its handles are closed.
    ownership.forget()
    try:
        Ownership(tmp_path).release()
    finally:
        os.close(to_child[1])
        os.waitpid(child, 0)
