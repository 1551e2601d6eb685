"""f-divergences D(P‖Q) = ∫ q f(p/q): a table of convex functions and their conjugates, and values from any side.

`divergence` is exact between discrete distributions, `gaussian_divergence` between normal ones, and `variational_bound`
and `critic_bound` hold from below with nothing but samples and a critic. P is the data, Q the model; logarithms are
natural.

Source: Csiszár (1967); Ali and Silvey (1966).
"""

from wgan.divergences.discrete import divergence, js
from wgan.divergences.divergence import Divergence, Domain
from wgan.divergences.gaussians import gaussian_divergence
from wgan.divergences.table import DIVERGENCES, as_divergence
from wgan.divergences.variational import critic_bound, variational_bound

__all__ = [
    "DIVERGENCES",
    "Divergence",
    "Domain",
    "as_divergence",
    "critic_bound",
    "divergence",
    "gaussian_divergence",
    "js",
    "variational_bound",
]
