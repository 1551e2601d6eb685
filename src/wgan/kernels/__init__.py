"""Kernel distances between two samples: maximum mean discrepancy, energy distance and kernel distance of features."""

from wgan.kernels.discrepancy import Discrepancy, energy_distance, kernel_distance, mmd, squared_mmd
from wgan.kernels.functions import (
    KERNELS,
    Cubic,
    Energy,
    Gaussian,
    GaussianMixture,
    Kernel,
    Laplacian,
    cubic_kernel,
    median_distance,
)

__all__ = [
    "KERNELS",
    "Cubic",
    "Discrepancy",
    "Energy",
    "Gaussian",
    "GaussianMixture",
    "Kernel",
    "Laplacian",
    "cubic_kernel",
    "energy_distance",
    "kernel_distance",
    "median_distance",
    "mmd",
    "squared_mmd",
]
