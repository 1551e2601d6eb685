"""A run's two journals: the record, determined to the byte by settings, data and CPU, and the events."""

from __future__ import annotations

import json
import os
import time
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any, BinaryIO, Literal

from wgan.storage import disk_faults, parsed_json, refuse_special


class RunWarning(UserWarning):
    """Something about a run that does not stop it but that its owner should know."""


Event = Literal[
    "started", "resumed", "saved", "judged", "verdict", "warning", "stopped", "rolled-back", "diverged", "finished"
]


class Record:
    """`metrics.jsonl`: a line of JSON for each recorded step, only ever added to.

    Args:
        path: The file; made if it is not there.
        length: Bytes to keep, the rest being later than the state that the run goes on from; None for all.

    Raises:
        CheckpointError: The disk is failing.
    """

    def __init__(self, path: Path, *, length: int | None = None) -> None:
        self._path = path
        with disk_faults(path):
            refuse_special(path)
            self._file = path.open("ab")
            if length is not None:
                self.cut(length)

    @property
    def length(self) -> int:
        """Bytes written."""
        return self._file.tell()

    def add(self, line: Mapping[str, object]) -> None:
        """Add one line, and hand it to the system at once so that others can read it.

        Raises:
            CheckpointError: The disk is full or failing.
            ValueError: A value is NaN or infinite.
        """
        text = json.dumps(line, allow_nan=False) + "\n"
        with disk_faults(self._path, len(text)):
            self._file.write(text.encode("ascii"))
            self._file.flush()

    def cut(self, length: int) -> None:
        """Remove what is later than a state that the run goes on from.

        Args:
            length: Bytes to keep.

        Raises:
            CheckpointError: The disk is failing.
        """
        with disk_faults(self._path):
            if length < self._file.tell():
                self._file.truncate(length)
                self._file.seek(0, os.SEEK_END)

    def sync(self) -> None:
        """Wait until all lines are on the disk: a checkpoint may then say how many bytes there are."""
        with disk_faults(self._path):
            os.fsync(self._file.fileno())

    def close(self) -> None:
        """Close the file."""
        self._file.close()


class Journal:
    """`events.jsonl`: what happened when. It outlives stops, and nothing is computed from it but the training time.

    Args:
        path: The file; made if it is not there.
    """

    def __init__(self, path: Path) -> None:
        self._path = path

    def add(self, event: Event, step: int, **facts: object) -> None:
        """Add one line.

        Raises:
            CheckpointError: The disk is full or failing.
        """
        text = json.dumps({"time": round(time.time(), 3), "event": event, "step": step, **facts}) + "\n"
        with disk_faults(self._path, len(text)), self._opened() as file:
            # A process that was killed may have left half a line.
            torn = file.tell() > 0 and file.seek(-1, os.SEEK_END) >= 0 and file.read(1) != b"\n"
            file.write((b"\n" if torn else b"") + text.encode("ascii"))

    def _opened(self) -> BinaryIO:
        refuse_special(self._path)
        return self._path.open("ab+")

    def warn(self, step: int, message: str, event: Event = "warning", **facts: object) -> None:
        """Add a warning, or another event, and say it aloud."""
        self.add(event, step, message=message, **facts)
        warnings.warn(message, RunWarning, stacklevel=4)

    def seconds_until(self, step: int) -> float:
        """Training time that the latest save up to `step` had taken."""
        saved = [line for line in self.lines() if line.get("event") == "saved" and line.get("step", step + 1) <= step]
        return float(saved[-1].get("seconds", 0.0)) if saved else 0.0

    def lines(self) -> list[dict[str, Any]]:
        """The events that can be read."""
        found = []
        for text in self._path.read_bytes().splitlines() if self._path.is_file() else ():
            try:
                line = parsed_json(text)
            except ValueError:
                continue
            if isinstance(line, dict):
                found.append(line)
        return found
