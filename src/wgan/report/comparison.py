"""Several runs on one page, or in one picture."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from wgan import figures
from wgan.figures import LIGHT, Theme
from wgan.report.markup import Html, document, element
from wgan.report.runs import Run
from wgan.report.table import estimates, ranked, reached
from wgan.report.themes import in_both_themes
from wgan.report.trust import verdict_block
from wgan.report.verdicts import sentence
from wgan.report.words import distance_unit
from wgan.system.storage import replace_file

if TYPE_CHECKING:
    from matplotlib.figure import Figure

FORMS = (".png", ".svg", ".html")
"""Endings of what a comparison can be written to."""


def write_comparison(out: Path, runs: Sequence[Run], notes: Sequence[str], *, by_seconds: bool) -> None:
    """Write runs that can be put on one axis as a picture or as a page.

    Args:
        out: A file that ends in .png, .svg or .html.
        runs: The runs, `MOST_RUNS` at most; those without evidence are named and not drawn.
        notes: What makes the comparison weaker than it looks.
        by_seconds: Whether to draw against seconds of training in place of generator updates.

    Raises:
        CheckpointError: The file cannot be written.
    """
    ending = out.suffix.lower()
    if ending == ".html":
        content = document("Runs compared", _page(runs, notes, by_seconds=by_seconds)).encode("utf-8")
    else:
        figure = _figure(runs, by_seconds=by_seconds, theme=LIGHT)
        content = figures.svg(figure) if ending == ".svg" else figures.png(figure)
    replace_file(out, content)


def _figure(runs: Sequence[Run], *, by_seconds: bool, theme: Theme) -> Figure:
    brackets = [run.bracket(by_seconds=by_seconds) for run in runs if run.is_looked_at]
    unit = f"W1 between held-out rows and samples, {distance_unit(runs[0].record)}"
    across = "seconds of training" if by_seconds else "generator updates"
    with np.errstate(all="ignore"):
        return figures.together([found for found in brackets if len(found.at)], unit=unit, across=across, theme=theme)


def _page(runs: Sequence[Run], notes: Sequence[str], *, by_seconds: bool) -> Html:
    described = str(runs[0].record.source.get("describe", ""))
    return element(
        "main",
        element("header", element("p", described, class_="kicker"), element("h1", "Runs compared")),
        element("div", [element("p", f"{note}.") for note in notes], class_="warning") if notes else None,
        in_both_themes(
            lambda theme: _figure(runs, by_seconds=by_seconds, theme=theme),
            "What each run's critic proves, and the exact distance",
            element("figcaption", _HOW_TO_READ),
        ),
        element(
            "section",
            element("h2", "At the last look"),
            _table(reached(runs)),
            element("div", [element("p", sentence(line), class_="note") for line in ranked(runs)], class_="ranked"),
        ),
        element(
            "section",
            element("h2", "What the critics say themselves"),
            element("p", "These numbers compare with no other run's.", class_="note"),
            _table(estimates(runs)),
        ),
        element("section", element("h2", "Can their losses be believed?"), list(_verdicts(runs))),
        element("footer", "Made by wgan from the runs' own records. This file holds no script and asks no network."),
    )


_HOW_TO_READ = (
    "Each critic's own number has a unit of its own. What its scores prove, Ŵ, does not: it is a lower bound of the "
    "exact distance for any critic, in one unit for all runs. A Ŵ far below the exact distance says that the critic "
    "is weak, not that the samples are good. The floor is the distance of other real rows, which a perfect generator "
    "would reach; in many dimensions noise reaches it too, and the sliced distance beside its own floor tells more. "
    "Samples are those of the generators under training, which the critics face, not of their "
    "averages."
)


def _table(rows: Sequence[dict[str, str]]) -> Html:
    head = element("tr", [element("th", title) for title in rows[0]])
    body = [element("tr", [element("td", cell) for cell in row.values()]) for row in rows]
    return element("div", element("table", head, body, class_="measured dense"), class_="scroll")


def _verdicts(runs: Sequence[Run]) -> Iterator[Html]:
    for run in runs:
        yield element("h3", run.name)
        yield verdict_block(run.verdict)
