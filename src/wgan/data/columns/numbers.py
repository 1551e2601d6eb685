"""Find the format of numbers in text, and recognise digits that are identifiers, not numbers."""

from __future__ import annotations

import re
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from wgan.data.columns.conventions import Conventions, Evidence, ParsingRules
from wgan.data.columns.text_formats import SPACES, Negative, NumberFormat, number_pattern

_LETTERS = (
    "USD|EUR|GBP|CHF|JPY|CNY|INR|CAD|AUD|NZD|SEK|NOK|DKK|PLN|CZK|HUF|BRL|MXN|RUB|KRW|TRY|ZAR"
    r"|Rs\.?|Fr\.?|kr\.?|zł|Kč|Ft"
)
_CURRENCY = rf"(?:[A-Z]{{0,3}}\p{{Sc}}|{_LETTERS})"
_UNITS = "%|‰|°[CF]?|kg|mg|g|t|km|cm|mm|m|ms|s|min|h|ml|l|kB|MB|GB|TB|kWh|kW|W|V|A|Hz|px"
# The parts of a number: signs, brackets, prefix, digits, exponent and suffix.
_SHAPE = (
    rf"^(?P<o>\(?)(?P<s>[-+\x{{2212}}]?)(?P<pre>\s*(?:{_CURRENCY}\s*)?)(?P<i>\(?)(?P<t>[-+\x{{2212}}]?)"
    rf"(?P<body>[0-9]+(?:[.,'\x{{2019}}_{SPACES}][0-9]+)*\.?|[.,][0-9]+)(?P<exp>(?:[eE][-+]?[0-9]+)?)(?P<c>\)?)"
    rf"(?P<suf>(?:\s*(?:{_CURRENCY}|{_UNITS})|\s[A-Za-z\x{{aa}}-\x{{1fff}}\x{{2c00}}-\x{{d7ff}}][^0-9()]*)?)(?P<d>\)?)(?P<u>-?)$"
)
_MARKS = ("", ",", ".", " ", "'", "\u2019", "_")
# From this many numbers on, check digits that all fit are not a coincidence.
_FEW_CHECKED, _MOST_VERSIONS = 8, 100
_TELEPHONE_DIGITS = 7


@dataclass(frozen=True, kw_only=True)
class ParsedNumbers:
    """Numbers found in text.

    Attributes:
        numbers: int64 or float64; null where a cell is missing or has another format.
        form: Their format.
        count: Number of cells in this format.
        cell: An example.
        evidence: The cell of another column that decided between formats; None if none was needed.
        alternatives: Other formats that fit as well; empty if the format is certain.
    """

    numbers: pa.Array
    form: NumberFormat
    count: int
    cell: str
    evidence: Evidence | None = None
    alternatives: tuple[NumberFormat, ...] = ()

    @property
    def is_plain(self) -> bool:
        """Whether the format is that of a programming language, without prefix, suffix, separators or plus."""
        form = self.form
        is_bare = not (form.prefix or form.suffix or form.thousands or form.plus)
        return is_bare and form.decimal == "." and form.negative == "-x"


def find_numbers(
    cells: pa.Array, rules: ParsingRules, conventions: Conventions, *, forced: bool
) -> ParsedNumbers | None:
    """Find the format of numbers that most cells have.

    Args:
        cells: Trimmed text, large_string; null where missing.
        rules: The user's options on the column.
        conventions: The conventions of the table.
        forced: Whether the user says that the cells are numbers.

    Returns:
        The numbers; None unless more than half of the cells are in one format.
    """
    import pyarrow.compute as pc

    present = len(cells) - cells.null_count
    parts = pc.extract_regex(cells, _SHAPE)
    around = _joined(*(pc.utf8_trim_whitespace(pc.struct_field(parts, part)) for part in ("pre", "suf")))
    counted = around.drop_null().value_counts()
    if not len(counted):
        return None
    top = max(counted.to_pylist(), key=lambda entry: entry["counts"])
    if 2 * top["counts"] <= present:
        return None
    alike = parts.filter(pc.fill_null(pc.equal(around, top["values"]), False))
    body = _joined(pc.struct_field(alike, "body"), pc.struct_field(alike, "exp"), mark="")
    if not forced and (_any(body, "^0[0-9]") or _is_address(body)):
        return None
    readings, count = _readings(body, rules)
    if 2 * count <= present:
        return None
    decimal, thousands, evidence, alternatives = _choose(readings, top["values"] != "\0", conventions)
    forms = [_form(alike, body, *reading) for reading in ((decimal, thousands), *alternatives)]
    numbers = forms[0].read(cells)
    if not forced and _are_identifiers(numbers, body, forms[0], alike):
        return None
    mark = thousands or decimal or "."
    has_mark = pc.match_substring(cells, mark)
    row = pc.index(pc.and_(has_mark, numbers.is_valid()), pa.scalar(True)).as_py()
    cell = cells[row if row >= 0 else pc.index(numbers.is_valid(), pa.scalar(True)).as_py()].as_py()
    return ParsedNumbers(
        numbers=numbers,
        form=forms[0],
        count=len(numbers) - numbers.null_count,
        cell=cell,
        evidence=evidence,
        alternatives=tuple(forms[1:]),
    )


def _readings(body: pa.Array, rules: ParsingRules) -> tuple[list[tuple[str, str]], int]:
    """The pairs (decimal mark, separator of thousands), empty for none, that fit most cells, and how many they fit."""
    best: dict[tuple[str, str], int] = {}
    thousands_option = rules.thousands
    present = {mark for mark in _MARKS if _any(body, f"[{SPACES}]" if mark == " " else re.escape(mark))}
    for decimal in (rules.decimal,) if rules.decimal else (".", ","):
        for thousands in _MARKS if thousands_option is None else ("", thousands_option):
            if decimal == (thousands_option or thousands) or (thousands and thousands not in present):
                continue
            count = _count(body, f"^{number_pattern(decimal, thousands)}$")
            used = (decimal if decimal in present else "", thousands)
            best[used] = max(best.get(used, 0), count)
    if "," not in (rules.decimal, thousands_option) and _is_typo(body):
        best.pop((",", ""), None)
    most = max(best.values(), default=0)
    found = [used for used, count in best.items() if count == most]
    # Leave out pairs with a mark that no cell needs.
    return [used for used in found if not any(other != used and _within(other, used) for other in found)], most


def _is_typo(body: pa.Array) -> bool:
    """Whether commas are separators of thousands with typing errors: most stand before three digits, and some end in 0.

    Decimal commas come with a fixed number of decimals, or without trailing zeros.
    """
    import pyarrow.compute as pc

    marked = body.filter(pc.match_substring(body, ","))
    grouped = _count(marked, r"^[1-9][0-9]{0,2}(?:,[0-9]{3})+(?:\.[0-9]+)?$")
    is_fixed = _count(body, ",[0-9]{3}$") == len(body)
    return 2 * grouped > len(marked) and not is_fixed and _any(marked, ",[0-9]{2}0$")


def _within(one: tuple[str, str], other: tuple[str, str]) -> bool:
    return all(first in ("", second) for first, second in zip(one, other, strict=True))


def _choose(
    readings: list[tuple[str, str]], is_unit: bool, conventions: Conventions
) -> tuple[str, str, Evidence | None, list[tuple[str, str]]]:
    """Choose among readings that fit equally well: the reading, the evidence for it, and the other candidates."""
    if len(readings) == 1:
        return *readings[0], None, []
    readings = sorted(readings, key=lambda reading: reading[0] != ".")
    if (evidence := conventions.decimal) is not None:
        other = {".": ",", ",": "."}[evidence.value]
        fitting = [reading for reading in readings if reading[0] in ("", evidence.value) and reading[1] in ("", other)]
        if len(fitting) == 1:
            return *fitting[0], evidence, []
    # Without a currency or unit, a point before three digits is a decimal point.
    if readings[0][0] == "." and not is_unit:
        return *readings[0], None, []
    return *readings[0], None, readings[1:]


def _form(alike: pa.Array, body: pa.Array, decimal: str, thousands: str) -> NumberFormat:
    """The format of numbers from their parts."""
    import pyarrow.compute as pc

    part = {name: pc.struct_field(alike, name) for name in ("o", "s", "pre", "i", "t", "suf", "u")}
    mark = next((space for space in SPACES if _any(body, space)), thousands) if thousands == " " else thousands
    after = pc.struct_field(pc.extract_regex(body, rf"^.*{re.escape(decimal)}(?P<places>[0-9]*)(?:[eE].*)?$"), "places")
    lengths = pc.min_max(pc.utf8_length(after)).as_py() if decimal else {"min": 0, "max": 0}
    least = 0 if decimal and after.null_count else lengths["min"] or 0
    plus = _joined(part["s"], part["t"], mark="")
    is_minus = pc.is_in(plus, value_set=pa.array(["-", "\u2212"], plus.type))
    unsigned = pc.and_(pc.equal(plus, ""), pc.invert(pc.match_substring_regex(body, r"^[0.,]*$")))
    unsigned = pc.and_(unsigned, pc.equal(_joined(part["o"], part["i"], part["u"], mark=""), ""))
    has_exponent, escaped = _any(body, "[eE]"), re.escape(thousands)
    return NumberFormat(
        prefix=_commonest(part["pre"]),
        suffix=_commonest(part["suf"]),
        decimal=decimal or ("," if thousands == "." else "."),
        thousands=mark,
        lakhs=bool(thousands) and _any(body, rf"^[0-9]{{1,2}}(?:{escaped}[0-9]{{2}})+{escaped}"),
        places=(0, 16) if has_exponent else (least, lengths["max"] or 0),
        negative=_negative(part, is_minus),
        plus=bool(pc.any(pc.equal(plus, "+")).as_py()) and not pc.any(unsigned).as_py(),
    )


def _negative(part: dict[str, pa.Array], is_minus: pa.Array) -> Negative:
    import pyarrow.compute as pc

    if pc.any(pc.equal(part["o"], "(")).as_py():
        return "(x)"
    if pc.any(pc.equal(part["i"], "(")).as_py():
        return "p(x)"
    if pc.any(pc.equal(part["u"], "-")).as_py():
        return "x-"
    has_prefix = pc.not_equal(pc.utf8_trim_whitespace(part["pre"]), "")
    inner = pc.and_(pc.and_(is_minus, pc.not_equal(part["t"], "")), has_prefix)
    return "p-x" if pc.any(inner).as_py() else "-x"


def _commonest(texts: pa.Array) -> str:
    found = max(texts.value_counts().to_pylist(), key=lambda entry: entry["counts"])["values"]
    return str(found) if found.strip() else ""


def _is_address(body: pa.Array) -> bool:
    """Whether all cells are IPv4 addresses."""
    part = "(?:25[0-5]|2[0-4][0-9]|1?[0-9]?[0-9])"
    return _count(body, rf"^{part}\.{part}\.{part}\.{part}$") == len(body)


def _are_identifiers(numbers: pa.Array, body: pa.Array, form: NumberFormat, alike: pa.Array) -> bool:
    """Whether digits with separators are identifiers: telephone numbers, or groups of digits of equal length."""
    import pyarrow.compute as pc

    digits = pc.replace_substring_regex(body, "[^0-9]", "")
    shortest, longest = (pc.min_max(pc.utf8_length(digits)).as_py()[end] for end in ("min", "max"))
    if not pa.types.is_integer(numbers.type):
        return not _any(body, "[.,eE]") and longest > 18
    has_minus = (pc.min(numbers).as_py() or 0) < 0
    if form.plus and not has_minus and shortest >= _TELEPHONE_DIGITS:
        return True
    grouped = bool(form.thousands) and form.thousands in SPACES
    return grouped and not form.prefix and not form.suffix and shortest == longest >= _TELEPHONE_DIGITS


def has_mixed_units(cells: pa.Array) -> bool:
    """Whether most cells are numbers, but with several currencies or units."""
    import pyarrow.compute as pc

    present = len(cells) - cells.null_count
    parts = pc.extract_regex(cells, _SHAPE)
    around = _joined(*(pc.utf8_trim_whitespace(pc.struct_field(parts, part)) for part in ("pre", "suf")))
    counted = [entry["counts"] for entry in around.drop_null().value_counts().to_pylist()]
    return 2 * sum(counted) > present and len([count for count in counted if 10 * count > present]) > 1


def reason_for_text(cells: pa.Array) -> str:
    """Why cells of plain numbers are identifiers, not numbers; empty if they are numbers.

    Args:
        cells: Trimmed text, each a plain number; null where missing.
    """
    import pyarrow.compute as pc

    cells = cells.drop_null()
    if _any(cells, r"^[+-]?0[0-9]+$"):
        return "has zeros in front"
    if _count(cells, r"^[+-]?[0-9]+$") < len(cells):
        if _any(cells, "^[0-9]+[eE][0-9]+$") and not _any(cells, r"[.+-]"):
            return "has an e among its digits, as codes have"
        return "looks like a version" if _are_versions(cells) else ""
    if _any(cells, r"^\+[0-9]{7,}$") and not _any(cells, "^-"):
        return "begins with a plus, as telephone numbers do"
    if any(len(cell.lstrip("+-0")) > 18 for cell in cells.to_pylist()) and not _fits_64_bits(cells):
        return "has more digits than 64 bits hold"
    lengths = pc.min_max(pc.utf8_length(cells)).as_py()
    if len(cells) >= _FEW_CHECKED and lengths["min"] >= 12 and lengths["max"] <= 19 and _have_check_digits(cells):
        return "has a check digit at its end, as numbers of cards and articles have"
    return ""


def _fits_64_bits(cells: pa.Array) -> bool:
    import pyarrow.compute as pc

    bare = pc.replace_substring_regex(cells, r"^\+", "")
    for kind in (pa.int64(), pa.uint64()):
        try:
            bare.cast(kind)
        except pa.ArrowInvalid:
            continue
        return True
    return False


def _are_versions(cells: pa.Array) -> bool:
    """Whether the cells are versions such as 1.9 and 1.10: the number of decimals varies, and some end in 0."""
    import pyarrow.compute as pc

    if _count(cells, r"^[0-9]{1,2}\.(?:0|[1-9][0-9]{0,2})$") < len(cells) or not _any(cells, r"\.[0-9]+0$"):
        return False
    places = pc.utf8_length(pc.struct_field(pc.extract_regex(cells, r"\.(?P<places>[0-9]+)$"), "places"))
    ends = pc.min_max(places).as_py()
    return bool(ends["min"] < ends["max"] and pc.count_distinct(cells).as_py() <= _MOST_VERSIONS)


def _have_check_digits(cells: pa.Array) -> bool:
    """Whether the last digit of all cells is a check digit, by Luhn's rule or that of EAN and ISBN-13."""
    digits = [np.frombuffer(cell.encode(), np.uint8)[::-1].astype(np.int64) - 48 for cell in cells.unique().to_pylist()]
    if len(digits) < _FEW_CHECKED or any((each < 0).any() for each in digits):
        return False

    def luhn(each: np.ndarray[tuple[int], np.dtype[np.int64]]) -> bool:
        doubled = 2 * each[1::2]
        return int(each[::2].sum() + (doubled - 9 * (doubled > 9)).sum()) % 10 == 0

    def ean(each: np.ndarray[tuple[int], np.dtype[np.int64]]) -> bool:
        return len(each) in (12, 13, 14) and int(each[::2].sum() + 3 * each[1::2].sum()) % 10 == 0

    return all(map(luhn, digits)) or all(map(ean, digits))


def _count(texts: pa.Array, pattern: str) -> int:
    import pyarrow.compute as pc

    return int(pc.sum(pc.match_substring_regex(texts, pattern)).as_py() or 0)


def _any(texts: pa.Array, pattern: str) -> bool:
    import pyarrow.compute as pc

    return bool(pattern) and bool(pc.any(pc.match_substring_regex(texts, pattern)).as_py())


def _joined(*parts: pa.Array, mark: str = "\0") -> pa.Array:
    import pyarrow.compute as pc

    return pc.binary_join_element_wise(*parts, pa.scalar(mark, parts[0].type))
