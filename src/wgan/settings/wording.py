"""Rewrite the names of settings in messages: as options for the command line, as parameters for Python.

Messages name settings in two ways: as options in advice ("Use --missing drop"), and as fields in faults ("batch_size
must be at least 1"), as in settings files. The code that shows a message rewrites it for its reader.
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
    """The types of the settings that a message may name."""
    hints = typing.get_type_hints(DataOptions) | typing.get_type_hints(Settings)
    return {name: hint for name, hint in hints.items() if name not in ("input", "data")}


def in_python(text: str, spelling: Spelling | None = None) -> str:
    """Replace options by parameters: "--missing drop" becomes `missing="drop"`.

    Commands ("wgan train --resume RUN") and options that are not settings are not changed.

    Args:
        text: The message.
        spelling: How a setting is written; as `name=value` if None.
    """
    commands = [found.span() for found in _COMMAND.finditer(text)]
    pieces, done = [], 0
    for found in _OPTION.finditer(text):
        name = found[2].replace("-", "_")
        is_command = any(start <= found.start() < stop for start, stop in commands)
        if name not in _hints() or is_command or found.start() < done:
            continue
        value, end = _value(text, found.end(), _hints()[name], is_negated=found[1] is not None)
        pieces += [text[done : found.start()], (spelling or _plain_spelling)(name, value)]
        done = end
    pieces.append(text[done:])
    text = "".join(pieces)
    if _is_of_file(text):
        return text
    return _FAULT.sub(lambda found: (found[1] or "") + (spelling or _plain_spelling)(found[2], None), text)


def _plain_spelling(name: str, value: str | None) -> str:
    return name if value is None else f"{name}={value}"


def on_command_line(text: str) -> str:
    """Replace fields by options: "batch_size must be at least 1" becomes "--batch-size must be at least 1".

    Messages about a file keep the names that the file contains.
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
    """Whether a message lists the faults of a file."""
    return "\n  - " in text and _SEVERAL.match(text) is None


def _flag(name: str) -> str:
    return "--" + name.replace("_", "-")


def _value(text: str, start: int, hint: Any, *, is_negated: bool) -> tuple[str | None, int]:  # noqa: ANN401
    """The value after an option, as Python code, and the index of its end; None if no value follows.

    Args:
        text: The message.
        start: The index of the end of the option.
        hint: The type of the setting.
        is_negated: Whether the option was `--no-NAME`.
    """
    origin, inner = typing.get_origin(hint), typing.get_args(hint)
    if hint is bool:
        return str(not is_negated), start
    if origin is tuple and inner[-1] is not ...:
        pair = _PAIR.match(text, start)
        return (f"({pair[1]}, {pair[2]})", pair.end()) if pair else (None, start)
    if hint in (int, float):
        number = _NUMBER.match(text, start)
        digits = number[1].rstrip(",") if number else ""
        return (digits.replace(",", "_"), start + 1 + len(digits)) if digits else (None, start)
    if quoted := _QUOTED.match(text, start):
        value = quoted[1] if quoted[1] is not None else quoted[2]
        return (f'["{value}"]' if origin is tuple else f'"{value}"'), quoted.end()
    if origin is tuple:
        if listed := _LISTED.match(text, start):
            names = re.findall(r"'([^']*)'", listed[1])
            return f"[{', '.join(f'{chr(34)}{name}{chr(34)}' for name in names)}]", listed.end()
        placeholder = _PLACEHOLDER.match(text, start) or _YES_OR_NO.match(text, start)
        return (f'["{placeholder[1]}"]', placeholder.end()) if placeholder else (None, start)
    word = re.compile(rf" ({'|'.join(inner)})\b").match(text, start) if origin is Literal else _WORD.match(text, start)
    if word is None or _NO_VALUE.fullmatch(word[1]):
        return None, start
    return f'"{word[1]}"', word.end()
