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
    from wgan.trust.optimality import relative_rise, trained_further
    from wgan.trust.samples import Look, Looked, Rows, Scored, look, most_rows, scored

# Fetched when first asked for: some of this room reads records alone, and does not wait for torch.
_HOME = {
    "Certified": "distances",
    "Evidence": "evidence",
    "Examiner": "evidence",
    "Look": "samples",
    "Looked": "samples",
    "Rows": "samples",
    "Scored": "samples",
    "Solved": "distances",
    "certify": "distances",
    "look": "samples",
    "most_rows": "samples",
    "relative_rise": "optimality",
    "scored": "samples",
    "solve": "distances",
    "trained_further": "optimality",
}

__all__ = [
    "Certified",
    "Evidence",
    "Examiner",
    "Look",
    "Looked",
    "Rows",
    "Scored",
    "Solved",
    "certify",
    "look",
    "most_rows",
    "relative_rise",
    "scored",
    "solve",
    "trained_further",
]


def __getattr__(name: str) -> Any:  # noqa: ANN401 - whatever the room holds under that name
    if name in _HOME:
        return getattr(importlib.import_module(f"wgan.trust.{_HOME[name]}"), name)
    raise AttributeError(f"module 'wgan.trust' has no attribute '{name}'")


def __dir__() -> list[str]:
    return sorted(__all__)
