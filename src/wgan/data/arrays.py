"""Points and images from arrays, tensors and nested lists."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import torch
from numpy.typing import NDArray

from wgan.data.array_files import SUPPORTED, check_array, read_array_file
from wgan.data.options import POINTS, check_applies
from wgan.data.points import PointsSource
from wgan.data.source import Source
from wgan.errors import DataError
from wgan.settings import DataOptions

_ARRAY_TYPES = (np.ndarray, np.memmap, np.matrix)
_NUMBER_TYPES = (bool, int, float, np.bool_, np.number)


def open_array_file(path: Path, options: DataOptions, *, name: str, seed: int) -> Source:
    """Open a .npy or .npz, without pickle.

    Args:
        path: The file.
        options: How to read it.
        name: As the user called it.
        seed: Of the split.

    Returns:
        Points for rank 1 and 2, images for rank 3 and 4.

    Raises:
        DataError: Another file, a truncated one, one that needs pickle, or an unsupported rank or dtype.
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
    """Open an array or a tensor, in memory or memory-mapped.

    Args:
        data: A NumPy array, which may be masked, a torch tensor, or nested lists of numbers.
        options: How to read it.
        name: As the user called it.
        seed: Of the split.
        labels: A label for each row or image, shape (N,), or a table of several.
        labels_name: Name of the labels; without `labels`, the description says that they are not used.
        notes: Notes of the reader.

    Returns:
        Points for rank 1 and 2, images for rank 3 and 4.

    Raises:
        DataError: An unsupported rank or dtype, or unsupported values.
        UsageError: An option that does not apply.
    """
    array = as_array(data, name, may_mask=True)
    check_array(array.shape, array.dtype, name)
    if array.ndim >= 3:
        array = as_array(array, name)
        from wgan.data.images import images_from_array

        return images_from_array(array, labels, name, options, seed)
    check_applies(options, POINTS, "points" if name == "array" else f"{name} (points)")
    return PointsSource(
        array, name=name, options=options, seed=seed, labels=labels, labels_name=labels_name, notes=notes
    )


def as_array(data: object, name: str, *, may_mask: bool = False) -> NDArray[np.generic]:
    """Convert an array, a tensor or nested lists to a NumPy array, without a copy if possible.

    A matrix becomes an array. Numbers in an array of Python objects become bool, int64 or float64.

    Args:
        data: An array, a tensor or nested lists.
        name: Its name in messages.
        may_mask: Whether a masked array may be returned; otherwise masked cells are refused.

    Raises:
        DataError: A tensor without data, or of a dtype that NumPy does not have. An unknown subclass of an array, which
            may attach a meaning to its numbers. Masked cells, or lists of unequal lengths.
    """
    if isinstance(data, torch.Tensor):
        return _tensor_as_array(data, name)
    if isinstance(data, np.ndarray):
        if isinstance(data, np.ma.MaskedArray):
            return data if may_mask and np.ma.is_masked(data) else _unmasked(data, name)
        if type(data) not in _ARRAY_TYPES:
            raise DataError(
                f"{name} is of the type {type(data).__name__}, which may attach a meaning to its numbers",
                remedy=f"Give its numbers alone: numpy.asarray({name}).",
            )
        return _numbers(np.asarray(data) if isinstance(data, np.matrix) else data)
    _refuse_masks(data, name)
    try:
        return _numbers(np.asarray(data))
    except (ValueError, TypeError, RuntimeError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise DataError(f"{name} cannot be read as an array: {reason}", remedy=SUPPORTED) from None


def _refuse_masks(data: object, name: str) -> None:
    """Refuse masked cells in nested lists, which NumPy converts to numbers."""
    if isinstance(data, np.ma.MaskedArray):
        _unmasked(data, name)
    if isinstance(data, list | tuple):
        for item in data:
            _refuse_masks(item, name)


def _unmasked(data: np.ma.MaskedArray[Any, Any], name: str) -> NDArray[np.generic]:
    """The numbers of a masked array without masked cells."""
    num_masked = int(np.ma.getmaskarray(data).sum())
    if num_masked:
        cells = "1 cell is" if num_masked == 1 else f"{num_masked:,} cells are"
        raise DataError(
            f"{name}: {cells} masked, and the values under a mask are not learnt",
            remedy="Drop masked rows (numpy.ma.compress_rows) or fill them in (.filled(value)); empty cells of a data "
            "frame can be learnt.",
        )
    numbers: NDArray[np.generic] = data.data
    return _numbers(np.asarray(numbers))


def _tensor_as_array(data: torch.Tensor, name: str) -> NDArray[np.generic]:
    # A subclass with its own dispatch, such as a masked or a nested tensor, stores its numbers differently.
    if type(data).__torch_dispatch__ is not torch.Tensor.__torch_dispatch__ or data.is_nested:
        raise DataError(
            f"{name} is a tensor of the type {type(data).__name__}, whose numbers cannot be read directly",
            remedy="Give a plain tensor, for example by to_tensor() or full_tensor().",
        )
    if data.is_meta:
        raise DataError(
            f"{name} is a tensor on the device meta, which holds no numbers", remedy="Give one on another device."
        )
    if data.layout is not torch.strided:
        raise DataError(f"{name} is a sparse tensor", remedy="Give tensor.to_dense().")
    if data.is_quantized:
        raise DataError(f"{name} is a quantised tensor", remedy="Give tensor.dequantize().")
    if data.is_complex():
        raise DataError(
            f"{name} holds complex numbers (dtype {data.dtype}, shape {tuple(data.shape)})", remedy=SUPPORTED
        )
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
    """An array of objects converted to numbers, if all of them are numbers that fit; any other array unchanged."""
    if array.dtype != object:
        return array
    # A mixture of booleans and numbers is ambiguous and stays an array of objects.
    kinds = {np.min_scalar_type(value).kind if isinstance(value, _NUMBER_TYPES) else "O" for value in array.flat}
    dtype = "bool" if kinds == {"b"} else "int64" if kinds and kinds <= {"i", "u"} else "float64"
    if not kinds or ("b" in kinds and len(kinds) > 1) or not kinds <= {"b", "i", "u", "f"}:
        return array
    try:
        return array.astype(dtype)
    except OverflowError:
        return array
