"""The original GAN's failures: a gradient that vanishes, and Gaussians that cover two modes or choose one.

`reaching` looks for the first of them along a run.
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
"""Gradients below this are drawn here: a logarithmic axis has no 0."""


def starving(
    steps: ArrayLike,
    gradients: Mapping[str, tuple[ArrayLike, ArrayLike]],
    *,
    places: ArrayLike,
    critics: Mapping[str, ArrayLike],
    densities: tuple[ArrayLike, ArrayLike],
    theme: Theme = LIGHT,
) -> Figure:
    """Draw the gradients that reach a generator that stands still, and what its critics look like in the end.

    Args:
        steps: Updates of the critics, shape (K,), of which a first 0 is left out.
        gradients: By the loss's name, norms and their noise, shape (K,) each; three at most.
        places: On the line, shape (L,).
        critics: By name, values there, shape (L,), each stretched to fill the panel.
        densities: Of data and generator there, shape (L,).
        theme: Colours.

    Source: Arjovsky and Bottou (2017), figures 2 and 3; Arjovsky, Chintala and Bottou (2017), figure 2.
    """
    at, x = np.asarray(steps, dtype=np.float64), np.asarray(places, dtype=np.float64)
    colours = (theme.judged, theme.ink, theme.generated)
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
            xscale="log", yscale="log", xlabel="updates of the critic", title="gradient at the generator's weights"
        )
        left.xaxis.set_major_formatter(lambda value, _: f"{value:,.0f}")
        left.yaxis.set_major_formatter(power)
        left.minorticks_off()
        left.grid(axis="y")
        left.legend(loc="lower left")
        _draw_critics(right, x, critics, densities, theme)
    return figure


def reaching(
    steps: ArrayLike,
    gradients: Mapping[str, ArrayLike],
    sureness: Mapping[str, ArrayLike],
    *,
    theme: Theme = LIGHT,
) -> Figure:
    """Draw the gradient that reaches a generator along its run, and below it how sure the discriminator is.

    Args:
        steps: Generator updates, shape (K,).
        gradients: By name, norms, shape (K,) each; two at most. What is not finite is left out.
        sureness: By name, shares from 0 to 1, shape (K,) each, three at most; empty for no such panel.
        theme: Colours.
    """
    at = np.asarray(steps, dtype=np.float64)
    heights = [2.2, 1.7][: 2 if sureness else 1]
    with style(theme):
        figure = blank(PAGE_WIDTH, sum(heights) + 0.45 * len(heights))
        panels = figure.subplots(len(heights), 1, sharex=True, squeeze=False, gridspec_kw={"height_ratios": heights})
        _draw_lines(panels[0, 0], at, gradients, (theme.generated, theme.ink))
        drawn = np.concatenate([line.get_ydata() for line in panels[0, 0].lines])
        _scale_norms(panels[0, 0], drawn[np.isfinite(drawn)])
        panels[0, 0].set_title("norm of the gradient")
        if sureness:
            _draw_lines(panels[1, 0], at, sureness, (theme.real, theme.generated, theme.judged))
            panels[1, 0].set(ylim=(-0.04, 1.04), title="saturated scores of the discriminator, share")
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
    # Beside the title, where no curve can run through it.
    panel.legend(loc="lower right", bbox_to_anchor=(1.0, 1.0), ncols=3)


def _scale_norms(panel: Axes, values: Floats) -> None:
    """From 0 where norms stay of a size, by powers of ten where they do not; what is 0 is then drawn at the bottom."""
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
    for (name, values), colour, dash in zip(critics.items(), (theme.judged, theme.generated), _DASHES, strict=False):
        numbers = np.asarray(values, dtype=np.float64)
        low, high = numbers.min(), numbers.max()
        stretched = (numbers - low) / (high - low if high > low else 1.0)
        panel.plot(x, stretched, color=colour, linewidth=1.6, linestyle=dash, label=name)
    panel.set(yticks=[], xlim=(x[0], x[-1]), ylim=(-0.03, 1.06), title="what the critics say along the line")
    panel.legend(loc="upper right")


def choosing(
    panels: Sequence[tuple[str, ArrayLike, ArrayLike, Mapping[str, ArrayLike]]], *, theme: Theme = LIGHT
) -> Figure:
    """Draw what is fitted to a mixture, beside it.

    Args:
        panels: For each a title, places on the line of shape (L,), the mixture's density there, and the densities of
            what was fitted by name, four at most.
        theme: Colours.
    """
    colours = (theme.generated, theme.judged, theme.ink, theme.faint)
    with style(theme):
        figure = blank(PAGE_WIDTH, 3.1)
        for panel, (title, places, mixture, fits) in zip(
            figure.subplots(1, len(panels), squeeze=False)[0], panels, strict=True
        ):
            x = np.asarray(places, dtype=np.float64)
            panel.fill_between(x, 0, np.asarray(mixture), color=theme.real, alpha=0.45, lw=0, label="mixture P")
            for (name, density), colour, dash in zip(fits.items(), colours, _DASHES, strict=False):
                panel.plot(x, np.asarray(density), color=colour, linewidth=1.6, linestyle=dash, label=name)
            panel.set(yticks=[], xlim=(x[0], x[-1]), title=title)
            panel.set_ylim(bottom=0)
        lines, names = panel.get_legend_handles_labels()
        figure.legend(lines, names, loc="outside lower center", ncols=4)
    return figure
