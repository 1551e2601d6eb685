"""The kinds of columns: how each is encoded for the networks and decoded to its type, bounds and categories."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, TypeAlias

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from wgan.data.columns.rounding import Calendar, nearest_step
from wgan.data.columns.text_formats import TextFormat, format_from_state, format_state
from wgan.data.columns.types import from_plain, is_temporal, is_text, to_plain, type_from_text
from wgan.data.scaling import Floats, Scaling, above, distances, to_dtype

Value: TypeAlias = str | int | float | bool | None


@dataclass(frozen=True, kw_only=True, eq=False)
class Constant:
    """A constant column, which the networks do not see.

    Attributes:
        name: The column's name.
        type: Arrow's type as text.
        value: The value, in the plain form of `to_plain`; None if every cell is missing.
        dictionary: All categories of a dictionary type, in its order; None for another type or if unknown.
    """

    name: str
    type: str
    value: Value
    dictionary: tuple[Value, ...] | None = None
    may_miss: ClassVar[bool] = False
    width: ClassVar[int] = 0

    @property
    def sample_type(self) -> pa.DataType:
        """The type of the column in samples."""
        return type_from_text(self.type)

    def groups(self, start: int) -> tuple[tuple[int, int], ...]:
        """The one-hot blocks of a column that begins at entry `start`: none."""
        return ()

    def codes(self, array: pa.Array) -> NDArray[np.int64]:
        """Zeros: a constant has no one-hot block."""
        return np.zeros(len(array), dtype=np.int64)

    def decode(self, block: Floats) -> pa.Array:
        """The value, repeated."""
        kind = type_from_text(self.type)
        return _restore(pa.array([self.value], _plain_type(kind)), kind, self.dictionary).take(
            pa.array(np.zeros(len(block), dtype=np.int64))
        )

    def state(self) -> dict[str, object]:
        """Plain JSON values, without the dictionary, which the table's codec stores."""
        return {"name": self.name, "how": "constant", "type": self.type, "value": self.value}

    @classmethod
    def from_state(cls, state: dict[str, Any]) -> Constant:
        """The inverse of `state`."""
        return cls(name=state["name"], type=state["type"], value=state["value"])


@dataclass(frozen=True, kw_only=True, eq=False)
class Number:
    """A column of numbers, dates or times. Samples have the bounds and the rounding of the data.

    Attributes:
        name: The column's name.
        type: Arrow's type as text.
        whole: Whether values are stored as whole numbers (integers, dates, times).
        low: The minimum.
        high: The maximum.
        decimals: The number of decimals that all values are rounded to; None if they are not rounded.
        step: The common step of all values, counted from the minimum, such as a day or 1,000. That of floats is in
            units of their last decimal (25 for 0.25 with two decimals). 1 if there is none.
        may_miss: Whether cells may be missing. If so, the column has a one-hot block (present, missing).
        offset: Subtracted exactly from whole numbers before they become floats: the minimum where float64 cannot
            distinguish neighbours, else 0.
        scaling: The scaling of the value, less the offset.
        calendar: The calendar of dates and times in their zone; None if `step` says all.
        form: The format of the values in text, if samples are text; else None.
        text: The type of that text, as text.
    """

    name: str
    type: str
    whole: bool
    low: int | float
    high: int | float
    decimals: int | None
    step: int
    may_miss: bool
    offset: int = 0
    scaling: Scaling
    calendar: Calendar | None = None
    form: TextFormat | None = None
    text: str = "string"

    @property
    def sample_type(self) -> pa.DataType:
        """The type of the column in samples."""
        return type_from_text(self.type if self.form is None else self.text)

    def read(self, array: pa.Array) -> pa.Array:
        """Convert a column of samples to the column's type. Text in another format becomes null."""
        if self.form is None or not is_text(array.type):
            return array
        return self.form.read(array.cast(pa.large_string())).cast(type_from_text(self.type))

    @property
    def width(self) -> int:
        """The value, and two entries for the one-hot block (present, missing) if cells may be missing."""
        return 3 if self.may_miss else 1

    def groups(self, start: int) -> tuple[tuple[int, int], ...]:
        """The one-hot blocks of a column that begins at entry `start`."""
        return ((start + 1, start + 3),) if self.may_miss else ()

    def standardise(self, array: pa.Array) -> Floats:
        """Map a plain array to network units, shape (N,). Missing cells become the mean, 0."""
        if not array.null_count:
            return self.scaling.encode(less(array, self.offset)[:, None])[:, 0]
        numbers = np.zeros(len(array))
        present = array.is_valid().to_numpy(zero_copy_only=False)
        numbers[present] = self.scaling.encode(less(array.drop_null(), self.offset)[:, None])[:, 0]
        return numbers

    def codes(self, array: pa.Array) -> NDArray[np.int64]:
        """The index of each cell in the one-hot block (present, missing), shape (N,)."""
        missing: NDArray[np.int64] = array.is_null().to_numpy(zero_copy_only=False).astype(np.int64)
        return missing

    def decode(self, block: Floats) -> pa.Array:
        """Map entries of shape (N, width) to the column's type, within its bounds."""
        missing = block[:, 2] > block[:, 1] if self.may_miss else None
        decoded = self.scaling.decode(block[:, :1])[:, 0]
        kind = type_from_text(self.type)
        inner = self._whole(decoded, kind) if self.whole else self._float(decoded)
        values = from_plain(pa.array(inner, mask=missing), kind)
        return values if self.form is None else self.form.write(values).cast(self.sample_type)

    def _whole(self, values: Floats, kind: pa.DataType) -> NDArray[np.generic]:
        """Round to whole numbers with the step and calendar of the data, within its bounds."""
        dtype = np.dtype(kind.to_pandas_dtype()) if pa.types.is_integer(kind) else np.dtype(np.int64)
        least, largest = int(self.low), int(self.high)
        if self.offset:
            distance = np.minimum(to_dtype(values, np.dtype(np.uint64)), np.uint64(largest - least))
        else:
            # Bounds as arrays of the dtype: NumPy converts uint64 to float64 if a bound is a large Python int.
            low, high = np.array(least, dtype), np.array(largest, dtype)
            distance = distances(np.clip(to_dtype(values, dtype), low, high), least)
        if self.step > 1:
            distance = nearest_step(distance, self.step)
        rounded = above(distance, least, dtype)
        if self.calendar is not None:
            rounded = np.clip(self.calendar.snap(rounded.astype(np.int64), kind, low=least), least, largest)
        return rounded

    def _float(self, values: Floats) -> NDArray[np.generic]:
        """Round to the decimals and the step of the data, within its bounds."""
        if self.decimals is not None and self.step > 1:
            places = 10.0**self.decimals
            start = np.rint(self.low * places)
            values = (start + np.rint((values * places - start) / self.step) * self.step) / places
        elif self.decimals is not None:
            values = np.round(values, self.decimals)
        clipped: NDArray[np.generic] = np.clip(values, self.low, self.high)
        return clipped

    def state(self) -> dict[str, object]:
        """Plain JSON values."""
        values = {field: getattr(self, field) for field in _NUMBER_FIELDS}
        if self.step > 1 and not is_temporal(type_from_text(self.type)):
            # Former versions had steps of dates and times only; see `wgan.data.differences.seen_by_networks`.
            values |= {"step": 1, "grid": self.step}
        values |= {"offset": self.offset} if self.offset else {}
        values |= {"calendar": self.calendar.state()} if self.calendar is not None else {}
        values |= {"form": format_state(self.form), "text": self.text} if self.form is not None else {}
        return values | {"how": "number", "scaling": self.scaling.state()}

    @classmethod
    def from_state(cls, state: dict[str, Any]) -> Number:
        """The inverse of `state`."""
        return cls(
            **{field: state[field] for field in _NUMBER_FIELDS} | {"step": state.get("grid", state["step"])},
            offset=int(state.get("offset", 0)),
            calendar=Calendar.from_state(state["calendar"]) if "calendar" in state else None,
            form=format_from_state(state["form"]) if "form" in state else None,
            text=state.get("text", "string"),
            scaling=Scaling.from_state(state["scaling"]),
        )


_NUMBER_FIELDS = ("name", "type", "whole", "low", "high", "decimals", "step", "may_miss")


@dataclass(frozen=True, kw_only=True, eq=False)
class Category:
    """A column of categories, one-hot encoded. Missing cells are a separate category.

    Attributes:
        name: The column's name.
        type: Arrow's type as text.
        values: The categories that occur, in the plain form of `to_plain`.
        dictionary: All categories of a dictionary type, in its order; None for another type.
        may_miss: Whether cells may be missing.
    """

    name: str
    type: str
    values: tuple[Value, ...]
    dictionary: tuple[Value, ...] | None
    may_miss: bool

    @property
    def sample_type(self) -> pa.DataType:
        """The type of the column in samples."""
        return type_from_text(self.type)

    @property
    def width(self) -> int:
        """One entry for each category."""
        return len(self.values) + self.may_miss

    def groups(self, start: int) -> tuple[tuple[int, int], ...]:
        """The one-hot block of a column that begins at entry `start`."""
        return ((start, start + self.width),)

    def codes(self, array: pa.Array) -> NDArray[np.int64]:
        """The index of each cell's category, shape (N,). Missing cells have the index after the last category."""
        import pyarrow.compute as pc

        found = pc.index_in(array, value_set=pa.array(self.values, array.type))
        codes: NDArray[np.int64] = found.fill_null(len(self.values)).to_numpy(zero_copy_only=False).astype(np.int64)
        return codes

    def pick(self, index: NDArray[np.int64]) -> pa.Array:
        """The inverse of `codes`, in the column's type."""
        mask = index == len(self.values)
        kind = type_from_text(self.type)
        plain = pa.array(self.values, _plain_type(kind)).take(pa.array(index, mask=mask))
        return _restore(plain, kind, self.dictionary)

    def decode(self, block: Floats) -> pa.Array:
        """The category of the largest entry of each row."""
        return self.pick(block.argmax(axis=1))

    def state(self) -> dict[str, object]:
        """Plain JSON values."""
        return {
            "name": self.name,
            "how": "category",
            "type": self.type,
            "values": list(self.values),
            "dictionary": None if self.dictionary is None else list(self.dictionary),
            "may_miss": self.may_miss,
        }

    @classmethod
    def from_state(cls, state: dict[str, Any]) -> Category:
        """The inverse of `state`."""
        dictionary = state["dictionary"]
        return cls(
            name=state["name"],
            type=state["type"],
            values=tuple(state["values"]),
            dictionary=None if dictionary is None else tuple(dictionary),
            may_miss=state["may_miss"],
        )


Column: TypeAlias = Constant | Number | Category
KINDS: dict[str, type[Constant] | type[Number] | type[Category]] = {
    "constant": Constant,
    "number": Number,
    "category": Category,
}


def floats(array: pa.Array) -> Floats:
    """A plain array of numbers as float64, missing cells as NaN."""
    missing = array.is_null().to_numpy(zero_copy_only=False)
    filled = array.fill_null(False if pa.types.is_boolean(array.type) else 0) if array.null_count else array
    values: Floats = filled.to_numpy(zero_copy_only=False).astype(np.float64)
    values[missing] = np.nan
    return values


def less(array: pa.Array, offset: int) -> Floats:
    """A plain array without missing cells as float64, less an offset that is subtracted exactly from whole numbers."""
    return distances(array.to_numpy(), offset).astype(np.float64) if offset else floats(array)


def _plain_type(kind: pa.DataType) -> pa.DataType:
    if pa.types.is_dictionary(kind):
        return _plain_type(kind.value_type)
    return to_plain(pa.array([], kind)).type


def _restore(plain: pa.Array, kind: pa.DataType, dictionary: tuple[Value, ...] | None) -> pa.Array:
    """Convert plain categories to their type."""
    import pyarrow.compute as pc

    if not pa.types.is_dictionary(kind):
        return from_plain(plain, kind)
    names = pa.array(dictionary if dictionary is not None else plain.unique().drop_null().to_pylist(), plain.type)
    indices = pc.index_in(plain, value_set=names).cast(kind.index_type)
    return pa.DictionaryArray.from_arrays(indices, from_plain(names, kind.value_type), ordered=kind.ordered)
