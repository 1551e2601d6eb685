"""Read text and data frames into Arrow. Errors name the line or row."""

from __future__ import annotations

import codecs
import csv
import itertools
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa

from wgan.errors import DataError, UsageError

NUMBER = r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?|[+-]?(?i:inf|infinity)"
_NUMBER = re.compile(NUMBER)
_LINES_LOOKED_AT = 50
_DELIMITERS = ",;\t|"
_CHUNK_BYTES = 2**20
# Arrow cannot read a row longer than a block.
_BLOCK_BYTES = 2**23


@dataclass(frozen=True, kw_only=True)
class Raw:
    """A table as it was read, before anything is decided about its columns.

    Attributes:
        table: All columns are text for a .csv.
        name: As the user called it.
        untyped: Whether the text may stand for numbers and dates, as in a .csv.
        plain_numbers: Whether text of plain digits may be a number; not so where numbers are written otherwise (JSON).
        delimiter: What separates the columns of text.
        places: Row numbers, from 0 and ascending, to how a person finds them: "line 7" or "row 6".
        notes: What the reader has to say.
    """

    table: pa.Table
    name: str
    untyped: bool
    places: Callable[[Sequence[int]], list[str]]
    plain_numbers: bool = True
    delimiter: str = ","
    notes: tuple[str, ...] = ()


def read_tsv(path: Path, *, name: str, header: bool) -> Raw:
    """Read text in UTF-8 whose columns are separated by tabs; by whatever else, where its first line has no tab."""
    return read_csv(path, name=name, header=header, first="\t")


def read_csv(path: Path, *, name: str, header: bool, first: str = ",") -> Raw:
    """Read text in UTF-8, its columns separated by commas, semicolons, tabs or bars.

    Args:
        path: The file.
        name: As the user called it.
        header: Whether the first line names the columns; if not, they are called column_1, column_2, ...
        first: The separator, where the first line has one outside quotes.

    Returns:
        The table, all of it text; empty cells are null.

    Raises:
        DataError: Not UTF-8 (byte offset); empty; a missing or ambiguous header, a ragged row (line number).
    """
    import pyarrow.csv

    check_utf8(path, name)
    usual, delimiter = first, _delimiter(path, first)
    line, cells = next(_rows(path, delimiter), (0, []))
    if not cells:
        raise DataError(f"{name} is empty; needs at least 2 rows", remedy="Give more data.")
    names = cells if header else [f"column_{number}" for number in range(1, len(cells) + 1)]
    if header:
        _check_header(cells, line, name)
    try:
        # Arrow opens no path that is not UTF-8; Python does.
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

    said = f"columns are separated by {delimiter!r}"
    return Raw(
        table=table,
        name=name,
        untyped=True,
        places=places,
        delimiter=delimiter,
        notes=() if delimiter == usual else (said,),
    )


def read_frame(frame: object, *, name: str) -> Raw:
    """Read a data frame of any library that speaks Arrow's PyCapsule interface (pandas, polars, Arrow).

    Raises:
        DataError: A column that Arrow cannot hold, or two columns of one name.
    """
    if hasattr(frame, "to_frame") and not hasattr(frame, "columns"):
        frame = frame.to_frame()
    try:
        table = pa.table(frame)
    except (pa.ArrowException, ValueError, TypeError, NotImplementedError, OverflowError) as error:
        reason = _mixed_types(frame) or "; ".join(str(part) for part in error.args) or type(error).__name__
        raise DataError(
            f"{name} cannot be read: {reason}", remedy="Give every column one type and a name of its own."
        ) from None
    return typed(table, name)


def _mixed_types(frame: object) -> str:
    """Where a column of Python objects changes its type, if that is what Arrow could not read."""
    columns = list(getattr(frame, "columns", ()))
    if len(set(columns)) < len(columns):
        return ""
    for column in columns:
        cells = [(row, cell) for row, cell in enumerate(frame[column], start=1) if cell is not None]  # type: ignore[index]
        # What pandas puts for an empty cell is a float that is unlike itself.
        cells = [(row, cell) for row, cell in cells if not (isinstance(cell, float) and cell != cell)]
        for row, cell in cells:
            if isinstance(cell, str) != isinstance(cells[0][1], str):
                return f"row {row:,}, column {str(column)!r}: {cell!r} among values of another type"
    return ""


def typed(table: pa.Table, name: str) -> Raw:
    """A table whose columns have types, without what only labels its rows.

    Raises:
        DataError: Columns that do not hold what they say, or two columns of one name.
    """
    try:
        # Arrow believes what a file says of itself: text that is not UTF-8 would be met much later.
        table.validate(full=True)
    except pa.ArrowException as error:
        reason = str(error).splitlines()[0]
        raise DataError(f"{name} holds columns that are damaged: {reason}", remedy="Write the data again.") from None
    notes: tuple[str, ...] = ()
    # pandas keeps its row labels as columns that it marks in the schema: they are no data.
    described = _described_index(table)
    index = [column for column in described if isinstance(column, str) and column in table.column_names]
    if index:
        table = table.drop_columns(index)
        notes += ("the frame's index is left out",)
    seen: set[str] = set()
    for column in table.column_names:
        if column in seen:
            raise DataError(f"{name}: the column name {column!r} comes twice", remedy="Give each its own name.")
        seen.add(column)
    return Raw(
        table=table,
        name=name,
        untyped=False,
        places=lambda rows: [f"row {row + 1:,}" for row in rows],
        notes=notes,
    )


def _described_index(table: pa.Table) -> list[Any]:
    """What pandas has noted of its row labels; nothing where the note is not one of pandas."""
    try:
        note = table.schema.pandas_metadata
    except (ValueError, RecursionError):
        return []
    described = note.get("index_columns", []) if isinstance(note, dict) else []
    return described if isinstance(described, list) else []


def check_utf8(path: Path, name: str) -> None:
    """Refuse a file that is not text in UTF-8.

    Raises:
        DataError: A byte that UTF-8 does not have there, or a NUL (byte offset).
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
        f"{name}, line {line:,}: a NUL byte (byte {byte:,}), which no text holds",
        remedy="Remove it, or convert the file to UTF-8 if it is UTF-16; it may also be damaged: write it again.",
    )


def _delimiter(path: Path, usual: str) -> str:
    """The separator that gives the first lines equally many cells; else by what the first line has outside quotes."""
    with path.open(encoding="utf-8-sig", newline="") as file:
        lines = [line for line in itertools.islice(file, _LINES_LOOKED_AT) if line.strip()]
    first = lines[0] if lines else ""
    # Commas come after semicolons: a file separated by these may have decimal commas in all cells.
    for mark in dict.fromkeys(("" if usual == "," else usual, "\t", ";", ",", "|")):
        if mark and _is_even(lines, mark):
            return mark
    bare = _bare(first)
    if usual in bare:
        return usual
    return max(_DELIMITERS, key=bare.count)


def _is_even(lines: list[str], mark: str) -> bool:
    """Whether a separator, outside quotes, splits all lines into equally many cells, at least two."""
    widths = {_bare(line).count(mark) for line in lines}
    return len(widths) == 1 and widths.pop() > 0


def _bare(line: str) -> str:
    """A line without what is in quotes."""
    return re.sub(r'"[^"]*"', "", line)


def _rows(path: Path, delimiter: str) -> Iterator[tuple[int, list[str]]]:
    """The line that each row begins on, and its cells: slow, for the first row and for saying where a fault is."""
    with path.open(encoding="utf-8-sig", newline="") as file, _long_cells():
        reader = csv.reader(file, delimiter=delimiter)
        line = 1
        for cells in reader:
            if cells:
                yield line, cells
            line = reader.line_num + 1


@contextmanager
def _long_cells() -> Iterator[None]:
    """Let Python's reader take cells as long as Arrow's takes; its limit is one for the whole process."""
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
        # The row number still helps where the file cannot be walked a second time.
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
    """Refuse a quote that is never closed: all lines after it would be one cell, and their rows silently lost."""
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
