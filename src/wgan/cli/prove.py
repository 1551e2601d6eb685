"""`wgan prove`: experiments that check what is claimed of the critic's estimate."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from wgan.cli.options import Group, arg, parse
from wgan.cli.prove_tables import RANKED, confusion_lines, curve_lines, known_lines, result_line, trace_line
from wgan.cli.streams import say
from wgan.cli.studies import Result, check_picture, conclude
from wgan.errors import UsageError

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from wgan.studies.proofs.known import KnownDistances, PairResult
    from wgan.studies.proofs.traces import Trace, Traces

_QUICK = ("ring-penalty", "ring-dead")
"""Two runs of the zoo: a sound one and one that breaks down."""

_ONLY = {"adult": ("curves",), "folder": ("curves",), "jobs": ("curves",)}
"""Options that apply to some proofs only."""


@dataclass(frozen=True, kw_only=True)
class ProveOptions:
    """Options of `wgan prove`."""

    proof: Literal["curves", "known", "zoo"] = arg(
        '"curves": during training, Ŵ ranks the samples as the exact distance does, and losses do not; "known": at a '
        'known distance, Ŵ equals that distance; "zoo": for runs whose state is known, the verdicts '
        "are right."
    )
    picture: Path | None = arg("File to draw it in, .png or .svg.", None)
    seed: int = arg("Seed of all randomness.", 0)
    json: bool = arg("Print one JSON object instead of tables.", False)
    quick: bool = arg(
        "Run a small version, in seconds, to see that everything works. It proves nothing: claims that do not hold are "
        "printed, and are not an error.",
        False,
    )
    adult: Path | None = arg("The Adult census, a table (curves only; without it, its runs are left out).", None)
    folder: Path | None = arg("Folder that keeps each run of curves, so that a stopped proof can continue.", None)
    jobs: int = arg("Processes that train runs of curves at the same time.", 1)


def run(words: Sequence[str]) -> int:
    """Run `wgan prove`."""
    group = Group(title="study", dataclass=ProveOptions, positional={"proof": "PROOF"})
    description = "Check by experiment what is claimed of the critic's estimate Ŵ. PROOF is curves, known or zoo."
    (options,) = parse(words, [group], command="prove", description=description)
    _check(options)
    result = {"curves": _curves, "known": _known, "zoo": _zoo}[options.proof](options)
    return conclude(result, picture=options.picture, as_json=options.json, must_hold=not options.quick)


def _check(options: ProveOptions) -> None:
    for name, proofs in _ONLY.items():
        if options.proof not in proofs and getattr(options, name) != ProveOptions.__dataclass_fields__[name].default:
            raise UsageError(f"--{name} does not apply to {options.proof}, but to {' and '.join(proofs)}")
    if options.jobs < 1:
        raise UsageError(f"--jobs must be at least 1, not {options.jobs}")
    check_picture(options.picture)


def _known(options: ProveOptions) -> Result:
    from wgan.studies.proofs.known import known

    seed = options.seed
    found = known(seed=seed, size=200, repetitions=2, critic_steps=60) if options.quick else known(seed=seed)
    facts = {
        "proof": "known",
        "size": found.size,
        "critic_steps": found.critic_steps,
        "known": [
            {"pair": asdict(row.pair), "repetitions": [asdict(each) for each in row.repetitions]} for row in found.pairs
        ],
    }
    return Result(claims=found.claims(), facts=facts, lines=list(known_lines(found)), draw=lambda: _draw_known(found))


def _draw_known(found: KnownDistances) -> Figure:
    from wgan import figures

    def row(pair: PairResult) -> figures.KnownPair:
        low, high = pair.interval("debiased")
        return figures.KnownPair(
            name=pair.pair.name,
            rows={
                title: pair.of(each) / pair.pair.shift
                for title, each in (
                    ("exact W1", "exact"),
                    ("Ŵ", "certified"),
                    ("Ŵ − floor", "less_floor"),
                    ("√(Ŵ² − floor²), interval of the mean", "debiased"),
                )
            },
            shares={
                "nearest neighbours, no critic": pair.of("without_critic") / pair.of("exact"),
                "Ŵ": pair.of("certified") / pair.of("exact"),
                "Ŵ on fresh samples": pair.of("fresh_certified") / pair.of("fresh_exact"),
            },
            interval=(low / pair.pair.shift, high / pair.pair.shift),
        )

    return figures.known([row(pair) for pair in found.pairs])


def _curves(options: ProveOptions) -> Result:
    from wgan.studies.proofs.curves import FULL, QUICK, run_all, tasks
    from wgan.studies.proofs.traces import Traces

    wanted = tasks(adult=options.adult, scale=QUICK if options.quick else FULL, seed=options.seed)
    if not options.json:
        if options.adult is None:
            say("The Adult census is left out: give its file by --adult.")
        say(f"{len(wanted)} runs, {max(wanted[0].scale.diagnoses()):,} updates each\n")

    def tell(trace: Trace, is_kept: bool) -> None:
        if not options.json:
            say(trace_line(trace) + ("  (kept)" if is_kept else ""))

    found = Traces(traces=run_all(wanted, folder=options.folder, jobs=options.jobs, report=tell))
    facts = {
        "proof": "curves",
        "left_out": [] if options.adult else ["adult"],
        "runs": [trace.as_json() | {"rank_correlations": _ranks(trace)} for trace in found.traces],
    }
    return Result(claims=found.claims(), facts=facts, lines=list(curve_lines(found)), draw=lambda: _draw_curves(found))


def _ranks(trace: Trace) -> dict[str, dict[str, float | None]]:
    """Rank correlations of one run, plain; None where there is none."""
    parts = {"all": {}, "later": {"late": True}, "off_floor": {"off_floor": True}}
    return {
        part: {name: None if math.isnan(value := trace.ranks(name, **which)) else value for name in RANKED}
        for part, which in parts.items()
    }


def _draw_curves(found: Traces) -> Figure:
    from wgan import figures

    rows: dict[str, list[figures.Trace]] = {}
    for (data, method), cell in found.cells().items():
        trace = cell[0]
        rows.setdefault(data, []).append(
            figures.Trace(
                title=f"{method}: Ŵ {trace.ranks('certified'):.2f}, raw {trace.ranks('raw'):.2f}",
                at=trace.at,
                certified=trace.of("certified"),
                exact=trace.of("exact"),
                low=trace.of("exact_low"),
                high=trace.of("exact_high"),
                floor=trace.of("exact_floor"),
                raw=trace.of("raw"),
            )
        )
    return figures.traces(rows)


def _zoo(options: ProveOptions) -> Result:
    from wgan.studies.proofs.zoo import CASES, claims, confusion, run_cases

    names = _QUICK if options.quick else tuple(CASES)
    if not options.json:
        say(f"{len(names)} runs\n\n{'':4}{'run':30} {'verdict':20} expected")
    results = []
    for each in run_cases(names, seeds=(options.seed,)):
        results.append(each)
        if not options.json:
            say(result_line(each))
    counts: dict[str, dict[str, int]] = {}
    for (truth, verdict), count in confusion(results).items():
        counts.setdefault(truth, {})[verdict] = count
    facts = {
        "proof": "zoo",
        "confusion": counts,
        "runs": [
            {
                "name": each.name,
                "seed": each.seed,
                "expected": each.expected,
                "is_true": each.is_true,
                "verdict": asdict(each.verdict),
            }
            for each in results
        ],
    }
    return Result(
        claims=claims(results), facts=facts, lines=list(confusion_lines(counts)), draw=lambda: _draw_confusion(counts)
    )


def _draw_confusion(counts: dict[str, dict[str, int]]) -> Figure:
    from wgan import figures

    return figures.confusion(counts)
