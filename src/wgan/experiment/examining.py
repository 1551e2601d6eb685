"""When a run is examined and how closely: decided by counts, so that its record depends on no clock."""

from __future__ import annotations

import math
from dataclasses import dataclass

from wgan.assembly import Parts, build_rules
from wgan.data.source import Source
from wgan.game import Game
from wgan.settings import Settings
from wgan.trust import Examiner, most_rows

FEWEST_UPDATES = 600
"""Updates of both players between two examinations, at least; where there are fewer between two evaluations, some of
these go by without."""

ROWS_SQUARED = 400
"""For each update between two examinations, how much the square of the number of rows looked at may grow: the costs of
all pairs are what takes longest."""

GAP_SHARE = {"eager": 0.04, "compiled": 0.015}
"""The share of the critic's updates by which a copy of it is trained further in an examination, operation by operation
however the run's own updates are made."""


@dataclass(frozen=True)
class Examination:
    """Evidence at those of a run's evaluations that can afford it.

    Attributes:
        examiner: Looks at the game.
        every: Evaluations from one look to the next; the last one of a run always has one.
    """

    examiner: Examiner
    every: int

    @classmethod
    def of(cls, settings: Settings, source: Source, parts: Parts) -> Examination | None:
        """The examination of a run; None where it is not wanted, or too few rows are held out for any.

        Args:
            settings: Of the run, its engine chosen.
            source: Its data.
            parts: What its words name.
        """
        held_out = source.num_held_out
        if settings.examine == "off" or (held_out is not None and held_out < settings.packing):
            return None
        between = settings.judge_every or settings.steps
        every = max(1, math.ceil(FEWEST_UPDATES / (between * (settings.critic_steps + 1))))
        critic_updates = every * between * settings.critic_steps
        updates = every * between * (settings.critic_steps + 1)
        examiner = Examiner(
            source,
            parts.objective,
            parts.constraint,
            build_rules(settings),
            size=max(2, min(most_rows(source.codec.layout), math.isqrt(ROWS_SQUARED * updates))),
            gap_steps=math.ceil(GAP_SHARE.get(settings.engine, GAP_SHARE["eager"]) * critic_updates),
            seed=settings.seed,
        )
        return cls(examiner=examiner, every=every)

    def is_due(self, step: int, settings: Settings) -> bool:
        """Whether an evaluation after so many generator updates is one of those with a look.

        Args:
            step: Generator updates done, after which the run is evaluated.
            settings: Of the run.
        """
        return step == settings.steps or step % (settings.judge_every * self.every) == 0

    def __call__(self, game: Game) -> dict[str, object]:
        """Evidence by name, as plain JSON; the game is left as it was."""
        with game.engine.limits():
            return self.examiner(game).numbers()
