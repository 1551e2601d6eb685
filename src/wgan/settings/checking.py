"""What settings may be: types, ranges, the forms of words, and what is refused whatever its form."""

from __future__ import annotations

import dataclasses
import math
import re
import typing
from collections.abc import Callable, Mapping
from typing import Any, Literal

from wgan.errors import UsageError
from wgan.settings.fields import WORDS, DataOptions, Settings
from wgan.system.text import nearest

MOST_JUDGED = 20_000
"""Samples on each side of an evaluation, at most: their matrix of costs then takes 3.2 GB."""

MOST_COUNTED = 10**12
"""The largest number of anything: more updates, samples or dimensions than any run has, and within 64 bits."""

MOST_THREADS = 1024
"""The most CPU threads: the library that starts them ends the process where the system gives it no more."""

_WORD = re.compile(r"[A-Za-z][A-Za-z0-9_-]*(:.*)?")
_CLASS_PATH = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)+([:(].*)?|!.*|__\w+__.*")
_MOST_BITS = 200
_PICKLE = re.compile(r".*\.(pkl|pickle|joblib|dill|pt|pth|ckpt)", re.IGNORECASE)

# NaN fails every comparison, so each of these says what must hold rather than what must not.
_COUNT: tuple[Callable[[Any], bool], str] = (lambda value: value >= 1, "at least 1")
_COUNT_OR_NONE: tuple[Callable[[Any], bool], str] = (lambda value: value >= 0, "at least 0")
_RANGES: dict[str, tuple[Callable[[Any], bool], str]] = {
    "seed": (lambda value: -(2**63) <= value < 2**63, "a 64-bit whole number"),
    "steps": _COUNT,
    "batch_size": _COUNT,
    "critic_steps": _COUNT,
    "optimality": (lambda value: 0 <= value < 1, "at least 0 and below 1"),
    "max_critic_steps": _COUNT,
    "packing": _COUNT,
    "unrolled_steps": _COUNT_OR_NONE,
    "mismatch": (lambda value: 0 <= value < 1, "at least 0 and below 1"),
    "latent_dim": _COUNT,
    "ema_decay": (lambda value: 0 <= value < 1, "at least 0 and below 1"),
    "log_every": _COUNT,
    "eval_every": _COUNT_OR_NONE,
    "sample_every": _COUNT,
    "save_every": _COUNT,
    "eval_size": (
        lambda value: 2 <= value <= MOST_JUDGED,
        f"between 2 and {MOST_JUDGED:,} (exact transport holds the costs of all pairs in memory)",
    ),
    "eval_repeats": _COUNT,
    "patience": _COUNT_OR_NONE,
    "rollbacks": _COUNT_OR_NONE,
    "threads": (lambda value: 0 <= value <= MOST_THREADS, f"between 0 and {MOST_THREADS:,}"),
    "held_out": (lambda value: 0 <= value <= 0.5, "between 0 and 0.5"),
    "unseen": (lambda value: 0 <= value <= 0.5, "between 0 and 0.5"),
    "range": (
        lambda value: value == (0.0, 0.0) or (all(map(math.isfinite, value)) and value[0] < value[1]),
        "two numbers, the lower one first, or 0 0 for the range of the images' type",
    ),
    "max_categories": (lambda value: 2 <= value <= 1_000_000, "between 2 and 1,000,000"),
    "size": (
        lambda value: value == (0, 0) or all(1 <= length <= 4096 for length in value),
        "two numbers between 1 and 4096, or 0 0 for the size that the images have",
    ),
}


def problems(settings: Settings) -> list[str]:
    """List everything that is wrong with the settings taken by themselves.

    Whether a word names a row of its table is for the table to say; here it must only have the form of one.

    Returns:
        One line a problem, naming the setting, what it must be and what it is; empty if there is none.
    """
    found: list[str] = []
    fitting: dict[str, Any] = {}
    for part, prefix in ((settings, ""), (settings.input, "input.")):
        values = {item.name: getattr(part, item.name) for item in dataclasses.fields(part)}
        values.pop("input", None)
        if not isinstance(values.get("data", ""), str):
            del values["data"]
        kept, faults = sift(values, part, prefix)
        fitting |= kept
        found += faults
    for name, (holds, must) in _RANGES.items():
        if name in fitting and not holds(fitting[name]):
            found.append(f"{name} must be {must}, not {spell(fitting[name])}")
        elif name != "seed" and type(fitting.get(name)) is int and fitting[name] > MOST_COUNTED:
            found.append(f"{name} must be at most {MOST_COUNTED:,}, not {spell(fitting[name])}")
    found += [fault for name in WORDS if name in fitting and (fault := _misspelt(name, fitting[name]))]
    if _PICKLE.fullmatch(fitting.get("data", "")):
        found.append(f"data {spell(fitting['data'])} is refused: reading a pickle can run what it carries")
    if not _is_utf8(fitting.get("data", "")):
        found.append(
            f"data {spell(fitting['data'])} is not UTF-8, as settings.toml is: rename it, or make a link to it"
        )
    return found + _miswritten(fitting) + _at_odds(fitting) + _claimed_twice(fitting)


def _is_utf8(text: str) -> bool:
    """Whether a text can be written; a name of a file that is not UTF-8 has unpaired surrogates."""
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
        faults: A line each.
        where: The file that they were found in.
        noun: What they are faults of.

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
    """Part the values into those that have the type of their field, and a line for each of the others."""
    hints = typing.get_type_hints(type(part))
    fitting, faults = {}, []
    for name, value in values.items():
        if name not in hints:
            faults.append(f"there is no setting {spell(prefix + name)}; {_nearest(name, list(hints))}")
            continue
        value = tuple(value) if isinstance(value, list) else value
        value = float(value) if hints[name] is float and type(value) is int else value
        if hints[name] == tuple[float, float] and isinstance(value, tuple):
            value = tuple(float(item) if type(item) is int else item for item in value)
        if _fits(value, hints[name]):
            fitting[name] = value
        else:
            faults.append(f"{prefix}{name} must be {_in_words(hints[name])}, not {spell(value)}")
    return fitting, faults


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
        return f"{name} {spell(word)} is refused: settings name rows of a table and never import or unpickle anything"
    if not _WORD.fullmatch(word):
        return f"{name} must have the form name or name:key=value,key=value, not {spell(word)}"
    return ""


_WRITTEN: dict[str, tuple[re.Pattern[str], str]] = {
    "decimal": (re.compile(r"[.,]"), '"." or ","'),
    "thousands": (re.compile(r"[.,'\u2019_ \u00a0\u202f\u2009]|none|space"), '",", ".", "\'", "_", space or none'),
    "dayfirst": (re.compile(r"yes|no"), "yes or no"),
    "date_format": (re.compile(r".*%[A-Za-z-].*"), "a format such as %d.%m.%Y"),
}


def _miswritten(fitting: Mapping[str, Any]) -> list[str]:
    """Words on how numbers and dates are written that cannot be, alone or after NAME=."""
    return [
        f"{name} must be {must}, alone or after NAME= for one column, not {spell(word)}"
        for name, (known, must) in _WRITTEN.items()
        for word in fitting.get(name, ())
        if not known.fullmatch(word.rpartition("=")[2])
    ]


def _at_odds(fitting: Mapping[str, Any]) -> list[str]:
    """Settings that are fine by themselves and not together."""
    found = []
    if fitting.get("optimality") and fitting.get("max_critic_steps", math.inf) < fitting.get("critic_steps", 0):
        found.append(
            f"max_critic_steps must be at least the {fitting['critic_steps']} critic_steps of one round, "
            f"not {fitting['max_critic_steps']}"
        )
    if fitting.get("best_by", "score") != "score" and fitting.get("diagnose") == "off":
        found.append(f"best_by must be score where diagnose is off, not {spell(fitting['best_by'])}")
    if fitting.get("patience", 0) > 0 and fitting.get("eval_every") == 0:
        found.append("eval_every must be at least 1 where patience counts evaluations, not 0")
    return found


def _claimed_twice(fitting: Mapping[str, Any]) -> list[str]:
    named = ("categorical", "numeric", "ignore", "condition", "text")
    lists = [(name, set(fitting.get(name, ()))) for name in named]
    return [
        f"column {spell(column)} is named under both {first} and {second}"
        for place, (first, columns) in enumerate(lists)
        for second, others in lists[place + 1 :]
        for column in sorted(columns & others)
        # What a condition is can be said like that of any other column.
        if second != "condition" or first == "ignore"
        if first != "condition"
    ]


def spell(value: object) -> str:
    """Show a value as it would be written in the file, shortened, with control characters escaped."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int) and value.bit_length() > _MOST_BITS:
        # Python refuses to write out numbers of thousands of digits.
        return f"a whole number of some {int(value.bit_length() * math.log10(2)):,} digits"
    try:
        text = repr(list(value)) if isinstance(value, tuple) else repr(value)
    except (RecursionError, ValueError):
        return f"a {type(value).__name__} that cannot be shown"
    return text if len(text) <= 80 else f"{text[:76]}..."
