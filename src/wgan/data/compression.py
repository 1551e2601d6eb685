"""Compressed files and zip archives: how they begin, and how they are opened. Imports neither torch nor Arrow."""

from __future__ import annotations

import bz2
import contextlib
import gzip
import lzma
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import IO, Any, BinaryIO, cast

COMPRESSIONS: dict[str, bytes] = {
    ".gz": b"\x1f\x8b",
    ".zst": b"\x28\xb5\x2f\xfd",
    ".bz2": b"BZh",
    ".xz": b"\xfd7zXZ\0",
}
"""The endings of compressed files, and their first bytes."""

DAMAGED = (OSError, EOFError, ValueError, zlib.error, lzma.LZMAError, MemoryError)
"""The exceptions raised by reading damaged compressed bytes."""

ZIP_MARKS = (b"PK\x03\x04", b"PK\x05\x06")
"""The first bytes of zip archives, the second of an empty one."""

_HEAD_BYTES = 1 << 15


def compression_of(head: bytes) -> str:
    """The ending of the compression that a file's first bytes belong to; empty for none."""
    return next((ending for ending, mark in COMPRESSIONS.items() if head.startswith(mark)), "")


def open_decompressed(path: Path, compression: str) -> IO[bytes]:
    """Open a compressed file for reading its decompressed bytes.

    Args:
        path: The file.
        compression: A key of `COMPRESSIONS`.
    """
    if compression == ".gz":
        return cast("IO[bytes]", gzip.open(path))
    if compression == ".bz2":
        return cast("IO[bytes]", bz2.open(path))
    if compression == ".xz":
        return cast("IO[bytes]", lzma.open(path))
    import pyarrow as pa

    return cast("IO[bytes]", pa.CompressedInputStream(pa.PythonFile(path.open("rb")), "zstd"))


@contextlib.contextmanager
def compressed(file: BinaryIO, compression: str) -> Iterator[BinaryIO]:
    """A file that compresses what is written to it into another one. Equal input gives equal output.

    Args:
        file: Open for writing. It stays open.
        compression: A key of `COMPRESSIONS`, or empty for none, which yields the file itself.
    """
    if not compression:
        yield file
        return
    inner: Any
    if compression == ".gz":
        # Neither a name nor a time in the header.
        inner = gzip.GzipFile(filename="", mode="wb", fileobj=file, mtime=0)
    elif compression == ".bz2":
        inner = bz2.BZ2File(file, "wb")
    elif compression == ".xz":
        inner = lzma.LZMAFile(file, "wb")  # noqa: SIM115 - closed below
    else:
        import pyarrow as pa

        inner = pa.CompressedOutputStream(file, "zstd")
    with inner:
        yield inner


def head_of(path: Path) -> bytes:
    """The first 32 KiB of a file, decompressed if it is compressed; empty if they cannot be read."""
    try:
        with path.open("rb") as file:
            head = file.read(_HEAD_BYTES)
        if compression := compression_of(head):
            with open_decompressed(path, compression) as inner:
                head = inner.read(_HEAD_BYTES)
    except DAMAGED:
        return b""
    return head


def zip_members(path: Path) -> list[str]:
    """The files in a zip archive, without folders and without hidden and system files; empty if it is damaged."""
    try:
        with zipfile.ZipFile(path) as archive:
            return [member for member in archive.namelist() if is_user_file(member)]
    except (*DAMAGED, zipfile.BadZipFile, NotImplementedError):
        return []


def is_user_file(member: str) -> bool:
    """Whether a member of an archive is neither a folder nor a hidden or system file."""
    is_hidden = member.startswith("__MACOSX/") or PurePosixPath(member).name.startswith(".")
    return not member.endswith("/") and not is_hidden
