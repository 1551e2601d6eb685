"""Evidence on the critic's estimate, measured during a run without changing it, and the verdict that follows from it.

`CriticEvaluator` evaluates a game after any update and returns `Evidence`: the critic's estimate on training rows and
on held-out rows, the distance that its scores prove whatever their slope, and the exact distance.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from wgan.trust.distances import Certified, Solved, certify, solve
    from wgan.trust.evidence import CriticEvaluator, Evidence
    from wgan.trust.gradients import (
        GeneratorGradient,
        GradientStats,
        Saturation,
        generator_gradient,
        gradient_stats,
        saturation,
        weight_gradient,
    )
    from wgan.trust.optimality import relative_rise, trained_further
    from wgan.trust.samples import Rescored, Rows, ScoredSamples, Snapshot, most_rows, rescore, snapshot

# Fetched when first asked for: some of this room reads records alone, and does not wait for torch.
_HOME = {
    "Certified": "distances",
    "Evidence": "evidence",
    "CriticEvaluator": "evidence",
    "GeneratorGradient": "gradients",
    "GradientStats": "gradients",
    "Rows": "samples",
    "Saturation": "gradients",
    "Rescored": "samples",
    "ScoredSamples": "samples",
    "Snapshot": "samples",
    "Solved": "distances",
    "certify": "distances",
    "generator_gradient": "gradients",
    "most_rows": "samples",
    "gradient_stats": "gradients",
    "relative_rise": "optimality",
    "saturation": "gradients",
    "rescore": "samples",
    "snapshot": "samples",
    "solve": "distances",
    "trained_further": "optimality",
    "weight_gradient": "gradients",
}

__all__ = [
    "Certified",
    "CriticEvaluator",
    "Evidence",
    "GeneratorGradient",
    "GradientStats",
    "Rescored",
    "Rows",
    "Saturation",
    "ScoredSamples",
    "Snapshot",
    "Solved",
    "certify",
    "generator_gradient",
    "gradient_stats",
    "most_rows",
    "relative_rise",
    "rescore",
    "saturation",
    "snapshot",
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
