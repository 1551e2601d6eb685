"""Points: the rows of an array, their codec and their source."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar

import numpy as np
import pyarrow as pa
import torch
from numpy.typing import NDArray
from torch import Tensor

from wgan.batch import Layout
from wgan.data.finite import FiniteSource
from wgan.data.row_conditions import LABEL, conditions_of_labels
from wgan.data.scaling import EXACT, Floats, Scaling, distances, shifted, to_dtype
from wgan.data.source import Kind
from wgan.errors import DataError, DataWarning, UsageError
from wgan.settings import DataOptions
from wgan.system.text import counted

# If the standard deviations of columns differ by more than this factor, "auto" scales each column by its own.
_UNEVEN = 10.0
# Larger arrays stay on disk, and rows are read when they are drawn.
_KEEP_BYTES = 2**30
_BLOCK_BYTES = 2**24


@dataclass(frozen=True, kw_only=True, eq=False)
class PointsCodec:
    """The map between points of any real dtype and network units in float32.

    Attributes:
        dtype: Of the points of the data, and of those that `decode` returns.
        num_columns: Number of columns, including constant ones.
        constants: (column, value) of constant columns, which are not passed to the networks.
        offsets: Whole numbers that are subtracted from the other columns before the conversion to float64. One is the
            least value if float64 cannot represent all values exactly, else 0. Empty if all are 0.
        scaling: Of the other columns, after the offsets are subtracted.
        bounded: Whether the columns are booleans, encoded as -1 and 1, so that the generator ends in tanh.
        rank: Rank of the array of the data: 1 or 2.
        extended: The dtype of the data if it is wider than float64, to which it is converted; else None.
    """

    dtype: np.dtype[np.generic]
    num_columns: int
    constants: tuple[tuple[int, float | int | bool], ...] = ()
    offsets: tuple[int, ...] = ()
    scaling: Scaling
    bounded: bool = False
    rank: int = 2
    extended: np.dtype[np.generic] | None = None
    kind: Kind = field(default="points", init=False)

    _version: ClassVar[int] = 1

    @classmethod
    def identity(cls, num_columns: int) -> PointsCodec:
        """The codec of float32 points that are passed to the networks unchanged."""
        return cls(dtype=np.dtype(np.float32), num_columns=num_columns, scaling=Scaling.identity(num_columns))

    @property
    def layout(self) -> Layout:
        """One entry for each column that is not constant."""
        return Layout(shape=(len(self.varying),), bounded=self.bounded)

    @property
    def varying(self) -> list[int]:
        """The columns that are not constant."""
        constant = {column for column, _ in self.constants}
        return [column for column in range(self.num_columns) if column not in constant]

    @property
    def unit(self) -> float | None:
        """The number of data units in one network unit; None if columns have different scales."""
        return self.scaling.unit

    def encode(self, points: NDArray[np.generic]) -> Tensor:
        """Map points, shape (N, num_columns), to network units, shape (N, D), float32."""
        values = points[:, self.varying] if self.constants else points
        return torch.from_numpy(self.scaling.encode(_subtract(values, self.offsets)).astype(np.float32))

    def decode(self, values: Tensor) -> NDArray[np.generic]:
        """Map network units to points.

        Args:
            values: Shape (N, D).

        Returns:
            Shape (N, num_columns), in the dtype of the data; integers are rounded and clipped to its range.
        """
        scaled = values.detach().to("cpu", torch.float64).numpy()
        points = np.empty((len(scaled), self.num_columns), dtype=self.dtype)
        decoded = self.scaling.decode(scaled)
        for index, column in enumerate(self.varying):
            offset = self.offsets[index] if self.offsets else 0
            values_of_column = decoded[:, index]
            points[:, column] = (
                shifted(values_of_column, offset, self.dtype) if offset else to_dtype(values_of_column, self.dtype)
            )
        for column, value in self.constants:
            points[:, column] = value
        return points

    def restore(self, values: Tensor) -> NDArray[np.generic]:
        """Map network units to an array in the form of the data: as `decode`, but with its rank and extended dtype."""
        points = self.decode(values)
        points = points if self.extended is None else points.astype(self.extended)
        return points[:, 0] if self.rank == 1 else points

    def state(self) -> dict[str, object]:
        """Plain JSON values."""
        offsets = {"offsets": list(self.offsets)} if self.offsets else {}
        given: dict[str, object] = {"rank": 1} if self.rank == 1 else {}
        given |= {"dtype": self.extended.str} if self.extended is not None else {}
        return {
            **offsets,
            **({"given": given} if given else {}),
            **({"bounded": True} if self.bounded else {}),
            "kind": self.kind,
            "version": self._version,
            "dtype": self.dtype.str,
            "num_columns": self.num_columns,
            "constants": [list(pair) for pair in self.constants],
            "scaling": self.scaling.state(),
        }

    @classmethod
    def from_state(cls, state: dict[str, Any]) -> PointsCodec:
        """The inverse of `state`."""
        given = state.get("given", {})
        extended = np.dtype(given["dtype"]) if "dtype" in given else None
        if extended is not None and extended.kind != "f":
            raise ValueError(f"points of {extended} are not wider than float64")
        return cls(
            bounded=bool(state.get("bounded", False)),
            rank=1 if given.get("rank") == 1 else 2,
            extended=extended,
            dtype=np.dtype(state["dtype"]),
            num_columns=int(state["num_columns"]),
            constants=tuple((int(column), value) for column, value in state["constants"]),
            offsets=tuple(int(offset) for offset in state.get("offsets", ())),
            scaling=Scaling.from_state(state["scaling"]),
        )


class PointsSource(FiniteSource):
    """The rows of an array as a `Source`.

    Scales and constant columns are computed over all rows, including held-out ones.

    Args:
        array: Shape (N, D) or (N,), which is one column; a real dtype; may be memory-mapped or masked; masked cells
            are missing values.
        name: As the user called it.
        options: `held_out`, `scaling` and `missing` ("error" or "drop") apply.
        seed: Of the split.
        labels: A label for each point, shape (N,), or a table of several.
        labels_name: Name of the labels; without `labels`, the description says that they are not used.
        notes: Notes of the reader.

    Raises:
        DataError: Fewer than 2 rows, NaN or infinite values with `missing="error"`, or only constant columns.
        UsageError: `missing="keep"`, which only tables support; an unknown condition.
    """

    codec: PointsCodec

    def __init__(
        self,
        array: NDArray[np.generic],
        *,
        name: str,
        options: DataOptions,
        seed: int,
        labels: NDArray[np.generic] | pa.Table | None = None,
        labels_name: str = "",
        notes: tuple[str, ...] = (),
    ) -> None:
        if options.missing == "keep":
            raise UsageError(
                f"{name}: --missing keep needs a table, and these are points", remedy="Use --missing drop, or a .csv."
            )
        rank, extended = array.ndim, None
        if array.dtype.kind == "f" and array.dtype.itemsize > 8:
            extended = array.dtype
            # Values beyond float64 become infinite, and are counted below.
            with np.errstate(over="ignore"):
                array = array.astype(np.float64)
            notes += (f"{extended} is learnt as float64",)
        array = array.reshape(len(array), -1)
        rows = _usable_rows(array, name, options)
        # Rows with masked cells are dropped by now.
        array = array.data if isinstance(array, np.ma.MaskedArray) else array
        offers, row_conditions = conditions_of_labels(labels, len(array), name, options, rows)
        if row_conditions is not None and row_conditions.kept is not None:
            rows = (np.arange(len(array)) if rows is None else rows)[row_conditions.kept]
        count = len(array) if rows is None else len(rows)
        if count < 2 or not array.shape[1]:
            left = f" after dropping {len(array) - count:,}" if count < len(array) else ""
            raise DataError(
                f"{name}: {counted(count, 'row')} of {counted(array.shape[1], 'column')}{left}; "
                "needs at least 2 rows and 1 column",
                remedy="Give more data: a distribution cannot be learnt from fewer rows.",
            )
        if count < len(array):
            notes += (f"{counted(len(array) - count, 'row')} with NaN or infinite values dropped",)
        codec, note = _fit(array, rows, name, options)
        codec = replace(codec, rank=rank, extended=extended)
        super().__init__(
            name,
            codec,
            _row_encoder(array, codec),
            count if rows is None else torch.from_numpy(rows),
            held_out=options.held_out,
            seed=seed,
            notes=(*notes, note),
            offers=offers or ((LABEL,) if labels_name else ()),
            row_conditions=row_conditions,
            unseen=options.unseen,
        )
        self._dtype, self._count = array.dtype, count
        self._unused = labels_name if row_conditions is None else ""

    def describe(self) -> str:
        """The points in one line: rows, columns, dtype, labels, split."""
        columns = self.codec.num_columns
        constant = f" ({len(self.codec.constants)} constant)" if self.codec.constants else ""
        noun = "column" if columns == 1 else "columns"
        line = f"points {self.name}: {self._count:,} rows, {columns:,} {noun}{constant} of {self._dtype.name}"
        labels = f", labels {self._unused!r} not used" if self._unused else ""
        return f"{line}{labels}, {self.num_held_out:,} held out{self._describe_conditions()}"


def _blocks(array: NDArray[np.generic]) -> Iterator[slice]:
    """Slices of rows whose float64 copies have at most `_BLOCK_BYTES`."""
    step = max(1, _BLOCK_BYTES // (8 * max(1, array.shape[1])))
    for start in range(0, len(array), step):
        yield slice(start, start + step)


def _row_encoder(array: NDArray[np.generic], codec: PointsCodec) -> Callable[[Tensor], Tensor]:
    """Encode rows by their numbers: from an encoded copy in memory, or from disk if that would be too large."""
    if isinstance(array, np.memmap) and array.nbytes > _KEEP_BYTES:
        return lambda numbers: codec.encode(array[numbers.numpy()])
    encoded = torch.empty(len(array), *codec.layout.shape, dtype=torch.float32, device="cpu")
    for part in _blocks(array):
        # Dropped rows may hold NaN or Inf; they are never drawn.
        with np.errstate(invalid="ignore", over="ignore"):
            encoded[part] = codec.encode(array[part])
    return encoded.__getitem__


def _usable_rows(array: NDArray[np.generic], name: str, options: DataOptions) -> NDArray[np.int64] | None:
    """Numbers of the rows without NaN or Inf; None if all rows are finite."""
    is_masked = isinstance(array, np.ma.MaskedArray)
    if array.dtype.kind != "f" and not is_masked:
        return None
    count = 0
    cells: list[str] = []
    is_finite = np.ones(len(array), dtype=bool)
    for part in _blocks(array):
        bad = np.ma.getmaskarray(array[part]) if is_masked else ~np.isfinite(array[part])
        if is_masked and array.dtype.kind == "f":
            bad = bad | ~np.isfinite(np.ma.getdata(array[part]))
        if bad.any():
            count += int(bad.sum())
            is_finite[part] = ~bad.any(axis=1)
            for row, column in np.argwhere(bad)[: 5 - len(cells)]:
                value = array[part.start + row, column]
                shown = "masked" if value is np.ma.masked else value
                cells.append(f"row {part.start + row + 1} column {column + 1} ({shown})")
    if not count:
        return None
    if options.missing == "drop":
        return np.flatnonzero(is_finite)
    more = ", ..." if count > len(cells) else ""
    what = "masked, NaN or infinite" if is_masked else "NaN or infinite"
    raise DataError(
        f"{name}: {count:,} {what} {'cell' if count == 1 else 'cells'}: {', '.join(cells)}{more}",
        remedy="Use --missing drop to drop these rows.",
    )


def _fit(
    array: NDArray[np.generic], rows: NDArray[np.int64] | None, name: str, options: DataOptions
) -> tuple[PointsCodec, str]:
    """Find constant columns and the scaling of the others; also a note on the scaling."""
    good = None
    if rows is not None:
        good = np.zeros(len(array), dtype=bool)
        good[rows] = True

    def usable() -> Iterator[NDArray[np.generic]]:
        for part in _blocks(array):
            block = array[part] if good is None else array[part][good[part]]
            if len(block):
                yield block

    ends = [(block.min(axis=0), block.max(axis=0)) for block in usable()]
    low, high = np.min([low for low, _ in ends], axis=0), np.max([high for _, high in ends], axis=0)
    fixed = np.flatnonzero(low == high)
    varying = np.flatnonzero(low != high)
    if not len(varying):
        raise DataError(f"{name}: every column is constant", remedy="There is nothing to learn: check the data.")
    offsets = _offsets(low[varying], high[varying])
    lows, highs = _subtract(low[None, varying], offsets)[0], _subtract(high[None, varying], offsets)[0]
    if len(fixed):
        shown = ", ".join(str(column + 1) for column in fixed[:5]) + (", ..." if len(fixed) > 5 else "")
        message = f"{name}: constant columns ({shown}) are not learnt; samples get the same values"
        warnings.warn(message, DataWarning, stacklevel=2)

    def blocks() -> Iterator[Floats]:
        for block in usable():
            yield _subtract(block if len(varying) == block.shape[1] else block[:, varying], offsets)

    bounded = array.dtype.kind == "b" and options.scaling == "auto"
    if bounded:
        # The threshold between the two is 0, where tanh is steepest.
        scaling, note = Scaling.flags(len(varying)), "booleans are encoded as -1 and 1"
    else:
        scaling, note = _scaling(lows, highs, blocks, name, options)
    constants = tuple((int(column), low[column].item()) for column in fixed)
    codec = PointsCodec(
        dtype=array.dtype,
        num_columns=array.shape[1],
        constants=constants,
        offsets=offsets,
        scaling=scaling,
        bounded=bounded,
    )
    return codec, note


def _offsets(low: NDArray[np.generic], high: NDArray[np.generic]) -> tuple[int, ...]:
    """The offset of each column of integers; empty if all are 0."""
    if low.dtype.kind not in "iu":
        return ()
    ends = [(int(least), int(largest)) for least, largest in zip(low.tolist(), high.tolist(), strict=True)]
    offsets = tuple(least if max(abs(least), abs(largest)) > EXACT else 0 for least, largest in ends)
    return offsets if any(offsets) else ()


def _subtract(values: NDArray[np.generic], offsets: tuple[int, ...]) -> Floats:
    """Points as float64 after the offsets are subtracted exactly, as integers."""
    floats = values.astype(np.float64)
    for column, offset in enumerate(offsets):
        if offset:
            floats[:, column] = distances(values[:, column], offset)
    return floats


def _scaling(
    lows: Floats, highs: Floats, blocks: Callable[[], Iterator[Floats]], name: str, options: DataOptions
) -> tuple[Scaling, str]:
    """The scaling according to the options, and a note on it."""
    if options.scaling == "none":
        largest = float(max(np.abs(lows).max(), np.abs(highs).max()))
        if largest > float(np.finfo(np.float32).max):
            raise DataError(
                f"{name}: values reach {largest:.3g}, beyond the range of float32",
                remedy="Leave --scaling at auto.",
            )
        return Scaling.identity(len(lows)), "columns are not scaled"
    each = Scaling.fit(lows, highs, blocks)
    if options.scaling == "each" or (options.scaling == "auto" and each.is_uneven(_UNEVEN)):
        return each, "each column is scaled by its own standard deviation"
    common = each.common()
    return common, f"all columns are scaled by one factor, {common.unit:.4g}"
