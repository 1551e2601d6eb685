"""The distribution of each column, generated and real."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from wgan.figures.axis_scales import AxisScale, finite
from wgan.figures.canvas import LIGHT, PAGE_WIDTH, Floats, Theme, blank, handles, style

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

MAX_MARGINALS = 12
_MAX_CATEGORIES = 8


def marginals(
    generated: Mapping[str, NDArray[Any]], real: Mapping[str, NDArray[Any]] | None = None, *, theme: Theme = LIGHT
) -> Figure:
    """Draw the distribution of each column: histograms of numbers and dates, bars of categories.

    Args:
        generated: A one-dimensional array for each column, numeric, datetime64 or of strings; the first 12 are drawn.
        real: The same for the data.
        theme: Colours.
    """
    names = list(generated)[:MAX_MARGINALS]
    columns = 3
    rows = -(-len(names) // columns)
    with style(theme):
        figure = blank(PAGE_WIDTH, 1.85 * rows + (0.3 if real is not None else 0))
        panels = list(figure.subplots(rows, columns, squeeze=False).flat)
        for panel, name in zip(panels, names, strict=False):
            _draw_marginal(panel, generated[name], None if real is None else real.get(name), theme)
            panel.set_title(_short(name, 30) + panel.get_title(loc="left"))
        for panel in panels[len(names) :]:
            panel.set_axis_off()
        if real is not None:
            figure.legend(handles=handles(theme), loc="outside upper right", ncols=2)
    return figure


def _short(name: str, most: int) -> str:
    line = " ".join(name.split())
    return line if len(line) <= most else line[: most - 1] + "…"


def _draw_marginal(panel: Axes, generated: NDArray[Any], real: NDArray[Any] | None, theme: Theme) -> None:
    kinds = {values.dtype.kind for values in (generated, real) if values is not None}
    if kinds == {"M"}:
        _draw_histogram(panel, _seconds(generated), None if real is None else _seconds(real), theme)
        ticks = np.quantile(panel.get_xlim(), [0.2, 0.8])
        unit = "D" if np.diff(ticks)[0] > 172_800 else "s"
        panel.set_xticks(ticks, [str(tick.astype(f"datetime64[{unit}]")) for tick in ticks.astype("datetime64[s]")])
    elif kinds <= set("fiu"):
        panel.locator_params(axis="x", nbins=4)
        fake, true = finite(generated), None if real is None else finite(real)
        scale = AxisScale.of(fake if true is None or len(true) == 0 else true)
        _draw_histogram(panel, scale.apply(fake), None if true is None else scale.apply(true), theme)
        panel.set_xlabel(scale.label)
    else:
        _draw_bars(panel, generated.astype(str), None if real is None else real.astype(str), theme)


def _seconds(times: NDArray[Any]) -> Floats:
    """Seconds since 1970 of all times that are not missing."""
    known = times[~np.isnat(times)].astype("datetime64[s]")
    return np.asarray(known, dtype=np.float64)


def _draw_histogram(panel: Axes, generated: Floats, real: Floats | None, theme: Theme) -> None:
    edges = _edges(generated if real is None or len(real) == 0 else real)
    panel.set_yticks([])
    for values, colour, is_real in ((real, theme.real, True), (generated, theme.generated, False)):
        if values is None or len(values) == 0:
            continue
        # Shares of all samples, including those outside the axis.
        heights = np.histogram(values, edges)[0] / len(values) / np.diff(edges)
        if is_real:
            panel.stairs(heights, edges, fill=True, color=colour, alpha=0.45)
        else:
            panel.stairs(heights, edges, color=colour, linewidth=1.4)
    panel.set_xlim(edges[0], edges[-1])
    panel.set_ylim(bottom=0)


def _edges(values: Floats) -> Floats:
    """Some 40 edges between the 0.1 and 99.9 percentiles; for integers, bins of equally many integers."""
    if len(values) == 0:
        return np.array([-0.5, 0.5])
    low, high = np.quantile(values, [0.001, 0.999], method="nearest")
    if (values == np.round(values)).all() and 0 < high - low < 1e12:
        width = np.ceil((high - low + 1) / 40)
        return np.arange(low - 0.5, high + width, width)
    if not high - low > 1e-12 * max(abs(low), abs(high)):
        margin = 0.5 * max(abs(low), 1.0)
        return np.linspace(low - margin, low + margin, 42)
    return np.linspace(low - 0.04 * (high - low), high + 0.04 * (high - low), 41)


def _draw_bars(panel: Axes, generated: NDArray[Any], real: NDArray[Any] | None, theme: Theme) -> None:
    main = generated if real is None else real
    words, counts = np.unique(main, return_counts=True)
    shown = [str(words[index]) for index in np.argsort(-counts, kind="stable")[:_MAX_CATEGORIES]]
    rows = np.arange(len(shown))
    drawn = [(generated, theme.generated)] if real is None else [(real, theme.real), (generated, theme.generated)]
    height = 0.72 / len(drawn)
    for number, (values, colour) in enumerate(drawn):
        shares = [float((values == word).mean()) if len(values) else 0.0 for word in shown]
        panel.barh(rows + (number - (len(drawn) - 1) / 2) * height, shares, height=height, color=colour)
    num = len(set(generated.tolist()) | set(main.tolist()))
    panel.set_yticks(rows, [_short(word, 16) or "(missing)" for word in shown])
    panel.tick_params(axis="y", labelsize=7.2)
    panel.invert_yaxis()
    panel.xaxis.set_major_formatter(lambda value, _: f"{100 * value:.0f} %")
    panel.locator_params(axis="x", nbins=3)
    if num > len(shown):
        panel.set_title(f": {len(shown)} of {num}")
