"""The formats of table files: a row of `TABLE_FORMATS` each.

To add a format, write its reader, its writer and its row in this file (or name functions of another module in the row).
Importing this module imports neither torch nor Arrow: readers and writers are imported when they are first called.
"""

from __future__ import annotations

import csv
import importlib
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from wgan.data.compression import COMPRESSIONS

if TYPE_CHECKING:
    import pyarrow as pa

    from wgan.data.columns.raw import RawTable

_DELIMITERS = ",;\t|"


@dataclass(frozen=True, kw_only=True)
class TableFormat:
    """A format of table files.

    Attributes:
        name: The name in messages.
        endings: The endings of its files, the usual one first.
        reader: "module:function", called as `read(path, name=..., header=...)`; returns a `RawTable`.
        writer: "module:function", called as `write(tables, file)` with tables of one schema and an open binary file.
        begins: The first bytes of its files, if it is binary.
        is_text: Whether text, the first 32 KiB of a file, is of this format; None if the format is binary.
        compressible: Whether compressed files of it can be written, with the compression's ending after its own.
        named_columns: Whether its files always name their columns. If not, the option `header` applies.
    """

    name: str
    endings: tuple[str, ...]
    reader: str
    writer: str
    begins: tuple[bytes, ...] = ()
    is_text: Callable[[str], bool] | None = None
    compressible: bool = False
    named_columns: bool = True

    def read(self, path: Path, *, name: str, header: bool) -> RawTable:
        """Read a file that is not compressed.

        Args:
            path: The file.
            name: Its name, as the user gave it.
            header: Whether the first line names the columns, where a format leaves that open.

        Raises:
            DataError: The file cannot be read.
        """
        raw: RawTable = _function(self.reader)(path, name=name, header=header)
        return raw

    def write(self, tables: Iterator[pa.Table], file: BinaryIO) -> None:
        """Write tables of one schema one after another. Equal tables give equal bytes."""
        _function(self.writer)(tables, file)

    def has_content_of(self, other: TableFormat) -> bool:
        """Whether files of both formats look alike, such as text with commas and with tabs."""
        return (self.begins, self.is_text) == (other.begins, other.is_text)


def is_delimited(text: str) -> bool:
    """Whether all lines have the same number of cells, at least two."""
    lines = _lines(text)
    if not lines or is_jsonl(text):
        return False
    # The last line may be cut off.
    lines = lines[: max(2, len(lines) - 1)][:20]
    delimiter = max(_DELIMITERS, key=lines[0].count)
    try:
        widths = [len(cells) for cells in csv.reader(lines, delimiter=delimiter)]
    except csv.Error:
        return False
    return len(widths) > 1 and widths[0] > 1 and len(set(widths)) == 1


def is_jsonl(text: str) -> bool:
    """Whether the first line is a JSON object."""
    line = next(iter(_lines(text)), "")
    if not line.lstrip().startswith("{"):
        return False
    try:
        return isinstance(json.loads(line), dict)
    except (ValueError, RecursionError):
        return False


def _lines(text: str) -> list[str]:
    return [line for line in text.splitlines() if line.strip()]


_DELIMITED, _ARROW, _JSONL = (f"wgan.data.tables.{module}" for module in ("delimited", "arrow", "jsonl"))

TABLE_FORMATS: tuple[TableFormat, ...] = (
    TableFormat(
        name="comma-separated text",
        endings=(".csv", ".txt", ".data", ".dat", ".psv"),
        reader=f"{_DELIMITED}:read_csv",
        writer=f"{_DELIMITED}:write_csv",
        is_text=is_delimited,
        compressible=True,
        named_columns=False,
    ),
    TableFormat(
        name="tab-separated text",
        endings=(".tsv", ".tab"),
        reader=f"{_DELIMITED}:read_tsv",
        writer=f"{_DELIMITED}:write_tsv",
        is_text=is_delimited,
        compressible=True,
        named_columns=False,
    ),
    TableFormat(
        name="Parquet",
        endings=(".parquet", ".pq", ".parq"),
        reader=f"{_ARROW}:read_parquet",
        writer=f"{_ARROW}:write_parquet",
        begins=(b"PAR1",),
    ),
    TableFormat(
        name="Feather (Arrow IPC)",
        endings=(".feather", ".arrow", ".ipc", ".arrows"),
        reader=f"{_ARROW}:read_feather",
        writer=f"{_ARROW}:write_feather",
        begins=(b"ARROW1", b"FEA1", b"\xff\xff\xff\xff"),
    ),
    TableFormat(
        name="JSON lines",
        endings=(".jsonl", ".ndjson"),
        reader=f"{_JSONL}:read_jsonl",
        writer=f"{_JSONL}:write_jsonl",
        is_text=is_jsonl,
        compressible=True,
    ),
)


def written_endings() -> dict[str, tuple[TableFormat, str]]:
    """The endings of the files that can be written: each with its format, and the compression's ending or nothing."""
    found = {ending: (known, "") for known in TABLE_FORMATS for ending in known.endings}
    for known in TABLE_FORMATS:
        if known.compressible:
            found |= {f"{ending}{packed}": (known, packed) for ending in known.endings for packed in COMPRESSIONS}
    return found


def by_ending(name: str) -> TableFormat | None:
    """The format of a file by the ending of its name, before that of a compression; None if there is none."""
    name = name.lower()
    for compression in COMPRESSIONS:
        name = name.removesuffix(compression)
    return next((known for known in TABLE_FORMATS if name.endswith(known.endings)), None)


def by_bytes(head: bytes) -> TableFormat | None:
    """The binary format of a file by its first bytes; None if there is none."""
    return next((known for known in TABLE_FORMATS if known.begins and head.startswith(known.begins)), None)


def by_text(text: str) -> TableFormat | None:
    """The first text format that text, the beginning of a file, is of; None if there is none."""
    return next((known for known in TABLE_FORMATS if known.is_text is not None and known.is_text(text)), None)


def _function(name: str) -> Any:  # noqa: ANN401 - a reader or a writer
    module, _, function = name.partition(":")
    return getattr(importlib.import_module(module), function)
