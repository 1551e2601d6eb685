import io
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from wgan.report.live import LiveView, _Thinning, sparkline
from wgan.settings import Settings
from wgan.trust.verdict import Verdict


@dataclass(frozen=True)
class Progress:
    step: int
    steps: int
    record: dict[str, Any] | None = None
    evaluation: dict[str, float] | None = None
    saved: Path | None = None
    verdict: Verdict | None = None
    went_back: str = ""


class Clock:
    def __init__(self):
        self.now = 100.0

    def __call__(self):
        return self.now


class CountingFile(io.StringIO):
    """A file that counts how often it is written to and flushed."""

    def __init__(self):
        super().__init__()
        self.writes = self.flushes = 0

    def write(self, text):
        self.writes += 1
        return super().write(text)

    def flush(self):
        self.flushes += 1
        super().flush()


JUDGED = {"score": 0.06, "w1": 0.06, "w1_floor": 0.04, "modes": 8, "num_modes": 8, "high_quality": 0.956}


def view(file, clock, *, terminal, data="ring", described="points ring", directory=Path("runs/ring-001"), width=100):
    console = Console(file=file, force_terminal=terminal, width=width, color_system=None, legacy_windows=False)
    return LiveView(Settings(data=data), described, directory, 1_000, console, clock)


def play(live, clock, *, steps=400, seconds=0.1):
    with live:
        for step in range(1, steps + 1):
            clock.now += seconds
            record = {"step": step, "estimate": 1 / step} if step % 10 == 0 else None
            evaluation = JUDGED if step == 200 else None
            live.update(Progress(step, 1_000, record, evaluation, Path("x") if step == 300 else None))


def frames(text):
    return re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", text)


def test_terminal_shows_progress_estimate_evaluation_and_files():
    file, clock = CountingFile(), Clock()
    play(view(file, clock, terminal=True), clock)
    last = frames(file.getvalue()).split("progress")[-1]
    assert "40 %   400 of 1,000" in last
    assert "10.0 updates/s" in last
    assert "1 min 0 s left" in last
    assert "0.0025" in last
    assert re.search("█.*▁{8}", last)
    evaluation = "exact W1 0.06, floor 0.04, ratio 1.50; modes covered 8 of 8; high quality 95.6 % (update 200)"
    assert evaluation in " ".join(last.split())
    assert "runs/ring-001 (saved at update 300)" in last


TRUSTED = Verdict(kind="trust", reason="all is well")
COLLAPSED = Verdict(kind="collapsed", reason="samples repeat one another", remedy="Pack them")


def judged(live, clock, *verdicts):
    with live:
        for step, verdict in enumerate(verdicts, 1):
            clock.now += 1.0
            live.update(Progress(step, 1_000, None, JUDGED, None, verdict))


def test_terminal_shows_the_verdict_and_why():
    file, clock = CountingFile(), Clock()
    judged(view(file, clock, terminal=True), clock, None, TRUSTED, COLLAPSED)
    shown = frames(file.getvalue()).split("progress")
    assert "none yet" in shown[1].split("verdict")[1]
    assert "collapsed: samples repeat one another (update 3)" in shown[-1]


def test_plain_lines_have_the_verdict_and_a_new_reason():
    file, clock = CountingFile(), Clock()
    judged(view(file, clock, terminal=False), clock, None, TRUSTED, TRUSTED, COLLAPSED)
    said = [line.rpartition(" | ")[2] for line in file.getvalue().splitlines() if line.startswith("update")]
    assert said[1:] == [
        "verdict: trust, all is well",
        "verdict: trust",
        "verdict: collapsed, samples repeat one another",
    ]
    assert "verdict" not in said[0]


def test_terminal_is_drawn_at_most_four_times_a_second():
    file, clock = CountingFile(), Clock()
    play(view(file, clock, terminal=True), clock, steps=1_000, seconds=0.01)
    assert 35 <= file.getvalue().count("progress") <= 43


def test_plain_lines_now_and_then_and_at_evaluations():
    file, clock = CountingFile(), Clock()
    play(view(file, clock, terminal=False), clock)
    lines = file.getvalue().splitlines()
    assert lines[:2] == ["ring · recipe paper: points ring", "files are in runs/ring-001"]
    updates = [int(re.match(r"update ([\d,]+) of 1,000", line).group(1)) for line in lines[2:]]
    assert updates[0] == 1
    assert 200 in updates
    assert updates[-1] == 400
    assert 5 <= len(updates) <= 7
    assert "exact W1 0.06, floor 0.04, ratio 1.50" in next(line for line in lines if line.startswith("update 200 "))
    assert "\x1b" not in file.getvalue()
    assert file.flushes >= len(lines)


@pytest.mark.parametrize("terminal", [True, False])
def test_strings_of_the_user_are_neither_markup_nor_control_codes(terminal):
    file, clock = CountingFile(), Clock()
    hostile = "[red]x[/]\x1b[2Jname\nnext"
    play(
        view(file, clock, terminal=terminal, data=hostile, described="[link=x]y", directory=Path(hostile)),
        clock,
        steps=3,
    )
    assert "[red]x[/]\\x1b[2Jname\\nnext" in file.getvalue()
    assert "[link=x]y" in file.getvalue()
    assert "\x1b[2J" not in file.getvalue()


def test_plain_lines_on_a_console_without_unicode():
    binary = io.BytesIO()
    file = io.TextIOWrapper(binary, encoding="ascii")
    clock = Clock()
    play(view(file, clock, terminal=False, described="señales"), clock, steps=3)
    assert b"se\\xf1ales" in binary.getvalue()


def test_an_interrupted_run_restores_the_terminal():
    file, clock = CountingFile(), Clock()
    with pytest.raises(KeyboardInterrupt), view(file, clock, terminal=True):
        raise KeyboardInterrupt
    assert file.getvalue().endswith(("\x1b[?25h", "\n"))
    assert "\x1b[?25h" in file.getvalue()


def test_speed_after_resuming_counts_only_the_updates_made_here():
    file, clock = CountingFile(), Clock()
    with view(file, clock, terminal=False) as live:
        for step in range(901, 922):
            clock.now += 1.0
            live.update(Progress(step, 1_000))
    assert "update 921 of 1,000 | 1.0 updates/s | 1 min 19 s left" in file.getvalue()


def test_repeated_updates_do_not_count_for_the_speed():
    file, clock = CountingFile(), Clock()
    with view(file, clock, terminal=False) as live:
        for step in (*range(1, 92), 20, *range(21, 41)):
            clock.now += 1.0
            live.update(Progress(step, 1_000, went_back="it diverged" if step == 20 and clock.now > 150 else ""))
    assert file.getvalue().splitlines()[-1].startswith("update 40 of 1,000 | 1.0 updates/s | 16 min 0 s left")


def test_slow_updates_are_reported_in_seconds():
    file, clock = CountingFile(), Clock()
    play(view(file, clock, terminal=False), clock, steps=3, seconds=15)
    assert "15.0 s an update" in file.getvalue()


@pytest.mark.parametrize("width", [20, 40, 200])
def test_any_width(width):
    file, clock = CountingFile(), Clock()
    play(view(file, clock, terminal=True, width=width), clock, steps=30)
    assert max(map(len, frames(file.getvalue()).replace("\r", "\n").splitlines())) <= width


def test_thinning_keeps_the_mean_and_a_bounded_length():
    thin = _Thinning(64)
    for value in range(10_240):
        thin.append(float(value))
    assert 32 <= len(thin.values) < 64
    assert thin.latest == 10_239
    assert sum(thin.values) / len(thin.values) == pytest.approx(5_119.5)


def test_sparkline():
    assert sparkline([0.0, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0], 8) == "▁▂▃▄▅▆▇█"
    assert sparkline([2.0] * 5, 3) == "▁▁▁"
    assert sparkline([1.0], 10) == "▁"


def test_the_engine_is_named_at_the_start(tmp_path):
    console = Console(file=io.StringIO(), width=100)
    with LiveView(Settings(), "points", tmp_path, 10, console, engine="cpu, eager updates"):
        pass
    assert "engine: cpu, eager updates" in console.file.getvalue()
