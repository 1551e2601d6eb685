"""Arrays of numbers from .npy, .npz, NumPy and torch: read without pickle, checked for rank and dtype."""

from __future__ import annotations

import math
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np
import pyarrow as pa
import torch
from numpy.lib import format as npy
from numpy.typing import NDArray

from wgan.data.applying import POINTS, check_applies
from wgan.data.names import UNREADABLE_ZIP
from wgan.data.npy import open_mapped, read_header
from wgan.data.points import PointsSource
from wgan.data.source import Source
from wgan.errors import DataError, WganError
from wgan.settings import DataOptions

_TAKEN = "Taken: rank 1 or 2 (points), 3 or 4 (images), of boolean, integer or floating numbers."
_LABELS = ("y", "Y", "label", "labels", "targets")
_VALUES = ("x", "X", "data")


@dataclass(frozen=True, kw_only=True)
class ArrayFile:
    """What a .npy or .npz holds.

    Attributes:
        array: Mapped from the file where that is a .npy.
        labels: A label for each row or image; None where there are none, or none were asked for.
        labels_name: What the labels are called, read or not; empty where there are none.
        notes: What there is to say.
    """

    array: NDArray[np.generic]
    labels: NDArray[np.generic] | None = None
    labels_name: str = ""
    notes: tuple[str, ...] = ()


def open_array_file(path: Path, options: DataOptions, *, name: str, seed: int) -> Source:
    """Open a .npy or .npz; nothing in it is ever unpickled.

    Args:
        path: The file.
        options: How to read it.
        name: As the user called it.
        seed: Of the split.

    Returns:
        Points for rank 1 and 2, images for rank 3 and 4.

    Raises:
        DataError: Not such a file, truncated, needs pickle, or a wrong rank or dtype.
    """
    read = read_array_file(path, name=name, with_labels=bool(options.condition))
    return open_array(
        read.array,
        options,
        name=name,
        seed=seed,
        labels=read.labels,
        labels_name=read.labels_name,
        notes=read.notes,
    )


def read_array_file(path: Path, *, name: str, with_labels: bool = False) -> ArrayFile:
    """Read a .npy or .npz as it is.

    Args:
        path: The file.
        name: As the user called it.
        with_labels: Whether labels of points are of use; those of images always are.

    Raises:
        DataError: Not such a file, truncated, needs pickle, or a wrong rank or dtype.
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
            f"{name} is no NumPy file: it begins with {start!r}", remedy="Write it with numpy.save or savez."
        )
    except (*UNREADABLE_ZIP, OSError, ValueError, KeyError) as error:
        if isinstance(error, WganError):
            raise
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise DataError(f"{name} cannot be read: {reason}", remedy="The file is damaged: write it again.") from None


def open_array(
    data: object,
    options: DataOptions,
    *,
    name: str,
    seed: int,
    labels: NDArray[np.generic] | pa.Table | None = None,
    labels_name: str = "",
    notes: tuple[str, ...] = (),
) -> Source:
    """Open an array or a tensor that is already in memory, or memory-mapped.

    Args:
        data: A NumPy array, a torch tensor, or nested lists of numbers.
        options: How to read it.
        name: As the user called it.
        seed: Of the split.
        labels: A label for each row or image, shape (N,), or a table of several.
        labels_name: What the labels are called where they came from; given without them, they are named as not used.
        notes: What the reader has to say.

    Returns:
        Points for rank 1 and 2, images for rank 3 and 4.

    Raises:
        DataError: A wrong rank or dtype, or values that cannot be learnt from.
        UsageError: An option that does not apply.
    """
    array = as_array(data, name)
    check_form(array.shape, array.dtype, name)
    if array.ndim >= 3:
        from wgan.data.images import images_from_array

        return images_from_array(array, labels, name, options, seed)
    check_applies(options, POINTS, "points" if name == "array" else f"{name} (points)")
    return PointsSource(
        array, name=name, options=options, seed=seed, labels=labels, labels_name=labels_name, notes=notes
    )


def check_form(shape: tuple[int, ...], dtype: np.dtype[np.generic], name: str) -> None:
    """Refuse arrays of the wrong rank or dtype.

    Raises:
        DataError: What came, and what is taken.
    """
    if dtype.kind not in "biuf":
        what = {"O": "Python objects", "c": "complex numbers", "U": "text", "S": "bytes", "V": "records"}
        came = what.get(dtype.kind, "another type")
        raise DataError(f"{name} holds {came} (dtype {dtype}, shape {shape})", remedy=_TAKEN)
    if not 1 <= len(shape) <= 4:
        raise DataError(f"{name} has rank {len(shape)} (dtype {dtype}, shape {shape})", remedy=_TAKEN)
    if len(shape) == 2 and shape[1] == 0 and shape[0] > 1:
        raise DataError(f"{name} has no columns (shape {shape})", remedy="Give numbers: at least 1 column.")
    if shape[0] < 2 or 0 in shape:
        raise DataError(
            f"{name} has shape {shape}; needs at least 2 rows",
            remedy="Give more data: a distribution cannot be learnt from less.",
        )


def as_array(data: object, name: str) -> NDArray[np.generic]:
    """Bring an array, a tensor or nested lists to NumPy, without a copy where there is a way.

    Raises:
        DataError: A sparse tensor, or lists of unequal lengths.
    """
    if isinstance(data, torch.Tensor):
        if data.layout is not torch.strided:
            raise DataError(f"{name} is a sparse tensor", remedy="Give tensor.to_dense().")
        tensor = data.detach().cpu()
        return tensor.float().numpy() if tensor.dtype == torch.bfloat16 else tensor.numpy()
    try:
        return np.asarray(data) if not isinstance(data, np.ndarray) else data
    except ValueError as error:
        reason = str(error).splitlines()[0]
        raise DataError(f"{name} cannot be read as an array: {reason}", remedy=_TAKEN) from None


def _needs_pickle(name: str) -> DataError:
    return DataError(
        f"{name} needs pickle, which can run any program; it was refused and nothing was run",
        remedy="Save the numbers alone: numpy.save(path, array.astype(float)).",
    )


def _read_header(file: IO[bytes], name: str, *, may_be_words: bool = False) -> tuple[tuple[int, ...], np.dtype[Any]]:
    """Shape and dtype of the array that `file` begins with, checked before any number is read."""
    shape, dtype = read_header(file)
    if dtype.hasobject:
        raise _needs_pickle(name)
    if not (may_be_words and dtype.kind in "SU" and len(shape) == 1):
        check_form(shape, dtype, name)
    return shape, dtype


def _read_npy(path: Path, name: str) -> NDArray[np.generic]:
    with path.open("rb") as file:
        shape, dtype = _read_header(file, name)
        wanted, there = math.prod(shape) * dtype.itemsize, path.stat().st_size - file.tell()
    if there < wanted:
        raise DataError(
            f"{name} is truncated: its header tells of {wanted:,} bytes of numbers, {there:,} follow",
            remedy="Write it again.",
        )
    return open_mapped(path)


def _read_npz(path: Path, name: str, *, with_labels: bool) -> ArrayFile:
    """What an .npz holds. Labels of points that nobody asks for are not even read: they may be of any form."""
    with zipfile.ZipFile(path) as archive:
        keys = [member.removesuffix(".npy") for member in archive.namelist() if member.endswith(".npy")]
        values = [key for key in keys if key in _VALUES] or [key for key in keys if key not in _LABELS]
        if len(values) != 1:
            raise DataError(
                f"{name} holds {len(keys)} arrays ({', '.join(map(repr, keys)) or 'none'}): which one is not clear",
                remedy=f"Name one of them, and only one, {' or '.join(map(repr, _VALUES))}.",
            )
        label = next((key for key in keys if key in _LABELS), None)
        array = _read_member(archive, values[0], name)
        others = [key for key in keys if key not in (values[0], label)]
        labels = None
        if label is not None and (array.ndim >= 3 or with_labels):
            labels = _read_member(archive, label, name, may_be_words=True)
    notes = (f"array {values[0]!r} was taken, {', '.join(map(repr, others))} left",) if others else ()
    return ArrayFile(array=array, labels=labels, labels_name=label or "", notes=notes)


def _read_member(archive: zipfile.ZipFile, key: str, name: str, *, may_be_words: bool = False) -> NDArray[np.generic]:
    info = archive.getinfo(f"{key}.npy")
    with archive.open(info) as file:
        shape, dtype = _read_header(file, f"{name}['{key}']", may_be_words=may_be_words)
        wanted, there = math.prod(shape) * dtype.itemsize, info.file_size - file.tell()
        # Checked first, so that a header that lies cannot make us reserve memory for what is not there.
        if there < wanted:
            raise DataError(
                f"{name}['{key}'] is truncated: its header tells of {wanted:,} bytes of numbers, {there:,} follow",
                remedy="Write it again.",
            )
    with archive.open(info) as file:
        array: NDArray[np.generic] = npy.read_array(file, allow_pickle=False)
    return array
