"""A run's two journals: the record, determined to the byte by settings, data and CPU, and the events."""

from __future__ import annotations

import json
import os
import time
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any, BinaryIO, Literal

from wgan.errors import CheckpointError, WganWarning
from wgan.runs.chains import checked, read_chain, refuse_fault
from wgan.settings.former import todays_line
from wgan.system.storage import disk_faults, read_plain, refuse_special


class RunWarning(WganWarning):
    """Something about a run that does not stop it but that its owner should know."""


Event = Literal[
    "started", "resumed", "saved", "judged", "verdict", "warning", "stopped", "rolled-back", "diverged", "finished"
]


OF_RECORD = "Restore it from a copy, or remove it: the run then goes on with a record that begins anew."
"""What to do about a record that was changed."""

_OF_EVENTS = "Restore it from a copy, or remove it: all that is lost is what happened when, and how the run ended."


class Record:
    """`metrics.jsonl`: a line of JSON for each recorded step, only ever added to. Each line carries a checksum.

    Args:
        path: The file; made if it is not there.
        length: Bytes to keep, the rest being later than the state that the run goes on from; None for all.

    Raises:
        CheckpointError: The disk is failing.
    """

    def __init__(self, path: Path, *, length: int | None = None) -> None:
        self._path, self._check = path, ""
        with disk_faults(path):
            refuse_special(path)
            self._file = path.open("ab")
        self.cut(self._file.tell() if length is None else length)

    @property
    def length(self) -> int:
        """Bytes written."""
        return self._file.tell()

    @property
    def check(self) -> str:
        """The check of the last line, which covers all lines before it; empty where there is none."""
        return self._check

    def add(self, line: Mapping[str, object]) -> None:
        """Add one line, and hand it to the system at once so that others can read it.

        Raises:
            CheckpointError: The disk is full or failing.
            ValueError: A value is NaN or infinite.
        """
        text, check = checked(json.dumps(line, allow_nan=False), self._check)
        with disk_faults(self._path, len(text)):
            self._file.write(text)
            self._file.flush()
        self._check = check

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
            self._check = read_chain(self._path.read_bytes(), may_be_torn=False).check

    def sync(self) -> None:
        """Wait until all lines are on the disk: a checkpoint may then say how many bytes there are."""
        with disk_faults(self._path):
            os.fsync(self._file.fileno())

    def close(self) -> None:
        """Close the file."""
        self._file.close()


class Journal:
    """`events.jsonl`: what happened when. It outlives stops, and nothing is computed from it but the training time.

    Each line carries a checksum.

    Args:
        path: The file; made if it is not there.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._length, self._check = 0, ""

    def add(self, event: Event, step: int, **facts: object) -> None:
        """Add one line.

        Raises:
            CheckpointError: The disk is full or failing, or the lines before it were changed.
        """
        line = json.dumps({"time": round(time.time(), 3), "event": event, "step": step, **facts})
        with disk_faults(self._path, len(line)), self._opened() as file:
            length = file.seek(0, os.SEEK_END)
            torn = False
            if length != self._length:
                # Another journal of this file, or a process before this one, has written since.
                file.seek(0)
                raw = file.read()
                chain = read_chain(raw, may_be_torn=True)
                refuse_fault(chain, self._path, _OF_EVENTS)
                self._check = chain.check
                # A process that was killed may have left half a line.
                torn = raw[-1:] not in (b"", b"\n")
            text, self._check = checked(line, self._check)
            file.write((b"\n" if torn else b"") + text)
            self._length = length + torn + len(text)

    def _opened(self) -> BinaryIO:
        refuse_special(self._path)
        return self._path.open("ab+")

    def warn(self, step: int, message: str, event: Event = "warning", **facts: object) -> None:
        """Add a warning, or another event, and issue it as a `RunWarning`."""
        self.add(event, step, message=message, **facts)
        warnings.warn(message, RunWarning, stacklevel=4)

    def seconds_until(self, step: int) -> float:
        """Training time that the latest save up to `step` had taken."""
        saved = [line for line in self.lines() if line.get("event") == "saved" and line.get("step", step + 1) <= step]
        return float(saved[-1].get("seconds", 0.0)) if saved else 0.0

    def lines(self) -> list[dict[str, Any]]:
        """The events that can be read; half a line of a process that was killed is left out.

        Raises:
            CheckpointError: They were changed after they were written.
        """
        raw = _read(self._path, _OF_EVENTS)
        return refuse_fault(read_chain(raw, may_be_torn=True), self._path, _OF_EVENTS)


def read_lines(path: Path, *, length: int | None = None, check: str | None = None) -> list[dict[str, Any]]:
    """The lines of a record; one that is still being written is left out.

    Args:
        path: The record; it may be missing.
        length: Bytes that it had when a checkpoint was saved.
        check: The check of its last line then; None where the checkpoint knows of none.

    Raises:
        CheckpointError: It was changed after it was written, or lines are missing that the checkpoint knows of.
    """
    raw = _read(path, OF_RECORD)
    lines = refuse_fault(read_chain(raw, may_be_torn=False), path, OF_RECORD)
    if path.is_file() and length is not None:
        if len(raw) < length:
            fault = f"it has {len(raw):,} bytes where the checkpoint knows of {length:,}"
            raise CheckpointError(f"'{path}' was changed after it was written: {fault}", remedy=OF_RECORD)
        if check is not None and read_chain(raw[:length], may_be_torn=False).check != check:
            fault = f"its first {length:,} bytes are not those that the checkpoint knows of"
            raise CheckpointError(f"'{path}' was changed after it was written: {fault}", remedy=OF_RECORD)
    return [todays_line(line) for line in lines]


def _read(path: Path, remedy: str) -> bytes:
    """A journal's bytes; none where it is missing.

    Raises:
        CheckpointError: It cannot be read, or is not an ordinary file.
    """
    try:
        return read_plain(path) if path.exists() else b""
    except OSError as error:
        raise CheckpointError(f"'{path}' cannot be read: {error.strerror}", remedy=remedy) from None
