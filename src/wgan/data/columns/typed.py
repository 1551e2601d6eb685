"""Parse a column: from its cells as they were read to numbers, dates, categories or text in plain form."""

from __future__ import annotations

from dataclasses import dataclass, replace

import pyarrow as pa

from wgan.data.columns.conventions import Conventions, rules_of
from wgan.data.columns.parsing import ParsedText, TextParser
from wgan.data.columns.raw import RawTable
from wgan.data.columns.text_formats import NumberFormat, TextFormat
from wgan.data.columns.types import from_plain, is_supported, is_text, to_plain
from wgan.errors import DataError, UsageError
from wgan.settings import DataOptions


@dataclass(frozen=True, kw_only=True, eq=False)
class TypedColumn:
    """A column of known type.

    Attributes:
        name: The column's name.
        kind: The type of its values. Samples have it too, but for columns with a `form`, whose samples are text.
        array: The cells in the plain form of `to_plain`, NaN and null both as null.
        dictionary: The categories of a dictionary type, in its order.
        coded: Whether the type or the user says that these are categories.
        note: A line for the user; empty if there is none.
        is_hint: Whether the note says that the text could be read as numbers or dates.
        nan: Whether all of its missing cells were NaN.
        form: The format of its numbers or dates in text; None if the type says all.
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
    """Parse a column.

    Args:
        raw: The table.
        name: The column's name.
        options: `categorical` and `numeric` override what the column looks like; `decimal`, `thousands`, `dayfirst` and
            `date_format` say how its values are written.
        conventions: The conventions of the table; found in it if None.

    Raises:
        DataError: Text in a column of numbers or dates (with its line or row), ambiguous text, or an unsupported type.
        UsageError: `numeric` names a column of categories.
    """
    column = raw.table[name]
    kind, dictionary = column.type, None
    if not is_supported(kind):
        raise DataError(f"{raw.name}, column {name!r}: holds {kind}", remedy=f"Use --ignore {name!r}.")
    if pa.types.is_dictionary(kind):
        array = _one_chunk(column.unify_dictionaries().combine_chunks())
        dictionary = tuple(to_plain(array.dictionary).drop_null().to_pylist())
        if name in options.numeric:
            raise UsageError(
                f"--numeric {name!r}: the column's type is {kind}, which is categories",
                remedy="Convert it to numbers in the file or frame first.",
            )
    else:
        # Text of more than 2 GB does not fit into one array of the small type.
        array = _one_chunk((column.cast(pa.large_string()) if is_text(kind) else column).combine_chunks())
    text, found = str(kind), ParsedText()
    if is_text(kind) and name not in options.categorical:
        found = _parse(array, raw, name, options, conventions or Conventions(raw.table))
        if found.values is not None:
            array, kind = found.values, found.values.type
    plain = _without_nan(to_plain(array))
    return TypedColumn(
        name=name,
        kind=kind,
        array=plain,
        dictionary=dictionary,
        coded=dictionary is not None or name in options.categorical,
        note=_note_on_digits(array, plain, raw, name) if pa.types.is_decimal(kind) else found.note,
        is_hint=found.is_hint,
        nan=array.null_count == 0 < plain.null_count,
        form=found.form,
        text=text,
    )


def _parse(array: pa.Array, raw: RawTable, name: str, options: DataOptions, conventions: Conventions) -> ParsedText:
    rules = rules_of(options, name)
    forced = name in options.numeric or rules.is_number
    found = TextParser(raw=raw, name=name, rules=rules, conventions=conventions, forced=forced).parse(array)
    if found.values is not None and found.form is None and not raw.untyped:
        # The table says that the column is text, so its samples are text too.
        found = replace(found, form=NumberFormat())
    return found


def _one_chunk(array: pa.Array | pa.ChunkedArray) -> pa.Array:
    if isinstance(array, pa.ChunkedArray):
        return array.chunk(0) if array.num_chunks else pa.array([], array.type)
    return array


def _without_nan(array: pa.Array) -> pa.Array:
    """Replace NaN by null and -0.0 by 0.0."""
    import pyarrow.compute as pc

    if not pa.types.is_floating(array.type):
        return array
    return pc.if_else(pc.is_nan(array), pa.scalar(None, array.type), pc.add(array, pa.scalar(0.0, array.type)))


def _note_on_digits(decimals: pa.Array, plain: pa.Array, raw: RawTable, name: str) -> str:
    """A note on decimals that float64 cannot hold exactly; empty if there are none."""
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
