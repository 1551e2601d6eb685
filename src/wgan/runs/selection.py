"""Which checkpoint of a run is its best, and when waiting for a better one comes to an end."""

from __future__ import annotations

from collections.abc import Mapping

from wgan.data.source import Source
from wgan.errors import UsageError
from wgan.runs.checkpoints import Best
from wgan.runs.diagnosis import evaluations_between_looks, has_rows_for_looks
from wgan.settings import Settings
from wgan.system.text import counted

_EVIDENCE = {"held-out": "certified", "exact": "exact"}
"""What of the evidence decides, by what `best_by` may be. The held-out estimate itself is no candidate: its unit is the
critic's slope, which changes along a run. What the critic proves of the distance on held-out rows is in one unit."""


def score_of(settings: Settings, evaluation: Mapping[str, float], evidence: Mapping[str, object]) -> float | None:
    """By how much a state falls short, lower being better; None where that was not looked at.

    Args:
        settings: Of the run.
        evaluation: What the judge found.
        evidence: What the examination found.
    """
    name = _EVIDENCE.get(settings.best_by)
    value = evaluation.get("score") if name is None else evidence.get(name)
    return value if isinstance(value, float) else None


def scores_at(settings: Settings, step: int) -> bool:
    """Whether a state after so many generator updates has a score, the last state of all left aside."""
    return settings.eval_every > 0 and step > 0 and step % _between(settings) == 0


def why_to_end(settings: Settings, step: int, best: Best | None) -> str:
    """Why a run is to end early: so many scores in a row, that of this step the last of them, were no better.

    It depends on nothing that a stop could lose, and a greater patience lets the run go on as if it had never ended.

    Args:
        settings: Of the run.
        step: Generator updates done.
        best: The best checkpoint so far.

    Returns:
        A clause; empty if it is to go on.
    """
    if not settings.patience or best is None or not scores_at(settings, step) or step >= settings.steps:
        return ""
    in_vain = step // _between(settings) - best.step // _between(settings)
    if in_vain < settings.patience:
        return ""
    return f"no better {_WORDS[settings.best_by]} in {counted(in_vain, 'evaluation')} since step {best.step:,}"


def _between(settings: Settings) -> int:
    """Generator updates from one score to the next."""
    return settings.eval_every * (1 if settings.best_by == "score" else evaluations_between_looks(settings))


_WORDS = {
    "score": "score",
    "held-out": "distance proven by the critic",
    "exact": "exact distance",
}


def refuse_blind_choice(settings: Settings, source: Source) -> None:
    """Refuse to choose by what no held-out row can show.

    Raises:
        UsageError: Too few rows are held out.
    """
    if not (settings.patience or settings.best_by != "score"):
        return
    asked = f"patience {settings.patience}" if settings.patience else f"best_by {settings.best_by}"
    if source.num_held_out == 0 or (settings.best_by != "score" and not has_rows_for_looks(settings, source)):
        raise UsageError(
            f"{asked} goes by held-out rows, of which there are {source.num_held_out}",
            remedy="Hold rows out (--held-out above 0).",
        )
