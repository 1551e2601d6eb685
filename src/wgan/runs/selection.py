"""The score of a run's states, by which its best checkpoint is chosen and it ends early."""

from __future__ import annotations

from collections.abc import Mapping

from wgan.data.source import Source
from wgan.errors import UsageError
from wgan.runs.checkpoints import Best
from wgan.runs.diagnosis import has_enough_held_out
from wgan.runs.schedule import evaluations_between_diagnoses
from wgan.settings import Settings
from wgan.system.text import counted

_EVIDENCE = {"held-out": "certified", "exact": "exact"}
"""The evidence that decides, by the value of `best_by`. The held-out estimate itself does not qualify: its unit is the
critic's slope, which changes along a run. The distance that the critic proves on held-out rows keeps one unit."""

_SCORE_WORDS = {"score": "score", "held-out": "distance proven by the critic", "exact": "exact distance"}


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


def has_score(settings: Settings, step: int) -> bool:
    """Whether the state after so many generator updates gets a score; the last state of a run is left aside."""
    return settings.eval_every > 0 and step > 0 and step % _updates_between_scores(settings) == 0


def early_end_reason(settings: Settings, step: int, best: Best | None) -> str:
    """Why a run ends early: as many scores as its patience, up to the one of this step, were no better than the best.

    A stop changes nothing about it. With more patience a resume continues as if the run had never ended.

    Args:
        settings: Of the run.
        step: Generator updates done.
        best: The best checkpoint so far.

    Returns:
        A clause; empty if the run continues.
    """
    if not settings.patience or best is None or not has_score(settings, step) or step >= settings.steps:
        return ""
    between = _updates_between_scores(settings)
    num_worse = step // between - best.step // between
    if num_worse < settings.patience:
        return ""
    return f"no better {_SCORE_WORDS[settings.best_by]} in {counted(num_worse, 'evaluation')} since step {best.step:,}"


def _updates_between_scores(settings: Settings) -> int:
    return settings.eval_every * (1 if settings.best_by == "score" else evaluations_between_diagnoses(settings))
