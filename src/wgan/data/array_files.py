"""Read .npy and .npz files without pickle, with checks of their headers. This file does not import torch."""

from __future__ import annotations

import lzma
import math
import struct
import zipfile
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray

from wgan.errors import DataError, WganError

SUPPORTED = "Supported: rank 1 or 2 (points), 3 or 4 (images), of boolean, integer or floating numbers."
_LABEL_NAMES = ("y", "Y", "label", "labels", "targets")
_VALUE_NAMES = ("x", "X", "data")
_HEADER_READERS = {(1, 0): npy.read_array_header_1_0, (2, 0): npy.read_array_header_2_0}
_MAX_ENTRIES = 1 << 62
_UNREADABLE_ZIP = (
    zipfile.BadZipFile,
    zlib.error,
    lzma.LZMAError,
    EOFError,
    NotImplementedError,
    RuntimeError,
    struct.error,
)
"""Errors of Python's zip reader for archives that are damaged, encrypted or of an unknown kind."""


@dataclass(frozen=True, kw_only=True)
class ArrayFile:
    """The content of a .npy or .npz.

    Attributes:
        array: Memory-mapped if the file is a .npy.
        labels: A label for each row or image; None if there are none, or they were not requested.
        labels_name: Name of the labels, read or not; empty if there are none.
        notes: Notes for the user.
    """

    array: NDArray[np.generic]
    labels: NDArray[np.generic] | None = None
    labels_name: str = ""
    notes: tuple[str, ...] = ()


def read_array_file(path: Path, *, name: str, with_labels: bool = False) -> ArrayFile:
    """Read a .npy or .npz.

    Args:
        path: The file.
        name: As the user called it.
        with_labels: Whether to read labels of points; those of images are always read.

    Raises:
        DataError: Another file, a truncated one, one that needs pickle, or an unsupported rank or dtype.
    """
    try:
        with path.open("rb") as file:
            start = file.read(6)
        if not start:
            raise DataError(f"{name} is an empty file", remedy="It needs at least 2 rows: write it again.")
        if start == npy.MAGIC_PREFIX:
            return ArrayFile(array=_read_npy(path, name))
        if start.startswith(b"PK"):
            return _read_npz(path, name, with_labels=with_labels)
        if start[:1] == b"\x80":
            raise _needs_pickle(name)
        raise DataError(
            f"{name} is not a NumPy file: it begins with {start!r}", remedy="Write it with numpy.save or savez."
        )
    except (*_UNREADABLE_ZIP, OSError, ValueError, KeyError) as error:
        if isinstance(error, WganError):
            raise
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise DataError(f"{name} cannot be read: {reason}", remedy="The file is damaged: write it again.") from None


def rank_of(path: Path) -> int:
    """The rank of the array in a .npy, or of the largest one in a .npz; 0 if its header cannot be read."""
    try:
        with path.open("rb") as file:
            is_npy = file.read(len(npy.MAGIC_PREFIX)) == npy.MAGIC_PREFIX
            file.seek(0)
            if is_npy:
                return len(read_header(file)[0])
        with zipfile.ZipFile(path) as archive:
            largest = max(archive.infolist(), key=lambda member: member.file_size)
            with archive.open(largest) as member:
                return len(read_header(member)[0])
    except (*_UNREADABLE_ZIP, OSError, ValueError, KeyError):
        return 0


def check_array(shape: tuple[int, ...], dtype: np.dtype[Any], name: str) -> None:
    """Refuse an unsupported rank or dtype, and arrays without rows or columns.

    Raises:
        DataError: What was found, and what is supported.
    """
    if dtype.kind not in "biuf":
        nouns = {"O": "Python objects", "c": "complex numbers", "U": "text", "S": "bytes", "V": "records"}
        noun = nouns.get(dtype.kind, "another type")
        raise DataError(f"{name} holds {noun} (dtype {dtype}, shape {shape})", remedy=SUPPORTED)
    if not 1 <= len(shape) <= 4:
        raise DataError(f"{name} has rank {len(shape)} (dtype {dtype}, shape {shape})", remedy=SUPPORTED)
    if len(shape) == 2 and shape[1] == 0 and shape[0] > 1:
        raise DataError(f"{name} has no columns (shape {shape})", remedy="Give numbers: at least 1 column.")
    if shape[0] < 2 or 0 in shape:
        raise DataError(
            f"{name} has shape {shape}; needs at least 2 rows",
            remedy="Give more data: a distribution cannot be learnt from fewer rows.",
        )


def read_header(file: IO[bytes]) -> tuple[tuple[int, ...], np.dtype[Any]]:
    """Read the .npy header at the beginning of a file, and stop at the first number.

    NumPy parses the header as a Python literal, so that damaged bytes raise errors of many classes.

    Returns:
        Shape and dtype.

    Raises:
        ValueError: It is not a header, has a version for records, or states an impossible shape.
    """
    version = npy.read_magic(file)
    if version not in _HEADER_READERS:
        raise ValueError(f"it has the .npy version {version}, which holds records")
    try:
        shape, _, dtype = _HEADER_READERS[version](file)
        fits = all(type(length) is int and 0 <= length < _MAX_ENTRIES for length in shape)
        fits = fits and math.prod(shape) * max(1, dtype.itemsize) < _MAX_ENTRIES
    except EOFError:
        raise ValueError("its header is truncated") from None
    except OSError:
        raise
    except Exception as error:
        reason = " ".join(str(error).split())[:200]
        raise ValueError(f"its header cannot be read: {type(error).__name__}: {reason}") from None
    if not fits:
        raise ValueError(f"its header states the shape {str(shape)[:200]}")
    return shape, dtype


def open_mapped(path: Path) -> NDArray[Any]:
    """Memory-map an .npy file.

    Raises:
        ValueError: It is not such a file, holds Python objects, or is shorter than its header states.
        OSError: It cannot be read.
    """
    with path.open("rb") as file:
        shape, dtype = read_header(file)
        missing = math.prod(shape) * dtype.itemsize - (path.stat().st_size - file.tell())
    if dtype.hasobject:
        raise ValueError("it holds Python objects")
    if missing > 0:
        raise ValueError(f"{missing:,} bytes are missing at its end")
    if not math.prod(shape) * dtype.itemsize:
        # An empty array cannot be mapped.
        return np.empty(shape, dtype)
    array: NDArray[Any] = np.load(path, mmap_mode="r", allow_pickle=False)
    return array


def _needs_pickle(name: str) -> DataError:
    return DataError(
        f"{name} needs pickle, which can execute any code; it was refused, and nothing was executed",
        remedy="Save the numbers alone: numpy.save(path, array.astype(float)).",
    )


def _read_checked_header(
    file: IO[bytes], size: int, name: str, *, may_be_text: bool = False
) -> tuple[tuple[int, ...], np.dtype[Any]]:
    """Read the header of an array in a file of `size` bytes, and check it before memory is allocated."""
    shape, dtype = read_header(file)
    if dtype.hasobject:
        raise _needs_pickle(name)
    if not (may_be_text and dtype.kind in "SU" and len(shape) == 1):
        check_array(shape, dtype, name)
    expected, found = math.prod(shape) * dtype.itemsize, size - file.tell()
    if found < expected:
        raise DataError(
            f"{name} is truncated: its header states {expected:,} bytes of numbers, {found:,} follow",
            remedy="Write it again.",
        )
    return shape, dtype


def _read_npy(path: Path, name: str) -> NDArray[np.generic]:
    with path.open("rb") as file:
        _read_checked_header(file, path.stat().st_size, name)
    return open_mapped(path)


def _read_npz(path: Path, name: str, *, with_labels: bool) -> ArrayFile:
    """Read an .npz. Labels of points that are not requested may have any form: they are not read."""
    with zipfile.ZipFile(path) as archive:
        keys = [member.removesuffix(".npy") for member in archive.namelist() if member.endswith(".npy")]
        values = [key for key in keys if key in _VALUE_NAMES] or [key for key in keys if key not in _LABEL_NAMES]
        if len(values) != 1:
            raise DataError(
                f"{name} holds {len(keys)} arrays ({', '.join(map(repr, keys)) or 'none'}): which one is not clear",
                remedy=f"Name exactly one of them {' or '.join(map(repr, _VALUE_NAMES))}.",
            )
        label = next((key for key in keys if key in _LABEL_NAMES), None)
        array = _read_member(archive, values[0], name)
        others = [key for key in keys if key not in (values[0], label)]
        labels = None
        if label is not None and (array.ndim >= 3 or with_labels):
            labels = _read_member(archive, label, name, may_be_text=True)
    notes = (f"array {values[0]!r} is used, {', '.join(map(repr, others))} not",) if others else ()
    return ArrayFile(array=array, labels=labels, labels_name=label or "", notes=notes)


def _read_member(archive: zipfile.ZipFile, key: str, name: str, *, may_be_text: bool = False) -> NDArray[np.generic]:
    info = archive.getinfo(f"{key}.npy")
    with archive.open(info) as file:
        _read_checked_header(file, info.file_size, f"{name}['{key}']", may_be_text=may_be_text)
    with archive.open(info) as file:
        array: NDArray[np.generic] = npy.read_array(file, allow_pickle=False)
    return array
