"""The sections on evaluations: distances of samples, marginal distributions and conditional accuracy."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from wgan.evaluation.metrics import other_numbers
from wgan.report.markup import Html, element, note, section, table
from wgan.report.record import Record, number
from wgan.report.words import distance_name, is_uninformative, significant, times_floor
from wgan.system.text import listed, shown_p
from wgan.trust.verdict import UNINFORMATIVE_DISTANCE

if TYPE_CHECKING:
    from wgan.evaluation import Marginal

_MOST_LINES = 14
_MOST_COLUMNS = 40
_ON_COLUMNS = (
    "The Kolmogorov-Smirnov statistic (KS) is the largest difference between the two distribution functions, from 0 "
    "to 1. It does not depend on units or tails. Its p-value is the probability that two sets of real rows differ at "
    "least as much; with many rows even a small difference has a small p-value. For each column the quantiles of "
    "held-out rows are above those of samples."
)
_CHANCE, _UNSEEN = "chance", "unseen_"
_LOWEST = 3


def distances(record: Record) -> Html | None:
    """Distances between held-out rows and samples; None without an evaluation."""
    if not record.evaluations:
        return None
    others = list(dict.fromkeys(title for line in record.evaluations for title in other_numbers(line)))
    head = ["updates"]
    for key in record.distances:
        head += [distance_name(key), "floor", "ratio"]
    head += others
    chosen = np.unique(np.linspace(0, len(record.evaluations) - 1, _MOST_LINES).round().astype(int))
    lines = [record.evaluations[index] for index in chosen]
    if record.best is not None and record.best not in lines:
        lines = sorted([*lines, record.best], key=lambda line: number(line.get("step")))
    best = next((index for index, line in enumerate(lines) if line is record.best), None)
    left_out = len(record.evaluations) - len(lines)
    text = "Lower is better. A perfect generator would have about the floor, a ratio of 1. The best row is in bold."
    if is_uninformative(record):
        text += f" However, {UNINFORMATIVE_DISTANCE}."
    return section(
        "Evaluation on held-out data",
        note(text, f" {left_out} more in metrics.jsonl." if left_out else None),
        table(head, (_cells(record, line, others) for line in lines), best=best),
    )


def _cells(record: Record, line: dict[str, Any], others: list[str]) -> Iterator[str]:
    yield f"{number(line.get('step')):,.0f}"
    for key in record.distances:
        ratio = times_floor(line, key)
        yield significant(line.get(key))
        yield significant(line.get(f"{key}_floor"))
        yield f"{ratio:.2f}" if np.isfinite(ratio) else "–"
    shown = other_numbers(line)
    yield from (shown.get(title, "–") for title in others)


def read_columns(evaluation: Mapping[str, Any]) -> list[Marginal]:
    """The marginal comparison of each column; empty if the evaluation has none."""
    from wgan.evaluation import Marginal

    states = evaluation.get("columns")
    try:
        return [Marginal.from_json(state) for state in states] if isinstance(states, list) else []
    except (KeyError, TypeError, ValueError):
        return []


def columns(record: Record) -> Html | None:
    """A table of the columns, the largest difference first; None without columns."""
    from wgan.evaluation.marginals import titles

    last = next((read for line in reversed(record.evaluations) if (read := read_columns(line))), [])
    if not last:
        return None
    left = len(last) - _MOST_COLUMNS
    return section(
        "Marginal distributions",
        note(_ON_COLUMNS, f" {left:,} more with smaller differences are in metrics.jsonl." if left > 0 else None),
        table(
            ("column", "KS", "p", "", *titles()),
            (row for column in last[:_MOST_COLUMNS] for row in _rows(column)),
            class_="measured dense",
        ),
    )


def _rows(column: Marginal) -> Iterator[tuple[str, ...]]:
    from wgan.evaluation.marginals import shown

    yield column.name, significant(column.ks), shown_p(column.p_value), "real", *shown(column.levels, column.first)
    yield "", "", "", "samples", *shown(column.levels, column.second)


@dataclass(frozen=True, kw_only=True)
class ConditionalAccuracy:
    """The conditional accuracy of one condition, or of all jointly.

    Attributes:
        name: The condition; empty for all categories jointly.
        is_unseen: Whether only combinations that were left out of training count.
        is_share: Whether the numbers are shares of rows. If not, they are correlations.
        samples: Accuracy on samples: the classifier's answer against the requested condition.
        real: Accuracy of the classifier on held-out real rows; NaN without such rows.
        ignored: What `samples` would be for a generator that ignores the condition: chance.
        values: The accuracy by value, if measured.
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
        """The name, with a remark on unseen combinations."""
        where = ", unseen combinations" if self.is_unseen else ""
        return f"{self.name or 'all categories jointly'}{where}"

    def cells(self) -> tuple[str, str, str]:
        """The numbers as text: samples, real rows, chance."""
        samples, real, ignored = (self._shown(value) for value in (self.samples, self.real, self.ignored))
        return samples, real, ignored

    def shares(self) -> Iterator[tuple[str, str]]:
        """Pairs of a value and its accuracy as text."""
        for value, share in self.values:
            yield listed([value]), self._shown(share)

    def line(self) -> str:
        """A line for the terminal."""
        samples, real, ignored = self.cells()
        reference = f"real rows {real}, chance {ignored}"
        if not self.is_share:
            return f"{self.title}: correlation with the condition {samples} ({reference})"
        worst = sorted(self.values, key=lambda pair: pair[1])[:_LOWEST]
        lowest = (
            f"; lowest: {', '.join(f'{listed([value])}: {self._shown(share)}' for value, share in worst)}"
            if worst
            else ""
        )
        return f"{self.title}: accuracy {samples} ({reference}){lowest}"

    def _shown(self, value: float) -> str:
        if not math.isfinite(value):
            return "–"
        return f"{100 * value:.1f} %" if self.is_share else f"{value:.2f}"


def conditional_accuracies(evaluation: Mapping[str, Any]) -> list[ConditionalAccuracy]:
    """The conditional accuracies in an evaluation; empty if it has none."""
    accuracies = []
    for key in evaluation:
        prefix = _UNSEEN if key.startswith(f"{_UNSEEN}{_CHANCE}") else ""
        rest = key.removeprefix(prefix)
        if not rest.startswith(_CHANCE):
            continue
        ending = rest.removeprefix(_CHANCE)
        is_share = f"{prefix}accuracy{ending}" in evaluation
        start = f"accuracy{ending}="
        values = [] if prefix else [name for name in evaluation if ending and name.startswith(start)]
        accuracies.append(
            ConditionalAccuracy(
                name=ending.removeprefix("_"),
                is_unseen=bool(prefix),
                is_share=is_share,
                samples=number(evaluation.get(f"{prefix}{'accuracy' if is_share else 'correlation'}{ending}")),
                real=number(evaluation.get(f"{prefix}classifier_accuracy{ending}")),
                ignored=number(evaluation[key]),
                values=tuple((name.removeprefix(start), number(evaluation[name])) for name in values),
            )
        )
    return accuracies


def score_drop(evaluation: Mapping[str, Any]) -> str:
    """How the critic's scores change under wrong conditions, as a sentence without its full stop."""
    drop = number(evaluation.get("score_drop"))
    direction = "rise" if drop < 0 else "fall"
    amount = f"{abs(drop):.2f} of their standard deviations"
    return f"Under wrong conditions the critic's scores of real rows {direction} by {amount}"


def conditional_accuracy_section(record: Record) -> Html | None:
    """Conditional accuracy in the last evaluation that measured it; None without one."""
    line = next((line for line in reversed(record.evaluations) if conditional_accuracies(line)), None)
    if line is None:
        return None
    parts = conditional_accuracies(line)
    by_value = [
        element("p", element("strong", part.title), ": ", ", ".join(map(": ".join, part.shares())))
        for part in parts
        if part.values
    ]
    return section(
        "Conditional accuracy",
        note(
            "A small network is trained on real rows to predict the conditions of a row. Its accuracy on samples is "
            "measured against the requested conditions. For numbers and texts the correlation is shown instead. Chance "
            "is what a generator would reach that ignores the condition."
        ),
        table(
            ("condition", "samples", "real rows", "chance"),
            ((part.title, *part.cells()) for part in parts),
        ),
        by_value,
        element("p", f"{score_drop(line)}.") if "score_drop" in line else None,
    )
