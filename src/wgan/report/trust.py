"""The section on the critic: the verdict on its loss and the evidence for it."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from wgan import figures
from wgan.figures import Bracket, Theme
from wgan.report import markup, questions
from wgan.report.markup import Html, Part, element, in_both_themes, note, terms
from wgan.report.questions import Question
from wgan.report.record import Record, number, series
from wgan.report.words import axis_label, distance_unit, significant, word
from wgan.trust import evidence
from wgan.trust.symptoms import is_uninformative, label_of

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from wgan.trust.verdict import Verdict

Draw: TypeAlias = "Callable[[Theme], Figure]"
Small: TypeAlias = "tuple[Question, Draw | None, str]"
"""A question, the function that draws its figure (None without measurements), and an addition to its text."""

_HEADING = "Can the loss be trusted?"
_NO_EVIDENCE = (
    "The run has recorded no evidence on its critic. It is of an earlier version, has not reached its first diagnosis, "
    "was trained with --diagnose off, or has no held-out rows. Without evidence the critic's estimate can be compared "
    "only within this run."
)
_PERCENT = (-2.0, 104.0)
_TITLES = {
    "trust": "Trust it",
    "critic-not-optimal": "The critic is not yet optimal",
    "critic-overfits": "The critic overfits",
    "clip-too-small": "The clipping bound is too small",
    "clip-too-large": "The clipping bound is too large",
    "momentum": "Momentum makes training unstable",
    "collapsed": "The generator has collapsed",
    "memorising": "The generator memorises",
    "diverged": "Training has diverged",
    "cannot-tell": "Undecided",
}
_DIVERGED = re.compile(r"training diverged at step (?P<step>[\d,]+): (?P<how>.+?)(?:\. The last good .*)?", re.DOTALL)


def title_of(verdict: Verdict) -> str:
    """The title of a verdict."""
    return _TITLES.get(verdict.kind, verdict.kind.replace("-", " ").capitalize())


def line_of(verdict: Verdict) -> str:
    """The verdict, its reason and its remedy as one line."""
    return " ".join(filter(None, (f"{title_of(verdict)}.", sentence(verdict.reason), sentence(verdict.remedy))))


def sentence(text: str) -> str:
    """The text with a capital letter and a full stop."""
    stripped = text.strip()
    return stripped[:1].upper() + stripped[1:] + ("" if stripped[-1:] in (".", "?", "!", "") else ".")


def verdict_of(record: Record) -> Verdict:
    """The verdict on a run, from its recorded evidence."""
    from wgan.trust.faults import VerdictSettings
    from wgan.trust.verdict import verdict_of

    diverged = record.divergence or ""
    if match := _DIVERGED.fullmatch(diverged):
        diverged = f"{match['how']} at step {match['step']}"
    return verdict_of(record.diagnoses, VerdictSettings.of(record.settings), diverged=diverged)


def section(record: Record) -> Html:
    """The whole section, or a note without evidence."""
    if not record.diagnoses:
        text = verdict_block(verdict_of(record)) if record.divergence else note(_NO_EVIDENCE)
        return markup.section(_HEADING, text)
    panels = [
        element(
            "div",
            element("h3", question.title),
            in_both_themes(draw, question.title, class_="plain"),
            note(question.words, f" {more}" if more else None),
        )
        for question, draw, more in _small(record)
        if draw is not None
    ]
    block = verdict_block(verdict_of(record))
    return markup.section(_HEADING, block, _bracket(record), element("div", panels, class_="evidence"))


def verdict_block(verdict: Verdict) -> Html:
    """The verdict with its reason, its remedy and the numbers behind it."""
    parts: list[Part] = [element("p", element("strong", f"{title_of(verdict)}. "), sentence(verdict.reason))]
    if verdict.remedy:
        parts.append(element("p", sentence(verdict.remedy)))
    if verdict.evidence:
        shown = ((label_of(name), significant(value)) for name, value in verdict.evidence.items())
        parts.append(terms(shown, class_="numbers small"))
    return element("div", parts, class_="verdict" if verdict.kind == "trust" else "verdict doubted")


def bracket_of(record: Record, name: str) -> Bracket:
    """Bounds and values of the distance against generator updates."""
    steps, certified, exact, low, high, floor = (
        series(record.diagnoses, key)
        for key in ("step", "certified", "exact", "exact_low", "exact_high", "exact_floor")
    )
    return Bracket(name=name, at=steps, certified=certified, exact=exact, low=low, high=high, floor=floor)


def _bracket(record: Record) -> Html:
    bracket = bracket_of(record, record.directory.name)
    exact = (
        " The exact distance of the same rows and samples is above it, with its 95 % interval. The floor is the exact "
        "distance of other real rows, which a perfect generator would reach"
        + (", but in so many dimensions noise reaches it too." if is_uninformative(record.diagnoses[-1]) else ".")
    )
    caption = (
        "Ŵ is a lower bound on the distance that follows from the critic's scores, whatever the critic's slope."
        f"{exact if np.isfinite(bracket.exact).any() else ''} These numbers have the same unit in every run on this "
        "data. The raw estimate below depends on the scale of the critic and cannot be compared with other runs. "
        "Samples are those of the current generator, which the critic is trained on, not of its moving average."
    )
    return in_both_themes(
        lambda theme: figures.bracket(
            bracket,
            record.estimates,
            unit=f"W1 between held-out rows and samples, {distance_unit(record)}",
            scale=f"raw {axis_label(record)}",
            theme=theme,
        ),
        "Lower bound and exact value of the distance, and the raw estimate",
        element("figcaption", caption),
    )


def _small(record: Record) -> Iterator[Small]:
    """The small figures in their order on the page."""
    diagnoses = record.diagnoses
    yield questions.OVERFITTING, _estimates(record), ""
    yield questions.EFFICIENCY, _shares(record), ""
    gap = {"gap": 100.0 * series(diagnoses, "gap")}
    yield questions.GAP, _lines(record, gap, title="gap to a copy trained further, %", is_share=True), ""
    for name, question in (("sliced", questions.SLICED), ("exact_features", questions.FEATURES)):
        lines = {"samples": series(diagnoses, name), "floor: real rows": series(diagnoses, f"{name}_floor")}
        yield question, _lines(record, lines, title="distance to held-out rows"), ""
    yield questions.SLOPES, _slopes(record), _on_slopes(record)
    yield questions.LAYERS, _layers(record), ""
    at_bound = {"at the bound": 100.0 * series(diagnoses, "at_bound")}
    yield questions.AT_BOUND, _lines(record, at_bound, title="critic's weights at ±c, %", limits=_PERCENT), ""
    cosine = {"cosine": series(diagnoses, "step_cosine")}
    title = "cosine of step and descent"
    yield questions.COSINE, _lines(record, cosine, title=title, marks={"": 0.0}, limits=(-1.05, 1.05)), ""
    yield questions.SCORES, *_scores(record)
    yield questions.COLLAPSE, _ratio(record, "diversity_samples", "diversity_real", "sample to nearest sample"), ""
    coverage = {"coverage": 100.0 * series(diagnoses, "coverage")}
    yield questions.COVERAGE, _lines(record, coverage, title="held-out rows covered, %", limits=_PERCENT), ""
    name = "sample to nearest training row"
    yield questions.TRAINING_ROWS, _ratio(record, "nearest_training", "nearest_held_out", name), ""
    yield questions.MEMORISED, _memorised(record), ""
    for name, field in evidence.FIELDS.items():
        if field["panel"]:
            question = Question(title=f"{field['label'][:1].upper()}{field['label'][1:]}", words=field["meaning"])
            yield question, _lines(record, {field["label"]: series(diagnoses, name)}, title=field["unit"]), ""


def _lines(
    record: Record,
    lines: dict[str, Any],
    *,
    title: str,
    **axis: Any,  # noqa: ANN401 - as `small_lines` takes it
) -> Draw | None:
    """A function that draws numbers along the run; None if none was measured."""
    measured = {name: values for name, values in lines.items() if np.isfinite(values).any()}
    if not measured:
        return None
    steps = series(record.diagnoses, "step")
    return lambda theme: figures.small_lines(steps, measured, title=title, theme=theme, **axis)


def _estimates(record: Record) -> Draw | None:
    names = {
        "training rows": "training_estimate",
        "held-out rows": "held_out_estimate",
        "copy trained further": "further_estimate",
    }
    lines = {name: series(record.diagnoses, key) for name, key in names.items()}
    return _lines(record, lines, title="the critic's estimate")


def _shares(record: Record) -> Draw | None:
    exact = series(record.diagnoses, "exact")
    with np.errstate(all="ignore"):
        alone = np.where(exact > 0, 100.0 * series(record.diagnoses, "without_critic") / exact, np.nan)
    lines = {"critic": 100.0 * series(record.diagnoses, "efficiency"), "without a critic": alone}
    return _lines(record, lines, title="lower bound / exact distance, %", limits=_PERCENT)


def _slopes(record: Record) -> Draw | None:
    names = {"at real rows": "real", "at samples": "fake", "between them": "between", "by ascent": "climbed"}
    lines = {name: series(record.diagnoses, f"slope_{key}") for name, key in names.items()}
    marks = {"1-Lipschitz": 1.0} if _is_wasserstein(record) else None
    return _lines(record, lines, title="largest slope found", marks=marks)


def _on_slopes(record: Record) -> str:
    """The role of the slope, and its values at the last diagnosis."""
    last, sentences = record.diagnoses[-1], []
    if _is_wasserstein(record):
        sentences.append(
            "The distance is defined with slopes up to 1. A critic with slope K estimates K times as much."
        )
    if np.isfinite(by_slope := number(last.get("estimate_by_slope"))):
        value = significant(by_slope)
        sentences.append(f"The last difference of mean scores, divided by the largest slope, is {value}.")
    if np.isfinite(bound := number(last.get("slope_bound"))):
        sentences.append(f"The norms of the layers bound all slopes by {significant(bound)}.")
    return " ".join(sentences)


def _is_wasserstein(record: Record) -> bool:
    return word(record, "objective").partition(":")[0] == "wasserstein"


def _layers(record: Record) -> Draw | None:
    players: dict[str, dict[str, list[float]]] = {}
    for player, key in (("critic", "layer_gradients"), ("generator", "generator_layer_gradients")):
        measured = [(number(line.get("step")), norms) for line in record.diagnoses if (norms := _floats(line.get(key)))]
        ends = measured[:1] + measured[1:][-1:]
        if ends:
            players[player] = {f"update {step:,.0f}": norms for step, norms in ends}
    return (lambda theme: figures.by_layer(players, theme=theme)) if players else None


def _scores(record: Record) -> tuple[Draw | None, str]:
    """A function that draws the last histogram of scores, and its time as text."""
    for line in reversed(record.diagnoses):
        histogram = line.get("score_histogram")
        counts = histogram if isinstance(histogram, dict) else {}
        edges, real, fake = (_floats(counts.get(name)) for name in ("edges", "real", "fake"))
        if len(edges) == len(real) + 1 == len(fake) + 1 > 1:
            when = f"The histogram is of update {number(line.get('step')):,.0f}."
            return lambda theme, sides=(edges, real, fake): figures.scores(*sides, theme=theme), when
    return None, ""


def _memorised(record: Record) -> Draw | None:
    share, error = (100.0 * series(record.diagnoses, name) for name in ("memorised", "memorised_error"))
    return _lines(record, {"memorised": share, "twice the error": 2.0 * error}, title="memorised samples, %")


def _ratio(record: Record, above: str, below: str, name: str) -> Draw | None:
    """A function that draws the ratio of two distances, which is about 1 for real rows."""
    distances, references = (series(record.diagnoses, key) for key in (above, below))
    with np.errstate(all="ignore"):
        ratio = np.where(references > 0, distances / references, np.nan)
    return _lines(record, {name: ratio}, title=f"{name}, relative to real rows", marks={"": 1.0})


def _floats(value: object) -> list[float]:
    """The value as a list of finite numbers; empty if it is not one."""
    numbers = [number(item) for item in value] if isinstance(value, Sequence) and not isinstance(value, str) else []
    return numbers if np.isfinite(numbers).all() else []
