"""Whether a critic's estimate can be trusted: evidence that is measured during a run, and the verdict that follows.

`CriticEvaluator` evaluates the critic of a game after any update, without changing the run, and returns `Evidence`.
`verdict_of` decides from the recorded evidence whether the estimate can be trusted.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from wgan.system.lazy import lazy_names

if TYPE_CHECKING:
    from wgan.trust.evaluator import CriticEvaluator
    from wgan.trust.evidence import Evidence
    from wgan.trust.faults import VerdictSettings
    from wgan.trust.verdict import Verdict, verdict_of

__all__ = ["CriticEvaluator", "Evidence", "Verdict", "VerdictSettings", "verdict_of"]

# Reports need the verdict alone, without torch.
__getattr__, __dir__ = lazy_names(
    __name__,
    {
        "evaluator": "CriticEvaluator",
        "evidence": "Evidence",
        "faults": "VerdictSettings",
        "verdict": "Verdict verdict_of",
    },
)
