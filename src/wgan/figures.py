"""Drawings of a run: the curve, points in the plane, marginals. Arrays in, a matplotlib figure out, in two themes.

No figure touches matplotlib's global state, and the same arrays give the same bytes.
"""

from __future__ import annotations

import io
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Floats = NDArray[np.float64]

PAPER_WIDTH = 101
MAX_MARGINALS = 12
_MAX_CATEGORIES = 8
_MAX_VERTICES = 1_500
_WIDTH = 7.6
# Laid out in DejaVu Sans, which matplotlib carries, and shown in the reader's own font, which is slightly narrower.
_READERS_FONT = "system-ui, -apple-system, 'Segoe UI', Roboto, 'Helvetica Neue', Arial, sans-serif"


@dataclass(frozen=True, kw_only=True)
class Theme:
    """Colours that stay apart for colour-blind readers (after Okabe and Ito) on one background.

    Attributes:
        ink: Text.
        faint: Axes, ticks and notes.
        grid: Rules behind the data.
        real: What the data is drawn in.
        generated: What samples are drawn in.
        judged: What measured distances are drawn in.
    """

    ink: str
    faint: str
    grid: str
    real: str
    generated: str
    judged: str


LIGHT = Theme(ink="#1f2328", faint="#646b75", grid="#e7e9ec", real="#9aa1ab", generated="#0072b2", judged="#c2410c")
DARK = Theme(ink="#e6e8eb", faint="#9aa3ae", grid="#2b3038", real="#7d8590", generated="#56b4e9", judged="#f0904f")


@dataclass(frozen=True, kw_only=True)
class Judged:
    """A distance measured now and then against held-out data, and its floor.

    Attributes:
        label: What was measured.
        steps: Generator updates at which it was, shape (K,).
        values: The distances, shape (K,).
        floors: What two real samples of that size are apart, shape (K,); NaN where it is unknown.
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
    with _style(theme):
        figure = _figure(_WIDTH, sum(heights) + 0.45 * len(heights))
        panels: list[Axes] = list(
            figure.subplots(len(heights), 1, sharex=True, squeeze=False, gridspec_kw={"height_ratios": heights})[:, 0]
        )
        _draw_estimate(panels[0], at, values, theme)
        panels[0].set_title(unit)
        for panel, measured in zip(panels[1:], judged, strict=True):
            _draw_judged(panel, measured, theme)
        last = max([*at[-1:], *(step for measured in judged for step in measured.steps[-1:]), 0.0])
        panels[-1].set_xlim(0, last * 1.01 or 1.0)
        panels[-1].locator_params(axis="x", integer=True)
        panels[-1].set_xlabel("generator updates")
        panels[-1].xaxis.set_major_formatter(lambda value, _: f"{value:,.0f}")
    return figure


def scatter(points: ArrayLike, real: ArrayLike | None = None, *, theme: Theme = LIGHT) -> Figure:
    """Draw generated points in the plane, beside real ones where they are given.

    Args:
        points: Shape (N, 2).
        real: Shape (M, 2).
        theme: Colours.
    """
    drawn = [("", _plane(points), theme.generated)]
    if real is not None:
        drawn = [("real", _plane(real), theme.real), ("generated", drawn[0][1], theme.generated)]
    with _style(theme):
        figure = _figure(*((5.4, 5.4) if real is None else (_WIDTH, _WIDTH / 2)))
        panels = figure.subplots(1, len(drawn), sharex=True, sharey=True, squeeze=False)[0]
        for panel, (title, values, colour) in zip(panels, drawn, strict=True):
            panel.set_title(title)
            _draw_points(panel, [(values, colour)], drawn[0][1])
    return figure


def scatters(frames: Sequence[tuple[str, ArrayLike]], real: ArrayLike | None = None, *, theme: Theme = LIGHT) -> Figure:
    """Draw points in the plane at several moments, side by side on the same axes.

    Args:
        frames: A title and points of shape (N, 2) for each moment.
        real: Points of shape (M, 2) to draw beneath each.
        theme: Colours.
    """
    columns = 3
    rows = -(-len(frames) // columns)
    beneath = None if real is None else _plane(real)
    frame = _plane(frames[-1][1]) if beneath is None else beneath
    with _style(theme):
        width = _WIDTH / 3
        figure = _figure(width * columns, (width + 0.16) * rows)
        panels = list(figure.subplots(rows, columns, squeeze=False).flat)
        for panel, (title, points) in zip(panels, frames, strict=False):
            layers = [] if beneath is None else [(beneath, theme.real)]
            _draw_points(panel, [*layers, (_plane(points), theme.generated)], frame)
            panel.set_title(title)
            panel.set(xticks=[], yticks=[])
            panel.spines[:].set(visible=True, color=theme.grid, linewidth=0.8)
        for panel in panels[len(frames) :]:
            panel.set_axis_off()
    return figure


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
    with _style(theme):
        figure = _figure(_WIDTH, 1.85 * rows + (0.3 if real is not None else 0))
        panels = list(figure.subplots(rows, columns, squeeze=False).flat)
        for panel, name in zip(panels, names, strict=False):
            _draw_marginal(panel, generated[name], None if real is None else real.get(name), theme)
            panel.set_title(_short(name, 30) + panel.get_title(loc="left"))
        for panel in panels[len(names) :]:
            panel.set_axis_off()
        if real is not None:
            figure.legend(handles=_handles(theme), loc="outside upper right", ncols=2)
    return figure


def svg(figure: Figure, *, theme: Theme = LIGHT) -> bytes:
    """The figure as SVG on a transparent ground, its text in the reader's own font. The theme is the figure's own."""
    import matplotlib as mpl

    buffer = io.BytesIO()
    with _style(theme):
        mpl.rcParams.update({"svg.fonttype": "none", "svg.hashsalt": "wgan"})
        figure.savefig(buffer, format="svg", transparent=True, dpi=190, metadata={"Date": None, "Creator": None})
    drawn = buffer.getvalue().decode()
    return re.sub(r"'DejaVu Sans'(?:, [\w' -]+)*", _READERS_FONT, drawn).encode()


def png(figure: Figure) -> bytes:
    """The figure, of the light theme, as PNG on white."""
    buffer = io.BytesIO()
    with _style(LIGHT):
        figure.savefig(buffer, format="png", dpi=150, facecolor="white", metadata={"Software": None})
    return buffer.getvalue()


@contextmanager
def _style(theme: Theme) -> Iterator[None]:
    """Typography and rules for what is made and drawn inside; names of the user's are never read as mathematics.

    Matplotlib makes ticks as late as when it draws, so drawing needs the style too.
    """
    import matplotlib as mpl

    style: Any = {
        "text.parse_math": False,
        "font.family": ["DejaVu Sans"],
        "font.size": 8.6,
        "text.color": theme.ink,
        "axes.labelcolor": theme.faint,
        "axes.edgecolor": theme.faint,
        "axes.linewidth": 0.6,
        "axes.spines.top": False,
        "axes.spines.right": False,
        "axes.spines.left": False,
        "axes.titlesize": 9.2,
        "axes.titlelocation": "left",
        "axes.titlecolor": theme.ink,
        "axes.titlepad": 7.0,
        "axes.labelsize": 8.6,
        "axes.labelpad": 6.0,
        "axes.axisbelow": True,
        "axes.facecolor": "none",
        "xtick.color": theme.faint,
        "ytick.color": theme.faint,
        "xtick.labelsize": 8.2,
        "ytick.labelsize": 8.2,
        "xtick.major.size": 3.0,
        "ytick.major.size": 0.0,
        "xtick.major.width": 0.6,
        "grid.color": theme.grid,
        "grid.linewidth": 0.8,
        "legend.frameon": False,
        "legend.fontsize": 8.6,
        "legend.handlelength": 1.4,
        "legend.borderaxespad": 0.0,
    }
    with mpl.rc_context():
        # What the reader keeps in a matplotlibrc must not move a byte.
        mpl.rcdefaults()
        mpl.rcParams.update(style)
        yield


def _figure(width: float, height: float) -> Figure:
    from matplotlib.figure import Figure
    from matplotlib.layout_engine import ConstrainedLayoutEngine

    layout = ConstrainedLayoutEngine(w_pad=0.06, h_pad=0.06, wspace=0.04, hspace=0.05)
    return Figure(figsize=(width, height), layout=layout)


def _draw_estimate(panel: Axes, at: Floats, values: Floats, theme: Theme) -> None:
    panel.grid(axis="y")
    if len(values) == 0:
        panel.text(0.5, 0.5, "nothing recorded yet", transform=panel.transAxes, ha="center", color=theme.faint)
        panel.set_yticks([])
        return
    width = median_width(len(values))
    if width == 1:
        marker = {"marker": "o", "markersize": 3.0} if len(values) < 30 else {}
        panel.plot(at, values, color=theme.generated, linewidth=1.4, label="every record", **marker)  # type: ignore[arg-type]
        smooth = values
    else:
        smooth = median_filtered(values)
        panel.plot(*_thinned(at, values), color=theme.generated, alpha=0.3, linewidth=0.7, label="every record")
        panel.plot(*_thinned(at, smooth), color=theme.generated, linewidth=1.7, label=f"median of {width} records")
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
        label = "floor: two real samples"
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


def _plane(points: ArrayLike) -> Floats:
    values = np.asarray(points, dtype=np.float64)
    assert values.ndim == 2
    assert values.shape[1] == 2
    return values[np.isfinite(values).all(axis=1)]


def _draw_points(panel: Axes, layers: Sequence[tuple[Floats, str]], frame: Floats) -> None:
    """Draw layers of points, each in its colour, on axes that hold all of `frame`."""
    for values, colour in layers:
        size = float(np.clip(6_000 / max(len(values), 1), 1.2, 9.0))
        panel.scatter(values[:, 0], values[:, 1], s=size, color=colour, alpha=0.6, linewidths=0, rasterized=True)
    panel.grid(visible=True)
    panel.tick_params(length=0)
    panel.spines[:].set_visible(False)
    if len(frame):
        low, high = frame.min(axis=0), frame.max(axis=0)
        spread = np.where(high > low, high - low, 1.0)
        if spread.max() < 4 * spread.min():
            spread = np.full(2, spread.max())
        middle, half = (low + high) / 2, 0.6 * spread
        panel.set_xlim(middle[0] - half[0], middle[0] + half[0])
        panel.set_ylim(middle[1] - half[1], middle[1] + half[1])
    panel.set_box_aspect(1)


def _handles(theme: Theme) -> list[Any]:
    from matplotlib.patches import Patch

    return [Patch(color=theme.real, label="real"), Patch(color=theme.generated, label="generated")]


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
        _draw_histogram(panel, _finite(generated), None if real is None else _finite(real), theme)
    else:
        _draw_bars(panel, generated.astype(str), None if real is None else real.astype(str), theme)


def _finite(values: NDArray[Any]) -> Floats:
    numbers = values.astype(np.float64)
    return numbers[np.isfinite(numbers)]


def _seconds(moments: NDArray[Any]) -> Floats:
    """Seconds since 1970 of all moments that are known."""
    known = moments[~np.isnat(moments)].astype("datetime64[s]")
    return np.asarray(known, dtype=np.float64)


def _draw_histogram(panel: Axes, generated: Floats, real: Floats | None, theme: Theme) -> None:
    edges = _edges(generated if real is None or len(real) == 0 else real)
    panel.set_yticks([])
    for values, colour, is_real in ((real, theme.real, True), (generated, theme.generated, False)):
        if values is None or len(values) == 0:
            continue
        # Shares of all samples, so that what falls outside the frame is missed and not spread over the rest.
        heights = np.histogram(values, edges)[0] / len(values) / np.diff(edges)
        if is_real:
            panel.stairs(heights, edges, fill=True, color=colour, alpha=0.45)
        else:
            panel.stairs(heights, edges, color=colour, linewidth=1.4)
    panel.set_xlim(edges[0], edges[-1])
    panel.set_ylim(bottom=0)


def _edges(values: Floats) -> Floats:
    """Some 40 edges between the outer thousandths; between whole numbers, each bin holds equally many of those."""
    if len(values) == 0:
        return np.array([-0.5, 0.5])
    low, high = np.quantile(values, [0.001, 0.999], method="nearest")
    if (values == np.round(values)).all() and 0 < high - low < 1e12:
        width = np.ceil((high - low + 1) / 40)
        return np.arange(low - 0.5, high + width, width)
    if not high - low > 1e-12 * max(abs(low), abs(high)):
        room = 0.5 * max(abs(low), 1.0)
        return np.linspace(low - room, low + room, 42)
    return np.linspace(low - 0.04 * (high - low), high + 0.04 * (high - low), 41)


def _draw_bars(panel: Axes, generated: NDArray[Any], real: NDArray[Any] | None, theme: Theme) -> None:
    main = generated if real is None else real
    words, counts = np.unique(main, return_counts=True)
    shown = [str(words[index]) for index in np.argsort(-counts, kind="stable")[:_MAX_CATEGORIES]]
    rows = np.arange(len(shown))
    drawn = [(generated, theme.generated)] if real is None else [(real, theme.real), (generated, theme.generated)]
    thick = 0.72 / len(drawn)
    for place, (values, colour) in enumerate(drawn):
        shares = [float((values == word).mean()) if len(values) else 0.0 for word in shown]
        panel.barh(rows + (place - (len(drawn) - 1) / 2) * thick, shares, height=thick, color=colour)
    num = len(set(generated.tolist()) | set(main.tolist()))
    panel.set_yticks(rows, [_short(word, 16) or "(missing)" for word in shown])
    panel.tick_params(axis="y", labelsize=7.2)
    panel.invert_yaxis()
    panel.xaxis.set_major_formatter(lambda value, _: f"{100 * value:.0f} %")
    panel.locator_params(axis="x", nbins=3)
    if num > len(shown):
        panel.set_title(f": {len(shown)} of {num}")
