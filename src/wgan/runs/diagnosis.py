"""When a run is examined and how closely: decided by counts, so that its record depends on no clock."""

from __future__ import annotations

import dataclasses
import math
import statistics
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from wgan.data.source import Source
from wgan.settings import Settings
from wgan.training.setup import Setup
from wgan.trust import CriticEvaluator, most_rows
from wgan.trust.nearness import number
from wgan.trust.verdict import Verdict, verdict_of

FEWEST_UPDATES = 600
"""Updates of both players between two looks, at least; where there are fewer between two evaluations, some of these go
by without."""

LOOKS = 8
"""Looks in a run, at least, as far as the updates between two of them allow: where there are fewer evaluations, others
come between these."""

ROWS_SQUARED = 400
"""For each update between two examinations, how much the square of the number of rows looked at may grow: the costs of
all pairs are what takes longest."""

SMOOTHED = 5
"""Recorded estimates, the latest ones, whose median is what the curve shows at a look."""

GAP_SHARE = {"eager": 0.04, "compiled": 0.015}
"""The share of the critic's updates by which a copy of it is trained further in an examination, operation by operation
however the run's own updates are made."""


def evaluations_between_looks(settings: Settings) -> int:
    """Evaluations of a run from one that has its look to the next."""
    between = settings.eval_every or settings.steps
    return max(1, math.ceil(FEWEST_UPDATES / (between * (settings.critic_steps + 1))))


def updates_between_looks(settings: Settings) -> int:
    """Generator updates of a run from one look to the next: a multiple or a whole part of those between evaluations."""
    if not settings.eval_every:
        return settings.steps
    between = settings.eval_every * evaluations_between_looks(settings)
    fewest = FEWEST_UPDATES / (settings.critic_steps + 1)
    parts = [part for part in range(between, 0, -1) if between % part == 0 and part >= fewest]
    return next((part for part in parts if part * LOOKS <= settings.steps), parts[-1])


def early_looks(settings: Settings) -> frozenset[int]:
    """Generator updates after which there are looks before the first regular one, each at twice the one before.

    Most of the way from noise to the data is covered early. Without looks there, hardly one of a long run would find
    its samples away from the floor, and it would be unknown whether the curve follows the distance.
    """
    between = min(settings.steps, updates_between_looks(settings))
    found, step = [], math.ceil(FEWEST_UPDATES / (settings.critic_steps + 1))
    while 2 * step <= between:
        found.append(step)
        step *= 2
    return frozenset(found)


def has_rows_for_looks(settings: Settings, source: Source) -> bool:
    """Whether enough rows are held out for the critic to see some."""
    return source.num_held_out is None or source.num_held_out >= settings.packing


class RunDiagnosis:
    """Evidence along a run, as often as it can afford it, and the verdict on all of it so far.

    Args:
        settings: Of the run.
        examiner: Looks at the game.
        between: Generator updates from one look to the next; the last one of a run always has one, and so have those of
            `early_looks`.
        lines: Those that the record holds already.

    Attributes:
        examiner: As above.
        between: As above.
    """

    def __init__(
        self, settings: Settings, examiner: CriticEvaluator, between: int, lines: Iterable[Mapping[str, Any]] = ()
    ) -> None:
        self.examiner, self.between = examiner, between
        self._settings, self._facts = settings, dataclasses.asdict(settings)
        self._early = early_looks(settings)
        self._looks: list[Mapping[str, Any]] = []
        self._curve: list[tuple[int, float]] = []
        for line in lines:
            self.add(line)

    @classmethod
    def of(cls, settings: Settings, setup: Setup, lines: Iterable[Mapping[str, Any]] = ()) -> RunDiagnosis | None:
        """The examination of a run; None where it is not wanted, or too few rows are held out for any.

        Args:
            settings: Of the run, its engine chosen.
            setup: What is trained.
            lines: Those that the record holds already.
        """
        if settings.diagnose == "off" or not has_rows_for_looks(settings, setup.source):
            return None
        between = updates_between_looks(settings)
        updates, critic_updates = between * (settings.critic_steps + 1), between * settings.critic_steps
        examiner = CriticEvaluator(
            setup,
            size=max(2, min(most_rows(setup.source.codec.layout), math.isqrt(ROWS_SQUARED * updates))),
            gap_steps=math.ceil(GAP_SHARE.get(settings.engine, GAP_SHARE["eager"]) * critic_updates),
            seed=settings.seed,
        )
        return cls(settings, examiner, between, lines)

    def is_due(self, step: int) -> bool:
        """Whether there is a look after so many generator updates."""
        return self._is_regular(step) or step in self._early

    def _is_regular(self, step: int) -> bool:
        return step == self._settings.steps or step % self.between == 0

    def __call__(self, estimate: float) -> dict[str, object]:
        """Evidence by name, as plain JSON; the game is left as it was.

        Args:
            estimate: The critic's of the last update. The evidence holds the median of it and of those recorded just
                before as "curve": of one batch alone, an estimate has more noise than a curve that is looked at.
        """
        # A run that was stopped may have recorded this very update already.
        game = self.examiner.setup.game
        before = [value for step, value in self._curve if step < game.steps_done]
        latest = [*before[1 - SMOOTHED :], estimate]
        # A copy of the critic is trained by a share of the updates since the last look: an early one has none for it.
        further = self._is_regular(game.steps_done)
        with game.engine.limits():
            return self.examiner(further=further).numbers() | {"curve": statistics.median(latest)}

    @property
    def verdict(self) -> Verdict | None:
        """What is to be thought of the critic's number; None before the first look."""
        return self.verdict_with() if self._looks else None

    def verdict_with(self, *more: Mapping[str, Any], diverged: str = "") -> Verdict:
        """The verdict on all looks so far and others.

        Args:
            more: Lines of the record that are not in it yet.
            diverged: How training diverged, if it did.
        """
        return verdict_of([*self._others(more), *more], self._facts | ({"diverged": diverged} if diverged else {}))

    def add(self, line: Mapping[str, Any]) -> None:
        """Take in a line of the record, with evidence and its verdict or without."""
        if "verdict" in line:
            self._looks = [*self._others([line]), line]
        if (estimate := number(line, "estimate")) is not None:
            if self._curve and self._curve[-1][0] == line["step"]:
                self._curve.pop()
            self._curve.append((line["step"], estimate))

    def _others(self, lines: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
        """The looks at other updates: a run that was ended where it was stopped may record an update a second time."""
        steps = {line["step"] for line in lines}
        return [look for look in self._looks if look["step"] not in steps]

    def forget(self, step: int) -> None:
        """Forget what came after a step that the run goes back to."""
        self._looks = [line for line in self._looks if line["step"] <= step]
        self._curve = [(at, estimate) for at, estimate in self._curve if at <= step]
