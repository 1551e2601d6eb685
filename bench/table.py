"""The table of results, and its rows as plain values for the JSON file."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

OURS = "ours"
"""The name of this package's contender where there is only one."""


@dataclass(frozen=True, kw_only=True)
class Row:
    """The measurements of one contender on one piece of work.

    Attributes:
        work: The description of the work.
        contender: Its name. The first contender of each piece of work is the reference.
        how: Precision, solver and the like.
        threads: CPU threads.
        seconds: Median over the turns.
        all_seconds: One number for each turn.
        speed: The speed relative to the reference: the median of the ratios within each round.
        share: The rate as a share of `peak_gflops`.
        gflops: 10⁹ operations of one unit: matrix products and convolutions of the plain loop.
        peak_gflops: The machine's peak rate in this precision on these threads, 10⁹ operations per second.
        peak_mib: Peak memory of its process.
        cold: Extra seconds of the first turn, with empty compiler caches.
        warm: Extra seconds of the first turn, with filled compiler caches.
        per_second: Units per second.
        proven: Seconds of a solution with a certificate of optimality, where there is one.
    """

    work: str
    contender: str
    threads: int
    seconds: float
    all_seconds: list[float]
    speed: float
    how: str = ""
    share: float | None = None
    gflops: float | None = None
    peak_gflops: float | None = None
    peak_mib: float | None = None
    cold: float | None = None
    warm: float | None = None
    per_second: float | None = None
    proven: float | None = None

    def values(self) -> dict[str, Any]:
        """Plain values for the JSON file."""
        return asdict(self)


_COLUMNS: tuple[tuple[str, int, Callable[[Row], str]], ...] = (
    ("threads", 7, lambda row: str(row.threads)),
    ("time", 9, lambda row: _time(row.seconds)),
    ("speed", 9, lambda row: f"{row.speed:.2f} ×"),
    ("of peak", 8, lambda row: "" if row.share is None else f"{row.share:.0%}"),
    ("memory", 10, lambda row: "" if row.peak_mib is None else f"{row.peak_mib:,.0f} MiB"),
    ("warm-up, cold", 14, lambda row: "" if row.cold is None else _time(row.cold)),
    ("cached", 9, lambda row: "" if row.warm is None else _time(row.warm)),
    ("per second", 11, lambda row: "" if row.per_second is None else f"{row.per_second:,.0f}"),
)


def heading() -> str:
    """The names of the columns."""
    names = "".join(f"{name:>{width}}" for name, width, _ in _COLUMNS)
    return f"{'':<68}{names}"


def lines(rows: list[Row]) -> str:
    """The description of a piece of work, and a line for each contender."""
    text = [f"\n{rows[0].work}"]
    for row in rows:
        cells = "".join(f"{cell(row):>{width}}" for _, width, cell in _COLUMNS)
        text.append(f"  {row.contender:<24}{row.how:<42}{cells}".rstrip())
    rivals = [row.speed for row in rows if not row.contender.startswith(OURS)]
    if rows[0].contender == OURS and rivals:
        text.append(f"  ours takes {max(rivals):.2f} times as long as the best of the others")
    return "\n".join(text)


def _time(seconds: float) -> str:
    return f"{seconds * 1e3:.1f} ms" if seconds < 0.9995 else f"{seconds:.2f} s"
