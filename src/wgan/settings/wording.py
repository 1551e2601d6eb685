"""How settings are called in messages: as options on the command line, as parameters in Python.

Messages are written with options as the command line takes them ("Use --missing drop"), and faults of settings with the
names of their fields ("batch_size must be at least 1"), as settings files have them. The code that shows a
message brings it to what its reader has typed.
"""

from __future__ import annotations

import functools
import re
import typing
from typing import Any, Literal

from wgan.errors import Spelling
from wgan.settings.fields import DataOptions, Settings

_COMMAND = re.compile(r"\bwgan [a-z]+ [^\n]*")
_OPTION = re.compile(r"(?<![\w-])--(no-)?([a-z][a-z-]*[a-z])")
_QUOTED = re.compile(r" (?:'([^'\n]*)'|\"([^\"\n]*)\")")
_LISTED = re.compile(r" \(((?:'[^'\n]*'(?:, )?)+),?\)")
_NUMBER = re.compile(r" (-?\d[\d,]*(?:\.\d+)?(?:e[+-]?\d+)?)(?![\w])")
_PAIR = re.compile(r" \(?(-?\d+(?:\.\d+)?(?:e[+-]?\d+)?),? (-?\d+(?:\.\d+)?(?:e[+-]?\d+)?)\)?(?![\w])")
_WORD = re.compile(r" ([a-z][a-z0-9-]*(?::[a-z_0-9]+=[\w.-]*\w(?:,[a-z_0-9]+=[\w.-]*\w)*)?)(?![\w=])")
_PLACEHOLDER = re.compile(r" ([A-Z]{2,})\b")
_YES_OR_NO = re.compile(r" (yes|no)\b")
_NO_VALUE = re.compile(
    "a|above|alone|and|as|at|below|but|by|for|has|have|here|if|in|instead|is|names|needs|of|on|or|so|than|that|the|them"
    "|then|this|to|too|under|when|where|which|with|without"
)
_FAULT = re.compile(
    r"^( *- )?(?:input\.)?([a-z_]+)"
    r"(?= must be | must have | is refused|: | cannot | [\d,.]+ is more than | is [\d.]+, but )",
    re.MULTILINE,
)
_SEVERAL = re.compile(r"\d+ (settings|options|parameters) cannot be used:")


@functools.cache
def _hints() -> dict[str, Any]:
    """The fields that can be set, with their types."""
    hints = typing.get_type_hints(DataOptions) | typing.get_type_hints(Settings)
    return {name: hint for name, hint in hints.items() if name not in ("input", "data")}


def in_python(text: str, spelling: Spelling | None = None) -> str:
    """A message with parameters in the place of options: "--missing drop" becomes `missing="drop"`.

    Commands ("wgan train --resume RUN") and options that are no settings stay as they are.

    Args:
        text: The message.
        spelling: How a setting is written; as `name=value` if None.
    """
    commands = [found.span() for found in _COMMAND.finditer(text)]
    said, done = [], 0
    for found in _OPTION.finditer(text):
        name = found[2].replace("-", "_")
        is_command = any(start <= found.start() < stop for start, stop in commands)
        if name not in _hints() or is_command or found.start() < done:
            continue
        value, end = _value(text, found.end(), _hints()[name], is_negated=found[1] is not None)
        said += [text[done : found.start()], (spelling or _plain_spelling)(name, value)]
        done = end
    said.append(text[done:])
    text = "".join(said)
    if _is_of_file(text):
        return text
    return _FAULT.sub(lambda found: (found[1] or "") + (spelling or _plain_spelling)(found[2], None), text)


def _plain_spelling(name: str, value: str | None) -> str:
    return name if value is None else f"{name}={value}"


def on_command_line(text: str) -> str:
    """A message with options in the place of fields: "batch_size must be at least 1" becomes "--batch-size must ...".

    What is said of a file keeps the names that stand in it.
    """
    if _is_of_file(text):
        return text

    def option(found: re.Match[str]) -> str:
        is_known = found[2] in _hints()
        return (found[1] or "") + (_flag(found[2]) if is_known else found[2])

    lines = _FAULT.sub(option, text)
    if lines == text:
        return text
    several = "|".join(sorted((name for name in _hints() if "_" in name), key=len, reverse=True))
    lines = re.sub(rf"(?<![\w'\".-])({several})(?![\w'\"=])", lambda found: _flag(found[1]), lines)
    return re.sub(
        r"\bwhere ([a-z]+)\b", lambda found: f"where {_flag(found[1])}" if found[1] in _hints() else found[0], lines
    )


def _is_of_file(text: str) -> bool:
    """Whether faults are listed behind the name of a file, which names settings in its own way."""
    return "\n  - " in text and _SEVERAL.match(text) is None


def _flag(name: str) -> str:
    return "--" + name.replace("_", "-")


def _value(text: str, place: int, hint: Any, *, is_negated: bool) -> tuple[str | None, int]:  # noqa: ANN401
    """What stands behind an option as its value, in Python's spelling, and where it ends; None where nothing does."""
    origin, inner = typing.get_origin(hint), typing.get_args(hint)
    if hint is bool:
        return str(not is_negated), place
    if origin is tuple and inner[-1] is not ...:
        pair = _PAIR.match(text, place)
        return (f"({pair[1]}, {pair[2]})", pair.end()) if pair else (None, place)
    if hint in (int, float):
        number = _NUMBER.match(text, place)
        digits = number[1].rstrip(",") if number else ""
        return (digits.replace(",", "_"), place + 1 + len(digits)) if digits else (None, place)
    if quoted := _QUOTED.match(text, place):
        value = quoted[1] if quoted[1] is not None else quoted[2]
        return (f'["{value}"]' if origin is tuple else f'"{value}"'), quoted.end()
    if origin is tuple:
        if listed := _LISTED.match(text, place):
            names = re.findall(r"'([^']*)'", listed[1])
            return f"[{', '.join(f'{chr(34)}{name}{chr(34)}' for name in names)}]", listed.end()
        placeholder = _PLACEHOLDER.match(text, place) or _YES_OR_NO.match(text, place)
        return (f'["{placeholder[1]}"]', placeholder.end()) if placeholder else (None, place)
    word = re.compile(rf" ({'|'.join(inner)})\b").match(text, place) if origin is Literal else _WORD.match(text, place)
    if word is None or _NO_VALUE.fullmatch(word[1]):
        return None, place
    return f'"{word[1]}"', word.end()
