"""What the user says of how numbers and dates are written, and what the other columns of a file show of it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import pyarrow as pa

from wgan.data.tables.written import DateForm
from wgan.errors import UsageError
from wgan.settings import PER_COLUMN, DataOptions


@dataclass(frozen=True, kw_only=True)
class ParsingRules:
    """What the user says of one column.

    Attributes:
        decimal: What separates the places after the point; empty where nothing is said.
        thousands: What separates groups of digits, empty for nothing; None where nothing is said.
        dayfirst: Whether the day comes before the month; None where nothing is said.
        date_format: The format of its dates; empty where nothing is said.
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
    """What the options say of a column: what names it comes before what is said of all.

    Raises:
        UsageError: A format of dates that is not known.
    """
    said: dict[str, str] = {}
    named: set[str] = set()
    for option in PER_COLUMN:
        for word in getattr(options, option):
            column, equals, value = word.rpartition("=")
            if equals and column == name:
                said[option] = value
                named.add(option)
            elif not equals and option not in named:
                said[option] = value
    if "date_format" in said:
        try:
            DateForm(format=said["date_format"])
        except ValueError as error:
            raise UsageError(f"--date-format: {error}", remedy="Use the directives of strptime.") from None
    thousands = said.get("thousands")
    return ParsingRules(
        decimal=said.get("decimal", ""),
        thousands=None if thousands is None else {"none": "", "space": " "}.get(thousands, thousands),
        dayfirst={"yes": True, "no": False}.get(said.get("dayfirst", "")),
        date_format=said.get("date_format", ""),
        is_number=bool(named & {"decimal", "thousands"}),
        is_date=bool(named & {"dayfirst", "date_format"}),
    )


def named_columns(options: DataOptions) -> Iterator[tuple[str, str]]:
    """The columns that the options on written forms name, each with its option."""
    for option in PER_COLUMN:
        for word in getattr(options, option):
            column, equals, _ = word.rpartition("=")
            if equals:
                yield option, column


@dataclass(frozen=True, kw_only=True)
class Evidence:
    """What a cell of another column shows.

    Attributes:
        says: What it shows.
        column: Its column.
        cell: The cell.
    """

    says: str
    column: str
    cell: str

    def __str__(self) -> str:
        return f"column {self.column!r} has {self.cell!r}"


# A mark that can separate nothing but places: before one, two or more than three digits, or after digits that no
# separator of thousands follows.
_DECISIVE = {
    mark: rf"(?:^|[^0-9.,])(?:[0-9]*{re.escape(mark)}(?:[0-9]{{1,2}}|[0-9]{{4,}})|(?:0|[0-9]{{4,}}|"
    rf"[0-9]{{1,3}}(?:{re.escape(other)}[0-9]{{3}})+){re.escape(mark)}[0-9]+)(?:$|[^0-9.,])"
    for mark, other in ((".", ","), (",", "."))
}
_NUMBERLIKE = r"^[^0-9,.A-Za-z]{0,4}[A-Z]{0,3}[^0-9A-Za-z]{0,3}[0-9][0-9.,'\s]*(?:[eE][-+]?[0-9]+)?[^0-9]{0,8}$"
_NUMERIC_DATE = r"^\s*(?P<first>[0-9]{1,2})[-/](?P<second>[0-9]{1,2})[-/](?P<year>[0-9]{4}|[0-9]{2})\b"


class Habits:
    """What the columns of one file show of how numbers and dates are written in it; found when first asked for.

    Args:
        table: As read; only columns of text count.
    """

    def __init__(self, table: pa.Table) -> None:
        self._table = table

    def _texts(self) -> Iterator[tuple[str, pa.ChunkedArray]]:
        for name, column in zip(self._table.column_names, self._table.columns, strict=True):
            if pa.types.is_string(column.type) or pa.types.is_large_string(column.type):
                yield name, column

    @cached_property
    def decimal(self) -> Evidence | None:
        """What separates places after the point, where the columns agree."""
        return _agreed([found for name, column in self._texts() if (found := _decimal_of(name, column))])

    @cached_property
    def dayfirst(self) -> Evidence | None:
        """Whether days come before months ("yes" or "no"), where the columns agree."""
        return _agreed([found for name, column in self._texts() if (found := _order_of(name, column))])


def _agreed(found: list[Evidence]) -> Evidence | None:
    return found[0] if found and len({evidence.says for evidence in found}) == 1 else None


def _decimal_of(name: str, column: pa.ChunkedArray) -> Evidence | None:
    import pyarrow.compute as pc

    present = len(column) - column.null_count
    if 2 * (pc.sum(pc.match_substring_regex(column, _NUMBERLIKE)).as_py() or 0) <= present:
        return None
    found = []
    for mark, pattern in _DECISIVE.items():
        row = pc.index(pc.match_substring_regex(column, pattern), pa.scalar(True)).as_py()
        if row >= 0:
            found.append(Evidence(says=mark, column=name, cell=column[row].as_py().strip()))
    return found[0] if len(found) == 1 else None


def _order_of(name: str, column: pa.ChunkedArray) -> Evidence | None:
    import pyarrow.compute as pc

    present = len(column) - column.null_count
    parts = pc.extract_regex(column, _NUMERIC_DATE)
    if 2 * (len(parts) - parts.null_count) <= present:
        return None
    first, second = (pc.struct_field(parts, place).cast(pa.int64()) for place in ("first", "second"))
    for says, numbers, others in (("yes", first, second), ("no", second, first)):
        large = pc.and_(pc.greater(numbers, 12), pc.less_equal(others, 12))
        row = pc.index(large, pa.scalar(True)).as_py()
        against = pc.any(pc.and_(pc.greater(others, 12), pc.less_equal(numbers, 12))).as_py()
        if row >= 0 and not against:
            return Evidence(says=says, column=name, cell=column[row].as_py().strip())
    return None
