"""JSON lines: an object on each line, its keys the columns."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

import pyarrow as pa

from wgan.data.columns.raw import RawTable
from wgan.data.tables.delimited import check_utf8
from wgan.data.tables.limits import check_memory
from wgan.errors import DataError

_ROWS_PER_CHUNK = 1 << 15


def read_jsonl(path: Path, *, name: str, header: bool = True) -> RawTable:
    """Read JSON lines: an object on each line, its keys the columns.

    A key that is missing in an object is an empty cell. Arrow's reader is not used: it rounds whole numbers beyond 64
    bits, and deeply nested objects crash the interpreter.

    Args:
        path: The file.
        name: Its name, as the user gave it.
        header: Unused: columns always have names.

    Returns:
        The table. Its text may be dates, or numbers with separators or units, but not plain numbers.

    Raises:
        DataError: The file is not UTF-8, a line is not a JSON object (line number), or a column has cells of different
            types.
    """
    check_utf8(path, name)
    columns: dict[str, _Column] = {}
    rows, lines = 0, list[int]()
    with path.open(encoding="utf-8-sig", newline="\n") as file:
        for line, text in enumerate(file, start=1):
            if not text.strip():
                continue
            for key, value in _object(text, name, line).items():
                if key not in columns:
                    columns[key] = _Column(key)
                    # Each column has a cell for each row, however few objects have its key.
                    check_memory(8 * (rows + 1) * len(columns), name)
                columns[key].add(rows, line, value)
            rows += 1
            lines.append(line)
    if not rows:
        raise DataError(f"{name} is empty; needs at least 2 rows", remedy="Give more data.")
    table = pa.table({key: column.array(rows, name) for key, column in columns.items()})
    return RawTable(
        table=table,
        name=name,
        untyped=True,
        plain_numbers=False,
        places=lambda wanted: [f"line {lines[row]:,}" for row in wanted],
    )


def _object(text: str, name: str, line: int) -> dict[str, Any]:
    try:
        read = json.loads(text, parse_int=_Digits, object_pairs_hook=_pairs)
    except RecursionError:
        raise DataError(f"{name}, line {line:,}: objects nested too deeply", remedy="Give one value a key.") from None
    except ValueError as error:
        reason = getattr(error, "msg", str(error))
        remedy = 'Write one JSON object a line, such as {"age": 39, "job": "clerk"}.'
        raise DataError(f"{name}, line {line:,}: not JSON: {reason}", remedy=remedy) from None
    if not isinstance(read, dict):
        raise DataError(f"{name}, line {line:,}: not a JSON object", remedy="Write one JSON object a line.")
    if "\\u" in text:
        try:
            json.dumps(read, ensure_ascii=False).encode()
        except UnicodeEncodeError:
            message = f"{name}, line {line:,}: half of a surrogate pair"
            raise DataError(message, remedy="Write the whole character.") from None
    return read


class _Digits(str):
    """The digits of a whole number, which may exceed 64 bits."""

    __slots__ = ()


def _pairs(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    read = dict(pairs)
    if len(read) < len(pairs):
        raise ValueError("a key comes twice in one object")
    return read


class _Column:
    """The cells of one key, in chunks of one Arrow type each."""

    def __init__(self, key: str) -> None:
        self.key = key
        self.cells: list[Any] = []
        self.chunks: list[pa.Array] = []
        self.count = 0
        self.first: dict[str, int] = {}

    def add(self, row: int, line: int, value: Any) -> None:  # noqa: ANN401 - any JSON value
        """Set the cell of a row. Rows without a cell are empty."""
        kind = _kind(value)
        if kind:
            self.first.setdefault(kind, line)
        self.cells += [None] * (row - self.count)
        self.cells.append(value)
        self.count = row + 1
        if len(self.cells) >= _ROWS_PER_CHUNK:
            self._close()

    def _close(self) -> None:
        kinds = {_kind(value) for value in self.cells} - {""}
        if kinds <= {"whole number"}:
            # As text until all cells are known: some may exceed 64 bits.
            self.chunks.append(
                pa.array([None if cell is None else str(cell) for cell in self.cells], pa.large_string())
            )
        elif kinds <= {"whole number", "number"}:
            self.chunks.append(pa.array([None if cell is None else float(cell) for cell in self.cells], pa.float64()))
        elif kinds == {"boolean"}:
            self.chunks.append(pa.array(self.cells, pa.bool_()))
        elif kinds == {"text"}:
            self.chunks.append(pa.array(self.cells, pa.large_string()))
        else:
            self.chunks.append(pa.nulls(len(self.cells), pa.list_(pa.null())))
        self.cells = []

    def array(self, rows: int, name: str) -> pa.ChunkedArray:
        """All cells in one type.

        Raises:
            DataError: Cells of different types, such as text and numbers.
        """
        self.cells += [None] * (rows - self.count)
        self._close()
        kinds = set(self.first)
        if kinds & {"list or object"}:
            return pa.chunked_array([pa.nulls(rows, pa.list_(pa.null()))])
        if len(kinds - {"whole number"} | ({"number"} if "whole number" in kinds else set())) > 1:
            first, *others = sorted(self.first.items(), key=lambda item: item[1])
            kind, line = others[-1]
            raise DataError(
                f"{name}, line {line:,}, column {self.key!r}: a {kind} in a column that holds a {first[0]} "
                f"on line {first[1]:,}",
                remedy="Give every column one type; an empty cell is null.",
            )
        if kinds == {"whole number"}:
            return _whole(self.chunks)
        if not kinds:
            return pa.chunked_array([pa.nulls(rows)])
        known = {"text": pa.string(), "boolean": pa.bool_()}
        wanted = known.get(next(iter(kinds)), pa.float64())
        return pa.chunked_array([_cast(chunk, wanted) for chunk in self.chunks], wanted)


def _cast(chunk: pa.Array, kind: pa.DataType) -> pa.Array:
    return pa.nulls(len(chunk), kind) if chunk.null_count == len(chunk) else chunk.cast(kind)


def _whole(chunks: list[pa.Array]) -> pa.ChunkedArray:
    """Whole numbers of 64 bits, or text if one of them exceeds 64 bits."""
    for kind in (pa.int64(), pa.uint64()):
        try:
            return pa.chunked_array([chunk.cast(kind) for chunk in chunks], kind)
        except pa.ArrowInvalid:
            continue
    return pa.chunked_array([chunk.cast(pa.string()) for chunk in chunks], pa.string())


def _kind(value: Any) -> str:  # noqa: ANN401 - any JSON value
    if value is None:
        return ""
    kinds = {_Digits: "whole number", float: "number", bool: "boolean", str: "text"}
    return kinds.get(type(value), "list or object")


def write_jsonl(tables: Iterator[pa.Table], file: BinaryIO) -> None:
    """Write a JSON object on each line. Dates, times and decimals are text, as in a .csv."""
    for table in tables:
        columns = [_jsonable(column) for column in table.columns]
        names = [json.dumps(name, ensure_ascii=False) for name in table.column_names]
        for cells in zip(*columns, strict=True):
            pairs = ", ".join(f"{name}: {cell}" for name, cell in zip(names, cells, strict=True))
            file.write(f"{{{pairs}}}\n".encode())


def _jsonable(column: pa.ChunkedArray) -> list[str]:
    """The cells of a column as JSON."""
    kind = column.type
    if pa.types.is_dictionary(kind):
        column = column.combine_chunks()
        column = column.cast(kind.value_type)
        kind = kind.value_type
    if pa.types.is_float16(kind):
        column = column.cast(pa.float32())
    if pa.types.is_float32(column.type):
        # The shortest decimal of a float32 is not that of the same number as a float64.
        return ["null" if cell is None else cell for cell in column.cast(pa.string()).to_pylist()]
    known = (pa.types.is_boolean, pa.types.is_integer, pa.types.is_floating)
    if not any(check(kind) for check in known):
        column = column.cast(pa.string()) if not pa.types.is_duration(kind) else column.cast(pa.int64())
    return [
        _number(cell) if isinstance(cell, float) else json.dumps(cell, ensure_ascii=False)
        for cell in column.to_pylist()
    ]


def _number(cell: float) -> str:
    return "null" if math.isnan(cell) else json.dumps(cell)
