"""The sections on evaluations: distances of samples, each column by itself, and whether conditions are obeyed."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from wgan.choices import listed
from wgan.display import shown_p
from wgan.report.markup import Html, element, note, section, table
from wgan.report.record import Record, number
from wgan.report.words import distance_name, is_told_too_little, significant, times_floor
from wgan.trust.support import IN_MANY_DIMENSIONS

if TYPE_CHECKING:
    from wgan.comparing import Marginal

_MOST_LINES = 14
_MOST_COLUMNS = 40
_ON_COLUMNS = (
    "The Kolmogorov-Smirnov statistic (KS) is the largest difference of the two distribution functions, from 0 to 1, "
    "in any unit and however heavy the tails. Its p-value says how often two sets of real rows would be at least as "
    "far apart; with many rows a small difference has a small one too. The quantiles of held-out rows stand above "
    "those of samples."
)
_IGNORED, _UNSEEN = "ignored", "unseen_"
_LOWEST = 3


def judged(record: Record) -> Html | None:
    """Distances between held-out rows and samples; None without an evaluation."""
    if not record.evaluations:
        return None
    has_modes = any("modes" in line for line in record.evaluations)
    head = ["updates"]
    for key in record.distances:
        head += [distance_name(key), "floor", "ratio"]
    head += ["modes", "high quality"] if has_modes else []
    chosen = np.unique(np.linspace(0, len(record.evaluations) - 1, _MOST_LINES).round().astype(int))
    shown = [record.evaluations[index] for index in chosen]
    if record.best is not None and record.best not in shown:
        shown = sorted([*shown, record.best], key=lambda line: number(line.get("step")))
    best = next((index for index, line in enumerate(shown) if line is record.best), None)
    left_out = len(record.evaluations) - len(shown)
    said = (
        "Lower is better; a perfect generator would score about the floor, a ratio of 1. The best is set in bold"
        + (f". But {IN_MANY_DIMENSIONS}" if is_told_too_little(record) else "")
        + "."
    )
    return section(
        "Judged against held-out data",
        note(said, f" {left_out} more in metrics.jsonl." if left_out else None),
        table(head, (_cells(record, line, has_modes) for line in shown), best=best),
    )


def _cells(record: Record, line: dict[str, Any], has_modes: bool) -> Iterator[str]:
    yield f"{number(line.get('step')):,.0f}"
    for key in record.distances:
        ratio = times_floor(line, key)
        yield significant(line.get(key))
        yield significant(line.get(f"{key}_floor"))
        yield f"{ratio:.2f}" if np.isfinite(ratio) else "–"
    if has_modes:
        yield f"{line.get('modes', '–')} / {line.get('num_modes', '–')}"
        share = number(line.get("high_quality"))
        yield f"{100 * share:.1f} %" if np.isfinite(share) else "–"


def read_columns(evaluation: Mapping[str, Any]) -> list[Marginal]:
    """What an evaluation says of each column; nothing where none was looked at."""
    from wgan.comparing import Marginal

    found = evaluation.get("columns")
    try:
        return [Marginal.from_json(state) for state in found] if isinstance(found, list) else []
    except (KeyError, TypeError, ValueError):
        return []


def columns(record: Record) -> Html | None:
    """A table of the columns, the furthest apart first; None where there are none."""
    from wgan.comparing.marginals import titles

    found = next((found for line in reversed(record.evaluations) if (found := read_columns(line))), [])
    if not found:
        return None
    left = len(found) - _MOST_COLUMNS
    return section(
        "Each column by itself",
        note(_ON_COLUMNS, f" {left:,} nearer ones are in metrics.jsonl." if left > 0 else None),
        table(
            ("column", "KS", "p", "", *titles()),
            (row for column in found[:_MOST_COLUMNS] for row in _rows(column)),
            class_="measured dense",
        ),
    )


def _rows(column: Marginal) -> Iterator[tuple[str, ...]]:
    from wgan.comparing.marginals import shown

    yield column.name, significant(column.ks), shown_p(column.p_value), "real", *shown(column.levels, column.first)
    yield "", "", "", "samples", *shown(column.levels, column.second)


@dataclass(frozen=True, kw_only=True)
class Obeyed:
    """What was found of one condition, or of all at once.

    Attributes:
        name: The condition; empty for all categories at once.
        is_unseen: Whether it is about combinations that were kept from training.
        is_share: Whether these are shares of rows; correlations if not.
        samples: Samples that show what was asked for.
        real: Held-out real rows that are read right; NaN where there are none.
        ignored: What `samples` would be if the condition were ignored.
        values: The shares by value, where they were measured.
    """

    name: str
    is_unseen: bool
    is_share: bool
    samples: float
    real: float
    ignored: float
    values: tuple[tuple[str, float], ...] = ()

    @property
    def title(self) -> str:
        """What it is about."""
        where = ", combinations never seen" if self.is_unseen else ""
        return f"{self.name or 'all categories at once'}{where}"

    def cells(self) -> tuple[str, str, str]:
        """Samples, real rows, and what would be if it were ignored."""
        samples, real, ignored = (self._shown(value) for value in (self.samples, self.real, self.ignored))
        return samples, real, ignored

    def shares(self) -> Iterator[tuple[str, str]]:
        """Each value, as it is told from others, with its share."""
        for value, share in self.values:
            yield listed([value]), self._shown(share)

    def line(self) -> str:
        """One line for a terminal."""
        samples, real, ignored = self.cells()
        beside = f"real rows {real}, if it were ignored {ignored}"
        if not self.is_share:
            return f"{self.title}: correlation with what was asked for {samples} ({beside})"
        worst = sorted(self.values, key=lambda pair: pair[1])[:_LOWEST]
        lowest = (
            f"; lowest: {', '.join(f'{listed([value])}: {self._shown(share)}' for value, share in worst)}"
            if worst
            else ""
        )
        return f"{self.title}: {samples} of the samples as asked ({beside}){lowest}"

    def _shown(self, value: float) -> str:
        if not math.isfinite(value):
            return "–"
        return f"{100 * value:.1f} %" if self.is_share else f"{value:.2f}"


def read_obeyed(evaluation: Mapping[str, Any]) -> list[Obeyed]:
    """What an evaluation says of each condition; nothing where none was looked at."""
    found = []
    for key in evaluation:
        prefix = _UNSEEN if key.startswith(f"{_UNSEEN}{_IGNORED}") else ""
        rest = key.removeprefix(prefix)
        if not rest.startswith(_IGNORED):
            continue
        ending = rest.removeprefix(_IGNORED)
        is_share = f"{prefix}obeyed{ending}" in evaluation
        start = f"obeyed{ending}="
        values = [] if prefix else [name for name in evaluation if ending and name.startswith(start)]
        found.append(
            Obeyed(
                name=ending.removeprefix("_"),
                is_unseen=bool(prefix),
                is_share=is_share,
                samples=number(evaluation.get(f"{prefix}{'obeyed' if is_share else 'followed'}{ending}")),
                real=number(evaluation.get(f"{prefix}read{ending}")),
                ignored=number(evaluation[key]),
                values=tuple((name.removeprefix(start), number(evaluation[name])) for name in values),
            )
        )
    return found


def score_drop(evaluation: Mapping[str, Any]) -> str:
    """What the critic makes of wrong conditions, as a sentence without its full stop."""
    drop = number(evaluation.get("score_drop"))
    way = "rise" if drop < 0 else "fall"
    shown = f"{abs(drop):.2f} of their standard deviations"
    return f"Under wrong conditions the critic's scores of real rows {way} by {shown}"


def obeyed(record: Record) -> Html | None:
    """Whether conditions are obeyed, as the last evaluation that looked found."""
    line = next((line for line in reversed(record.evaluations) if read_obeyed(line)), None)
    if line is None:
        return None
    parts = read_obeyed(line)
    by_value = [
        element("p", element("strong", part.title), ": ", ", ".join(map(": ".join, part.shares())))
        for part in parts
        if part.values
    ]
    return section(
        "Are conditions obeyed?",
        note(
            "A small network learnt from the real rows alone to tell what a row is described by, and says of each "
            "sample what it shows; for numbers and texts these are correlations."
        ),
        table(
            ("condition", "samples as asked", "real rows read right", "if it were ignored"),
            ((part.title, *part.cells()) for part in parts),
        ),
        by_value,
        element("p", f"{score_drop(line)}.") if "score_drop" in line else None,
    )
