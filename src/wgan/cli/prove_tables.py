"""The tables of `wgan prove`."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from wgan.studies.proofs.known import KnownDistances
    from wgan.studies.proofs.traces import Trace, Traces
    from wgan.studies.proofs.zoo import CaseResult

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


def known_lines(found: KnownDistances) -> Iterator[str]:
    """The table of known distances."""
    num = len(found.pairs[0].repetitions)
    yield (
        f"{found.size:,} samples on each side, critics trained for {found.critic_steps:,} updates; means of {num} "
        "repetitions.\nFresh: as many samples that the critic was not trained on. By slope: its mean difference on "
        "them, divided\nby its steepest slope.\n"
    )
    widths = {name: max(8, len(title)) for name, title in _KNOWN_COLUMNS.items()}
    yield f"{'':15} true  " + "  ".join(f"{title:>{widths[name]}}" for name, title in _KNOWN_COLUMNS.items())
    for row in found.pairs:
        cells = [f"{row.of(name).mean():{width}.3f}" for name, width in widths.items()]
        yield f"{row.pair.name:15} {row.pair.shift:4g}  " + "  ".join(cells)
    yield ""


RANKED = {
    "certified": "Ŵ",
    "raw": "raw",
    "held_out_estimate": "held out",
    "estimate_by_slope": "by slope",
    "without_critic": "no critic",
}


def trace_line(trace: Trace) -> str:
    """A line about one run."""
    exact = trace.of("exact")
    return (
        f"{trace.data:10} {trace.method:8} seed {trace.seed}: W1 {exact[0]:.3f} to {exact[-1]:.3f} "
        f"(floor {trace.of('exact_floor')[0]:.3f}), Ŵ {_pair(trace, 'certified')}, raw {_pair(trace, 'raw')}"
    )


def _pair(trace: Trace, name: str) -> str:
    """The rank correlation of a whole run, and of its later half."""
    return f"{_number(trace.ranks(name))} ({_number(trace.ranks(name, late=True))})"


def _number(value: float) -> str:
    return "–" if math.isnan(value) else f"{value:.3f}"


def curve_lines(found: Traces) -> Iterator[str]:
    """The tables of rank correlations and of distances, by data and method."""
    import numpy as np

    yield (
        "\nRank correlation with exact W1 during a run, the mean over seeds: of the whole run, and of its later half. "
        "Least: the\nminimum over seeds. Off the floor: without the diagnoses whose W1 is not distinct from its floor, "
        "and their number.\n"
    )
    yield f"{'':20} {'Ŵ':>13} {'least':>13} {'off the floor':>14} " + " ".join(
        f"{title:>13}" for name, title in RANKED.items() if name != "certified"
    )
    for (data, method), cell in found.cells().items():
        least = [min(trace.ranks("certified", late=late) for trace in cell) for late in (False, True)]
        off = np.mean([trace.ranks("certified", off_floor=True) for trace in cell])
        left = sum(int((~trace.off_floor).sum()) for trace in cell)
        yield (
            f"{data:11}{method:9} {_means(cell, 'certified'):>13} {_both(*least):>13} "
            f"{_number(float(off)) + f' ({left})':>14} "
            + " ".join(f"{_means(cell, name):>13}" for name in RANKED if name != "certified")
        )
    yield "\nThe later half: its range of W1, the mean 95 % interval and the floor; and Ŵ/W1 over the whole run.\n"
    yield f"{'':20} {'W1, from–to':>15} {'interval':>9} {'floor':>7} {'Ŵ/W1':>11}"
    for (data, method), cell in found.cells().items():
        exact = np.concatenate([trace.of("exact")[trace.late] for trace in cell])
        width = np.mean([(trace.of("exact_high") - trace.of("exact_low"))[trace.late].mean() / 2 for trace in cell])
        share = np.concatenate([trace.of("certified") / trace.of("exact") for trace in cell])
        floor = np.mean([trace.of("exact_floor")[0] for trace in cell])
        yield (
            f"{data:11}{method:9} {f'{exact.min():.3f}–{exact.max():.3f}':>15} {f'±{width:.3f}':>9} {floor:7.3f} "
            f"{f'{share.min():.0%}–{share.max():.0%}':>11}"
        )
    yield ""


def _means(cell: Sequence[Trace], name: str) -> str:
    import numpy as np

    return _both(*(float(np.mean([trace.ranks(name, late=late) for trace in cell])) for late in (False, True)))


def _both(whole: float, late: float) -> str:
    return f"{_number(whole)} {_number(late):>6}"


def result_line(found: CaseResult) -> str:
    """A line about one run of the zoo."""
    note = "" if found.is_true else "  (not confirmed)"
    return f"{'' if found.is_right else 'NO':4}{found.name:30} {found.verdict.kind:20} {found.expected}{note}"


def confusion_lines(counts: dict[str, dict[str, int]]) -> Iterator[str]:
    """The confusion matrix of the verdicts."""
    kinds = list(dict.fromkeys([*counts, *(verdict for row in counts.values() for verdict in row)]))
    width = max(map(len, kinds))
    yield "\nExpected verdicts (rows) against verdicts (columns):\n"
    for number, kind in enumerate(kinds):
        yield f"{'':{width}}" + "   |" * number + f"   {kind}"
    for truth, row in counts.items():
        yield f"{truth:{width}}" + "".join(f"{row.get(kind) or '·':>4}" for kind in kinds)
    yield ""
