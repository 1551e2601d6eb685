"""Evidence on a critic's estimate: bounds and values of the distance, and small figures of other numbers."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike

from wgan.figures.canvas import LIGHT, PAGE_WIDTH, Floats, Theme, blank, power, style
from wgan.figures.curves import draw_estimate

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

SMALL_WIDTH = 3.7
"""Inches of a figure of half the page width."""
MOST_RUNS = 12
"""Runs on one axis, at most: more colours and markers would be hard to distinguish."""

_SMALL_HEIGHT = 2.15
_MOST_LETTERS = 100
_ROW_HEIGHT = 0.18
_DASHES = ("solid", (0, (5, 2)), (0, (1.5, 1.5)), (0, (6, 2, 1.5, 2)))
_FLOOR = (0, (1, 2))
_EXACT = (0, (4, 2))
_MARKERS = ("o", "s", "^", "D", "v", "P")
_MOST_MARKED = 40
_FAR = 12.0
"""Ratio of the largest to the smallest number from which on an axis is logarithmic."""
_DECADES = 4.0
"""Powers of ten that an axis of distances shows; twice as many for other numbers."""


@dataclass(frozen=True, kw_only=True)
class Bracket:
    """Bounds and values of the distance between held-out rows and samples along a run; NaN where unknown.

    Attributes:
        name: Name of the run.
        at: Position of its diagnoses on the axis, such as generator updates, shape (K,).
        certified: Ŵ, the critic's lower bound, shape (K,), like all the others.
        exact: The exact distance.
        low: Lower limit of its interval.
        high: Upper limit of its interval.
        floor: The exact distance of other real rows.
    """

    name: str
    at: Floats
    certified: Floats
    exact: Floats
    low: Floats
    high: Floats
    floor: Floats


def bracket(found: Bracket, raw: tuple[ArrayLike, ArrayLike], *, unit: str, scale: str, theme: Theme = LIGHT) -> Figure:
    """Draw the critic's lower bound and the exact distance, and the raw estimate in a panel below.

    Args:
        found: Bounds and values of the distance, against generator updates.
        raw: Generator updates and the training estimate at each, shape (K,) both.
        unit: Title of the upper panel, with the unit.
        scale: Title of the lower panel, with the unit of the raw estimate.
        theme: Colours.
    """
    heights = [2.7, 1.5]
    with style(theme):
        figure = blank(PAGE_WIDTH, sum(heights) + 0.9)
        above, below = figure.subplots(2, 1, sharex=True, gridspec_kw={"height_ratios": heights})
        _draw_bracket(above, found, theme.distance, theme.generated, theme)
        above.set_title(unit)
        at, values = (np.asarray(side, dtype=np.float64) for side in raw)
        at, values = at[np.isfinite(values)], values[np.isfinite(values)]
        draw_estimate(below, at, values, theme.ink, theme)
        below.set_title(textwrap.fill(scale, _MOST_LETTERS))
        _x_axis(below, max([*at[-1:], *found.at[-1:], 0.0]), "generator updates")
    return figure


def overlay(runs: Sequence[Bracket], *, unit: str, across: str, theme: Theme = LIGHT) -> Figure:
    """Draw several runs on one axis: each critic's lower bound, and the exact distance with its interval.

    Args:
        runs: At most `MOST_RUNS` of them.
        unit: Title, with the unit.
        across: Label of the x axis.
        theme: Colours.
    """
    from matplotlib.lines import Line2D
    from matplotlib.patches import Patch

    assert len(runs) <= MOST_RUNS
    with style(theme):
        rows = -(-(len(runs) + 3) // 3)
        figure = blank(PAGE_WIDTH, 4.2 + 0.2 * rows)
        panel = figure.subplots()
        panel.grid(axis="y")
        for number, run in enumerate(runs):
            colour, marker = _run_style(number, theme)
            _draw_exact(panel, run, colour, linestyle=_EXACT)
            # Lines of few points are easier to tell apart with markers, and a single point needs one.
            size = 4.0 if len(run.at) <= _MOST_MARKED else 0.0
            panel.plot(run.at, run.certified, color=colour, linewidth=1.7, marker=marker, markersize=size)
            _draw_floor(panel, run, color=theme.faint, linestyle=_FLOOR)
        _scale_distances(panel, runs)
        panel.set_title(unit)
        _x_axis(panel, max((float(np.nanmax(run.at, initial=0.0)) for run in runs), default=0.0), across)
        entries: list[Any] = [
            Line2D([], [], color=colour, marker=marker, markersize=4.0, linewidth=1.7)
            for colour, marker in (_run_style(number, theme) for number in range(len(runs)))
        ]
        entries += [
            Line2D([], [], color=theme.faint, linewidth=1.7),
            (Patch(color=theme.faint, alpha=0.2), Line2D([], [], color=theme.faint, linestyle=_EXACT)),
            Line2D([], [], color=theme.faint, linewidth=1.1, linestyle=_FLOOR),
        ]
        labels = [_short(run.name) for run in runs]
        labels += ["certified lower bound Ŵ", "exact W1, 95 % interval", "floor: two sets of real rows"]
        figure.legend(entries, labels, loc="outside upper left", ncols=3)
    return figure


def small_lines(
    at: ArrayLike,
    lines: Mapping[str, ArrayLike],
    *,
    title: str,
    marks: Mapping[str, float] | None = None,
    limits: tuple[float, float] | None = None,
    is_share: bool = False,
    theme: Theme = LIGHT,
) -> Figure:
    """Draw a few numbers along a run in a small figure.

    Args:
        at: Generator updates, shape (K,).
        lines: Name to numbers of shape (K,), four at most. Numbers that are not finite are omitted.
        title: Title of the figure.
        marks: Name to a level that is drawn for comparison; one with an empty name is not in the legend.
        limits: Limits of the y axis; chosen from the numbers if None.
        is_share: Whether the y axis starts at 0, regardless of the numbers.
        theme: Colours.
    """
    steps = np.asarray(at, dtype=np.float64)
    colours = (theme.generated, theme.distance, theme.ink, theme.real)
    with style(theme):
        labels = [*lines, *filter(None, marks or {})]
        rows = -(-len(labels) // 2) if len(labels) > 1 else 0
        figure = blank(SMALL_WIDTH, _SMALL_HEIGHT + _ROW_HEIGHT * max(0, rows - 1))
        panel = figure.subplots()
        panel.grid(axis="y")
        for (name, values), colour, dash in zip(lines.items(), colours, _DASHES, strict=False):
            along = np.asarray(values, dtype=np.float64)
            panel.plot(steps, along, color=colour, linewidth=1.4, linestyle=dash, label=name, **_marked(steps))
        for name, level in (marks or {}).items():
            panel.axhline(level, color=theme.faint, linewidth=1.1, linestyle=_FLOOR, label=name or None)
        if limits is None:
            drawn = [np.asarray(line.get_ydata(), dtype=np.float64) for line in panel.lines]
            _scale(panel, drawn, [np.zeros(1)] if is_share else (), decades=2 * _DECADES)
        else:
            panel.set_ylim(*limits)
        _x_axis(panel, max([*steps[-1:], 0.0]), "generator updates", ticks=4)
        _title(panel, title, rows=rows)
    return figure


def by_layer(players: Mapping[str, Mapping[str, Sequence[float]]], *, theme: Theme = LIGHT) -> Figure:
    """Draw the norm of the gradient at each layer, a panel for each player, on a common logarithmic scale.

    Args:
        players: Name of each player to its curves, at most two: label to norms from the first layer to the last. Zeros
            are drawn at the bottom.
        theme: Colours.
    """
    values = np.array([norm for curves in players.values() for norms in curves.values() for norm in norms])
    with style(theme):
        figure = blank(SMALL_WIDTH, _SMALL_HEIGHT)
        panels = figure.subplots(1, len(players), sharey=True, squeeze=False)[0]
        for panel, (player, curves) in zip(panels, players.items(), strict=True):
            panel.grid(axis="y")
            for number, (label, norms) in enumerate(curves.items(), start=1):
                colour, dash = (theme.generated, "solid") if number == len(curves) else (theme.real, _EXACT)
                layers = np.arange(1, len(norms) + 1)
                panel.plot(
                    layers, norms, color=colour, linestyle=dash, linewidth=1.4, marker="o", markersize=3.4, label=label
                )
            panel.set(title=player, xlabel="layer")
            panel.set_xlim(0.6, max(map(len, curves.values()), default=1) + 0.4)
            panel.locator_params(axis="x", integer=True, nbins=6)
        above = values[np.isfinite(values) & (values > 0)]
        low, high = (above.min(), above.max()) if len(above) else (0.1, 1.0)
        if len(above):
            panels[0].set_yscale("log", nonpositive="clip")
        panels[0].set_ylim(10 ** (np.floor(np.log10(low)) - 0.1), 10 ** (np.ceil(np.log10(high * 1.01)) + 0.1))
        panels[0].yaxis.set_major_formatter(power)
        panels[0].minorticks_off()
        figure.legend(*panels[0].get_legend_handles_labels(), loc="outside upper left", ncols=3)
    return figure


def scores(edges: ArrayLike, real: ArrayLike, fake: ArrayLike, *, theme: Theme = LIGHT) -> Figure:
    """Draw histograms of the critic's scores of held-out rows and of samples, as shares.

    Args:
        edges: Edges of the bins, shape (K + 1,).
        real: Counts of held-out rows, shape (K,).
        fake: Counts of samples, shape (K,).
        theme: Colours.
    """
    ends = np.asarray(edges, dtype=np.float64)
    with style(theme):
        figure = blank(SMALL_WIDTH, _SMALL_HEIGHT)
        panel = figure.subplots()
        for counts, colour, name in ((real, theme.real, "real, held out"), (fake, theme.generated, "samples")):
            values = np.asarray(counts, dtype=np.float64)
            shares = values / (values.sum() or 1.0)
            if colour == theme.real:
                panel.stairs(shares, ends, fill=True, color=colour, alpha=0.45, label=name)
            else:
                panel.stairs(shares, ends, color=colour, linewidth=1.4, label=name)
        panel.set(yticks=[], xlabel="score")
        panel.set_xlim(ends[0], ends[-1])
        panel.set_ylim(bottom=0)
        panel.locator_params(axis="x", nbins=5)
        panel.ticklabel_format(axis="x", useOffset=False)
        _title(panel, "share of the rows", rows=1)
    return figure


def _run_style(number: int, theme: Theme) -> tuple[str, str]:
    """The colour and the marker of a run; the first few differ in both, all in one of them."""
    num = len(theme.runs)
    return theme.runs[number % num], _MARKERS[(number + number // num) % len(_MARKERS)]


def _draw_bracket(panel: Axes, found: Bracket, exact: str, certified: str, theme: Theme) -> None:
    panel.grid(axis="y")
    gap = np.isfinite(found.certified) & np.isfinite(found.exact)
    panel.fill_between(found.at, found.certified, found.exact, where=gap, color=theme.faint, alpha=0.12, lw=0)
    _draw_exact(panel, found, exact, label="exact W1, with its 95 % interval")
    panel.plot(
        found.at, found.certified, color=certified, linewidth=1.7, label="certified lower bound Ŵ", **_marked(found.at)
    )
    _draw_floor(panel, found, color=theme.faint, linestyle=_EXACT, label="floor: real rows")
    _scale_distances(panel, [found])
    if np.isfinite(np.concatenate([found.certified, found.exact])).any():
        panel.legend(loc="best")
    else:
        panel.text(0.5, 0.5, "nothing measured", transform=panel.transAxes, ha="center", color=theme.faint)


def _draw_exact(panel: Axes, run: Bracket, colour: str, **line: Any) -> None:  # noqa: ANN401 - as matplotlib takes it
    known = np.isfinite(run.low) & np.isfinite(run.high)
    panel.fill_between(run.at, run.low, run.high, where=known, color=colour, alpha=0.16, lw=0)
    if len(run.at) == 1:
        # A band needs two points.
        panel.vlines(run.at[known], run.low[known], run.high[known], color=colour, linewidth=1.2, alpha=0.5)
    panel.plot(run.at, run.exact, color=colour, linewidth=1.3, **(line | _marked(run.at)))


def _draw_floor(panel: Axes, run: Bracket, **line: Any) -> None:  # noqa: ANN401 - as above
    known = run.floor[np.isfinite(run.floor)]
    if len(known) == 1:
        panel.axhline(known[0], linewidth=1.1, **line)
    else:
        panel.plot(run.at, run.floor, linewidth=1.1, **line)


def _scale_distances(panel: Axes, runs: Sequence[Bracket]) -> None:
    """Scale by exact distances and floors, if any, so that a bound or an interval near 0 does not stretch the axis."""
    measured = [values for run in runs for values in (run.exact, run.high, run.floor)]
    _scale(panel, [values for run in runs for values in (run.certified, run.exact, run.low, run.high)], measured)


def _scale(panel: Axes, drawn: Sequence[Floats], leading: Sequence[Floats] = (), *, decades: float = _DECADES) -> None:
    """Scale the y axis: from 0 for numbers of similar size, else logarithmically.

    Args:
        panel: The axes.
        drawn: All numbers.
        leading: The numbers that the scale is chosen by, if any of them is finite.
        decades: Powers of ten that are shown, at most. Smaller numbers are drawn at the bottom.
    """
    from matplotlib.ticker import LogLocator

    values, deciding = (_finite(values) for values in (drawn, leading))
    values = np.concatenate([values, deciding])
    deciding = deciding if len(deciding) else values
    if not len(values):
        panel.set_yticks([])
        return
    low, high = float(values.min()), float(values.max())
    above = deciding[deciding > 0]
    if low >= 0 and len(above) == len(deciding) and high > _FAR * max(float(above.min()), high / 10.0**decades):
        least = max(float(values[values > 0].min()), float(above.min()) / 10.0, high / 10.0**decades)
        panel.set_yscale("log", nonpositive="clip")
        panel.set_ylim(least / 1.25, high * 1.35)
        panel.yaxis.set_major_locator(LogLocator(subs=(1.0,) if high > 200 * least else (1.0, 2.0, 5.0)))
        panel.yaxis.set_major_formatter(power)
        panel.minorticks_off()
        return
    low, high = min(low, 0.0), max(high, 0.0)
    margin = 0.1 * (high - low) or 1.0
    panel.set_ylim(low - (margin if low < 0 else 0.0), high + margin)
    panel.locator_params(axis="y", nbins=6)
    panel.yaxis.set_major_formatter(power)


def _finite(parts: Sequence[Floats]) -> Floats:
    values: Floats = np.concatenate([np.zeros(0), *parts])
    return np.asarray(values[np.isfinite(values)])


def _title(panel: Axes, title: str, *, rows: int) -> None:
    """Set the title, and put a legend of so many rows between it and the axes."""
    panel.set_title(title, pad=7.0 + 13.0 * rows)
    if rows:
        panel.legend(loc="lower left", bbox_to_anchor=(-0.02, 0.99), ncols=2, columnspacing=1.2, handlelength=1.8)


def _x_axis(panel: Axes, last: float, across: str, *, ticks: int | None = None) -> None:
    """Set the x axis, from 0."""
    panel.set_xlim(0, last * 1.02 or 1.0)
    panel.locator_params(axis="x", integer=last >= 1, nbins="auto" if ticks is None else ticks)
    panel.set_xlabel(across)
    panel.xaxis.set_major_formatter(lambda value, _: f"{value:,.0f}" if last >= 1 else f"{value:g}")


def _marked(at: Floats) -> dict[str, Any]:
    return {"marker": "o", "markersize": 3.0} if len(at) <= _MOST_MARKED else {}


def _short(name: str, most: int = 30) -> str:
    return name if len(name) <= most else f"{name[: most // 2]}…{name[-(most // 2 - 1) :]}"
