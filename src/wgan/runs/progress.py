"""What is known of a run after an update."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from wgan.runs.compatibility import NUMBERS
from wgan.training.loop import Step
from wgan.trust.verdict import Verdict


@dataclass(frozen=True)
class Progress:
    """Where a run is after a generator update.

    Attributes:
        step: Generator updates done.
        steps: Generator updates of the whole run.
        record: The line that was just added to the record, if any.
        evaluation: What the judge found, if it was asked.
        saved: The checkpoint that was just saved, if any.
        verdict: What is to be thought of the critic's number, if it was examined.
        went_back: Why the run went back to this step, if it has just done so; the updates after it are to come again.
    """

    step: int
    steps: int
    record: dict[str, Any] | None = None
    evaluation: dict[str, Any] | None = None
    saved: Path | None = None
    verdict: Verdict | None = None
    went_back: str = ""


def numbers_of(step: Step | dict[str, float], *, counts: bool) -> dict[str, float]:
    """What the record keeps of an update, read from the device or from the checkpoint of a stop.

    Args:
        step: The update.
        counts: Whether the critic's updates before it are counted, where their number varies.
    """
    if not isinstance(step, dict):
        step = {name: getattr(step, name).item() for name in NUMBERS} | {"critic_updates": step.critic_updates}
    # In this order, which a checkpoint does not keep.
    return {name: step[name] for name in (*NUMBERS, "critic_updates") if name in NUMBERS or (counts and name in step)}
