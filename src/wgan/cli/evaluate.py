"""`wgan evaluate`: judge a run's samples again."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from wgan.cli.door import say
from wgan.cli.judging import lines
from wgan.cli.options import Group, parse
from wgan.errors import UsageError


@dataclass(frozen=True, kw_only=True)
class EvaluateOptions:
    """Options of `wgan evaluate`.

    Attributes:
        run: The directory of a run.
        checkpoint: Which state of the run: the last, or the one whose samples were judged best.
        size: Samples on each side, at most (0: as many as the run takes).
        rounds: Independent sets of samples whose distances are averaged (0: as many as the run takes).
        features: Compute the kernel distance on a network's features too (images; a minute more).
        json: Print one JSON object.
    """

    run: Path
    checkpoint: Literal["last", "best"] = "last"
    size: int = 0
    rounds: int = 0
    features: bool = False
    json: bool = False


def run(words: Sequence[str]) -> int:
    """Answer `wgan evaluate`."""
    group = Group(title="judging", kind=EvaluateOptions, positional={"run": "RUN"})
    description = "Judge a run's samples against the rows that were held out from training. Lower is better."
    (options,) = parse(words, [group], command="evaluate", description=description)
    if options.size != 0 and options.size < 2:
        raise UsageError(f"--size must be at least 2, not {options.size}")
    if options.rounds < 0:
        raise UsageError(f"--rounds must be at least 1, not {options.rounds}")
    from wgan.experiment import evaluate

    found = evaluate(
        options.run,
        checkpoint=options.checkpoint,
        size=options.size or None,
        rounds=options.rounds or None,
        features=options.features,
    )
    if options.json:
        print(json.dumps(found))
    else:
        for line in lines(found):
            say(line)
    return 0
