"""The numbers that a diagnosis of the critic records, each declared once with its label, unit and meaning.

To add a number, declare a field of `Evidence` and compute it in `wgan.trust.evaluator`. The record, the report and
docs/reference.md read it from here. This module does not import torch.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

_ESTIMATE, _DATA, _FEATURES = "objective's unit", "unit of the data", "unit of the features"
_SHARE, _SLOPE, _LOSS = "share", "score per unit of the network's samples", "loss per unit of the layer's output"


def _number(
    label: str,
    unit: str,
    meaning: str,
    *,
    default: Any = None,  # noqa: ANN401 - of any number
    panel: bool = False,
) -> Any:  # noqa: ANN401 - as `dataclasses.field`
    """Declare a number of the evidence.

    Args:
        label: Its name in the report.
        unit: Its unit.
        meaning: What it is, as a sentence.
        default: Its value where it cannot be computed; `dataclasses.MISSING` for a number that always can.
        panel: Whether the report draws it in a separate panel, which a number needs that no other figure shows.
    """
    return dataclasses.field(
        default=default, metadata={"label": label, "unit": unit, "meaning": meaning, "panel": panel}
    )


@dataclass(frozen=True, kw_only=True)
class Evidence:
    """Numbers on the critic's estimate after some update; None for one that cannot be computed.

    The metadata of a field holds its label, unit and meaning. They are listed in docs/reference.md.
    """

    training_estimate: float = _number(
        "estimate on training rows",
        _ESTIMATE,
        "The objective's estimate from training rows and samples.",
        default=dataclasses.MISSING,
    )
    held_out_estimate: float = _number(
        "estimate on held-out rows",
        _ESTIMATE,
        "The objective's estimate from held-out rows and samples. The training estimate exceeds it by what the critic "
        "has memorised.",
        default=dataclasses.MISSING,
    )
    further_estimate: float | None = _number(
        "estimate of a copy trained further",
        _ESTIMATE,
        "The held-out estimate of a copy of the critic that was trained further against the same generator.",
    )
    certified: float | None = _number(
        "lower bound by the critic, Ŵ",
        _DATA,
        "A lower bound on W1 between held-out rows and samples. It follows from the critic's scores for any "
        "critic's slope.",
    )
    without_critic: float | None = _number(
        "lower bound without a critic",
        _DATA,
        "The same bound from constant scores: it follows from distances to nearest neighbours.",
    )
    exact: float | None = _number("exact W1", _DATA, "W1 between held-out rows and samples.")
    exact_low: float | None = _number("exact W1, lower limit", _DATA, "Lower limit of the 95 % interval of `exact`.")
    exact_high: float | None = _number("exact W1, upper limit", _DATA, "Upper limit of the 95 % interval of `exact`.")
    exact_floor: float | None = _number(
        "floor of exact W1",
        _DATA,
        "W1 between held-out rows and as many training rows. Samples under the conditions of the held-out rows can be "
        "nearer than that.",
    )
    sliced: float | None = _number(
        "sliced W1",
        _DATA,
        "Sliced W1 between held-out rows and samples. It is computed in many dimensions, where the exact distance "
        "hardly tells samples from noise, and where the exact distance is too expensive.",
    )
    sliced_floor: float | None = _number(
        "floor of sliced W1", _DATA, "Sliced W1 between held-out rows and as many training rows."
    )
    efficiency: float | None = _number("Ŵ divided by exact W1", _SHARE, "`certified` over `exact`.")
    gap: float | None = _number(
        "gap to optimality",
        _SHARE,
        "1 - `certified` over the lower bound of the copy trained further, on the same rows and samples. Where `exact` "
        "is no larger than its floor, both bounds are noise, and so is the gap.",
    )
    exact_features: float | None = _number(
        "exact W1 of features",
        _FEATURES,
        "W1 between held-out rows and samples in the features of a network, if requested.",
    )
    exact_features_floor: float | None = _number(
        "floor of exact W1 of features", _FEATURES, "The same between held-out and training rows."
    )
    slope_real: float | None = _number(
        "slope at real rows", _SLOPE, "Largest norm of the critic's gradient at held-out rows."
    )
    slope_fake: float | None = _number(
        "slope at samples", _SLOPE, "Largest norm of the critic's gradient at generated samples."
    )
    slope_between: float | None = _number(
        "slope between them", _SLOPE, "Largest norm of the critic's gradient at points between rows and samples."
    )
    slope_climbed: float | None = _number(
        "largest slope found by ascent",
        _SLOPE,
        "Largest norm of the critic's gradient found by gradient ascent from the steepest of these points.",
    )
    slope_bound: float | None = _number(
        "bound on the slope by the layers", _SLOPE, "Product of the layers' norms, an upper bound on every slope."
    )
    estimate_by_slope: float | None = _number(
        "estimate divided by slope",
        _DATA,
        "Mean score of held-out rows less that of samples, divided by `slope_climbed`: at most W1 if no slope is "
        "larger.",
    )
    layer_gradients: tuple[float, ...] = _number(
        "gradients at the critic's layers",
        _LOSS,
        "Mean norm of the gradient of the critic's loss with respect to each layer's output for one sample, from the "
        "first layer to the last.",
        default=(),
    )
    generator_layer_gradients: tuple[float, ...] = _number(
        "gradients at the generator's layers", _LOSS, "The same for the generator and its loss.", default=()
    )
    at_bound: float | None = _number(
        "weights at the bound", _SHARE, "Share of the critic's weights at the bound that they are clipped to."
    )
    step_cosine: float | None = _number(
        "cosine of step and descent",
        "-1 to 1",
        "Cosine between the critic's next step and its negative gradient; positive for an optimiser without momentum.",
    )
    score_histogram: dict[str, list[float]] | None = _number(  # noqa: RUF009 - a field
        "histogram of scores", "edges and counts", "Histogram of the critic's scores of held-out rows and of samples."
    )
    diversity_samples: float | None = _number(
        "sample to nearest sample", _DATA, "Mean distance from a sample to the nearest other sample."
    )
    diversity_real: float | None = _number(
        "row to nearest row", _DATA, "Mean distance from a held-out row to the nearest other one."
    )
    coverage: float | None = _number(
        "coverage of held-out rows",
        _SHARE,
        "Share of the held-out rows that have samples around them. The generator has lost the rest.",
    )
    off_support: float | None = _number(
        "sample to nearest row", _DATA, "Mean distance from a sample to the nearest held-out row of the diagnosis."
    )
    nearest_training: float | None = _number(
        "sample to nearest training row",
        _DATA,
        "Mean distance from a sample to the nearest of some training rows. Only for a finite data set.",
    )
    nearest_held_out: float | None = _number(
        "sample to nearest held-out row",
        _DATA,
        "Mean distance from a sample to the nearest of as many held-out rows.",
    )
    memorised: float | None = _number(
        "share of memorised samples",
        _SHARE,
        "Share of the samples that are nearer to training rows than chance explains, among up to some ten thousand "
        "training rows.",
    )
    memorised_error: float | None = _number(
        "error of that share", _SHARE, "Standard error of `memorised` for a generator that has memorised nothing."
    )
    training_lead: float | None = _number(
        "excess on training rows in standard errors",
        "standard errors",
        "Mean score of training rows less that of held-out rows, in standard errors: what the critic has memorised, "
        "whatever the unit of its estimate.",
    )

    def numbers(self) -> dict[str, object]:
        """The evidence by name, as plain JSON; without numbers that are None, empty or not finite."""
        found: dict[str, object] = {}
        for field in dataclasses.fields(self):
            value = getattr(self, field.name)
            if value not in (None, ()) and _is_finite(value):
                found[field.name] = list(value) if isinstance(value, tuple) else value
        return found


FIELDS: dict[str, Mapping[str, Any]] = {field.name: field.metadata for field in dataclasses.fields(Evidence)}
"""Name in the record to the label, unit and meaning of a number, and whether it has a panel."""


def _is_finite(value: object) -> bool:
    """Whether all numbers in plain JSON are finite."""
    if isinstance(value, dict):
        return all(map(_is_finite, value.values()))
    if isinstance(value, list | tuple):
        return all(map(_is_finite, value))
    return not isinstance(value, float) or math.isfinite(value)
