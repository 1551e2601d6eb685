"""Whether the text of a column stands for numbers or dates, and where it does not."""

from __future__ import annotations

from dataclasses import dataclass

import pyarrow as pa

from wgan.data.columns.conventions import Conventions, Evidence, ParsingRules
from wgan.data.columns.dates import ParsedDates, compact_dates, find_dates
from wgan.data.columns.numbers import ParsedNumbers, are_mixed, find_numbers, why_text
from wgan.data.columns.raw import RawTable
from wgan.data.columns.text_formats import PLAIN_NUMBER, TextFormat
from wgan.errors import DataError

# Digits after a sign, a currency or the name of a day or a month.
_BEGINNING = r"^[^0-9A-Za-z]{0,8}[A-Za-z]{0,3}[^0-9A-Za-z]{0,3}[0-9]|^[A-Za-z]{3,9}[-., ]{1,2}[0-9]"
_SOME = 1000
# So many different cells show whether text looks like numbers, and with so few it is categories whatever it looks like.
_SAMPLE, _FEW = 200, 20
# How a missing number is written by those who do not leave the cell empty. In a text column these are categories.
_MISSING = ("NA", "N/A", "#N/A", "n/a", "NaN", "nan", "-nan", "null", "NULL")
_INTEGER = r"^[+-]?[0-9]+$"
_GROUPED = r"^[+-]?(?:[1-9][0-9]{0,2}\.[0-9]{3}|[0-9]{1,3})$"
_DATE = r"^[0-9]{4}-[0-9]{2}-[0-9]{2}([ T][0-9]{2}:[0-9]{2}.*)?$"
# The coarsest that holds what was written, so that it is written so again; without a zone first.
_INSTANTS = (
    pa.date32(),
    *(pa.timestamp(unit, tz=zone) for zone in (None, "UTC") for unit in ("s", "ms", "us", "ns")),
)


@dataclass(frozen=True, kw_only=True, eq=False)
class ParsedText:
    """What text stands for.

    Attributes:
        values: Numbers, dates or times; None where it is to stay text.
        form: How they are written, where that is more than their type says.
        note: What the user should know; empty if nothing.
        is_hint: Whether the note says that text could be read as numbers or dates.
    """

    values: pa.Array | None = None
    form: TextFormat | None = None
    note: str = ""
    is_hint: bool = False


def parse_text(
    text: pa.Array, raw: RawTable, name: str, rules: ParsingRules, conventions: Conventions, *, forced: bool
) -> ParsedText:
    """Find what the text of a column stands for.

    Args:
        text: The column.
        raw: The table that it is from.
        name: What it is called there.
        rules: What the user says of how it is written.
        conventions: What the other columns show.
        forced: Whether the user says that it is numbers.

    Raises:
        DataError: Most cells are numbers or dates, and some are not; or they may be read in two ways.
    """
    import pyarrow.compute as pc

    if not (raw.untyped or forced or rules.is_date):
        # Text that comes with a type is what it says.
        note = _hint(text, name, rules, conventions)
        return ParsedText(note=note, is_hint=bool(note))
    trimmed = pc.utf8_trim_whitespace(text.cast(pa.large_string()))
    none = pa.scalar(None, trimmed.type)
    cells = pc.if_else(pc.is_in(trimmed, value_set=pa.array(_MISSING, trimmed.type)), none, trimmed)
    present = len(cells) - cells.null_count
    if not present:
        # A column of nothing but "NA" is text; one of nothing but empty cells has no type.
        empty = pa.nulls(len(text)) if text.null_count == len(text) else None
        return ParsedText(values=cells.cast(pa.float64()) if forced else empty)
    fits = pc.match_substring_regex(cells, f"^({PLAIN_NUMBER})$")
    if pc.sum(fits).as_py() == present and rules.decimal != "," and not rules.thousands and not rules.date_format:
        return _plain(cells, raw, name, rules, conventions, forced=forced)
    if not (forced or rules.is_date or _begin_alike(cells)):
        return ParsedText()
    numbers = None if rules.is_date else find_numbers(cells, rules, conventions, forced=forced)
    if numbers is not None and numbers.count == present:
        return _written_numbers(numbers, raw, name, forced=forced)
    if rules.decimal or rules.thousands:
        _refuse_other_separators(cells, fits, present, raw, name, rules)
    if forced:
        right = numbers.numbers.is_valid() if numbers is not None else pc.fill_null(fits, False)
        raise _misfit(raw, name, text, cells, right, f"which {_naming(rules)} names", "text")
    if not rules.date_format and (instants := _instants(cells, present)) is not None:
        return _iso(instants, text, cells, rules, conventions, name)
    dates = find_dates(cells, rules, conventions)
    if dates is not None and dates.count == present:
        return _written_dates(dates, cells, raw, name)
    if _are_standard(cells):
        return ParsedText(note=f"column {name!r}: dates and times of several forms are read as text")
    _refuse_misfits(text, cells, fits, numbers, dates, raw, name, rules)
    if are_mixed(cells):
        return ParsedText(note=f"column {name!r}: numbers with several currencies or units are read as text")
    return ParsedText()


def _refuse_other_separators(
    cells: pa.Array, fits: pa.Array, present: int, raw: RawTable, name: str, rules: ParsingRules
) -> None:
    """Refuse plain numbers that do not have the separators that the options name.

    Raises:
        DataError: All cells are plain numbers.
    """
    import pyarrow.compute as pc

    if rules.is_date or rules.date_format or (pc.sum(fits).as_py() or 0) < present:
        return
    shown = next(cell for cell in cells.to_pylist() if cell is not None)
    raise DataError(
        f"{raw.name}, column {name!r}: {shown!r} does not have the separators that --decimal and --thousands name",
        remedy=f"Give them for the columns that they are right for, such as --decimal {name + '=.'!r} for this one.",
    )


def _begin_alike(cells: pa.Array) -> bool:
    """Whether a good part of some cells begins as numbers and dates do: most text is told from them by that alone."""
    import pyarrow.compute as pc

    present = cells.drop_null()
    some = present.take(pa.array(range(0, len(present), max(1, len(present) // _SOME))))
    return 4 * (pc.sum(pc.match_substring_regex(some, _BEGINNING)).as_py() or 0) > len(some)


def _hint(text: pa.Array, name: str, rules: ParsingRules, conventions: Conventions) -> str:
    """What to say of text with many values that looks like numbers or dates, and is read as text all the same."""
    import pyarrow.compute as pc

    sample = pc.utf8_trim_whitespace(text.slice(0, 50 * _SAMPLE).cast(pa.large_string())).drop_null().unique()
    sample = sample.slice(0, _SAMPLE)
    if len(sample) <= _FEW:
        return ""
    numbers = find_numbers(sample, rules, conventions, forced=False)
    if numbers is not None and numbers.count == len(sample) and not numbers.is_plain:
        return f"column {name!r}: text such as {_shortened(numbers.cell)!r} is numbers only under --numeric {name!r}"
    dates = find_dates(sample, rules, conventions)
    if dates is not None and dates.count == len(sample):
        way = f"--date-format {name + '=' + dates.form.format.replace('%-', '%')!r}"
        return f"column {name!r}: text such as {sample[0].as_py()!r} is dates only with {way}"
    return ""


def _naming(rules: ParsingRules) -> str:
    return "--decimal or --thousands" if rules.is_number else "--numeric"


def _plain(
    cells: pa.Array, raw: RawTable, name: str, rules: ParsingRules, conventions: Conventions, *, forced: bool
) -> ParsedText:
    """What cells stand for that are plain numbers, all of them."""
    import pyarrow.compute as pc

    if not forced:
        if not raw.plain_numbers:
            return ParsedText()
        if (days := compact_dates(cells)) is not None:
            return _written_dates(days, cells, raw, name)
        if why := why_text(cells):
            shown = cells[pc.index(cells.is_valid(), pa.scalar(True)).as_py()].as_py()
            said = f"column {name!r}: {_shortened(shown)!r} {why}, and is read as text (--numeric {name!r} for numbers)"
            return ParsedText(note="" if "zeros" in why else said)
    note = ""
    if _any(pc.match_substring(cells, ".")) and pc.all(pc.match_substring_regex(cells, _GROUPED)).as_py():
        # 1.234 may have three places, or be written as in a German file.
        found = find_numbers(cells, rules, conventions, forced=forced)
        if found is not None and found.form.thousands:
            return _written_numbers(found, raw, name, forced=forced)
        if conventions.decimal is None or conventions.decimal.says != ".":
            shown = cells[pc.index(pc.match_substring(cells, "."), pa.scalar(True)).as_py()].as_py()
            note = (
                f"column {name!r}: {shown!r} is read with a decimal point (--thousands {name + '=.'!r} if it has none)"
            )
    elif _any(pc.starts_with(cells, "+")):
        found = find_numbers(cells, rules, conventions, forced=forced)
        if found is not None and found.form.plus and found.count == len(cells) - cells.null_count:
            return _written_numbers(found, raw, name, forced=forced)
    values = _numbers(pc.replace_substring_regex(cells, r"^\+", ""))
    if pa.types.is_floating(values.type) and pc.all(pc.match_substring_regex(cells, _INTEGER)).as_py():
        note = f"column {name!r}: whole numbers of more than 64 bits are rounded to float64"
    return ParsedText(values=values, note=note)


def _numbers(cells: pa.Array) -> pa.Array:
    import pyarrow.compute as pc

    if pc.all(pc.match_substring_regex(cells, _INTEGER)).as_py():
        for kind in (pa.int64(), pa.uint64()):
            try:
                return cells.cast(kind)
            except pa.ArrowInvalid:
                continue
    return cells.cast(pa.float64())


def _written_numbers(found: ParsedNumbers, raw: RawTable, name: str, *, forced: bool) -> ParsedText:
    """Numbers in a written form.

    Raises:
        DataError: It is not settled which form it is.
    """
    import pyarrow.compute as pc

    if found.unsettled:
        forms = (found.form, *found.unsettled)
        readings = " or ".join(str(form.read(pa.array([found.cell], pa.large_string()))[0].as_py()) for form in forms)
        ways = " or ".join(
            f"--thousands {form.thousands!r}" if form.thousands else f"--decimal {form.decimal!r}" for form in forms
        )
        raise DataError(
            f"{raw.name}, column {name!r}: {found.cell!r} may be {readings}",
            remedy=f"Use {ways}, of this column alone with {name + '='!r} before the mark, or --categorical {name!r}.",
        )
    distinct = pc.count_distinct(found.numbers, mode="only_valid").as_py()
    if not forced and (distinct <= 1 or (distinct <= 2 and pa.types.is_integer(found.numbers.type))):
        # What has hardly any values is a category, or never changes: its text says all.
        return ParsedText()
    if found.is_plain:
        return ParsedText(values=found.numbers)
    value = found.form.read(pa.array([found.cell], pa.large_string()))[0].as_py()
    note = f"column {name!r}: {_shortened(found.cell)!r} is read as the number {value}{_since(found.because)}"
    return ParsedText(values=found.numbers, form=found.form, note=note)


def _written_dates(found: ParsedDates, cells: pa.Array, raw: RawTable, name: str) -> ParsedText:
    """Dates or times in a written form.

    Raises:
        DataError: It is not settled which form it is.
    """
    import pyarrow.compute as pc

    row = pc.index(found.values.is_valid(), pa.scalar(True)).as_py()
    if found.unsettled:
        differing = [form.read(cells) for form in (found.form, *found.unsettled)]
        row = pc.index(pc.not_equal(differing[0], differing[1]), pa.scalar(True)).as_py()
        readings = " or ".join(str(values[row].as_py()) for values in differing)
        raise DataError(
            f"{raw.name}, column {name!r}: {cells[row].as_py()!r} may be {readings}",
            remedy=f"Use --dayfirst yes or --dayfirst no, of this column alone with {name + '='!r} before it, or "
            f"--date-format {name + '=' + found.form.format!r}.",
        )
    if pc.count_distinct(found.values, mode="only_valid").as_py() <= 1:
        return ParsedText()
    what = "time" if pa.types.is_time(found.values.type) else "date"
    note = f"column {name!r}: {cells[row].as_py()!r} is read as the {what} {found.values[row].as_py()}"
    cells = cells.drop_null().unique()
    written = found.form.write(found.form.read(cells))
    changed = pc.not_equal(written, cells)
    if _any(changed):
        row = changed.index(True).as_py()
        note += f"; {cells[row].as_py()!r} will be written as {written[row].as_py()!r}"
    return ParsedText(values=found.values, form=found.form, note=note + _since(found.because))


def _since(evidence: Evidence | None) -> str:
    return "" if evidence is None else f", since {evidence}"


def _instants(cells: pa.Array, present: int) -> pa.Array | None:
    """Dates and times that are written as the standard has them, all of them."""
    import pyarrow.compute as pc

    if pc.sum(pc.match_substring_regex(cells, _DATE)).as_py() != present:
        return None
    for kind in _INSTANTS:
        try:
            return cells.cast(kind)
        except pa.ArrowInvalid:
            continue
    return None


def _are_standard(cells: pa.Array) -> bool:
    """Whether all are dates and times as the standard has them, some of them with a zone and some without."""
    import pyarrow.compute as pc

    cells = cells.drop_null()
    if not pc.all(pc.match_substring_regex(cells, _DATE)).as_py():
        return False
    zoned = pc.match_substring_regex(cells, r"(?:Z|[+-][0-9]{2}:?[0-9]{2})$")
    zoned = pc.and_(zoned, pc.match_substring(cells, ":"))
    try:
        cells.filter(zoned).cast(pa.timestamp("ns", tz="UTC"))
        cells.filter(pc.invert(zoned)).cast(pa.timestamp("ns"))
    except pa.ArrowInvalid:
        return False
    return True


def _iso(
    instants: pa.Array, text: pa.Array, cells: pa.Array, rules: ParsingRules, conventions: Conventions, name: str
) -> ParsedText:
    """Dates and times as the standard has them: in the form that they came in, where there is such a form."""
    note = _note_on_form(text, instants, name) if pa.types.is_timestamp(instants.type) else ""
    if (
        note
        and (found := find_dates(cells, rules, conventions)) is not None
        and found.form.write(found.values).equals(cells)
    ):
        return ParsedText(values=found.values, form=found.form)
    return ParsedText(values=instants, note=note)


def _note_on_form(text: pa.Array, instants: pa.Array, name: str) -> str:
    """What becomes of the way in which dates and times were written, where that changes."""
    import pyarrow.compute as pc

    written = instants.cast(text.type)
    changed = pc.not_equal(pc.utf8_trim_whitespace(text), written)
    if not _any(changed):
        return ""
    row = changed.index(True).as_py()
    return f"column {name!r}: times such as {text[row].as_py().strip()!r} are written as {written[row].as_py()!r}"


def _refuse_misfits(
    text: pa.Array,
    cells: pa.Array,
    fits: pa.Array,
    numbers: ParsedNumbers | None,
    dates: ParsedDates | None,
    raw: RawTable,
    name: str,
    rules: ParsingRules,
) -> None:
    """Refuse text of which most cells are numbers or dates of one form, and some are not.

    Raises:
        DataError: The first cell that is not.
    """
    import pyarrow.compute as pc

    present = len(cells) - cells.null_count
    if rules.is_date:
        right = dates.values.is_valid() if dates is not None else pa.array([False] * len(cells))
        raise _misfit(raw, name, text, cells, right, "which --date-format or --dayfirst names", "text")
    found = [(pc.fill_null(fits, False), "numbers")] if rules.decimal != "," else []
    found += [(numbers.numbers.is_valid(), "numbers")] if numbers is not None else []
    found += [(dates.values.is_valid(), "dates")] if dates is not None else []
    if not found:
        return
    right, what = max(found, key=lambda each: int(pc.sum(each[0]).as_py()))
    if 2 * pc.sum(right).as_py() > present:
        raise _misfit(raw, name, text, cells, right, f"whose other cells are mostly {what}", "text")


def _misfit(
    raw: RawTable, name: str, text: pa.Array, cells: pa.Array, right: pa.Array, why: str, noun: str
) -> DataError:
    """The error for a column in which some cells are not what the others are; `right` says which are."""
    import pyarrow.compute as pc

    wrong = pc.and_(cells.is_valid(), pc.invert(right))
    row = wrong.index(True).as_py()
    others = wrong.true_count - 1
    more = f" and {others:,} more" if others else ""
    return DataError(
        f"{raw.name}, {raw.places([row])[0]}, column {name!r}: {noun} {_shortened(text[row].as_py())!r}{more} "
        f"in a column {why}",
        remedy=f"Correct the cell, or use --categorical {name!r} or --ignore {name!r}.",
    )


def _shortened(cell: str) -> str:
    return cell if len(cell) <= 40 else f"{cell[:40]}..."


def _any(flags: pa.Array) -> bool:
    import pyarrow.compute as pc

    return bool(pc.any(flags).as_py())
