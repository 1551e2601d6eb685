"""Atomic writes, checksums, and locks on directories.

A file or folder is written under a temporary name in the same directory, synced to the disk, and renamed. A stop at any
time therefore leaves the old file or the new one. The next owner of the directory removes temporary names that a killed
process left. POSIX is assumed: renames that replace, directories that can be synced, and locks that end with their
process.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import hashlib
import json
import os
import secrets
import shutil
import time
import warnings
import weakref
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from wgan.errors import CheckpointError, UsageError

TEMPORARY = ".tmp-"
"""Prefix of temporary names, of files that are half-written or half-removed."""

LOCK = "lock"
"""The lock file of a directory; it holds the process id of its owner."""


def temporary_beside(path: Path) -> Path:
    """An unused name in the same directory, so that a rename to `path` is atomic."""
    return path.with_name(f"{TEMPORARY}{path.name}-{secrets.token_hex(4)}")


def sync(path: Path) -> None:
    """Wait until the bytes of a file, or the entries of a directory, are on the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def canonical_json(value: object) -> bytes:
    """JSON in a unique form: keys sorted, indented, ASCII, floats to the last bit.

    Raises:
        ValueError: A number is NaN or infinite.
    """
    return (json.dumps(value, sort_keys=True, indent=1, allow_nan=False) + "\n").encode("ascii")


class DamagedError(Exception):
    """Bytes differ from those that were written; callers turn it into an error with a remedy."""


def parsed(raw: bytes, name: str) -> dict[str, Any]:
    """The JSON object in the bytes of a file, without a check of its checksum.

    Raises:
        DamagedError: The bytes are not a JSON object.
    """
    try:
        content = json.loads(raw, parse_constant=_refuse_constant)
    except (ValueError, RecursionError):
        raise DamagedError(f"{name} is not JSON") from None
    if not isinstance(content, dict):
        raise DamagedError(f"{name} is not a JSON object")
    return content


def _refuse_constant(word: str) -> float:
    raise ValueError(f"{word} is not a JSON number")


def seal(content: dict[str, Any]) -> bytes:
    """JSON with a member `sha256`, the checksum of the others."""
    return canonical_json(content | {"sha256": hashlib.sha256(canonical_json(content)).hexdigest()})


def unseal(raw: bytes, name: str) -> dict[str, Any]:
    """The content of sealed JSON.

    Raises:
        DamagedError: It is not the bytes that `seal` wrote.
    """
    content = parsed(raw, name)
    content.pop("sha256", None)
    if seal(content) != raw:
        raise DamagedError(f"{name} does not have the checksum that it carries")
    return content


def read_plain(path: Path) -> bytes:
    """Read an ordinary file.

    Raises:
        OSError: It cannot be read, or is a pipe or a device, whose reading may never end.
    """
    refuse_special(path)
    return path.read_bytes()


def refuse_special(path: Path) -> None:
    """Refuse an existing path that is not an ordinary file.

    Raises:
        OSError: It is a folder, a pipe or a device.
    """
    if path.exists() and not path.is_file():
        raise OSError(errno.EINVAL, "not an ordinary file", str(path))


def parsed_json(raw: bytes) -> Any:  # noqa: ANN401 - whatever the bytes hold
    """The value in JSON from any origin.

    Raises:
        ValueError: It is not JSON, or is nested deeper than Python's parser goes.
    """
    try:
        return json.loads(raw)
    except RecursionError:
        raise ValueError("it is nested too deeply") from None


def write_new(path: Path, content: bytes) -> None:
    """Write a new file, and wait until it is on the disk."""
    with path.open("xb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def replace_file(path: Path, content: bytes) -> None:
    """Replace the content of a file atomically.

    Raises:
        CheckpointError: The disk is full or failing; the old file is unchanged.
    """
    temporary = temporary_beside(path)
    with disk_faults(path, len(content)):
        try:
            write_new(temporary, content)
            temporary.replace(path)
            sync(path.parent)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise


def remove_folder(path: Path) -> None:
    """Remove a folder, or a file of that name; a stop meanwhile leaves no half of it under its name."""
    temporary = temporary_beside(path)
    path.rename(temporary)
    if temporary.is_dir() and not temporary.is_symlink():
        shutil.rmtree(temporary)
    else:
        temporary.unlink()


def install_folder(temporary: Path, path: Path) -> None:
    """Rename a folder whose files are synced to `path`, replace what is there, and wait until that is on the disk."""
    sync(temporary)
    if path.exists():
        remove_folder(path)
    temporary.rename(path)
    sync(path.parent)


def sweep(directory: Path, *, older_than: float = 0.0) -> None:
    """Remove temporary files and folders that killed processes left.

    Args:
        directory: A folder that the caller owns, or one that several processes write in.
        older_than: Least seconds since their last change. If several processes write, younger ones may be in use.
    """
    for left in directory.glob(f"{TEMPORARY}*"):
        # Another process may have removed it meanwhile.
        with contextlib.suppress(FileNotFoundError):
            if older_than and time.time() - left.lstat().st_mtime < older_than:
                continue
            if left.is_dir() and not left.is_symlink():
                shutil.rmtree(left)
            else:
                left.unlink()


def require_space(directory: Path, needed: int) -> None:
    """Refuse to write more than the disk can hold.

    Args:
        directory: Where the files are written.
        needed: Bytes.

    Raises:
        CheckpointError: Fewer bytes are free.
    """
    if shutil.disk_usage(directory).free < needed:
        raise full_disk(directory, needed)


def is_full(error: OSError) -> bool:
    """Whether an error says that the disk, a quota or a file is full."""
    return error.errno in _FULL


def full_disk(directory: Path, needed: int) -> CheckpointError:
    """The error of a disk that cannot hold `needed` more bytes.

    Args:
        directory: Where they were to be written; it may be missing.
        needed: Bytes.
    """
    there = next(path for path in (directory, *directory.absolute().parents) if path.exists())
    free = shutil.disk_usage(there).free
    return CheckpointError(
        f"the disk is full: '{directory}' needs {needed:,} bytes and {free:,} are free", remedy=_MAKE_ROOM
    )


_MAKE_ROOM = "Make room and try again: what was there before is untouched."
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


@contextlib.contextmanager
def disk_faults(path: Path, needed: int = 0) -> Iterator[None]:
    """Raise `CheckpointError` in place of any OSError within the block.

    Args:
        path: The file that is written.
        needed: Its bytes, if they are known.

    Raises:
        CheckpointError: The disk is full or failing.
    """
    try:
        yield
    except OSError as error:
        free = "unknown"
        with contextlib.suppress(OSError):
            free = f"{shutil.disk_usage(path.parent).free:,}"
        room = f" ({needed:,} bytes needed, {free} free)" if needed else f" ({free} bytes free)"
        reason = "the disk is full" if is_full(error) else (error.strerror or str(error))
        remedy = _MAKE_ROOM if is_full(error) else "Check the disk and try again: what was there before is untouched."
        raise CheckpointError(f"'{path}' could not be written: {reason}{room}", remedy=remedy) from error


class Ownership:
    """The right to write in a directory, for one process at a time.

    The kernel releases the lock when the process ends, however it ends, so that no stale lock remains.

    Args:
        directory: An existing folder.

    Raises:
        UsageError: Another run owns it; its process id is named.
    """

    def __init__(self, directory: Path) -> None:
        self._descriptor: int | None = os.open(directory / LOCK, os.O_RDWR | os.O_CREAT, 0o644)
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            owner = os.read(self._descriptor, 32).decode("ascii", "replace").strip()
            os.close(self._descriptor)
            raise UsageError(
                f"'{directory}' is in use: {f'process {owner}' if owner else 'another process'} is training in it",
                remedy=f"Wait for it, stop it (kill {owner or 'PID'}), or choose another directory.",
            ) from None
        except OSError as error:
            warnings.warn(
                f"'{directory}' cannot be locked ({error.strerror}): see that no second run uses it", stacklevel=3
            )
        os.ftruncate(self._descriptor, 0)
        os.write(self._descriptor, str(os.getpid()).encode("ascii"))
        _OWNED.add(self)

    def release(self) -> None:
        """Release the directory. A second call does nothing."""
        if self._descriptor is not None:
            os.ftruncate(self._descriptor, 0)
            fcntl.flock(self._descriptor, fcntl.LOCK_UN)
            self.forget()

    def forget(self) -> None:
        """Close this process's file descriptor and keep the lock: a forked child must not hold or release it."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None


_OWNED: weakref.WeakSet[Ownership] = weakref.WeakSet()


def _forget_all() -> None:
    for ownership in list(_OWNED):
        ownership.forget()


os.register_at_fork(after_in_child=_forget_all)
