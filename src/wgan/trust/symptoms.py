"""The symptoms that a verdict depends on, computed from recorded evidence; without torch.

A line of the record that carries evidence is a diagnosis. To add a symptom, add a row to `SYMPTOMS` and use it in a
rule of `wgan.trust.faults`.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

from wgan.trust import evidence
from wgan.trust.spearman import rank_correlation
from wgan.trust.thresholds import AT_FLOOR, OFF_FLOOR, SLICED_AT_FLOOR, UNINFORMATIVE

Line: TypeAlias = Mapping[str, Any]
"""A line of a run's record."""

RECENT = 4
"""Number of the latest diagnoses that a median is over, but no more than half of all: a single diagnosis is noisy."""

Compute: TypeAlias = Callable[[Sequence[Line]], float | None]


@dataclass(frozen=True, kw_only=True)
class Symptom:
    """A number that is computed from the diagnoses of a run.

    Attributes:
        label: Its name in the report.
        meaning: What it is.
        compute: From all diagnoses, in order, at least one, to the number; None where it is not known.
    """

    label: str
    meaning: str
    compute: Compute


def number(line: Line, name: str) -> float | None:
    """A finite number of a line; None if there is none."""
    value = line.get(name)
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        return None
    return float(value)


def ratio(line: Line, numerator: str, denominator: str) -> float | None:
    """The ratio of two numbers of a line; None unless both are known and the denominator is positive."""
    first, second = number(line, numerator), number(line, denominator)
    return first / second if first is not None and second is not None and second > 0 else None


def is_uninformative(line: Line) -> bool:
    """Whether the exact W1 of a diagnosis cannot tell samples from noise.

    In many dimensions a point is about as far from its nearest neighbour as from all others. Then the floor is nearly
    the whole distance, and so is the lower bound without a critic. Noise is hardly farther from held-out rows than real
    rows are, and samples that vary too little can even be nearer.
    """
    neighbours, over_floor = ratio(line, "without_critic", "exact"), ratio(line, "exact", "exact_floor")
    return neighbours is not None and over_floor is not None and neighbours >= UNINFORMATIVE and over_floor < OFF_FLOOR


def is_near(line: Line) -> bool | None:
    """Whether samples are as near to held-out rows as other real rows are.

    Args:
        line: A diagnosis, with distances and their floors.

    Returns:
        None if no distance of the diagnosis is informative.
    """
    exact, sliced = ratio(line, "exact", "exact_floor"), ratio(line, "sliced", "sliced_floor")
    low, floor = number(line, "exact_low"), number(line, "exact_floor")
    if exact is not None and (exact >= AT_FLOOR or (low is not None and floor is not None and low > floor)):
        return False
    if sliced is not None:
        return sliced <= SLICED_AT_FLOOR
    is_known = exact is not None and number(line, "without_critic") is not None and not is_uninformative(line)
    return True if is_known else None


def diagnoses_of(lines: Iterable[Line]) -> list[Line]:
    """The lines that carry evidence, in order."""
    return [line for line in lines if number(line, "held_out_estimate") is not None]


def symptoms(diagnoses: Sequence[Line]) -> dict[str, float]:
    """The symptoms of a run by their names in `SYMPTOMS`, without those that are not known.

    Args:
        diagnoses: Lines with evidence, in order, at least one.
    """
    found = {name: symptom.compute(diagnoses) for name, symptom in SYMPTOMS.items()}
    return {name: value for name, value in found.items() if value is not None}


def _split(diagnoses: Sequence[Line]) -> tuple[Sequence[Line], Sequence[Line]]:
    """The earlier diagnoses and the recent ones."""
    num = min(RECENT, max(1, len(diagnoses) // 2))
    return diagnoses[:-num], diagnoses[-num:]


def _median(diagnoses: Sequence[Line], of: Callable[[Line], float | None]) -> float | None:
    found = [value for line in diagnoses if (value := of(line)) is not None]
    return statistics.median(found) if found else None


def _recent(of: Callable[[Line], float | None]) -> Compute:
    """The median over the recent diagnoses."""
    return lambda diagnoses: _median(_split(diagnoses)[1], of)


def _recent_number(name: str) -> Compute:
    return _recent(lambda line: number(line, name))


def _over_floor(line: Line) -> float | None:
    over_floor = ratio(line, "exact", "exact_floor")
    return ratio(line, "sliced", "sliced_floor") if over_floor is None else over_floor


def _over_best(diagnoses: Sequence[Line]) -> float | None:
    exact = _recent_number("exact")(diagnoses)
    earlier = [value for line in _split(diagnoses)[0] if (value := number(line, "exact")) is not None]
    return exact / min(earlier) if exact is not None and earlier and min(earlier) > 0 else None


def _negative(diagnoses: Sequence[Line]) -> float:
    recent = _split(diagnoses)[1]
    return statistics.fmean(
        float(value <= 0) for line in recent if (value := number(line, "held_out_estimate")) is not None
    )


def _excess(first: str, second: str) -> Compute:
    """(first - second) over the larger in absolute value, and 0 if both are 0: the median over recent diagnoses."""

    def of(line: Line) -> float | None:
        a, b = number(line, first), number(line, second)
        if a is None or b is None:
            return None
        size = max(abs(a), abs(b))
        return (a - b) / size if size > 0 else 0.0

    return _recent(of)


def _pairs(diagnoses: Sequence[Line]) -> list[tuple[float, float]]:
    """The curve and an informative distance, at the diagnoses where both are known.

    Distances that do not differ from their floor are set to it, so that they share a rank: their differences are
    noise.
    """
    informative = [line for line in diagnoses if number(line, "exact") is not None and not is_uninformative(line)]
    name = "exact" if 2 * len(informative) > len(diagnoses) else "sliced"
    return [
        (curve, distance)
        for line in diagnoses
        if (curve := _curve(line)) is not None and (distance := _at_least_floor(line, name)) is not None
    ]


def _compared(diagnoses: Sequence[Line]) -> float | None:
    return float(len(_pairs(diagnoses))) or None


def _follows(diagnoses: Sequence[Line]) -> float | None:
    pairs = _pairs(diagnoses)
    found = rank_correlation([curve for curve, _ in pairs], [distance for _, distance in pairs])
    return None if math.isnan(found) else found


def _curve(line: Line) -> float | None:
    """The curve at a diagnosis: a median of recent estimates, or the last estimate in records of earlier versions."""
    known = (number(line, name) for name in ("curve", "estimate", "training_estimate"))
    return next((value for value in known if value is not None), None)


def _at_least_floor(line: Line, name: str) -> float | None:
    """A distance, or its floor if the two do not differ."""
    distance, floor, low = (number(line, key) for key in (name, f"{name}_floor", f"{name}_low"))
    if distance is None or floor is None:
        return distance
    if name == "sliced":
        return floor if distance <= SLICED_AT_FLOOR * floor else distance
    return floor if (distance if low is None else low) <= floor else distance


def _proven(line: Line) -> float | None:
    """(Ŵ - bound without a critic) / (exact W1 - that bound); None if the distance is at its floor."""
    certified, neighbours, exact = (number(line, name) for name in ("certified", "without_critic", "exact"))
    if certified is None or neighbours is None or exact is None or exact <= neighbours:
        return None
    if _at_least_floor(line, "exact") == number(line, "exact_floor"):
        return None
    return (certified - neighbours) / (exact - neighbours)


def _from_evidence(name: str) -> Symptom:
    """The median of a number of the evidence over the recent diagnoses."""
    field = evidence.FIELDS[name]
    return Symptom(label=field["label"], meaning=field["meaning"], compute=_recent_number(name))


SYMPTOMS: dict[str, Symptom] = {
    "exact_over_floor": Symptom(
        label="exact W1, ratio to its floor",
        meaning="Exact W1 over its floor, or sliced W1 over its floor where the exact one is too expensive.",
        compute=_recent(_over_floor),
    ),
    "exact_over_best": Symptom(
        label="exact W1, ratio to the least before",
        meaning="Exact W1 over its least value before the recent diagnoses.",
        compute=_over_best,
    ),
    "negative": Symptom(
        label="share of estimates not above 0",
        meaning="Share of the recent diagnoses whose held-out estimate is not above 0.",
        compute=_negative,
    ),
    "rise": Symptom(
        label="rise of the estimate in a copy trained further",
        meaning="Estimate of a copy trained further less the held-out estimate, over the larger of the two.",
        compute=_excess("further_estimate", "held_out_estimate"),
    ),
    "overfitting": Symptom(
        label="share of the estimate missing on held-out rows",
        meaning="Training estimate less held-out estimate, over the larger of the two.",
        compute=_excess("training_estimate", "held_out_estimate"),
    ),
    "training_lead": _from_evidence("training_lead"),
    "slope": Symptom(
        label="largest slope", meaning="Largest slope of the critic.", compute=_recent_number("slope_climbed")
    ),
    "slope_at_samples": Symptom(
        label="largest slope at samples",
        meaning="Largest slope of the critic at samples.",
        compute=_recent_number("slope_fake"),
    ),
    **{name: _from_evidence(name) for name in ("at_bound", "step_cosine", "coverage")},
    "off_support_over_exact": Symptom(
        label="sample to nearest row, ratio to exact W1",
        meaning="Mean distance from a sample to the nearest row, over exact W1.",
        compute=_recent(lambda line: ratio(line, "off_support", "exact")),
    ),
    **{name: _from_evidence(name) for name in ("memorised", "memorised_error", "efficiency")},
    "sliced_over_floor": Symptom(
        label="sliced W1, ratio to its floor",
        meaning="Sliced W1 over its floor.",
        compute=_recent(lambda line: ratio(line, "sliced", "sliced_floor")),
    ),
    "looks": Symptom(
        label="diagnoses of the critic",
        meaning="Number of diagnoses along the run.",
        compute=lambda diagnoses: float(len(diagnoses)),
    ),
    "compared": Symptom(
        label="diagnoses with a curve and a distance",
        meaning="Number of diagnoses at which both the curve and an informative distance are known.",
        compute=_compared,
    ),
    "follows": Symptom(
        label="rank correlation of curve and distance",
        meaning="Rank correlation of the critic's estimate with the distance, over all diagnoses.",
        compute=_follows,
    ),
    "proves": Symptom(
        label="efficiency beyond nearest neighbours",
        meaning="(Ŵ - lower bound without a critic) over (exact W1 - that bound): the median over all diagnoses with a "
        "distance above its floor.",
        compute=lambda diagnoses: _median(diagnoses, _proven),
    ),
}
"""Name to symptom. Each is the median over the recent diagnoses unless its meaning says otherwise."""


def label_of(name: str) -> str:
    """The label of a symptom in the report; its name for a symptom of another version."""
    return SYMPTOMS[name].label if name in SYMPTOMS else name.replace("_", " ")
