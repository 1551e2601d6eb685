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


@contextlib.contextmanager
def breaking_off(*numbers: signal.Signals) -> Iterator[None]:
    """Let signals raise `SignalError` within the block, in the main thread; elsewhere the block changes nothing.

    Args:
        numbers: Which; if none is named, all that ask a program to stop.
    """
    before = {}
    if threading.current_thread() is threading.main_thread():
        asking = (signal.SIGTERM, signal.SIGINT, signal.SIGUSR1)
        before = {number: signal.signal(number, _break_off) for number in numbers or asking}
    try:
        yield
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


def _break_off(number: int, frame: FrameType | None) -> None:
    raise SignalError(number)
