"""The curve of the estimate and the distances judged beside it, against generator updates."""

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
class Judged:
    """A distance measured now and then against held-out data, and its floor.

    Attributes:
        label: What was measured.
        steps: Generator updates at which it was, shape (K,).
        values: The distances, shape (K,).
        floors: What two sets of real samples of that size are apart, shape (K,); NaN where it is unknown.
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
    """Pass a curve through a median filter of `median_width`, mirrored at its ends.

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
    steps: ArrayLike, estimate: ArrayLike, *, unit: str, judged: Sequence[Judged] = (), theme: Theme = LIGHT
) -> Figure:
    """Draw the estimate against generator updates, faint as it came and strong through the median filter.

    Args:
        steps: Generator updates, shape (K,).
        estimate: The objective's estimate, shape (K,); points that are not finite are left out.
        unit: What the estimate measures and in which unit.
        judged: Measured distances, a panel below for each.
        theme: Colours.
    """
    at, values = np.asarray(steps, dtype=np.float64), np.asarray(estimate, dtype=np.float64)
    at, values = at[np.isfinite(values)], values[np.isfinite(values)]
    heights = [2.6] + [1.7] * len(judged)
    with style(theme):
        figure = blank(PAGE_WIDTH, sum(heights) + 0.45 * len(heights))
        panels: list[Axes] = list(
            figure.subplots(len(heights), 1, sharex=True, squeeze=False, gridspec_kw={"height_ratios": heights})[:, 0]
        )
        draw_estimate(panels[0], at, values, theme.generated, theme)
        panels[0].set_title(unit)
        for panel, measured in zip(panels[1:], judged, strict=True):
            _draw_judged(panel, measured, theme)
        last = max([*at[-1:], *(step for measured in judged for step in measured.steps[-1:]), 0.0])
        panels[-1].set_xlim(0, last * 1.01 or 1.0)
        panels[-1].locator_params(axis="x", integer=True)
        panels[-1].set_xlabel("generator updates")
        panels[-1].xaxis.set_major_formatter(lambda value, _: f"{value:,.0f}")
    return figure


def draw_estimate(panel: Axes, at: Floats, values: Floats, colour: str, theme: Theme) -> None:
    """Draw an estimate against generator updates, faint as it came and strong through the median filter."""
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
    room = 0.06 * (high - low) or 1.0
    panel.set_ylim(low - (room if low < 0 else 0.0), high + room)
    if low < 0:
        panel.axhline(0, color=theme.faint, linewidth=0.6)
    panel.legend(loc="best", ncols=2)


def _draw_judged(panel: Axes, judged: Judged, theme: Theme) -> None:
    panel.grid(axis="y")
    panel.set_title(judged.label)
    panel.plot(
        judged.steps, judged.values, color=theme.judged, linewidth=1.2, marker="o", markersize=3.6, label="samples"
    )
    floors = judged.floors[np.isfinite(judged.floors)]
    if len(floors):
        label = "floor: two sets of real samples"
        panel.plot(judged.steps, judged.floors, color=theme.faint, linewidth=1.1, linestyle=(0, (4, 3)), label=label)
        if len(floors) == 1:
            panel.axhline(floors[0], color=theme.faint, linewidth=1.1, linestyle=(0, (4, 3)))
    everything = np.concatenate([judged.values[np.isfinite(judged.values)], floors])
    if len(everything) and everything.min() > 0 and everything.max() > 12 * everything.min():
        panel.set_yscale("log")
        panel.yaxis.set_major_formatter(lambda value, _: f"{value:g}")
        panel.yaxis.set_minor_formatter(lambda value, _: "")
    elif len(everything) and everything.min() >= 0:
        panel.set_ylim(0, everything.max() * 1.12 or 1.0)
    panel.legend(loc="best", ncols=2)


def _thinned(at: Floats, values: Floats) -> tuple[Floats, Floats]:
    """A curve of many points as the least and the greatest of each short stretch, which looks the same."""
    if len(values) <= 2 * _MAX_VERTICES:
        return at, values
    kept: list[int] = []
    for part in np.array_split(np.arange(len(values)), _MAX_VERTICES):
        kept.extend(sorted({int(part[values[part].argmin()]), int(part[values[part].argmax()])}))
    return at[kept], values[kept]
