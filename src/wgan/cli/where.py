"""Parse `--where` against the names and values of a run's conditions."""

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
    """Refuse words that cannot be `name=value` for any name.

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
    """An example of `--where`: the commonest value of the first category; empty if there is no category."""
    import torch

    from wgan.data.codes import words_of
    from wgan.data.columns import Category

    for place, part in enumerate(conditions.parts):
        if isinstance(part, Category):
            counts = torch.zeros(part.width, dtype=torch.int64, device="cpu")
            counts.index_add_(0, conditions.codes[:, place].long(), conditions.counts)
            return ["--where", f"{part.name}={words_of(part)[int(counts.argmax())]}"]
    return []


def asked_for(words: Sequence[str], parts: Sequence[Part]) -> dict[str, list[str]]:
    """The requested values by name.

    Names and values may contain commas and equals signs. A comma separates two conditions if a known name and an equals
    sign follow. If an unknown name follows, it separates them unless the comma is part of a known value or of a text.

    Args:
        words: `name=value` each, or several with commas between them.
        parts: The conditions; empty if they are not known.

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
    """The names and values of one word."""
    name, value = _parted(word, known)
    # Each comma after which something could be named.
    *pieces, left = re.split(r",(?=[^=]+=)", value)
    begun = ""
    for number, piece in enumerate(pieces):
        begun += piece
        rest = ",".join([*pieces[number + 1 :], left])
        other, _ = _parted(rest, known)
        if other in known or ("," not in other and not _goes_on(known.get(name), f"{begun},{other}=")):
            yield name, _trimmed(begun, known.get(name))
            yield from _pairs(rest, known)
            return
        begun += ","
    yield name, _trimmed(begun + left, known.get(name))


def _parted(word: str, known: dict[str, Part]) -> tuple[str, str]:
    """The longest known name that a word begins with, or what comes before its first equals sign, and the rest."""
    word = word.lstrip()
    for name in sorted(known, key=len, reverse=True):
        if re.match(rf"{re.escape(name.strip())}\s*=", word):
            return name, word[len(name.strip()) :].lstrip()[1:]
    name, _, value = word.partition("=")
    return name.strip(), value


def _goes_on(part: Part | None, begun: str) -> bool:
    """Whether a known value begins like this."""
    from wgan.data.codes import words_of
    from wgan.data.texts import Text

    if part is None:
        return False
    begun = begun.strip().casefold()
    return isinstance(part, Text) or any(word.strip().casefold().startswith(begun) for word in words_of(part))


def _trimmed(value: str, part: Part | None) -> str:
    """A value without the blanks around it, where these are not its own."""
    from wgan.data.codes import words_of

    return value if part is not None and value in words_of(part) else value.strip()
