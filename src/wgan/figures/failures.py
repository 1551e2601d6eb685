"""Failures of the original GAN: vanishing gradients, and Gaussians that cover two modes or seek one.

`generator_gradients` shows the gradients along a run.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike

from wgan.figures.canvas import LIGHT, PAGE_WIDTH, Floats, Theme, blank, power, style

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_DASHES = ("solid", (0, (5, 2)), (0, (1.5, 1.5)), (0, (6, 2, 1.5, 2)))
_SMALLEST = 1e-12
"""Smaller gradients are drawn at this value: a logarithmic axis has no 0."""


def vanishing_gradients(
    steps: ArrayLike,
    gradients: Mapping[str, tuple[ArrayLike, ArrayLike]],
    *,
    positions: ArrayLike,
    critics: Mapping[str, ArrayLike],
    densities: tuple[ArrayLike, ArrayLike],
    theme: Theme = LIGHT,
) -> Figure:
    """Draw the gradients of a fixed generator, and its final critics.

    Args:
        steps: Updates of the critics, shape (K,); a first 0 is omitted.
        gradients: Name of each loss to norms and their noise, shape (K,) each; three at most.
        positions: Positions on the line, shape (L,).
        critics: Name of each critic to its values there, shape (L,), scaled to the height of the panel.
        densities: Densities of data and generator there, shape (L,).
        theme: Colours.

    Source: Arjovsky and Bottou (2017), figures 2 and 3; Arjovsky, Chintala and Bottou (2017), figure 2.
    """
    at, x = np.asarray(steps, dtype=np.float64), np.asarray(positions, dtype=np.float64)
    colours = (theme.distance, theme.ink, theme.generated)
    with style(theme):
        figure = blank(PAGE_WIDTH, 3.3)
        left, right = figure.subplots(1, 2)
        drawn = at > 0
        for (name, (norms, noise)), colour, dash in zip(gradients.items(), colours, _DASHES, strict=False):
            middle, spread = np.asarray(norms, dtype=np.float64)[drawn], np.asarray(noise, dtype=np.float64)[drawn]
            left.plot(at[drawn], middle.clip(_SMALLEST), color=colour, linewidth=1.6, linestyle=dash, label=name)
            low, high = (middle - spread).clip(middle / 10), middle + spread
            left.fill_between(at[drawn], low.clip(_SMALLEST), high.clip(_SMALLEST), color=colour, alpha=0.15, lw=0)
        left.set(
            xscale="log", yscale="log", xlabel="critic updates", title="gradient norm at the generator's parameters"
        )
        left.xaxis.set_major_formatter(lambda value, _: f"{value:,.0f}")
        left.yaxis.set_major_formatter(power)
        left.minorticks_off()
        left.grid(axis="y")
        left.legend(loc="lower left")
        _draw_critics(right, x, critics, densities, theme)
    return figure


def generator_gradients(
    steps: ArrayLike,
    gradients: Mapping[str, ArrayLike],
    saturation: Mapping[str, ArrayLike],
    *,
    theme: Theme = LIGHT,
) -> Figure:
    """Draw the gradient of a generator along its run, and below it the saturation of the discriminator.

    Args:
        steps: Generator updates, shape (K,).
        gradients: Name to norms, shape (K,) each; two at most. Numbers that are not finite are omitted.
        saturation: Name to shares from 0 to 1, shape (K,) each, three at most; empty for no such panel.
        theme: Colours.
    """
    at = np.asarray(steps, dtype=np.float64)
    heights = [2.2, 1.7][: 2 if saturation else 1]
    with style(theme):
        figure = blank(PAGE_WIDTH, sum(heights) + 0.45 * len(heights))
        panels = figure.subplots(len(heights), 1, sharex=True, squeeze=False, gridspec_kw={"height_ratios": heights})
        _draw_lines(panels[0, 0], at, gradients, (theme.generated, theme.ink))
        drawn = np.concatenate([line.get_ydata() for line in panels[0, 0].lines])
        _scale_norms(panels[0, 0], drawn[np.isfinite(drawn)])
        panels[0, 0].set_title("generator gradient norm")
        if saturation:
            _draw_lines(panels[1, 0], at, saturation, (theme.real, theme.generated, theme.distance))
            panels[1, 0].set(ylim=(-0.04, 1.04), title="share of saturated discriminator scores")
        last = panels[-1, 0]
        last.set_xlim(0, max([*at, 0.0]) * 1.01 or 1.0)
        last.locator_params(axis="x", integer=True)
        last.set_xlabel("generator updates")
        last.xaxis.set_major_formatter(lambda value, _: f"{value:,.0f}")
    return figure


def _draw_lines(panel: Axes, at: Floats, lines: Mapping[str, ArrayLike], colours: Sequence[str]) -> None:
    panel.grid(axis="y")
    for (name, values), colour, dash in zip(lines.items(), colours, _DASHES, strict=False):
        marker = {"marker": "o", "markersize": 3.0} if len(at) < 30 else {}
        drawn = np.asarray(values, dtype=np.float64)
        panel.plot(at, drawn, color=colour, linewidth=1.4, linestyle=dash, label=name, **marker)  # type: ignore[arg-type]
    # Next to the title, where it covers no curve.
    panel.legend(loc="lower right", bbox_to_anchor=(1.0, 1.0), ncols=3)


def _scale_norms(panel: Axes, values: Floats) -> None:
    """Scale the y axis: from 0 for norms of similar size, else logarithmically, with zeros at the bottom."""
    above = values[values > 0]
    if not len(above):
        panel.set_ylim(0, 1)
    elif above.max() <= 10 * above.min() and len(above) == len(values):
        panel.set_ylim(0, above.max() * 1.15)
    else:
        low = max(above.min(), _SMALLEST)
        panel.set_yscale("log", nonpositive="clip")
        panel.set_ylim(10 ** np.floor(np.log10(low)), 10 ** np.ceil(np.log10(above.max() * 1.2)))
        panel.yaxis.set_major_formatter(power)
        panel.minorticks_off()


def _draw_critics(
    panel: Axes, x: Floats, critics: Mapping[str, ArrayLike], densities: tuple[ArrayLike, ArrayLike], theme: Theme
) -> None:
    highest = max(float(np.max(density)) for density in densities)
    for density, colour, name in zip(densities, (theme.real, theme.generated), ("data", "generator"), strict=True):
        heights = np.asarray(density, dtype=np.float64) / highest * 0.6
        panel.fill_between(x, 0, heights, color=colour, alpha=0.4, lw=0, label=name)
    for (name, values), colour, dash in zip(critics.items(), (theme.distance, theme.generated), _DASHES, strict=False):
        numbers = np.asarray(values, dtype=np.float64)
        low, high = numbers.min(), numbers.max()
        stretched = (numbers - low) / (high - low if high > low else 1.0)
        panel.plot(x, stretched, color=colour, linewidth=1.6, linestyle=dash, label=name)
    panel.set(yticks=[], xlim=(x[0], x[-1]), ylim=(-0.03, 1.06), title="critic outputs, each scaled to [0, 1]")
    panel.legend(loc="upper right")


def gaussian_fits(
    panels: Sequence[tuple[str, ArrayLike, ArrayLike, Mapping[str, ArrayLike]]], *, theme: Theme = LIGHT
) -> Figure:
    """Draw mixtures and the Gaussians fitted to them.

    Args:
        panels: For each a title, positions on the line, shape (L,), the density of the mixture there, and the
            densities of the fits by name, four at most.
        theme: Colours.
    """
    colours = (theme.generated, theme.distance, theme.ink, theme.faint)
    with style(theme):
        figure = blank(PAGE_WIDTH, 3.1)
        for panel, (title, positions, mixture, fits) in zip(
            figure.subplots(1, len(panels), squeeze=False)[0], panels, strict=True
        ):
            x = np.asarray(positions, dtype=np.float64)
            panel.fill_between(x, 0, np.asarray(mixture), color=theme.real, alpha=0.45, lw=0, label="mixture P")
            for (name, density), colour, dash in zip(fits.items(), colours, _DASHES, strict=False):
                panel.plot(x, np.asarray(density), color=colour, linewidth=1.6, linestyle=dash, label=name)
            panel.set(yticks=[], xlim=(x[0], x[-1]), title=title)
            panel.set_ylim(bottom=0)
        lines, names = panel.get_legend_handles_labels()
        figure.legend(lines, names, loc="outside lower center", ncols=4)
    return figure
