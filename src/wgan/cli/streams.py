"""Standard output and standard error that may be closed, full, broken pipes, or of a narrow encoding.

A command must not fail because its output cannot be written. Output that cannot be written is dropped, with one warning
on standard error. Characters that the encoding lacks are written as escapes.
"""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterable, Iterator
from typing import Any, TextIO

from wgan.system.text import escaped

LINE_FEED = "\n"
_DESCRIPTORS = (0, 1, 2)


def say(text: str) -> None:
    """Print a line, escaped."""
    print(escaped(text, keep=LINE_FEED))


class LenientStream:
    """A text stream that never raises when it is written to. Other operations are those of the stream.

    Args:
        stream: The stream to write to; None if the process was started with it closed.

    Attributes:
        fault: The error of the first failed write; None if there was none.
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
        """Whether the stream is a broken pipe."""
        return isinstance(self.fault, BrokenPipeError)

    def isatty(self) -> bool:
        """Whether the stream is a terminal that can be written to."""
        try:
            return self._stream is not None and self.fault is None and self._stream.isatty()
        except ValueError:
            return False

    def write(self, text: str) -> int:
        """Write text, with escapes for characters that the encoding lacks, or drop it."""
        if self._stream is None or self.fault is not None:
            return len(text)
        with self._storing_faults():
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
        """Flush the stream, or drop its content."""
        if self._stream is not None and self.fault is None:
            with self._storing_faults():
                self._stream.flush()

    @contextlib.contextmanager
    def _storing_faults(self) -> Iterator[None]:
        """Store the error of a failed write, and keep it from occurring again when the interpreter exits."""
        try:
            yield
        except OSError as error:
            self.fault = error
            self._abandon()
        except ValueError as error:
            # The stream was closed within this process.
            self.fault = OSError(str(error))

    def _abandon(self) -> None:
        # At exit, the interpreter flushes its own streams and would report an error for what is still in them.
        for own in (sys.__stdout__, sys.__stderr__):
            if own is not None and own is self._stream:
                with contextlib.suppress(OSError, ValueError):
                    _redirect_to_null(own.fileno())


@contextlib.contextmanager
def lenient_streams() -> Iterator[tuple[LenientStream, LenientStream]]:
    """Replace standard output and standard error by lenient streams within the block.

    Yields:
        The two streams.
    """
    out, err = LenientStream(sys.stdout), LenientStream(sys.stderr)
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            yield out, err
        finally:
            out.flush()
            if out.fault is not None and not out.reader_left:
                reason = out.fault.strerror or str(out.fault)
                err.write(f"wgan: warning: standard output could not be written ({reason}): some output is lost\n")
            err.flush()


def open_closed_descriptors() -> None:
    """Open descriptors 0, 1 and 2 on the null device if they are closed.

    Otherwise the next file that is opened would get one of these numbers, and the output of libraries would be written
    into it.
    """
    for descriptor in _DESCRIPTORS:
        try:
            os.fstat(descriptor)
        except OSError:
            _redirect_to_null(descriptor)


def _redirect_to_null(descriptor: int) -> None:
    null = os.open(os.devnull, os.O_RDWR)
    if null != descriptor:
        os.dup2(null, descriptor)
        os.close(null)
    os.set_inheritable(descriptor, True)
