"""Figures of `wgan prove`: curves and the distance they should follow, known distances, verdicts and ground truth."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from wgan.figures.canvas import LIGHT, PAGE_WIDTH, Floats, Theme, blank, power, style

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_DASHED = (0, (5, 2))
_FLOOR = (0, (1, 2))
_ROW = 1.75
_ROOM = 1.12


@dataclass(frozen=True, kw_only=True)
class Trace:
    """A run, for `traces`.

    Attributes:
        title: Title of its panel.
        at: Generator updates at the diagnoses, shape (K,).
        certified: Ŵ, shape (K,), like all the others.
        exact: Exact W1.
        low: Lower limit of its interval.
        high: Upper limit of its interval.
        floor: Exact W1 of other real rows.
        raw: The critic's estimate, in its own unit.
    """

    title: str
    at: Floats
    certified: Floats
    exact: Floats
    low: Floats
    high: Floats
    floor: Floats
    raw: Floats


def traces(rows: Mapping[str, Sequence[Trace]], *, theme: Theme = LIGHT) -> Figure:
    """Draw runs, those on the same data side by side: Ŵ and the exact distance on one axis, and the raw estimate.

    The raw estimate has another unit and is scaled to the height of the panel.

    Args:
        rows: Name of each data set to its runs, equally many for each.
        theme: Colours.
    """
    with style(theme):
        figure = blank(PAGE_WIDTH, _ROW * len(rows) + 0.4)
        columns = max(map(len, rows.values()))
        panels = figure.subplots(len(rows), columns, squeeze=False, sharex=True)
        for line, (data, runs) in zip(panels, rows.items(), strict=True):
            for panel, run in zip(line, runs, strict=True):
                _draw_trace(panel, run, theme)
            line[0].set_ylabel(data)
        for panel in panels[-1]:
            panel.set_xlabel("generator updates (square-root scale)")
        figure.legend(*panels[0, 0].get_legend_handles_labels(), loc="outside upper left", ncols=4)
    return figure


def _draw_trace(panel: Axes, run: Trace, theme: Theme) -> None:
    top = _ROOM * float(np.nanmax(np.concatenate([run.exact, run.high])))
    panel.grid(axis="y")
    known = np.isfinite(run.raw)
    if known.any():
        least, most = run.raw[known].min(), run.raw[known].max()
        stretched = (run.raw - least) / (most - least if most > least else 1.0)
        panel.plot(
            run.at,
            top * (0.05 + 0.87 * stretched),
            color=theme.faint,
            linewidth=1.2,
            linestyle=_DASHED,
            label="raw estimate, rescaled",
        )
    panel.fill_between(run.at, run.low, run.high, color=theme.distance, alpha=0.16, lw=0)
    panel.plot(run.at, run.exact, color=theme.distance, linewidth=1.5, marker="o", markersize=2.4, label="exact W1")
    panel.plot(run.at, run.certified, color=theme.generated, linewidth=1.5, marker="o", markersize=2.4, label="Ŵ")
    panel.plot(run.at, run.floor, color=theme.faint, linewidth=1.1, linestyle=_FLOOR, label="floor")
    panel.set_title(run.title)
    panel.set_ylim(0, top)
    # Most changes occur early, where most diagnoses are.
    panel.set_xscale("function", functions=(np.sqrt, np.square))
    panel.set_xlim(0, run.at[-1] * 1.02)
    panel.set_xticks(np.round(run.at[-1] * np.array([0.0, 0.1, 0.4, 1.0])))
    panel.locator_params(axis="y", nbins=4)
    panel.yaxis.set_major_formatter(power)
    panel.xaxis.set_major_formatter(lambda value, _: f"{value:,.0f}")


@dataclass(frozen=True, kw_only=True)
class KnownPair:
    """Measurements of a known distance, for `known`; shape (R,) for R repetitions, in units of the true distance.

    Attributes:
        name: Name of the pair.
        rows: Name to measured distances.
        shares: Name to shares of the exact distance of the same samples.
        interval: Limits of the interval of the last of `rows`.
    """

    name: str
    rows: Mapping[str, Floats]
    shares: Mapping[str, Floats]
    interval: tuple[float, float]


def known(found: Sequence[KnownPair], *, theme: Theme = LIGHT) -> Figure:
    """Draw the lower bounds as shares of the exact distance, and the distances relative to the true one.

    Args:
        found: Pairs with equal names of rows and shares.
        theme: Colours.
    """
    with style(theme):
        figure = blank(PAGE_WIDTH, 0.9 + 0.95 * len(found))
        left, right = figure.subplots(1, 2, sharey=False, width_ratios=(1.0, 1.5))
        _draw_shares(left, found, theme)
        _draw_distances(right, found, theme)
    return figure


def _draw_shares(panel: Axes, found: Sequence[KnownPair], theme: Theme) -> None:
    colours = (theme.real, theme.generated, theme.runs[2])
    rows = np.arange(len(found), dtype=np.float64)
    names = list(found[0].shares)
    for number, (name, colour) in enumerate(zip(names, colours, strict=False)):
        offset = (number - (len(names) - 1) / 2) * 0.2
        for row, pair in zip(rows, found, strict=True):
            _dots(panel, pair.shares[name], row + offset, colour, name if row == 0 else None)
    panel.axvline(1.0, color=theme.faint, linewidth=0.9)
    panel.set_yticks(rows, [pair.name for pair in found])
    panel.set(xlim=(-0.04, 1.08), ylim=(len(found) - 0.5, -0.5))
    panel.xaxis.set_major_formatter(lambda value, _: f"{value:.0%}")
    _title(panel, "lower bound / exact W1 of the samples", columns=1)


def _draw_distances(panel: Axes, found: Sequence[KnownPair], theme: Theme) -> None:
    colours = (theme.distance, theme.generated, theme.real, theme.ink)
    rows = np.arange(len(found), dtype=np.float64)
    names = list(found[0].rows)
    for number, (name, colour) in enumerate(zip(names, colours, strict=False)):
        offset = (number - (len(names) - 1) / 2) * 0.2
        for row, pair in zip(rows, found, strict=True):
            _dots(panel, pair.rows[name], row + offset, colour, name if row == 0 else None)
            if number == len(names) - 1:
                panel.plot(pair.interval, [row + offset] * 2, color=colour, linewidth=5.0, alpha=0.25, zorder=1)
    panel.axvline(1.0, color=theme.faint, linewidth=0.9)
    panel.set_yticks(rows, [""] * len(found))
    panel.set_ylim(len(found) - 0.5, -0.5)
    panel.set_xlim(0, 1.06 * max(float(values.max()) for pair in found for values in pair.rows.values()))
    panel.xaxis.set_major_formatter(power)
    _title(panel, "distance / true distance", columns=2)


def _dots(panel: Axes, values: Floats, height: float, colour: str, label: str | None) -> None:
    panel.plot(values, np.full(len(values), height), "o", color=colour, markersize=3.4, alpha=0.75, mew=0, label=label)


def _title(panel: Axes, title: str, *, columns: int) -> None:
    """Set the title, and put the legend below the axes."""
    panel.set_title(title)
    panel.legend(loc="upper left", bbox_to_anchor=(0.0, -0.12), ncols=columns, handlelength=0.8, columnspacing=1.4)


def confusion(counts: Mapping[str, Mapping[str, int]], *, theme: Theme = LIGHT) -> Figure:
    """Draw the ground truth of runs, by rows, against the verdict on them, by columns.

    Args:
        counts: Truth to verdict to number of runs; missing ones are 0.
        theme: Colours.
    """
    kinds = list(dict.fromkeys([*counts, *(verdict for row in counts.values() for verdict in row)]))
    table = np.array([[counts.get(truth, {}).get(kind, 0) for kind in kinds] for truth in counts], dtype=np.float64)
    shares = table / np.maximum(table.sum(axis=1, keepdims=True), 1.0)
    with style(theme):
        figure = blank(PAGE_WIDTH * 0.8, 1.6 + 0.36 * len(counts))
        panel = figure.subplots()
        for (row, column), count in np.ndenumerate(table):
            if count:
                colour = theme.generated if list(counts)[row] == kinds[column] else theme.distance
                panel.fill_between(
                    [column - 0.46, column + 0.46],
                    row - 0.44,
                    row + 0.44,
                    color=colour,
                    alpha=shares[row, column],
                    lw=0,
                )
                ink = "white" if shares[row, column] > 0.55 else theme.ink
                panel.text(column, row, f"{count:.0f}", ha="center", va="center", color=ink)
        panel.set_xticks(range(len(kinds)), kinds, rotation=35, ha="left", rotation_mode="anchor")
        panel.set_yticks(range(len(counts)), list(counts))
        panel.tick_params(axis="x", top=True, labeltop=True, bottom=False, labelbottom=False, length=0)
        panel.set(xlim=(-0.5, len(kinds) - 0.5), ylim=(len(counts) - 0.5, -0.5), ylabel="ground truth")
        panel.spines["bottom"].set_visible(False)
    return figure
