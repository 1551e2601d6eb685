"""Objectives: the losses of both players, and the estimate that the training curve shows.

An objective is a function of the critic's outputs. It sees neither networks nor data. To add one, write its class in a
file here and add it to `OBJECTIVES`.
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
