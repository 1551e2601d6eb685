"""What the text of a .csv column stands for, and where text stands among numbers."""

from __future__ import annotations

from dataclasses import dataclass

import pyarrow as pa

from wgan.data.tables.reading import NUMBER, Raw
from wgan.data.tables.types import from_plain, is_taken, is_text, to_plain
from wgan.errors import DataError, UsageError
from wgan.settings import DataOptions

# How a missing number is written by those who do not leave the cell empty. In a text column these are categories.
_MISSING = ("NA", "N/A", "#N/A", "n/a", "NaN", "nan", "-nan", "null", "NULL")
_INTEGER = r"^[+-]?[0-9]+$"
_CODE = r"^[+-]?0[0-9]+$"
_COMMA = r"^\s*[+-]?[0-9]+,[0-9]+\s*$"
_DATE = r"^[0-9]{4}-[0-9]{2}-[0-9]{2}([ T][0-9]{2}:[0-9]{2}.*)?$"
# The coarsest that holds what was written, so that it is written so again; without a zone first.
_INSTANTS = (
    pa.date32(),
    *(pa.timestamp(unit, tz=zone) for zone in (None, "UTC") for unit in ("s", "ms", "us", "ns")),
)


@dataclass(frozen=True, kw_only=True, eq=False)
class TypedColumn:
    """A column whose meaning is settled.

    Attributes:
        name: As the table calls it.
        kind: The type that samples get back.
        array: Its cells in the plain form of `to_plain`, NaN and null both as null.
        dictionary: The names of a dictionary type, in its order.
        coded: Whether the type or the user says that these are categories.
        note: What the user should be told of it; empty if nothing.
    """

    name: str
    kind: pa.DataType
    array: pa.Array
    dictionary: tuple[str | int | float | bool, ...] | None
    coded: bool
    note: str = ""


def typed_column(raw: Raw, name: str, options: DataOptions) -> TypedColumn:
    """Settle what a column's cells are.

    Args:
        raw: The table as read.
        name: One of its columns.
        options: `categorical` and `numeric` override what the column looks like.

    Returns:
        The column in plain form.

    Raises:
        DataError: Text in a column of numbers (its line or row), or a type that cannot be learnt.
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
    array, note = _one(array), ""
    if is_text(kind) and name not in options.categorical:
        parsed = _parse(array, raw, name, forced=name in options.numeric)
        if parsed is not None:
            note = _note_on_form(array, parsed, name) if pa.types.is_timestamp(parsed.type) else ""
            array, kind = parsed, parsed.type if raw.untyped else kind
        elif raw.untyped:
            note = _note_on_commas(array, name)
    coded = dictionary is not None or name in options.categorical
    plain = _tidy(to_plain(array))
    if pa.types.is_decimal(kind):
        note = _note_on_digits(array, plain, raw, name)
    return TypedColumn(name=name, kind=kind, array=plain, dictionary=dictionary, coded=coded, note=note)


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


def _parse(text: pa.Array, raw: Raw, name: str, *, forced: bool) -> pa.Array | None:
    """Numbers or dates for text that stands for them; None for text that is to stay text."""
    import pyarrow.compute as pc

    trimmed = pc.utf8_trim_whitespace(text)
    none = pa.scalar(None, trimmed.type)
    cells = pc.if_else(pc.is_in(trimmed, value_set=pa.array(_MISSING, trimmed.type)), none, trimmed)
    present = len(cells) - cells.null_count
    if not present:
        # A column of nothing but "NA" is text; one of nothing but empty cells has no type.
        return cells.cast(pa.float64()) if forced else (pa.nulls(len(text)) if text.null_count == len(text) else None)
    fits = pc.match_substring_regex(cells, f"^({NUMBER})$")
    numbers = pc.sum(fits).as_py() or 0
    if numbers < present:
        # Text that comes with a type is what it says; in a .csv all is text, and so are slips.
        if forced or (raw.untyped and 2 * numbers > present):
            raise _text_among_numbers(raw, name, text, fits, forced)
        return _dates(cells, present) if raw.untyped else None
    if not forced and (not raw.untyped or not raw.plain_numbers or _any(pc.match_substring_regex(cells, _CODE))):
        return None
    return _numbers(pc.replace_substring_regex(cells, r"^\+", ""))


def _numbers(cells: pa.Array) -> pa.Array:
    import pyarrow.compute as pc

    if pc.all(pc.match_substring_regex(cells, _INTEGER)).as_py():
        for kind in (pa.int64(), pa.uint64()):
            try:
                return cells.cast(kind)
            except pa.ArrowInvalid:
                continue
    return cells.cast(pa.float64())


def _dates(cells: pa.Array, present: int) -> pa.Array | None:
    import pyarrow.compute as pc

    if pc.sum(pc.match_substring_regex(cells, _DATE)).as_py() != present:
        return None
    for kind in _INSTANTS:
        try:
            return cells.cast(kind)
        except pa.ArrowInvalid:
            continue
    return None


def _note_on_form(text: pa.Array, instants: pa.Array, name: str) -> str:
    """What becomes of the way in which dates and times were written, where that changes."""
    import pyarrow.compute as pc

    written = instants.cast(text.type)
    changed = pc.not_equal(pc.utf8_trim_whitespace(text), written)
    if not _any(changed):
        return ""
    row = changed.index(True).as_py()
    return f"column {name!r}: times such as {text[row].as_py().strip()!r} are written as {written[row].as_py()!r}"


def _note_on_commas(text: pa.Array, name: str) -> str:
    """What is to be said of text that is numbers with a decimal comma, which are read as categories."""
    import pyarrow.compute as pc

    cells = text.drop_null()
    if not len(cells) or not pc.all(pc.match_substring_regex(cells, f"{_COMMA}|^({NUMBER})$")).as_py():
        return ""
    row = pc.match_substring_regex(cells, _COMMA).index(True).as_py()
    return (
        f"column {name!r}: {cells[row].as_py()!r} has a decimal comma and is read as text; write a point for a number"
    )


def _note_on_digits(decimals: pa.Array, plain: pa.Array, raw: Raw, name: str) -> str:
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


def _any(flags: pa.Array) -> bool:
    import pyarrow.compute as pc

    return bool(pc.any(flags).as_py())


def _text_among_numbers(raw: Raw, name: str, text: pa.Array, fits: pa.Array, forced: bool) -> DataError:
    row = fits.index(False).as_py()
    cell = text[row].as_py()
    shown = cell if len(cell) <= 40 else f"{cell[:40]}..."
    others = len(fits) - fits.null_count - fits.true_count - 1
    more = f" and {others:,} more" if others else ""
    why = "which --numeric names" if forced else "whose other cells are mostly numbers"
    return DataError(
        f"{raw.name}, {raw.places([row])[0]}, column {name!r}: text {shown!r}{more} in a column {why}",
        remedy=f"Correct the cell, or use --categorical {name!r} or --ignore {name!r}.",
    )
