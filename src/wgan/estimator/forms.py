"""The form of the caller's data, so that samples have it too: container, dtype, and labels of the columns."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal, cast

import numpy as np
import pyarrow as pa
import torch
from numpy.typing import NDArray
from torch import Tensor

from wgan.data.arrays import as_array
from wgan.data.columns import Category, Column, Constant, Number
from wgan.data.columns.raw import read_frame
from wgan.data.columns.types import to_plain, type_from_text
from wgan.data.images.arrays import pixels_from_array
from wgan.data.images.codec import Axes, ImageCodec
from wgan.data.points import PointsCodec
from wgan.data.row_conditions import LABEL
from wgan.data.source import Codec, Labelled, Samples
from wgan.data.tables.codec import TableCodec
from wgan.errors import DataError
from wgan.estimator.frames import Note, column_of, differences, note_of
from wgan.settings import DataOptions

Container = Literal["array", "tensor", "pandas", "polars", "arrow"]
_UNNAMED = "value"


@dataclass(frozen=True, kw_only=True)
class Form:
    """The part of the form of the caller's data that the codec does not store.

    Attributes:
        container: The type of container.
        dtype: The name of a tensor's dtype; empty for other containers.
        columns: For a pandas frame, notes on the dtypes of its columns, by the names that the columns are read by.
        labels: For a pandas frame, the labels of these columns, which need not be text; for a series, its name.
        levels: For a pandas frame, the names of the levels of its column index.
        is_series: Whether the container is a series rather than a frame.
        described_by: The names of the columns fitted as y, which samples do not contain.
        before: What earlier versions stored here, and the codec stores now; else empty.
    """

    container: Container = "array"
    dtype: str = ""
    columns: tuple[tuple[str, Note], ...] = ()
    labels: tuple[Any, ...] = ()
    levels: tuple[Any, ...] = ()
    is_series: bool = False
    described_by: tuple[str, ...] = ()
    before: Mapping[str, Any] = field(default_factory=dict)

    def restore(self, samples: Samples) -> Any:  # noqa: ANN401 - the caller's data decides
        """Convert samples that the codec restored to this form, without the columns fitted as y."""
        restored = samples.values if isinstance(samples, Labelled) else samples
        if isinstance(restored, pa.Table):
            return self._frame(restored.drop_columns([*self.described_by]))
        if self.container == "tensor":
            return torch.from_numpy(restored).to(getattr(torch, self.dtype))
        return restored

    def refuse_lost_types(self, data: Any, samples: Samples) -> None:  # noqa: ANN401 - the caller's data
        """Refuse data whose types samples could not have, before anything is trained.

        Args:
            data: The caller's data.
            samples: Some of its rows, encoded and restored.

        Raises:
            DataError: A column would have another type in samples, or cannot be restored.
        """
        remedy = 'Convert it to a simpler type first, or leave it out with settings={"ignore": [...]}.'
        try:
            restored = self.restore(samples)
            if self.container == "pandas":
                table = cast(pa.Table, samples).drop_columns([*self.described_by])
                lines = differences(readable(data), self._pandas(table))
            elif self.container == "polars" and not self.is_series:
                pairs = [(name, data.schema[name], kind) for name, kind in restored.schema.items()]
                lines = [f"column {name!r} has type {a}, but samples would have {b}" for name, a, b in pairs if a != b]
            else:
                pair = getattr(data, "dtype", None), getattr(restored, "dtype", None)
                lines = (
                    [] if pair[0] == pair[1] else [f"the data has dtype {pair[0]}, but samples would have {pair[1]}"]
                )
        except DataError:
            raise
        except Exception as error:  # libraries raise many types of errors for dtypes that they cannot construct
            reason = str(error).splitlines()[0] if str(error) else type(error).__name__
            raise DataError(f"samples cannot have the types of this data: {reason}", remedy=remedy) from error
        if lines:
            more = f" (and {len(lines) - 1:,} more)" if len(lines) > 1 else ""
            raise DataError(f"{lines[0]}{more}", remedy=remedy)

    def _frame(self, table: pa.Table) -> Any:  # noqa: ANN401
        if self.container == "polars":
            frame = importlib.import_module("polars").from_arrow(table)
            return frame.to_series().alias(self.labels[0]) if self.is_series else frame
        if self.container != "pandas":
            return table
        frame = self._pandas(table)
        if self.is_series:
            return frame.iloc[:, 0].rename(self.labels[0])
        if self.labels:
            frame.columns = self._index([*frame.columns])
        return frame

    def _pandas(self, table: pa.Table) -> Any:  # noqa: ANN401
        """The table as a frame whose columns have the names that they were read by."""
        notes = dict(self.columns)
        columns = {}
        for name in table.column_names:
            try:
                columns[name] = column_of(table[name], notes[name])
            except DataError as error:
                raise DataError(f"column {name!r}: {error.message}", remedy=error.remedy) from None
        return importlib.import_module("pandas").DataFrame(columns)

    def _index(self, names: list[str]) -> Any:  # noqa: ANN401 - pandas may not be there
        """The caller's labels of the columns with these names."""
        pandas = importlib.import_module("pandas")
        called = dict(zip((name for name, _ in self.columns), self.labels, strict=True))
        labels = [called[name] for name in names]
        if len(self.levels) > 1:
            return pandas.MultiIndex.from_tuples(labels, names=list(self.levels))
        return pandas.Index(labels, name=self.levels[0])


def readable(data: Any) -> Any:  # noqa: ANN401 - the caller's data
    """Convert frames to ones whose column names are text, and polars frames to Arrow tables.

    Some readers and writers do not support the string type of polars.
    """
    if _is(data, "pandas", "Series"):
        return data.to_frame(_UNNAMED if data.name is None else name_of(data.name))
    if _is(data, "pandas", "DataFrame"):
        names = [name_of(label) for label in data.columns]
        return data if names == [*data.columns] else data.set_axis(names, axis=1)
    if _is(data, "polars", "Series"):
        return _arrow_of_polars(data.to_frame(data.name or _UNNAMED))
    return _arrow_of_polars(data) if _is(data, "polars", "DataFrame") else data


def _arrow_of_polars(frame: Any) -> pa.Table:  # noqa: ANN401 - polars may not be there
    try:
        return frame.to_arrow()
    except Exception as error:  # polars panics for some types that Arrow does not have
        for name, kind in frame.schema.items():
            try:
                frame.select(name).to_arrow()
            except Exception as fault:
                reason = str(fault).splitlines()[0]
                raise DataError(
                    f"column {name!r} of the type {kind} cannot be read: {reason}",
                    remedy="Cast it to a type that Arrow has, or leave the column out.",
                ) from None
        raise DataError(f"the frame cannot be read: {error}", remedy="Cast its columns to simpler types.") from None


def labels_of(y: Any) -> pa.Table:  # noqa: ANN401 - the caller's data
    """Convert labels to a table: the columns of a frame or matrix, or one column `label` of a vector.

    Raises:
        DataError: Another shape or type, or labels of several types.
    """
    if _is(y, "pandas", "Series") or _is(y, "polars", "Series"):
        name = LABEL if y.name in (None, "") else name_of(y.name)
        frame = y.to_frame(name)
        return read_frame(readable(frame), name="y").table
    if hasattr(readable(y), "__arrow_c_stream__"):
        return read_frame(readable(y), name="y").table
    array = as_array(y, "y")
    if array.ndim not in (1, 2) or array.dtype.kind not in "biufUSO":
        raise DataError(
            f"y has shape {array.shape} and type {array.dtype}", remedy="Give one or more labels for each row."
        )
    columns = [array] if array.ndim == 1 else list(array.T)
    names = [LABEL] if len(columns) == 1 else [f"{LABEL}_{number}" for number in range(1, len(columns) + 1)]
    try:
        return pa.table({name: pa.array(_words(column)) for name, column in zip(names, columns, strict=True)})
    except (pa.ArrowException, OverflowError, UnicodeDecodeError) as error:
        raise DataError(f"y cannot be read: {str(error).splitlines()[0]}", remedy="Give labels of one type.") from None


def _words(column: NDArray[np.generic]) -> list[Any]:
    bytes_ = column.dtype.kind == "S"
    words: list[Any] = [word.decode("utf-8") for word in column.tolist()] if bytes_ else column.tolist()
    return words


def classes_among(y: Any, labels: pa.Table) -> tuple[str, ...]:  # noqa: ANN401 - the caller's data
    """Find the labels that are class numbers: the integers of an array or series, but not those of a frame.

    Args:
        y: Labels as the caller gave them.
        labels: The same as `labels_of` returns them.
    """
    is_series = _is(y, "pandas", "Series") or _is(y, "polars", "Series")
    if hasattr(readable(y), "__arrow_c_stream__") and not is_series:
        return ()
    return tuple(field.name for field in labels.schema if pa.types.is_integer(field.type))


def name_of(label: object) -> str:
    """The text by which a column with this label is read, reported and named in settings."""
    return ".".join(map(str, label)) if isinstance(label, tuple) else str(label)


def _is(data: object, library: str, kind: str) -> bool:
    """Whether the data is an instance of a class of a library, without importing the library."""
    module = sys.modules.get(library)
    return module is not None and isinstance(data, getattr(module, kind))


def form_of(data: object) -> Form:
    """Find the form of the caller's data. Paths and built-in names have the form of arrays."""
    if _is(data, "pandas", "Series") or _is(data, "pandas", "DataFrame"):
        return _pandas_form(data)
    if _is(data, "polars", "Series"):
        return Form(container="polars", labels=(cast(Any, data).name,), is_series=True)
    if _is(data, "polars", "DataFrame"):
        return Form(container="polars")
    if hasattr(data, "__arrow_c_stream__"):
        return Form(container="arrow")
    if isinstance(data, torch.Tensor):
        return Form(container="tensor", dtype=str(data.dtype).removeprefix("torch."))
    return Form()


def _pandas_form(data: Any) -> Form:  # noqa: ANN401 - pandas may not be there
    frame = readable(data)
    # Duplicate names are refused when the frame is read.
    is_unique = frame.columns.is_unique
    columns = tuple((str(name), note_of(frame[name])) for name in frame.columns) if is_unique else ()
    if _is(data, "pandas", "Series"):
        return Form(container="pandas", columns=columns, labels=(data.name,), is_series=True)
    return Form(container="pandas", columns=columns, labels=(*data.columns,), levels=(*data.columns.names,))


def with_form_before(codec: Codec, before: Mapping[str, Any]) -> Codec:
    """Add to a codec what earlier versions stored in the form.

    Args:
        codec: The codec as it was stored.
        before: `Form.before`: dtype, rank, channels_first and lowest; or empty.
    """
    if not before:
        return codec
    if isinstance(codec, PointsCodec):
        return replace(codec, rank=1 if before.get("rank") == 1 else 2)
    if not isinstance(codec, ImageCodec):
        return codec
    name = str(before.get("dtype") or "uint8")
    dtype = np.dtype("float32" if name == "bfloat16" else name)
    low, high = (0.0, 255.0) if dtype.kind in "iu" else (float(before.get("lowest", 0.0)), 1.0)
    axes: Axes = "NHW" if before.get("rank") == 3 else "NCHW" if before.get("channels_first") else "NHWC"
    return replace(codec, dtype=dtype, low=low, high=high, axes=axes)


def every_row(num_rows: int) -> Tensor | slice:
    """Choose all rows (see `encoded`)."""
    return slice(num_rows)


def encoded(data: object, codec: Codec, choose: Callable[[int], Tensor | slice] = every_row) -> Tensor:
    """Encode rows of other data of the kind that was fitted.

    Args:
        data: Rows or images in any form that can be fitted.
        codec: The fitted codec.
        choose: Maps the number of rows to the indices of the rows to encode, or to a slice.

    Returns:
        Shape (n, *codec.layout.shape), float32.

    Raises:
        DataError: Other columns or another rank than were fitted, cells that cannot be read, or images out of range.
    """
    if isinstance(codec, TableCodec):
        return _encoded_frame(data, codec, choose)
    array = as_array(data, "X")
    if isinstance(codec, ImageCodec):
        options = DataOptions(size=(codec.height, codec.width), mode=cast(Any, codec.mode), range=_range(array, codec))
        pixels = pixels_from_array(array, "X", options).array
        return codec.encode(pixels)[choose(len(pixels))]
    assert isinstance(codec, PointsCodec)
    array = array.reshape(len(array), -1)
    if array.shape[1] != codec.num_columns:
        raise DataError(f"X has {array.shape[1]} features, but WGAN is expecting {codec.num_columns} features as input")
    if not np.isfinite(array).all():
        raise DataError("X holds NaN or infinite values", remedy="Leave those rows out.")
    return codec.encode(array)[choose(len(array))]


def _range(array: NDArray[np.generic], codec: ImageCodec) -> tuple[float, float]:
    """The fitted range of pixel values, or (0, 0) for images of another kind of dtype.

    A few images may use only a part of the range, so it cannot be inferred from them.

    Raises:
        DataError: Values outside the fitted range.
    """
    if array.dtype.kind != codec.dtype.kind or not array.size:
        return DataOptions().range
    low, high = float(array.min()), float(array.max())
    if not codec.low <= low <= high <= codec.high:
        fitted = f"[{codec.low:g}, {codec.high:g}]"
        raise DataError(f"X ranges from {low:.6g} to {high:.6g}, but images in {fitted} were fitted")
    return codec.low, codec.high


def _encoded_frame(data: object, codec: TableCodec, choose: Callable[[int], Tensor | slice]) -> Tensor:
    data = readable(data)
    if not hasattr(data, "__arrow_c_stream__"):
        raise DataError(f"X is of type {type(data).__name__}, but a data frame was fitted")
    table = read_frame(data, name="X").table
    missing = [column.name for column in codec.columns if column.name not in table.column_names]
    if missing:
        raise DataError(f"X lacks the columns {', '.join(map(repr, missing))}, which were fitted")
    arrays = (_plain_column(table[column.name].combine_chunks(), column) for column in codec.columns)
    return codec.compact(arrays, table.num_rows).expand(choose(table.num_rows))


def _plain_column(array: pa.Array, column: Column) -> pa.Array:
    """Convert a column of other data to the plain type that the fitted column encodes."""
    kind = type_from_text(column.type)
    if isinstance(column, Number) and column.form is not None:
        read = column.read(array)
        if read.null_count > array.null_count:
            raise DataError(f"column {column.name!r} of X holds text in another format than was fitted")
        array = read
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
