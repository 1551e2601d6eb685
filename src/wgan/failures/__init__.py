"""Why not the original GAN: its failures, measured.

`generator_gradient` and `saturation` can be asked of any game at any step, and `probe` asks them of a run as its record
does; `vanishing` shows that a better discriminator leaves less of a gradient, and `fit_gaussian` and `fit_by_game` what
each divergence makes of two modes.
"""

from wgan.failures.fits import GaussianFit, divergence_from_gaussian, fit_gaussian, fit_gaussians, judged_by_all
from wgan.failures.games import GameFit, fit_by_game
from wgan.failures.gradients import (
    GeneratorGradient,
    Probed,
    Saturation,
    generator_gradient,
    probe,
    saturation,
    weight_gradient,
)
from wgan.failures.mixtures import F_GAN_MIXTURE, TWO_MODES, LineMixture
from wgan.failures.vanishing import Claim, Curve, Vanishing, vanishing

__all__ = [
    "F_GAN_MIXTURE",
    "TWO_MODES",
    "Claim",
    "Curve",
    "GameFit",
    "GaussianFit",
    "GeneratorGradient",
    "LineMixture",
    "Probed",
    "Saturation",
    "Vanishing",
    "divergence_from_gaussian",
    "fit_by_game",
    "fit_gaussian",
    "fit_gaussians",
    "generator_gradient",
    "judged_by_all",
    "probe",
    "saturation",
    "vanishing",
    "weight_gradient",
]
