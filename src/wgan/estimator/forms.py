"""What the caller brought, so that samples come back as the same: its container, dtype, axes and range."""

from __future__ import annotations

import importlib
import sys
from dataclasses import dataclass
from typing import Any, Literal, cast

import numpy as np
import pyarrow as pa
import torch
from numpy.typing import NDArray
from torch import Tensor

from wgan.data.arrays import as_array
from wgan.data.images.arrays import pixels_from_array
from wgan.data.images.source import ImageCodec
from wgan.data.labels import LABEL
from wgan.data.points import PointsCodec
from wgan.data.source import Codec, Labelled, Samples
from wgan.data.tables import TableCodec
from wgan.data.tables.columns import Category, Column, Constant
from wgan.data.tables.reading import read_frame
from wgan.data.tables.types import to_plain, type_from_text
from wgan.display import counted
from wgan.errors import DataError
from wgan.settings import DataOptions

Container = Literal["array", "tensor", "pandas", "polars", "arrow"]
_CHANNELS = (1, 3, 4)
_UNNAMED = "value"


@dataclass(frozen=True, kw_only=True)
class Form:
    """The form of the caller's data.

    Attributes:
        container: What holds it.
        dtype: Of an array or a tensor, by its name; empty for a data frame.
        rank: Of an array or a tensor: 1 to 4.
        channels_first: Whether images came as (N, channels, height, width).
        lowest: What black is in images of floats: 0 or -1.
        columns: Of a pandas frame: dtypes by the names that its columns have where they are read.
        labels: Of a pandas frame: what it calls these columns, which need not be text; of a series its name alone.
        levels: Of a pandas frame: names of the levels of its columns' index.
        is_series: Whether it is a series, one column, rather than a frame.
        described_by: Names of what was fitted as y, which samples do not hold.
    """

    container: Container = "array"
    dtype: str = ""
    rank: int = 2
    channels_first: bool = False
    lowest: float = 0.0
    columns: tuple[tuple[str, str], ...] = ()
    labels: tuple[Any, ...] = ()
    levels: tuple[Any, ...] = ()
    is_series: bool = False
    described_by: tuple[str, ...] = ()

    def back(self, samples: Samples) -> Any:  # noqa: ANN401 - what the caller brought decides
        """Bring decoded samples to this form, without what they were asked for by."""
        decoded = samples.values if isinstance(samples, Labelled) else samples
        if isinstance(decoded, pa.Table):
            return self._frame(decoded.drop_columns([*self.described_by]))
        array = self._pixels(decoded) if decoded.ndim == 4 else decoded
        if self.rank == 1:
            array = array[:, 0]
        if self.container == "tensor":
            return torch.from_numpy(array).to(getattr(torch, self.dtype))
        return array

    def _pixels(self, images: NDArray[Any]) -> NDArray[Any]:
        array: NDArray[Any] = images
        if self.dtype:
            kind = np.dtype("float32" if self.container == "tensor" else self.dtype)
            is_float = "float" in self.dtype
            array = (images / _span(self.lowest) + self.lowest).astype(kind) if is_float else images.astype(kind)
        if self.rank == 3:
            return array[..., 0]
        return np.ascontiguousarray(array.transpose(0, 3, 1, 2)) if self.channels_first else array

    def _frame(self, table: pa.Table) -> Any:  # noqa: ANN401
        if self.container == "polars":
            frame = importlib.import_module("polars").from_arrow(table)
            return frame.to_series().alias(self.labels[0]) if self.is_series else frame
        if self.container != "pandas":
            return table
        frame = table.to_pandas()
        wanted = {name: dtype for name, dtype in self.columns if name in frame and str(frame[name].dtype) != dtype}
        frame = frame.astype(wanted) if wanted else frame
        if self.is_series:
            return frame.iloc[:, 0].rename(self.labels[0])
        if self.labels:
            frame.columns = self._index([*frame.columns])
        return frame

    def _index(self, names: list[str]) -> Any:  # noqa: ANN401 - pandas may not be there
        """The caller's own labels of the columns of these names."""
        pandas = importlib.import_module("pandas")
        called = dict(zip((name for name, _ in self.columns), self.labels, strict=True))
        labels = [called[name] for name in names]
        if len(self.levels) > 1:
            return pandas.MultiIndex.from_tuples(labels, names=list(self.levels))
        return pandas.Index(labels, name=self.levels[0])


def readable(data: Any) -> Any:  # noqa: ANN401 - what the caller brought
    """The data in a layout that all readers and writers know: frames whose columns are named by text.

    The text of polars is of a kind that is newer than some of them.
    """
    if _is(data, "pandas", "Series"):
        return data.to_frame(_UNNAMED if data.name is None else _name_of(data.name))
    if _is(data, "pandas", "DataFrame"):
        names = [_name_of(label) for label in data.columns]
        return data if names == [*data.columns] else data.set_axis(names, axis=1)
    if _is(data, "polars", "Series"):
        return data.to_frame(data.name or _UNNAMED).to_arrow()
    return data.to_arrow() if _is(data, "polars", "DataFrame") else data


def labels_of(y: Any) -> pa.Table:  # noqa: ANN401 - what the caller brought
    """What rows are described by, as a table: a column for each of a frame or a matrix, one called `label` of a vector.

    Raises:
        DataError: Neither vector nor matrix nor frame.
    """
    if _is(y, "pandas", "Series") or _is(y, "polars", "Series"):
        name = LABEL if y.name in (None, "") else _name_of(y.name)
        frame = y.to_frame(name)
        return read_frame(readable(frame), name="y").table
    if hasattr(readable(y), "__arrow_c_stream__"):
        return read_frame(readable(y), name="y").table
    array = as_array(y, "y")
    if array.ndim not in (1, 2) or array.dtype.kind not in "biufUSO":
        raise DataError(f"y has shape {array.shape} and type {array.dtype}", remedy="Give one label or more a row.")
    columns = [array] if array.ndim == 1 else list(array.T)
    names = [LABEL] if len(columns) == 1 else [f"{LABEL}_{number}" for number in range(1, len(columns) + 1)]
    try:
        return pa.table({name: pa.array(column.tolist()) for name, column in zip(names, columns, strict=True)})
    except pa.ArrowException as error:
        raise DataError(f"y cannot be read: {str(error).splitlines()[0]}", remedy="Give labels of one type.") from None


def classes_among(y: Any, labels: pa.Table) -> tuple[str, ...]:  # noqa: ANN401 - what the caller brought
    """Which labels are numbers of classes: whole ones of an array or series; a frame's columns are read as the data's.

    Args:
        y: As the caller gave it.
        labels: What `labels_of` made of it.
    """
    is_series = _is(y, "pandas", "Series") or _is(y, "polars", "Series")
    if hasattr(readable(y), "__arrow_c_stream__") and not is_series:
        return ()
    return tuple(field.name for field in labels.schema if pa.types.is_integer(field.type))


def _name_of(label: object) -> str:
    """A column's label as the text that it is read, reported and named in settings by."""
    return ".".join(map(str, label)) if isinstance(label, tuple) else str(label)


def _is(data: object, library: str, kind: str) -> bool:
    """Whether the data is of this class of a library, which is then there."""
    module = sys.modules.get(library)
    return module is not None and isinstance(data, getattr(module, kind))


def form_of(data: object) -> Form:
    """Find the form of what the caller brought; paths and built-in names count as arrays of their own dtype."""
    if _is(data, "pandas", "Series") or _is(data, "pandas", "DataFrame"):
        return _pandas_form(data)
    if _is(data, "polars", "Series"):
        return Form(container="polars", labels=(cast(Any, data).name,), is_series=True)
    if _is(data, "polars", "DataFrame"):
        return Form(container="polars")
    if hasattr(data, "__arrow_c_stream__"):
        return Form(container="arrow")
    if isinstance(data, torch.Tensor):
        return _array_form(as_array(data, "tensor"), "tensor", str(data.dtype).removeprefix("torch."))
    if isinstance(data, np.ndarray | list | tuple):
        array = as_array(data, "array")
        return _array_form(array, "array", array.dtype.name)
    return Form()


def _pandas_form(data: Any) -> Form:  # noqa: ANN401 - pandas may not be there
    frame = readable(data)
    columns = tuple((str(name), str(dtype)) for name, dtype in zip(frame.columns, frame.dtypes, strict=True))
    if _is(data, "pandas", "Series"):
        return Form(container="pandas", columns=columns, labels=(data.name,), is_series=True)
    return Form(container="pandas", columns=columns, labels=(*data.columns,), levels=(*data.columns.names,))


def _array_form(array: NDArray[np.generic], container: Container, dtype: str) -> Form:
    is_image = array.ndim >= 3
    return Form(
        container=container,
        dtype=dtype,
        rank=array.ndim,
        channels_first=array.ndim == 4 and array.shape[3] not in _CHANNELS,
        lowest=-1.0 if is_image and "float" in dtype and array.size and bool(np.less(array, 0).any()) else 0.0,
    )


def encoded(data: object, codec: Codec, form: Form) -> Tensor:
    """Bring other data of the kind that was fitted to what the networks see.

    Args:
        data: Rows or images in any form that could have been fitted.
        codec: The preprocessing that was fitted.
        form: The form of the data that was fitted: images of floats have its range.

    Returns:
        Shape (N, *codec.layout.shape), float32.

    Raises:
        DataError: Other columns or another rank than were fitted, cells that cannot be read, or images out of range.
    """
    if isinstance(codec, TableCodec):
        return _encoded_frame(data, codec)
    array = as_array(data, "X")
    if isinstance(codec, ImageCodec):
        options = DataOptions(size=(codec.height, codec.width), mode=cast(Any, codec.mode))
        return codec.encode(pixels_from_array(_in_bytes(array, form), "X", options)[0])
    assert isinstance(codec, PointsCodec)
    array = array.reshape(len(array), -1)
    if array.shape[1] != codec.num_columns:
        fitted = "1 was" if codec.num_columns == 1 else f"{codec.num_columns} were"
        raise DataError(f"X has {counted(array.shape[1], 'column')}, but {fitted} fitted")
    if not np.isfinite(array).all():
        raise DataError("X holds NaN or infinite values", remedy="Leave those rows out.")
    return codec.encode(array)


def _in_bytes(array: NDArray[np.generic], form: Form) -> NDArray[np.generic]:
    """Images of floats as bytes by the range that was fitted, since a few of them need not show which one it is."""
    if array.dtype.kind != "f" or "float" not in form.dtype or not array.size:
        return array
    low, high = float(array.min()), float(array.max())
    if not form.lowest <= low <= high <= 1:
        raise DataError(f"X ranges from {low:.6g} to {high:.6g}, but images in [{form.lowest:g}, 1] were fitted")
    scaled = (array.astype(np.float64) - form.lowest) * _span(form.lowest)
    pixels: NDArray[np.generic] = np.rint(scaled).astype(np.uint8)
    return pixels


def _span(lowest: float) -> float:
    """Levels of eight bits in a unit of images of floats whose black is `lowest`."""
    return 255.0 / (1.0 - lowest)


def _encoded_frame(data: object, codec: TableCodec) -> Tensor:
    data = readable(data)
    if not hasattr(data, "__arrow_c_stream__"):
        raise DataError(f"X is of type {type(data).__name__}, but a data frame was fitted")
    table = read_frame(data, name="X").table
    missing = [column.name for column in codec.columns if column.name not in table.column_names]
    if missing:
        raise DataError(f"X lacks the columns {', '.join(map(repr, missing))}, which were fitted")
    return codec.encode([_plain_column(table[column.name].combine_chunks(), column) for column in codec.columns])


def _plain_column(array: pa.Array, column: Column) -> pa.Array:
    """A column of other data in the plain form that the fitted column encodes."""
    kind = type_from_text(column.type)
    try:
        if array.type != kind and not pa.types.is_dictionary(kind) and not pa.types.is_dictionary(array.type):
            array = array.cast(kind)
        plain = to_plain(array).cast(to_plain(pa.array([], kind)).type)
    except pa.ArrowException as error:
        reason = str(error).splitlines()[0]
        raise DataError(f"column {column.name!r} of X cannot be read as {column.type}: {reason}") from None
    if isinstance(column, Category):
        strange = sorted({str(value) for value in plain.drop_null().unique().to_pylist() if value not in column.values})
        if strange:
            raise DataError(f"column {column.name!r} of X holds {strange[0]!r}, which the fitted data did not")
    if plain.null_count and not isinstance(column, Constant) and not column.may_miss:
        raise DataError(f"column {column.name!r} of X has {plain.null_count:,} missing cells, the fitted data had none")
    return plain
