"""Traces of evidence along runs, their rank correlations, and the claims about them."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from wgan.figures import Floats
from wgan.studies import Claim
from wgan.trust.spearman import rank_correlation

MEASURED = (
    "certified",
    "without_critic",
    "exact",
    "exact_low",
    "exact_high",
    "exact_floor",
    "raw",
    "held_out_estimate",
    "estimate_by_slope",
    "slope_climbed",
)
"""Numbers stored of each diagnosis: some of `wgan.trust.Evidence`, and "raw", the median of the latest estimates."""

CONSTRAINED = ("penalty", "clipping")
"""The runs with a claim on their rank correlation."""

RANKED = 0.95
"""Rank correlation of Ŵ with exact W1 along a run, at least."""

RANKED_LATE = 0.85
"""The same in the later half of the updates."""

_ROUNDING = 1e-9


@dataclass(frozen=True, kw_only=True)
class Trace:
    """Evidence along one run.

    Attributes:
        data: Name of its data.
        method: A name of `wgan.studies.proofs.curves.METHODS`.
        seed: Of the run.
        steps: Generator updates at each diagnosis.
        values: Name in `MEASURED` to a number for each diagnosis; NaN where there is none.
    """

    data: str
    method: str
    seed: int
    steps: tuple[int, ...]
    values: Mapping[str, tuple[float, ...]]

    def of(self, name: str) -> Floats:
        """One number along the run, shape (K,)."""
        return np.array(self.values[name], dtype=np.float64)

    @property
    def at(self) -> Floats:
        """Generator updates at each diagnosis, shape (K,)."""
        return np.array(self.steps, dtype=np.float64)

    @property
    def late(self) -> np.ndarray[Any, np.dtype[np.bool_]]:
        """Which diagnoses are in the later half of the updates, shape (K,)."""
        return np.array(self.steps) > self.steps[-1] / 2

    @property
    def off_floor(self) -> np.ndarray[Any, np.dtype[np.bool_]]:
        """At which diagnoses the whole interval of W1 is above its floor, shape (K,)."""
        return self.of("exact_low") > self.of("exact_floor")

    def ranks(self, name: str, *, late: bool = False, off_floor: bool = False) -> float:
        """Rank correlation of one number with exact W1.

        Args:
            name: The number.
            late: Whether to use the later half alone.
            off_floor: Whether to omit diagnoses at which the interval of W1 reaches its floor.

        Returns:
            Between -1 and 1; NaN if fewer than three diagnoses are left, or one of the series is constant.
        """
        kept = np.ones(len(self.steps), dtype=bool)
        kept &= self.late if late else True
        kept &= self.off_floor if off_floor else True
        return rank_correlation(self.of(name)[kept].tolist(), self.of("exact")[kept].tolist())

    @property
    def above(self) -> float:
        """Largest relative excess of Ŵ over the exact W1; negative if there is none."""
        return float(np.nanmax(self.of("certified") / self.of("exact"))) - 1.0

    def as_json(self) -> dict[str, Any]:
        """As plain JSON, with None for NaN."""
        seen = {
            name: [None if math.isnan(value) else value for value in values] for name, values in self.values.items()
        }
        return {"data": self.data, "game": self.method, "seed": self.seed, "steps": list(self.steps), "seen": seen}

    @classmethod
    def from_json(cls, state: Mapping[str, Any]) -> Trace:
        """The inverse of `as_json`.

        Raises:
            KeyError: A missing key.
            TypeError: A value of another type.
            ValueError: A value of another length.
        """
        values = {
            name: tuple(math.nan if value is None else float(value) for value in state["seen"][name])
            for name in MEASURED
        }
        steps = tuple(map(int, state["steps"]))
        if any(len(numbers) != len(steps) for numbers in values.values()):
            raise ValueError("the numbers of a trace do not match its diagnoses")
        return cls(data=state["data"], method=state["game"], seed=int(state["seed"]), steps=steps, values=values)


@dataclass(frozen=True, kw_only=True)
class Traces:
    """The traces of all runs.

    Attributes:
        traces: In any order.
    """

    traces: Sequence[Trace]

    def cells(self) -> dict[tuple[str, str], list[Trace]]:
        """Data and method to the traces of all seeds."""
        found: dict[tuple[str, str], list[Trace]] = {}
        for trace in self.traces:
            found.setdefault((trace.data, trace.method), []).append(trace)
        return found

    def claims(self) -> tuple[Claim, ...]:
        """Ŵ ranks samples as the exact distance does and never exceeds it, and losses rank them worse."""
        above = max(trace.above for trace in self.traces)
        claims = [
            claim
            for method in CONSTRAINED
            for claim in (self._ranked(method, late=False), self._ranked(method, late=True))
        ]
        never = Claim(
            text="Ŵ is never above the exact distance",
            measured=f"at most {above:+.1e} of it, in {sum(len(trace.steps) for trace in self.traces):,} diagnoses",
            wanted="rounding",
            holds=above <= _ROUNDING,
        )
        return (
            *claims,
            never,
            *(self._worse(method) for method in dict.fromkeys(trace.method for trace in self.traces)),
        )

    def _ranked(self, method: str, *, late: bool) -> Claim:
        means = {
            data: float(np.mean([trace.ranks("certified", late=late) for trace in cell]))
            for (data, name), cell in self.cells().items()
            if name == method
        }
        worst = min(means, key=lambda data: means[data] if math.isfinite(means[data]) else -2.0)
        wanted = RANKED_LATE if late else RANKED
        return Claim(
            text=f"{method}: Ŵ ranks a run's samples as exact W1 does{', in its later half' if late else ''}",
            measured=f"{', '.join(f'{data} {mean:.3f}' for data, mean in means.items())}",
            wanted=f"{wanted} on each, in the mean over seeds",
            holds=means[worst] >= wanted,
        )

    def _worse(self, method: str) -> Claim:
        bounds, losses = (
            float(np.mean([trace.ranks(name) for trace in self.traces if trace.method == method]))
            for name in ("certified", "raw")
        )
        return Claim(
            text=f"{method}: the critic's own estimate ranks them worse",
            measured=f"{losses:.3f} against {bounds:.3f} in the mean over all",
            wanted="less",
            holds=losses < bounds,
        )
