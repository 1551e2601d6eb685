"""The verdicts on all cases, scored against the ground truth."""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from wgan.studies import Claim
from wgan.studies.proofs.zoo.cases import CASES
from wgan.studies.proofs.zoo.ground_truth import GroundTruth, ground_truth_of, is_true
from wgan.studies.proofs.zoo.runner import run_case
from wgan.trust.faults import VerdictSettings
from wgan.trust.verdict import Kind, Verdict, verdict_of

RIGHT = 0.9
"""Share of the runs whose verdict must be right, at least."""

DOUBTED = 0.25
"""Share of the sound runs whose verdict may be "cannot-tell", at most. Some runs converge so early that the diagnoses
show no order in what remains."""

_UNDECIDED: Kind = "cannot-tell"


@dataclass(frozen=True, kw_only=True)
class CaseResult:
    """The verdict on a case and its ground truth.

    Attributes:
        name: Of the case.
        seed: Of the run.
        expected: The correct verdict according to the table.
        verdict: The verdict from the run's record.
        ground_truth: What was measured of the final state.
        is_true: Whether the ground truth confirms the table.
        lines: The lines of the record with evidence.
    """

    name: str
    seed: int
    expected: Kind
    verdict: Verdict
    ground_truth: GroundTruth
    is_true: bool
    lines: list[dict[str, Any]]

    @property
    def is_right(self) -> bool:
        """Whether the verdict is the expected one."""
        return self.verdict.kind == self.expected


def run_cases(names: Iterable[str] = tuple(CASES), *, seeds: Sequence[int] = (0,)) -> Iterator[CaseResult]:
    """Train cases, one after another, and give the verdict on each.

    Args:
        names: Names in `CASES`. The sound siblings of cases with a fault are trained too, before the others, since
            the ground truth needs them. They are yielded only if they are named.
        seeds: Each case is trained with each of them.

    Yields:
        The result of each named case.
    """
    wanted = list(names)
    siblings = dict.fromkeys(CASES[name].sibling for name in wanted if CASES[name].sibling)
    for seed in seeds:
        found: dict[str, GroundTruth] = {}
        for name in dict.fromkeys([*siblings, *wanted]):
            case = CASES[name]
            run = run_case(case, seed)
            found[name] = ground_truth_of(run)
            if name in wanted:
                settings = VerdictSettings.of(dataclasses.asdict(run.settings))
                yield CaseResult(
                    name=name,
                    seed=seed,
                    expected=case.expected,
                    verdict=verdict_of(run.lines, settings, diverged=run.diverged),
                    ground_truth=found[name],
                    is_true=is_true(case.expected, found[name], found.get(case.sibling)),
                    lines=run.lines,
                )


def confusion(results: Iterable[CaseResult]) -> dict[tuple[Kind, Kind], int]:
    """Number of runs by expected and given verdict."""
    return dict(Counter((each.expected, each.verdict.kind) for each in results))


def claims(results: Sequence[CaseResult]) -> list[Claim]:
    """The claims about verdicts, and whether they hold in these runs."""
    right, sound = sum(each.is_right for each in results), [each for each in results if each.expected == "trust"]
    # "cannot-tell" is no alarm. Its frequency among sound runs is a separate claim.
    alarms = [f"{each.name} ({each.verdict.kind})" for each in sound if each.verdict.kind not in ("trust", _UNDECIDED)]
    undecided = [each.name for each in sound if each.verdict.kind == _UNDECIDED]
    trusted = [each.name for each in results if each.expected != "trust" and each.verdict.kind == "trust"]
    false = [each.name for each in results if not each.is_true]
    share = right / len(results) if results else 0.0
    return [
        Claim(
            text="the verdict is right",
            measured=f"{right} of {len(results)} runs",
            wanted=f"at least {RIGHT:.0%}",
            holds=share >= RIGHT,
        ),
        Claim(
            text="no false alarm among sound runs",
            measured=", ".join(alarms) or f"none of {len(sound)}",
            wanted="none",
            holds=not alarms,
        ),
        Claim(
            text="few sound runs are undecided",
            measured=", ".join(undecided) or f"none of {len(sound)}",
            wanted=f"at most {DOUBTED:.0%}",
            holds=len(undecided) <= DOUBTED * len(sound),
        ),
        Claim(
            text="no other run is trusted",
            measured=", ".join(trusted) or f"none of {len(results) - len(sound)}",
            wanted="none",
            holds=not trusted,
        ),
        Claim(
            text="every run has the state that the table expects",
            measured=", ".join(false) or f"{len(results)} of {len(results)}",
            wanted="all",
            holds=not false,
        ),
    ]
