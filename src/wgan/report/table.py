"""What each of several runs has reached at its last look: the cells of a table, and the order of the runs in words."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

from wgan.report.runs import Ranking, Run, rankings
from wgan.report.words import significant
from wgan.trust.support import IN_MANY_DIMENSIONS

_MEASURED = {"exact": "exact W1", "sliced": "sliced W1"}


def reached(runs: Sequence[Run]) -> list[dict[str, str]]:
    """For each run, by column, how far its samples are from the data, and how good its critic is.

    Sliced distances have columns where a run has nothing better, or where the exact one cannot tell samples from noise.
    """
    is_sliced = any(
        math.isfinite(run.last("sliced")) and (run.is_blind or not math.isfinite(run.last("exact"))) for run in runs
    )
    return [_cells(run, is_sliced=is_sliced) for run in runs]


def estimates(runs: Sequence[Run]) -> list[dict[str, str]]:
    """For each run, by column, its game, its critic's own number, whose unit no other run has, and the verdict."""
    return [
        {
            "run": run.name,
            "game": run.game,
            "raw": significant(run.raw),
            "held out": significant(run.last("held_out_estimate")),
            "verdict": run.verdict.kind,
        }
        for run in runs
    ]


def ranked(runs: Sequence[Run]) -> Iterator[str]:
    """Each order of the runs, best first, and those that cannot be better, as sentences without their full stops."""
    for ranking in rankings(runs):
        order = " < ".join(f"{run.name} {significant(run.last(ranking.by))}" for run in ranking.order)
        yield f"{_order_by(ranking)}: {order}"
        if ranking.by == "exact" and any(run.is_blind for run in ranking.order):
            yield f"this order says little: {IN_MANY_DIMENSIONS}"
        if ranking.tied:
            names = ", ".join(run.name for run in ranking.tied)
            yield f"not told apart from {ranking.order[0].name}, as their 95 % intervals overlap: {names}"
    near = [run.name for run in runs if run.is_near]
    if near:
        yield f"as near as other real rows: {', '.join(near)}"


def _order_by(ranking: Ranking) -> str:
    if ranking.by == "certified":
        share = (
            "; nearest neighbours alone prove nearly all of it" if any(run.is_blind for run in ranking.order) else ""
        )
        return f"by what the critics prove, Ŵ (a weak critic proves little, however far its samples are{share})"
    return f"nearest to the data by {_MEASURED[ranking.by]}"


def _cells(run: Run, *, is_sliced: bool) -> dict[str, str]:
    exact, low, high = (run.last(name) for name in ("exact", "exact_low", "exact_high"))
    interval = f" [{significant(low)}, {significant(high)}]" if math.isfinite(low) and math.isfinite(high) else ""
    sliced = {"sliced W1": significant(run.last("sliced")), "its floor": significant(run.last("sliced_floor"))}
    return {
        "run": run.name,
        "updates": f"{run.looked_at:,}",
        "Ŵ": significant(run.last("certified")),
        "exact W1 [95 %]": significant(exact) + interval,
        "floor": significant(run.last("exact_floor")),
        **(sliced if is_sliced else {}),
        "Ŵ/exact": _percentage(run.last("efficiency")),
        "no critic": _percentage(run.alone),
        "gap": _percentage(run.last("gap")),
    }


def _percentage(share: float) -> str:
    """A share to about two significant digits, a dash where there is none."""
    if not math.isfinite(share):
        return "–"
    return f"{100 * share:.0f} %" if abs(share) >= 0.0995 or share == 0 else f"{100 * share:.1f} %"
