"""Writing so that a stop at any instant leaves the old file or the new one, and owning a directory while writing in it.

A file or folder is first written under a temporary name beside its place, synced to the disk, and renamed. What a
killed process leaves under such names is swept away by the next owner of the directory. POSIX is assumed: renames that
replace, folders that can be synced, and locks that end with their process.
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
"""How names begin that nobody reads: half-written or half-removed things."""

LOCK = "lock"
"""The file in a directory that its owner holds locked, with its process id inside."""


def temporary_beside(path: Path) -> Path:
    """An unused name in the same folder, so that a rename to `path` is atomic."""
    return path.with_name(f"{TEMPORARY}{path.name}-{secrets.token_hex(4)}")


def sync(path: Path) -> None:
    """Wait until a file's bytes, or a folder's entries, are on the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def canonical_json(value: object) -> bytes:
    """JSON in the one form that this project writes: sorted, indented, ASCII, floats to the last bit.

    Raises:
        ValueError: A number is NaN or infinite.
    """
    return (json.dumps(value, sort_keys=True, indent=1, allow_nan=False) + "\n").encode("ascii")


class DamagedError(Exception):
    """Bytes are not those that were written. What to do about it is for the caller to say."""


def parsed(raw: bytes, name: str) -> dict[str, Any]:
    """The JSON table in a file's bytes, unchecked."""
    try:
        content = json.loads(raw, parse_constant=_refuse_constant)
    except (ValueError, RecursionError):
        raise DamagedError(f"{name} is not JSON") from None
    if not isinstance(content, dict):
        raise DamagedError(f"{name} holds no table")
    return content


def _refuse_constant(word: str) -> float:
    raise ValueError(f"{word} is not a JSON number")


def seal(content: dict[str, Any]) -> bytes:
    """JSON that carries the checksum of all else in it."""
    return canonical_json(content | {"sha256": hashlib.sha256(canonical_json(content)).hexdigest()})


def unseal(raw: bytes, name: str) -> dict[str, Any]:
    """The content of sealed JSON, every byte of it checked."""
    content = parsed(raw, name)
    content.pop("sha256", None)
    if seal(content) != raw:
        raise DamagedError(f"{name} does not have the checksum that it carries")
    return content


def read_plain(path: Path) -> bytes:
    """Read a file that may have been put there by anyone.

    Raises:
        OSError: It cannot be read, or is a pipe or a device, of which the one may never answer and the other never end.
    """
    refuse_special(path)
    return path.read_bytes()


def refuse_special(path: Path) -> None:
    """Refuse what is there and is not an ordinary file.

    Raises:
        OSError: It is a folder, a pipe or a device.
    """
    if path.exists() and not path.is_file():
        raise OSError(errno.EINVAL, "not an ordinary file", str(path))


def parsed_json(raw: bytes) -> Any:  # noqa: ANN401 - whatever the bytes hold
    """The value in JSON that others may have written.

    Raises:
        ValueError: It is not JSON, or is nested deeper than Python's parser goes.
    """
    try:
        return json.loads(raw)
    except RecursionError:
        raise ValueError("it is nested too deeply") from None


def write_new(path: Path, content: bytes) -> None:
    """Write a file that nobody reads yet, and wait until it is on the disk."""
    with path.open("xb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def replace_file(path: Path, content: bytes) -> None:
    """Put `content` at `path`: at every instant the old file or the new one is there, whole.

    Raises:
        CheckpointError: The disk is full or failing; the old file is still there.
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
    """Remove a folder, or what lies in its place, so that a stop half-way leaves no half of it under its name."""
    doomed = temporary_beside(path)
    path.rename(doomed)
    if doomed.is_dir() and not doomed.is_symlink():
        shutil.rmtree(doomed)
    else:
        doomed.unlink()


def install_folder(temporary: Path, path: Path) -> None:
    """Put a folder whose files are synced at `path`, in place of what is there, and wait until that is on the disk."""
    sync(temporary)
    if path.exists():
        remove_folder(path)
    temporary.rename(path)
    sync(path.parent)


def sweep(directory: Path, *, older_than: float = 0.0) -> None:
    """Remove what stopped writers left behind.

    Args:
        directory: A folder that the caller owns, or one that several write in.
        older_than: Seconds since the last change of what goes: where several write, what is younger may be under way.
    """
    for left in directory.glob(f"{TEMPORARY}*"):
        # Whoever else writes here may have removed it meanwhile.
        with contextlib.suppress(FileNotFoundError):
            if older_than and time.time() - left.lstat().st_mtime < older_than:
                continue
            if left.is_dir() and not left.is_symlink():
                shutil.rmtree(left)
            else:
                left.unlink()


def require_space(directory: Path, needed: int) -> None:
    """Refuse to begin what the disk cannot hold.

    Args:
        directory: Where it is to be written.
        needed: Bytes.

    Raises:
        CheckpointError: Fewer bytes are free.
    """
    if shutil.disk_usage(directory).free < needed:
        raise full_disk(directory, needed)


def is_full(error: OSError) -> bool:
    """Whether the disk, a quota or a file can take no more."""
    return error.errno in _FULL


def full_disk(directory: Path, needed: int) -> CheckpointError:
    """The error of a disk that cannot hold `needed` more bytes.

    Args:
        directory: Where they were to be written; it need not be there.
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
    """Turn the operating system's errors within the block into this project's.

    Args:
        path: What is being written.
        needed: Its bytes, where they are known.

    Raises:
        CheckpointError: Instead of any OSError.
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

    The kernel holds the lock for as long as the process lives, however it ends: a lock never outlives a killed run, and
    no stale file has to be explained.

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
        """Give the directory back. A second call does nothing."""
        if self._descriptor is not None:
            os.ftruncate(self._descriptor, 0)
            fcntl.flock(self._descriptor, fcntl.LOCK_UN)
            self.forget()

    def forget(self) -> None:
        """Close this process's handle and no more: a lock that a forked child also holds would outlive its owner."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None


_OWNED: weakref.WeakSet[Ownership] = weakref.WeakSet()


def _forget_all() -> None:
    for ownership in list(_OWNED):
        ownership.forget()


os.register_at_fork(after_in_child=_forget_all)
