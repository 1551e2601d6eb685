"""Each column of numbers by itself, as the last evaluation that looked found it: held-out rows beside samples."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from wgan.report.markup import Html, element
from wgan.report.record import Record
from wgan.report.words import significant
from wgan.system.text import shown_p

if TYPE_CHECKING:
    from wgan.evaluation import Marginal

_MOST = 40
_NOTE = (
    "The Kolmogorov-Smirnov statistic (KS) is the largest difference of the two distribution functions, from 0 to 1, "
    "in any unit and however heavy the tails. Its p-value says how often two sets of real rows would be at least as "
    "far apart; with many rows a small difference has a small one too. The quantiles of held-out rows stand above "
    "those of samples."
)


def read_columns(evaluation: Mapping[str, Any]) -> list[Marginal]:
    """What an evaluation says of each column; nothing where none was looked at."""
    from wgan.evaluation import Marginal

    found = evaluation.get("columns")
    try:
        return [Marginal.from_json(state) for state in found] if isinstance(found, list) else []
    except (KeyError, TypeError, ValueError):
        return []


def section(record: Record) -> Html | None:
    """A table of the columns, the furthest apart first; None where there are none."""
    from wgan.evaluation.marginals import titles

    columns = next((found for line in reversed(record.evaluations) if (found := read_columns(line))), [])
    if not columns:
        return None
    head = element("tr", [element("th", title) for title in ("column", "KS", "p", "", *titles())])
    body = [row for column in columns[:_MOST] for row in _rows(column)]
    left = len(columns) - _MOST
    return element(
        "section",
        element("h2", "Each column by itself"),
        element("p", _NOTE, f" {left:,} nearer ones are in metrics.jsonl." if left > 0 else None, class_="note"),
        element("div", element("table", head, body, class_="measured dense"), class_="scroll"),
    )


def _rows(column: Marginal) -> tuple[Html, Html]:
    from wgan.evaluation.marginals import shown

    test = (column.name, significant(column.ks), shown_p(column.p_value))
    cells = [
        (*test, "real", *shown(column.levels, column.first)),
        ("", "", "", "samples", *shown(column.levels, column.second)),
    ]
    first, second = (element("tr", [element("td", cell) for cell in row]) for row in cells)
    return first, second
