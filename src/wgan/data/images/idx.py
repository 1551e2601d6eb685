"""The IDX format of MNIST: two zero bytes, a type, a rank, the shape, then the values."""

from __future__ import annotations

import gzip
import math
import struct
import zlib
from pathlib import Path
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

from wgan.data.images.decoded import memory_bytes
from wgan.errors import DataError
from wgan.system.text import counted, escaped

_UBYTE = 0x08
_TYPES = {0x08: "uint8", 0x09: "int8", 0x0B: "int16", 0x0C: "int32", 0x0D: "float32", 0x0E: "float64"}
# Deflate expands no input by more than this factor: a header that states more is wrong.
_DEFLATE_LIMIT = 1032
_CHUNK = 1 << 20


def looks_like_idx(path: Path, ranks: tuple[int, ...] = (1, 2, 3, 4)) -> bool:
    """Whether a file, compressed or not, begins like an IDX file of one of these ranks."""
    try:
        with path.open("rb") as file:
            start = file.read(4)
        if start[:2] == b"\x1f\x8b":
            with gzip.open(path) as file:
                start = file.read(4)
    except (OSError, EOFError, zlib.error):
        return False
    return len(start) == 4 and start[:2] == b"\0\0" and start[2] in _TYPES and start[3] in ranks


def read_idx(path: Path, ranks: tuple[int, ...]) -> NDArray[np.uint8]:
    """Read an IDX file of bytes, gzip-compressed or raw.

    Args:
        path: The file.
        ranks: The accepted numbers of dimensions: (1,) for labels, (3, 4) for images.

    Returns:
        An array with the shape of the header; a raw file is memory-mapped.

    Raises:
        DataError: The header is not IDX, is of another type or rank, or states another size than the file has.
    """
    with path.open("rb") as file:
        compressed = file.read(2) == b"\x1f\x8b"
        file.seek(0, 2)
        stored = file.tell()
        file.seek(0)
        if not compressed:
            shape, offset = _read_header(file, path, ranks)
            wanted = math.prod(shape)
            if stored - offset != wanted:
                raise _wrong_length(path, shape, offset, stored)
            return np.memmap(path, dtype=np.uint8, mode="r", offset=offset, shape=shape)
        with gzip.GzipFile(fileobj=file) as unpacked:
            try:
                shape, offset = _read_header(unpacked, path, ranks)
                if math.prod(shape) > stored * _DEFLATE_LIMIT:
                    raise DataError(
                        f"{escaped(path)}: its header states {_shown(shape)} = {math.prod(shape):,} bytes, "
                        f"more than {stored:,} compressed bytes can hold",
                        remedy="The header is wrong, or the file is damaged: download it again.",
                    )
                if math.prod(shape) > memory_bytes() // 2:
                    raise DataError(
                        f"{escaped(path)}: its {_shown(shape)} numbers take more than half of this machine's memory",
                        remedy="Decompress the file first (gunzip): an uncompressed file is memory-mapped.",
                    )
                return _read_numbers(unpacked, path, shape, offset)
            except (EOFError, zlib.error, gzip.BadGzipFile) as error:
                raise DataError(
                    f"{escaped(path)}: the compressed data ends at byte {file.tell():,} "
                    f"({unpacked.tell():,} uncompressed): {error}",
                    remedy="The file is truncated or damaged: download it again.",
                ) from None


def read_images(path: Path) -> tuple[NDArray[np.uint8], NDArray[np.uint8] | None]:
    """Read an IDX file of images, and the labels from the file in the same folder, if there is one.

    Raises:
        DataError: A file is damaged, or the numbers of images and labels differ.
    """
    images, labels_path = read_idx(path, (3, 4)), labels_file(path)
    if labels_path is None:
        return images, None
    labels = read_idx(labels_path, (1,))
    if len(labels) != len(images):
        raise DataError(
            f"{escaped(labels_path)}: {counted(len(labels), 'label')}, but {escaped(path.name)} has "
            f"{counted(len(images), 'image')}",
            remedy="Download both files again, or move the file of labels away, which is optional.",
        )
    return images, labels


def _read_header(file: BinaryIO | gzip.GzipFile, path: Path, ranks: tuple[int, ...]) -> tuple[tuple[int, ...], int]:
    start = file.read(4)
    if len(start) < 4 or start[:2] != b"\0\0" or start[2] not in _TYPES:
        raise DataError(
            f"{escaped(path)}: not an IDX file: begins with bytes {start.hex(' ') or '(none)'} at byte 0",
            remedy="An IDX file begins with two zero bytes, the type 08 and the rank: download it, or name another.",
        )
    if start[2] != _UBYTE:
        raise DataError(
            f"{escaped(path)}: holds {_TYPES[start[2]]} (type at byte 2), but images and labels must be uint8",
            remedy="Save the images as .npy, which may hold floats in [0, 1] or [-1, 1] too.",
        )
    rank = start[3]
    if rank not in ranks:
        wanted = " or ".join(map(str, ranks))
        noun = "dimension" if rank == 1 else "dimensions"
        what = "the file of labels" if ranks == (1,) else "a file of images"
        raise DataError(
            f"{escaped(path)}: has {rank} {noun} (byte 3), wanted {wanted}",
            remedy=f"It should be {what}: is its name right?",
        )
    lengths = file.read(4 * rank)
    if len(lengths) < 4 * rank:
        raise DataError(
            f"{escaped(path)}: ends at byte {4 + len(lengths)}, inside its header of {4 + 4 * rank} bytes",
            remedy="The file is truncated: download it again.",
        )
    return struct.unpack(f">{rank}I", lengths), 4 + 4 * rank


def _read_numbers(file: gzip.GzipFile, path: Path, shape: tuple[int, ...], offset: int) -> NDArray[np.uint8]:
    wanted = math.prod(shape)
    numbers = bytearray()
    # Reading one byte beyond the end also verifies the checksum and finds trailing data.
    while len(numbers) <= wanted:
        chunk = file.read(min(_CHUNK, wanted + 1 - len(numbers)))
        if not chunk:
            break
        numbers += chunk
    if len(numbers) != wanted:
        raise _wrong_length(path, shape, offset, offset + len(numbers), more=len(numbers) > wanted)
    return np.frombuffer(numbers, dtype=np.uint8).reshape(shape)


def _wrong_length(path: Path, shape: tuple[int, ...], offset: int, end: int, *, more: bool = False) -> DataError:
    wanted = offset + math.prod(shape)
    found = f"continues after byte {wanted:,}" if more or end > wanted else f"ends at byte {end:,}"
    return DataError(
        f"{escaped(path)}: its header states {_shown(shape)}, that is {wanted:,} bytes, but the data {found}",
        remedy="The header is wrong, or the file is truncated: download it again.",
    )


def _shown(shape: tuple[int, ...]) -> str:
    return " x ".join(f"{length:,}" for length in shape)


def labels_file(path: Path) -> Path | None:
    """The file of labels of a file of images, by the naming of MNIST; None if there is none."""
    stem = path.name.replace("images", "labels").replace("idx3", "idx1")
    if stem == path.name:
        return None
    plain = stem.removesuffix(".gz")
    for name in (stem, plain, f"{plain}.gz"):
        if (path.parent / name).is_file():
            return path.parent / name
    return None
