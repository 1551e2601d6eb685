"""Text for messages: escaping, counting, and suggestions for misspelt words."""

from __future__ import annotations

import difflib
from collections.abc import Collection, Iterable
from pathlib import Path


def escaped(text: str | Path, *, keep: str = "") -> str:
    r"""Escape every character that is not printable, so that text cannot break a line or move the cursor.

    Args:
        text: Any text or path, unpaired surrogates included.
        keep: Characters that are not escaped, such as a line feed.

    Returns:
        Text that can be encoded and shown anywhere.

    Example:
        >>> print(escaped("a\x1b[31mb\n"))
        a\x1b[31mb\n
    """
    return "".join(
        mark if mark.isprintable() or mark in keep else mark.encode("unicode_escape").decode("ascii")
        for mark in str(text)
    )


def shown_p(value: float) -> str:
    """A p-value to two significant digits; "<.0001" for a smaller one."""
    return "<.0001" if value < 1e-4 else f"{value:.2g}"


def counted(num: int, noun: str, plural: str = "") -> str:
    """A number and what it counts: "1 row", "2,000 rows".

    Args:
        num: How many.
        noun: One of them.
        plural: Several of them, if not the noun with an s.
    """
    return f"{num:,} {noun if num == 1 else plural or noun + 's'}"


def nearest(word: str, known: Iterable[str], *, most: int = 1) -> list[str]:
    """The known words most similar to `word`, the most similar first, at most `most` of them."""
    return difflib.get_close_matches(word, list(known), n=most, cutoff=0.6)


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """The remedy for an unknown word: "Did you mean 'x'? " if one is similar, then all known words."""
    known = list(known)
    guess = "".join(f"Did you mean '{near}'? " for near in nearest(word, known))
    return f"{guess}Known: {listed(known)}."


def listed(words: Iterable[str]) -> str:
    """Words with commas between them; in quotes those with commas, outer spaces or nothing in them."""
    return ", ".join(repr(word) if "," in word or word != word.strip() or not word else word for word in words)


def split_lists(words: Iterable[str], known: Collection[str]) -> tuple[str, ...]:
    """The names in words that may hold several with commas between them; a known name is never split."""
    return tuple(
        name
        for word in words
        for name in ([word] if word in known else filter(None, (part.strip() for part in word.split(","))))
    )
