"""The record in words: what was trained, how far, and how good it is."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from wgan.errors import WganError
from wgan.evaluation.metrics import METRICS, other_numbers
from wgan.figures import median_filtered, median_width
from wgan.report.markup import Html, element, joined
from wgan.report.record import Record, number
from wgan.report.verdicts import title_of, verdict_of
from wgan.settings import Settings
from wgan.trust.nearness import is_blind
from wgan.trust.support import IN_MANY_DIMENSIONS

if TYPE_CHECKING:
    from wgan.objectives import Objective

_EVIDENCE = {
    "training_estimate": "estimate on training rows",
    "held_out_estimate": "estimate on held-out rows",
    "further_estimate": "estimate of a copy trained further",
    "certified": "proven by the critic, Ŵ",
    "without_critic": "proven without a critic",
    "exact": "exact W1",
    "exact_low": "exact W1, from",
    "exact_high": "exact W1, to",
    "exact_floor": "floor of exact W1",
    "sliced": "sliced W1",
    "sliced_floor": "floor of sliced W1",
    "efficiency": "Ŵ divided by exact W1",
    "gap": "gap to optimality",
    "exact_features": "exact W1 of features",
    "exact_features_floor": "floor of exact W1 of features",
    "slope_real": "slope at real rows",
    "slope_fake": "slope at samples",
    "slope_between": "slope between them",
    "slope_climbed": "slope climbed to",
    "slope_bound": "slope that the layers allow",
    "estimate_by_slope": "estimate divided by slope",
    "at_bound": "weights at the bound",
    "step_cosine": "cosine of step and gradient",
    "diversity_samples": "sample to nearest sample",
    "diversity_real": "row to nearest row",
    "coverage": "share of held-out rows reached",
    "off_support": "sample to nearest row looked at",
    "nearest_training": "sample to nearest training row",
    "nearest_held_out": "sample to nearest held-out row",
    "memorised": "share of samples copied",
    "memorised_error": "error of the share copied",
    "training_lead": "lead of training rows in standard errors",
    "curve": "the curve, a median of recent estimates",
    "follows": "rank correlation of curve and distance",
    "proves": "share proven of what nearest neighbours leave",
    "looks": "looks at the critic",
    "exact_over_floor": "exact W1, times its floor",
    "sliced_over_floor": "sliced W1, times its floor",
}


def distance_name(key: str) -> str:
    """A judged distance's name, as a reader would say it."""
    return METRICS[key].title if key in METRICS else key.replace("_", " ")


def distance_unit(record: Record) -> str:
    """The unit of distances between samples, as a title ends with it."""
    codec = _codec(record)
    kind, packing = getattr(codec, "kind", ""), record.settings.get("packing", 1)
    unit = {
        "points": "in units of the data" if has_common_unit(record) else "in standard deviations of each column",
        "table": "in standard deviations, another category counting √2",
        "images": "of pixels from -1 to 1",
    }.get(kind, "as the networks see them")
    return unit if packing == 1 else f"{unit}, in packs of {packing}"


def has_common_unit(record: Record) -> bool:
    """Whether one factor leads from the distances that the networks see to those of the data."""
    return getattr(_codec(record), "unit", None) is not None


def _codec(record: Record) -> Any:  # noqa: ANN401 - the unit is an attribute of some alone
    """The codec that the run stored; None of one that is known no more."""
    from wgan.data import codec_from_state

    try:
        return codec_from_state(record.source["codec"])
    except (WganError, ArithmeticError, LookupError, TypeError, ValueError):
        return None


def evidence_name(key: str) -> str:
    """A measured number's name, as a reader would say it."""
    return _EVIDENCE.get(key, key.replace("_", " "))


def axis_label(record: Record) -> str:
    """What the estimate measures and in which unit, for the curve."""
    from wgan.constraints import CONSTRAINTS

    objective, label = _objective(record), f"estimate of the {_unit(record)}"
    if objective is not None and objective.scale is not None:
        return f"{label}, {objective.scale}"
    try:
        return f"{label}, {CONSTRAINTS.build(word(record, 'constraint')).scale}"
    except WganError:
        return label


def word(record: Record, name: str) -> str:
    """One of the settings that name a row of a table; its default in runs from before there was such a setting."""
    return str(record.settings.get(name, getattr(Settings(), name)))


def _objective(record: Record) -> Objective | None:
    """What the run's players optimised; None of a word that is known no more."""
    from wgan.objectives import OBJECTIVES

    try:
        return OBJECTIVES.build(word(record, "objective"))
    except WganError:
        return None


def _unit(record: Record) -> str:
    objective, packing = _objective(record), record.settings.get("packing", 1)
    unit = "distance" if objective is None else objective.unit
    # Of packs everything is further apart: a curve of them compares with no other.
    return unit if packing == 1 else f"{unit} of packs of {packing}"


def duration(seconds: float) -> str:
    """Seconds as a person says them."""
    minutes, rest = divmod(round(seconds), 60)
    if minutes == 0:
        return f"{rest} s"
    if minutes < 60:
        return f"{minutes} min {rest} s"
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min"


def significant(value: object) -> str:
    """A number to three significant digits, a dash where there is none."""
    read = number(value)
    if not math.isfinite(read):
        return "–"
    if isinstance(value, int) or (read == round(read) and abs(read) < 1e6):
        return f"{read:,.0f}"
    return f"{read:.3g}" if not 1e3 <= abs(read) < 1e6 else f"{read:,.0f}"


def times_floor(line: dict[str, Any], key: str) -> float:
    """A judged distance divided by its floor, NaN where that says nothing."""
    value, floor = number(line.get(key)), number(line.get(f"{key}_floor"))
    return value / floor if floor > 0 else float("nan")


def summary(record: Record) -> Html:
    """The paragraph that a reader in a hurry reads."""
    constraint = element("code", word(record, "constraint"))
    data = str(record.source.get("describe") or record.settings.get("data") or "data of the caller's")
    objective = _objective(record)
    game = "a GAN" if objective is None else objective.title
    kind = (f"This is {game} with the constraint ", constraint, " on its critic")
    text = [*kind, ", trained on ", element("em", data), ". ", _progress(record), _last_estimate(record)]
    last = record.evaluations[-1] if record.evaluations else None
    if last is not None:
        text.append(_judgement(record, last))
    if record.looks:
        text.append(f"Can its loss be believed? {title_of(verdict_of(record))}.")
    return element("p", *text, class_="lead")


def _progress(record: Record) -> str:
    steps = record.settings.get("steps")
    wanted = f" of {steps:,}" if isinstance(steps, int) and steps != record.step else ""
    time = f" in {duration(record.seconds)}" if record.seconds is not None else ""
    updates = "generator update" + "s" * (record.step != 1 or bool(wanted))
    if record.step == 0:
        return "It has made no generator update yet. "
    if record.is_finished:
        early = record.events[-1].get("reason")
        ended = f"ended early: {early}" if early else "finished"
        return f"It made {record.step:,}{wanted} {updates}{time} and {ended}. "
    made = f"It has made {record.step:,}{wanted} {updates}{time}."
    if record.divergence is not None:
        last = record.last_saved
        good = "" if last is None else f" The last good checkpoint is that of update {last:,}."
        return f"{made} Then training diverged, and it ended there.{good} "
    was_stopped = record.last_event == "stopped"
    resume = "It was stopped" if was_stopped else "It is still running, or was cut short,"
    return f"{made} {resume} and can be resumed. "


def _last_estimate(record: Record) -> str:
    _, values = record.estimates
    if len(values) == 0:
        return ""
    width = median_width(len(values))
    over = f" (median of {width} records)" if width > 1 else ""
    last = significant(float(median_filtered(values)[-1]))
    return f"The critic's last estimate of the {_unit(record)} is {last}{over}. "


def is_told_too_little(record: Record) -> bool:
    """Whether samples are judged by an exact distance that cannot tell them from noise."""
    return "w1" in record.distances and bool(record.looks) and is_blind(record.looks[-1])


def _judgement(record: Record, last: dict[str, Any]) -> Html:
    said: list[str] = []
    for place, key in enumerate(record.distances):
        if not math.isfinite(number(last.get(key))):
            continue
        floor, ratio = last.get(f"{key}_floor"), times_floor(last, key)
        beside = f"against a floor of {significant(floor)} between two sets of real ones of that size"
        times = f", {ratio:.2f} times as far" if math.isfinite(ratio) else ""
        between = "between held-out rows and generated ones " if place == 0 else ""
        said.append(f"The {distance_name(key)} {between}is {significant(last[key])}, {beside}{times}. ")
    if said and is_told_too_little(record):
        said.append(f"But {IN_MANY_DIMENSIONS}. ")
    said += [f"{title[0].upper()}{title[1:]}: {text}. " for title, text in other_numbers(last).items()]
    return joined(*said)


def key_numbers(record: Record) -> Html | None:
    """The few numbers that say how good the run is, large."""
    entries: list[tuple[str, str]] = []
    last = record.evaluations[-1] if record.evaluations else {}
    for key in record.distances[:1]:
        entries.append(
            (f"{distance_name(key)}, floor {significant(last.get(f'{key}_floor'))}", significant(last.get(key)))
        )
        if math.isfinite(times_floor(last, key)):
            entries.append(("times the floor", f"{times_floor(last, key):.2f}"))
    entries += other_numbers(last).items()
    entries.append(("generator updates", f"{record.step:,}"))
    if record.seconds is not None:
        entries.append(("of training", duration(record.seconds)))
    cells = [element("div", element("dt", label), element("dd", value)) for label, value in entries]
    return element("dl", cells, class_="numbers") if record.step else None
