"""Foreign text on a page or a terminal: names of files, words that were typed, cells of a table."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from pathlib import Path


def escaped(text: str | Path, *, keep: str = "") -> str:
    r"""Write every character that does not print as an escape, so that it can neither break a line nor move a cursor.

    Args:
        text: Any text or path, unpaired surrogates included.
        keep: Characters to leave as they are although they do not print, such as a line feed.

    Returns:
        The text, which can be encoded and shown anywhere.

    Example:
        >>> print(escaped("a\x1b[31mb\n"))
        a\x1b[31mb\n
    """
    return "".join(
        mark if mark.isprintable() or mark in keep else mark.encode("unicode_escape").decode("ascii")
        for mark in str(text)
    )


def shown_p(value: float) -> str:
    """A p-value to two significant digits; of a tiny one, that it is below .0001."""
    return "<.0001" if value < 1e-4 else f"{value:.2g}"


def counted(num: int, noun: str, plural: str = "") -> str:
    """A number and what it counts: "1 row", "2,000 rows".

    Args:
        num: How many.
        noun: One of them.
        plural: Several of them, where that is not the noun with an s.
    """
    return f"{num:,} {noun if num == 1 else plural or noun + 's'}"


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
