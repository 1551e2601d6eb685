"""Several runs: their numbers, and whether they are comparable."""

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
from wgan.report.trust import bracket_of, verdict_of
from wgan.report.words import axis_label, word
from wgan.system.storage import read_plain
from wgan.trust.symptoms import is_near, is_uninformative

if TYPE_CHECKING:
    from wgan.figures import Floats
    from wgan.trust.verdict import Verdict

_DIGITS = 9
"""Significant digits to which two scalings must agree. Sums of the same rows round differently between machines."""


@dataclass(frozen=True, kw_only=True)
class Run:
    """A run in a comparison.

    Attributes:
        name: A name that is unique in the comparison.
        record: Its record.
    """

    name: str
    record: Record

    @property
    def path(self) -> str:
        """The path as given by the user."""
        return str(self.record.directory)

    @property
    def objective(self) -> str:
        """The objective and the constraint as text."""
        packing = self.record.settings.get("packing", 1)
        packs = f", packs of {packing}" if packing != 1 else ""
        return f"{word(self.record, 'objective')}, {word(self.record, 'constraint')}{packs}"

    @property
    def is_looked_at(self) -> bool:
        """Whether it has evidence on its critic."""
        return bool(self.record.diagnoses)

    @cached_property
    def verdict(self) -> Verdict:
        """The verdict on its loss."""
        return verdict_of(self.record)

    def last(self, name: str) -> float:
        """A number of its last diagnosis; NaN if it is missing."""
        return number(self.record.diagnoses[-1].get(name)) if self.record.diagnoses else math.nan

    @property
    def looked_at(self) -> int:
        """Generator updates at its last diagnosis; all its updates without one."""
        return int(self.last("step")) if self.is_looked_at else self.record.step

    @property
    def raw(self) -> float:
        """The critic's last estimate on training rows, in `raw_unit`."""
        if math.isfinite(of_rows := self.last("training_estimate")):
            return of_rows
        _, values = self.record.estimates
        return float(median_filtered(values)[-1]) if len(values) else math.nan

    @property
    def raw_unit(self) -> str:
        """What `raw` estimates, and its scale."""
        return axis_label(self.record)

    @property
    def num_rows(self) -> int | None:
        """Held-out rows in the last diagnosis; None if unknown."""
        histogram = self.record.diagnoses[-1].get("score_histogram") if self.record.diagnoses else None
        counts = histogram.get("real") if isinstance(histogram, dict) else None
        return round(sum(map(number, counts))) if isinstance(counts, list) and counts else None

    @property
    def alone(self) -> float:
        """The lower bound from nearest neighbours, without a critic, as a share of the exact distance."""
        exact = self.last("exact")
        return self.last("without_critic") / exact if exact > 0 else math.nan

    @property
    def is_near(self) -> bool | None:
        """Whether its samples are as near as other real rows at the last diagnosis; None if no distance can tell."""
        return is_near(self.record.diagnoses[-1]) if self.record.diagnoses else None

    @property
    def is_uninformative(self) -> bool:
        """Whether the exact distance of its last diagnosis cannot tell samples from noise."""
        return bool(self.record.diagnoses) and is_uninformative(self.record.diagnoses[-1])

    def bracket(self, *, by_seconds: bool) -> Bracket:
        """Bounds and values of the distance along the run.

        Args:
            by_seconds: Whether against seconds of training instead of generator updates. Diagnoses without a known time
                are then left out.
        """
        bracket = bracket_of(self.record, self.name)
        if not by_seconds:
            return bracket
        at = seconds_at(self.record, bracket.at)
        kept = np.isfinite(at)
        arrays = {name: getattr(bracket, name)[kept] for name in ("certified", "exact", "low", "high", "floor")}
        return Bracket(name=bracket.name, at=at[kept], **arrays)


def seconds_at(record: Record, steps: Floats) -> Floats:
    """Training time at generator updates, shape (K,), interpolated between events; NaN after the last event."""
    times = {number(event.get("step")): number(event.get("seconds")) for event in record.events}
    known = sorted((step, seconds) for step, seconds in times.items() if math.isfinite(step) and math.isfinite(seconds))
    if not known:
        return np.full(len(steps), np.nan)
    at, seconds = np.array(known).T
    return np.asarray(np.interp(steps, at, seconds, left=np.nan, right=np.nan))


def read_runs(paths: Sequence[Path]) -> list[Run]:
    """Read runs for a comparison, finished or not.

    Raises:
        UsageError: A path is not a run, or a run is named twice.
        CheckpointError: The files of a run cannot be read.
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
    """Check that distances of the runs are comparable.

    Raises:
        UsageError: The data, its scaling or the packing differ from the first run's.
    """
    first, *others = runs
    for other in others:
        differences = _differences(first.record, other.record)
        if differences:
            raise UsageError(
                f"'{other.path}' is not comparable with '{first.path}': {'; '.join(differences)}",
                remedy="Compare runs on the same data with the same scaling. To compare samples, use wgan distance.",
            )


def doubts(runs: Sequence[Run]) -> list[str]:
    """Limitations of a comparison, a line each."""
    lines = [
        f"{run.name}: it has recorded no evidence and is not drawn: {_why_no_evidence(run)}"
        for run in runs
        if not run.is_looked_at
    ]
    looked = [run for run in runs if run.is_looked_at]
    sizes = {run.name: run.num_rows for run in looked if run.num_rows is not None}
    if len(set(sizes.values())) > 1:
        listed = ", ".join(f"{size:,} in {name}" for name, size in sizes.items())
        lines.append(f"numbers of held-out rows differ ({listed}): distances and floors are larger with fewer rows")
    if len({_split(run.record) for run in looked}) > 1:
        lines.append("seeds or held-out shares differ, so the held-out rows differ too")
    return lines


def _why_no_evidence(run: Run) -> str:
    """Why a run has no evidence on its critic, and a remedy."""
    record, where = run.record, shlex.quote(run.path)
    split = record.source.get("split")
    held_out = split.get("held_out") if isinstance(split, dict) else None
    if "diagnose" not in record.settings:
        again = f"wgan train --settings {where}/settings.toml"
        return f"it is of an earlier version, which recorded none; train it again ({again})"
    if record.settings["diagnose"] == "off":
        return "it was trained with --diagnose off; train it again without it"
    packing = record.settings.get("packing", 1)
    if isinstance(held_out, int) and held_out < (packing if isinstance(packing, int) else 1):
        return f"it needs held-out rows, and there are {held_out}; train it again with --held-out above 0"
    if record.divergence is not None:
        return "training diverged before the first diagnosis; train it again with lower learning rates"
    step = record.last_saved
    resume = f"it has not reached its first diagnosis; resume it (wgan train --resume {where})"
    return f"{resume}, or end it now with a diagnosis (wgan train --resume {where} --steps {step})" if step else resume


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
    # The last line may be incomplete while the run is in progress.
    lost = sum(bool(line.strip()) for line in written[:-1]) - len(read_lines(files.metrics))
    if lost > 0:
        lines = "1 line" if lost == 1 else f"{lost:,} lines"
        raise CheckpointError(f"the record '{files.metrics}' is damaged: {lines} cannot be read", remedy=_RESTORE)
    return record


_RESTORE = "Restore it from a copy, or leave this run out."


def _names(paths: Sequence[Path]) -> list[str]:
    """Unique names of the runs: the shortest ends of their paths that differ."""
    parts = [path.resolve().parts for path in paths]
    for num in range(1, max(map(len, parts), default=0) + 1):
        names = ["/".join(each[-num:]) for each in parts]
        if len(set(names)) == len(names):
            return names
    return [str(path) for path in paths]


def _differences(first: Record, other: Record) -> list[str]:
    from wgan.data import codec_differences

    differences = codec_differences(*(_rounded(_space(record)) for record in (first, other)))
    packs = [record.settings.get("packing", 1) for record in (first, other)]
    if packs[0] != packs[1]:
        differences.append(f"packing: {packs[1]}, was {packs[0]}")
    if differences:
        return differences
    known = [record.source["fingerprint"] for record in (first, other)]
    if known[0] == known[1]:
        return []
    # The fingerprint depends on the held-out rows. If they differ, the name of the data is compared instead.
    names = [record.source["name"] for record in (first, other)]
    if _split(first) != _split(other) and names[0] == names[1]:
        return []
    return [
        f"rows: {other.source['describe']} ({str(known[1])[:8]}), was {first.source['describe']} ({str(known[0])[:8]})"
    ]


def _space(record: Record) -> dict[str, Any]:
    """What determines the space of distances: the codec and the conditions."""
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
    """What determines the held-out rows."""
    reading = record.settings.get("input")
    reading = reading if isinstance(reading, dict) else {}
    return record.settings.get("seed"), reading.get("held_out"), reading.get("unseen", 0.0)
