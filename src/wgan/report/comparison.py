"""Several runs compared: as tables, as a page or as a figure."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from wgan import figures
from wgan.figures import LIGHT, Theme
from wgan.report.markup import Html, document, element, in_both_themes, note, section, table
from wgan.report.runs import Run
from wgan.report.trust import sentence, verdict_block
from wgan.report.words import distance_unit, significant
from wgan.system.storage import replace_file
from wgan.trust.verdict import UNINFORMATIVE_DISTANCE

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_MEASURED = {"exact": "exact W1", "sliced": "sliced W1"}

FORMS = (".png", ".svg", ".html")
"""File endings that a comparison can be written to."""


def write_comparison(out: Path, runs: Sequence[Run], notes: Sequence[str], *, by_seconds: bool) -> None:
    """Write a comparison of runs as a figure or as a page.

    Args:
        out: A file that ends in .png, .svg or .html.
        runs: Comparable runs, at most `MOST_RUNS`. Those without evidence are listed but not drawn.
        notes: Limitations of the comparison.
        by_seconds: Whether to draw against seconds of training instead of generator updates.

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
    drawn = [bracket for bracket in brackets if len(bracket.at)]
    unit = f"W1 between held-out rows and samples, {distance_unit(runs[0].record)}"
    across = "seconds of training" if by_seconds else "generator updates"
    with np.errstate(all="ignore"):
        return figures.overlay(drawn, unit=unit, across=across, theme=theme)


def _page(runs: Sequence[Run], notes: Sequence[str], *, by_seconds: bool) -> Html:
    description = str(runs[0].record.source.get("describe", ""))
    return element(
        "main",
        element("header", element("p", description, class_="kicker"), element("h1", "Runs compared")),
        element("div", [element("p", f"{line}.") for line in notes], class_="warning") if notes else None,
        in_both_themes(
            lambda theme: _figure(runs, by_seconds=by_seconds, theme=theme),
            "Lower bounds by the critics, and exact distances",
            element("figcaption", _HOW_TO_READ),
        ),
        section(
            "Last diagnosis",
            _table(reached(runs)),
            element("div", [note(sentence(line)) for line in ranked(runs)], class_="ranked"),
        ),
        section(
            "The critics' own estimates",
            note("These numbers cannot be compared between runs."),
            _table(estimates(runs)),
        ),
        section("Can their losses be trusted?", list(_verdicts(runs))),
        element("footer", "Written by wgan from the records of the runs. No scripts, no network requests."),
    )


_HOW_TO_READ = (
    "A critic's own estimate depends on the critic's scale. Ŵ does not: for any critic it is a lower bound on the "
    "exact distance, in the same unit for all runs. A Ŵ far below the exact distance means that the critic is weak, "
    "not that the samples are good. The floor is the distance of other real rows, which a perfect generator would "
    "reach. In many dimensions noise reaches it too, and the sliced distance and its floor are more informative. "
    "Samples are those of the current generators, which the critics are trained on, not of their moving averages."
)


def _table(rows: Sequence[dict[str, str]]) -> Html:
    return table(rows[0], (row.values() for row in rows), class_="measured dense")


def _verdicts(runs: Sequence[Run]) -> Iterator[Html]:
    for run in runs:
        yield element("h3", run.name)
        yield verdict_block(run.verdict)


@dataclass(frozen=True, kw_only=True)
class Ranking:
    """A ranking of runs by one number.

    Attributes:
        by: The name of the number in the record.
        order: The runs that have it, the smallest first.
        tied: The runs after the first whose intervals overlap with that of the first.
    """

    by: str
    order: tuple[Run, ...]
    tied: tuple[Run, ...]


def rankings(runs: Sequence[Run]) -> list[Ranking]:
    """Rankings of the runs by the distance of their samples, and by the lower bounds of their critics.

    The distance is the exact one, or the sliced one if no run has the exact one or if that cannot tell samples from
    noise. There is no ranking of a single run.
    """
    is_exact = any(math.isfinite(run.last("exact")) for run in runs)
    is_sliced = any(run.is_uninformative for run in runs) and all(
        math.isfinite(run.last("sliced")) for run in runs if run.is_looked_at
    )
    distance = "exact" if is_exact and not is_sliced else "sliced"
    ranked = []
    for name in (distance, "certified"):
        order = sorted((run for run in runs if math.isfinite(run.last(name))), key=lambda run: run.last(name))
        if len(order) > 1:
            best = order[0].last("exact_high") if name == "exact" else math.nan
            tied = tuple(run for run in order[1:] if run.last("exact_low") <= best)
            ranked.append(Ranking(by=name, order=tuple(order), tied=tied))
    return ranked


def reached(runs: Sequence[Run]) -> list[dict[str, str]]:
    """The distances of each run, and the quality of its critic, as cells by column.

    Sliced distances are included if a run has no exact one, or if the exact one cannot tell samples from noise.
    """
    is_sliced = any(
        math.isfinite(run.last("sliced")) and (run.is_uninformative or not math.isfinite(run.last("exact")))
        for run in runs
    )
    return [_cells(run, is_sliced=is_sliced) for run in runs]


def estimates(runs: Sequence[Run]) -> list[dict[str, str]]:
    """The objective, the critic's own estimates and the verdict of each run, as cells by column."""
    return [
        {
            "run": run.name,
            "objective": run.objective,
            "raw": significant(run.raw),
            "held out": significant(run.last("held_out_estimate")),
            "verdict": run.verdict.kind,
        }
        for run in runs
    ]


def ranked(runs: Sequence[Run]) -> Iterator[str]:
    """The rankings of the runs, best first, with ties, as sentences without their full stops."""
    for ranking in rankings(runs):
        order = " < ".join(f"{run.name} {significant(run.last(ranking.by))}" for run in ranking.order)
        yield f"{_order_by(ranking)}: {order}"
        if ranking.by == "exact" and any(run.is_uninformative for run in ranking.order):
            yield f"this ranking is not informative: {UNINFORMATIVE_DISTANCE}"
        if ranking.tied:
            names = ", ".join(run.name for run in ranking.tied)
            yield f"not distinguishable from {ranking.order[0].name}, since their 95 % intervals overlap: {names}"
    near = [run.name for run in runs if run.is_near]
    if near:
        yield f"as near as other real rows: {', '.join(near)}"


def _order_by(ranking: Ranking) -> str:
    if ranking.by == "certified":
        share = (
            "; nearest neighbours alone give nearly all of it"
            if any(run.is_uninformative for run in ranking.order)
            else ""
        )
        return f"by the critics' lower bounds Ŵ (a weak critic has a small one, however far its samples are{share})"
    return f"nearest to the data by {_MEASURED[ranking.by]}"


def _cells(run: Run, *, is_sliced: bool) -> dict[str, str]:
    exact, low, high = (run.last(name) for name in ("exact", "exact_low", "exact_high"))
    interval = f" [{significant(low)}, {significant(high)}]" if math.isfinite(low) and math.isfinite(high) else ""
    sliced = {"sliced W1": significant(run.last("sliced")), "its floor": significant(run.last("sliced_floor"))}
    return {
        "run": run.name,
        "updates": f"{run.looked_at:,}",
        "Ŵ": significant(run.last("certified")),
        "exact W1 [95 %]": significant(exact) + interval,
        "floor": significant(run.last("exact_floor")),
        **(sliced if is_sliced else {}),
        "Ŵ/exact": _percentage(run.last("efficiency")),
        "no critic": _percentage(run.alone),
        "gap": _percentage(run.last("gap")),
    }


def _percentage(share: float) -> str:
    """A share in percent with about two significant digits, or a dash if it is not finite."""
    if not math.isfinite(share):
        return "–"
    return f"{100 * share:.0f} %" if abs(share) >= 0.0995 or share == 0 else f"{100 * share:.1f} %"
