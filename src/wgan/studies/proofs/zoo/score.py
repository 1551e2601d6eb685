"""A walk through the zoo: each run is made, its state found out, and its verdict asked for."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from wgan.studies.failures import Claim
from wgan.studies.proofs.zoo.cases import ZOO
from wgan.studies.proofs.zoo.ground_truth import Truths, is_true, truths_of
from wgan.studies.proofs.zoo.runner import live
from wgan.trust.faults import VerdictSettings
from wgan.trust.verdict import Kind, Verdict, verdict_of

RIGHT = 0.9
"""Share of the runs whose verdict must be right."""

DOUBTED = 0.25
"""Share of the sound runs, at most, of which it may be said that it cannot be told: some come so near so soon that
eight looks find no order in what is left."""

_UNTOLD: Kind = "cannot-tell"


@dataclass(frozen=True, kw_only=True)
class Visit:
    """A run of the zoo, what was thought of it, and what it was.

    Attributes:
        name: Of the run.
        seed: Of the run.
        expected: What the table says that it is.
        verdict: What its record says that it is.
        truths: What is true of it.
        is_true: Whether these bear the table out.
        lines: Its looks.
        facts: What the verdict was told beside them.
    """

    name: str
    seed: int
    expected: Kind
    verdict: Verdict
    truths: Truths
    is_true: bool
    lines: list[dict[str, Any]]
    facts: dict[str, Any]

    @property
    def is_right(self) -> bool:
        """Whether the verdict is the expected one."""
        return self.verdict.kind == self.expected


def visit(names: Iterable[str] = tuple(ZOO), *, seeds: Sequence[int] = (0,)) -> Iterator[Visit]:
    """Make runs, one after another.

    Args:
        names: Of runs of `ZOO`. The sound siblings of planted ones are run too where they are not named, before the
            others, since they tell what a fault cost, and are not handed out.
        seeds: Each run is made under each of them.

    Yields:
        Each named run, as it ends.
    """
    wanted = list(names)
    siblings = dict.fromkeys(ZOO[name].sibling for name in wanted if ZOO[name].sibling)
    for seed in seeds:
        found: dict[str, Truths] = {}
        for name in dict.fromkeys([*siblings, *wanted]):
            specimen = ZOO[name]
            life = live(specimen, seed)
            found[name] = truths_of(life)
            if name in wanted:
                yield Visit(
                    name=name,
                    seed=seed,
                    expected=specimen.expected,
                    verdict=verdict_of(
                        life.lines, VerdictSettings.of(life.facts), diverged=life.facts.get("diverged", "")
                    ),
                    truths=found[name],
                    is_true=is_true(specimen.expected, found[name], found.get(specimen.sibling)),
                    lines=life.lines,
                    facts=dict(life.facts),
                )


def confusion(visits: Iterable[Visit]) -> dict[tuple[Kind, Kind], int]:
    """How many runs of each kind got each verdict: (expected, found) to their number."""
    return dict(Counter((each.expected, each.verdict.kind) for each in visits))


def claims(visits: Sequence[Visit]) -> list[Claim]:
    """What is claimed of verdicts, and whether it is so in these runs."""
    right, sound = sum(each.is_right for each in visits), [each for each in visits if each.expected == "trust"]
    # That too little speaks for a number is no accusation; how often it is said of sound runs is a claim of its own.
    alarms = [f"{each.name} ({each.verdict.kind})" for each in sound if each.verdict.kind not in ("trust", _UNTOLD)]
    untold = [each.name for each in sound if each.verdict.kind == _UNTOLD]
    trusted = [each.name for each in visits if each.expected != "trust" and each.verdict.kind == "trust"]
    false = [each.name for each in visits if not each.is_true]
    share = right / len(visits) if visits else 0.0
    return [
        Claim(
            text="the verdict is right",
            measured=f"{right} of {len(visits)} runs",
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
            text="few sound runs cannot be told",
            measured=", ".join(untold) or f"none of {len(sound)}",
            wanted=f"at most {DOUBTED:.0%}",
            holds=len(untold) <= DOUBTED * len(sound),
        ),
        Claim(
            text="no other run is trusted",
            measured=", ".join(trusted) or f"none of {len(visits) - len(sound)}",
            wanted="none",
            holds=not trusted,
        ),
        Claim(
            text="every run is what the table says",
            measured=", ".join(false) or f"{len(visits)} of {len(visits)}",
            wanted="all",
            holds=not false,
        ),
    ]
