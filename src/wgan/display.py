"""Foreign text on a page or a terminal: names of files, words that were typed, cells of a table."""

from __future__ import annotations


def escaped(text: str, *, keep: str = "") -> str:
    r"""Write every character that does not print as an escape, so that it can neither break a line nor move a cursor.

    Args:
        text: Any text, unpaired surrogates included.
        keep: Characters to leave as they are although they do not print, such as a line feed.

    Returns:
        The text, which can be encoded and shown anywhere.

    Example:
        >>> print(escaped("a\x1b[31mb\n"))
        a\x1b[31mb\n
    """
    return "".join(
        mark if mark.isprintable() or mark in keep else mark.encode("unicode_escape").decode("ascii") for mark in text
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
