"""A hash chain: lines of JSON, each with a checksum of itself and all lines before it.

The last member of a line is `check`: the BLAKE2b digest, 8 bytes long, of the check before it and of the line without
its own check. A line that is changed, removed or moved no longer fits the next one. Lines of early versions have no
check; the first check after them covers all their bytes.
"""

from __future__ import annotations

import bisect
import hashlib
import json
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from wgan.errors import CheckpointError

_CHECKED = re.compile(rb'(?P<body>\{.*), "check": "(?P<check>[0-9a-f]{16})"\}', re.DOTALL)


@dataclass
class Chain:
    """The lines of a file, and whether they are intact.

    Attributes:
        lines: The readable lines, without their checks.
        check: The check of the last line; empty if there is no line.
        is_checked: Whether any line has a check.
        fault: What is wrong, in a clause that begins with the line number; empty if nothing is.
        ends: For each line the number of bytes up to its end, and the check up to there.
    """

    lines: list[dict[str, Any]] = field(default_factory=list)
    check: str = ""
    is_checked: bool = False
    fault: str = ""
    ends: list[tuple[int, str]] = field(default_factory=list)

    def until(self, length: int) -> Chain:
        """The lines within the first `length` bytes."""
        num = bisect.bisect_right(self.ends, length, key=lambda end: end[0])
        return Chain(self.lines[:num], self.ends[num - 1][1] if num else "", self.is_checked, ends=self.ends[:num])


def checked(line: str, before: str) -> tuple[bytes, str]:
    """Add its check to a line.

    Args:
        line: A JSON object with at least one member, without a line feed.
        before: The check of the line before; empty for the first.

    Returns:
        The bytes of the line with its line feed, and its check.
    """
    body = line.encode("ascii")
    check = _digest(before, body)
    return body[:-1] + f', "check": "{check}"}}\n'.encode("ascii"), check


def read_chain(raw: bytes, *, may_be_torn: bool) -> Chain:
    """Read the lines of a file and check them.

    Args:
        raw: Its bytes. A last line without a line feed is still being written, and is left out unless it is complete.
        may_be_torn: Whether lines may be half-written, by a process that was killed, and followed by lines of another.

    Returns:
        The lines up to the first fault.
    """
    found = Chain()
    *ended, tail = raw.split(b"\n")
    torn, end = "", 0
    for number, text in enumerate(ended, 1):
        end += len(text) + 1
        if not text.strip():
            continue
        line, body, check = _parts(text)
        # A half-written line is the last one until another process adds its own.
        is_last = number == len(ended) and not tail
        if check is not None:
            if line is None or check != _digest(found.check, body):
                return _with_fault(found, torn or f"line {number:,} does not have the checksum that it carries")
            found.check, found.is_checked, torn = check, True, ""
        elif line is None:
            if found.is_checked and (is_last or not may_be_torn):
                return _with_fault(found, f"line {number:,} cannot be read")
            torn = f"line {number:,} cannot be read"
            continue
        elif found.is_checked:
            return _with_fault(found, f"line {number:,} lacks its checksum")
        else:
            found.check = _digest(found.check, text)
        assert line is not None
        found.lines.append(line)
        found.ends.append((end, found.check))
    return _with_tail(found, tail, end, len(ended) + 1)


def _with_tail(found: Chain, tail: bytes, start: int, number: int) -> Chain:
    """Add a last line without a line feed, if it is complete."""
    line, body, check = _parts(tail)
    if line is not None and check is not None and check == _digest(found.check, body):
        found.lines.append(line)
        found.check, found.is_checked = check, True
        found.ends.append((start + len(tail), check))
        return found
    whole = _CHECKED.match(tail)
    # Half a line never contains a complete one.
    if whole is not None and whole["check"].decode("ascii") == _digest(found.check, whole["body"] + b"}"):
        return _with_fault(found, f"line {number:,} does not end as it was written")
    return found


def refuse_fault(chain: Chain, path: Path, remedy: str) -> list[dict[str, Any]]:
    """Refuse lines that were changed after they were written.

    Args:
        chain: The lines.
        path: Their file.
        remedy: What to do about it.

    Returns:
        The lines.

    Raises:
        CheckpointError: They were changed.
    """
    if chain.fault:
        raise CheckpointError(f"'{path}' was changed after it was written: {chain.fault}", remedy=remedy)
    return chain.lines


def _with_fault(found: Chain, fault: str) -> Chain:
    found.fault = fault
    return found


def _digest(before: str, body: bytes) -> str:
    return hashlib.blake2b(before.encode("ascii") + body, digest_size=8).hexdigest()


def _parts(text: bytes) -> tuple[dict[str, Any] | None, bytes, str | None]:
    """Read a line.

    Returns:
        The line without its check, None if it is not a JSON object; the bytes that its check covers; and its check,
        None if it has none.
    """
    match = _CHECKED.fullmatch(text)
    body, check = (text, None) if match is None else (match["body"] + b"}", match["check"].decode("ascii"))
    try:
        line = json.loads(body)
    except (ValueError, RecursionError):
        return None, body, check
    return (line if isinstance(line, dict) else None), body, check
