"""Tables of one schema, one after another, into an open file; the same tables give the same bytes."""

from __future__ import annotations

import itertools
import json
import math
from collections.abc import Iterator
from typing import BinaryIO

import pyarrow as pa

# Fewer rows would make a file of a thousand small pieces, more would take memory for nothing.
_ROWS_PER_GROUP = 1 << 17


def write_csv(tables: Iterator[pa.Table], file: BinaryIO) -> None:
    """Cells in text with commas between them, the columns' names first."""
    _write_delimited(tables, file, ",")


def write_tsv(tables: Iterator[pa.Table], file: BinaryIO) -> None:
    """Cells in text with tabs between them, the columns' names first."""
    _write_delimited(tables, file, "\t")


def _write_delimited(tables: Iterator[pa.Table], file: BinaryIO, delimiter: str) -> None:
    from pyarrow import csv

    plain = map(without_views, tables)
    first = next(plain)
    options = csv.WriteOptions(delimiter=delimiter)
    with csv.CSVWriter(file, first.schema, write_options=options) as writer:
        for table in itertools.chain([first], plain):
            writer.write_table(table)


def without_views(table: pa.Table) -> pa.Table:
    """The same table with polars' string views as plain strings, which is all that Arrow's CSV writer knows."""
    for index, field in enumerate(table.schema):
        if pa.types.is_string_view(field.type):
            plain = table.column(index).cast(pa.large_string())
            table = table.set_column(index, field.name, plain)
    return table


def write_parquet(tables: Iterator[pa.Table], file: BinaryIO) -> None:
    """A Parquet file, types and dictionaries included."""
    from pyarrow import parquet

    first = next(tables)
    with parquet.ParquetWriter(file, first.schema) as writer:
        for table in _regrouped(itertools.chain([first], tables)):
            writer.write_table(table, row_group_size=_ROWS_PER_GROUP)


def write_feather(tables: Iterator[pa.Table], file: BinaryIO) -> None:
    """An Arrow IPC file, compressed as Feather files are."""
    first = next(tables)
    options = pa.ipc.IpcWriteOptions(compression="lz4", unify_dictionaries=True)
    with pa.ipc.new_file(file, first.schema, options=options) as writer:
        for table in _regrouped(itertools.chain([first], tables)):
            writer.write_table(table.combine_chunks())


def _regrouped(tables: Iterator[pa.Table]) -> Iterator[pa.Table]:
    """The same rows in tables of at least `_ROWS_PER_GROUP`, but for the last."""
    waiting: list[pa.Table] = []
    for table in tables:
        waiting.append(table)
        if sum(part.num_rows for part in waiting) >= _ROWS_PER_GROUP:
            yield pa.concat_tables(waiting)
            waiting = []
    if waiting:
        yield pa.concat_tables(waiting)


def write_jsonl(tables: Iterator[pa.Table], file: BinaryIO) -> None:
    """A JSON object a line; dates, times and decimals as text, in the form that a .csv has them in."""
    for table in tables:
        columns = [_jsonable(column) for column in table.columns]
        names = [json.dumps(name, ensure_ascii=False) for name in table.column_names]
        for cells in zip(*columns, strict=True):
            pairs = ", ".join(f"{name}: {cell}" for name, cell in zip(names, cells, strict=True))
            file.write(f"{{{pairs}}}\n".encode())


def _jsonable(column: pa.ChunkedArray) -> list[str]:
    """Each cell as it stands in JSON."""
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
