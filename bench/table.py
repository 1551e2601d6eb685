"""One table for everything that is measured, and the same rows as plain values for the file."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

OURS = "ours"
"""The name of this project's own way, where there is but one."""


@dataclass(frozen=True, kw_only=True)
class Row:
    """What was measured of one contender at one piece of work.

    Attributes:
        work: The work.
        contender: Who did it; the first of each work is the one that the others are compared with.
        how: Precision, solver and the like.
        threads: CPU threads.
        seconds: Median.
        all_seconds: One number for each turn.
        speed: How many times faster than the first contender: the median of the ratios within each round.
        share: Of the peak of the machine's matrix products in this precision on so many threads.
        gflops: 10⁹ operations of one unit: of the plain loop's matrix products and convolutions.
        peak_gflops: That peak, 10⁹ operations a second.
        peak_mib: The most memory that its process held at once.
        cold: Seconds that its first turn took longer than the others, with nothing compiled before.
        warm: The same with what was compiled before kept on disk.
        per_second: Units a second.
        proven: Seconds of a solution with its proof, where there is such.
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
        """For the file."""
        return asdict(self)


_COLUMNS: tuple[tuple[str, int, Callable[[Row], str]], ...] = (
    ("threads", 7, lambda row: str(row.threads)),
    ("time", 9, lambda row: _time(row.seconds)),
    ("speed", 9, lambda row: f"{row.speed:.2f} ×"),
    ("of peak", 8, lambda row: "" if row.share is None else f"{row.share:.0%}"),
    ("memory", 10, lambda row: "" if row.peak_mib is None else f"{row.peak_mib:,.0f} MiB"),
    ("warm-up, cold", 14, lambda row: "" if row.cold is None else _time(row.cold)),
    ("cached", 9, lambda row: "" if row.warm is None else _time(row.warm)),
    ("a second", 11, lambda row: "" if row.per_second is None else f"{row.per_second:,.0f}"),
)


def heading() -> str:
    """The columns, and what they mean."""
    names = "".join(f"{name:>{width}}" for name, width, _ in _COLUMNS)
    return f"{'':<68}{names}"


def lines(rows: list[Row]) -> str:
    """One piece of work: its line, and one for each contender."""
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
