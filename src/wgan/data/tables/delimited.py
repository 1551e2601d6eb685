"""Text files whose columns are separated by commas, tabs, semicolons or bars. Errors name the line."""

from __future__ import annotations

import codecs
import csv
import itertools
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

import pyarrow as pa

from wgan.data.columns.raw import RawTable
from wgan.data.columns.text_formats import PLAIN_NUMBER
from wgan.errors import DataError, UsageError

_NUMBER = re.compile(PLAIN_NUMBER)
_LINES_LOOKED_AT = 50
_DELIMITERS = ",;\t|"
_CHUNK_BYTES = 2**20
# Arrow cannot read a row longer than a block.
_BLOCK_BYTES = 2**23


def read_tsv(path: Path, *, name: str, header: bool) -> RawTable:
    """Read text in UTF-8 whose columns are separated by tabs, or by another separator if the first line has no tab."""
    return read_csv(path, name=name, header=header, first="\t")


def read_csv(path: Path, *, name: str, header: bool, first: str = ",") -> RawTable:
    """Read text in UTF-8, its columns separated by commas, semicolons, tabs or bars.

    Args:
        path: The file.
        name: Its name, as the user gave it.
        header: Whether the first line names the columns. If not, they are called column_1, column_2, ...
        first: The separator that is preferred if the first line has it outside quotes.

    Returns:
        The table. All columns are text, and empty cells are null.

    Raises:
        DataError: The file is not UTF-8 (byte offset), is empty, or has a missing or ambiguous header or a row of
            another length (line number).
    """
    import pyarrow.csv

    check_utf8(path, name)
    delimiter = _delimiter(path, first)
    line, cells = next(_rows(path, delimiter), (0, []))
    if not cells:
        raise DataError(f"{name} is empty; needs at least 2 rows", remedy="Give more data.")
    names = cells if header else [f"column_{number}" for number in range(1, len(cells) + 1)]
    if header:
        _check_header(cells, line, name)
    try:
        # Arrow cannot open a path that is not UTF-8.
        with path.open("rb") as file:
            table = pyarrow.csv.read_csv(
                file,
                read_options=pyarrow.csv.ReadOptions(column_names=None if header else names, block_size=_BLOCK_BYTES),
                parse_options=pyarrow.csv.ParseOptions(delimiter=delimiter, newlines_in_values=True),
                convert_options=pyarrow.csv.ConvertOptions(
                    column_types=dict.fromkeys(names, pa.string()), null_values=[""], strings_can_be_null=True
                ),
            )
    except pa.ArrowInvalid as error:
        raise _parse_error(path, delimiter, len(cells), name, str(error)) from None
    except OSError as error:
        raise DataError(f"{name} cannot be read: {error}", remedy="Is it still there and readable?") from None

    _check_last_quote(table, path, delimiter, name)

    def places(rows: Sequence[int]) -> list[str]:
        return _places(path, delimiter, rows, header)

    return RawTable(
        table=table,
        name=name,
        untyped=True,
        places=places,
        notes=() if delimiter == first else (f"columns are separated by {delimiter!r}",),
    )


def write_csv(tables: Iterator[pa.Table], file: BinaryIO) -> None:
    """Write comma-separated text, with the names of the columns in the first line."""
    _write_delimited(tables, file, ",")


def write_tsv(tables: Iterator[pa.Table], file: BinaryIO) -> None:
    """Write tab-separated text, with the names of the columns in the first line."""
    _write_delimited(tables, file, "\t")


def _write_delimited(tables: Iterator[pa.Table], file: BinaryIO, delimiter: str) -> None:
    import pyarrow.csv

    plain = map(without_views, tables)
    first = next(plain)
    options = pyarrow.csv.WriteOptions(delimiter=delimiter)
    with pyarrow.csv.CSVWriter(file, first.schema, write_options=options) as writer:
        for table in itertools.chain([first], plain):
            writer.write_table(table)


def without_views(table: pa.Table) -> pa.Table:
    """The table with string views (from polars) as plain strings: Arrow's CSV writer does not support views."""
    for index, field in enumerate(table.schema):
        if pa.types.is_string_view(field.type):
            plain = table.column(index).cast(pa.large_string())
            table = table.set_column(index, field.name, plain)
    return table


def check_utf8(path: Path, name: str) -> None:
    """Refuse a file that is not text in UTF-8.

    Raises:
        DataError: An invalid byte or a NUL (byte offset).
        UsageError: The file cannot be opened.
    """
    decoder, offset, lines = codecs.getincrementaldecoder("utf-8")(), 0, 1
    try:
        with path.open("rb") as file:
            while True:
                chunk = file.read(_CHUNK_BYTES)
                pending = len(decoder.getstate()[0])
                try:
                    decoder.decode(chunk, final=not chunk)
                except UnicodeDecodeError as error:
                    byte = error.object[error.start]
                    guess = "utf-16" if not offset and chunk[:2] in (b"\xff\xfe", b"\xfe\xff") else "latin1"
                    raise DataError(
                        f"{name} is not UTF-8: byte {offset - pending + error.start:,} is 0x{byte:02x}",
                        remedy=f"Convert it, for example: iconv -f {guess} -t utf-8 '{path.name}'.",
                    ) from None
                if not chunk:
                    return
                if (nul := chunk.find(b"\0")) >= 0:
                    raise _nul(name, lines + chunk.count(b"\n", 0, nul), offset + nul)
                offset += len(chunk)
                lines += chunk.count(b"\n")
    except OSError as error:
        raise UsageError(f"{name} cannot be opened: {error.strerror}", remedy="Is it a readable file?") from None


def _nul(name: str, line: int, byte: int) -> DataError:
    return DataError(
        f"{name}, line {line:,}: a NUL byte (byte {byte:,}), which is not allowed in text",
        remedy="Remove it, or convert the file to UTF-8 if it is UTF-16; it may also be damaged: write it again.",
    )


def _delimiter(path: Path, usual: str) -> str:
    """The separator that splits the first lines into equal numbers of cells, or else the most frequent one."""
    with path.open(encoding="utf-8-sig", newline="") as file:
        lines = [line for line in itertools.islice(file, _LINES_LOOKED_AT) if line.strip()]
    first = lines[0] if lines else ""
    # Semicolons before commas: a file with semicolons may have a decimal comma in every cell.
    for mark in dict.fromkeys(("" if usual == "," else usual, "\t", ";", ",", "|")):
        if mark and _splits_evenly(lines, mark):
            return mark
    bare = _without_quoted(first)
    if usual in bare:
        return usual
    return max(_DELIMITERS, key=bare.count)


def _splits_evenly(lines: list[str], mark: str) -> bool:
    """Whether a separator outside quotes splits all lines into the same number of cells, at least two."""
    widths = {_without_quoted(line).count(mark) for line in lines}
    return len(widths) == 1 and widths.pop() > 0


def _without_quoted(line: str) -> str:
    """A line without its quoted parts."""
    return re.sub(r'"[^"]*"', "", line)


def _rows(path: Path, delimiter: str) -> Iterator[tuple[int, list[str]]]:
    """The first line and the cells of each row. Slow: used for the first row and to locate errors."""
    with path.open(encoding="utf-8-sig", newline="") as file, _long_cells():
        reader = csv.reader(file, delimiter=delimiter)
        line = 1
        for cells in reader:
            if cells:
                yield line, cells
            line = reader.line_num + 1


@contextmanager
def _long_cells() -> Iterator[None]:
    """Raise the maximal length of cells of Python's reader, which is global to the process, to that of Arrow's."""
    before = csv.field_size_limit(_BLOCK_BYTES)
    try:
        yield
    finally:
        csv.field_size_limit(before)


def _places(path: Path, delimiter: str, rows: Sequence[int], header: bool) -> list[str]:
    wanted, found = set(rows), dict[int, str]()
    try:
        for number, (line, _) in enumerate(_rows(path, delimiter), start=-1 if header else 0):
            if number in wanted:
                found[number] = f"line {line:,}"
                if len(found) == len(wanted):
                    break
    except (OSError, csv.Error):
        # If the file cannot be read a second time, the row number is still useful.
        pass
    return [found.get(row, f"row {row + 1:,}") for row in rows]


def _check_header(cells: list[str], line: int, name: str) -> None:
    if all(_NUMBER.fullmatch(cell.strip()) for cell in cells):
        raise DataError(
            f"{name}, line {line}: holds only numbers, where the columns' names should be",
            remedy="Use --no-header if the data begins on the first line.",
        )
    seen: dict[str, int] = {}
    for number, cell in enumerate(cells, start=1):
        if not cell.strip():
            raise DataError(
                f"{name}, line {line}: column {number} has no name",
                remedy="Name it, or use --no-header if the data begins on the first line.",
            )
        if cell in seen:
            raise DataError(
                f"{name}, line {line}: the name {cell!r} comes twice (columns {seen[cell]} and {number})",
                remedy="Rename one, or use --no-header if the data begins on the first line.",
            )
        seen[cell] = number


def _check_last_quote(table: pa.Table, path: Path, delimiter: str, name: str) -> None:
    """Refuse a quote that is never closed, which would silently make one cell of all lines after it."""
    last = table.slice(max(0, table.num_rows - 1)).to_pylist()
    if not any("\n" in cell for row in last for cell in row.values() if cell):
        return
    try:
        begin = max(line for line, _ in _rows(path, delimiter))
    except (OSError, csv.Error):
        return
    with path.open(encoding="utf-8-sig", newline="") as file, _long_cells():
        try:
            for _ in csv.reader(itertools.islice(file, begin - 1, None), delimiter=delimiter, strict=True):
                pass
        except csv.Error as error:
            if "unexpected end" not in str(error):
                return
            raise DataError(
                f"{name}, line {begin:,}: a double quote is opened in this row and never closed",
                remedy="Close it, or write it twice where it is part of the text.",
            ) from None


def _parse_error(path: Path, delimiter: str, width: int, name: str, reason: str) -> DataError:
    try:
        for line, cells in _rows(path, delimiter):
            if len(cells) != width:
                return DataError(
                    f"{name}, line {line:,}: {len(cells)} {'cell' if len(cells) == 1 else 'cells'}, "
                    f"where the first row has {width}",
                    remedy="Correct the line; a cell that holds the separator must be in double quotes.",
                )
    except (OSError, csv.Error):
        pass
    return DataError(
        f"{name} cannot be read as comma-separated text: {reason.splitlines()[0]}",
        remedy="Look for a double quote that is never closed.",
    )
