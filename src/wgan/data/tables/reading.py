"""Read a table file of any format, compressed or not."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import IO

from wgan.data.columns.raw import RawTable
from wgan.data.compression import ZIP_MARKS, compression_of
from wgan.data.contents import table_format
from wgan.data.tables.formats import TABLE_FORMATS
from wgan.data.tables.limits import decompressed


def read_table(path: Path, *, name: str, header: bool) -> RawTable:
    """Read a file of any of `TABLE_FORMATS`, compressed or not.

    Args:
        path: The file.
        name: Its name, as the user gave it.
        header: Whether the first line names the columns, where a format leaves that open.

    Raises:
        DataError: The file cannot be read. The message names the line or row.
    """
    known, is_misnamed = table_format(path)
    known = known or TABLE_FORMATS[0]
    start = _start(path)
    if compression_of(start) or start.startswith(ZIP_MARKS):
        temporary = decompressed(path, name)
        raw = known.read(Path(temporary.name), name=name, header=header)
        raw = replace(raw, places=_places_in(temporary, raw.places))
    else:
        raw = known.read(path, name=name, header=header)
    note = f"{name} is read as {known.name}, which it holds, whatever its ending says"
    return replace(raw, notes=(note, *raw.notes)) if is_misnamed else raw


def _places_in(
    temporary: IO[bytes], places: Callable[[Sequence[int]], list[str]]
) -> Callable[[Sequence[int]], list[str]]:
    """The same function, which keeps the temporary file that it reads from being deleted."""

    def places_in(rows: Sequence[int]) -> list[str]:
        assert not temporary.closed
        return places(rows)

    return places_in


def _start(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(8)
    except OSError:
        return b""
