"""How a word in the settings becomes an object: `name:key=value,key=value`, looked up in one room's table.

Each room (objectives, constraints, networks, optimisers) keeps one `Catalog` of frozen dataclasses. A new row in it is
at once accepted by the settings, listed by the command line and described in the docs. Only rows of a table can be
named: settings never import or unpickle anything.
"""

from __future__ import annotations

import dataclasses
import difflib
import types
import typing
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Generic, Literal, TypeVar

from wgan.errors import UsageError, WganError

T = TypeVar("T")


def nearest(word: str, known: Iterable[str], *, most: int = 1) -> list[str]:
    """The known words that `word` may be a slip of, the likeliest first, at most `most` of them."""
    return difflib.get_close_matches(word, list(known), n=most, cutoff=0.5)


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """Return "Did you mean 'x'? " for a near miss, and the known words in every case."""
    known = list(known)
    guess = "".join(f"Did you mean '{near}'? " for near in nearest(word, known))
    return f"{guess}Known: {listed(known)}."


def listed(words: Iterable[str]) -> str:
    """Words with commas between them; in quotes those that could not be told from several, or not be seen."""
    return ", ".join(repr(word) if "," in word or word != word.strip() or not word else word for word in words)


class Catalog(Generic[T]):
    """One room's table: names to frozen dataclasses, whose fields are the parameters that settings may give.

    Args:
        noun: What a row is, as users say it ("constraint").
        rows: Name to dataclass.
    """

    def __init__(self, noun: str, rows: Mapping[str, type[T]]) -> None:
        self.noun = noun
        self.rows = dict(rows)

    def __iter__(self) -> Iterator[str]:
        return iter(self.rows)

    def build(self, text: str) -> T:
        """Build the row that `text` names.

        Args:
            text: "penalty", or with parameters "penalty:weight=0.1,sides=one".

        Returns:
            An instance of the row, its defaults overridden.

        Raises:
            UsageError: An unknown name or parameter, a value of the wrong type, or one that the row refuses.
        """
        name, _, rest = text.strip().partition(":")
        if name not in self.rows:
            raise UsageError(f"{self.noun} '{name}' is not known", remedy=did_you_mean(name, self.rows))
        row = self.rows[name]
        hints = typing.get_type_hints(row)
        fields = {field.name: hints[field.name] for field in dataclasses.fields(row)}  # type: ignore[arg-type]
        values: dict[str, Any] = {}
        for part in filter(None, (part.strip() for part in rest.split(","))):
            key, equals, value = part.partition("=")
            key = key.strip().replace("-", "_")
            if not equals or key not in fields:
                raise UsageError(
                    f"{self.noun} '{name}' has no parameter '{part}'",
                    remedy=did_you_mean(key, [f"{known}=" for known in fields]) if fields else "It has none.",
                )
            if key in values:
                raise UsageError(f"{self.noun} '{name}': {key} is given twice", remedy="Give it once.")
            values[key] = _convert(value.strip(), fields[key], f"{self.noun} '{name}', {key}")
        try:
            return row(**values)
        except WganError as error:
            raise UsageError(f"{self.noun} '{name}': {error.message}", remedy=error.remedy) from None
        except ValueError as error:
            raise UsageError(f"{self.noun} '{name}': {error}") from None

    def describe(self) -> list[tuple[str, str]]:
        """For each row, its text with every default spelled out, and the first sentence of its docstring."""
        described = []
        for name, row in self.rows.items():
            fields = dataclasses.fields(row)  # type: ignore[arg-type]
            defaults = [f"{field.name}={_spell(field.default)}" for field in fields]
            text = f"{name}:{','.join(defaults)}" if defaults else name
            described.append((text, (row.__doc__ or "").strip().splitlines()[0]))
        return described


def _spell(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _convert(text: str, kind: Any, where: str) -> Any:  # noqa: ANN401 - the type is itself data here
    """Convert the text of one value to the type that the field declares."""
    origin = typing.get_origin(kind)
    if origin in (typing.Union, types.UnionType):
        if text.lower() == "none":
            return None
        kind = next(part for part in typing.get_args(kind) if part is not type(None))
        return _convert(text, kind, where)
    if origin is Literal:
        known = typing.get_args(kind)
        for value in known:
            if text == str(value):
                return value
        raise UsageError(f"{where}: '{text}' is not one of {', '.join(map(str, known))}")
    if kind is bool:
        if text.lower() in ("true", "false"):
            return text.lower() == "true"
        raise UsageError(f"{where}: '{text}' is neither true nor false")
    try:
        return kind(text)
    except ValueError:
        wanted = {"int": "a whole number", "float": "a number"}.get(kind.__name__, kind.__name__)
        raise UsageError(f"{where}: '{text}' is not {wanted}") from None
