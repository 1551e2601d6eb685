"""Validation of the arguments of mathematical functions: points and weights as float64 tensors.

An array, a tensor or a list becomes a tensor on its own device, still part of its graph. Invalid input raises an error
that names the argument.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from wgan.errors import NumericError, UsageError
from wgan.system.memory import available

Array: TypeAlias = Tensor | NDArray[Any] | Sequence[Any]
"""A tensor, a NumPy array, or nested lists of numbers."""

SUM_TOLERANCE = 1e-6
"""The tolerance for the sum of weights: the rounding error of a million float32 weights divided by their sum."""

_SHARE_OF_MEMORY = 0.9
_ALWAYS_ALLOWED = 2**27


def as_float64(values: Array, name: str, *, infinite_allowed: bool = False) -> Tensor:
    """Real numbers as a float64 tensor, on their device and in their graph.

    Args:
        values: Numbers of any shape.
        name: The name of the argument in messages.
        infinite_allowed: Whether plus infinity is allowed.

    Raises:
        UsageError: Not an array of real numbers.
        NumericError: Numbers that are NaN or infinite.
    """
    _check_unmasked(values, name)
    if isinstance(values, Tensor):
        values = _plain(values, name)
    else:
        try:
            # Subclasses such as np.matrix become plain arrays.
            array = np.asarray(values)
        except (ValueError, RuntimeError) as error:
            raise UsageError(
                f"{name} is not an array of numbers: its rows differ in length, or hold tensors in a graph",
                remedy="Give rows of the same length; combine tensors with torch.stack.",
            ) from error
        if array.dtype.kind not in "biuf":
            raise UsageError(
                f"{name} must hold real numbers, not {array.dtype}",
                remedy="Give an array of numbers; `wgan.open_data` and `wgan distance` read files.",
            )
        # torch.from_numpy needs writable memory without negative strides.
        values = torch.from_numpy(np.require(array, np.float64, ["C_CONTIGUOUS", "WRITEABLE"]))
    if values.is_complex():
        raise UsageError(f"{name} must hold real numbers, not {values.dtype}")
    converted: Tensor = values.to(torch.float64)
    # A finite sum has finite terms, and takes a quarter of the time.
    if not bool(converted.detach().sum().isfinite()):
        detached = converted.detach()
        is_good = detached.isfinite() | (detached == torch.inf) if infinite_allowed else detached.isfinite()
        num_bad = int(converted.numel() - is_good.sum())
        if not num_bad:
            return converted
        raise NumericError(
            f"{num_bad:,} of the {converted.numel():,} numbers in {name} are NaN or "
            f"{'minus infinity' if infinite_allowed else 'infinite'}",
            remedy="Drop those rows, or fill them in.",
        )
    return converted


def _check_unmasked(values: Array, name: str) -> None:
    """Raise a UsageError for arrays with masked values, whose data are undefined.

    Rows of a list are checked too, since NumPy drops their masks when it combines them.
    """
    if isinstance(values, list | tuple):
        for row in values:
            if isinstance(row, list | tuple | np.ma.MaskedArray):
                _check_unmasked(row, name)
    elif isinstance(values, np.ma.MaskedArray) and np.ma.is_masked(values):
        raise UsageError(
            f"{int(np.ma.getmaskarray(values).sum()):,} of the {values.size:,} numbers in {name} are masked",
            remedy="Drop those rows (np.ma.compress_rows), or fill them in (filled). Forbid pairs by infinite costs.",
        )


def _plain(values: Tensor, name: str) -> Tensor:
    """A dense, unquantised tensor, still part of its graph."""
    kind = type(values).__name__
    if values.is_nested or kind == "MaskedTensor":
        raise UsageError(f"{name} must be a plain tensor, not a {'nested one' if values.is_nested else kind}")
    if values.device.type == "meta":
        raise UsageError(
            f"{name} is on the device meta, where tensors have a shape but no values",
            remedy="Use a tensor with values; check whether torch.set_default_device was called with meta.",
        )
    if values.is_quantized:
        return values.dequantize()
    return values if values.layout == torch.strided else values.to_dense()


def as_tensor(values: Array, name: str) -> Tensor:
    """Numbers as a tensor: tensors keep their dtype, anything else becomes float64.

    Raises:
        UsageError: Not an array of real numbers.
        NumericError: An array with numbers that are NaN or infinite.
    """
    return _plain(values, name) if isinstance(values, Tensor) else as_float64(values, name)


def as_points(values: Array, name: str) -> Tensor:
    """Samples as points: each sample is flattened, and a vector holds points on the line.

    Args:
        values: Shape (N, ...), or (N,) for points on the line.
        name: The name of the argument in messages.

    Returns:
        Shape (N, D), float64, differentiable.

    Raises:
        UsageError: No samples, or no numbers.
        NumericError: Numbers that are not finite.
    """
    points = as_float64(values, name)
    if points.dim() == 0 or not points.numel():
        raise UsageError(
            f"{name} must hold at least one sample, but has shape {tuple(points.shape)}",
            remedy="Give an array of shape (N, D), or (N,) for points on the line.",
        )
    return points.reshape(len(points), -1)


def as_pair(x: Array, y: Array) -> tuple[Tensor, Tensor]:
    """Two sets of samples as points of the same space: shapes (N, D) and (M, D).

    Raises:
        UsageError: Sets that are empty, or whose samples differ in size.
        NumericError: Numbers that are not finite.
    """
    first, second = as_points(x, "x"), as_points(y, "y")
    if first.shape[1] != second.shape[1]:
        raise UsageError(
            f"samples of {first.shape[1]} numbers (x) cannot be compared with samples of {second.shape[1]} (y)",
            remedy="Give both the same columns, as shapes (N, D) and (M, D).",
        )
    return first, second.to(first.device)


def as_weights(values: Array | None, num: int, name: str) -> Tensor:
    """Probabilities of `num` samples.

    Args:
        values: Shape (num,), at least 0, summing to 1; None for equal weights.
        num: The number of samples.
        name: The name of the argument in messages.

    Returns:
        Shape (num,), float64, differentiable; divided by their sum.

    Raises:
        UsageError: The wrong shape, a negative weight, or a sum that is not 1.
        NumericError: Weights that are not finite.
    """
    if values is None:
        return torch.full((num,), 1.0 / num, dtype=torch.float64, device="cpu")
    weights = as_float64(values, name)
    if weights.shape != (num,):
        raise UsageError(
            f"{name} must have shape ({num},), one weight for each sample, not {tuple(weights.shape)}",
            remedy="Leave it out for equal weights.",
        )
    if bool((weights < 0).any()):
        where = int((weights < 0).nonzero()[0, 0])
        raise UsageError(
            f"{name} must be at least 0, but weight {where} is {float(weights[where]):.6g}",
            remedy="Set it to 0 or leave out its sample, and divide the weights by their sum.",
        )
    total = float(weights.detach().sum())
    if not abs(total - 1.0) <= SUM_TOLERANCE:
        raise UsageError(f"{name} must sum to 1, not {total:.9g}", remedy="Divide them by their sum.")
    return weights / total


def check_power(p: float) -> None:
    """Check that p is a power for which the Wasserstein distance is defined.

    Raises:
        UsageError: p is below 1, infinite or NaN.
    """
    if not 1.0 <= p < float("inf"):
        raise UsageError(f"p must be a number of at least 1, not {p:g}", remedy="Use p=1 or p=2.")


def finite(values: Tensor, what: str) -> Tensor:
    """Return the values if they are finite.

    Raises:
        NumericError: The values overflowed float64.
    """
    if not bool(values.detach().isfinite().all()):
        raise NumericError(f"the {what} is too large for float64", remedy="Divide the points by their size first.")
    return values


def root(value: Tensor, p: float) -> Tensor:
    """value^(1 / p), which turns a cost into a distance.

    Args:
        value: Any shape, float64.
        p: Above 0.

    Returns:
        The same shape; 0 with gradient 0 where the value is not above 0.
    """
    if p == 1:
        return value
    is_positive = value > 0
    return torch.where(is_positive, torch.where(is_positive, value, 1.0) ** (1.0 / p), 0.0)


def refuse_beyond_memory(num_bytes: int, what: str, remedy: str) -> None:
    """Raise an error for a computation that does not fit in memory, before it swaps or is killed.

    Args:
        num_bytes: The memory that it needs.
        what: The computation and its size, for the message.
        remedy: What needs less memory, for the message.

    Raises:
        UsageError: It needs more than 90 % of the free memory.
    """
    if num_bytes < _ALWAYS_ALLOWED:
        return
    free = available()
    if free is not None and num_bytes > _SHARE_OF_MEMORY * free:
        raise UsageError(
            f"{what} needs {num_bytes / 2**30:.1f} GiB, and {free / 2**30:.1f} GiB are free", remedy=remedy
        )
