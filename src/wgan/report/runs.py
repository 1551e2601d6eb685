"""Several runs beside one another: whether they can be put on one axis, what each has reached, and which is best."""

from __future__ import annotations

import math
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from wgan.errors import CheckpointError, UsageError
from wgan.figures import Bracket, median_filtered
from wgan.report.record import Record, number, read_record
from wgan.report.trust import bracket_of
from wgan.report.verdicts import verdict_of
from wgan.report.words import axis_label, word
from wgan.system.storage import read_plain
from wgan.trust.nearness import is_blind, is_near

if TYPE_CHECKING:
    from wgan.figures import Floats
    from wgan.trust.verdict import Verdict

_DIGITS = 9
"""Significant digits to which two scalings must agree: sums of the same rows round otherwise on other machines."""


@dataclass(frozen=True, kw_only=True)
class Run:
    """A run among others.

    Attributes:
        name: What it is called where that is told from the others.
        record: What it has recorded.
    """

    name: str
    record: Record

    @property
    def path(self) -> str:
        """As the user named it."""
        return str(self.record.directory)

    @property
    def game(self) -> str:
        """What its players optimise, and what holds the critic."""
        packing = self.record.settings.get("packing", 1)
        packs = f", packs of {packing}" if packing != 1 else ""
        return f"{word(self.record, 'objective')}, {word(self.record, 'constraint')}{packs}"

    @property
    def is_looked_at(self) -> bool:
        """Whether there is evidence of what its critic's number is worth."""
        return bool(self.record.looks)

    @cached_property
    def verdict(self) -> Verdict:
        """Whether its loss can be believed."""
        return verdict_of(self.record)

    def last(self, name: str) -> float:
        """A number of its last look, NaN where there is none."""
        return number(self.record.looks[-1].get(name)) if self.record.looks else math.nan

    @property
    def looked_at(self) -> int:
        """Generator updates made at its last look; all that it has made without any."""
        return int(self.last("step")) if self.is_looked_at else self.record.step

    @property
    def raw(self) -> float:
        """The critic's own last number on training rows, in the unit that `raw_unit` names."""
        if math.isfinite(of_rows := self.last("training_estimate")):
            return of_rows
        _, values = self.record.estimates
        return float(median_filtered(values)[-1]) if len(values) else math.nan

    @property
    def raw_unit(self) -> str:
        """What that measures, and on which scale."""
        return axis_label(self.record)

    @property
    def num_rows(self) -> int | None:
        """Held-out rows that the last look was at, None where that is unknown."""
        histogram = self.record.looks[-1].get("score_histogram") if self.record.looks else None
        counts = histogram.get("real") if isinstance(histogram, dict) else None
        return round(sum(map(number, counts))) if isinstance(counts, list) and counts else None

    @property
    def alone(self) -> float:
        """The share of the exact distance that nearest neighbours prove without any critic."""
        exact = self.last("exact")
        return self.last("without_critic") / exact if exact > 0 else math.nan

    @property
    def is_near(self) -> bool | None:
        """Whether its samples are as near as other real rows at its last look; None where no distance can tell."""
        return is_near(self.record.looks[-1]) if self.record.looks else None

    @property
    def is_blind(self) -> bool:
        """Whether the exact distance of its last look cannot tell samples from noise."""
        return bool(self.record.looks) and is_blind(self.record.looks[-1])

    def bracket(self, *, by_seconds: bool) -> Bracket:
        """What is known of the distance along the run.

        Args:
            by_seconds: Whether against seconds of training in place of generator updates; looks whose time is not known
                are left out.
        """
        found = bracket_of(self.record, self.name)
        if not by_seconds:
            return found
        at = seconds_at(self.record, found.at)
        kept = np.isfinite(at)
        return Bracket(
            name=found.name,
            at=at[kept],
            certified=found.certified[kept],
            exact=found.exact[kept],
            low=found.low[kept],
            high=found.high[kept],
            floor=found.floor[kept],
        )


def seconds_at(record: Record, steps: Floats) -> Floats:
    """Training time at generator updates, shape (K,), between the events that tell it; NaN after the last of them."""
    told = {number(event.get("step")): number(event.get("seconds")) for event in record.events}
    known = sorted((step, seconds) for step, seconds in told.items() if math.isfinite(step) and math.isfinite(seconds))
    if not known:
        return np.full(len(steps), np.nan)
    at, seconds = np.array(known).T
    return np.asarray(np.interp(steps, at, seconds, left=np.nan, right=np.nan))


def read_runs(paths: Sequence[Path]) -> list[Run]:
    """Read runs that are to be compared, finished or not.

    Raises:
        UsageError: A path that is no run, or the same run twice.
        CheckpointError: A run whose notes or whose record cannot be read.
    """
    seen: dict[Path, Path] = {}
    for path in paths:
        first = seen.setdefault(path.resolve(), path)
        if first is not path:
            raise UsageError(
                f"'{path}' is the same run as '{first}'" if path != first else f"the run '{path}' is named twice",
                remedy="Name each run once.",
            )
    records = [_read(path) for path in paths]
    return [Run(name=name, record=record) for name, record in zip(_names(paths), records, strict=True)]


def refuse_other_axes(runs: Sequence[Run]) -> None:
    """Refuse runs whose distances are between other things.

    Raises:
        UsageError: Data, its scaling, or how many samples are one point to the critic differ from the first run's.
    """
    first, *others = runs
    for other in others:
        found = _differences(first.record, other.record)
        if found:
            raise UsageError(
                f"'{other.path}' cannot be put on one axis with '{first.path}': {'; '.join(found)}",
                remedy="Compare runs on the same data, read and scaled alike. To compare samples, use wgan distance.",
            )


def doubts(runs: Sequence[Run]) -> list[str]:
    """What makes a comparison weaker than it looks, a line each."""
    said = [
        f"{run.name}: no evidence was recorded, so nothing of it is on the axis: {_why_unseen(run)}"
        for run in runs
        if not run.is_looked_at
    ]
    looked = [run for run in runs if run.is_looked_at]
    sizes = {run.name: run.num_rows for run in looked if run.num_rows is not None}
    if len(set(sizes.values())) > 1:
        listed = ", ".join(f"{size:,} in {name}" for name, size in sizes.items())
        said.append(
            f"other numbers of rows were looked at ({listed}): distances between fewer rows are larger, and so are "
            "floors"
        )
    if len({_split(run.record) for run in looked}) > 1:
        said.append("seeds or shares held out differ, so other rows were held out and looked at")
    return said


def _why_unseen(run: Run) -> str:
    """Why a run has no evidence of what its critic's number is worth, and what to do about it."""
    record, where = run.record, shlex.quote(run.path)
    split = record.source.get("split")
    held_out = split.get("held_out") if isinstance(split, dict) else None
    if "diagnose" not in record.settings:
        again = f"wgan train --settings {where}/settings.toml"
        return f"it is of an earlier version, which did not look for it; train it again ({again})"
    if record.settings["diagnose"] == "off":
        return "it was trained with --diagnose off; train it again without that"
    packing = record.settings.get("packing", 1)
    if isinstance(held_out, int) and held_out < (packing if isinstance(packing, int) else 1):
        return f"only held-out rows show it, and there are {held_out}; train it again with --held-out above 0"
    if record.divergence is not None:
        return "training diverged before its first look; train it again at lower learning rates"
    done = record.last_saved
    if done is None or done == 0:
        return f"it has had no look yet; go on with it (wgan train --resume {where})"
    return (
        f"it has had no look yet; go on with it (wgan train --resume {where}), "
        f"or end it with a look where it is (wgan train --resume {where} --steps {done})"
    )


@dataclass(frozen=True, kw_only=True)
class Ranking:
    """Runs from the nearest to the data to the furthest.

    Attributes:
        by: The name of the number in the record.
        order: The runs that have it, best first.
        tied: Those after the first whose intervals overlap the first one's.
    """

    by: str
    order: tuple[Run, ...]
    tied: tuple[Run, ...]


def rankings(runs: Sequence[Run]) -> list[Ranking]:
    """The orders of the runs by a distance of their samples, and by what their critics prove.

    The distance is the exact one; the sliced one where no run has that, and where it cannot tell samples from noise.
    A single run is in no order.
    """
    is_exact = any(math.isfinite(run.last("exact")) for run in runs)
    is_told_by_lines = any(run.is_blind for run in runs) and all(
        math.isfinite(run.last("sliced")) for run in runs if run.is_looked_at
    )
    measured = "exact" if is_exact and not is_told_by_lines else "sliced"
    found = []
    for name in (measured, "certified"):
        order = sorted((run for run in runs if math.isfinite(run.last(name))), key=lambda run: run.last(name))
        if len(order) > 1:
            best = order[0].last("exact_high") if name == "exact" else math.nan
            tied = tuple(run for run in order[1:] if run.last("exact_low") <= best)
            found.append(Ranking(by=name, order=tuple(order), tied=tied))
    return found


def _read(path: Path) -> Record:
    from wgan.runs.files import RunFiles
    from wgan.runs.metadata import read_source
    from wgan.runs.record import read_lines

    record, files = read_record(path), RunFiles(path)
    read_source(files)
    if not record.settings:
        raise CheckpointError(f"'{files.settings}' cannot be read", remedy=_RESTORE)
    try:
        written = read_plain(files.metrics).split(b"\n") if files.metrics.exists() else []
    except OSError as error:
        raise CheckpointError(f"'{files.metrics}' cannot be read: {error.strerror}", remedy=_RESTORE) from None
    # Of a run under way the last line may be half-written.
    lost = sum(bool(line.strip()) for line in written[:-1]) - len(read_lines(files.metrics))
    if lost > 0:
        lines = "1 line" if lost == 1 else f"{lost:,} lines"
        raise CheckpointError(f"the record '{files.metrics}' is damaged: {lines} cannot be read", remedy=_RESTORE)
    return record


_RESTORE = "Restore it from a copy, or leave this run out."


def _names(paths: Sequence[Path]) -> list[str]:
    """For each run as many of the last parts of its path as tell it from the others."""
    parts = [path.resolve().parts for path in paths]
    for num in range(1, max(map(len, parts), default=0) + 1):
        names = ["/".join(each[-num:]) for each in parts]
        if len(set(names)) == len(names):
            return names
    return [str(path) for path in paths]


def _differences(first: Record, other: Record) -> list[str]:
    from wgan.data import codec_differences

    found = codec_differences(*(_rounded(_space(record)) for record in (first, other)))
    packs = [record.settings.get("packing", 1) for record in (first, other)]
    if packs[0] != packs[1]:
        found.append(f"samples in one point of the critic's: {packs[1]}, was {packs[0]}")
    if found:
        return found
    known = [record.source["fingerprint"] for record in (first, other)]
    if known[0] == known[1]:
        return []
    # Other rows held out make another fingerprint of the same data; what it is called must then do.
    names = [record.source["name"] for record in (first, other)]
    if _split(first) != _split(other) and names[0] == names[1]:
        return []
    return [
        f"rows: {other.source['describe']} ({str(known[1])[:8]}), was {first.source['describe']} ({str(known[0])[:8]})"
    ]


def _space(record: Record) -> dict[str, Any]:
    """What decides the space that distances are measured in: scaling, and what conditions are."""
    conditions = record.source.get("conditions")
    parts = conditions.get("parts") if isinstance(conditions, dict) else None
    codec = record.source["codec"]
    return (dict(codec) if isinstance(codec, dict) else {}) | ({} if parts is None else {"conditions": parts})


def _rounded(value: Any) -> Any:  # noqa: ANN401 - any JSON value
    if isinstance(value, float):
        return float(f"{value:.{_DIGITS - 1}e}")
    if isinstance(value, Mapping):
        return {name: _rounded(each) for name, each in value.items()}
    return [_rounded(each) for each in value] if isinstance(value, list) else value


def _split(record: Record) -> tuple[Any, ...]:
    """What decides which rows are held out."""
    reading = record.settings.get("input")
    reading = reading if isinstance(reading, dict) else {}
    return record.settings.get("seed"), reading.get("held_out"), reading.get("unseen", 0.0)
