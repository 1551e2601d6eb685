"""Whether conditions are obeyed, in words: from an evaluation's numbers, on the command line and in reports."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from wgan.report.record import number
from wgan.system.text import listed

_IGNORED, _UNSEEN = "chance", "unseen_"
_LOWEST = 3


@dataclass(frozen=True, kw_only=True)
class ConditionalAccuracy:
    """What was found of one condition, or of all at once.

    Attributes:
        name: The condition; empty for all categories at once.
        is_unseen: Whether it is about combinations that were kept from training.
        is_share: Whether these are shares of rows; correlations if not.
        samples: Samples that show what was asked for.
        real: Held-out real rows that are read right; NaN where there are none.
        ignored: What `samples` would be if the condition were ignored.
        values: The shares by value, where they were measured.
    """

    name: str
    is_unseen: bool
    is_share: bool
    samples: float
    real: float
    ignored: float
    values: tuple[tuple[str, float], ...] = ()

    @property
    def title(self) -> str:
        """What it is about."""
        where = ", combinations never seen" if self.is_unseen else ""
        return f"{self.name or 'all categories at once'}{where}"

    def cells(self) -> tuple[str, str, str]:
        """Samples, real rows, and what would be if it were ignored."""
        samples, real, ignored = (self._shown(value) for value in (self.samples, self.real, self.ignored))
        return samples, real, ignored

    def shares(self) -> Iterator[tuple[str, str]]:
        """Each value, as it is told from others, with its share."""
        for value, share in self.values:
            yield listed([value]), self._shown(share)

    def line(self) -> str:
        """One line for a terminal."""
        samples, real, ignored = self.cells()
        beside = f"real rows {real}, if it were ignored {ignored}"
        if not self.is_share:
            return f"{self.title}: correlation with what was asked for {samples} ({beside})"
        worst = sorted(self.values, key=lambda pair: pair[1])[:_LOWEST]
        lowest = (
            f"; lowest: {', '.join(f'{listed([value])}: {self._shown(share)}' for value, share in worst)}"
            if worst
            else ""
        )
        return f"{self.title}: {samples} of the samples as asked ({beside}){lowest}"

    def _shown(self, value: float) -> str:
        if not math.isfinite(value):
            return "–"
        return f"{100 * value:.1f} %" if self.is_share else f"{value:.2f}"


def conditional_accuracies(evaluation: Mapping[str, Any]) -> list[ConditionalAccuracy]:
    """What an evaluation says of each condition; nothing where none was looked at."""
    found = []
    for key in evaluation:
        prefix = _UNSEEN if key.startswith(f"{_UNSEEN}{_IGNORED}") else ""
        rest = key.removeprefix(prefix)
        if not rest.startswith(_IGNORED):
            continue
        ending = rest.removeprefix(_IGNORED)
        is_share = f"{prefix}accuracy{ending}" in evaluation
        start = f"accuracy{ending}="
        values = [] if prefix else [name for name in evaluation if ending and name.startswith(start)]
        found.append(
            ConditionalAccuracy(
                name=ending.removeprefix("_"),
                is_unseen=bool(prefix),
                is_share=is_share,
                samples=number(evaluation.get(f"{prefix}{'accuracy' if is_share else 'correlation'}{ending}")),
                real=number(evaluation.get(f"{prefix}classifier_accuracy{ending}")),
                ignored=number(evaluation[key]),
                values=tuple((name.removeprefix(start), number(evaluation[name])) for name in values),
            )
        )
    return found


def score_drop(evaluation: Mapping[str, Any]) -> str:
    """What the critic makes of wrong conditions, as a sentence without its full stop."""
    drop = number(evaluation.get("score_drop"))
    way = "rise" if drop < 0 else "fall"
    shown = f"{abs(drop):.2f} of their standard deviations"
    return f"Under wrong conditions the critic's scores of real rows {way} by {shown}"
