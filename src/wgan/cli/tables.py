"""Tables on the command line: no frames, no colours, at most as wide as the terminal."""

from __future__ import annotations

import math
import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.table import Table

WIDTH = 100
"""Columns of what is printed where that is no terminal."""


def plain_table() -> Table:
    """A table without lines, whose columns are two spaces apart."""
    from rich.table import Table

    return Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), show_edge=False)


def rendered(table: Table) -> Iterator[str]:
    """The table as lines of at most 100 columns, or of the terminal's width if that is less."""
    import io

    from rich.console import Console

    width = min(WIDTH, Console().width) if sys.stdout.isatty() else WIDTH
    buffer = io.StringIO()
    Console(file=buffer, width=width, color_system=None, markup=False, highlight=False, emoji=False).print(table)
    yield from (line.rstrip() for line in buffer.getvalue().splitlines())


def shown(value: float | None) -> str:
    """A number to four significant digits, a dash where there is none."""
    if value is None or math.isnan(value):
        return "–"
    # Zero is added so that the two zeros are shown alike.
    return f"{value + 0.0:.4g}"
