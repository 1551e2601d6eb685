"""Formats of numbers, dates and times in text: parsing, and writing in the same format."""

from __future__ import annotations

import re
from dataclasses import asdict, dataclass
from typing import Any, ClassVar, Literal, TypeAlias

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

SPACES = " \u00a0\u202f\u2009"
"""Spaces that are used as separators of thousands."""

PLAIN_NUMBER = r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?|[+-]?(?i:inf|infinity)"
"""A regular expression of numbers without separators, currency or unit."""

_SIGNS = "[-+\u2212]?"
_GROUPS = ("o", "s", "i", "t", "body", "c", "d", "u")
_MOST_PLACES = 15
_MONTHS = (
    *("January", "February", "March", "April", "May", "June", "July"),
    *("August", "September", "October", "November", "December"),
)
_DAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
# Years of two digits, as in POSIX: 69 to 99 are 1969 to 1999.
_PIVOT = 69

Negative = Literal["-x", "x-", "p-x", "(x)", "p(x)"]


def number_pattern(decimal: str, thousands: str) -> str:
    """A regular expression of the digits of numbers with these separators.

    Args:
        decimal: The decimal mark.
        thousands: The separator of groups of digits, of three each or as in India; empty for none.
    """
    point = re.escape(decimal)
    if not thousands:
        return f"(?:[0-9]+(?:{point}[0-9]*)?|{point}[0-9]+)(?:[eE][-+]?[0-9]+)?"
    mark = f"[{SPACES}]" if thousands in SPACES else re.escape(thousands)
    whole = f"[1-9][0-9]{{0,2}}(?:{mark}[0-9]{{3}})+|[1-9][0-9]?(?:{mark}[0-9]{{2}})+{mark}[0-9]{{3}}|[0-9]+"
    return f"(?:{whole})(?:{point}[0-9]+)?"


@dataclass(frozen=True, kw_only=True)
class NumberFormat:
    """The format of numbers with separators, a currency or a unit.

    Attributes:
        prefix: Text before the digits, such as "$" or "EUR ".
        suffix: Text after the digits, such as " %".
        decimal: The decimal mark.
        thousands: The separator of groups of digits; empty for none.
        lakhs: Whether all groups but the last have two digits, as in India.
        places: The minimal and maximal number of decimals; more than 15 for as many as needed.
        negative: The format of negative numbers, where p is the prefix.
        plus: Whether other numbers have a plus.
    """

    how: ClassVar[str] = "number"
    prefix: str = ""
    suffix: str = ""
    decimal: str = "."
    thousands: str = ""
    lakhs: bool = False
    places: tuple[int, int] = (0, _MOST_PLACES + 1)
    negative: Negative = "-x"
    plus: bool = False

    def pattern(self) -> str:
        """A regular expression of cells, with a named group for each part of a number."""
        before, after = (rf"\s*{re.escape(part.strip())}\s*" if part.strip() else r"\s*" for part in self._affixes)
        return (
            rf"^(?P<o>\(?)(?P<s>{_SIGNS}){before}(?P<i>\(?)(?P<t>{_SIGNS})"
            rf"(?P<body>{number_pattern(self.decimal, self.thousands)})(?P<c>\)?){after}(?P<d>\)?)(?P<u>-?)$"
        )

    @property
    def _affixes(self) -> tuple[str, str]:
        return self.prefix, self.suffix

    def read(self, text: pa.Array) -> pa.Array:
        """Parse text as int64 if no number has a decimal mark or exponent, else as float64. Other text becomes null."""
        import pyarrow.compute as pc

        parts = pc.extract_regex(pc.utf8_trim_whitespace(text), self.pattern())
        o, s, i, t, body, c, d, u = (pc.struct_field(parts, name) for name in _GROUPS)
        opened, closed = (pc.not_equal(pc.utf8_length(_joined(*pair)), 0) for pair in ((o, i), (c, d)))
        signs = _joined(s, t, u)
        whole = pc.and_(pc.equal(opened, closed), pc.less_equal(pc.utf8_length(signs), 1))
        minus = pc.or_(pc.is_in(signs, value_set=pa.array(["-", "\u2212"], signs.type)), opened)
        bare = body
        for mark in SPACES if self.thousands in SPACES else self.thousands:
            bare = pc.replace_substring(bare, mark, "")
        bare = pc.replace_substring(bare, self.decimal, ".") if self.decimal != "." else bare
        signed = _joined(pc.if_else(minus, pa.scalar("-", bare.type), pa.scalar("", bare.type)), bare)
        signed = pc.if_else(pc.fill_null(whole, False), signed, pa.scalar(None, signed.type))
        if pc.any(pc.match_substring_regex(signed, "[.eE]")).as_py():
            return signed.cast(pa.float64())
        try:
            return signed.cast(pa.int64())
        except pa.ArrowInvalid:
            return signed.cast(pa.float64())

    def write(self, numbers: pa.Array) -> pa.Array:
        """The inverse of `read`, as large_string."""
        return pa.array([None if cell is None else self._cell(cell) for cell in numbers.to_pylist()], pa.large_string())

    def _cell(self, value: float) -> str:
        least, most = self.places
        mark = "," if self.thousands else ""
        if isinstance(value, int):
            digits = f"{abs(value):{mark}}" + ("." + "0" * least if least else "")
        elif most > _MOST_PLACES:
            digits = f"{abs(value):{mark}}".removesuffix(".0")
        else:
            digits = f"{abs(value):{mark}.{most}f}"
            whole, point, places = digits.partition(".")
            places = places[:least] + places[least:].rstrip("0")
            digits = whole + (point + places if places else "")
        if self.lakhs:
            whole, point, places = digits.partition(".")
            digits = _in_lakhs(whole.replace(",", "")) + point + places
        digits = digits.translate({ord(","): self.thousands, ord("."): self.decimal})
        below = value < 0 and bool(re.search("[1-9]", digits))
        plain = f"{self.prefix}{digits}{self.suffix}"
        if not below:
            return f"+{plain}" if self.plus and value >= 0 else plain
        return {
            "-x": f"-{plain}",
            "x-": f"{plain}-",
            "p-x": f"{self.prefix}-{digits}{self.suffix}",
            "(x)": f"({plain})",
            "p(x)": f"{self.prefix}({digits}){self.suffix}",
        }[self.negative]


def _joined(*parts: pa.Array) -> pa.Array:
    import pyarrow.compute as pc

    return pc.binary_join_element_wise(*parts, pa.scalar("", parts[0].type))


def _in_lakhs(digits: str) -> str:
    groups, rest = [digits[-3:]], digits[:-3]
    while rest:
        groups.insert(0, rest[-2:])
        rest = rest[:-2]
    return ",".join(groups)


_DIRECTIVES = {
    "Y": "[0-9]{4}",
    **dict.fromkeys("ymdHIMS", "[0-9]{2}"),
    "f": "[0-9]{1,6}",
    "p": r"[AaPp]\.?[Mm]\.?",
    "b": "|".join(month[:3] for month in _MONTHS),
    "B": "|".join(_MONTHS),
    "a": "|".join(day[:3] for day in _DAYS),
    "A": "|".join(_DAYS),
}
_TOKEN = re.compile(r"%(-?)([A-Za-z%])")


@dataclass(frozen=True, kw_only=True)
class DateFormat:
    """The format of dates and times, in the directives of `strftime` and with English names.

    Attributes:
        format: Such as "%d.%m.%Y". The directives %-d, %-m, %-H and %-I have no leading zero.
        upper: Whether names are in upper case.
    """

    how: ClassVar[str] = "date"
    format: str
    upper: bool = False

    def __post_init__(self) -> None:
        tokens = self.tokens
        unknown = [f"%{letter}" for letter in tokens if letter not in _DIRECTIVES]
        if unknown:
            known = ", ".join(f"%{letter}" for letter in _DIRECTIVES)
            raise ValueError(f"{unknown[0]} in the format {self.format!r} is not known; known: {known}")
        dated = bool({"m", "b", "B"} & {*tokens} and {"Y", "y"} & {*tokens})
        if not (dated or ({"H", "I"} & {*tokens} and not {*tokens} & {*"YymdbBaA"})):
            raise ValueError(f"the format {self.format!r} names neither a year and a month nor an hour")
        if len({*tokens}) < len(tokens):
            raise ValueError(f"the format {self.format!r} names something twice")

    @property
    def tokens(self) -> list[str]:
        """The letters of the directives, in their order."""
        return [letter for _, letter in _TOKEN.findall(self.format) if letter != "%"]

    @property
    def kind(self) -> pa.DataType:
        """The type that `read` returns: a date, a time, or both."""
        tokens = {*self.tokens}
        timed = tokens & {"H", "I"}
        unit = "us" if "f" in tokens else "s"
        if not tokens & {"Y", "y"}:
            return pa.time64("us") if unit == "us" else pa.time32("s")
        return pa.timestamp(unit) if timed else pa.date32()

    def pattern(self) -> str:
        """A regular expression of cells, with a named group for each directive."""
        parts, end = [], 0
        for match in _TOKEN.finditer(self.format):
            parts.append(_literal(self.format[end : match.start()]))
            dash, letter = match.groups()
            if letter == "%":
                parts.append("%")
            else:
                digits = "[0-9]{1,2}" if dash else _DIRECTIVES[letter]
                parts.append(f"(?P<{letter}>{'(?i:' + digits + ')' if letter in 'bBaA' else digits})")
            end = match.end()
        return "^" + "".join(parts) + _literal(self.format[end:]) + "$"

    def read(self, text: pa.Array) -> pa.Array:
        """Parse text in the type `kind`. Text in another format and dates that do not exist become null."""
        import pyarrow.compute as pc

        found = pc.extract_regex(pc.utf8_trim_whitespace(text), self.pattern())
        fits = found.is_valid().to_numpy(zero_copy_only=False)
        parts: dict[str, NDArray[np.int64]] = {}
        for letter in self.tokens:
            part = pc.struct_field(found, letter)
            if letter in "bBaA":
                names = [
                    name.lower()[: 3 if letter in "ba" else None] for name in (_MONTHS if letter in "bB" else _DAYS)
                ]
                number = pc.add(pc.index_in(pc.utf8_lower(part), value_set=pa.array(names, part.type)), 1)
            elif letter == "p":
                number = pc.starts_with(pc.utf8_lower(part), "p").cast(pa.int64())
            else:
                part = pc.utf8_rpad(part, 6, "0") if letter == "f" else part
                number = part.cast(pa.int64())
            parts[letter] = number.fill_null(0).to_numpy(zero_copy_only=False).astype(np.int64)
        days, real = _days_of(parts, len(fits))
        fits &= real
        seconds, real = _seconds_of(parts, len(fits))
        fits &= real
        if pa.types.is_date(self.kind):
            values = days.astype(np.int32)
        else:
            dated = not pa.types.is_time(self.kind)
            values = days * 86_400 * dated + seconds
            values = values * 1_000_000 + parts["f"] if "f" in parts else values
            values = values.astype(np.int32) if pa.types.is_time32(self.kind) else values
        return pa.array(values, self.kind, mask=~fits)

    def write(self, instants: pa.Array) -> pa.Array:
        """The inverse of `read`, as large_string."""
        missing = instants.is_null().to_numpy(zero_copy_only=False)
        storage = pa.int32() if self.kind.bit_width == 32 else pa.int64()
        values = instants.view(storage).fill_null(0).to_numpy(zero_copy_only=False).astype(np.int64)
        fraction = np.zeros_like(values)
        if "f" in self.tokens:
            values, fraction = values // 1_000_000, values % 1_000_000
        days, seconds = (values, fraction * 0) if pa.types.is_date(self.kind) else (values // 86_400, values % 86_400)
        months = days.astype("datetime64[D]").astype("datetime64[M]")
        hour = seconds // 3600
        numbers = {
            "Y": months.astype("datetime64[Y]").astype(np.int64) + 1970,
            "m": months.astype(np.int64) % 12 + 1,
            "d": days - months.astype("datetime64[D]").astype(np.int64) + 1,
            "H": hour,
            "I": (hour + 11) % 12 + 1,
            "M": seconds // 60 % 60,
            "S": seconds % 60,
            "f": fraction,
            "p": hour // 12,
            "a": (days + 3) % 7,
        }
        numbers |= {"y": numbers["Y"] % 100, "b": numbers["m"], "B": numbers["m"], "A": numbers["a"]}
        pieces: list[list[str]] = []
        end = 0
        for match in _TOKEN.finditer(self.format):
            dash, letter = match.groups()
            pieces.append([self.format[end : match.start()]] * len(values))
            pieces.append(
                ["%"] * len(values) if letter == "%" else _directive_text(letter, bool(dash), numbers[letter])
            )
            end = match.end()
        pieces.append([self.format[end:]] * len(values))
        cells = ["".join(cell) for cell in zip(*pieces, strict=True)]
        cells = [cell.upper() for cell in cells] if self.upper else cells
        return pa.array(cells, pa.large_string(), mask=missing)


def _literal(text: str) -> str:
    return re.sub(r"(\\ |\s)+", r"\\s+", re.escape(text))


def _directive_text(letter: str, is_bare: bool, numbers: NDArray[np.int64]) -> list[str]:
    values = numbers.tolist()
    if letter in "bB":
        return [_MONTHS[value - 1][: 3 if letter == "b" else None] for value in values]
    if letter in "aA":
        return [_DAYS[value][: 3 if letter == "a" else None] for value in values]
    if letter == "p":
        return ["PM" if value else "AM" for value in values]
    width = 0 if is_bare else {"Y": 4, "f": 6}.get(letter, 2)
    return [f"{value:0{width}d}" for value in values]


def _days_of(parts: dict[str, NDArray[np.int64]], count: int) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """Days since 1970, and whether each date exists."""
    if not {"Y", "y"} & parts.keys():
        return np.zeros(count, np.int64), np.ones(count, bool)
    short = parts.get("y", np.zeros(count, np.int64))
    year = parts["Y"] if "Y" in parts else np.where(short >= _PIVOT, 1900, 2000) + short
    month = next(parts[letter] for letter in "mbB" if letter in parts)
    day = parts.get("d", np.ones(count, np.int64))
    months = ((year - 1970) * 12 + np.clip(month, 1, 12) - 1).astype("datetime64[M]")
    first, after = (each.astype("datetime64[D]").astype(np.int64) for each in (months, months + 1))
    real = (year >= 1) & (month >= 1) & (month <= 12) & (day >= 1) & (day <= after - first)
    days = first + day - 1
    for letter in "aA":
        if letter in parts:
            real &= (days + 3) % 7 + 1 == parts[letter]
    return days, real


def _seconds_of(parts: dict[str, NDArray[np.int64]], count: int) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """Seconds since midnight, and whether each time exists."""
    none = np.zeros(count, np.int64)
    minute, second = parts.get("M", none), parts.get("S", none)
    if "I" in parts:
        real = (parts["I"] >= 1) & (parts["I"] <= 12)
        hour = parts["I"] % 12 + 12 * parts.get("p", none)
    else:
        hour = parts.get("H", none)
        real = hour < 24
    return hour * 3600 + minute * 60 + second, real & (minute < 60) & (second < 60)


TextFormat: TypeAlias = NumberFormat | DateFormat


def format_state(form: TextFormat) -> dict[str, Any]:
    """Plain JSON values."""
    values = {name: list(value) if isinstance(value, tuple) else value for name, value in asdict(form).items()}
    return {"how": form.how, **values}


def format_from_state(state: dict[str, Any]) -> TextFormat:
    """The inverse of `format_state`.

    Raises:
        ValueError: An unknown kind of format.
    """
    values: dict[str, Any] = {name: tuple(value) if isinstance(value, list) else value for name, value in state.items()}
    how = values.pop("how")
    if how == NumberFormat.how:
        return NumberFormat(**values)
    if how == DateFormat.how:
        return DateFormat(**values)
    raise ValueError(f"a text format of the kind {how!r}")
