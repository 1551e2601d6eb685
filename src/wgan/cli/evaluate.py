"""`wgan evaluate`: judge a run's samples again."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from wgan.cli.judging import lines
from wgan.cli.main import say
from wgan.cli.options import Group, parse
from wgan.settings import Settings, problems, refuse


@dataclass(frozen=True, kw_only=True)
class EvaluateOptions:
    """Options of `wgan evaluate`.

    Attributes:
        run: The directory of a run.
        data: Where the run's data is now, if it has moved since.
        checkpoint: The last state of the run, or the one whose samples were judged best.
        size: Generated samples to compare with as many held-out rows (0: as many as during the training).
        repeats: Independent sets of samples whose distances are averaged (0: as many as during the training).
        conditional_accuracy: See whether conditions are obeyed, where there are conditions (takes up to a minute).
        features: Measure the kernel distance between a network's features too (images only; takes a minute more).
        json: Print one JSON object instead of lines.
    """

    run: Path
    data: str = ""
    checkpoint: Literal["last", "best"] = "last"
    size: int = 0
    repeats: int = 0
    conditional_accuracy: bool = True
    features: bool = False
    json: bool = False


def run(words: Sequence[str]) -> int:
    """Answer `wgan evaluate`."""
    group = Group(title="judging", kind=EvaluateOptions, positional={"run": "RUN"})
    description = "Judge a run's samples against the rows that were held out from training. Lower is better."
    (options,) = parse(words, [group], command="evaluate", description=description)
    wanted = Settings(eval_size=options.size or 2, eval_repeats=options.repeats or 1)
    refuse([fault.replace("eval_", "--", 1) for fault in problems(wanted)], noun="options")
    from wgan.runs import evaluate

    found = evaluate(
        options.run,
        checkpoint=options.checkpoint,
        data=options.data or None,
        size=options.size or None,
        rounds=options.repeats or None,
        features=options.features,
        conditional_accuracy=options.conditional_accuracy,
    )
    if options.json:
        print(json.dumps(found))
    else:
        for line in lines(found):
            say(line)
    return 0
