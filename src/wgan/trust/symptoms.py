"""The few numbers that a verdict goes by, out of all that was recorded along a run; without torch."""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, TypeAlias

from wgan.trust.nearness import is_blind, number, ratio
from wgan.trust.ranks import rank_correlation
from wgan.trust.thresholds import SLICED_AT_FLOOR

Line: TypeAlias = Mapping[str, Any]
"""A line of a run's record."""

RECENT = 4
"""Looks that a verdict goes by, the latest ones, and no more than half of all: one look alone has its noise, and what a
run did long before is past."""

MEANING: dict[str, str] = {
    "exact_over_floor": "exact W1 over its floor (sliced W1, where the exact one is too expensive)",
    "exact_over_best": "exact W1 over the least that it was before the recent looks",
    "negative": "share of recent looks whose held-out estimate is not above 0",
    "rise": "rise of the held-out estimate in a copy of the critic that is trained further, over the larger of the two",
    "overfitting": "training estimate less held-out estimate, over the larger of the two",
    "training_lead": "lead of training rows over held-out rows in the critic's scores, in standard errors",
    "slope": "largest slope of the critic, in its units over those of the samples",
    "slope_at_samples": "largest slope of the critic at samples",
    "at_bound": "share of the critic's weights at the bound",
    "step_cosine": "cosine between the critic's step and its negative gradient",
    "coverage": "share of held-out rows around which there are samples",
    "off_support_over_exact": "mean distance from a sample to the nearest row, over exact W1",
    "memorised": "share of samples nearer to training rows than chance would have them",
    "memorised_error": "standard error of that share where nothing is copied",
    "efficiency": "share of exact W1 that the critic proves",
    "sliced_over_floor": "sliced W1 over its floor",
    "looks": "looks at the critic along the run",
    "compared": "looks at which both the curve and a distance are known",
    "follows": "rank correlation of the critic's estimate with the distance, over all looks",
    "proves": "share that the critic proves of what nearest neighbours leave of exact W1, over all looks off the floor",
}
"""What each symptom is; each is the median over the recent looks, unless it says otherwise."""


def looks_of(lines: Iterable[Line]) -> list[Line]:
    """The lines that carry evidence, in order."""
    return [line for line in lines if number(line, "held_out_estimate") is not None]


def symptoms(looks: Sequence[Line]) -> dict[str, float]:
    """Numbers by the names of `MEANING`; what the record does not tell is left out.

    Args:
        looks: Lines with evidence, in order, at least one.
    """
    num = min(RECENT, max(1, len(looks) // 2))
    recent, before = looks[-num:], looks[:-num]
    exact = _median(recent, lambda line: number(line, "exact"))
    earlier = [value for line in before if (value := number(line, "exact")) is not None]
    signs = [float(value <= 0) for line in recent if (value := number(line, "held_out_estimate")) is not None]
    pairs = _pairs(looks)
    found = {
        "exact_over_floor": _median(recent, _over_floor),
        "exact_over_best": exact / min(earlier) if exact is not None and earlier and min(earlier) > 0 else None,
        "negative": statistics.fmean(signs),
        "rise": _median(recent, lambda line: _excess(line, "further_estimate", "held_out_estimate")),
        "overfitting": _median(recent, lambda line: _excess(line, "training_estimate", "held_out_estimate")),
        "slope": _median(recent, lambda line: number(line, "slope_climbed")),
        "slope_at_samples": _median(recent, lambda line: number(line, "slope_fake")),
        "off_support_over_exact": _median(recent, lambda line: ratio(line, "off_support", "exact")),
        "sliced_over_floor": _median(recent, lambda line: ratio(line, "sliced", "sliced_floor")),
        "looks": float(len(looks)),
        "compared": float(len(pairs)) if pairs else None,
        "follows": _follows(pairs),
        "proves": _median(looks, _proven),
    }
    for name in ("training_lead", "at_bound", "step_cosine", "coverage", "memorised", "memorised_error", "efficiency"):
        found[name] = _median(recent, lambda line, name=name: number(line, name))  # type: ignore[misc]
    return {name: found[name] for name in MEANING if found[name] is not None}  # type: ignore[misc]


def _median(looks: Sequence[Line], of: Callable[[Line], float | None]) -> float | None:
    found = [value for line in looks if (value := of(line)) is not None]
    return statistics.median(found) if found else None


def _over_floor(line: Line) -> float | None:
    of_exact = ratio(line, "exact", "exact_floor")
    return ratio(line, "sliced", "sliced_floor") if of_exact is None else of_exact


def _pairs(looks: Sequence[Line]) -> list[tuple[float, float]]:
    """The curve and a distance that can tell samples from rows, at the looks where both are known.

    Looks whose distance cannot be told from its floor share a rank: what differs between them is noise.
    """
    can_tell = [line for line in looks if number(line, "exact") is not None and not is_blind(line)]
    name = "exact" if 2 * len(can_tell) > len(looks) else "sliced"
    return [
        (curve, distance)
        for line in looks
        if (curve := _curve(line)) is not None and (distance := _held_to_floor(line, name)) is not None
    ]


def _follows(pairs: Sequence[tuple[float, float]]) -> float | None:
    """The rank correlation of the curve with the distance; None where there are too few pairs."""
    found = rank_correlation([curve for curve, _ in pairs], [distance for _, distance in pairs])
    return None if math.isnan(found) else found


def _curve(line: Line) -> float | None:
    """What the curve shows at a look: a median of recent estimates, or, in earlier records, that of the last update."""
    known = (number(line, name) for name in ("curve", "estimate", "training_estimate"))
    return next((shown for shown in known if shown is not None), None)


def _held_to_floor(line: Line, name: str) -> float | None:
    """A distance; its floor, where it cannot be told from that."""
    distance, floor, low = (number(line, key) for key in (name, f"{name}_floor", f"{name}_low"))
    if distance is None or floor is None:
        return distance
    if name == "sliced":
        return floor if distance <= SLICED_AT_FLOOR * floor else distance
    return floor if (distance if low is None else low) <= floor else distance


def _proven(line: Line) -> float | None:
    """The share that the critic proves of what nearest neighbours leave; None where the distance is at its floor."""
    certified, alone, exact = (number(line, name) for name in ("certified", "without_critic", "exact"))
    if certified is None or alone is None or exact is None or exact <= alone:
        return None
    if _held_to_floor(line, "exact") == number(line, "exact_floor"):
        return None
    return (certified - alone) / (exact - alone)


def _excess(line: Line, first: str, second: str) -> float | None:
    """(first - second) over the larger in size; 0 of two zeros."""
    a, b = number(line, first), number(line, second)
    if a is None or b is None:
        return None
    size = max(abs(a), abs(b))
    return (a - b) / size if size > 0 else 0.0
