"""Read Parquet, Feather and JSON lines into Arrow, and unpack compressed files without trusting their size."""

from __future__ import annotations

import json
import os
import tempfile
import zipfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import IO, Any

import pyarrow as pa

from wgan.data.contents import DAMAGED, is_data, open_unpacked, packing_of
from wgan.data.tables.reading import Raw, check_utf8, typed
from wgan.errors import DataError

_CHUNK_BYTES = 1 << 20
# Text packs 3 to 20 times smaller, a table of little else than zeros 100 times; bombs begin where it is a thousand.
_LARGEST_RATIO, _RATIO_FREE_BYTES = 250, 1 << 26
_ROWS_PER_CHUNK = 1 << 15


def memory_limit() -> int:
    """What one table may take in memory: half of the machine's."""
    return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // 2


def refuse_flood(num_rows: int, schema: pa.Schema, name: str) -> None:
    """Refuse a table whose header already states more than fits: a small file can state any number of rows.

    Raises:
        DataError: Its columns of fixed width take more than half of the machine's memory.
    """
    bits = sum(field.type.bit_width for field in schema if pa.types.is_primitive(field.type))
    if num_rows * bits // 8 > memory_limit():
        raise _too_large(name)


def within_memory(batches: Iterable[pa.RecordBatch], name: str) -> Iterator[pa.RecordBatch]:
    """The same batches, ended by an error before they fill the memory, whatever the file's headers promise.

    Raises:
        DataError: They take more than half of the machine's memory.
        pyarrow.ArrowInvalid: A batch is damaged.
    """
    taken, limit = 0, memory_limit()
    for batch in batches:
        taken += batch.nbytes
        if taken > limit:
            raise _too_large(name)
        # Offsets and text are used as the file has them: a damaged one could otherwise end the interpreter.
        batch.validate(full=True)
        yield batch


def _too_large(name: str) -> DataError:
    return DataError(
        f"{name} takes more than {memory_limit():,} bytes once it is read, half of this machine's memory",
        remedy="Give fewer rows or columns, or another machine.",
    )


def read_parquet(path: Path, *, name: str, header: bool = True) -> Raw:
    """Read a Parquet file.

    Args:
        path: The file.
        name: As the user called it.
        header: Has no meaning here: columns always have names.

    Raises:
        DataError: The file is empty, damaged or too large, or two columns share a name.
    """
    import pyarrow.parquet

    if not path.stat().st_size:
        raise DataError(f"{name} is an empty file; needs at least 2 rows", remedy="Give more data.")
    try:
        # Arrow opens no path that is not UTF-8; Python does.
        with path.open("rb") as opened, pyarrow.parquet.ParquetFile(opened) as file:
            refuse_flood(file.metadata.num_rows, file.schema_arrow, name)
            # In batches, since a small file can state any number of rows.
            table = pa.Table.from_batches(within_memory(file.iter_batches(), name), schema=file.schema_arrow)
    except DataError:
        raise
    # A damaged header can also hold names that are not text, or sizes beyond all memory.
    except (pa.ArrowException, OSError, ValueError, KeyError, MemoryError) as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise DataError(f"{name} cannot be read as parquet: {reason}", remedy="Write the file again.") from None
    return typed(table, name)


def read_feather(path: Path, *, name: str, header: bool = True) -> Raw:
    """Read a Feather file: Arrow's IPC format, as a file or a stream.

    Args:
        path: The file.
        name: As the user called it.
        header: Has no meaning here: columns always have names.

    Raises:
        DataError: The file is empty, damaged or too large, or two columns share a name.
    """
    if not path.stat().st_size:
        raise DataError(f"{name} is an empty file; needs at least 2 rows", remedy="Give more data.")
    try:
        # Arrow opens no path that is not UTF-8; Python does.
        with path.open("rb") as opened, pa.PythonFile(opened) as file:
            start = file.read(6)
            file.seek(0)
            if start.startswith(b"FEA1"):
                from pyarrow import feather

                return typed(feather.read_table(file), name)
            is_file = start == b"ARROW1"
            reader = pa.ipc.open_file(file) if is_file else pa.ipc.open_stream(file)
            batches = (reader.get_batch(place) for place in range(reader.num_record_batches)) if is_file else reader
            return typed(pa.Table.from_batches(within_memory(batches, name), schema=reader.schema), name)
    except DataError:
        raise
    except (pa.ArrowException, OSError, ValueError, MemoryError, KeyError) as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise DataError(f"{name} cannot be read as Feather: {reason}", remedy="Write the file again.") from None


def read_jsonl(path: Path, *, name: str, header: bool = True) -> Raw:
    """Read JSON lines: an object on each line, its keys the columns.

    A key that an object lacks is an empty cell. Arrow's own reader is not used: it rounds whole numbers beyond 64 bits,
    and objects nested deeply end the interpreter.

    Args:
        path: The file.
        name: As the user called it.
        header: Has no meaning here: columns always have names.

    Returns:
        The table; its text may stand for dates and for numbers with separators or units, but not for plain numbers.

    Raises:
        DataError: Not UTF-8, no JSON object on a line (line number), or cells of different types in one column.
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
                    if 8 * (rows + 1) * len(columns) > memory_limit():
                        raise _too_large(name)
                columns[key].add(rows, line, value)
            rows += 1
            lines.append(line)
    if not rows:
        raise DataError(f"{name} is empty; needs at least 2 rows", remedy="Give more data.")
    table = pa.table({key: column.array(rows, name) for key, column in columns.items()})
    return Raw(
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
            said = f"{name}, line {line:,}: half of a surrogate pair"
            raise DataError(said, remedy="Write the whole character.") from None
    return read


class _Digits(str):
    """A whole number as it was written: more digits than 64 bits hold are kept."""

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
        """Put a cell into a row; rows that were passed over are empty."""
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
            # As text, until it is known whether all of the column's fit into 64 bits.
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
            DataError: Text beside numbers, or the like.
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
    """Whole numbers of 64 bits, or text where one is beyond them."""
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


def unpacked(path: Path, name: str) -> IO[bytes]:
    """Unpack a compressed file into a temporary one, which goes when it is closed or forgotten.

    Args:
        path: The file: of one of `PACKINGS`, or a zip archive, of which the only member is taken.
        name: As the user called it.

    Returns:
        The temporary file, open and flushed; its path is its `name`.

    Raises:
        DataError: It is damaged, or unpacks to far more than its size lets expect.
    """
    stored = path.stat().st_size
    limit = min(max(_RATIO_FREE_BYTES, _LARGEST_RATIO * stored), memory_limit())
    temporary = tempfile.NamedTemporaryFile(prefix="wgan-")  # noqa: SIM115 - open as long as the rows may be looked up
    written = 0
    try:
        with _open(path) as file:
            while chunk := file.read(_CHUNK_BYTES):
                written += len(chunk)
                if written > limit:
                    raise DataError(
                        f"{name}: its {stored:,} bytes unpack to more than {limit:,}, which looks like a bomb",
                        remedy="If you trust it, unpack it and name the file that comes out.",
                    )
                if written == len(chunk) and packing_of(chunk):
                    raise DataError(f"{name} was compressed twice", remedy="Unpack it once.")
                temporary.write(chunk)
    except (*DAMAGED, zipfile.BadZipFile, NotImplementedError, RuntimeError) as error:
        if isinstance(error, DataError):
            raise
        raise DataError(
            f"{name} cannot be unpacked beyond byte {written:,}: {error or type(error).__name__}",
            remedy="It is truncated or damaged: fetch it again.",
        ) from None
    temporary.flush()
    return temporary


def _open(path: Path) -> IO[bytes]:
    with path.open("rb") as file:
        packing = packing_of(file.read(8))
    if packing:
        return open_unpacked(path, packing)
    archive = zipfile.ZipFile(path)
    return archive.open(next(member for member in archive.namelist() if is_data(member)))
