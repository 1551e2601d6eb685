"""LMDB databases of encoded images, in LSUN's layout: key to the bytes of one image."""

from __future__ import annotations

import os
import select
import signal
import struct
import subprocess
import sys
import time
from pathlib import Path

from wgan.data.images.decoding import MAX_ENCODED_BYTES
from wgan.data.images.members import Stamp, Stream, Tally, too_many_bytes
from wgan.data.images.naming import shown
from wgan.errors import DataError

_SECONDS_OF_SILENCE = 120.0
_FRAME = struct.Struct(">cII")
_BUFFER = 1 << 20
_MAX_KEY_BYTES = 4096


class Database:
    """The images of an LMDB, in the order of their keys.

    It is read by a process of its own: a damaged database can end that process, and never this one.

    Args:
        path: The folder with `data.mdb`, or the database file itself.
    """

    noun = "LMDB"
    labelled = False
    listed = False
    tags = None

    def __init__(self, path: Path) -> None:
        self.path = path

    def stamp(self) -> Stamp:
        """Of the database file."""
        taken = time.time_ns()
        return Stamp.of([("", (self.path / "data.mdb" if self.path.is_dir() else self.path).stat())], taken)

    def stream(self, tally: Tally) -> Stream:
        """Yield keys and contents; every entry is taken for an image.

        Raises:
            DataError: The database is damaged, or the reading process ended or fell silent.
        """
        program = Path(__file__).with_name("lsun_reader.py")
        # -P: the folder of the program must not shadow any module.
        command = [sys.executable, "-P", str(program), str(self.path.resolve()), str(MAX_ENCODED_BYTES)]
        with subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, bufsize=0
        ) as process:
            try:
                yield from self._entries(_Frames(process))
            finally:
                process.kill()

    def _entries(self, frames: _Frames) -> Stream:
        stated = found = expected = num_read = 0
        while True:
            try:
                kind, first, second = frames.next()
            except _ReaderEndedError as error:
                raise self._damaged(str(error), num_read, expected, stated, found) from None
            if kind == b"I":
                stated, found, expected = map(int, first.split())
            elif kind in (b"E", b"B"):
                num_read += 1
                # Damaged pages can point in a circle.
                if num_read > expected:
                    raise self._damaged("it holds more entries than it states", num_read, expected, stated, found)
                name = first.decode("utf-8", "backslashreplace")
                yield name, second if kind == b"E" else too_many_bytes(int(second))
            elif kind == b"X":
                raise self._damaged(first.decode("utf-8", "replace"), num_read, expected, stated, found)
            elif num_read != expected:
                raise self._damaged("its keys end early", num_read, expected, stated, found)
            else:
                return

    def _damaged(self, reason: str, num_read: int, expected: int, stated: int, found: int) -> DataError:
        reason = " ".join(reason.split())[:200]
        place = f" after entry {num_read:,} of {expected:,}" if expected else ""
        ends = f"; the file ends at byte {found:,}, its header states {stated:,}" if found < stated else ""
        return DataError(
            f"{shown(self.path)}: the LMDB cannot be read{place}: {reason}{ends}",
            remedy="The database is damaged or incomplete: copy or download it again.",
        )


class _ReaderEndedError(Exception):
    """The reading process said nothing more, though its work was not done."""


class _Frames:
    """The frames that the reading process writes, bounded in size and in the time that they may take."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self._process = process
        assert process.stdout is not None
        self._descriptor = process.stdout.fileno()
        self._buffer = bytearray()

    def next(self) -> tuple[bytes, bytes, bytes]:
        kind, first_size, second_size = _FRAME.unpack(self._take(_FRAME.size))
        if kind not in b"IEBXD" or first_size > _MAX_KEY_BYTES or second_size > MAX_ENCODED_BYTES:
            raise _ReaderEndedError("its entries make no sense")
        return kind, self._take(first_size), self._take(second_size)

    def _take(self, size: int) -> bytes:
        while len(self._buffer) < size:
            if not select.select([self._descriptor], [], [], _SECONDS_OF_SILENCE)[0]:
                raise _ReaderEndedError(f"nothing came for {_SECONDS_OF_SILENCE:.0f} s")
            chunk = os.read(self._descriptor, _BUFFER)
            if not chunk:
                raise _ReaderEndedError(f"the process that read it was ended by {self._cause()}")
            self._buffer += chunk
        taken = bytes(self._buffer[:size])
        del self._buffer[:size]
        return taken

    def _cause(self) -> str:
        code = self._process.wait()
        if code < 0:
            return f"signal {signal.Signals(-code).name}"
        return f"exit code {code}"
