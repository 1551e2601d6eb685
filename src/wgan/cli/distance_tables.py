"""The tables of `wgan distance`."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from wgan.cli.tables import WIDTH, plain_table, quantile_table, rendered, shortened, shown
from wgan.system.text import escaped, shown_p

if TYPE_CHECKING:
    from rich.table import Table

    from wgan.cli.inputs import Side
    from wgan.evaluation import ColumnDistance, Comparison, Joint

_NUM_COLUMNS = 10


@dataclass(frozen=True, kw_only=True)
class Found:
    """The result of a comparison.

    Attributes:
        a: The first data set.
        b: The second data set.
        joint: Both sets in one space: the samples of A that are compared, then the other half of A.
        num: Number of samples of A that are compared.
        shared: How many of them are also in B.
        shared_by_halves: How many of them are also in the other half of A; None without one.
        rows: The distances.
        columns: The distance of each column: of tables, and of points with few coordinates.
    """

    a: Side
    b: Side
    joint: Joint
    num: int
    shared: int
    shared_by_halves: int | None
    rows: tuple[Comparison, ...]
    columns: tuple[ColumnDistance, ...]


def lines(
    found: Found, *, permutations: int, only: Sequence[str], all_columns: bool, plan: Path | None
) -> Iterator[str]:
    """The result as text; the other arguments are options of `wgan distance`."""
    has_floor = found.shared_by_halves is not None
    columns = found.columns if all_columns else found.columns[:_NUM_COLUMNS]
    for letter, side in (("A", found.a), ("B", found.b)):
        for line in (f"{letter}: {side.described}", *(f"   note: {note}" for note in side.notes)):
            yield from textwrap.wrap(line, WIDTH, subsequent_indent="   ", break_on_hyphens=False)
    yield ""
    num_b = len(found.joint.y)
    sizes = f"{found.num:,} samples of each" if found.num == num_b else f"{found.num:,} samples of A, {num_b:,} of B"
    halves = f"; floor: the same distance between two sets of {found.num:,} from A" if has_floor else ""
    yield f"{sizes}{halves}."
    yield f"One unit: {found.joint.unit}."
    if permutations and any(row.p_value is not None for row in found.rows):
        yield f"p: the fraction of {permutations:,} random splits whose distance is at least as large."
    yield ""
    yield from rendered(_distances_table(found))
    if found.columns:
        if any(column.ks is not None for column in found.columns):
            yield ""
            yield "KS: the largest difference of the two distribution functions; p: valid if rows are independent."
        yield ""
        yield from rendered(_columns_table(columns))
        yield from _quantile_lines(columns)
        left = len(found.columns) - len(columns)
        if left:
            yield f"{left:,} more columns are closer: use --all-columns"
    yield ""
    if found.shared:
        also = "" if found.shared_by_halves is None else f"; in the other half of A, {found.shared_by_halves:,}"
        yield f"note: {found.shared:,} of the {found.num:,} samples of A are also in B{also}"
    if not only and all(row.name != "gaussian_w2" for row in found.rows):
        size = found.joint.x.shape[1]
        yield f"note: Gaussian W2 in {size:,} dimensions takes minutes, so it is left out: use --only gaussian_w2"
    if has_floor and found.a.is_run and not found.b.is_run:
        yield "note: these floors are between samples of the run; exchange A and B for those of the data"
    if plan is not None:
        yield f"plan: {plan}"


def _distances_table(found: Found) -> Table:
    table = plain_table()
    for title in ("distance", "value", "floor", "p", "unit", "seconds", "solver; certificate"):
        is_text = title in ("distance", "unit", "solver; certificate")
        table.add_column(title, justify="left" if is_text else "right", no_wrap=title != "solver; certificate")
    for row in found.rows:
        p_value = "–" if row.p_value is None else f"{row.p_value:.3g}"
        cells = (row.title, shown(row.value), shown(row.floor), p_value, row.unit, f"{row.seconds:.1f}")
        table.add_row(*map(escaped, cells), f"{row.solver}; {row.certificate}")
    return table


def _columns_table(columns: Sequence[ColumnDistance]) -> Table:
    is_missing = any(any(column.missing) for column in columns)
    table = plain_table()
    titles = ["column by itself", "", "value", "floor", "in std. dev.", "KS", "its floor", "p"]
    titles += ["missing in A, B"] if is_missing else []
    for number, title in enumerate(titles):
        table.add_column(title, justify="left" if number < 2 else "right", no_wrap=True)
    for column in columns:
        values = [shown(value) for value in (column.value, column.floor)]
        values[0] += f" {column.unit}" if column.unit else ""
        deviations = shown(column.deviations) if column.distance == "W1" and column.value is not None else "–"
        test = ["–" if value is None else f"{value:.2g}" for value in (column.ks, column.ks_floor)]
        test.append("–" if column.p_value is None else shown_p(column.p_value))
        gaps = [" ".join(f"{100 * share:.1f} %" for share in column.missing)] if is_missing else []
        table.add_row(shortened(column.name), column.distance, *values, deviations, *test, *gaps)
    return table


def _quantile_lines(columns: Sequence[ColumnDistance]) -> Iterator[str]:
    """The quantiles of the columns of numbers: A above B."""
    from wgan.evaluation import Marginal

    known = [
        Marginal(
            name=column.name,
            ks=column.ks,
            p_value=1.0 if column.p_value is None else column.p_value,
            levels=column.levels,
            first=column.quantiles[0],
            second=column.quantiles[1],
        )
        for column in columns
        if column.ks is not None
    ]
    if known:
        yield ""
        yield from rendered(quantile_table(known, ("A", "B")))
