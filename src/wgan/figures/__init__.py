"""Drawings of a run (the curve, what reaches its generator, points in the plane, marginals) and of transport plans.

Arrays in, a matplotlib figure out, in two themes.

No figure touches matplotlib's global state, and the same arrays give the same bytes.
"""

from wgan.figures.canvas import DARK, LIGHT, Floats, Theme, png, svg
from wgan.figures.columns import MAX_MARGINALS, marginals
from wgan.figures.curves import Judged, curve, median_filtered, median_width
from wgan.figures.failures import choosing, reaching, starving
from wgan.figures.plans import moving_plan
from wgan.figures.points import scatter, scatters

__all__ = [
    "DARK",
    "LIGHT",
    "MAX_MARGINALS",
    "Floats",
    "Judged",
    "Theme",
    "choosing",
    "curve",
    "marginals",
    "median_filtered",
    "median_width",
    "moving_plan",
    "png",
    "reaching",
    "scatter",
    "scatters",
    "starving",
    "svg",
]
