"""LMDB databases of encoded images in the layout of LSUN: each value is one image."""

from __future__ import annotations

import os
import select
import signal
import struct
import subprocess
import sys
from pathlib import Path

from wgan.data.images.collection import Collection, Stamp, Stream, Tally, too_many_bytes
from wgan.data.images.decoding import MAX_ENCODED_BYTES
from wgan.errors import DataError
from wgan.system.text import escaped

_TIMEOUT_SECONDS = 120.0
_FRAME = struct.Struct(">cII")
_BUFFER = 1 << 20
_MAX_KEY_BYTES = 4096


class Database(Collection):
    """The images of an LMDB, in the order of their keys.

    A subprocess reads it, since a damaged database can crash the process that maps it.

    Args:
        path: The folder with `data.mdb`, or the database file itself.
    """

    noun = "LMDB"
    labelled = False

    def stamp(self) -> Stamp:
        """The state of the database file."""
        return Stamp.of_file(self.path / "data.mdb" if self.path.is_dir() else self.path)

    def stream(self, tally: Tally) -> Stream:
        """Yield keys and contents; every entry is an image.

        Raises:
            DataError: The database is damaged, or the subprocess ended or timed out.
        """
        program = Path(__file__).with_name("lsun_reader.py")
        # -P: modules in the folder of the program must not shadow others.
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
            except _ReaderError as error:
                raise self._damaged(str(error), num_read, expected, stated, found) from None
            if kind == b"I":
                stated, found, expected = map(int, first.split())
            elif kind in (b"E", b"B"):
                num_read += 1
                # Damaged pages can form a cycle.
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
        position = f" after entry {num_read:,} of {expected:,}" if expected else ""
        ends = f"; the file ends at byte {found:,}, its header states {stated:,}" if found < stated else ""
        return DataError(
            f"{escaped(self.path)}: the LMDB cannot be read{position}: {reason}{ends}",
            remedy="The database is damaged or incomplete: copy or download it again.",
        )


class _ReaderError(Exception):
    """The subprocess ended or timed out before the end of the database."""


class _Frames:
    """The frames that the subprocess writes, with limits on their size and on the time between them."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self._process = process
        assert process.stdout is not None
        self._descriptor = process.stdout.fileno()
        self._buffer = bytearray()

    def next(self) -> tuple[bytes, bytes, bytes]:
        kind, first_size, second_size = _FRAME.unpack(self._take(_FRAME.size))
        if kind not in b"IEBXD" or first_size > _MAX_KEY_BYTES or second_size > MAX_ENCODED_BYTES:
            raise _ReaderError("its entries are invalid")
        return kind, self._take(first_size), self._take(second_size)

    def _take(self, size: int) -> bytes:
        while len(self._buffer) < size:
            if not select.select([self._descriptor], [], [], _TIMEOUT_SECONDS)[0]:
                raise _ReaderError(f"no data arrived for {_TIMEOUT_SECONDS:.0f} s")
            chunk = os.read(self._descriptor, _BUFFER)
            if not chunk:
                raise _ReaderError(f"the process that reads it ended with {self._cause()}")
            self._buffer += chunk
        taken = bytes(self._buffer[:size])
        del self._buffer[:size]
        return taken

    def _cause(self) -> str:
        code = self._process.wait()
        if code < 0:
            return f"signal {signal.Signals(-code).name}"
        return f"exit code {code}"
