"""The codes of condition values, from columns and from user input, and the known values of a condition."""

from __future__ import annotations

import contextlib
from typing import Any, TypeAlias

import numpy as np
import pyarrow as pa
import torch
from torch import Tensor

from wgan.data.columns import Category, Number
from wgan.data.columns.types import to_plain, type_from_text
from wgan.data.texts import Text
from wgan.errors import UsageError
from wgan.system.text import did_you_mean, listed

Part: TypeAlias = Category | Number | Text

MISSING = "(missing)"
"""The name of the category of missing cells."""

_MOST_NAMED = 30


def codes_of(part: Part, array: pa.Array) -> Tensor:
    """The codes of a plain column, shape (N,), float32."""
    codes = part.standardise(array) if isinstance(part, Number) else part.codes(array)
    return torch.from_numpy(codes.astype(np.float32))


def words_of(part: Part) -> list[str]:
    """The known values of a category or a text, as a user types them; empty for numbers."""
    if isinstance(part, Number):
        return []
    if isinstance(part, Text):
        return list(part.values)
    values = part.pick(np.arange(part.width, dtype=np.int64)).to_pylist()
    return [MISSING if value is None else str(value) for value in values]


def code_of(part: Part, value: Any) -> float:  # noqa: ANN401 - as the user wrote it
    """The code of one value.

    Raises:
        UsageError: The value is unknown or out of range.
    """
    value = value.item() if isinstance(value, np.generic) else value
    if isinstance(part, Number):
        return _code_of_number(part, value)
    words = words_of(part)
    if isinstance(value, float) and value.is_integer() and str(value) not in words:
        value = int(value)
    text = MISSING if value is None or (value == "" and "" not in words) else str(value)
    if text in words:
        return float(words.index(text))
    folded, sought = [word.strip().casefold() for word in words], text.strip().casefold()
    if folded.count(sought) == 1:
        return float(folded.index(sought))
    # Named classes can also be given by number.
    named = part.dictionary if isinstance(part, Category) and part.dictionary is not None else ()
    if text.isdecimal() and int(text) < len(named) and str(named[int(text)]) in words:
        return float(words.index(str(named[int(text)])))
    raise UsageError(f"{part.name} {text!r} is not known", remedy=known_values(part, text))


def _code_of_number(part: Number, value: Any) -> float:  # noqa: ANN401
    kind = type_from_text(part.type)
    try:
        written = part.read(pa.array([value])) if part.form is not None and isinstance(value, str) else None
        plain = to_plain(_typed(value, kind) if written is None or written.null_count else written)
    except (pa.ArrowException, ValueError):
        raise UsageError(f"{part.name} {value!r} cannot be read as {part.type}", remedy=known_values(part)) from None
    number = plain[0].as_py()
    if number is None or not part.low <= number <= part.high:
        raise UsageError(f"{part.name} {value} is out of the data's range", remedy=known_values(part))
    return float(codes_of(part, plain)[0])


def ends_of(part: Number) -> pa.Array:
    """The minimum and the maximum of a number, in its column's type."""
    plain = to_plain(pa.array([], type_from_text(part.type))).type
    ends = part.standardise(pa.array([part.low, part.high], plain))
    # (present, missing) is (1, 0): neither value is missing.
    return part.decode(np.column_stack([ends, np.ones(2), np.zeros(2)])[:, : part.width])


def _typed(value: Any, kind: pa.DataType) -> pa.Array:  # noqa: ANN401
    """One value in its column's type."""
    array = pa.array([value.strip() if isinstance(value, str) else value])
    if isinstance(value, str) and pa.types.is_integer(kind):
        # The text 7.0 is a whole number too.
        with contextlib.suppress(pa.ArrowException):
            return array.cast(kind)
        array = array.cast(pa.float64())
    return array.cast(kind)


def known_values(part: Part, text: str = "") -> str:
    """The known values or the range of a condition, for remedies."""
    if isinstance(part, Number):
        low, high = ends_of(part).to_pylist()
        return f"{part.name} goes from {low} to {high}."
    words = words_of(part)
    known = did_you_mean(text, words)
    if len(words) > _MOST_NAMED:
        guess = known.partition("Known:")[0]
        known = f"{guess}Known: {listed(words[:_MOST_NAMED])} and {len(words) - _MOST_NAMED:,} more."
    return known
