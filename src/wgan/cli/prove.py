"""`wgan prove`: what is claimed of a critic's number, proved by runs that are drawn, printed and checked."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from wgan.cli.main import say
from wgan.cli.options import Group, parse
from wgan.errors import NumericError, UsageError

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from wgan.studies import Claim
    from wgan.studies.proofs.known import KnownResult
    from wgan.studies.proofs.traces import Trace, Traces
    from wgan.studies.proofs.zoo import CaseResult

_FEW = ("ring-penalty", "ring-dead")
"""Of the zoo, a sound run and one that breaks down."""

_ONLY = {"adult": ("curves",), "folder": ("curves",), "jobs": ("curves",)}
"""Options that not every proof takes, and which do."""


@dataclass(frozen=True, kw_only=True)
class ProveOptions:
    """Options of `wgan prove`.

    Attributes:
        proof: "curves": along runs, Ŵ ranks the samples as the exact distance does, and losses do not; "known": between
            distributions whose distance is known, Ŵ is that distance; "zoo": of runs whose state is known, the verdicts
            on their critics' numbers are right.
        picture: File ending in .png or .svg to draw it in.
        seed: All randomness follows from it.
        json: Print one JSON object instead of tables.
        quick: A small scale that takes seconds, shows that everything runs, and proves nothing: claims are printed, and
            none is an error.
        adult: The Adult census as a table (curves; left out where it is not given).
        folder: Where each run of curves is kept as it ends, so that a stopped proof goes on.
        jobs: Runs of curves at a time, each a process.
    """

    proof: Literal["curves", "known", "zoo"]
    picture: Path | None = None
    seed: int = 0
    json: bool = False
    quick: bool = False
    adult: Path | None = None
    folder: Path | None = None
    jobs: int = 1


@dataclass(frozen=True, kw_only=True)
class _Answer:
    """What a proof found.

    Attributes:
        claims: In numbers.
        facts: The same and more, as plain JSON.
        lines: A table.
        draw: Makes the picture.
    """

    claims: Sequence[Claim]
    facts: dict[str, Any]
    lines: Sequence[str]
    draw: Callable[[], Figure]


def run(words: Sequence[str]) -> int:
    """Answer `wgan prove`."""
    group = Group(title="display", kind=ProveOptions, positional={"proof": "PROOF"})
    description = "Prove what is claimed of a critic's number, in numbers. PROOF is curves, known or zoo."
    (options,) = parse(words, [group], command="prove", description=description)
    _check(options)
    answer = {"curves": _curves, "known": _known, "zoo": _zoo}[options.proof](options)
    if options.json:
        print(json.dumps(answer.facts | {"claims": [asdict(claim) for claim in answer.claims]}))
    else:
        for line in answer.lines:
            say(line)
        for claim in answer.claims:
            say(f"{'yes' if claim.holds else 'NO':3}  {claim.text}: {claim.measured} (wanted: {claim.wanted})")
    if options.picture is not None:
        from wgan import figures
        from wgan.system.storage import replace_file

        figure, is_svg = answer.draw(), options.picture.suffix.lower() == ".svg"
        replace_file(options.picture, figures.svg(figure) if is_svg else figures.png(figure))
        if not options.json:
            say(f"picture: {options.picture}")
    failed = [claim.text for claim in answer.claims if not claim.holds]
    if failed and not options.quick:
        raise NumericError(
            f"not so in this experiment: {'; '.join(failed)}", remedy="The table says by how much; try another --seed."
        )
    return 0


def _check(options: ProveOptions) -> None:
    for name, proofs in _ONLY.items():
        if options.proof not in proofs and getattr(options, name) != ProveOptions.__dataclass_fields__[name].default:
            raise UsageError(f"--{name} does not apply to {options.proof}, but to {' and '.join(proofs)}")
    if options.jobs < 1:
        raise UsageError(f"--jobs must be at least 1, not {options.jobs}")
    path = options.picture
    if path is not None and path.suffix.lower() not in (".png", ".svg"):
        raise UsageError(f"--picture {path} ends neither in .png nor in .svg")
    if path is not None and not path.parent.is_dir():
        raise UsageError(f"--picture {path}: there is no folder {path.parent}", remedy="Make it first.")


def _known(options: ProveOptions) -> _Answer:
    from wgan.studies.proofs.known import known

    seed = options.seed
    found = known(seed=seed, size=200, repetitions=2, critic_steps=60) if options.quick else known(seed=seed)
    facts = {
        "proof": "known",
        "size": found.size,
        "critic_steps": found.critic_steps,
        "known": [
            {"pair": asdict(row.pair), "repetitions": [asdict(each) for each in row.repetitions]} for row in found.known
        ],
    }
    return _Answer(claims=found.claims(), facts=facts, lines=list(_known_lines(found)), draw=lambda: _draw_known(found))


_KNOWN_COLUMNS = {
    "exact": "exact W1",
    "certified": "Ŵ",
    "without_critic": "no critic",
    "fresh_exact": "exact, fresh",
    "fresh_certified": "Ŵ, fresh",
    "by_slope": "by slope",
    "floor": "floor",
    "certified_floor": "Ŵ of it",
    "less_floor": "Ŵ − floor",
    "debiased": "√(Ŵ²−floor²)",
}


def _known_lines(found: KnownResult) -> Iterator[str]:
    num = len(found.known[0].repetitions)
    yield (
        f"{found.size:,} samples on each side, critics of {found.critic_steps:,} updates; means of {num} repetitions. "
        "Fresh:\nas many that the critic never saw. By slope: its mean difference on these by its steepest slope.\n"
    )
    widths = {name: max(8, len(title)) for name, title in _KNOWN_COLUMNS.items()}
    yield f"{'':15} true  " + "  ".join(f"{title:>{widths[name]}}" for name, title in _KNOWN_COLUMNS.items())
    for row in found.known:
        cells = [f"{row.of(name).mean():{width}.3f}" for name, width in widths.items()]
        yield f"{row.pair.name:15} {row.pair.shift:4g}  " + "  ".join(cells)
    yield ""


def _draw_known(found: KnownResult) -> Figure:
    from wgan import figures

    def row(name: str, place: int) -> figures.KnownPair:
        pair = found.known[place]
        low, high = pair.interval("debiased")
        return figures.KnownPair(
            name=name,
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

    return figures.known([row(each.pair.name, place) for place, each in enumerate(found.known)])


def _curves(options: ProveOptions) -> _Answer:
    from wgan.studies.proofs.curves import FULL, QUICK, run_all, tasks
    from wgan.studies.proofs.traces import Traces

    wanted = tasks(adult=options.adult, scale=QUICK if options.quick else FULL, seed=options.seed)
    is_heard = not options.json
    if is_heard and options.adult is None:
        say("The Adult census is left out: give its file by --adult.")
    if is_heard:
        say(f"{len(wanted)} runs, {max(wanted[0].scale.diagnoses()):,} updates each\n")

    def tell(trace: Trace, is_kept: bool) -> None:
        if is_heard:
            say(_trace_line(trace) + ("  (kept)" if is_kept else ""))

    found = Traces(traces=run_all(wanted, folder=options.folder, jobs=options.jobs, report=tell))
    facts = {
        "proof": "curves",
        "left_out": [] if options.adult else ["adult"],
        "runs": [trace.as_json() | {"rank_correlations": _ranks(trace)} for trace in found.traces],
    }
    return _Answer(
        claims=found.claims(), facts=facts, lines=list(_curve_lines(found)), draw=lambda: _draw_curves(found)
    )


_RANKED = {
    "certified": "Ŵ",
    "raw": "raw",
    "held_out_estimate": "held out",
    "estimate_by_slope": "by slope",
    "without_critic": "no critic",
}


def _ranks(trace: Trace) -> dict[str, dict[str, float | None]]:
    """Rank correlations of one run, plain; None where there is none."""
    parts = {"all": {}, "later": {"late": True}, "off_floor": {"off_floor": True}}
    return {
        part: {name: None if math.isnan(value := trace.ranks(name, **which)) else value for name in _RANKED}
        for part, which in parts.items()
    }


def _trace_line(trace: Trace) -> str:
    exact = trace.of("exact")
    return (
        f"{trace.data:10} {trace.game:8} seed {trace.seed}: W1 {exact[0]:.3f} to {exact[-1]:.3f} "
        f"(floor {trace.of('exact_floor')[0]:.3f}), Ŵ {_pair(trace, 'certified')}, raw {_pair(trace, 'raw')}"
    )


def _pair(trace: Trace, name: str) -> str:
    """A rank correlation, and that of the later half."""
    return f"{_number(trace.ranks(name))} ({_number(trace.ranks(name, late=True))})"


def _number(value: float) -> str:
    return "–" if math.isnan(value) else f"{value:.3f}"


def _curve_lines(found: Traces) -> Iterator[str]:
    import numpy as np

    yield (
        "\nRank correlation with exact W1 along a run, in the mean over seeds, and in the later half of its updates. "
        "Least: of\nall seeds. Off the floor: without looks at which W1 could not be told from its floor, and their "
        "number.\n"
    )
    yield f"{'':20} {'Ŵ':>13} {'least':>13} {'off the floor':>14} " + " ".join(
        f"{title:>13}" for name, title in _RANKED.items() if name != "certified"
    )
    for (data, game), cell in found.cells().items():
        least = [min(trace.ranks("certified", late=late) for trace in cell) for late in (False, True)]
        off = np.mean([trace.ranks("certified", off_floor=True) for trace in cell])
        left = sum(int((~trace.off_floor).sum()) for trace in cell)
        yield (
            f"{data:11}{game:9} {_means(cell, 'certified'):>13} {_both(*least):>13} "
            f"{_number(float(off)) + f' ({left})':>14} "
            + " ".join(f"{_means(cell, name):>13}" for name in _RANKED if name != "certified")
        )
    yield "\nWhat the later half is about: W1 there, its mean 95 % interval, its floor, and Ŵ/W1 over the whole run.\n"
    yield f"{'':20} {'W1, from–to':>15} {'interval':>9} {'floor':>7} {'Ŵ/W1':>11}"
    for (data, game), cell in found.cells().items():
        exact = np.concatenate([trace.of("exact")[trace.late] for trace in cell])
        width = np.mean([(trace.of("exact_high") - trace.of("exact_low"))[trace.late].mean() / 2 for trace in cell])
        share = np.concatenate([trace.of("certified") / trace.of("exact") for trace in cell])
        floor = np.mean([trace.of("exact_floor")[0] for trace in cell])
        yield (
            f"{data:11}{game:9} {f'{exact.min():.3f}–{exact.max():.3f}':>15} {f'±{width:.3f}':>9} {floor:7.3f} "
            f"{f'{share.min():.0%}–{share.max():.0%}':>11}"
        )
    yield ""


def _means(cell: Sequence[Trace], name: str) -> str:
    import numpy as np

    return _both(*(float(np.mean([trace.ranks(name, late=late) for trace in cell])) for late in (False, True)))


def _both(whole: float, late: float) -> str:
    return f"{_number(whole)} {_number(late):>6}"


def _draw_curves(found: Traces) -> Figure:
    from wgan import figures

    rows: dict[str, list[figures.Trace]] = {}
    for (data, game), cell in found.cells().items():
        trace = cell[0]
        rows.setdefault(data, []).append(
            figures.Trace(
                title=f"{game}: Ŵ {trace.ranks('certified'):.2f}, raw {trace.ranks('raw'):.2f}",
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


def _zoo(options: ProveOptions) -> _Answer:
    from wgan.studies.proofs.zoo import CASES, claims, confusion, run_cases

    names = _FEW if options.quick else tuple(CASES)
    if not options.json:
        say(f"{len(names)} runs\n\n{'':4}{'run':30} {'verdict':20} what it is")
    results = []
    for each in run_cases(names, seeds=(options.seed,)):
        results.append(each)
        if not options.json:
            say(_result_line(each))
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
    return _Answer(
        claims=claims(results), facts=facts, lines=list(_confusion_lines(counts)), draw=lambda: _draw_confusion(counts)
    )


def _result_line(found: CaseResult) -> str:
    doubt = "" if found.is_true else "  (and it is not)"
    return f"{'' if found.is_right else 'NO':4}{found.name:30} {found.verdict.kind:20} {found.expected}{doubt}"


def _confusion_lines(counts: dict[str, dict[str, int]]) -> Iterator[str]:
    kinds = list(dict.fromkeys([*counts, *(verdict for row in counts.values() for verdict in row)]))
    width = max(map(len, kinds))
    yield "\nWhat is true of runs, by rows, and the verdicts on them, by columns:\n"
    for place, kind in enumerate(kinds):
        yield f"{'':{width}}" + "   |" * place + f"   {kind}"
    for truth, row in counts.items():
        yield f"{truth:{width}}" + "".join(f"{row.get(kind) or '·':>4}" for kind in kinds)
    yield ""


def _draw_confusion(counts: dict[str, dict[str, int]]) -> Figure:
    from wgan import figures

    return figures.confusion(counts)
