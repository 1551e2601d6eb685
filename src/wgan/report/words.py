"""Names, units and number formats for readers of a run's record."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from wgan.errors import WganError
from wgan.evaluation.metrics import METRICS
from wgan.report.record import Record, number
from wgan.settings import Settings
from wgan.trust import symptoms

if TYPE_CHECKING:
    from wgan.objectives import Objective


def distance_name(key: str) -> str:
    """The name of an evaluated distance."""
    return METRICS[key].title if key in METRICS else key.replace("_", " ")


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
    return "w1" in record.distances and bool(record.diagnoses) and symptoms.is_uninformative(record.diagnoses[-1])
