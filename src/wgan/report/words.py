"""Names, units and number formats for readers of a run's record."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from wgan.errors import WganError
from wgan.report.record import Record, number
from wgan.settings import Settings
from wgan.trust.nearness import is_blind

if TYPE_CHECKING:
    from wgan.objectives import Objective

_NAMES = {"w1": "exact W1", "w1_sliced": "sliced W1", "sliced_w1": "sliced W1 of the pixels"}
_KERNEL = "kernel_distance_"
_EVIDENCE = {
    "training_estimate": "estimate on training rows",
    "held_out_estimate": "estimate on held-out rows",
    "further_estimate": "estimate of a copy trained further",
    "certified": "lower bound by the critic, Ŵ",
    "without_critic": "lower bound without a critic",
    "exact": "exact W1",
    "exact_low": "exact W1, lower limit",
    "exact_high": "exact W1, upper limit",
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
    "slope_climbed": "largest slope found by ascent",
    "slope_bound": "bound on the slope by the layers",
    "estimate_by_slope": "estimate divided by slope",
    "at_bound": "weights at the bound",
    "step_cosine": "cosine of step and descent",
    "diversity_samples": "sample to nearest sample",
    "diversity_real": "row to nearest row",
    "coverage": "coverage of held-out rows",
    "off_support": "sample to nearest row",
    "nearest_training": "sample to nearest training row",
    "nearest_held_out": "sample to nearest held-out row",
    "memorised": "share of memorised samples",
    "memorised_error": "error of that share",
    "training_lead": "excess on training rows in standard errors",
    "curve": "curve, median of recent estimates",
    "follows": "rank correlation of curve and distance",
    "proves": "efficiency beyond nearest neighbours",
    "looks": "diagnoses of the critic",
    "exact_over_floor": "exact W1, ratio to its floor",
    "sliced_over_floor": "sliced W1, ratio to its floor",
}


def distance_name(key: str) -> str:
    """The name of an evaluated distance."""
    if key.startswith(_KERNEL):
        return f"kernel distance, features of {key.removeprefix(_KERNEL)}"
    return _NAMES.get(key, key.replace("_", " "))


def distance_unit(record: Record) -> str:
    """The unit of distances between samples, as the end of a title."""
    codec = _codec(record)
    kind, packing = getattr(codec, "kind", ""), record.settings.get("packing", 1)
    unit = {
        "points": "in units of the data" if has_common_unit(record) else "in standard deviations of each column",
        "table": "in standard deviations, a change of category counting √2",
        "images": "of pixels from -1 to 1",
    }.get(kind, "in the units of the networks")
    return unit if packing == 1 else f"{unit}, in packs of {packing}"


def has_common_unit(record: Record) -> bool:
    """Whether distances in the networks' units are those of the data up to one factor."""
    return getattr(_codec(record), "unit", None) is not None


def _codec(record: Record) -> Any:  # noqa: ANN401 - only some codecs have a unit
    """The codec that the run stored; None if it cannot be read."""
    from wgan.data import codec_from_state

    try:
        return codec_from_state(record.source["codec"])
    except (WganError, ArithmeticError, LookupError, TypeError, ValueError):
        return None


def evidence_name(key: str) -> str:
    """The name of a measured number."""
    return _EVIDENCE.get(key, key.replace("_", " "))


def axis_label(record: Record) -> str:
    """What the estimate measures, and its unit: the label of the curve's axis."""
    from wgan.constraints import CONSTRAINTS

    objective, label = objective_of(record), f"estimate of the {unit_of(record)}"
    if objective is not None and objective.scale is not None:
        return f"{label}, {objective.scale}"
    try:
        return f"{label}, {CONSTRAINTS.build(word(record, 'constraint')).scale}"
    except WganError:
        return label


def word(record: Record, name: str) -> str:
    """A setting that names a registered part, or its default in runs without that setting."""
    return str(record.settings.get(name, getattr(Settings(), name)))


def objective_of(record: Record) -> Objective | None:
    """The objective of the run; None if it is not registered."""
    from wgan.objectives import OBJECTIVES

    try:
        return OBJECTIVES.build(word(record, "objective"))
    except WganError:
        return None


def unit_of(record: Record) -> str:
    """The distance or divergence that the objective estimates."""
    objective, packing = objective_of(record), record.settings.get("packing", 1)
    unit = "distance" if objective is None else objective.unit
    # Distances between packs are larger: their curves cannot be compared with others.
    return unit if packing == 1 else f"{unit} of packs of {packing}"


def duration(seconds: float) -> str:
    """A duration as text."""
    minutes, rest = divmod(round(seconds), 60)
    if minutes == 0:
        return f"{rest} s"
    if minutes < 60:
        return f"{minutes} min {rest} s"
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min"


def significant(value: object) -> str:
    """A number to three significant digits, or a dash if it is not finite."""
    read = number(value)
    if not math.isfinite(read):
        return "–"
    if isinstance(value, int) or (read == round(read) and abs(read) < 1e6):
        return f"{read:,.0f}"
    return f"{read:.3g}" if not 1e3 <= abs(read) < 1e6 else f"{read:,.0f}"


def times_floor(line: dict[str, Any], key: str) -> float:
    """A distance divided by its floor; NaN unless the floor is positive."""
    value, floor = number(line.get(key)), number(line.get(f"{key}_floor"))
    return value / floor if floor > 0 else float("nan")


def is_uninformative(record: Record) -> bool:
    """Whether the exact distance of the evaluations cannot tell samples from noise."""
    return "w1" in record.distances and bool(record.looks) and is_blind(record.looks[-1])
