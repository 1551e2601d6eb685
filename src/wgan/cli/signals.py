"""Signals before a run has anything to save, and after it has saved all: they break off what is under way.

In between they are the run's own: it asks for no more than that training ends, and saves itself.
"""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Iterator
from types import FrameType


class SignalError(BaseException):
    """Breaks off what is under way because a signal came. It never leaves the command.

    Attributes:
        name: Of the signal.
        exit_code: What a shell reports of a program that the signal has ended.
    """

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.name = signal.Signals(number).name
        self.exit_code = 128 + number


class Came:
    """What came within a block of `breaking_off`.

    An extension module that is interrupted while it is imported may swallow what was raised, or raise something else in
    its place; hence this note of it.

    Attributes:
        signal: The last one, or None.
    """

    def __init__(self) -> None:
        self.signal: SignalError | None = None

    def note(self, number: int, frame: FrameType | None) -> None:
        """Answer a signal: note it, and break off what is under way."""
        self.signal = SignalError(number)
        raise self.signal

    def repeat(self) -> None:
        """Raise again what was raised, if anything was."""
        if self.signal is not None:
            raise self.signal


@contextlib.contextmanager
def breaking_off(*numbers: signal.Signals) -> Iterator[Came]:
    """Let signals raise `SignalError` within the block, in the main thread; elsewhere the block changes nothing.

    Args:
        numbers: Which; if none is named, all that ask a program to stop.

    Yields:
        A note of what came.
    """
    before, came = {}, Came()
    if threading.current_thread() is threading.main_thread():
        asking = (signal.SIGTERM, signal.SIGINT, signal.SIGUSR1)
        before = {number: signal.signal(number, came.note) for number in numbers or asking}
    try:
        yield came
    finally:
        for number, handler in before.items():
            signal.signal(number, signal.SIG_DFL if handler is None else handler)


@contextlib.contextmanager
def at_most(seconds: float) -> Iterator[None]:
    """Raise `SignalError` in the block when it takes longer than so many seconds."""
    with breaking_off(signal.SIGALRM):
        signal.setitimer(signal.ITIMER_REAL, seconds)
        try:
            yield
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
