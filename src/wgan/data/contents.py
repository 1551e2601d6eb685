"""What the first bytes of a file say that it holds, whatever its name says; nothing here waits for torch or Arrow."""

from __future__ import annotations

import bz2
import contextlib
import csv
import gzip
import json
import lzma
import re
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import IO, Any, BinaryIO, Literal, cast

Content = Literal["npy", "npz", "parquet", "feather", "jsonl", "text", "zip", "tar", "idx", "image", "foreign", ""]

PACKINGS: dict[str, bytes] = {
    ".gz": b"\x1f\x8b",
    ".zst": b"\x28\xb5\x2f\xfd",
    ".bz2": b"BZh",
    ".xz": b"\xfd7zXZ\0",
}
"""Endings of compressed files, and how such files begin."""

FOREIGN: dict[str, tuple[bytes, ...]] = {
    "an Excel workbook": (b"\xd0\xcf\x11\xe0",),
    "a pickle": (b"\x80\x02", b"\x80\x03", b"\x80\x04", b"\x80\x05"),
    "an HDF5 file": (b"\x89HDF\r\n\x1a\n",),
    "an SQLite database": (b"SQLite format 3\0",),
    "a PDF document": (b"%PDF-",),
    "an ORC file": (b"ORC",),
    "an Avro file": (b"Obj\x01",),
    "a Stata file": (b"<stata_dta>",),
    "a MATLAB file": (b"MATLAB 5.0",),
}
"""Files that are well known and not read, and how they begin."""

_BEGINNINGS: tuple[tuple[Content, tuple[bytes, ...]], ...] = (
    ("npy", (b"\x93NUMPY",)),
    ("parquet", (b"PAR1",)),
    ("feather", (b"ARROW1", b"FEA1", b"\xff\xff\xff\xff")),
    ("image", (b"\x89PNG\r\n", b"\xff\xd8\xff", b"GIF8", b"II*\0", b"MM\0*", b"P5\n", b"P6\n")),
    ("zip", (b"PK\x03\x04", b"PK\x05\x06")),
    ("foreign", tuple(mark for marks in FOREIGN.values() for mark in marks)),
)
_HEAD_BYTES = 1 << 15
_TAR_MARK, _TAR_PLACE = b"ustar", 257
_JSON_ARRAY = re.compile(r"\s*\[\s*[\[{]")
_CONTROL = re.compile(r"[\x00-\x08\x0e-\x1f\x7f]")
_DELIMITERS = ",;\t|"
_IDX_TYPES = b"\x08\x09\x0b\x0c\x0d\x0e"


def packing_of(head: bytes) -> str:
    """The ending of the compression that bytes begin as, empty for none."""
    return next((ending for ending, mark in PACKINGS.items() if head.startswith(mark)), "")


def open_unpacked(path: Path, packing: str) -> IO[bytes]:
    """Open a compressed file for reading what was compressed.

    Args:
        path: The file.
        packing: A key of `PACKINGS`.
    """
    if packing == ".gz":
        return cast("IO[bytes]", gzip.open(path))
    if packing == ".bz2":
        return cast("IO[bytes]", bz2.open(path))
    if packing == ".xz":
        return cast("IO[bytes]", lzma.open(path))
    import pyarrow as pa

    return cast("IO[bytes]", pa.CompressedInputStream(pa.PythonFile(path.open("rb")), "zstd"))


@contextlib.contextmanager
def packed(file: BinaryIO, packing: str) -> Iterator[BinaryIO]:
    """A file that compresses what is written to it into another, the same bytes to the same bytes.

    Args:
        file: Open for writing; it stays open.
        packing: A key of `PACKINGS`, or empty for none: then the file itself.
    """
    if not packing:
        yield file
        return
    inner: Any
    if packing == ".gz":
        # Neither a name nor a time in the header.
        inner = gzip.GzipFile(filename="", mode="wb", fileobj=file, mtime=0)
    elif packing == ".bz2":
        inner = bz2.BZ2File(file, "wb")
    elif packing == ".xz":
        inner = lzma.LZMAFile(file, "wb")  # noqa: SIM115 - closed below
    else:
        import pyarrow as pa

        inner = pa.CompressedOutputStream(file, "zstd")
    with inner:
        yield inner


DAMAGED = (OSError, EOFError, ValueError, zlib.error, lzma.LZMAError, MemoryError)
"""What reading damaged compressed bytes raises."""


def head_of(path: Path) -> bytes:
    """The first bytes of a file, unpacked where it is compressed; empty where there are none to read."""
    try:
        with path.open("rb") as file:
            head = file.read(_HEAD_BYTES)
        packing = packing_of(head)
        if packing:
            with open_unpacked(path, packing) as unpacked:
                head = unpacked.read(_HEAD_BYTES)
    except DAMAGED:
        return b""
    return head


def content_of(path: Path) -> Content:
    """Say what a file holds, looking at no more than its beginning, or at the list of members of a zip archive.

    Args:
        path: A regular file.

    Returns:
        The content, that of the file inside where one file is compressed; "text" only where lines have the same number
        of cells, at least two. Empty where the beginning does not settle it.
    """
    head = head_of(path)
    if (text := _text(head)) is not None:
        # Columns may be called PAR1 or BMI.
        return _textual(text)
    for content, marks in _BEGINNINGS:
        if head.startswith(marks):
            return _zipped(path) if content == "zip" else content
    if head[8:12] == b"WEBP" or head[4:12] in (b"ftypavif", b"ftypavis"):
        return "image"
    if head[_TAR_PLACE : _TAR_PLACE + len(_TAR_MARK)] == _TAR_MARK:
        return "tar"
    if len(head) > 3 and head[:2] == b"\0\0" and head[2] in _IDX_TYPES and 1 <= head[3] <= 4:
        return "idx"
    return "image" if head.startswith(b"BM") and head[6:10] == bytes(4) else ""


def foreign_name(path: Path) -> str:
    """What a file is that is well known and not read; empty for any other."""
    head = head_of(path)
    named = next((name for name, marks in FOREIGN.items() if head.startswith(marks)), "")
    if not named and head.startswith(b"PK") and any(member.startswith("xl/") for member in _members(path)):
        return "an Excel workbook"
    return "a JSON array" if not named and _JSON_ARRAY.match(head.decode("utf-8-sig", "ignore")) else named


def is_data(member: str) -> bool:
    """Whether a member of an archive is a file of the user's: not a folder, nor what a system adds for itself."""
    hidden = member.startswith("__MACOSX/") or PurePosixPath(member).name.startswith(".")
    return not member.endswith("/") and not hidden


def _zipped(path: Path) -> Content:
    members = _members(path)
    if members and all(member.endswith(".npy") for member in members):
        return "npz"
    if any(member.startswith("xl/") for member in members):
        return "foreign"
    # What cannot be listed is damaged: its ending says which reader explains it.
    return "zip" if members else ""


def _members(path: Path) -> list[str]:
    try:
        with zipfile.ZipFile(path) as archive:
            return [member for member in archive.namelist() if is_data(member)]
    except (*DAMAGED, zipfile.BadZipFile, NotImplementedError):
        return []


def _text(head: bytes) -> str | None:
    """The beginning of a file as text, None where it is none: no UTF-8, or with control characters."""
    text = head.decode("utf-8-sig", "ignore")
    # The last character may be cut off.
    is_whole = len(text.encode()) >= len(head.removeprefix(b"\xef\xbb\xbf")) - 3
    return text if text and is_whole and not _CONTROL.search(text) else None


def _textual(text: str) -> Content:
    """Whether text begins as a table does: JSON objects a line, or lines of equally many cells."""
    lines = [line for line in text.splitlines() if line.strip()]
    if not lines:
        return ""
    if is_json_line(lines[0]):
        return "jsonl"
    if _JSON_ARRAY.match(text):
        return "foreign"
    # The last line may be cut off.
    lines = lines[: max(2, len(lines) - 1)][:20]
    delimiter = max(_DELIMITERS, key=lines[0].count)
    try:
        widths = [len(cells) for cells in csv.reader(lines, delimiter=delimiter)]
    except csv.Error:
        return ""
    return "text" if len(widths) > 1 and widths[0] > 1 and len(set(widths)) == 1 else ""


def is_json_line(line: str) -> bool:
    """Whether a line is one JSON object."""
    if not line.lstrip().startswith("{"):
        return False
    try:
        read: Any = json.loads(line)
    except (ValueError, RecursionError):
        return False
    return isinstance(read, dict)
