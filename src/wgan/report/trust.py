"""The section that says whether the critic's number can be believed: the verdict, and all that was measured for it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from wgan import figures
from wgan.figures import Bracket, Theme
from wgan.report import questions
from wgan.report.markup import Html, Part, element
from wgan.report.questions import Question
from wgan.report.record import Record, number, series
from wgan.report.themes import in_both_themes
from wgan.report.verdicts import sentence, title_of, verdict_of
from wgan.report.words import axis_label, distance_unit, evidence_name, significant, word
from wgan.trust.nearness import is_blind

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from wgan.trust.verdict import Verdict

Draw: TypeAlias = "Callable[[Theme], Figure]"
Small: TypeAlias = "tuple[Question, Draw | None, str]"
"""A question, what draws its answer (None where nothing was measured), and what is to be added to its words."""

_NOTHING = (
    "No evidence was recorded that could tell: this run is of an earlier version, has not come to its first look yet, "
    "was trained with --diagnose off, or has no held-out rows to be looked at. By itself the critic's number compares "
    "with nothing but itself."
)
_PERCENT = (-2.0, 104.0)


def section(record: Record) -> Html:
    """All of it; a note where nothing was measured."""
    heading = element("h2", "Can the loss be believed?")
    if not record.looks:
        said = verdict_block(verdict_of(record)) if record.divergence else element("p", _NOTHING, class_="note")
        return element("section", heading, said)
    small = [
        element(
            "div",
            element("h3", question.title),
            in_both_themes(draw, question.title, class_="plain"),
            element("p", question.words, f" {more}" if more else None, class_="note"),
        )
        for question, draw, more in _small(record)
        if draw is not None
    ]
    return element(
        "section",
        heading,
        verdict_block(verdict_of(record)),
        _bracket(record),
        element("div", small, class_="evidence"),
    )


def verdict_block(verdict: Verdict) -> Html:
    """The verdict, why, what to do, and the numbers that it rests on."""
    said: list[Part] = [element("p", element("strong", f"{title_of(verdict)}. "), sentence(verdict.reason))]
    if verdict.remedy:
        said.append(element("p", sentence(verdict.remedy)))
    if verdict.evidence:
        cells = [
            element("div", element("dt", evidence_name(name)), element("dd", significant(value)))
            for name, value in verdict.evidence.items()
        ]
        said.append(element("dl", cells, class_="numbers small"))
    return element("div", said, class_="verdict" if verdict.kind == "trust" else "verdict doubted")


def bracket_of(record: Record, name: str) -> Bracket:
    """What the run knows of the distance, against generator updates."""
    steps, certified, exact, low, high, floor = (
        series(record.looks, key) for key in ("step", "certified", "exact", "exact_low", "exact_high", "exact_floor")
    )
    return Bracket(name=name, at=steps, certified=certified, exact=exact, low=low, high=high, floor=floor)


def _bracket(record: Record) -> Html:
    found = bracket_of(record, record.directory.name)
    between = (
        "; the exact distance of the same rows and samples stands above it, with the interval in which it would lie "
        "for others. The floor is the exact distance of other real rows, which a perfect generator would reach"
        + ("; in so many dimensions noise reaches it too" if is_blind(record.looks[-1]) else "")
    )
    caption = (
        "Whatever the critic's slope, its scores prove that the distance is at least "
        f"Ŵ{between if np.isfinite(found.exact).any() else ''}. All this has one unit in every run on this data, "
        "whatever its critic. The raw estimate, below, has a unit of its own, and compares with no other run. "
        "Samples are those of the generator under training, which the critic faces, not of its average."
    )
    return in_both_themes(
        lambda theme: figures.bracket(
            found,
            record.estimates,
            unit=f"W1 between held-out rows and samples, {distance_unit(record)}",
            scale=f"by itself: the raw {axis_label(record)}",
            theme=theme,
        ),
        "The distance between a certified lower bound and its exact value, and the raw estimate",
        element("figcaption", caption),
    )


def _small(record: Record) -> Iterator[Small]:
    """The small figures, in the order in which the questions are asked."""
    looks = record.looks
    yield questions.OVERFITTING, _estimates(record), ""
    yield questions.EFFICIENCY, _shares(record), ""
    gap = {"gap": 100.0 * series(looks, "gap")}
    yield questions.GAP, _lines(record, gap, title="more that a copy proves, %", is_share=True), ""
    for name, question in (("sliced", questions.SLICED), ("exact_features", questions.FEATURES)):
        lines = {"samples": series(looks, name), "floor: real rows": series(looks, f"{name}_floor")}
        yield question, _lines(record, lines, title="distance from held-out rows"), ""
    yield questions.SLOPES, _slopes(record), _on_slopes(record)
    yield questions.LAYERS, _layers(record), ""
    at_bound = {"at the bound": 100.0 * series(looks, "at_bound")}
    yield questions.AT_BOUND, _lines(record, at_bound, title="weights of the critic at ±c, %", limits=_PERCENT), ""
    cosine = {"cosine": series(looks, "step_cosine")}
    title = "cosine of step and descent"
    yield questions.COSINE, _lines(record, cosine, title=title, marks={"": 0.0}, limits=(-1.05, 1.05)), ""
    yield questions.SCORES, *_scores(record)
    yield questions.COLLAPSE, _ratio(record, "diversity_samples", "diversity_real", "sample to nearest sample"), ""
    reached = {"coverage": 100.0 * series(looks, "coverage")}
    yield questions.REACHED, _lines(record, reached, title="held-out rows reached, %", limits=_PERCENT), ""
    yield questions.MEMORY, _ratio(record, "nearest_training", "nearest_held_out", "sample to nearest training row"), ""
    yield questions.COPIED, _copies(record), ""


def _lines(
    record: Record,
    lines: dict[str, Any],
    *,
    title: str,
    **axis: Any,  # noqa: ANN401 - as `small_lines` takes it
) -> Draw | None:
    """What draws numbers along the run, those that were measured."""
    known = {name: values for name, values in lines.items() if np.isfinite(values).any()}
    if not known:
        return None
    steps = series(record.looks, "step")
    return lambda theme: figures.small_lines(steps, known, title=title, theme=theme, **axis)


def _estimates(record: Record) -> Draw | None:
    names = {
        "training rows": "training_estimate",
        "held-out rows": "held_out_estimate",
        "copy trained further": "further_estimate",
    }
    lines = {name: series(record.looks, key) for name, key in names.items()}
    return _lines(record, lines, title="the critic's estimate")


def _shares(record: Record) -> Draw | None:
    exact = series(record.looks, "exact")
    with np.errstate(all="ignore"):
        alone = np.where(exact > 0, 100.0 * series(record.looks, "without_critic") / exact, np.nan)
    lines = {"by the critic": 100.0 * series(record.looks, "efficiency"), "without any": alone}
    return _lines(record, lines, title="proven of the exact distance, %", limits=_PERCENT)


def _slopes(record: Record) -> Draw | None:
    names = {"at real rows": "real", "at samples": "fake", "between them": "between", "climbed to": "climbed"}
    lines = {name: series(record.looks, f"slope_{key}") for name, key in names.items()}
    marks = {"1: as the formula allows": 1.0} if _is_wasserstein(record) else None
    return _lines(record, lines, title="largest slope found", marks=marks)


def _on_slopes(record: Record) -> str:
    """What a slope is for, and what the last look found of it."""
    last, said = record.looks[-1], []
    if _is_wasserstein(record):
        said.append(
            "The distance's own formula allows 1: a critic K times as steep makes its estimate K times as large."
        )
    if np.isfinite(by_slope := number(last.get("estimate_by_slope"))):
        said.append(f"Divided by the steepest, the difference of its mean scores is {significant(by_slope)} at last.")
    if np.isfinite(bound := number(last.get("slope_bound"))):
        said.append(f"The norms of its layers prove that no slope exceeds {significant(bound)}.")
    return " ".join(said)


def _is_wasserstein(record: Record) -> bool:
    return word(record, "objective").partition(":")[0] == "wasserstein"


def _layers(record: Record) -> Draw | None:
    players: dict[str, dict[str, list[float]]] = {}
    for player, key in (("critic", "layer_gradients"), ("generator", "generator_layer_gradients")):
        measured = [(number(line.get("step")), norms) for line in record.looks if (norms := _floats(line.get(key)))]
        ends = measured[:1] + measured[1:][-1:]
        if ends:
            players[player] = {f"update {step:,.0f}": norms for step, norms in ends}
    return (lambda theme: figures.by_layer(players, theme=theme)) if players else None


def _scores(record: Record) -> tuple[Draw | None, str]:
    """What draws the last histogram of scores, and of when it is."""
    for line in reversed(record.looks):
        histogram = line.get("score_histogram")
        found = histogram if isinstance(histogram, dict) else {}
        edges, real, fake = (_floats(found.get(name)) for name in ("edges", "real", "fake"))
        if len(edges) == len(real) + 1 == len(fake) + 1 > 1:
            when = f"This is after update {number(line.get('step')):,.0f}."
            return lambda theme, sides=(edges, real, fake): figures.scores(*sides, theme=theme), when
    return None, ""


def _copies(record: Record) -> Draw | None:
    copied, error = (100.0 * series(record.looks, name) for name in ("memorised", "memorised_error"))
    return _lines(record, {"memorised": copied, "twice the error": 2.0 * error}, title="samples that are copies, %")


def _ratio(record: Record, above: str, below: str, name: str) -> Draw | None:
    """What draws the ratio of two distances, which is about 1 for real rows."""
    distances, of_real = (series(record.looks, key) for key in (above, below))
    with np.errstate(all="ignore"):
        ratio = np.where(of_real > 0, distances / of_real, np.nan)
    return _lines(record, {name: ratio}, title=f"{name}, relative to real rows", marks={"": 1.0})


def _floats(value: object) -> list[float]:
    """A list of finite numbers; empty where it is none."""
    read = [number(item) for item in value] if isinstance(value, Sequence) and not isinstance(value, str) else []
    return read if np.isfinite(read).all() else []
