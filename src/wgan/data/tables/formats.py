"""The files that tables are read from and written to: a row of `TABLE_FORMATS` each.

Nothing here waits for torch or Arrow: readers and writers are fetched when they are called.
"""

from __future__ import annotations

import importlib
import zipfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, BinaryIO

from wgan.data.contents import PACKINGS, Content, content_of, is_data, packing_of

if TYPE_CHECKING:
    import pyarrow as pa

    from wgan.data.tables.reading import Raw


@dataclass(frozen=True, kw_only=True)
class TableFormat:
    """A format of tables in files.

    Attributes:
        name: In words.
        endings: Of its files, the usual one first.
        content: What `content_of` says of such a file.
        reader: Module and function that read it: called with the path, `name` and `header`, it returns a `Raw`.
        writer: Module and function that write it: called with tables of one schema and an open file.
        packable: Whether a compressed file of it is read and written too, its ending followed by that of the packing.
        named_columns: Whether its files always name their columns; if not, the option `header` applies.
    """

    name: str
    endings: tuple[str, ...]
    content: Content
    reader: str
    writer: str
    packable: bool = False
    named_columns: bool = True

    def read(self, path: Path, *, name: str, header: bool) -> Raw:
        """Read a file that is not compressed."""
        raw: Raw = _fetched(self.reader)(path, name=name, header=header)
        return raw

    def write(self, tables: Iterator[pa.Table], file: BinaryIO) -> None:
        """Write tables of one schema one after another."""
        _fetched(self.writer)(tables, file)


_READING, _WRITING = "wgan.data.tables.reading", "wgan.data.tables.writing"
_FILES = "wgan.data.tables.files"

TABLE_FORMATS: tuple[TableFormat, ...] = (
    TableFormat(
        name="comma-separated text",
        endings=(".csv", ".txt", ".data", ".dat", ".psv"),
        content="text",
        reader=f"{_READING}:read_csv",
        writer=f"{_WRITING}:write_csv",
        packable=True,
        named_columns=False,
    ),
    TableFormat(
        name="tab-separated text",
        endings=(".tsv", ".tab"),
        content="text",
        reader=f"{_READING}:read_tsv",
        writer=f"{_WRITING}:write_tsv",
        packable=True,
        named_columns=False,
    ),
    TableFormat(
        name="Parquet",
        endings=(".parquet", ".pq", ".parq"),
        content="parquet",
        reader=f"{_FILES}:read_parquet",
        writer=f"{_WRITING}:write_parquet",
    ),
    TableFormat(
        name="Feather (Arrow IPC)",
        endings=(".feather", ".arrow", ".ipc", ".arrows"),
        content="feather",
        reader=f"{_FILES}:read_feather",
        writer=f"{_WRITING}:write_feather",
    ),
    TableFormat(
        name="JSON lines",
        endings=(".jsonl", ".ndjson"),
        content="jsonl",
        reader=f"{_FILES}:read_jsonl",
        writer=f"{_WRITING}:write_jsonl",
        packable=True,
    ),
)
"""All formats of tables: a new one is a row here, with its reader and its writer."""


def endings() -> tuple[str, ...]:
    """All endings of files of tables, those of compressed ones among them."""
    plain = [ending for known in TABLE_FORMATS for ending in known.endings]
    packed = [f"{ending}{packing}" for known in TABLE_FORMATS for ending in known.endings for packing in PACKINGS]
    return (*plain, *packed)


def written_endings() -> dict[str, tuple[TableFormat, str]]:
    """The endings that tables are written with: each with its format, and the ending of the packing or nothing."""
    found = {ending: (known, "") for known in TABLE_FORMATS for ending in known.endings}
    for known in TABLE_FORMATS:
        if known.packable:
            found |= {f"{ending}{packing}": (known, packing) for ending in known.endings for packing in PACKINGS}
    return found


def by_ending(name: str) -> TableFormat | None:
    """The format that a file's name says, the ending of a packing apart; None where it says nothing."""
    name = name.lower()
    for packing in PACKINGS:
        name = name.removesuffix(packing)
    return next((known for known in TABLE_FORMATS if name.endswith(known.endings)), None)


def by_content(content: Content) -> TableFormat | None:
    """The first format of which a file with this content is."""
    return next((known for known in TABLE_FORMATS if known.content == content), None)


def zipped_table(path: Path) -> str:
    """The name of the one table that a zip archive holds; empty where it holds anything else."""
    try:
        with zipfile.ZipFile(path) as archive:
            members = [member for member in archive.namelist() if is_data(member)]
    except (OSError, ValueError, NotImplementedError, zipfile.BadZipFile):
        return ""
    return members[0] if len(members) == 1 and by_ending(members[0]) else ""


def table_format(path: Path) -> tuple[TableFormat | None, bool]:
    """The format of a file, by its ending, or by its content where that is clear and says otherwise.

    Returns:
        The format, None where it is none of a table, and whether its content decided against its name.
    """
    content = content_of(path)
    if content == "zip":
        return by_ending(zipped_table(path)), False
    named, found = by_ending(path.name), by_content(content)
    if found is None or (named is not None and named.content == found.content):
        return named, False
    return found, True


def _places_in(
    temporary: IO[bytes], places: Callable[[Sequence[int]], list[str]]
) -> Callable[[Sequence[int]], list[str]]:
    """Look up rows in a temporary file, which stays as long as they can be looked up."""

    def looked_up(rows: Sequence[int]) -> list[str]:
        assert not temporary.closed
        return places(rows)

    return looked_up


def read_table(path: Path, *, name: str, header: bool) -> Raw:
    """Read a file of any of the formats, compressed or not.

    Args:
        path: The file.
        name: As the user called it.
        header: Whether the first line names the columns, where a format leaves it open.

    Raises:
        DataError: The file cannot be read; the message says where.
    """
    known, is_misnamed = table_format(path)
    known = known or TABLE_FORMATS[0]
    note = f"{name} is read as {known.name}, which it holds, whatever its ending says"
    start = _start(path)
    if packing_of(start) or start.startswith(b"PK"):
        from wgan.data.tables.files import unpacked

        with_temporary = unpacked(path, name)
        raw = known.read(Path(with_temporary.name), name=name, header=header)
        raw = replace(raw, places=_places_in(with_temporary, raw.places))
    else:
        raw = known.read(path, name=name, header=header)
    return replace(raw, notes=(note, *raw.notes)) if is_misnamed else raw


def _start(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(8)
    except OSError:
        return b""


def _fetched(place: str) -> Any:  # noqa: ANN401 - a function of the module named
    module, _, function = place.partition(":")
    return getattr(importlib.import_module(module), function)
