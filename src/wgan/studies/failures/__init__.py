"""Why not the original GAN: its failures, measured.

`vanishing` shows that a better discriminator leaves less of a gradient; `fit_gaussian` and `fit_by_game` show which
modes of two each divergence covers.
"""

from wgan.studies.failures.fits import GaussianFit, divergence_from_gaussian, fit_gaussian, fit_gaussians, judged_by_all
from wgan.studies.failures.games import GameFit, fit_by_game
from wgan.studies.failures.mixtures import F_GAN_MIXTURE, TWO_MODES, LineMixture
from wgan.studies.failures.vanishing import Claim, Curve, Vanishing, vanishing

__all__ = [
    "F_GAN_MIXTURE",
    "TWO_MODES",
    "Claim",
    "Curve",
    "GameFit",
    "GaussianFit",
    "LineMixture",
    "Vanishing",
    "divergence_from_gaussian",
    "fit_by_game",
    "fit_gaussian",
    "fit_gaussians",
    "judged_by_all",
    "vanishing",
]
