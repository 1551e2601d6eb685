"""How numbers and dates are written in a table: the user's options, and the conventions that its columns show."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import pyarrow as pa

from wgan.data.columns.text_formats import DateFormat
from wgan.errors import UsageError
from wgan.settings import PER_COLUMN, DataOptions


@dataclass(frozen=True, kw_only=True)
class ParsingRules:
    """The user's options on one column.

    Attributes:
        decimal: The decimal mark; empty if not given.
        thousands: The separator of thousands, empty for none; None if not given.
        dayfirst: Whether the day comes before the month; None if not given.
        date_format: The format of dates; empty if not given.
        is_number: Whether `decimal` or `thousands` names this column.
        is_date: Whether `dayfirst` or `date_format` names this column.
    """

    decimal: str = ""
    thousands: str | None = None
    dayfirst: bool | None = None
    date_format: str = ""
    is_number: bool = False
    is_date: bool = False


def rules_of(options: DataOptions, name: str) -> ParsingRules:
    """The options on a column. Those that name the column take precedence over those for all columns.

    Raises:
        UsageError: An invalid date format.
    """
    values: dict[str, str] = {}
    named: set[str] = set()
    for option in PER_COLUMN:
        for word in getattr(options, option):
            column, equals, value = word.rpartition("=")
            if equals and column == name:
                values[option] = value
                named.add(option)
            elif not equals and option not in named:
                values[option] = value
    if "date_format" in values:
        try:
            DateFormat(format=values["date_format"])
        except ValueError as error:
            raise UsageError(f"--date-format: {error}", remedy="Use the directives of strptime.") from None
    thousands = values.get("thousands")
    return ParsingRules(
        decimal=values.get("decimal", ""),
        thousands=None if thousands is None else {"none": "", "space": " "}.get(thousands, thousands),
        dayfirst={"yes": True, "no": False}.get(values.get("dayfirst", "")),
        date_format=values.get("date_format", ""),
        is_number=bool(named & {"decimal", "thousands"}),
        is_date=bool(named & {"dayfirst", "date_format"}),
    )


def named_columns(options: DataOptions) -> Iterator[tuple[str, str]]:
    """The columns that the options on number and date formats name, each with its option."""
    for option in PER_COLUMN:
        for word in getattr(options, option):
            column, equals, _ = word.rpartition("=")
            if equals:
                yield option, column


@dataclass(frozen=True, kw_only=True)
class Evidence:
    """A cell that shows a convention.

    Attributes:
        value: The convention: a decimal mark, or "yes" or "no" for `dayfirst`.
        column: The cell's column.
        cell: The cell.
    """

    value: str
    column: str
    cell: str

    def __str__(self) -> str:
        return f"column {self.column!r} has {self.cell!r}"


# Numbers whose mark can only be a decimal mark: it stands before one, two or more than three digits, or after digits
# that have no separator of thousands.
_DECISIVE = {
    mark: rf"(?:^|[^0-9.,])(?:[0-9]*{re.escape(mark)}(?:[0-9]{{1,2}}|[0-9]{{4,}})|(?:0|[0-9]{{4,}}|"
    rf"[0-9]{{1,3}}(?:{re.escape(other)}[0-9]{{3}})+){re.escape(mark)}[0-9]+)(?:$|[^0-9.,])"
    for mark, other in ((".", ","), (",", "."))
}
_NUMBERLIKE = r"^[^0-9,.A-Za-z]{0,4}[A-Z]{0,3}[^0-9A-Za-z]{0,3}[0-9][0-9.,'\s]*(?:[eE][-+]?[0-9]+)?[^0-9]{0,8}$"
_NUMERIC_DATE = r"^\s*(?P<first>[0-9]{1,2})[-/](?P<second>[0-9]{1,2})[-/](?P<year>[0-9]{4}|[0-9]{2})\b"


class Conventions:
    """The conventions that the text columns of one table show, computed on first use.

    Args:
        table: The table.
    """

    def __init__(self, table: pa.Table) -> None:
        self._table = table

    def _texts(self) -> Iterator[tuple[str, pa.ChunkedArray]]:
        for name, column in zip(self._table.column_names, self._table.columns, strict=True):
            if pa.types.is_string(column.type) or pa.types.is_large_string(column.type):
                yield name, column

    @cached_property
    def decimal(self) -> Evidence | None:
        """The decimal mark, if all columns that show one agree."""
        return _agreed([found for name, column in self._texts() if (found := _decimal_of(name, column))])

    @cached_property
    def dayfirst(self) -> Evidence | None:
        """Whether days come before months ("yes" or "no"), if all columns that show it agree."""
        return _agreed([found for name, column in self._texts() if (found := _order_of(name, column))])


def _agreed(found: list[Evidence]) -> Evidence | None:
    return found[0] if found and len({evidence.value for evidence in found}) == 1 else None


def _decimal_of(name: str, column: pa.ChunkedArray) -> Evidence | None:
    import pyarrow.compute as pc

    present = len(column) - column.null_count
    if 2 * (pc.sum(pc.match_substring_regex(column, _NUMBERLIKE)).as_py() or 0) <= present:
        return None
    found = []
    for mark, pattern in _DECISIVE.items():
        row = pc.index(pc.match_substring_regex(column, pattern), pa.scalar(True)).as_py()
        if row >= 0:
            found.append(Evidence(value=mark, column=name, cell=column[row].as_py().strip()))
    return found[0] if len(found) == 1 else None


def _order_of(name: str, column: pa.ChunkedArray) -> Evidence | None:
    import pyarrow.compute as pc

    present = len(column) - column.null_count
    parts = pc.extract_regex(column, _NUMERIC_DATE)
    if 2 * (len(parts) - parts.null_count) <= present:
        return None
    first, second = (pc.struct_field(parts, place).cast(pa.int64()) for place in ("first", "second"))
    for value, numbers, others in (("yes", first, second), ("no", second, first)):
        large = pc.and_(pc.greater(numbers, 12), pc.less_equal(others, 12))
        row = pc.index(large, pa.scalar(True)).as_py()
        against = pc.any(pc.and_(pc.greater(others, 12), pc.less_equal(numbers, 12))).as_py()
        if row >= 0 and not against:
            return Evidence(value=value, column=name, cell=column[row].as_py().strip())
    return None
