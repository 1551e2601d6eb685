"""Parquet and Feather files: columns with Arrow's types."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

import pyarrow as pa

from wgan.data.columns.raw import RawTable, typed_table
from wgan.data.tables.limits import check_num_rows, within_memory
from wgan.errors import DataError

# Smaller groups of rows would make files of a thousand pieces, larger ones take memory without use.
_ROWS_PER_GROUP = 1 << 17


def read_parquet(path: Path, *, name: str, header: bool = True) -> RawTable:
    """Read a Parquet file.

    Args:
        path: The file.
        name: Its name, as the user gave it.
        header: Unused: columns always have names.

    Raises:
        DataError: The file is empty, damaged or too large, or two columns share a name.
    """
    import pyarrow.parquet

    if not path.stat().st_size:
        raise DataError(f"{name} is an empty file; needs at least 2 rows", remedy="Give more data.")
    try:
        # Arrow cannot open a path that is not UTF-8.
        with path.open("rb") as opened, pyarrow.parquet.ParquetFile(opened) as file:
            check_num_rows(file.metadata.num_rows, file.schema_arrow, name)
            # In batches, because a small file can state any number of rows.
            table = pa.Table.from_batches(within_memory(file.iter_batches(), name), schema=file.schema_arrow)
    except DataError:
        raise
    # A damaged header can also hold names that are not text, or sizes that exceed the memory.
    except (pa.ArrowException, OSError, ValueError, KeyError, MemoryError) as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise DataError(f"{name} cannot be read as parquet: {reason}", remedy="Write the file again.") from None
    return typed_table(table, name)


def read_feather(path: Path, *, name: str, header: bool = True) -> RawTable:
    """Read a Feather file: Arrow's IPC format, as a file or a stream.

    Args:
        path: The file.
        name: Its name, as the user gave it.
        header: Unused: columns always have names.

    Raises:
        DataError: The file is empty, damaged or too large, or two columns share a name.
    """
    if not path.stat().st_size:
        raise DataError(f"{name} is an empty file; needs at least 2 rows", remedy="Give more data.")
    try:
        # Arrow cannot open a path that is not UTF-8.
        with path.open("rb") as opened, pa.PythonFile(opened) as file:
            start = file.read(6)
            file.seek(0)
            if start.startswith(b"FEA1"):
                from pyarrow import feather

                return typed_table(feather.read_table(file), name)
            is_file = start == b"ARROW1"
            reader = pa.ipc.open_file(file) if is_file else pa.ipc.open_stream(file)
            batches = (reader.get_batch(index) for index in range(reader.num_record_batches)) if is_file else reader
            return typed_table(pa.Table.from_batches(within_memory(batches, name), schema=reader.schema), name)
    except DataError:
        raise
    except (pa.ArrowException, OSError, ValueError, MemoryError, KeyError) as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise DataError(f"{name} cannot be read as Feather: {reason}", remedy="Write the file again.") from None


def write_parquet(tables: Iterator[pa.Table], file: BinaryIO) -> None:
    """Write a Parquet file with types and dictionaries."""
    from pyarrow import parquet

    first = next(tables)
    with parquet.ParquetWriter(file, first.schema) as writer:
        for table in _regrouped(itertools.chain([first], tables)):
            writer.write_table(table, row_group_size=_ROWS_PER_GROUP)


def write_feather(tables: Iterator[pa.Table], file: BinaryIO) -> None:
    """Write a Feather file: Arrow IPC with lz4 compression."""
    first = next(tables)
    options = pa.ipc.IpcWriteOptions(compression="lz4", unify_dictionaries=True)
    with pa.ipc.new_file(file, first.schema, options=options) as writer:
        for table in _regrouped(itertools.chain([first], tables)):
            writer.write_table(table.combine_chunks())


def _regrouped(tables: Iterator[pa.Table]) -> Iterator[pa.Table]:
    """The same rows in tables of at least `_ROWS_PER_GROUP` rows, except for the last."""
    waiting: list[pa.Table] = []
    for table in tables:
        waiting.append(table)
        if sum(part.num_rows for part in waiting) >= _ROWS_PER_GROUP:
            yield pa.concat_tables(waiting)
            waiting = []
    if waiting:
        yield pa.concat_tables(waiting)
