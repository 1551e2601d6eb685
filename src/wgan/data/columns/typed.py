"""What the text of a column stands for, and where text stands among numbers or dates."""

from __future__ import annotations

from dataclasses import dataclass

import pyarrow as pa

from wgan.data.columns.conventions import Conventions, rules_of
from wgan.data.columns.parsing import parse_text
from wgan.data.columns.raw import RawTable
from wgan.data.columns.text_formats import NumberFormat, TextFormat
from wgan.data.columns.types import from_plain, is_taken, is_text, to_plain
from wgan.errors import DataError, UsageError
from wgan.settings import DataOptions


@dataclass(frozen=True, kw_only=True, eq=False)
class TypedColumn:
    """A column whose meaning is settled.

    Attributes:
        name: As the table calls it.
        kind: The type that its values have; samples get it back, but for those of a written form, which get text.
        array: Its cells in the plain form of `to_plain`, NaN and null both as null.
        dictionary: The names of a dictionary type, in its order.
        coded: Whether the type or the user says that these are categories.
        note: What the user should know of it; empty if nothing.
        is_hint: Whether the note says that text could be read as numbers or dates.
        nan: Whether its missing cells came as NaN, all of them.
        form: How its numbers or dates are written in text; None where no more is to be known than the type.
        text: The type of that text.
    """

    name: str
    kind: pa.DataType
    array: pa.Array
    dictionary: tuple[str | int | float | bool, ...] | None
    coded: bool
    note: str = ""
    is_hint: bool = False
    nan: bool = False
    form: TextFormat | None = None
    text: str = "string"


def typed_column(raw: RawTable, name: str, options: DataOptions, conventions: Conventions | None = None) -> TypedColumn:
    """Settle what a column's cells are.

    Args:
        raw: The table as read.
        name: One of its columns.
        options: `categorical` and `numeric` override what the column looks like; `decimal`, `thousands`, `dayfirst` and
            `date_format` say how it is written.
        conventions: What the columns of the table show of how numbers and dates are written in it.

    Returns:
        The column in plain form.

    Raises:
        DataError: Text in a column of numbers or dates (its line or row), text that may be read in two ways, or a type
            that cannot be learnt.
        UsageError: `numeric` names a column that holds no numbers.
    """
    column = raw.table[name]
    if not is_taken(column.type):
        raise DataError(f"{raw.name}, column {name!r}: holds {column.type}", remedy=f"Use --ignore {name!r}.")
    kind, dictionary = column.type, None
    if pa.types.is_dictionary(kind):
        array = column.unify_dictionaries().combine_chunks()
        array = array.chunk(0) if isinstance(array, pa.ChunkedArray) else array
        dictionary = tuple(to_plain(array.dictionary).drop_null().to_pylist())
        if name in options.numeric:
            raise UsageError(
                f"--numeric {name!r}: the column's type is {kind}, which is categories",
                remedy="Convert it to numbers in the file or frame first.",
            )
    elif is_text(kind):
        # Text of more than 2 GB fits into no single array of the small type.
        array = column.cast(pa.large_string()).combine_chunks()
    else:
        array = column.combine_chunks()
    array, note, is_hint, form, text = _one(array), "", False, None, str(kind)
    if is_text(kind) and name not in options.categorical:
        rules = rules_of(options, name)
        is_forced = name in options.numeric or rules.is_number
        found = parse_text(array, raw, name, rules, conventions or Conventions(raw.table), forced=is_forced)
        note, is_hint = found.note, found.is_hint
        if found.values is not None:
            array, kind, form = found.values, found.values.type, found.form
            if form is None and not raw.untyped:
                form = NumberFormat()
    coded = dictionary is not None or name in options.categorical
    plain = _tidy(to_plain(array))
    if pa.types.is_decimal(kind):
        note = _note_on_digits(array, plain, raw, name)
    return TypedColumn(
        name=name,
        kind=kind,
        array=plain,
        dictionary=dictionary,
        coded=coded,
        note=note,
        is_hint=is_hint,
        nan=array.null_count == 0 < plain.null_count,
        form=form,
        text=text,
    )


def _one(array: pa.Array | pa.ChunkedArray) -> pa.Array:
    if isinstance(array, pa.ChunkedArray):
        return array.chunk(0) if array.num_chunks else pa.array([], array.type)
    return array


def _tidy(array: pa.Array) -> pa.Array:
    """Make NaN null, and the two zeros of floats one."""
    import pyarrow.compute as pc

    if not pa.types.is_floating(array.type):
        return array
    return pc.if_else(pc.is_nan(array), pa.scalar(None, array.type), pc.add(array, pa.scalar(0.0, array.type)))


def _note_on_digits(decimals: pa.Array, plain: pa.Array, raw: RawTable, name: str) -> str:
    """What is to be said of decimals that floats cannot hold."""
    try:
        back = from_plain(plain, decimals.type)
    except pa.ArrowInvalid:
        raise DataError(
            f"{raw.name}, column {name!r}: numbers at the end of {decimals.type} cannot be written again once rounded",
            remedy=f"Give the type a greater precision, or use --ignore {name!r}.",
        ) from None
    if back.equals(decimals):
        return ""
    return f"column {name!r}: {decimals.type} holds more digits than float64; they are rounded"
