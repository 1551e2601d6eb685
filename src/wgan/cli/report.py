"""`wgan report`: write a run's report again."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from wgan.cli.main import say
from wgan.cli.options import Group, parse


@dataclass(frozen=True, kw_only=True)
class ReportOptions:
    """Options of `wgan report`.

    Attributes:
        run: The directory of a run, finished or not.
    """

    run: Path


def run(words: Sequence[str]) -> int:
    """Answer `wgan report`."""
    group = Group(title="report", kind=ReportOptions, positional={"run": "RUN"})
    description = "Write RUN/report.html from the run's record: one file that opens offline."
    (options,) = parse(words, [group], command="report", description=description)
    from wgan.report import write_report

    say(str(write_report(options.run)))
    return 0
