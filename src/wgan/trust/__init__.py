"""Whether a critic's estimate can be trusted: evidence that is measured during a run, and the verdict that follows.

`CriticEvaluator` evaluates the critic of a game after any update, without changing the run, and returns `Evidence`.
`verdict_of` decides from the recorded evidence whether the estimate can be trusted.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from wgan.trust.evaluator import CriticEvaluator
    from wgan.trust.evidence import Evidence
    from wgan.trust.faults import VerdictSettings
    from wgan.trust.verdict import Verdict, verdict_of

# Imported at their first use: reports need the verdict alone, without torch.
_MODULES = {
    "CriticEvaluator": "evaluator",
    "Evidence": "evidence",
    "Verdict": "verdict",
    "VerdictSettings": "faults",
    "verdict_of": "verdict",
}

__all__ = ["CriticEvaluator", "Evidence", "Verdict", "VerdictSettings", "verdict_of"]


def __getattr__(name: str) -> Any:  # noqa: ANN401 - whatever the module holds under that name
    if name in _MODULES:
        return getattr(importlib.import_module(f"wgan.trust.{_MODULES[name]}"), name)
    raise AttributeError(f"module 'wgan.trust' has no attribute '{name}'")


def __dir__() -> list[str]:
    return sorted(__all__)
