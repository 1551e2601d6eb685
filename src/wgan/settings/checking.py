"""Check settings: types, ranges, the form of words, and combinations that contradict each other."""

from __future__ import annotations

import dataclasses
import math
import re
import typing
from collections.abc import Mapping
from typing import Any, Literal

from wgan.errors import UsageError
from wgan.settings.fields import DataOptions, Settings, settings_fields
from wgan.system.text import nearest

_MAX_COUNT = 10**12
"""The largest whole number that a setting may have: more than any run needs, and within 64 bits."""

_WORD = re.compile(r"[A-Za-z][A-Za-z0-9_-]*(:.*)?")
_CLASS_PATH = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)+([:(].*)?|!.*|__\w+__.*")
_MAX_BITS = 200
_PICKLE = re.compile(r".*\.(pkl|pickle|joblib|dill|pt|pth|ckpt)", re.IGNORECASE)


def problems(settings: Settings) -> list[str]:
    """List everything that is wrong with the settings by themselves.

    Whether a word names a row of its registry is for the registry to say; here only its form is checked.

    Returns:
        A line for each problem, with the name of the setting, what it must be and what it is; empty if there is none.
    """
    faults: list[str] = []
    typed: dict[str, Any] = {}
    for part, prefix in ((settings, ""), (settings.input, "input.")):
        values = {item.name: getattr(part, item.name) for item in dataclasses.fields(part)}
        values.pop("input", None)
        if not isinstance(values.get("data", ""), str):
            del values["data"]
        kept, wrong = sift(values, part, prefix)
        typed |= kept
        faults += wrong
    faults += [fault for name, value in typed.items() if (fault := _fault(name, value))]
    data = typed.get("data", "")
    if _PICKLE.fullmatch(data):
        faults.append(f"data {spell(data)} is refused: reading a pickle can run code that it contains")
    if not _is_utf8(data):
        faults.append(f"data {spell(data)} is not UTF-8, as settings.toml is: rename it, or make a link to it")
    return faults + _conflicts(typed) + _claimed_twice(typed)


def range_fault(name: str, value: Any) -> str:  # noqa: ANN401 - of the setting's type
    """Say that a value is out of its setting's range; empty if it is not.

    Args:
        name: A setting.
        value: A value of its type.
    """
    allowed = settings_fields()[name].metadata["allowed"]
    return "" if allowed is None or allowed.holds(value) else f"{name} must be {allowed.text}, not {spell(value)}"


def _fault(name: str, value: Any) -> str:  # noqa: ANN401
    """What is wrong with a value that has the right type; empty if nothing."""
    about = settings_fields()[name].metadata
    if about["names_part"]:
        return _misspelt(name, value)
    if about["per_column"]:
        allowed = about["per_column"]
        wrong = [word for word in value if not allowed.holds(word.rpartition("=")[2])]
        return "; ".join(
            f"{name} must be {allowed.text}, alone or after NAME= for one column, not {spell(word)}" for word in wrong
        )
    if fault := range_fault(name, value):
        return fault
    if type(value) is int and abs(value) > _MAX_COUNT and name != "seed":
        return f"{name} must be at most {_MAX_COUNT:,}, not {spell(value)}"
    return ""


def _is_utf8(text: str) -> bool:
    """Whether a text can be encoded. The name of a file that is not UTF-8 contains unpaired surrogates."""
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True


def check(settings: Settings) -> None:
    """Raise one error that lists every problem of the settings.

    Raises:
        UsageError: If there is any problem.
    """
    refuse(problems(settings))


def refuse(faults: list[str], *, where: str = "", noun: str = "settings") -> None:
    """Raise one error that lists the faults, if there are any.

    Args:
        faults: One line each.
        where: The file that contains them, if any.
        noun: What the faults concern.

    Raises:
        UsageError: If the list is not empty.
    """
    prefix = f"{where}: " if where else ""
    if len(faults) == 1:
        raise UsageError(f"{prefix}{faults[0]}")
    if faults:
        lines = "".join(f"\n  - {fault}" for fault in faults)
        raise UsageError(f"{prefix}{len(faults)} {noun} cannot be used:{lines}")


def sift(values: Mapping[str, Any], part: Settings | DataOptions, prefix: str) -> tuple[dict[str, Any], list[str]]:
    """Separate the values that have the type of their field from the others.

    Args:
        values: Values by the names of settings.
        part: The settings that they are meant for.
        prefix: What precedes the names in messages.

    Returns:
        The values that have the right type, converted, and one line for each of the others.
    """
    hints = typing.get_type_hints(type(part))
    typed, faults = {}, []
    for name, value in values.items():
        if name not in hints:
            faults.append(f"there is no setting {spell(prefix + name)}; {_nearest(name, list(hints))}")
            continue
        value = tuple(value) if isinstance(value, list) else value
        value = float(value) if hints[name] is float and type(value) is int else value
        if hints[name] == tuple[float, float] and isinstance(value, tuple):
            value = tuple(float(item) if type(item) is int else item for item in value)
        if _fits(value, hints[name]):
            typed[name] = value
        else:
            faults.append(f"{prefix}{name} must be {_in_words(hints[name])}, not {spell(value)}")
    return typed, faults


def _nearest(name: str, known: list[str]) -> str:
    near = nearest(name, known)
    return f"did you mean '{near[0]}'?" if near else f"known: {', '.join(known)}"


def _fits(value: object, hint: Any) -> bool:  # noqa: ANN401 - the type is itself data here
    if typing.get_origin(hint) is Literal:
        return value in typing.get_args(hint)
    if typing.get_origin(hint) is tuple:
        inner = typing.get_args(hint)
        if not isinstance(value, tuple) or (inner[-1] is not ... and len(value) != len(inner)):
            return False
        return all(_fits(item, inner[0]) for item in value)
    # bool is a subclass of int, but `steps = true` is a slip.
    return type(value) is hint if isinstance(hint, type) else True


def _in_words(hint: Any) -> str:  # noqa: ANN401
    if typing.get_origin(hint) is Literal:
        return "one of " + ", ".join(map(str, typing.get_args(hint)))
    if typing.get_origin(hint) is tuple:
        inner = typing.get_args(hint)
        noun = "numbers" if inner[-1] is float else "whole numbers"
        return "a list of texts" if inner[-1] is ... else f"a list of {len(inner)} {noun}"
    return {int: "a whole number", float: "a number", bool: "true or false", str: "a text"}.get(hint, str(hint))


def _misspelt(name: str, word: str) -> str:
    if _PICKLE.fullmatch(word) or _CLASS_PATH.fullmatch(word):
        return f"{name} {spell(word)} is refused: settings name registered parts and never import or unpickle anything"
    if not _WORD.fullmatch(word):
        return f"{name} must have the form name or name:key=value,key=value, not {spell(word)}"
    return ""


def _conflicts(typed: Mapping[str, Any]) -> list[str]:
    """Settings that are valid by themselves but not together."""
    found = []
    if typed.get("optimality") and typed.get("max_critic_steps", math.inf) < typed.get("critic_steps", 0):
        found.append(
            f"max_critic_steps must be at least the {typed['critic_steps']} critic_steps of one round, "
            f"not {typed['max_critic_steps']}"
        )
    if typed.get("best_by", "score") != "score" and typed.get("diagnose") == "off":
        found.append(f"best_by must be score where diagnose is off, not {spell(typed['best_by'])}")
    if typed.get("patience", 0) > 0 and typed.get("eval_every") == 0:
        found.append("eval_every must be at least 1 where patience counts evaluations, not 0")
    return found


def _claimed_twice(typed: Mapping[str, Any]) -> list[str]:
    named = ("categorical", "numeric", "ignore", "condition", "text")
    lists = [(name, set(typed.get(name, ()))) for name in named]
    return [
        f"column {spell(column)} is named under both {first} and {second}"
        for number, (first, columns) in enumerate(lists)
        for second, others in lists[number + 1 :]
        for column in sorted(columns & others)
        # A column that is a condition may also be named as categorical, numeric or text, but not ignored.
        if second != "condition" or first == "ignore"
        if first != "condition"
    ]


def spell(value: object) -> str:
    """Format a value as in a settings file, shortened, with control characters escaped."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int) and value.bit_length() > _MAX_BITS:
        # Python refuses to write out numbers of thousands of digits.
        return f"a whole number of about {int(value.bit_length() * math.log10(2)):,} digits"
    try:
        text = repr(list(value)) if isinstance(value, tuple) else repr(value)
    except (RecursionError, ValueError):
        return f"a {type(value).__name__} that cannot be shown"
    return text if len(text) <= 80 else f"{text[:76]}..."
