"""Failures of the original GAN, measured.

`vanishing` shows that a better discriminator has a smaller gradient. `fit_gaussian` and `fit_by_fgan` show which of two
modes each divergence covers.
"""

from wgan.studies.failures.fgan_fits import FGANFit, fit_by_fgan
from wgan.studies.failures.fits import (
    GaussianFit,
    divergence_from_gaussian,
    divergence_matrix,
    fit_gaussian,
    fit_gaussians,
)
from wgan.studies.failures.mixtures import F_GAN_MIXTURE, TWO_MODES, LineMixture
from wgan.studies.failures.vanishing import Curve, Vanishing, vanishing

__all__ = [
    "F_GAN_MIXTURE",
    "TWO_MODES",
    "Curve",
    "FGANFit",
    "GaussianFit",
    "LineMixture",
    "Vanishing",
    "divergence_from_gaussian",
    "divergence_matrix",
    "fit_by_fgan",
    "fit_gaussian",
    "fit_gaussians",
    "vanishing",
]
