"""Identify a file by its first bytes, whatever its ending. Imports neither torch nor Arrow."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Literal

from wgan.data.compression import ZIP_MARKS, head_of, zip_members
from wgan.data.tables.formats import TableFormat, by_bytes, by_ending, by_text

Content = Literal["npy", "npz", "table", "zip", "tar", "idx", "image", "foreign", ""]

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
"""Well-known kinds of files that cannot be read, and their first bytes."""

_BEGINNINGS: tuple[tuple[Content, tuple[bytes, ...]], ...] = (
    ("npy", (b"\x93NUMPY",)),
    ("image", (b"\x89PNG\r\n", b"\xff\xd8\xff", b"GIF8", b"II*\0", b"MM\0*", b"P5\n", b"P6\n")),
    ("zip", ZIP_MARKS),
    ("foreign", tuple(mark for marks in FOREIGN.values() for mark in marks)),
)
_TAR_MARK, _TAR_OFFSET = b"ustar", 257
_JSON_ARRAY = re.compile(r"\s*\[\s*[\[{]")
_CONTROL = re.compile(r"[\x00-\x08\x0e-\x1f\x7f]")
_IDX_TYPES = b"\x08\x09\x0b\x0c\x0d\x0e"


def content_of(path: Path) -> Content:
    """The content of a file, as `identify` finds it."""
    return identify(path)[0]


def identify(path: Path) -> tuple[Content, TableFormat | None]:
    """Identify the content of a file by its first bytes, and of a zip archive by the names of its members.

    Args:
        path: A regular file. If it is compressed, the decompressed bytes count.

    Returns:
        The content, empty if the bytes do not settle it; and the format of a table or of the only table in an archive.
        Text is a table only if its lines have the same number of cells, at least two.
    """
    head = head_of(path)
    if (text := _text(head)) is not None:
        # Text is not compared with the marks below: columns may be called PAR1 or BMI.
        if _JSON_ARRAY.match(text):
            return "foreign", None
        known = by_text(text)
        return ("table" if known else ""), known
    if known := by_bytes(head):
        return "table", known
    for content, marks in _BEGINNINGS:
        if head.startswith(marks):
            return _identify_zip(path) if content == "zip" else (content, None)
    if head[8:12] == b"WEBP" or head[4:12] in (b"ftypavif", b"ftypavis"):
        return "image", None
    if head[_TAR_OFFSET : _TAR_OFFSET + len(_TAR_MARK)] == _TAR_MARK:
        return "tar", None
    if len(head) > 3 and head[:2] == b"\0\0" and head[2] in _IDX_TYPES and 1 <= head[3] <= 4:
        return "idx", None
    return ("image" if head.startswith(b"BM") and head[6:10] == bytes(4) else ""), None


def table_format(path: Path) -> tuple[TableFormat | None, bool]:
    """The format of a table in a file: by its content where that is clear, else by its ending.

    Returns:
        The format, None if the file is not a table; and whether its content contradicts its ending.
    """
    content, found = identify(path)
    if content == "zip":
        return found, False
    named = by_ending(path.name)
    if found is None or (named is not None and named.has_content_of(found)):
        return named, False
    return found, True


def foreign_name(path: Path) -> str:
    """The kind of a well-known file that cannot be read; empty for any other file."""
    head = head_of(path)
    named = next((name for name, marks in FOREIGN.items() if head.startswith(marks)), "")
    if not named and head.startswith(b"PK") and _is_workbook(zip_members(path)):
        return "an Excel workbook"
    return "a JSON array" if not named and _JSON_ARRAY.match(head.decode("utf-8-sig", "ignore")) else named


def _is_workbook(members: list[str]) -> bool:
    return any(member.startswith("xl/") for member in members)


def _identify_zip(path: Path) -> tuple[Content, TableFormat | None]:
    members = zip_members(path)
    if members and all(member.endswith(".npy") for member in members):
        return "npz", None
    if _is_workbook(members):
        return "foreign", None
    # An archive that cannot be listed is damaged. Its ending decides which reader reports that.
    return ("zip" if members else ""), by_ending(members[0]) if len(members) == 1 else None


def _text(head: bytes) -> str | None:
    """The first bytes of a file as text; None if they are not UTF-8 or hold control characters."""
    text = head.decode("utf-8-sig", "ignore")
    # The last character may be cut off.
    is_whole = len(text.encode()) >= len(head.removeprefix(b"\xef\xbb\xbf")) - 3
    return text if text and is_whole and not _CONTROL.search(text) else None
