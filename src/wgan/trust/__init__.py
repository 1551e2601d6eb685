"""What a critic's number is worth: evidence of it, measured while a run is under way, and nothing else changed by it.

`Examiner` looks at a game after any of its updates and gives `Evidence`: the critic's estimate on rows that training
sees and on rows that it does not, the distance that its scores prove whatever their slope, and the exact one.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from wgan.trust.distances import Certified, Solved, certify, solve
    from wgan.trust.evidence import Evidence, Examiner
    from wgan.trust.gradients import (
        GeneratorGradient,
        Probed,
        Saturation,
        generator_gradient,
        probe,
        saturation,
        weight_gradient,
    )
    from wgan.trust.optimality import relative_rise, trained_further
    from wgan.trust.samples import Look, Looked, Rows, Scored, look, most_rows, scored

# Fetched when first asked for: some of this room reads records alone, and does not wait for torch.
_HOME = {
    "Certified": "distances",
    "Evidence": "evidence",
    "Examiner": "evidence",
    "GeneratorGradient": "gradients",
    "Look": "samples",
    "Looked": "samples",
    "Probed": "gradients",
    "Rows": "samples",
    "Saturation": "gradients",
    "Scored": "samples",
    "Solved": "distances",
    "certify": "distances",
    "generator_gradient": "gradients",
    "look": "samples",
    "most_rows": "samples",
    "probe": "gradients",
    "relative_rise": "optimality",
    "saturation": "gradients",
    "scored": "samples",
    "solve": "distances",
    "trained_further": "optimality",
    "weight_gradient": "gradients",
}

__all__ = [
    "Certified",
    "Evidence",
    "Examiner",
    "GeneratorGradient",
    "Look",
    "Looked",
    "Probed",
    "Rows",
    "Saturation",
    "Scored",
    "Solved",
    "certify",
    "generator_gradient",
    "look",
    "most_rows",
    "probe",
    "relative_rise",
    "saturation",
    "scored",
    "solve",
    "trained_further",
    "weight_gradient",
]


def __getattr__(name: str) -> Any:  # noqa: ANN401 - whatever the room holds under that name
    if name in _HOME:
        return getattr(importlib.import_module(f"wgan.trust.{_HOME[name]}"), name)
    raise AttributeError(f"module 'wgan.trust' has no attribute '{name}'")


def __dir__() -> list[str]:
    return sorted(__all__)
