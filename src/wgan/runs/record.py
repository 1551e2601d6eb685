"""A run's two logs: the record, determined to the byte by settings, data and CPU, and the events with their times."""

from __future__ import annotations

import json
import os
import time
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, Literal

from wgan.errors import CheckpointError, WganWarning
from wgan.runs.hash_chain import Chain, checked, read_chain, refuse_fault
from wgan.settings.former import todays_line
from wgan.system.storage import disk_faults, read_plain, refuse_special

if TYPE_CHECKING:
    from wgan.training.loop import Step


class RunWarning(WganWarning):
    """Something that does not stop a run but that its user should know."""


Event = Literal[
    "started", "resumed", "saved", "evaluated", "verdict", "warning", "stopped", "rolled-back", "diverged", "finished"
]


OF_RECORD = "Restore it from a copy, or remove it: the run then continues with a new record."
"""The remedy for a record that was changed."""

NUMBERS = ("estimate", "critic_loss", "generator_loss")
"""What is kept of an update: in the record, and in the checkpoint of a stop before its line is written."""

_FORMER_EVALUATED = "judged"
"""The event "evaluated" in files of earlier versions."""

_OF_EVENTS = "Restore it from a copy, or remove it: all that is lost is what happened when, and how the run ended."


def numbers_of(step: Step | Mapping[str, float], *, with_critic_updates: bool) -> dict[str, float]:
    """The numbers of an update that the record keeps.

    Args:
        step: The update, whose tensors are read from the device; or its numbers, from a checkpoint.
        with_critic_updates: Whether to keep the number of critic updates before it, for runs in which it varies.
    """
    if not isinstance(step, Mapping):
        step = {name: getattr(step, name).item() for name in NUMBERS} | {"critic_updates": step.critic_updates}
    # A checkpoint does not keep the order.
    names = (*NUMBERS, "critic_updates") if with_critic_updates and "critic_updates" in step else NUMBERS
    return {name: step[name] for name in names}


class Record:
    """`metrics.jsonl`: a line of JSON for each recorded step, each with a checksum.

    Args:
        path: The file; made if it is not there.
        length: Bytes to keep; what follows is later than the state that the run continues from. None for all.
        check: The check of the last line that is kept, if it is known.

    Raises:
        CheckpointError: The disk is failing.
    """

    def __init__(self, path: Path, *, length: int | None = None, check: str | None = None) -> None:
        self._path, self._check = path, ""
        with disk_faults(path):
            refuse_special(path)
            self._file = path.open("ab")
        self.cut(self._file.tell() if length is None else length, check=check)

    @property
    def length(self) -> int:
        """Bytes written."""
        return self._file.tell()

    @property
    def check(self) -> str:
        """The check of the last line, which covers all lines before it; empty if there is no line."""
        return self._check

    def add(self, line: Mapping[str, object]) -> None:
        """Add one line, and flush it so that others can read it.

        Raises:
            CheckpointError: The disk is full or failing.
            ValueError: A value is NaN or infinite.
        """
        text, check = checked(json.dumps(line, allow_nan=False), self._check)
        with disk_faults(self._path, len(text)):
            self._file.write(text)
            self._file.flush()
        self._check = check

    def cut(self, length: int, *, check: str | None = None) -> None:
        """Remove what is later than a state that the run continues from.

        Args:
            length: Bytes to keep.
            check: The check of the last line that is kept; read from the file if None.

        Raises:
            CheckpointError: The disk is failing.
        """
        with disk_faults(self._path):
            if length < self._file.tell():
                self._file.truncate(length)
                self._file.seek(0, os.SEEK_END)
            if check is None or self._file.tell() != length:
                check = read_chain(self._path.read_bytes(), may_be_torn=False).check
            self._check = check

    def sync(self) -> None:
        """Wait until all lines are on the disk: a checkpoint may then say how many bytes there are."""
        with disk_faults(self._path):
            os.fsync(self._file.fileno())

    def close(self) -> None:
        """Close the file."""
        self._file.close()


class Journal:
    """`events.jsonl`: what happened when, across stops; a line of JSON for each event, each with a checksum.

    Nothing is computed from it but the training time.

    Args:
        path: The file; made if it is not there.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._length, self._check = 0, ""
        self._seconds_before, self._since = 0.0, time.monotonic()

    def start_clock(self, step: int) -> None:
        """Count training time from now on, beginning with what the state at `step` had taken."""
        self._seconds_before = self.seconds_until(step)
        self.restart_clock()

    def restart_clock(self) -> None:
        """Leave out the time since the clock was started."""
        self._since = time.monotonic()

    def elapsed(self) -> float:
        """Training time in seconds."""
        return round(self._seconds_before + time.monotonic() - self._since, 3)

    def add_timed(self, event: Event, step: int, **facts: object) -> None:
        """Add one line with the training time; raises as `add`."""
        self.add(event, step, seconds=self.elapsed(), **facts)

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
                # Another journal of this file, or an earlier process, has written since.
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
        """Training time up to the latest save at or before `step`."""
        saved = [line for line in self.lines() if line.get("event") == "saved" and line.get("step", step + 1) <= step]
        return float(saved[-1].get("seconds", 0.0)) if saved else 0.0

    def lines(self) -> list[dict[str, Any]]:
        """The events; half a line of a process that was killed is left out.

        Raises:
            CheckpointError: They were changed after they were written.
        """
        raw = _read(self._path, _OF_EVENTS)
        lines = refuse_fault(read_chain(raw, may_be_torn=True), self._path, _OF_EVENTS)
        return [line | {"event": "evaluated"} if line.get("event") == _FORMER_EVALUATED else line for line in lines]


def read_checked(path: Path, *, length: int | None = None, check: str | None = None) -> Chain:
    """Read a record and check it.

    Args:
        path: The record; it may be missing.
        length: Bytes that it had when a checkpoint was saved; None if that is not known.
        check: The check of its last line then; None if the checkpoint does not note it.

    Returns:
        Its lines, under today's names. A line that is still being written is left out.

    Raises:
        CheckpointError: It was changed after it was written, or lines are missing that the checkpoint recorded.
    """
    raw = _read(path, OF_RECORD)
    chain = read_chain(raw, may_be_torn=False)
    chain.lines = [todays_line(line) for line in refuse_fault(chain, path, OF_RECORD)]
    if path.is_file() and length is not None:
        if len(raw) < length:
            fault = f"it has {len(raw):,} bytes where the checkpoint recorded {length:,}"
            raise CheckpointError(f"'{path}' was changed after it was written: {fault}", remedy=OF_RECORD)
        if check is not None and chain.until(length).check != check:
            fault = f"its first {length:,} bytes are not those that the checkpoint recorded"
            raise CheckpointError(f"'{path}' was changed after it was written: {fault}", remedy=OF_RECORD)
    return chain


def read_lines(path: Path, *, length: int | None = None, check: str | None = None) -> list[dict[str, Any]]:
    """The lines of a record; arguments and errors are those of `read_checked`."""
    return read_checked(path, length=length, check=check).lines


def _read(path: Path, remedy: str) -> bytes:
    """The bytes of a log; none if it is missing.

    Raises:
        CheckpointError: It cannot be read, or is not an ordinary file.
    """
    try:
        return read_plain(path) if path.exists() else b""
    except OSError as error:
        raise CheckpointError(f"'{path}' cannot be read: {error.strerror}", remedy=remedy) from None
