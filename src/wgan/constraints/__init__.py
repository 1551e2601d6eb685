"""Constraints on the critic: weight clipping, gradient penalties, spectral normalisation, or none.

A constraint acts at up to three points: once when the critic is built (`attach`), in the critic's loss (`penalty`), and
after each of its updates (`project`). To add one, write its class in a file here and add it to `CONSTRAINTS`.
"""

from __future__ import annotations

from wgan.constraints.constraint import Constraint, Scores, Unconstrained
from wgan.constraints.penalties import DRAGAN, R1, R1R2, R2, GradientPenalty, LipschitzPenalty, Penalty
from wgan.constraints.weights import SpectralNorm, WeightClipping
from wgan.settings.registry import Registry

CONSTRAINTS: Registry[Constraint] = Registry(
    "constraint",
    {
        "clipping": WeightClipping,
        "penalty": GradientPenalty,
        "lp": LipschitzPenalty,
        "dragan": DRAGAN,
        "r1": R1,
        "r2": R2,
        "r1r2": R1R2,
        "spectral": SpectralNorm,
        "none": Unconstrained,
    },
    parent=Constraint,
)

__all__ = [
    "CONSTRAINTS",
    "DRAGAN",
    "R1",
    "R1R2",
    "R2",
    "Constraint",
    "GradientPenalty",
    "LipschitzPenalty",
    "Penalty",
    "Scores",
    "SpectralNorm",
    "Unconstrained",
    "WeightClipping",
]
