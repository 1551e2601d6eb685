"""Which checkpoint of a run is its best."""

from __future__ import annotations

from collections.abc import Mapping

from wgan.data.source import Source
from wgan.errors import UsageError
from wgan.runs.diagnosis import has_enough_held_out
from wgan.settings import Settings

_EVIDENCE = {"held-out": "certified", "exact": "exact"}
"""The evidence that decides, by the value of `best_by`. The held-out estimate itself does not qualify: its unit is the
critic's slope, which changes along a run. The distance that the critic proves on held-out rows keeps one unit."""


def score_of(settings: Settings, evaluation: Mapping[str, float], evidence: Mapping[str, object]) -> float | None:
    """The score of a state, lower being better; None if it was not measured.

    Args:
        settings: Of the run.
        evaluation: The numbers of the evaluation; empty if there was none.
        evidence: The numbers of the diagnosis; empty if there was none.
    """
    name = _EVIDENCE.get(settings.best_by)
    value = evaluation.get("score") if name is None else evidence.get(name)
    return value if isinstance(value, float) else None


def refuse_missing_scores(settings: Settings, source: Source) -> None:
    """Refuse patience and `best_by` where too few rows are held out to compute a score.

    Raises:
        UsageError: Too few rows are held out.
    """
    if not (settings.patience or settings.best_by != "score"):
        return
    asked = f"patience {settings.patience}" if settings.patience else f"best_by {settings.best_by}"
    if source.num_held_out == 0 or (settings.best_by != "score" and not has_enough_held_out(settings, source)):
        raise UsageError(
            f"{asked} needs held-out rows, of which there are {source.num_held_out}",
            remedy="Hold rows out (--held-out above 0).",
        )
