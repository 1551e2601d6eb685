"""Names of files and members as they are shown to a person."""

from __future__ import annotations

from pathlib import Path

from wgan.system.text import escaped


def shown(name: str | Path) -> str:
    """A name on one line: what does not print is escaped, so that it can neither break a line nor colour a terminal."""
    return escaped(str(name))
