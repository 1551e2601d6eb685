"""Arrow's types: their text form, and the few plain types in which columns are learnt."""

from __future__ import annotations

import base64
import binascii
import json
import re

import pyarrow as pa

_DICTIONARY = re.compile(r"dictionary<values=(.+), indices=(\w+), ordered=([01])>")
_ZONED = re.compile(r"timestamp\[(\w+), tz=(.+)\]")
_DECIMAL = re.compile(r"decimal(\d+)\((\d+), (-?\d+)\)")
_DECIMALS = {"32": "decimal32", "64": "decimal64", "128": "decimal128", "256": "decimal256"}


def type_from_text(text: str) -> pa.DataType:
    """The inverse of `str(type)`.

    Raises:
        ValueError: The text is not the name of a type that a column can have.

    Example:
        >>> type_from_text("timestamp[us, tz=Europe/Paris]")
        TimestampType(timestamp[us, tz=Europe/Paris])
    """
    if match := _DICTIONARY.fullmatch(text):
        values, indices, ordered = match.groups()
        return pa.dictionary(type_from_text(indices), type_from_text(values), ordered == "1")
    if match := _ZONED.fullmatch(text):
        return pa.timestamp(match[1], tz=match[2])
    if (match := _DECIMAL.fullmatch(text)) and match[1] in _DECIMALS:
        return getattr(pa, _DECIMALS[match[1]])(int(match[2]), int(match[3]))
    return pa.type_for_alias(text)


def schema_to_text(schema: pa.Schema) -> str:
    """A schema as text, in Arrow's serialisation: types and metadata, nothing executable."""
    return base64.b64encode(schema.serialize().to_pybytes()).decode("ascii")


def schema_from_text(text: str) -> pa.Schema:
    """The inverse of `schema_to_text`.

    Raises:
        ValueError: The text is damaged.
    """
    try:
        return pa.ipc.read_schema(pa.py_buffer(base64.b64decode(text, validate=True)))
    except (pa.ArrowException, OSError, UnicodeDecodeError, binascii.Error) as error:
        raise ValueError(f"not a schema: {error}") from None


def schema_as_given(table: pa.Table) -> pa.Schema:
    """The schema of a table with its metadata, without the index in pandas' metadata."""
    schema = table.schema
    try:
        metadata = schema.pandas_metadata
    except (ValueError, RecursionError):
        metadata = False
    if metadata is None or metadata == {}:
        return schema
    if not isinstance(metadata, dict):
        # Not written by pandas, so samples do not need it.
        return schema.with_metadata({key: value for key, value in schema.metadata.items() if key != b"pandas"})
    names, listed = set(schema.names), metadata.get("columns")
    columns = (
        [each for each in listed if isinstance(each, dict) and each.get("name") in names]
        if isinstance(listed, list)
        else []
    )
    metadata = metadata | {"index_columns": [], "columns": columns}
    return schema.with_metadata({**schema.metadata, b"pandas": json.dumps(metadata).encode()})


def is_text(kind: pa.DataType) -> bool:
    """Whether values of this type are text."""
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind))


def is_temporal(kind: pa.DataType) -> bool:
    """Whether values are dates, times or durations, which Arrow stores as whole numbers."""
    intervals = pa.types.is_interval(kind)
    return bool(pa.types.is_temporal(kind)) and not intervals


def is_supported(kind: pa.DataType) -> bool:
    """Whether a column of this type can be learnt."""
    if pa.types.is_dictionary(kind):
        return not pa.types.is_dictionary(kind.value_type) and is_supported(kind.value_type)
    if pa.types.is_timestamp(kind) and kind.tz is not None and not _is_zone(kind.tz):
        return False
    known = (pa.types.is_integer, pa.types.is_floating, pa.types.is_decimal, pa.types.is_boolean, pa.types.is_null)
    return is_text(kind) or is_temporal(kind) or any(check(kind) for check in known)


def _is_zone(name: str) -> bool:
    """Whether Arrow knows a time zone. The type itself accepts any name."""
    import pyarrow.compute as pc

    try:
        pc.local_timestamp(pa.scalar(0, pa.timestamp("s", name)))
    except pa.ArrowInvalid:
        return False
    return True


def to_plain(array: pa.Array) -> pa.Array:
    """Convert an array of a supported type to large_string, bool, an integer type, float32, float64 or null.

    Dictionaries are decoded; dates, times and durations become their whole numbers; decimals become float64.
    """
    kind = array.type
    if pa.types.is_dictionary(kind):
        values = to_plain(array.dictionary)
        return pa.DictionaryArray.from_arrays(array.indices, values).dictionary_decode()
    if is_text(kind):
        return array.cast(pa.large_string())
    if is_temporal(kind):
        return array.view(_storage(kind))
    if pa.types.is_decimal(kind):
        return array.cast(pa.float64())
    if pa.types.is_float16(kind):
        return array.cast(pa.float32())
    return array


def from_plain(array: pa.Array, kind: pa.DataType) -> pa.Array:
    """The inverse of `to_plain`, except for dictionaries."""
    if is_temporal(kind):
        return array.cast(_storage(kind)).view(kind)
    return array.cast(kind)


def _storage(kind: pa.DataType) -> pa.DataType:
    return pa.int32() if kind.bit_width == 32 else pa.int64()
