"""The verdict on a critic's number: whether it can be trusted, or what is wrong, from recorded numbers alone.

Nothing here imports torch: reports and comparisons read it too.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, get_args

Kind = Literal[
    "trust",
    "critic-not-optimal",
    "critic-overfits",
    "clip-too-small",
    "clip-too-large",
    "momentum",
    "collapsed",
    "memorising",
    "diverged",
    "cannot-tell",
]
KINDS: tuple[Kind, ...] = get_args(Kind)
"""What a verdict can be; the last is for records that hold too little."""

RECENT = 4
"""Looks that a verdict goes by, the latest: what a run did long before is past, and one look alone has its noise."""

FAR = 1_000.0
"""Exact distance over its floor above which samples have left the data."""


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """What is to be thought of a critic's number.

    Attributes:
        kind: One of `KINDS`.
        reason: Why, in numbers.
        remedy: What to do, by the names of settings; empty where nothing is wrong.
        evidence: The numbers that led to it, by name.
    """

    kind: Kind
    reason: str
    remedy: str = ""
    evidence: dict[str, float] = field(default_factory=dict)

    def __str__(self) -> str:
        """One line."""
        return f"{self.kind}: {self.reason}" + (f". {self.remedy}" if self.remedy else "")


def judge(lines: Sequence[Mapping[str, Any]], facts: Mapping[str, Any]) -> Verdict:
    """Say whether a critic's number can be trusted.

    Args:
        lines: Lines of a run's record, in order; those without evidence are passed over.
        facts: The run's settings by their names, words as they are written ("clipping:bound=0.01"); and "diverged",
            a clause that says how, of a run that was stopped for it. Any of them may be missing.

    Returns:
        The first verdict whose rule applies.
    """
    looks = [line for line in lines if _number(line, "held_out_estimate") is not None]
    if facts.get("diverged"):
        return Verdict(
            kind="diverged",
            reason=f"training diverged: {facts['diverged']}",
            remedy="Begin again with lower rates in --generator-optimizer and --critic-optimizer",
        )
    if not looks:
        return Verdict(
            kind="cannot-tell",
            reason="the record holds no evidence on the critic",
            remedy="Train with --examine auto and a share of rows held out (--held-out above 0)",
        )
    recent = looks[-RECENT:]
    far = _ratio(recent, "exact", "exact_floor")
    if far is not None and far > FAR:
        return Verdict(
            kind="diverged",
            reason=f"samples are {far:.3g} times as far from held-out rows as other real rows are",
            remedy="Begin again with lower rates in --generator-optimizer and --critic-optimizer",
            evidence={"exact_over_floor": far},
        )
    return Verdict(kind="trust", reason="nothing speaks against it", evidence={})


def _number(line: Mapping[str, Any], name: str) -> float | None:
    value = line.get(name)
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        return None
    return float(value)


def _ratio(looks: Sequence[Mapping[str, Any]], above: str, below: str) -> float | None:
    pairs = [(_number(line, above), _number(line, below)) for line in looks]
    found = [first / second for first, second in pairs if first is not None and second]
    return statistics.median(found) if found else None
