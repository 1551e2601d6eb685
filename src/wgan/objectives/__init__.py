"""What the two players optimise, and what the training curve then estimates.

An objective sees what the critic puts out for each sample and nothing else: neither networks nor data. To add one,
write its class in a file here and give it a row in `OBJECTIVES`.
"""

from __future__ import annotations

from wgan.objectives.bounds import FGAN, GAN, EnergyBased, Hinge, LeastSquares, Relativistic
from wgan.objectives.distances import MMD, SemiDual, Wasserstein
from wgan.objectives.objective import Objective
from wgan.settings.registry import Registry

OBJECTIVES: Registry[Objective] = Registry(
    "objective",
    {
        "wasserstein": Wasserstein,
        "gan": GAN,
        "fgan": FGAN,
        "least-squares": LeastSquares,
        "hinge": Hinge,
        "relativistic": Relativistic,
        "energy": EnergyBased,
        "mmd": MMD,
        "semidual": SemiDual,
    },
    parent=Objective,
)

__all__ = [
    "FGAN",
    "GAN",
    "MMD",
    "OBJECTIVES",
    "EnergyBased",
    "Hinge",
    "LeastSquares",
    "Objective",
    "Relativistic",
    "SemiDual",
    "Wasserstein",
]
