"""Drawings of a run (the curve, what it is worth, points in the plane, marginals), of several, and of transport plans.

Arrays in, a matplotlib figure out, in two themes.

No figure touches matplotlib's global state, and the same arrays give the same bytes.
"""

from wgan.figures.canvas import DARK, LIGHT, Floats, Theme, png, svg
from wgan.figures.columns import MAX_MARGINALS, marginals
from wgan.figures.curves import Judged, curve, median_filtered, median_width
from wgan.figures.evidence import MOST_RUNS, Bracket, bracket, by_layer, scores, small_lines, together
from wgan.figures.failures import choosing, reaching, starving
from wgan.figures.plans import moving_plan
from wgan.figures.points import scatter, scatters
from wgan.figures.proofs import Followed, Known, confusion, following, known

__all__ = [
    "DARK",
    "LIGHT",
    "MAX_MARGINALS",
    "MOST_RUNS",
    "Bracket",
    "Floats",
    "Followed",
    "Judged",
    "Known",
    "Theme",
    "bracket",
    "by_layer",
    "choosing",
    "confusion",
    "curve",
    "following",
    "known",
    "marginals",
    "median_filtered",
    "median_width",
    "moving_plan",
    "png",
    "reaching",
    "scatter",
    "scatters",
    "scores",
    "small_lines",
    "starving",
    "svg",
    "together",
]
