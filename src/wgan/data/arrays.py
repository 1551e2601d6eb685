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
_PLAIN = (np.ndarray, np.memmap, np.matrix)
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
            f"{name} is not a NumPy file: it begins with {start!r}", remedy="Write it with numpy.save or savez."
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
        data: A NumPy array, which may be masked, a torch tensor, or nested lists of numbers.
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
    array = as_array(data, name, may_mask=True)
    check_form(array.shape, array.dtype, name)
    if array.ndim >= 3:
        array = as_array(array, name)
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


def as_array(data: object, name: str, *, may_mask: bool = False) -> NDArray[np.generic]:
    """Bring an array, a tensor or nested lists to NumPy, without a copy where there is a way.

    A matrix becomes an array, and so does a subclass of a tensor that holds its numbers like a plain one. Python's
    numbers in an array of objects are brought to bool, int64 or float64, whichever all of them are.

    Args:
        data: An array, a tensor or nested lists.
        name: What to call it.
        may_mask: Whether a masked array is passed on as one; it is otherwise refused if anything is masked.

    Raises:
        DataError: A tensor without numbers of its own or of a kind that NumPy does not have; an unknown subclass of an
            array, which may mean more than its numbers say; masked cells; lists of unequal lengths.
    """
    if isinstance(data, torch.Tensor):
        return _tensor_as_array(data, name)
    if isinstance(data, np.ndarray):
        if isinstance(data, np.ma.MaskedArray):
            return data if may_mask and np.ma.is_masked(data) else _unmasked(data, name)
        if type(data) not in _PLAIN:
            raise DataError(
                f"{name} is of the type {type(data).__name__}, which may mean more than its numbers say",
                remedy=f"Give its numbers alone: numpy.asarray({name}).",
            )
        return _numbers(np.asarray(data) if isinstance(data, np.matrix) else data)
    _refuse_masks(data, name)
    try:
        return _numbers(np.asarray(data))
    except (ValueError, TypeError, RuntimeError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise DataError(f"{name} cannot be read as an array: {reason}", remedy=_TAKEN) from None


def _refuse_masks(data: object, name: str) -> None:
    """Refuse masked cells in nested lists, which NumPy would take for numbers."""
    if isinstance(data, np.ma.MaskedArray):
        _unmasked(data, name)
    if isinstance(data, list | tuple):
        for item in data:
            _refuse_masks(item, name)


def _unmasked(data: np.ma.MaskedArray[Any, Any], name: str) -> NDArray[np.generic]:
    """The numbers of a masked array in which nothing is masked."""
    num_masked = int(np.ma.getmaskarray(data).sum())
    if num_masked:
        cells = "1 cell is" if num_masked == 1 else f"{num_masked:,} cells are"
        raise DataError(
            f"{name}: {cells} masked, and what lies under a mask is not learnt",
            remedy="Leave masked rows out (numpy.ma.compress_rows) or fill them in (.filled(value)); empty cells of a "
            "data frame can be learnt.",
        )
    numbers: NDArray[np.generic] = data.data
    return _numbers(np.asarray(numbers))


def _tensor_as_array(data: torch.Tensor, name: str) -> NDArray[np.generic]:
    # A subclass with its own dispatch, such as a masked or a nested tensor, does not hold its numbers like others.
    if type(data).__torch_dispatch__ is not torch.Tensor.__torch_dispatch__ or data.is_nested:
        raise DataError(
            f"{name} is a tensor of the type {type(data).__name__}, whose numbers cannot be read as they are",
            remedy="Give a plain tensor, for example by to_tensor() or full_tensor().",
        )
    if data.is_meta:
        raise DataError(f"{name} is a tensor on the device meta, which holds no numbers", remedy="Give one that does.")
    if data.layout is not torch.strided:
        raise DataError(f"{name} is a sparse tensor", remedy="Give tensor.to_dense().")
    if data.is_quantized:
        raise DataError(f"{name} is a quantised tensor", remedy="Give tensor.dequantize().")
    if data.is_complex():
        raise DataError(f"{name} holds complex numbers (dtype {data.dtype}, shape {tuple(data.shape)})", remedy=_TAKEN)
    tensor = data.detach().as_subclass(torch.Tensor).cpu().resolve_neg()
    if tensor.dtype == torch.bfloat16:
        return tensor.float().numpy()
    try:
        array: NDArray[np.generic] = tensor.numpy()
    except (TypeError, RuntimeError):
        raise DataError(
            f"{name} holds numbers of the type {data.dtype}, which NumPy does not have", remedy="Give tensor.float()."
        ) from None
    return array


def _numbers(array: NDArray[np.generic]) -> NDArray[np.generic]:
    """An array of objects as one of numbers, if all of them are and fit; any other array as it is."""
    if array.dtype != object:
        return array
    # NumPy knows what a number of each type becomes; a boolean beside numbers is left for its owner to decide.
    kinds = {np.min_scalar_type(value).kind if isinstance(value, _NUMBERS) else "O" for value in array.flat}
    wanted = "bool" if kinds == {"b"} else "int64" if kinds and kinds <= {"i", "u"} else "float64"
    if not kinds or ("b" in kinds and len(kinds) > 1) or not kinds <= {"b", "i", "u", "f"}:
        return array
    try:
        return array.astype(wanted)
    except OverflowError:
        return array


_NUMBERS = (bool, int, float, np.bool_, np.number)


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
