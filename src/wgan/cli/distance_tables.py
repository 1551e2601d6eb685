"""The tables of `wgan distance`."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from wgan.cli.tables import WIDTH, plain_table, quantile_table, rendered, shortened, shown
from wgan.system.text import escaped, shown_p

if TYPE_CHECKING:
    from rich.table import Table

    from wgan.cli.distance import Found
    from wgan.evaluation import ColumnDistance

_NUM_COLUMNS = 10


def lines(found: Found) -> Iterator[str]:
    """The result as text."""
    options = found.options
    for letter, side in (("A", found.a), ("B", found.b)):
        for line in (f"{letter}: {side.described}", *(f"   note: {note}" for note in side.notes)):
            yield from textwrap.wrap(line, WIDTH, subsequent_indent="   ", break_on_hyphens=False)
    yield ""
    num_b = len(found.joint.y)
    sizes = f"{found.num:,} samples of each" if found.num == num_b else f"{found.num:,} samples of A, {num_b:,} of B"
    halves = f"; floor: the same distance between two sets of {found.num:,} from A" if options.floor else ""
    yield f"{sizes}{halves}."
    yield f"One unit: {found.joint.unit}."
    if options.permutations and any(row.p_value is not None for row in found.rows):
        yield f"p: the fraction of {options.permutations:,} random splits whose distance is at least as large."
    yield ""
    yield from rendered(_distances_table(found))
    if found.columns:
        if any(column.ks is not None for column in found.columns):
            yield ""
            yield "KS: the largest difference of the two distribution functions; p: valid if rows are independent."
        yield ""
        yield from rendered(_columns_table(found))
        yield from _quantile_lines(found)
        left = len(found.columns) - _NUM_COLUMNS
        if left > 0 and not options.all_columns:
            yield f"{left:,} more columns are closer: use --all-columns"
    yield ""
    if found.shared:
        also = "" if found.shared_by_halves is None else f"; in the other half of A, {found.shared_by_halves:,}"
        yield f"note: {found.shared:,} of the {found.num:,} samples of A are also in B{also}"
    if not options.only and all(row.name != "gaussian_w2" for row in found.rows):
        size = found.joint.x.shape[1]
        yield f"note: Gaussian W2 in {size:,} dimensions takes minutes, so it is left out: use --only gaussian_w2"
    if options.floor and found.a.is_run and not found.b.is_run:
        yield "note: these floors are between samples of the run; exchange A and B for those of the data"
    if options.plan is not None:
        yield f"plan: {options.plan}"


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


def _columns_table(found: Found) -> Table:
    listed = _listed(found)
    is_missing = any(any(column.missing) for column in listed)
    table = plain_table()
    titles = ["column by itself", "", "value", "floor", "in std. dev.", "KS", "its floor", "p"]
    titles += ["missing in A, B"] if is_missing else []
    for number, title in enumerate(titles):
        table.add_column(title, justify="left" if number < 2 else "right", no_wrap=True)
    for column in listed:
        values = [shown(value) for value in (column.value, column.floor)]
        values[0] += f" {column.unit}" if column.unit else ""
        deviations = shown(column.deviations) if column.distance == "W1" and column.value is not None else "–"
        test = ["–" if value is None else f"{value:.2g}" for value in (column.ks, column.ks_floor)]
        test.append("–" if column.p_value is None else shown_p(column.p_value))
        gaps = [" ".join(f"{100 * share:.1f} %" for share in column.missing)] if is_missing else []
        table.add_row(shortened(column.name), column.distance, *values, deviations, *test, *gaps)
    return table


def _listed(found: Found) -> Sequence[ColumnDistance]:
    return found.columns if found.options.all_columns else found.columns[:_NUM_COLUMNS]


def _quantile_lines(found: Found) -> Iterator[str]:
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
        for column in _listed(found)
        if column.ks is not None
    ]
    if known:
        yield ""
        yield from rendered(quantile_table(known, ("A", "B")))
