"""Scatter plots of points in the plane, after one update or after several."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike

from wgan.figures.axis_scales import scale_points
from wgan.figures.canvas import LIGHT, PAGE_WIDTH, Floats, Theme, blank, style

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


def scatter(points: ArrayLike, real: ArrayLike | None = None, *, theme: Theme = LIGHT) -> Figure:
    """Draw generated points in the plane, next to real ones if they are given.

    Args:
        points: Shape (N, 2).
        real: Shape (M, 2).
        theme: Colours.
    """
    drawn = [("", _plane(points), theme.generated)]
    if real is not None:
        drawn = [("real", _plane(real), theme.real), ("generated", drawn[0][1], theme.generated)]
    with style(theme):
        figure = blank(*((5.4, 5.4) if real is None else (PAGE_WIDTH, PAGE_WIDTH / 2)))
        panels = figure.subplots(1, len(drawn), sharex=True, sharey=True, squeeze=False)[0]
        for panel, (title, values, colour) in zip(panels, drawn, strict=True):
            panel.set_title(title)
            _draw_points(panel, [(values, colour)], drawn[0][1])
    return figure


def scatters(frames: Sequence[tuple[str, ArrayLike]], real: ArrayLike | None = None, *, theme: Theme = LIGHT) -> Figure:
    """Draw points in the plane after several updates, side by side on equal axes.

    Args:
        frames: A title and points of shape (N, 2) for each panel.
        real: Points of shape (M, 2) to draw below each.
        theme: Colours.
    """
    columns = 3
    rows = -(-len(frames) // columns)
    background = None if real is None else _plane(real)
    reference = _plane(frames[-1][1]) if background is None else background
    with style(theme):
        width = PAGE_WIDTH / 3
        figure = blank(width * columns, (width + 0.16) * rows)
        panels = list(figure.subplots(rows, columns, squeeze=False).flat)
        for panel, (title, points) in zip(panels, frames, strict=False):
            layers = [] if background is None else [(background, theme.real)]
            _draw_points(panel, [*layers, (_plane(points), theme.generated)], reference)
            panel.set_title(title)
            panel.set(xticks=[], yticks=[])
            panel.spines[:].set(visible=True, color=theme.grid, linewidth=0.8)
        for panel in panels[len(frames) :]:
            panel.set_axis_off()
    return figure


def _plane(points: ArrayLike) -> Floats:
    values = np.asarray(points, dtype=np.float64)
    assert values.ndim == 2
    assert values.shape[1] == 2
    return values[np.isfinite(values).all(axis=1)]


def _draw_points(panel: Axes, layers: Sequence[tuple[Floats, str]], reference: Floats) -> None:
    """Draw layers of points, each in its colour, on axes that hold all of `reference`."""
    reference, scaled, (xlabel, ylabel) = scale_points(reference, [values for values, _ in layers])
    panel.set(xlabel=xlabel, ylabel=ylabel)
    for values, (_, colour) in zip(scaled, layers, strict=True):
        size = float(np.clip(6_000 / max(len(values), 1), 1.2, 9.0))
        panel.scatter(values[:, 0], values[:, 1], s=size, color=colour, alpha=0.6, linewidths=0, rasterized=True)
    panel.grid(visible=True)
    panel.tick_params(length=0)
    panel.spines[:].set_visible(False)
    if len(reference):
        low, high = reference.min(axis=0), reference.max(axis=0)
        spread = np.where(high > low, high - low, np.maximum(np.abs(high), 1.0))
        if spread.max() < 4 * spread.min():
            spread = np.full(2, spread.max())
        middle, half = (low + high) / 2, 0.6 * spread
        panel.set_xlim(middle[0] - half[0], middle[0] + half[0])
        panel.set_ylim(middle[1] - half[1], middle[1] + half[1])
    panel.set_box_aspect(1)
