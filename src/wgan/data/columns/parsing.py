"""Decide whether the text of a column holds numbers, dates or times, and report the cells that do not."""

from __future__ import annotations

from dataclasses import dataclass

import pyarrow as pa

from wgan.data.columns.conventions import Conventions, Evidence, ParsingRules
from wgan.data.columns.dates import ParsedDates, compact_dates, find_dates
from wgan.data.columns.numbers import ParsedNumbers, find_numbers, has_mixed_units, reason_for_text
from wgan.data.columns.raw import RawTable
from wgan.data.columns.text_formats import PLAIN_NUMBER, TextFormat
from wgan.errors import DataError

# Digits after a sign, a currency, or the name of a day or month.
_BEGINNING = r"^[^0-9A-Za-z]{0,8}[A-Za-z]{0,3}[^0-9A-Za-z]{0,3}[0-9]|^[A-Za-z]{3,9}[-., ]{1,2}[0-9]"
_NUM_BEGINNINGS = 1000
# The number of distinct cells that are examined for a hint, and the number up to which a column is categories.
_SAMPLE, _FEW = 200, 20
# Spellings of a missing number. In a text column these are categories.
_MISSING = ("NA", "N/A", "#N/A", "n/a", "NaN", "nan", "-nan", "null", "NULL")
_INTEGER = r"^[+-]?[0-9]+$"
_GROUPED = r"^[+-]?(?:[1-9][0-9]{0,2}\.[0-9]{3}|[0-9]{1,3})$"
_ISO_DATE = r"^[0-9]{4}-[0-9]{2}-[0-9]{2}([ T][0-9]{2}:[0-9]{2}.*)?$"
# The first type that holds all cells is the coarsest, so samples are written like the data. Types without a zone first.
_INSTANTS = (
    pa.date32(),
    *(pa.timestamp(unit, tz=zone) for zone in (None, "UTC") for unit in ("s", "ms", "us", "ns")),
)


@dataclass(frozen=True, kw_only=True, eq=False)
class ParsedText:
    """The values of a text column.

    Attributes:
        values: Numbers, dates or times; None if the column stays text.
        form: Their format in the text, if it is more than their type says.
        note: A line for the user; empty if there is none.
        is_hint: Whether the note says that the text could be read as numbers or dates.
    """

    values: pa.Array | None = None
    form: TextFormat | None = None
    note: str = ""
    is_hint: bool = False


@dataclass(frozen=True, kw_only=True)
class TextParser:
    """Parses the text of one column.

    Args:
        raw: The table.
        name: The column's name.
        rules: The user's options on the column.
        conventions: The formats that other columns of the table show.
        forced: Whether the user says that the column is numeric.
    """

    raw: RawTable
    name: str
    rules: ParsingRules
    conventions: Conventions
    forced: bool

    def parse(self, text: pa.Array) -> ParsedText:
        """Parse the column.

        Args:
            text: The cells.

        Raises:
            DataError: Most cells are numbers or dates and some are not, or the cells are ambiguous.
        """
        import pyarrow.compute as pc

        rules = self.rules
        if not (self.raw.untyped or self.forced or rules.is_date):
            # The table gives types, and the type of this column is text.
            note = self._hint(text)
            return ParsedText(note=note, is_hint=bool(note))
        trimmed = pc.utf8_trim_whitespace(text.cast(pa.large_string()))
        none = pa.scalar(None, trimmed.type)
        cells = pc.if_else(pc.is_in(trimmed, value_set=pa.array(_MISSING, trimmed.type)), none, trimmed)
        present = len(cells) - cells.null_count
        if not present:
            # A column of nothing but "NA" is text; one of nothing but empty cells has no type.
            empty = pa.nulls(len(text)) if text.null_count == len(text) else None
            return ParsedText(values=cells.cast(pa.float64()) if self.forced else empty)
        is_plain = pc.fill_null(pc.match_substring_regex(cells, f"^({PLAIN_NUMBER})$"), False)
        if is_plain.true_count == present:
            if rules.decimal != "," and not rules.thousands and not rules.date_format:
                return self._plain_numbers(cells)
            shown = next(cell for cell in cells.to_pylist() if cell is not None)
        else:
            shown = ""
        if not (self.forced or rules.is_date or _begin_like_values(cells)):
            return ParsedText()
        numbers = None if rules.is_date else self._find_numbers(cells)
        if numbers is not None and numbers.count == present:
            return self._formatted_numbers(numbers)
        if shown and (rules.decimal or rules.thousands) and not (rules.is_date or rules.date_format):
            raise self._other_separators(shown)
        if self.forced:
            is_right = numbers.numbers.is_valid() if numbers is not None else is_plain
            named_by = "--decimal or --thousands" if rules.is_number else "--numeric"
            raise self._misfit(text, cells, is_right, f"which {named_by} names")
        return self._parse_dates(text, cells, is_plain, numbers)

    def _parse_dates(
        self, text: pa.Array, cells: pa.Array, is_plain: pa.Array, numbers: ParsedNumbers | None
    ) -> ParsedText:
        """Parse a column that is not numbers."""
        present = len(cells) - cells.null_count
        if not self.rules.date_format and (instants := _iso_instants(cells)) is not None:
            return self._iso(instants, text, cells)
        dates = find_dates(cells, self.rules, self.conventions)
        if dates is not None and dates.count == present:
            return self._formatted_dates(dates, cells)
        if _are_iso(cells):
            return ParsedText(note=f"column {self.name!r}: dates and times of several forms are read as text")
        self._refuse_misfits(text, cells, is_plain, numbers, dates)
        if has_mixed_units(cells):
            return ParsedText(note=f"column {self.name!r}: numbers with several currencies or units are read as text")
        return ParsedText()

    def _find_numbers(self, cells: pa.Array) -> ParsedNumbers | None:
        return find_numbers(cells, self.rules, self.conventions, forced=self.forced)

    def _hint(self, text: pa.Array) -> str:
        """A note on text that looks like numbers or dates but is read as text."""
        import pyarrow.compute as pc

        sample = pc.utf8_trim_whitespace(text.slice(0, 50 * _SAMPLE).cast(pa.large_string())).drop_null().unique()
        sample = sample.slice(0, _SAMPLE)
        if len(sample) <= _FEW:
            return ""
        name, numbers = self.name, self._find_numbers(sample)
        if numbers is not None and numbers.count == len(sample) and not numbers.is_plain:
            shown = _shortened(numbers.cell)
            return f"column {name!r}: text such as {shown!r} is numbers only under --numeric {name!r}"
        dates = find_dates(sample, self.rules, self.conventions)
        if dates is not None and dates.count == len(sample):
            option = f"--date-format {name + '=' + dates.form.format.replace('%-', '%')!r}"
            return f"column {name!r}: text such as {sample[0].as_py()!r} is dates only with {option}"
        return ""

    def _plain_numbers(self, cells: pa.Array) -> ParsedText:
        """Parse cells that are all plain numbers."""
        import pyarrow.compute as pc

        name = self.name
        if not self.forced:
            if not self.raw.plain_numbers:
                return ParsedText()
            if (days := compact_dates(cells)) is not None:
                return self._formatted_dates(days, cells)
            if reason := reason_for_text(cells):
                shown = _shortened(_first(cells, cells.is_valid()))
                note = f"column {name!r}: {shown!r} {reason}, and is read as text (--numeric {name!r} for numbers)"
                return ParsedText(note="" if "zeros" in reason else note)
        note = ""
        if _any(pc.match_substring(cells, ".")) and pc.all(pc.match_substring_regex(cells, _GROUPED)).as_py():
            # 1.234 is either a number with three decimals or, as in German files, one thousand and more.
            numbers = self._find_numbers(cells)
            if numbers is not None and numbers.form.thousands:
                return self._formatted_numbers(numbers)
            if self.conventions.decimal is None or self.conventions.decimal.value != ".":
                shown, option = _first(cells, pc.match_substring(cells, ".")), f"--thousands {name + '=.'!r}"
                note = f"column {name!r}: {shown!r} is read with a decimal point ({option} if it has none)"
        elif _any(pc.starts_with(cells, "+")):
            numbers = self._find_numbers(cells)
            if numbers is not None and numbers.form.plus and numbers.count == len(cells) - cells.null_count:
                return self._formatted_numbers(numbers)
        values = _cast_numbers(pc.replace_substring_regex(cells, r"^\+", ""))
        if pa.types.is_floating(values.type) and pc.all(pc.match_substring_regex(cells, _INTEGER)).as_py():
            note = f"column {name!r}: whole numbers of more than 64 bits are rounded to float64"
        return ParsedText(values=values, note=note)

    def _formatted_numbers(self, found: ParsedNumbers) -> ParsedText:
        """Numbers with separators, a currency or a unit.

        Raises:
            DataError: Several formats fit.
        """
        import pyarrow.compute as pc

        name, cell = self.name, pa.array([found.cell], pa.large_string())
        if found.alternatives:
            forms = (found.form, *found.alternatives)
            readings = " or ".join(str(form.read(cell)[0].as_py()) for form in forms)
            ways = " or ".join(
                f"--thousands {form.thousands!r}" if form.thousands else f"--decimal {form.decimal!r}" for form in forms
            )
            raise DataError(
                f"{self.raw.name}, column {name!r}: {found.cell!r} may be {readings}",
                remedy=f"Use {ways}, of this column alone with {name + '='!r} before the mark, "
                f"or --categorical {name!r}.",
            )
        num_distinct = pc.count_distinct(found.numbers, mode="only_valid").as_py()
        if not self.forced and (num_distinct <= 1 or (num_distinct <= 2 and pa.types.is_integer(found.numbers.type))):
            # A constant or a flag: its text is enough.
            return ParsedText()
        if found.is_plain:
            return ParsedText(values=found.numbers)
        value = found.form.read(cell)[0].as_py()
        note = f"column {name!r}: {_shortened(found.cell)!r} is read as the number {value}{_since(found.evidence)}"
        return ParsedText(values=found.numbers, form=found.form, note=note)

    def _formatted_dates(self, found: ParsedDates, cells: pa.Array) -> ParsedText:
        """Dates or times in one format.

        Raises:
            DataError: Several formats fit.
        """
        import pyarrow.compute as pc

        name, row = self.name, pc.index(found.values.is_valid(), pa.scalar(True)).as_py()
        if found.alternatives:
            readings = [form.read(cells) for form in (found.form, *found.alternatives)]
            row = pc.index(pc.not_equal(readings[0], readings[1]), pa.scalar(True)).as_py()
            raise DataError(
                f"{self.raw.name}, column {name!r}: {cells[row].as_py()!r} may be "
                f"{' or '.join(str(values[row].as_py()) for values in readings)}",
                remedy=f"Use --dayfirst yes or --dayfirst no, of this column alone with {name + '='!r} before it, or "
                f"--date-format {name + '=' + found.form.format!r}.",
            )
        if pc.count_distinct(found.values, mode="only_valid").as_py() <= 1:
            return ParsedText()
        kind = "time" if pa.types.is_time(found.values.type) else "date"
        note = f"column {name!r}: {cells[row].as_py()!r} is read as the {kind} {found.values[row].as_py()}"
        cells = cells.drop_null().unique()
        written = found.form.write(found.form.read(cells))
        changed = pc.not_equal(written, cells)
        if _any(changed):
            row = changed.index(True).as_py()
            note += f"; {cells[row].as_py()!r} will be written as {written[row].as_py()!r}"
        return ParsedText(values=found.values, form=found.form, note=note + _since(found.evidence))

    def _iso(self, instants: pa.Array, text: pa.Array, cells: pa.Array) -> ParsedText:
        """Dates and times in ISO 8601, in the exact format of the cells if there is one."""
        note = self._note_on_format(text, instants) if pa.types.is_timestamp(instants.type) else ""
        if note:
            dates = find_dates(cells, self.rules, self.conventions)
            if dates is not None and dates.form.write(dates.values).equals(cells):
                return ParsedText(values=dates.values, form=dates.form)
        return ParsedText(values=instants, note=note)

    def _note_on_format(self, text: pa.Array, instants: pa.Array) -> str:
        """A note if times will be written in another format than that of the cells."""
        import pyarrow.compute as pc

        written = instants.cast(text.type)
        changed = pc.not_equal(pc.utf8_trim_whitespace(text), written)
        if not _any(changed):
            return ""
        shown, instead = _first(text, changed).strip(), _first(written, changed)
        return f"column {self.name!r}: times such as {shown!r} are written as {instead!r}"

    def _other_separators(self, shown: str) -> DataError:
        """The error for plain numbers without the separators that the options name."""
        name = self.name
        return DataError(
            f"{self.raw.name}, column {name!r}: {shown!r} does not have the separators that --decimal and --thousands "
            "name",
            remedy="Give them for the columns that they are right for, such as --decimal "
            f"{name + '=.'!r} for this one.",
        )

    def _refuse_misfits(
        self,
        text: pa.Array,
        cells: pa.Array,
        is_plain: pa.Array,
        numbers: ParsedNumbers | None,
        dates: ParsedDates | None,
    ) -> None:
        """Refuse text of which more than half of the cells are numbers or dates of one format.

        Raises:
            DataError: The first cell that is not.
        """
        present = len(cells) - cells.null_count
        if self.rules.is_date:
            is_right = dates.values.is_valid() if dates is not None else pa.array([False] * len(cells))
            raise self._misfit(text, cells, is_right, "which --date-format or --dayfirst names")
        found = [(is_plain, "numbers")] if self.rules.decimal != "," else []
        found += [(numbers.numbers.is_valid(), "numbers")] if numbers is not None else []
        found += [(dates.values.is_valid(), "dates")] if dates is not None else []
        if not found:
            return
        is_right, kind = max(found, key=lambda each: each[0].true_count)
        if 2 * is_right.true_count > present:
            raise self._misfit(text, cells, is_right, f"whose other cells are mostly {kind}")

    def _misfit(self, text: pa.Array, cells: pa.Array, is_right: pa.Array, which: str) -> DataError:
        """The error for a column in which some cells are not what the others are."""
        import pyarrow.compute as pc

        is_wrong = pc.and_(cells.is_valid(), pc.invert(is_right))
        row = is_wrong.index(True).as_py()
        others = is_wrong.true_count - 1
        more = f" and {others:,} more" if others else ""
        return DataError(
            f"{self.raw.name}, {self.raw.places([row])[0]}, column {self.name!r}: text "
            f"{_shortened(text[row].as_py())!r}{more} in a column {which}",
            remedy=f"Correct the cell, or use --categorical {self.name!r} or --ignore {self.name!r}.",
        )


def _begin_like_values(cells: pa.Array) -> bool:
    """Whether more than a quarter of some cells begin like numbers or dates. Most text is ruled out by that alone."""
    import pyarrow.compute as pc

    present = cells.drop_null()
    some = present.take(pa.array(range(0, len(present), max(1, len(present) // _NUM_BEGINNINGS))))
    return 4 * (pc.sum(pc.match_substring_regex(some, _BEGINNING)).as_py() or 0) > len(some)


def _cast_numbers(cells: pa.Array) -> pa.Array:
    import pyarrow.compute as pc

    if pc.all(pc.match_substring_regex(cells, _INTEGER)).as_py():
        for kind in (pa.int64(), pa.uint64()):
            try:
                return cells.cast(kind)
            except pa.ArrowInvalid:
                continue
    return cells.cast(pa.float64())


def _iso_instants(cells: pa.Array) -> pa.Array | None:
    """Dates and times in ISO 8601; None unless all cells are such."""
    import pyarrow.compute as pc

    if pc.sum(pc.match_substring_regex(cells, _ISO_DATE)).as_py() != len(cells) - cells.null_count:
        return None
    for kind in _INSTANTS:
        try:
            return cells.cast(kind)
        except pa.ArrowInvalid:
            continue
    return None


def _are_iso(cells: pa.Array) -> bool:
    """Whether all cells are dates and times in ISO 8601, some with a zone and some without."""
    import pyarrow.compute as pc

    cells = cells.drop_null()
    if not pc.all(pc.match_substring_regex(cells, _ISO_DATE)).as_py():
        return False
    has_zone = pc.match_substring_regex(cells, r"(?:Z|[+-][0-9]{2}:?[0-9]{2})$")
    has_zone = pc.and_(has_zone, pc.match_substring(cells, ":"))
    try:
        cells.filter(has_zone).cast(pa.timestamp("ns", tz="UTC"))
        cells.filter(pc.invert(has_zone)).cast(pa.timestamp("ns"))
    except pa.ArrowInvalid:
        return False
    return True


def _since(evidence: Evidence | None) -> str:
    return "" if evidence is None else f", since {evidence}"


def _shortened(cell: str) -> str:
    return cell if len(cell) <= 40 else f"{cell[:40]}..."


def _first(cells: pa.Array, flags: pa.Array) -> str:
    """The first cell whose flag is true."""
    return str(cells[flags.index(True).as_py()].as_py())


def _any(flags: pa.Array) -> bool:
    import pyarrow.compute as pc

    return bool(pc.any(flags).as_py())
