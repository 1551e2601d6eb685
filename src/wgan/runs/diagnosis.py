"""Diagnose the critic of a run along the way, and keep the verdict on all diagnoses so far."""

from __future__ import annotations

import dataclasses
import math
import statistics
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from wgan.data.source import Source
from wgan.runs import schedule
from wgan.settings import Settings
from wgan.training.setup import Setup
from wgan.trust.evaluator import CriticEvaluator
from wgan.trust.faults import VerdictSettings
from wgan.trust.samples import most_rows
from wgan.trust.symptoms import number
from wgan.trust.verdict import Verdict, verdict_of

ROWS_SQUARED = 400
"""Pairs of rows that a diagnosis may compare, for each update since the last one: these take most of its time."""

SMOOTHED = 5
"""Recorded estimates whose median is the value of the curve at a diagnosis."""

GAP_SHARE = {"eager": 0.04, "compiled": 0.015}
"""Updates of a copy of the critic in a diagnosis, as a share of the critic's updates since the last one, by the engine
of the run. The copy is always trained operation by operation."""


def has_enough_held_out(settings: Settings, source: Source) -> bool:
    """Whether enough rows are held out for a diagnosis."""
    return source.num_held_out is None or source.num_held_out >= settings.packing


class RunDiagnosis:
    """Diagnoses of a run's critic, and the verdict on all of them so far.

    Args:
        settings: Of the run.
        evaluator: Measures the evidence.
        between: Generator updates from one regular diagnosis to the next. The last update and those of
            `schedule.early_diagnoses` have one too.
        lines: Lines that the record holds already.

    Attributes:
        evaluator: Measures the evidence.
        between: Generator updates from one regular diagnosis to the next.
    """

    def __init__(
        self, settings: Settings, evaluator: CriticEvaluator, between: int, lines: Iterable[Mapping[str, Any]] = ()
    ) -> None:
        self.evaluator, self.between = evaluator, between
        self._settings, self._verdict_settings = settings, VerdictSettings.of(dataclasses.asdict(settings))
        self._early = schedule.early_diagnoses(settings)
        self._diagnosed: list[Mapping[str, Any]] = []
        self._curve: list[tuple[int, float]] = []
        for line in lines:
            self.add(line)

    @classmethod
    def of(cls, settings: Settings, setup: Setup, lines: Iterable[Mapping[str, Any]] = ()) -> RunDiagnosis | None:
        """The diagnosis of a run; None if the settings have it off, or too few rows are held out.

        Args:
            settings: Of the run, with the engine that was chosen.
            setup: What is trained.
            lines: Lines that the record holds already.
        """
        if settings.diagnose == "off" or not has_enough_held_out(settings, setup.source):
            return None
        between = schedule.updates_between_diagnoses(settings)
        updates, critic_updates = between * (settings.critic_steps + 1), between * settings.critic_steps
        evaluator = CriticEvaluator(
            setup,
            size=max(2, min(most_rows(setup.source.codec.layout), math.isqrt(ROWS_SQUARED * updates))),
            gap_steps=math.ceil(GAP_SHARE.get(settings.engine, GAP_SHARE["eager"]) * critic_updates),
            seed=settings.seed,
        )
        return cls(settings, evaluator, between, lines)

    def is_due(self, step: int) -> bool:
        """Whether a diagnosis is due after so many generator updates."""
        return self._is_regular(step) or step in self._early

    def _is_regular(self, step: int) -> bool:
        return step == self._settings.steps or step % self.between == 0

    def __call__(self, estimate: float) -> dict[str, object]:
        """Evidence by name, as plain JSON values; the game is unchanged afterwards.

        Args:
            estimate: Of the last update. The evidence has as "curve" the median of it and those recorded just before,
                since the estimate on one batch is noisy.
        """
        # A run that was stopped may have recorded this update already.
        game = self.evaluator.setup.game
        before = [value for step, value in self._curve if step < game.steps_done]
        latest = [*before[1 - SMOOTHED :], estimate]
        # Only regular diagnoses train a copy of the critic further: before early ones there are too few updates.
        further = self._is_regular(game.steps_done)
        with game.engine.limits():
            return self.evaluator(further=further).numbers() | {"curve": statistics.median(latest)}

    @property
    def verdict(self) -> Verdict | None:
        """The verdict on the critic's estimate; None before the first diagnosis."""
        return self.verdict_with() if self._diagnosed else None

    def verdict_with(self, *more: Mapping[str, Any], diverged: str = "") -> Verdict:
        """The verdict on all diagnoses so far and further ones.

        Args:
            more: Lines that were not added yet.
            diverged: How training diverged; empty if it did not.
        """
        return verdict_of([*self._others(more), *more], self._verdict_settings, diverged=diverged)

    def add(self, line: Mapping[str, Any]) -> None:
        """Add a line of the record, with evidence and a verdict or without."""
        if "verdict" in line:
            self._diagnosed = [*self._others([line]), line]
        if (estimate := number(line, "estimate")) is not None:
            if self._curve and self._curve[-1][0] == line["step"]:
                self._curve.pop()
            self._curve.append((line["step"], estimate))

    def _others(self, lines: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
        """The diagnoses of other updates; a run that is ended where it was stopped may record an update twice."""
        steps = {line["step"] for line in lines}
        return [line for line in self._diagnosed if line["step"] not in steps]

    def forget(self, step: int) -> None:
        """Discard everything after a step, before a rollback to it."""
        self._diagnosed = [line for line in self._diagnosed if line["step"] <= step]
        self._curve = [(at, estimate) for at, estimate in self._curve if at <= step]
