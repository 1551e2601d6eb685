"""Standard output and standard error that may be closed, full, abandoned by their reader, or of a narrow encoding.

A command's work does not depend on whether what it prints can be written. What cannot be written is dropped, with one
warning on standard error; a character that the encoding lacks is written as an escape.
"""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterable, Iterator
from typing import Any, TextIO

_DESCRIPTORS = (0, 1, 2)


class LenientStream:
    """A text stream whose writing never raises.

    Everything but writing and flushing is the stream's own.

    Args:
        stream: The stream to write to, or None where the process was started with it closed.

    Attributes:
        fault: What the first failed write raised; None as long as all could be written.
    """

    def __init__(self, stream: TextIO | None) -> None:
        self._stream = stream
        self.fault: OSError | None = None

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 - whatever the stream has
        if self._stream is None:
            raise AttributeError(name)
        return getattr(self._stream, name)

    @property
    def encoding(self) -> str:
        """The stream's encoding."""
        return getattr(self._stream, "encoding", None) or "utf-8"

    @property
    def reader_left(self) -> bool:
        """Whether the stream is a pipe whose reader has left."""
        return isinstance(self.fault, BrokenPipeError)

    def isatty(self) -> bool:
        """Whether the stream is a terminal that can be written to."""
        try:
            return self._stream is not None and self.fault is None and self._stream.isatty()
        except ValueError:
            return False

    def write(self, text: str) -> int:
        """Write text, as escapes where the encoding lacks a character, or drop it."""
        if self._stream is None or self.fault is not None:
            return len(text)
        with self._noted():
            try:
                self._stream.write(text)
            except UnicodeEncodeError:
                self._stream.write(text.encode(self.encoding, "backslashreplace").decode(self.encoding))
        return len(text)

    def writelines(self, lines: Iterable[str]) -> None:
        """Write several texts."""
        for line in lines:
            self.write(line)

    def flush(self) -> None:
        """Hand what was written to the system, or drop it."""
        if self._stream is not None and self.fault is None:
            with self._noted():
                self._stream.flush()

    @contextlib.contextmanager
    def _noted(self) -> Iterator[None]:
        """Keep the error of a stream that cannot be written, and see that the interpreter does not meet it at exit."""
        try:
            yield
        except OSError as error:
            self.fault = error
            self._abandon()
        except ValueError as error:
            # The stream was closed within this process.
            self.fault = OSError(str(error))

    def _abandon(self) -> None:
        # The interpreter flushes its own streams on its way out, and would complain there of what is still in them.
        for own in (sys.__stdout__, sys.__stderr__):
            if own is not None and own is self._stream:
                with contextlib.suppress(OSError, ValueError):
                    _lead_nowhere(own.fileno())


@contextlib.contextmanager
def lenient_streams() -> Iterator[tuple[LenientStream, LenientStream]]:
    """Within the block, nothing that is printed raises.

    Yields:
        The replacements of standard output and standard error.
    """
    out, err = LenientStream(sys.stdout), LenientStream(sys.stderr)
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            yield out, err
        finally:
            out.flush()
            if out.fault is not None and not out.reader_left:
                reason = out.fault.strerror or str(out.fault)
                err.write(f"wgan: warning: standard output could not be written ({reason}): what is missing is lost\n")
            err.flush()


def open_closed_descriptors() -> None:
    """Let descriptors 0, 1 and 2 lead nowhere where they are closed.

    The next file that is opened would otherwise get their number, and what a library prints would be written into it.
    """
    for descriptor in _DESCRIPTORS:
        try:
            os.fstat(descriptor)
        except OSError:
            _lead_nowhere(descriptor)


def _lead_nowhere(descriptor: int) -> None:
    nowhere = os.open(os.devnull, os.O_RDWR)
    if nowhere != descriptor:
        os.dup2(nowhere, descriptor)
        os.close(nowhere)
    os.set_inheritable(descriptor, True)
