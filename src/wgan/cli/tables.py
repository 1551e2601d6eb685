"""Tables on the command line: no frames, no colours, at most as wide as the terminal."""

from __future__ import annotations

import math
import sys
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from wgan.system.text import escaped, shown_p

if TYPE_CHECKING:
    from rich.table import Table

    from wgan.evaluation import Marginal

WIDTH = 100
"""Columns of what is printed where that is no terminal."""


_LEAST_NAME = 16
LONGEST_NAME = 24
"""Characters of a column's name that are printed, at most."""


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
    # Zero is added so that -0 is shown as 0.
    return f"{value + 0.0:.4g}"


def quantile_table(columns: Sequence[Marginal], sides: tuple[str, str], *, with_test: bool = False) -> Table:
    """The quantiles of columns on two sides, a line for each side.

    Args:
        columns: What was compared.
        sides: What the two samples are called.
        with_test: Whether the Kolmogorov-Smirnov statistic and its p-value come first.
    """
    from wgan.evaluation.marginals import shown as shown_quantiles
    from wgan.evaluation.marginals import titles

    table = plain_table()
    tests = ("KS", "p") if with_test else ()
    for title in ("column by itself" if with_test else "quantiles", *tests, "", *titles()):
        is_text = title in ("column by itself", "quantiles", "")
        # Where dates are too wide for the line, they are cut, and not what they belong to.
        width = max(len(title), 6) if title in (*tests, "") else _LEAST_NAME if is_text else None
        table.add_column(title, justify="left" if is_text else "right", no_wrap=True, min_width=width)
    for column in columns:
        first = (shortened(column.name), *((f"{column.ks:.2g}", shown_p(column.p_value)) if with_test else ()))
        for lead, side, cells in (
            (first, sides[0], column.first),
            (("",) * len(first), sides[1], column.second),
        ):
            table.add_row(*lead, side, *map(escaped, shown_quantiles(column.levels, cells)))
    return table


def shortened(name: str) -> str:
    """A column's name, cut where it is too long for a table."""
    text = escaped(name)
    return text if len(text) <= LONGEST_NAME else f"{text[: LONGEST_NAME - 1]}…"
