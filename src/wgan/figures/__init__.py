"""Figures of a run, of several runs, of transport plans and of the studies.

Each function takes arrays and returns a matplotlib figure in one of two themes. Matplotlib's global state is not
changed, and the same arrays give the same bytes.
"""

from wgan.figures.canvas import DARK, LIGHT, Floats, Theme, png, svg
from wgan.figures.columns import MAX_MARGINALS, marginals
from wgan.figures.curves import EvaluatedDistance, curve, median_filtered, median_width
from wgan.figures.evidence import MOST_RUNS, Bracket, bracket, by_layer, overlay, scores, small_lines
from wgan.figures.failures import gaussian_fits, generator_gradients, vanishing_gradients
from wgan.figures.plans import transport_plan
from wgan.figures.points import scatter, scatters
from wgan.figures.proofs import KnownPair, Trace, confusion, known, traces

__all__ = [
    "DARK",
    "LIGHT",
    "MAX_MARGINALS",
    "MOST_RUNS",
    "Bracket",
    "EvaluatedDistance",
    "Floats",
    "KnownPair",
    "Theme",
    "Trace",
    "bracket",
    "by_layer",
    "confusion",
    "curve",
    "gaussian_fits",
    "generator_gradients",
    "known",
    "marginals",
    "median_filtered",
    "median_width",
    "overlay",
    "png",
    "scatter",
    "scatters",
    "scores",
    "small_lines",
    "svg",
    "traces",
    "transport_plan",
    "vanishing_gradients",
]
