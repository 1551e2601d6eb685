"""f-divergences D(P‖Q) = ∫ q f(p/q): a table of convex functions with their conjugates, exact values and lower bounds.

`divergence` is exact between discrete distributions and `gaussian_divergence` between Gaussians. `variational_bound`
and `critic_bound` are lower bounds from samples and a critic. P is the data and Q the model; logarithms are natural.

Source: Csiszár (1967); Ali and Silvey (1966).
"""

from wgan.divergences.base import Divergence, Domain
from wgan.divergences.exact import divergence, gaussian_divergence, js
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
