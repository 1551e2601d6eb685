"""`wgan evaluate`, `wgan finish` and `wgan report`: commands on the directory of a run."""

from __future__ import annotations

import json
import shlex
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from wgan.cli.options import Group, arg, parse
from wgan.cli.streams import say
from wgan.cli.tables import quantile_table, rendered
from wgan.settings import Settings, problems, refuse
from wgan.system.text import counted, escaped

_MAX_COLUMNS = 10


@dataclass(frozen=True, kw_only=True)
class EvaluateOptions:
    """Options of `wgan evaluate`."""

    run: Path = arg("Run directory.")
    data: str = arg("Where the run's data is now, if it has moved.", "")
    checkpoint: Literal["last", "best"] = arg("The last checkpoint, or the one with the best evaluation.", "last")
    size: int = arg("Samples to compare with as many held-out rows (0: as many as in training).", 0)
    repeats: int = arg("Sets of samples whose distances are averaged (0: as many as in training).", 0)
    conditional_accuracy: bool = arg(
        "Measure how often samples match their conditions, if the run has conditions (takes up to a minute).", True
    )
    features: bool = arg(
        "Also measure the kernel distance between features of a network (images only; takes about a minute).", False
    )
    json: bool = arg("Print one JSON object instead of lines.", False)


@dataclass(frozen=True, kw_only=True)
class FinishOptions:
    """Options of `wgan finish`."""

    run: Path = arg("Directory of a run that was stopped.")


@dataclass(frozen=True, kw_only=True)
class ReportOptions:
    """Options of `wgan report`."""

    run: Path = arg("Run directory, of a finished or an unfinished run.")


def evaluate(words: Sequence[str]) -> int:
    """Run `wgan evaluate`."""
    group = Group(title="evaluation", dataclass=EvaluateOptions, positional={"run": "RUN"})
    description = "Compare a run's samples with the rows that were held out from training. Lower is better."
    (options,) = parse(words, [group], command="evaluate", description=description)
    wanted = Settings(eval_size=options.size or 2, eval_repeats=options.repeats or 1)
    refuse([fault.replace("eval_", "--", 1) for fault in problems(wanted)], noun="options")
    from wgan.runs import evaluate

    evaluation = evaluate(
        options.run,
        checkpoint=options.checkpoint,
        data=options.data or None,
        size=options.size or None,
        repeats=options.repeats or None,
        features=options.features,
        conditional_accuracy=options.conditional_accuracy,
    )
    if options.json:
        print(json.dumps(evaluation))
    else:
        for line in evaluation_lines(evaluation):
            say(line)
    return 0


def evaluation_lines(evaluation: Mapping[str, Any]) -> Iterator[str]:
    """A line for each number of an evaluation, distances with their floors; nothing if it is empty."""
    from wgan.evaluation.metrics import other_numbers
    from wgan.report.evaluations import conditional_accuracies, read_columns, score_drop
    from wgan.report.words import distance_name, significant

    for key, value in evaluation.items():
        floor = evaluation.get(f"{key}_floor")
        if floor is not None:
            ratio = f", ratio {value / floor:.2f}" if floor > 0 else ""
            yield f"{distance_name(key)}: {significant(value)} (floor, between real rows: {significant(floor)}{ratio})"
    yield from (f"{title}: {text}" for title, text in other_numbers(evaluation).items())
    for part in conditional_accuracies(evaluation):
        yield part.line()
    if "score_drop" in evaluation:
        yield score_drop(evaluation)
    columns = read_columns(evaluation)
    if columns:
        yield ""
        yield from rendered(quantile_table(columns[:_MAX_COLUMNS], ("real", "samples"), with_test=True))
    if len(columns) > _MAX_COLUMNS:
        yield f"{len(columns) - _MAX_COLUMNS:,} more columns are closer: `wgan evaluate RUN --json` lists all"


def finish(words: Sequence[str]) -> int:
    """Run `wgan finish`."""
    group = Group(title="run", dataclass=FinishOptions, positional={"run": "RUN"})
    description = (
        "Draw the last samples of a run that was stopped and write its report, from its last checkpoint. It neither "
        "trains nor evaluates, and does not need the data. The run can still be resumed. To evaluate it as well, "
        "resume it with the number of steps that it has done: wgan train --resume RUN --steps N."
    )
    (options,) = parse(words, [group], command="finish", description=description)
    from wgan.report import write_report
    from wgan.runs import finish

    ended = finish(options.run)
    if ended.doubt:
        print(f"wgan: warning: {escaped(ended.doubt)}", file=sys.stderr)
    ending = "had already ended" if ended.was_over else "ended"
    say(f"{ending} after {ended.step:,} of {counted(ended.steps, 'update')}")
    say(f"samples: {ended.samples}")
    say(f"report: {write_report(options.run)}")
    if ended.step < ended.steps:
        say(f"to resume it: {shlex.join(['wgan', 'train', '--resume', str(options.run)])}")
    return 0


def report(words: Sequence[str]) -> int:
    """Run `wgan report`."""
    group = Group(title="report", dataclass=ReportOptions, positional={"run": "RUN"})
    description = "Write RUN/report.html from the run's record: one file that can be viewed offline."
    (options,) = parse(words, [group], command="report", description=description)
    from wgan.report import write_report

    say(str(write_report(options.run)))
    return 0
