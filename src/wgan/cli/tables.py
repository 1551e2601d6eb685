"""Tables on the command line: without frames and colours, at most as wide as the terminal."""

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
"""The width if standard output is not a terminal."""

_MIN_NAME = 16
MAX_NAME = 24
"""The maximum number of characters of a column's name."""


def plain_table() -> Table:
    """A table without lines, its columns two spaces apart."""
    from rich.table import Table

    return Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), show_edge=False)


def rendered(table: Table) -> Iterator[str]:
    """The lines of a table, at most 100 characters wide and no wider than the terminal."""
    import io

    from rich.console import Console

    width = min(WIDTH, Console().width) if sys.stdout.isatty() else WIDTH
    buffer = io.StringIO()
    Console(file=buffer, width=width, color_system=None, markup=False, highlight=False, emoji=False).print(table)
    yield from (line.rstrip() for line in buffer.getvalue().splitlines())


def shown(value: float | None) -> str:
    """A number with four significant digits; a dash for None and NaN."""
    if value is None or math.isnan(value):
        return "–"
    # Adding zero turns -0.0 into 0.0.
    return f"{value + 0.0:.4g}"


def quantile_table(columns: Sequence[Marginal], sides: tuple[str, str], *, with_test: bool = False) -> Table:
    """The quantiles of columns in two samples, a line for each sample.

    Args:
        columns: The columns.
        sides: The names of the two samples.
        with_test: Whether to show the Kolmogorov-Smirnov statistic and its p-value.
    """
    from wgan.evaluation.marginals import shown as shown_quantiles
    from wgan.evaluation.marginals import titles

    table = plain_table()
    tests = ("KS", "p") if with_test else ()
    for title in ("column by itself" if with_test else "quantiles", *tests, "", *titles()):
        is_text = title in ("column by itself", "quantiles", "")
        # If dates are too wide for the line, the dates are cut, and not the names.
        width = max(len(title), 6) if title in (*tests, "") else _MIN_NAME if is_text else None
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
    """A column's name, cut if it is too long for a table."""
    text = escaped(name)
    return text if len(text) <= MAX_NAME else f"{text[: MAX_NAME - 1]}…"
