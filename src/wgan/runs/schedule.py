"""After which generator updates a run logs, evaluates, diagnoses, samples and saves.

Everything here follows from settings and counts, never from a clock, so that equal runs give equal records.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from wgan.settings import Settings

MIN_UPDATES_BETWEEN = 600
"""Updates of both players from one diagnosis to the next, at least. With fewer between two evaluations, some
evaluations have no diagnosis."""

MIN_DIAGNOSES = 8
"""Diagnoses of a run, at least, as far as `MIN_UPDATES_BETWEEN` allows. With fewer evaluations than that, there are
diagnoses between them."""


@dataclass(frozen=True)
class Due:
    """What follows one generator update.

    Attributes:
        record: A line of the record.
        evaluation: An evaluation of the samples.
        diagnosis: A diagnosis of the critic.
        samples: A file of samples.
        checkpoint: A checkpoint.
    """

    record: bool
    evaluation: bool
    diagnosis: bool
    samples: bool
    checkpoint: bool

    def __bool__(self) -> bool:
        return self.record or self.samples or self.checkpoint


def due_after(settings: Settings, step: int, *, diagnosis: bool) -> Due:
    """What is due after a generator update.

    Args:
        settings: Of the run.
        step: Generator updates done.
        diagnosis: Whether a diagnosis is due.
    """
    is_last, evaluation = step == settings.steps, is_evaluated(settings, step)
    return Due(
        record=step % settings.log_every == 0 or is_last or evaluation or diagnosis,
        evaluation=evaluation,
        diagnosis=diagnosis,
        samples=step % settings.sample_every == 0 or is_last,
        checkpoint=is_regular(settings, step),
    )


def is_evaluated(settings: Settings, step: int) -> bool:
    """Whether the samples are evaluated after so many generator updates."""
    every = settings.eval_every
    return step == settings.steps or (step > 0 and every > 0 and step % every == 0)


def is_regular(settings: Settings, step: int) -> bool:
    """Whether the run saves a checkpoint at this step even if it is never stopped."""
    return step == 0 or step % settings.save_every == 0 or is_evaluated(settings, step)


def evaluations_between_diagnoses(settings: Settings) -> int:
    """Evaluations from one that comes with a diagnosis to the next such one."""
    between = settings.eval_every or settings.steps
    return max(1, math.ceil(MIN_UPDATES_BETWEEN / (between * (settings.critic_steps + 1))))


def updates_between_diagnoses(settings: Settings) -> int:
    """Generator updates from one diagnosis to the next: a multiple or a divisor of those between evaluations."""
    if not settings.eval_every:
        return settings.steps
    between = settings.eval_every * evaluations_between_diagnoses(settings)
    fewest = MIN_UPDATES_BETWEEN / (settings.critic_steps + 1)
    divisors = [part for part in range(between, 0, -1) if between % part == 0 and part >= fewest]
    return next((part for part in divisors if part * MIN_DIAGNOSES <= settings.steps), divisors[-1])


def early_diagnoses(settings: Settings) -> frozenset[int]:
    """Generator updates with a diagnosis before the first regular one; each is twice the one before.

    Most of the way from noise to the data is covered early. Without these, a long run would have few diagnoses whose
    samples are away from the floor, too few to tell whether the curve follows the distance.
    """
    between = min(settings.steps, updates_between_diagnoses(settings))
    found, step = [], math.ceil(MIN_UPDATES_BETWEEN / (settings.critic_steps + 1))
    while 2 * step <= between:
        found.append(step)
        step *= 2
    return frozenset(found)
