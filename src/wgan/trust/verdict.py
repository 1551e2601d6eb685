"""The verdict on a critic's estimate, from recorded numbers: whether to trust it, or which fault the run has.

Importing this module does not import torch, since reports and comparisons use it too.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Literal, get_args

from wgan.trust import faults
from wgan.trust.faults import Fault, FaultKind, Symptoms, VerdictSettings
from wgan.trust.spearman import critical_value
from wgan.trust.symptoms import Line, diagnoses_of, is_near, is_uninformative, number, ratio, symptoms
from wgan.trust.thresholds import FEWEST_DIAGNOSES, FOLLOWS, OFF_FLOOR, PROVES, SLICED_AT_FLOOR

Kind = Literal["trust", FaultKind, "cannot-tell"]
KINDS: tuple[Kind, ...] = get_args(Kind)
"""Kinds of verdicts. The last is for runs without a fault whose evidence does not suffice to trust the estimate."""

UNINFORMATIVE_DISTANCE = (
    "in so many dimensions the exact W1 cannot tell samples from noise: its floor is nearly all of it"
)
"""What an exact W1 that `is_uninformative` means, as a clause."""


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """The verdict on a critic's estimate.

    Attributes:
        kind: One of `KINDS`.
        reason: Why, in numbers.
        remedy: What to do, by the names of settings; empty for a trusted estimate.
        evidence: The symptoms that led to it, by their names in `wgan.trust.symptoms.SYMPTOMS`.
    """

    kind: Kind
    reason: str
    remedy: str = ""
    evidence: dict[str, float] = field(default_factory=dict)

    def __str__(self) -> str:
        """The verdict as one line."""
        return f"{self.kind}: {self.reason}" + (f". {self.remedy}" if self.remedy else "")


# Every diagnosis measures the estimate on held-out rows, and floors, which do not depend on the critic. Numbers that
# are not finite are not recorded: a line with a floor and no estimate is of a critic whose estimate is not finite.
_OF_EVERY_DIAGNOSIS = ("held_out_estimate", "exact_floor", "sliced_floor")


def verdict_of(lines: Sequence[Line], settings: VerdictSettings, *, diverged: str = "") -> Verdict:
    """Decide whether a critic's estimate can be trusted.

    A run that diverged has that verdict. Otherwise the rules of `wgan.trust.faults` are applied in turn, to medians
    over the latest diagnoses, and the first that applies decides. Where none applies, the estimate is trusted if its
    curve follows the distance over enough diagnoses, or if the critic alone proves nearly all of the distance.

    Args:
        lines: Lines of a run's record, in order. Those without evidence are ignored.
        settings: Of the run. A rule that needs a setting that is not known does not apply.
        diverged: How the run diverged, as a clause, if it was stopped for that.

    Returns:
        "trust", a fault, or "cannot-tell" where there is no fault and not enough evidence.
    """
    diagnoses = diagnoses_of(lines)
    seen = symptoms(diagnoses) if diagnoses else {}
    measured = [line for line in lines if any(name in line for name in _OF_EVERY_DIAGNOSIS)]
    if not diverged and measured and number(measured[-1], "held_out_estimate") is None:
        diverged = "the critic's estimate is not finite"
    if diverged:
        return _of_fault(faults.diverged(diverged, settings), seen)
    for rule in faults.RULES:
        fault = rule(seen, settings)
        if fault is not None:
            return _of_fault(fault, seen)
    if not {"exact_over_floor", "training_lead", "overfitting"} & seen.keys():
        return Verdict(
            kind="cannot-tell",
            reason="the record holds no evidence on the critic",
            remedy="Train with --diagnose auto, and with rows held out (--held-out above 0)",
        )
    return _trust(seen, diagnoses[-1]) if _is_supported(seen) else _cannot_tell(seen, diagnoses[-1])


def _of_fault(fault: Fault, seen: Symptoms) -> Verdict:
    return Verdict(kind=fault.kind, reason=fault.reason, remedy=fault.remedy, evidence=_chosen(seen, fault.evidence))


def _chosen(seen: Symptoms, names: Iterable[str]) -> dict[str, float]:
    return {name: seen[name] for name in names if name in seen}


def _is_supported(seen: Symptoms) -> bool:
    """Whether there is evidence for the estimate."""
    return seen["looks"] >= FEWEST_DIAGNOSES and (_follows(seen) or seen.get("proves", 0.0) >= PROVES)


def _trust(seen: Symptoms, last: Line) -> Verdict:
    over = f"over {seen['looks']:.0f} diagnoses the critic"
    if _follows(seen):
        support = f"{over}'s estimate follows the distance (rank correlation {seen['follows']:.2f})"
    else:
        support = f"{over} proves {seen['proves']:.0%} of the distance beyond nearest neighbours"
    names = (
        "follows", "looks", "efficiency", "overfitting", "training_lead", "rise", "exact_over_floor",
        "sliced_over_floor", "coverage",
    )  # fmt: skip
    clauses = [support, *_on_critic(seen, last), *_on_samples(last)]
    return Verdict(kind="trust", reason="; ".join(clauses), evidence=_chosen(seen, names))


def _cannot_tell(seen: Symptoms, last: Line) -> Verdict:
    reason, remedy = _missing_support(seen)
    names = ("looks", "follows", "proves", "efficiency", "exact_over_floor", "sliced_over_floor")
    clauses = [reason, *_on_critic(seen, last), *_on_samples(last)]
    return Verdict(kind="cannot-tell", reason="; ".join(clauses), remedy=remedy, evidence=_chosen(seen, names))


def _missing_support(seen: Symptoms) -> tuple[str, str]:
    """Why the evidence does not suffice, and what to do: two clauses."""
    num = int(seen["looks"])
    diagnoses = "1 diagnosis" if num == 1 else f"{num} diagnoses"
    if num < FEWEST_DIAGNOSES:
        count = f"there has been only {diagnoses}" if num == 1 else f"there have been only {diagnoses}"
        return (
            f"{count} of the critic, and at least {FEWEST_DIAGNOSES} are needed to see whether its estimate follows "
            "the distance",
            "Train for more --steps",
        )
    instead = "use the distances and their floors instead"
    if "follows" not in seen:
        return f"over {diagnoses} no distance was measured to compare the estimate with", instead.capitalize()
    compared = int(seen.get("compared", 0))
    if compared < FEWEST_DIAGNOSES:
        return (
            f"only {compared} of {diagnoses} measured a distance, too few to see whether the critic's estimate follows "
            "it",
            instead.capitalize(),
        )
    relation = "moves against" if seen["follows"] <= -_significant(compared) else "does not follow"
    return (
        f"over {diagnoses} the critic's estimate {relation} the distance (rank correlation {seen['follows']:.2f}; "
        f"{_significant(compared):.2f} or more is significant)",
        f"Train the critic closer to its optimum (--critic-steps, --optimality 0.05), or {instead}",
    )


def _on_critic(seen: Symptoms, last: Line) -> list[str]:
    """Clauses on what the critic proves, and on how much higher it scores training rows."""
    clauses = []
    certified, exact, low, high = (number(last, name) for name in ("certified", "exact", "exact_low", "exact_high"))
    if certified is not None and exact is not None and exact > 0:
        interval = "" if low is None or high is None else f", 95 % interval {low:.3g} to {high:.3g}"
        neighbours = number(last, "without_critic")
        # Between images, nearest neighbours prove nearly all of the distance, and the critic's share says little.
        is_much = neighbours is not None and neighbours > max(0.0, certified / 2)
        share = f", of which nearest neighbours alone prove {neighbours:.3g}" if is_much else ""
        clauses.append(
            f"the critic proves {certified:.3g}, {certified / exact:.0%} of the exact W1 ({exact:.3g}{interval}){share}"
        )
    if "training_lead" in seen:
        lead = seen["training_lead"]
        higher = f"{lead:.1f} standard errors higher than" if lead >= 0.05 else "no higher than"
        clauses.append(f"training rows score {higher} held-out rows")
    return clauses


def _on_samples(last: Line) -> list[str]:
    """A clause on how far samples are compared with other real rows, if a distance tells."""
    near, exact, sliced = (
        is_near(last), ratio(last, "exact", "exact_floor"), ratio(last, "sliced", "sliced_floor"),
    )  # fmt: skip
    if near:
        return ["samples are as near as other real rows are, and the remaining distance is noise"]
    if exact is not None and exact >= OFF_FLOOR:
        return [f"samples are {exact:.2g} times as far from held-out rows as other real rows are"]
    if sliced is not None and sliced > SLICED_AT_FLOOR:
        return [f"samples are {sliced:.2g} times as far from held-out rows as other real rows are, by sliced W1"]
    if near is None and number(last, "exact") is not None and is_uninformative(last):
        return [UNINFORMATIVE_DISTANCE]
    return []


def _follows(seen: Symptoms) -> bool:
    return seen.get("follows", -1.0) >= _significant(int(seen.get("compared", 0)))


def _significant(num: int) -> float:
    """The rank correlation over so many diagnoses from which on the curve follows the distance."""
    return max(FOLLOWS, critical_value(num))
