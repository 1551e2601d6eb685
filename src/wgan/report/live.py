"""The progress of `wgan train`: a live view on a terminal, plain lines elsewhere."""

from __future__ import annotations

import math
import time
from collections import deque
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from rich.console import Console, Group
from rich.live import Live
from rich.padding import Padding
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from wgan.evaluation.metrics import other_numbers
from wgan.report.record import number
from wgan.report.words import distance_name, duration, significant, times_floor
from wgan.settings import Settings
from wgan.system.text import escaped

if TYPE_CHECKING:
    from wgan.runs import Progress
    from wgan.trust.verdict import Verdict

_BLOCKS = "▁▂▃▄▅▆▇█"
_FRAME_SECONDS = 0.25
_LINE_SECONDS = 10.0
# Speed is averaged over the last seconds, so that a slow start or an evaluation does not distort it for long.
_SPEED_SECONDS = 30.0
_MOST_ESTIMATES = 512


class LiveView:
    """Shows the progress of a run, at most four times a second.

    Args:
        settings: The settings of the run.
        described: A line about the data.
        directory: The run directory.
        steps: Generator updates of the whole run.
        console: Where to write; None for standard output. A console that is not a terminal gets plain lines.
        clock: A monotonic clock, in seconds.
        engine: A line about the engine.

    Example:
        >>> with LiveView(settings, source.describe(), run.directory, settings.steps) as view:  # doctest: +SKIP
        ...     for progress in run.run():
        ...         view.update(progress)
    """

    def __init__(
        self,
        settings: Settings,
        described: str,
        directory: Path,
        steps: int,
        console: Console | None = None,
        clock: Callable[[], float] = time.monotonic,
        *,
        engine: str = "",
    ) -> None:
        self._console = console or Console()
        self._clock = clock
        words = [settings.data, f"recipe {settings.recipe}" if settings.recipe else ""]
        self._title = escaped(" · ".join(filter(None, words)))
        self._described, self._directory = escaped(described), escaped(str(directory))
        self._engine = escaped(engine)
        self._step, self._steps = 0, steps
        self._estimates = _Thinning(_MOST_ESTIMATES)
        self._evaluation: tuple[int, dict[str, Any]] | None = None
        self._verdict: tuple[int, Verdict] | None = None
        self._is_news = False
        self._saved: int | None = None
        self._marks: deque[tuple[float, int]] = deque()
        self._begun = self._shown = -math.inf
        self._is_live = self._console.is_terminal and not self._console.is_dumb_terminal
        self._live = Live(console=self._console, auto_refresh=False, get_renderable=self._picture)

    def __enter__(self) -> Self:
        self._begun = self._clock()
        if self._is_live:
            self._live.start(refresh=True)
        else:
            self._say(f"{self._title}: {self._described}")
            if self._engine:
                self._say(f"engine: {self._engine}")
            self._say(f"files are in {self._directory}")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._is_live:
            self._live.stop()
        elif self._marks and self._marks[-1][1] != self._step:
            self._say(self._line())

    def update(self, progress: Progress) -> None:
        """Record an update, and show it if it is time to."""
        if progress.went_back:
            # Repeated updates do not count for the speed.
            self._marks.clear()
        self._step, self._steps = progress.step, progress.steps
        if progress.record is not None and math.isfinite(number(progress.record.get("estimate"))):
            self._estimates.append(number(progress.record["estimate"]))
        if progress.evaluation is not None:
            self._evaluation = (progress.step, dict(progress.evaluation))
        if progress.verdict is not None:
            self._is_news = self._verdict is None or self._verdict[1].kind != progress.verdict.kind
            self._verdict = (progress.step, progress.verdict)
        if progress.saved is not None:
            self._saved = progress.step
        now = self._clock()
        if not self._marks:
            self._marks.append((now, progress.step))
        if self._is_live:
            if now - self._shown >= _FRAME_SECONDS:
                self._mark(now)
                self._live.refresh()
        elif now - self._shown >= _LINE_SECONDS or progress.evaluation is not None:
            self._mark(now)
            self._say(self._line())

    def _mark(self, now: float) -> None:
        self._shown = now
        self._marks.append((now, self._step))
        while len(self._marks) > 2 and self._marks[1][0] < now - _SPEED_SECONDS:
            self._marks.popleft()

    @property
    def _speed(self) -> float:
        """Generator updates per second; NaN before there are two measurements."""
        if len(self._marks) < 2 or self._marks[-1][0] <= self._marks[0][0]:
            return math.nan
        return (self._marks[-1][1] - self._marks[0][1]) / (self._marks[-1][0] - self._marks[0][0])

    def _left(self) -> str:
        speed = self._speed
        return f"{duration((self._steps - self._step) / speed)} left" if speed > 0 else ""

    def _pace(self) -> str:
        speed = self._speed
        if not speed > 0:
            return ""
        return f"{speed:.1f} updates/s" if speed >= 1 else f"{1 / speed:.1f} s an update"

    def _evaluation_text(self) -> str:
        if self._evaluation is None:
            return ""
        _, line = self._evaluation
        said = []
        for key in [name.removesuffix("_floor") for name in line if name.endswith("_floor")]:
            said.append(f"{distance_name(key)} {significant(line.get(key))}, floor {significant(line[f'{key}_floor'])}")
            if math.isfinite(times_floor(line, key)):
                said[-1] += f", ratio {times_floor(line, key):.2f}"
        said += [f"{title} {text}" for title, text in other_numbers(line).items()]
        return "; ".join(said)

    def _say(self, line: str) -> None:
        encoding = self._console.encoding or "utf-8"
        print(line.encode(encoding, "backslashreplace").decode(encoding), file=self._console.file, flush=True)

    def _line(self) -> str:
        parts = [f"update {self._step:,} of {self._steps:,}", self._pace(), self._left()]
        if self._estimates.values:
            parts.append(f"estimate {significant(self._estimates.latest)}")
        if self._evaluation is not None and self._evaluation[0] == self._step:
            parts.append(self._evaluation_text())
        if self._verdict is not None and self._verdict[0] == self._step:
            verdict = self._verdict[1]
            parts.append(f"verdict: {verdict.kind}{f', {verdict.reason}' if self._is_news else ''}")
        return " | ".join(filter(None, parts))

    def _picture(self) -> Group:
        facts = Table.grid(padding=(0, 2))
        facts.add_column(style="dim", no_wrap=True)
        facts.add_column(overflow="fold")
        bar = Table.grid(padding=(0, 2))
        share = self._step / self._steps if self._steps else 1.0
        count = Text(f"{100 * share:.0f} %   {self._step:,} of {self._steps:,}")
        drawn = ProgressBar(
            total=max(self._steps, 1), completed=self._step, width=32, complete_style="blue", finished_style="green"
        )
        bar.add_row(drawn, count)
        facts.add_row("progress", bar)
        gone = duration(self._clock() - self._begun) if math.isfinite(self._begun) else ""
        facts.add_row(
            "time", Text(" · ".join(filter(None, [f"{gone} gone" if gone else "", self._left(), self._pace()])))
        )
        facts.add_row("estimate", self._curve())
        facts.add_row("evaluation", self._evaluated())
        facts.add_row("verdict", self._verdict_text())
        saved = "" if self._saved is None else f" (saved at update {self._saved:,})"
        facts.add_row("files", Text(self._directory).append(saved, style="dim"))
        below = "".join(f"\n{line}" for line in (self._described, self._engine) if line)
        head = Text(self._title, style="bold").append(below, style="not bold dim")
        return Group(Padding(head, (1, 0, 1, 0)), facts, Text())

    def _curve(self) -> Text:
        if not self._estimates.values:
            return Text("none yet", style="dim")
        room = min(32, self._console.width - 26)
        can_draw = "utf" in (self._console.encoding or "").lower() and room > 4
        drawn = f"  {sparkline(self._estimates.values, room)}" if can_draw else ""
        return Text(f"{significant(self._estimates.latest):<8}", style="bold").append(drawn, style="not bold blue")

    def _evaluated(self) -> Text:
        if self._evaluation is None:
            return Text("not yet", style="dim")
        return Text(self._evaluation_text()).append(f" (update {self._evaluation[0]:,})", style="dim")

    def _verdict_text(self) -> Text:
        if self._verdict is None:
            return Text("none yet", style="dim")
        step, verdict = self._verdict
        style = "bold green" if verdict.kind == "trust" else "bold yellow"
        return Text(verdict.kind, style=style).append(f": {verdict.reason} (update {step:,})", style="not bold dim")


class _Thinning:
    """A curve of bounded length. When it is full, neighbours are averaged, and later points before they are added."""

    def __init__(self, most: int) -> None:
        self.values: list[float] = []
        self.latest = math.nan
        self._most, self._stride = most, 1
        self._waiting: list[float] = []

    def append(self, value: float) -> None:
        self.latest = value
        self._waiting.append(value)
        if len(self._waiting) == self._stride:
            self.values.append(sum(self._waiting) / self._stride)
            self._waiting = []
        if len(self.values) == self._most:
            self.values = [(left + right) / 2 for left, right in zip(self.values[::2], self.values[1::2], strict=True)]
            self._stride *= 2


def sparkline(values: list[float], width: int) -> str:
    """Draw a curve as one line of text: medians of equal parts, scaled to their range."""
    parts = np.array_split(np.asarray(values, dtype=np.float64), min(width, len(values)))
    medians = np.array([np.median(part) for part in parts])
    low, spread = medians.min(), np.ptp(medians)
    heights = np.zeros(len(medians)) if spread == 0 else (medians - low) / spread
    return "".join(_BLOCKS[min(int(height * len(_BLOCKS)), len(_BLOCKS) - 1)] for height in heights)
