"""`wgan finish`: end a run that was stopped, as it is."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from wgan.cli.main import say
from wgan.cli.options import Group, parse
from wgan.system.text import counted, escaped


@dataclass(frozen=True, kw_only=True)
class FinishOptions:
    """Options of `wgan finish`.

    Attributes:
        run: The directory of a run that was stopped.
    """

    run: Path


def run(words: Sequence[str]) -> int:
    """Answer `wgan finish`."""
    group = Group(title="run", kind=FinishOptions, positional={"run": "RUN"})
    description = (
        "End a run that was stopped: draw its last samples and write its report, as its last checkpoint is. Nothing is "
        "trained or judged, and the data is not needed. To have its samples judged too, resume it with as many steps "
        "as are done (wgan train --resume RUN --steps N). A run that was ended so can still be resumed."
    )
    (options,) = parse(words, [group], command="finish", description=description)
    from wgan.report import write_report
    from wgan.runs import finish

    ended = finish(options.run)
    if ended.doubt:
        print(f"wgan: warning: {escaped(ended.doubt)}", file=sys.stderr)
    how = "it had ended before," if ended.was_over else "ended"
    say(f"{how} after {ended.step:,} of {counted(ended.steps, 'update')}")
    say(f"samples: {ended.samples}")
    say(f"report: {write_report(options.run)}")
    if ended.step < ended.steps:
        say(f"to resume it: {shlex.join(['wgan', 'train', '--resume', str(options.run)])}")
    return 0
