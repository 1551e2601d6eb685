"""The estimate and the evaluated distances against generator updates."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike

from wgan.figures.canvas import LIGHT, PAGE_WIDTH, Floats, Theme, blank, style

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

PAPER_WIDTH = 101
_MAX_VERTICES = 1_500


@dataclass(frozen=True, kw_only=True)
class EvaluatedDistance:
    """A distance between samples and held-out data along a run, and its floor.

    Attributes:
        label: Name of the distance.
        steps: Generator updates at the evaluations, shape (K,).
        values: The distances, shape (K,).
        floors: Distance between two sets of real samples of that size, shape (K,); NaN where it is unknown.
    """

    label: str
    steps: Floats
    values: Floats
    floors: Floats


def median_width(num: int) -> int:
    """The width of the median filter for a curve of `num` points: the paper's 101, or a tenth of the points; odd."""
    width = min(PAPER_WIDTH, num // 10)
    return max(1, width - (width % 2 == 0))


def median_filtered(values: Floats) -> Floats:
    """Apply a median filter of `median_width`, mirrored at the ends.

    Args:
        values: Shape (K,).

    Returns:
        Shape (K,).

    Source:
        Arjovsky, Chintala and Bottou (2017), figures 3 and 4: "the curves were passed through a median filter".
    """
    from scipy.ndimage import median_filter

    return np.asarray(median_filter(values, size=median_width(len(values)), mode="reflect"), dtype=np.float64)


def curve(
    steps: ArrayLike,
    estimate: ArrayLike,
    *,
    unit: str,
    distances: Sequence[EvaluatedDistance] = (),
    theme: Theme = LIGHT,
) -> Figure:
    """Draw the estimate against generator updates, raw and through the median filter.

    Args:
        steps: Generator updates, shape (K,).
        estimate: The objective's estimate, shape (K,); points that are not finite are omitted.
        unit: What the estimate measures, and its unit.
        distances: Evaluated distances, each drawn in a panel below.
        theme: Colours.
    """
    at, values = np.asarray(steps, dtype=np.float64), np.asarray(estimate, dtype=np.float64)
    at, values = at[np.isfinite(values)], values[np.isfinite(values)]
    heights = [2.6] + [1.7] * len(distances)
    with style(theme):
        figure = blank(PAGE_WIDTH, sum(heights) + 0.45 * len(heights))
        panels: list[Axes] = list(
            figure.subplots(len(heights), 1, sharex=True, squeeze=False, gridspec_kw={"height_ratios": heights})[:, 0]
        )
        draw_estimate(panels[0], at, values, theme.generated, theme)
        panels[0].set_title(unit)
        for panel, measured in zip(panels[1:], distances, strict=True):
            _draw_distance(panel, measured, theme)
        last = max([*at[-1:], *(step for measured in distances for step in measured.steps[-1:]), 0.0])
        panels[-1].set_xlim(0, last * 1.01 or 1.0)
        panels[-1].locator_params(axis="x", integer=True)
        panels[-1].set_xlabel("generator updates")
        panels[-1].xaxis.set_major_formatter(lambda value, _: f"{value:,.0f}")
    return figure


def draw_estimate(panel: Axes, at: Floats, values: Floats, colour: str, theme: Theme) -> None:
    """Draw an estimate against generator updates, raw and through the median filter."""
    panel.grid(axis="y")
    if len(values) == 0:
        panel.text(0.5, 0.5, "nothing recorded yet", transform=panel.transAxes, ha="center", color=theme.faint)
        panel.set_yticks([])
        return
    width = median_width(len(values))
    if width == 1:
        marker = {"marker": "o", "markersize": 3.0} if len(values) < 30 else {}
        panel.plot(at, values, color=colour, linewidth=1.4, label="every record", **marker)  # type: ignore[arg-type]
        smooth = values
    else:
        smooth = median_filtered(values)
        panel.plot(*_thinned(at, values), color=colour, alpha=0.3, linewidth=0.7, label="every record")
        panel.plot(*_thinned(at, smooth), color=colour, linewidth=1.7, label=f"median of {width} records")
    low, high = np.percentile(values, [0.5, 99.5])
    low, high = min(low, smooth.min(), 0.0), max(high, smooth.max(), 0.0)
    margin = 0.06 * (high - low) or 1.0
    panel.set_ylim(low - (margin if low < 0 else 0.0), high + margin)
    if low < 0:
        panel.axhline(0, color=theme.faint, linewidth=0.6)
    panel.legend(loc="best", ncols=2)


def _draw_distance(panel: Axes, evaluated: EvaluatedDistance, theme: Theme) -> None:
    panel.grid(axis="y")
    panel.set_title(evaluated.label)
    steps, dashes = evaluated.steps, (0, (4, 3))
    panel.plot(
        steps, evaluated.values, color=theme.distance, linewidth=1.2, marker="o", markersize=3.6, label="samples"
    )
    floors = evaluated.floors[np.isfinite(evaluated.floors)]
    if len(floors):
        label = "floor: two sets of real samples"
        panel.plot(steps, evaluated.floors, color=theme.faint, linewidth=1.1, linestyle=dashes, label=label)
        if len(floors) == 1:
            panel.axhline(floors[0], color=theme.faint, linewidth=1.1, linestyle=dashes)
    values = np.concatenate([evaluated.values[np.isfinite(evaluated.values)], floors])
    if len(values) and values.min() > 0 and values.max() > 12 * values.min():
        panel.set_yscale("log")
        panel.yaxis.set_major_formatter(lambda value, _: f"{value:g}")
        panel.yaxis.set_minor_formatter(lambda value, _: "")
    elif len(values) and values.min() >= 0:
        panel.set_ylim(0, values.max() * 1.12 or 1.0)
    panel.legend(loc="best", ncols=2)


def _thinned(at: Floats, values: Floats) -> tuple[Floats, Floats]:
    """A curve of many points reduced to the minimum and maximum of each short interval, which looks the same."""
    if len(values) <= 2 * _MAX_VERTICES:
        return at, values
    kept: list[int] = []
    for part in np.array_split(np.arange(len(values)), _MAX_VERTICES):
        kept.extend(sorted({int(part[values[part].argmin()]), int(part[values[part].argmax()])}))
    return at[kept], values[kept]
