"""The divergences that the tests run over, with independent formulas and values from the literature.

A divergence that is added to the table is tested by the identities without an edit here.
"""

import math

import numpy as np
import torch

from wgan.divergences import DIVERGENCES, as_divergence

PARAMETERS = (
    "weighted_jensen_shannon:pi=0.1",
    "weighted_jensen_shannon:pi=0.95",
    "alpha:alpha=2.5",
    "alpha:alpha=0.001",
    "alpha:alpha=1.001",
    "alpha:alpha=-1.5",
)
KINDS = (*DIVERGENCES, *PARAMETERS)
SMOOTH = tuple(kind for kind in KINDS if as_divergence(kind).curvature is not None)
SYMMETRIC = (
    "total_variation",
    "squared_hellinger",
    "jeffrey",
    "jensen_shannon",
    "weighted_jensen_shannon",
    "gan",
    "alpha",
)


def generator(kind):
    """f from the literature in NumPy, for u > 0; for a divergence not listed here, its own f."""
    name, _, parameter = kind.partition(":")
    number = float(parameter.partition("=")[2] or 0.5)
    known = {
        "total_variation": lambda u: 0.5 * np.abs(u - 1),
        "kl": lambda u: u * np.log(u),
        "reverse_kl": lambda u: -np.log(u),
        "pearson": lambda u: (u - 1) ** 2,
        "neyman": lambda u: (1 - u) ** 2 / u,
        "squared_hellinger": lambda u: (np.sqrt(u) - 1) ** 2,
        "jeffrey": lambda u: (u - 1) * np.log(u),
        "jensen_shannon": lambda u: -(u + 1) * np.log((1 + u) / 2) + u * np.log(u),
        "weighted_jensen_shannon": lambda u: (
            number * u * np.log(u) - (1 - number + number * u) * np.log(1 - number + number * u)
        ),
        "gan": lambda u: u * np.log(u) - (u + 1) * np.log(u + 1),
        "alpha": lambda u: (u**number - number * u + number - 1) / (number * (number - 1)),
    }
    return known.get(name, lambda u: as_divergence(kind).f(torch.from_numpy(u)).numpy())


# f'(1), f''(1), value on disjoint supports, sup of the domain of f*: by hand.
FACTS = {
    "total_variation": (0, None, 1, 0.5),
    "kl": (1, 1, math.inf, math.inf),
    "reverse_kl": (-1, 1, math.inf, 0),
    "pearson": (0, 2, math.inf, math.inf),
    "neyman": (0, 2, math.inf, 1),
    "squared_hellinger": (0, 0.5, 2, 1),
    "jeffrey": (0, 2, math.inf, math.inf),
    "jensen_shannon": (0, 0.5, 2 * math.log(2), math.log(2)),
    "weighted_jensen_shannon": (0, 0.25, math.log(2), math.log(2) / 2),
    "weighted_jensen_shannon:pi=0.1": (0, 0.09, 0.3250829733914482, 0.1 * math.log(10)),
    "weighted_jensen_shannon:pi=0.95": (0, 0.0475, 0.1985152433458726, -0.95 * math.log(0.95)),
    "gan": (-math.log(2), 0.5, 0, 0),
    "alpha": (0, 1, 4, 2),
    "alpha:alpha=2.5": (0, 1, math.inf, math.inf),
    "alpha:alpha=0.001": (0, 1, 1000 / 0.999, 1 / 0.999),
    "alpha:alpha=1.001": (0, 1, math.inf, math.inf),
    "alpha:alpha=-1.5": (0, 1, math.inf, 0.4),
}
