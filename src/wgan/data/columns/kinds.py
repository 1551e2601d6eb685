"""One column of a table: what the networks see of it, and the way back to its type, bounds and names."""

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
    """A column that never changes: the networks do not see it.

    Attributes:
        name: As the table calls it.
        type: Arrow's type as text.
        value: In the plain form of `to_plain`; None where every cell is missing.
        dictionary: All categories of a dictionary type in its order; None of another type, or where it is not known.
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
        """The one-hot blocks, none here, of a column that begins at entry `start`."""
        return ()

    def codes(self, array: pa.Array) -> NDArray[np.int64]:
        """No codes, since there is no one-hot block: every cell is 0."""
        return np.zeros(len(array), dtype=np.int64)

    def decode(self, block: Floats) -> pa.Array:
        """Repeat the value."""
        kind = type_from_text(self.type)
        return _restore(pa.array([self.value], _plain_type(kind)), kind, self.dictionary).take(
            pa.array(np.zeros(len(block), dtype=np.int64))
        )

    def state(self) -> dict[str, object]:
        """Plain JSON values, but for the dictionary, which the table's codec keeps."""
        return {"name": self.name, "how": "constant", "type": self.type, "value": self.value}

    @classmethod
    def from_state(cls, state: dict[str, Any]) -> Constant:
        """The inverse of `state`."""
        return cls(name=state["name"], type=state["type"], value=state["value"])


@dataclass(frozen=True, kw_only=True, eq=False)
class Number:
    """A column of numbers, dates or times: standardised, and in samples held to the bounds and rounding of the data.

    Attributes:
        name: As the table calls it.
        type: Arrow's type as text.
        whole: Whether values are whole numbers inside (integers, dates, times).
        low: Least value.
        high: Largest value.
        decimals: Places after the point that all values are rounded to; None where there is no such number.
        step: What values are multiples of, counted from the least, such as a day or a thousand; of floats in units of
            their last place (25 for 0.25 with two places). 1 where there is no such number.
        may_miss: Whether cells may be missing: two more entries then say (present, missing).
        offset: Subtracted from whole numbers, as such, before they become floats: the least value where float64 cannot
            tell neighbours apart, else 0.
        scaling: Of the one entry that holds the value, less the offset.
        calendar: What dates and times keep to in the time of their zone, beside `step`; None where that says all.
        form: How the values are written in text, which samples then hold; None where they hold the values.
        text: Type of that text, as text.
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
        """A column of samples, or of other data in their form, in the column's own type; null for other text."""
        if self.form is None or not is_text(array.type):
            return array
        return self.form.read(array.cast(pa.large_string())).cast(type_from_text(self.type))

    @property
    def width(self) -> int:
        """The value, and where it may be missing, present and missing as one-hot."""
        return 3 if self.may_miss else 1

    def groups(self, start: int) -> tuple[tuple[int, int], ...]:
        """The one-hot blocks of a column that begins at entry `start`."""
        return ((start + 1, start + 3),) if self.may_miss else ()

    def standardise(self, array: pa.Array) -> Floats:
        """Map a plain array to numbers in network units, shape (N,); a missing value becomes the mean, which is 0."""
        if not array.null_count:
            return self.scaling.encode(less(array, self.offset)[:, None])[:, 0]
        numbers = np.zeros(len(array))
        present = array.is_valid().to_numpy(zero_copy_only=False)
        numbers[present] = self.scaling.encode(less(array.drop_null(), self.offset)[:, None])[:, 0]
        return numbers

    def codes(self, array: pa.Array) -> NDArray[np.int64]:
        """Each cell's place in the one-hot block (present, missing), shape (N,)."""
        missing: NDArray[np.int64] = array.is_null().to_numpy(zero_copy_only=False).astype(np.int64)
        return missing

    def decode(self, block: Floats) -> pa.Array:
        """Map shape (N, width) back to the column's type, within its bounds."""
        missing = block[:, 2] > block[:, 1] if self.may_miss else None
        decoded = self.scaling.decode(block[:, :1])[:, 0]
        kind = type_from_text(self.type)
        inner = self._whole(decoded, kind) if self.whole else self._float(decoded)
        values = from_plain(pa.array(inner, mask=missing), kind)
        return values if self.form is None else self.form.write(values).cast(self.sample_type)

    def _whole(self, values: Floats, kind: pa.DataType) -> NDArray[np.generic]:
        """Round to whole numbers within the bounds."""
        dtype = np.dtype(kind.to_pandas_dtype()) if pa.types.is_integer(kind) else np.dtype(np.int64)
        least, largest = int(self.low), int(self.high)
        if self.offset:
            far = np.minimum(to_dtype(values, np.dtype(np.uint64)), np.uint64(largest - least))
        else:
            # Bounds as arrays of the dtype: a plain large int would turn uint64 into floats.
            low, high = np.array(least, dtype), np.array(largest, dtype)
            far = distances(np.clip(to_dtype(values, dtype), low, high), least)
        if self.step > 1:
            far = nearest_step(far, self.step)
        inner = above(far, least, dtype)
        if self.calendar is not None:
            inner = np.clip(self.calendar.snap(inner.astype(np.int64), kind, low=least), least, largest)
        return inner

    def _float(self, values: Floats) -> NDArray[np.generic]:
        """Round as the data is rounded, within the bounds."""
        if self.decimals is not None and self.step > 1:
            places = 10.0**self.decimals
            start = np.rint(self.low * places)
            values = (start + np.rint((values * places - start) / self.step) * self.step) / places
        elif self.decimals is not None:
            values = np.round(values, self.decimals)
        held: NDArray[np.generic] = np.clip(values, self.low, self.high)
        return held

    def state(self) -> dict[str, object]:
        """Plain JSON values."""
        values = {field: getattr(self, field) for field in _NUMBER_FIELDS}
        if self.step > 1 and not is_temporal(type_from_text(self.type)):
            # Earlier versions knew steps of dates and times only; see `wgan.data.differences.seen_by_networks`.
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
    """A column of categories, as one-hot; a missing cell is one more category.

    Attributes:
        name: As the table calls it.
        type: Arrow's type as text.
        values: The categories that occur, in the plain form of `to_plain`.
        dictionary: All categories of a dictionary type in its order, those that never occur among them.
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
        """An entry for each category."""
        return len(self.values) + self.may_miss

    def groups(self, start: int) -> tuple[tuple[int, int], ...]:
        """The one-hot block of a column that begins at entry `start`."""
        return ((start, start + self.width),)

    def codes(self, array: pa.Array) -> NDArray[np.int64]:
        """Each cell's place among the categories, shape (N,); a missing cell has the place behind the last."""
        import pyarrow.compute as pc

        found = pc.index_in(array, value_set=pa.array(self.values, array.type))
        places: NDArray[np.int64] = found.fill_null(len(self.values)).to_numpy(zero_copy_only=False).astype(np.int64)
        return places

    def pick(self, index: NDArray[np.int64]) -> pa.Array:
        """The inverse of `codes`, in the column's type."""
        mask = index == len(self.values)
        kind = type_from_text(self.type)
        plain = pa.array(self.values, _plain_type(kind)).take(pa.array(index, mask=mask))
        return _restore(plain, kind, self.dictionary)

    def decode(self, block: Floats) -> pa.Array:
        """Take the largest entry of each row back to its category."""
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
HOW: dict[str, type[Constant] | type[Number] | type[Category]] = {
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
    """A plain array without missing cells as float64, less an offset that is taken off whole numbers exactly."""
    return distances(array.to_numpy(), offset).astype(np.float64) if offset else floats(array)


def _plain_type(kind: pa.DataType) -> pa.DataType:
    if pa.types.is_dictionary(kind):
        return _plain_type(kind.value_type)
    return to_plain(pa.array([], kind)).type


def _restore(plain: pa.Array, kind: pa.DataType, dictionary: tuple[Value, ...] | None) -> pa.Array:
    """Bring plain categories back to their type."""
    import pyarrow.compute as pc

    if not pa.types.is_dictionary(kind):
        return from_plain(plain, kind)
    names = pa.array(dictionary if dictionary is not None else plain.unique().drop_null().to_pylist(), plain.type)
    indices = pc.index_in(plain, value_set=names).cast(kind.index_type)
    return pa.DictionaryArray.from_arrays(indices, from_plain(names, kind.value_type), ordered=kind.ordered)
