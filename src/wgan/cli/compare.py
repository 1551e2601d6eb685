"""`wgan compare`: runs with different critics, in one table and one picture."""

from __future__ import annotations

import json
import math
import sys
import textwrap
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from wgan.cli.options import Group, arg, parse
from wgan.cli.streams import say
from wgan.cli.tables import WIDTH, plain_table, rendered
from wgan.errors import UsageError
from wgan.settings import refuse
from wgan.system.text import escaped

if TYPE_CHECKING:
    from wgan.report.runs import Run

_NUMBERS = (
    "certified", "without_critic", "exact", "exact_low", "exact_high", "exact_floor", "sliced", "sliced_floor",
    "efficiency", "gap", "training_estimate", "held_out_estimate", "estimate_by_slope",
)  # fmt: skip

_TEXTS = ("run", "objective", "verdict")


@dataclass(frozen=True, kw_only=True)
class CompareOptions:
    """Options of `wgan compare`."""

    runs: tuple[Path, ...] = arg(
        "Run directories, of finished or unfinished runs on the same data. Critics, objectives and networks may differ."
    )
    out: Path | None = arg(
        "File to draw them in, .png, .svg or .html; the page has the table and the verdicts too.", None
    )
    axis: Literal["updates", "seconds"] = arg(
        "The horizontal axis: generator updates or seconds of training.", "updates"
    )
    json: bool = arg("Print one JSON object instead of tables.", False)


def run(words: Sequence[str]) -> int:
    """Run `wgan compare`."""
    group = Group(title="comparison", dataclass=CompareOptions, positional={"runs": "RUN..."})
    description = (
        "Compare runs with different critics: the distance between held-out rows and samples that each critic proves, "
        "the exact distance with its confidence interval, and whether each run's loss can be trusted."
    )
    (options,) = parse(words, [group], command="compare", description=description)
    _check(options)
    from wgan.report.comparison import write_comparison
    from wgan.report.runs import doubts, read_runs, refuse_other_axes

    runs = read_runs(options.runs)
    refuse_other_axes(runs)
    notes = [*doubts(runs), *(_untimed(runs) if options.axis == "seconds" else ())]
    for note in notes:
        print(f"wgan: warning: {escaped(note)}", file=sys.stderr)
    if options.out is not None:
        _refuse_empty(runs)
        write_comparison(options.out, runs, notes, by_seconds=options.axis == "seconds")
    if options.json:
        print(json.dumps(_facts(runs, notes, options.out)))
        return 0
    for line in _lines(runs):
        say(line)
    if options.out is not None:
        say(f"\ndrawn: {options.out}")
    return 0


def _check(options: CompareOptions) -> None:
    """Refuse unusable options before any run is read."""
    from wgan.figures import MOST_RUNS
    from wgan.report.comparison import FORMS

    faults, out = [], options.out
    if out is not None and out.suffix.lower() not in FORMS:
        faults.append(f"--out {out} ends in none of {', '.join(FORMS)}")
    elif out is not None and not out.parent.is_dir():
        faults.append(f"--out {out}: there is no folder {out.parent}")
    elif out is not None and out.is_dir():
        faults.append(f"--out {out} is a folder")
    if out is not None and len(options.runs) > MOST_RUNS:
        faults.append(f"{len(options.runs)} runs are too many for one picture: at most {MOST_RUNS}")
    refuse(faults, noun="options")


def _refuse_empty(runs: Sequence[Run]) -> None:
    if not any(run.is_looked_at for run in runs):
        raise UsageError(
            "there is nothing to draw: none of the runs has recorded evidence of how good its critic's estimate is",
            remedy="Without --out, a table shows their raw estimates.",
        )


def _untimed(runs: Sequence[Run]) -> Iterator[str]:
    for each in runs:
        num, timed = len(each.record.diagnoses), len(each.bracket(by_seconds=True).at)
        if timed < num:
            what = "no diagnosis" if not timed else f"{timed:,} of {num:,} diagnoses"
            yield f"{each.name}: its events give the time of {what}: the others are not drawn against seconds"


def _lines(runs: Sequence[Run]) -> Iterator[str]:
    from wgan.report.comparison import estimates, ranked, reached
    from wgan.report.trust import line_of
    from wgan.report.words import distance_unit, significant

    record = runs[0].record
    yield str(record.source["describe"])
    yield f"W1 between held-out rows and samples, {distance_unit(record)}, at the last diagnosis of each run:\n"
    yield from _table(reached(runs))
    yield "\nThe raw estimates of the critics, each in its own unit, and whether they can be trusted:\n"
    yield from _table(estimates(runs))
    orders = list(ranked(runs))
    yield from ("", *map(_wrapped, orders)) if orders else ()
    for each in runs:
        yield f"\n{each.name}"
        yield _wrapped(f"  raw {significant(each.raw)}: {each.raw_unit}")
        yield _wrapped(f"  {line_of(each.verdict)}")


def _table(rows: Sequence[dict[str, str]]) -> Iterator[str]:
    table = plain_table()
    for title in rows[0]:
        is_text = title in _TEXTS
        table.add_column(title, justify="left" if is_text else "right", no_wrap=not is_text, overflow="fold")
    for row in rows:
        table.add_row(*map(escaped, row.values()))
    return rendered(table)


def _wrapped(line: str) -> str:
    indent = line[: len(line) - len(line.lstrip())] + "  "
    # A number and its percent sign stay on one line.
    kept = line.replace(" %", "\u00a0%")
    filled = textwrap.fill(kept, WIDTH, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False)
    return filled.replace("\u00a0", " ")


def _facts(runs: Sequence[Run], notes: Sequence[str], out: Path | None) -> dict[str, Any]:
    """The comparison as plain JSON; unknown values are null."""
    from wgan.report.comparison import rankings
    from wgan.report.words import distance_unit

    facts: dict[str, Any] = {
        "data": runs[0].record.source["describe"],
        "unit": distance_unit(runs[0].record),
        "runs": [_run_facts(each) for each in runs],
        "rankings": [
            {
                "by": ranking.by,
                "order": [each.path for each in ranking.order],
                "not_told_apart_from_the_first": [each.path for each in ranking.tied],
            }
            for ranking in rankings(runs)
        ],
        "notes": list(notes),
    }
    return facts if out is None else facts | {"out": str(out)}


def _run_facts(each: Run) -> dict[str, Any]:
    from wgan.report.words import word

    return {
        "run": each.path,
        "objective": word(each.record, "objective"),
        "constraint": word(each.record, "constraint"),
        "steps": each.record.step,
        "looked_at": each.looked_at if each.is_looked_at else None,
        "rows": each.num_rows,
        "raw": _known(each.raw),
        "raw_unit": each.raw_unit,
        **{name: _known(each.last(name)) for name in _NUMBERS},
        "verdict": asdict(each.verdict),
    }


def _known(value: float) -> float | None:
    return value if math.isfinite(value) else None
