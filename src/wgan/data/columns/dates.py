"""Find the format of dates and times in text."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass, replace

import pyarrow as pa

from wgan.data.columns.conventions import Conventions, Evidence, ParsingRules
from wgan.data.columns.text_formats import DateFormat

_SAMPLE = 200
_DAYS = (
    *(f"%-d{mark}%-m{mark}%Y" for mark in "./-"),
    *(f"%-m{mark}%-d{mark}%Y" for mark in "./-"),
    *(f"%Y{mark}%-m{mark}%-d" for mark in "-/."),
    *("%d.%m.%y", "%-d/%-m/%y", "%-m/%-d/%y", "%y/%-m/%-d", "%d-%m-%y", "%m-%d-%y"),
    *(
        f"{day}%-d{mark}%{month}{mark}%{year}"
        for day in ("", "%a, ")
        for mark in " -"
        for month in "bB"
        for year in "Yy"
    ),
    *("%b %-d, %Y", "%B %-d, %Y", "%b %-d %Y", "%-d. %B %Y"),
)
_MONTHS = ("%Y-%m", "%Y/%m", "%m/%Y", "%b %Y", "%B %Y", "%b-%Y", "%b-%y")
_TIMES = ("%-H:%M", "%-H:%M:%S", "%-H:%M:%S.%f", "%-I:%M %p", "%-I:%M:%S %p", "%-I:%M%p")
_COMPACT = {8: "%Y%m%d", 12: "%Y%m%d%H%M", 14: "%Y%m%d%H%M%S"}
_FEW_COMPACT = 10
_TIMELIKE = r"^[^0-9]{0,12}[0-9]{1,4}[-/.: ].{0,24}$|^[A-Za-z]{3,9}[- ].{0,20}$"


@dataclass(frozen=True, kw_only=True)
class ParsedDates:
    """Dates or times found in text.

    Attributes:
        values: In the type of `form`; null where a cell is missing or has another format.
        form: Their format.
        count: Number of cells in this format.
        evidence: The cell of another column that decided the order of day and month; None if none was needed.
        alternatives: Other formats that fit as well; empty if the format is certain.
    """

    values: pa.Array
    form: DateFormat
    count: int
    evidence: Evidence | None = None
    alternatives: tuple[DateFormat, ...] = ()


def find_dates(cells: pa.Array, rules: ParsingRules, conventions: Conventions) -> ParsedDates | None:
    """Find the format of dates or times that most cells have.

    Args:
        cells: Trimmed text, large_string; null where missing.
        rules: The user's options on the column.
        conventions: The conventions of the table.

    Returns:
        The dates or times; None unless more than half of the cells are in one format.
    """
    present = cells.drop_null()
    sample = present.slice(0, 50 * _SAMPLE).unique().slice(0, _SAMPLE)
    if not len(sample) or not (rules.date_format or _look_like_dates(sample)):
        return None
    found: list[ParsedDates] = []
    for form in [_lenient(rules.date_format)] if rules.date_format else _forms(sample):
        if rules.is_date and rules.dayfirst is not None and _dayfirst(form) not in (None, rules.dayfirst):
            continue
        if not rules.date_format and _count(form, sample) * 2 <= len(sample):
            continue
        values = form.read(cells)
        count = len(values) - values.null_count
        if 2 * count > len(present):
            found.append(ParsedDates(values=values, form=form, count=count))
    most = max((each.count for each in found), default=0)
    found = [each for each in found if each.count == most]
    if not found:
        return None
    chosen, evidence, others = _choose(found, rules, conventions)
    alternatives = tuple(each.form for each in others)
    return replace(chosen, form=_with_padding(chosen, cells), evidence=evidence, alternatives=alternatives)


def compact_dates(cells: pa.Array) -> ParsedDates | None:
    """Dates such as 20240703, if all cells are dates from 1900 to 2099 and at least 10 of them are distinct."""
    import pyarrow.compute as pc

    present = cells.drop_null()
    lengths = pc.min_max(pc.utf8_length(present)).as_py()
    format_ = _COMPACT.get(lengths["min"] or 0) if lengths["min"] == lengths["max"] else None
    if format_ is None or not pc.all(pc.match_substring_regex(present, "^(?:19|20)[0-9]+$")).as_py():
        return None
    form = DateFormat(format=format_)
    values = form.read(cells)
    if values.null_count > cells.null_count or len(values.drop_null().unique()) < _FEW_COMPACT:
        return None
    return ParsedDates(values=values, form=form, count=len(present))


def _look_like_dates(sample: pa.Array) -> bool:
    import pyarrow.compute as pc

    return 2 * (pc.sum(pc.match_substring_regex(sample, _TIMELIKE)).as_py() or 0) > len(sample)


def _forms(sample: pa.Array) -> Iterator[DateFormat]:
    """The formats that more than half of some cells may have."""
    import pyarrow.compute as pc

    for day in _DAYS:
        # If cells do not begin with this date, formats of this date with a time do not fit either.
        begins = pc.match_substring_regex(sample, DateFormat(format=day).pattern().removesuffix("$"))
        if 2 * (pc.sum(begins).as_py() or 0) <= len(sample):
            continue
        yield DateFormat(format=day)
        for mark, time in itertools.product((" ", ", ", "T"), _TIMES):
            if mark != "T" or "%I" not in time.replace("-", ""):
                yield DateFormat(format=f"{day}{mark}{time}")
    yield from (DateFormat(format=each) for each in (*_MONTHS, *_TIMES))


def _count(form: DateFormat, cells: pa.Array) -> int:
    import pyarrow.compute as pc

    matching = cells.filter(pc.match_substring_regex(cells, form.pattern()))
    return len(matching) - form.read(matching).null_count if len(matching) else 0


def _lenient(format_: str) -> DateFormat:
    """The format with optional leading zeros, except where directives are adjacent."""
    for letter in "dmHI":
        at = format_.find(f"%{letter}")
        is_adjacent = format_[at + 2 : at + 3] == "%" or (at > 1 and format_[at - 2 : at - 1] == "%")
        if at >= 0 and not is_adjacent:
            format_ = format_.replace(f"%{letter}", f"%-{letter}")
    return DateFormat(format=format_)


def _choose(
    found: list[ParsedDates], rules: ParsingRules, conventions: Conventions
) -> tuple[ParsedDates, Evidence | None, list[ParsedDates]]:
    """Choose among formats that fit equally well: the format, the evidence for it, and the other candidates."""
    distinct: list[ParsedDates] = []
    for each in found:
        if not any(each.values.equals(other.values) for other in distinct):
            distinct.append(each)
    if rules.dayfirst is not None:
        distinct = [each for each in distinct if _dayfirst(each.form) in (None, rules.dayfirst)] or distinct
    if len(distinct) == 1:
        return distinct[0], None, []
    # Dates with points do not begin with the month.
    dotted = [each for each in distinct if "." in each.form.format and _dayfirst(each.form)]
    if len(dotted) == 1:
        return dotted[0], None, []
    if (evidence := conventions.dayfirst) is not None:
        fitting = [each for each in distinct if _dayfirst(each.form) == (evidence.value == "yes")]
        if len(fitting) == 1:
            return fitting[0], evidence, []
    return distinct[0], None, distinct[1:]


def _dayfirst(form: DateFormat) -> bool | None:
    """Whether the day comes before a month in digits; None if that is not ambiguous."""
    letters = form.tokens
    if not {"d", "m"} <= set(letters) or letters[0] == "Y":
        return None
    return letters.index("d") < letters.index("m") and letters[0] != "y"


def _with_padding(found: ParsedDates, cells: pa.Array) -> DateFormat:
    """The format with leading zeros where the cells have them."""
    import pyarrow.compute as pc

    # Distinct cells are enough, and there are usually fewer.
    cells = cells.drop_null().unique()
    values = found.form.read(cells)
    date, time = ("%-d", "%-m"), ("%-H", "%-I")
    for bare in (date + time, date, time, ()):
        format_ = found.form.format
        for directive in {*date, *time} - {*bare}:
            format_ = format_.replace(directive, directive.replace("-", ""))
        for upper in (False, True):
            form = DateFormat(format=format_, upper=upper)
            if pc.all(pc.equal(form.write(values), cells)).as_py():
                return form
    return found.form
