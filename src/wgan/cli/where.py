"""Parses `--where`: conditions and their values, such as hair=red,eyes=green."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from wgan.errors import UsageError
from wgan.system.text import escaped

if TYPE_CHECKING:
    from wgan.data.codes import Part
    from wgan.data.conditions import Conditions


def refuse_nameless(words: Sequence[str]) -> None:
    """Refuse words that are not `name=value`, before the names are known.

    Raises:
        UsageError: A word without a name or without an equals sign.
    """
    for word in words:
        if not word.partition("=")[0].strip() or "=" not in word:
            raise UsageError(
                f"--where takes name=value, not {escaped(word)!r}",
                remedy="For example: --where hair=red,eyes=green.",
            )


def example(conditions: Conditions) -> list[str]:
    """An example of `--where`: the most frequent value of the first category; empty without a category."""
    import torch

    from wgan.data.codes import words_of
    from wgan.data.columns import Category

    for index, part in enumerate(conditions.parts):
        if isinstance(part, Category):
            counts = torch.zeros(part.width, dtype=torch.int64, device="cpu")
            counts.index_add_(0, conditions.codes[:, index].long(), conditions.counts)
            return ["--where", f"{part.name}={words_of(part)[int(counts.argmax())]}"]
    return []


def asked_for(words: Sequence[str], parts: Sequence[Part]) -> dict[str, list[str]]:
    """The requested values, by name.

    Names and values may contain commas and equals signs. A comma separates two conditions if a known name and an
    equals sign follow. If another name follows, it separates them unless it continues a known value, or a text.

    Args:
        words: `name=value` each, or several with commas between them.
        parts: The conditions of the run; empty if they are not known.

    Raises:
        UsageError: As `refuse_nameless`.
    """
    refuse_nameless(words)
    known = {part.name: part for part in parts}
    wanted: dict[str, list[str]] = {}
    for word in words:
        for name, value in _pairs(word, known):
            wanted.setdefault(name, []).append(value)
    return wanted


def _pairs(word: str, known: dict[str, Part]) -> Iterator[tuple[str, str]]:
    """The names and values in one word."""
    name, value = _split(word, known)
    # Split at each comma that a name could follow.
    *pieces, left = re.split(r",(?=[^=]+=)", value)
    begun = ""
    for number, piece in enumerate(pieces):
        begun += piece
        rest = ",".join([*pieces[number + 1 :], left])
        other, _ = _split(rest, known)
        if other in known or ("," not in other and not _continues(known.get(name), f"{begun},{other}=")):
            yield name, _trimmed(begun, known.get(name))
            yield from _pairs(rest, known)
            return
        begun += ","
    yield name, _trimmed(begun + left, known.get(name))


def _split(word: str, known: dict[str, Part]) -> tuple[str, str]:
    """The longest known name that starts a word, or else the text before its first equals sign, and the rest."""
    word = word.lstrip()
    for name in sorted(known, key=len, reverse=True):
        if re.match(rf"{re.escape(name.strip())}\s*=", word):
            return name, word[len(name.strip()) :].lstrip()[1:]
    name, _, value = word.partition("=")
    return name.strip(), value


def _continues(part: Part | None, begun: str) -> bool:
    """Whether a known value starts with this text."""
    from wgan.data.codes import words_of
    from wgan.data.texts import Text

    if part is None:
        return False
    begun = begun.strip().casefold()
    return isinstance(part, Text) or any(word.strip().casefold().startswith(begun) for word in words_of(part))


def _trimmed(value: str, part: Part | None) -> str:
    """A value without surrounding blanks, unless a known value has them."""
    from wgan.data.codes import words_of

    return value if part is not None and value in words_of(part) else value.strip()
