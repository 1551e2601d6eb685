"""Limits against small files that become large tables: memory, and the size of decompressed files."""

from __future__ import annotations

import os
import tempfile
import zipfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import IO

import pyarrow as pa

from wgan.data.compression import DAMAGED, compression_of, is_user_file, open_decompressed
from wgan.errors import DataError

_CHUNK_BYTES = 1 << 20
# Text is compressed by a factor of 3 to 20, a table of zeros by 100, decompression bombs by more than 1,000.
_MAX_RATIO, _RATIO_FREE_BYTES = 250, 1 << 26


def memory_limit() -> int:
    """The memory that one table may take, in bytes: half of the machine's."""
    return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // 2


def check_memory(num_bytes: int, name: str) -> None:
    """Refuse a table that takes too much memory.

    Raises:
        DataError: It takes more than half of the machine's memory.
    """
    if num_bytes > (limit := memory_limit()):
        raise DataError(
            f"{name} takes more than {limit:,} bytes once it is read, half of this machine's memory",
            remedy="Give fewer rows or columns, or another machine.",
        )


def check_num_rows(num_rows: int, schema: pa.Schema, name: str) -> None:
    """Refuse a table whose header states more rows than fit: a small file can state any number.

    Raises:
        DataError: The columns of fixed width take more than half of the machine's memory.
    """
    bits = sum(field.type.bit_width for field in schema if pa.types.is_primitive(field.type))
    check_memory(num_rows * bits // 8, name)


def within_memory(batches: Iterable[pa.RecordBatch], name: str) -> Iterator[pa.RecordBatch]:
    """The same batches, validated, with an error before they fill the memory.

    Raises:
        DataError: They take more than half of the machine's memory.
        pyarrow.ArrowInvalid: A batch is damaged.
    """
    taken = 0
    for batch in batches:
        taken += batch.nbytes
        check_memory(taken, name)
        # Arrow uses offsets as they are in the file: damaged ones could crash the interpreter.
        batch.validate(full=True)
        yield batch


def decompressed(path: Path, name: str) -> IO[bytes]:
    """Decompress a file into a temporary one, which is deleted when it is closed or garbage-collected.

    Args:
        path: A file with one of `COMPRESSIONS`, or a zip archive, whose only member is read.
        name: Its name, as the user gave it.

    Returns:
        The temporary file, open and flushed. Its path is its `name`.

    Raises:
        DataError: The file is damaged, or decompresses to far more than its size suggests.
    """
    stored = path.stat().st_size
    limit = min(max(_RATIO_FREE_BYTES, _MAX_RATIO * stored), memory_limit())
    temporary = tempfile.NamedTemporaryFile(prefix="wgan-")  # noqa: SIM115 - open as long as rows may be looked up
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
                if written == len(chunk) and compression_of(chunk):
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
        compression = compression_of(file.read(8))
    if compression:
        return open_decompressed(path, compression)
    archive = zipfile.ZipFile(path)
    if not (members := [member for member in archive.namelist() if is_user_file(member)]):
        raise zipfile.BadZipFile("the archive is empty")
    return archive.open(members[0])
