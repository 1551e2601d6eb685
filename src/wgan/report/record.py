"""The record of a run directory. Missing or incomplete files are tolerated, as in runs that are in progress."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wgan.data.array_files import open_mapped
from wgan.data.columns.text_formats import TextFormat, format_from_state
from wgan.errors import CheckpointError, UsageError
from wgan.runs.checkpoints import read_facts
from wgan.runs.files import RunFiles
from wgan.runs.metadata import noted_checksums, read_note, read_recorded, settings_seal
from wgan.runs.record import Journal
from wgan.runs.samples import refuse_changed_samples
from wgan.settings import read_toml
from wgan.trust.evidence import FIELDS

_FLOOR = "_floor"
_OF_EVIDENCE = frozenset(name for name in FIELDS if name.endswith("_floor"))
"""Floors among the evidence on the critic. They are not floors of evaluations."""


@dataclass(frozen=True, kw_only=True)
class Frame:
    """Samples that the run drew from fixed noise at one step.

    Attributes:
        step: Generator updates made before.
        path: The file with the samples.
    """

    step: int
    path: Path


@dataclass(frozen=True, kw_only=True)
class Record:
    """The contents of a run directory that reports use.

    Attributes:
        directory: The run directory.
        settings: `settings.toml`.
        source: `source.json`.
        environment: `environment.json`.
        metrics: The lines of `metrics.jsonl`.
        events: The lines of `events.jsonl`.
        frames: The samples in `samples/`, by step.
        real: The file of real samples, if there is one.
    """

    directory: Path
    settings: dict[str, Any]
    source: dict[str, Any]
    environment: dict[str, Any]
    metrics: list[dict[str, Any]]
    events: list[dict[str, Any]]
    frames: list[Frame]
    real: Path | None

    @cached_property
    def estimates(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Generator updates and the estimate after each, both of shape (K,), finite."""
        pairs = [(number(line.get("step")), number(line.get("estimate"))) for line in self.metrics]
        kept = np.array([pair for pair in pairs if np.isfinite(pair).all()], dtype=np.float64).reshape(-1, 2)
        return kept[:, 0], kept[:, 1]

    @cached_property
    def evaluations(self) -> list[dict[str, Any]]:
        """The lines of the metrics with an evaluation."""
        return [line for line in self.metrics if "score" in line or any(map(_is_evaluation, line))]

    @cached_property
    def diagnoses(self) -> list[dict[str, Any]]:
        """The lines of the metrics with evidence on the critic, the diagnoses. Earlier versions wrote none."""
        return [line for line in self.metrics if np.isfinite(number(line.get("held_out_estimate")))]

    @cached_property
    def probed(self) -> list[dict[str, Any]]:
        """The lines of the metrics with norms of the generator's gradients. Earlier versions wrote none."""
        return [line for line in self.metrics if np.isfinite(number(line.get("gradient_at_weights")))]

    @cached_property
    def distances(self) -> list[str]:
        """The names of the evaluated distances (those with a floor), in the order of the metrics."""
        names = (name.removesuffix(_FLOOR) for line in self.evaluations for name in line if _is_evaluation(name))
        return list(dict.fromkeys(names))

    @cached_property
    def best(self) -> dict[str, Any] | None:
        """The first evaluation with the lowest score."""
        scored = [line for line in self.evaluations if np.isfinite(number(line.get("score")))]
        return min(scored, key=lambda line: number(line["score"])) if scored else None

    @property
    def step(self) -> int:
        """Generator updates made, according to the record."""
        steps = [number(line.get("step")) for line in (*self.metrics[-1:], *self.events)]
        return int(max((step for step in steps if np.isfinite(step)), default=0))

    @property
    def seconds(self) -> float | None:
        """Training time so far, in seconds."""
        times = [number(event.get("seconds")) for event in self.events]
        return next((seconds for seconds in reversed(times) if np.isfinite(seconds)), None)

    @property
    def last_event(self) -> str:
        """The name of the last event; empty without events."""
        return str(self.events[-1].get("event", "")) if self.events else ""

    @property
    def is_finished(self) -> bool:
        """Whether the run has ended: after all its updates, early, or by hand."""
        return self.last_event == "finished"

    @property
    def divergence(self) -> str | None:
        """The message of the divergence, if training diverged last."""
        return str(self.events[-1].get("message", "")) if self.last_event == "diverged" else None

    @property
    def last_saved(self) -> int | None:
        """Generator updates made at the last save; None if nothing was saved."""
        saved = [number(event.get("step")) for event in self.events if event.get("event") == "saved"]
        return int(saved[-1]) if saved and np.isfinite(saved[-1]) else None


def _is_evaluation(name: str) -> bool:
    """Whether a name is that of the floor of an evaluated distance."""
    return name.endswith(_FLOOR) and name not in _OF_EVIDENCE


def series(lines: Sequence[Mapping[str, Any]], name: str) -> NDArray[np.float64]:
    """A number in each line of the metrics, shape (K,); NaN where it is missing."""
    return np.array([number(line.get(name)) for line in lines], dtype=np.float64)


def read_record(run: Path) -> Record:
    """Read a run directory. Missing and incomplete files are left out.

    Raises:
        UsageError: It is not a run directory.
        CheckpointError: One of its files was changed after the run had written it.
    """
    if not (run / "settings.toml").is_file():
        missing = "does not exist" if not run.exists() else "is not a run directory: it has no settings.toml"
        raise UsageError(f"'{run}' {missing}", remedy="Name a directory that `wgan train` has written.")
    run_files = RunFiles(run)
    facts = read_facts(run_files.checkpoints)
    settings_seal(run_files, facts)
    digests = noted_checksums(facts)
    files = sorted((run / "samples").iterdir()) if (run / "samples").is_dir() else []
    real = [path for path in files if path.stem == "real" and path.suffix in (".png", ".npy", ".csv")]
    frames = [
        Frame(step=int(path.stem), path=path)
        for path in files
        if path.stem.isascii() and path.stem.isdecimal() and path.suffix in (".png", ".npy", ".csv")
    ]
    refuse_changed_samples(run_files, [*real, *(frame.path for frame in frames)])
    return Record(
        directory=run,
        settings=_toml(run / "settings.toml"),
        source=_note(run_files.source, digests),
        environment=_note(run_files.environment, digests),
        metrics=read_recorded(run_files),
        events=Journal(run_files.events).lines(),
        frames=sorted(frames, key=lambda frame: frame.step),
        real=real[0] if real else None,
    )


def number(value: object) -> float:
    """The value as a float; NaN if it is not a number."""
    try:
        return float(value) if isinstance(value, int | float) else float("nan")
    except OverflowError:
        return float("nan")


def forms_of(record: Record) -> dict[str, TextFormat]:
    """The formats of numbers and dates in a run's samples, by column."""
    forms: dict[str, TextFormat] = {}
    for group, key in (("codec", "columns"), ("conditions", "parts")):
        state = record.source.get(group)
        for column in state.get(key, ()) if isinstance(state, dict) else ():
            try:
                forms[column["name"]] = format_from_state(column["form"])
            except (KeyError, TypeError, ValueError, AttributeError):
                continue
    return forms


def columns(path: Path, most: int = 20_000, forms: Mapping[str, TextFormat] | None = None) -> dict[str, NDArray[Any]]:
    """Read samples of points (.npy) or of a table (.csv).

    Args:
        path: The file.
        most: The largest number of rows to read.
        forms: The formats of numbers and dates, by column.

    Returns:
        A one-dimensional array for each column: numbers, datetime64, or strings with "" for missing cells.
    """
    if path.suffix == ".npy":
        array = open_mapped(path)[:most]
        values = np.asarray(array, dtype=np.float64).reshape(len(array), -1)
        return {f"x{column + 1}": values[:, column] for column in range(values.shape[1])}
    import pyarrow as pa
    from pyarrow import csv

    forms = forms or {}
    as_text = csv.ConvertOptions(column_types=dict.fromkeys(forms, pa.string()))
    table = csv.read_csv(path, convert_options=as_text).slice(0, most)
    for name in forms.keys() & {*table.column_names}:
        index, text = table.column_names.index(name), table[name].combine_chunks()
        table = table.set_column(index, name, forms[name].read(text.cast(pa.large_string())))
    arrays: dict[str, NDArray[Any]] = {}
    for name, column in zip(table.column_names, table.columns, strict=True):
        if pa.types.is_timestamp(column.type) or pa.types.is_date(column.type):
            arrays[name] = column.cast(pa.timestamp("s"), safe=False).to_numpy()
        elif pa.types.is_integer(column.type) and not column.null_count:
            arrays[name] = column.to_numpy()
        elif pa.types.is_integer(column.type) or pa.types.is_floating(column.type):
            arrays[name] = column.cast(pa.float64(), safe=False).to_numpy()
        else:
            arrays[name] = np.array(["" if value is None else str(value) for value in column.to_pylist()], dtype=object)
    return arrays


def rows(path: Path, most: int) -> list[list[str]]:
    """The header and the first rows of a .csv, as text."""
    import csv
    import itertools

    with path.open(encoding="utf-8", newline="") as file:
        return list(itertools.islice(csv.reader(file), most + 1))


def _toml(path: Path) -> dict[str, Any]:
    try:
        return read_toml(path)
    except (OSError, ValueError):
        return {}


def _note(path: Path, digests: Mapping[str, str]) -> dict[str, Any]:
    """A JSON file of the run; empty if it cannot be read and has no checksum."""
    try:
        return read_note(path, digests=digests)
    except CheckpointError:
        if path.is_file() and path.name in digests:
            raise
        return {}
