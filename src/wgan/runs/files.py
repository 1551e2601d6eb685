"""The files of a run's directory."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from wgan.data.export import sample_ending
from wgan.data.source import Kind
from wgan.runs.checkpoints import name_of, steps_saved
from wgan.system.storage import LOCK

METADATA_BYTES = 1 << 20
"""Bytes that a run's metadata and one save may take in addition to the tensors."""

RESTORE = "Restore it from a copy, or begin another run with the same data and settings and copy its file."
"""The remedy for a file of a run that is missing or damaged."""


@dataclass(frozen=True)
class RunFiles:
    """The paths in a run's directory.

    Attributes:
        root: The directory.
    """

    root: Path

    @property
    def settings(self) -> Path:
        """The settings, as TOML that trains the same run again."""
        return self.root / "settings.toml"

    @property
    def source(self) -> Path:
        """What the data is, and how to undo its preprocessing."""
        return self.root / "source.json"

    @property
    def environment(self) -> Path:
        """Versions and machine."""
        return self.root / "environment.json"

    @property
    def metrics(self) -> Path:
        """The record: a line of JSON for each recorded step, the same bytes for equal runs on one CPU machine."""
        return self.root / "metrics.jsonl"

    @property
    def events(self) -> Path:
        """What happened when: a line of JSON each, with the time."""
        return self.root / "events.jsonl"

    @property
    def checkpoints(self) -> Path:
        """The folder of the checkpoints."""
        return self.root / "checkpoints"

    @property
    def samples(self) -> Path:
        """The folder of the samples drawn along the way."""
        return self.root / "samples"

    def samples_at(self, step: int, kind: Kind) -> Path:
        """The file of one step's samples."""
        return self.samples / f"{name_of(step)}{sample_ending(kind)}"

    def real_samples(self, kind: Kind) -> Path:
        """The file of held-out rows that samples are compared with."""
        return self.samples / f"real{sample_ending(kind)}"

    @property
    def sample_checksums(self) -> Path:
        """The checksums of the samples."""
        return self.samples / "checksums.json"

    def holds_run(self) -> bool:
        """Whether there is a run here that can be resumed."""
        return bool(steps_saved(self.checkpoints))

    def bytes_to_save(self) -> int:
        """Bytes that one more checkpoint takes: as many as the last one."""
        steps = steps_saved(self.checkpoints)
        last = self.checkpoints / name_of(steps[-1]) if steps else None
        return METADATA_BYTES + sum(path.stat().st_size for path in (last.iterdir() if last else ()) if path.is_file())

    def initial_names(self) -> set[str]:
        """The names of files that a run may leave before its first checkpoint."""
        paths = (self.settings, self.source, self.environment, self.metrics, self.events, self.checkpoints)
        return {LOCK, self.samples.name, *(path.name for path in paths)}
