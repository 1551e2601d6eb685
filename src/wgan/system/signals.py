"""SIGTERM, SIGINT and SIGUSR1: raise an error, or ask a run to stop.

While there is nothing to save, `raising` turns a signal into a `SignalError`, which ends what is under way. While a run
trains, a `StopRequest` only notes the signal; the run saves its state and stops where that state is complete.

Handlers can only be installed by the main thread. In other threads all blocks of this module change nothing.
"""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Callable, Iterator
from types import FrameType
from typing import Any, TypeVar

T = TypeVar("T")

STOP_SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGUSR1)

_POLL_SECONDS = 0.05
"""How often the main thread looks for a stop request while work runs in another thread."""


class SignalError(BaseException):
    """Raised by a signal within `raising`.

    Attributes:
        name: Of the signal.
        exit_code: What a shell reports for a program that the signal has ended.
    """

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.name = signal.Signals(number).name
        self.exit_code = 128 + number


class Received:
    """The signal that came within a block of `raising`.

    An extension module that is interrupted during its import may swallow the error or raise another one in its place;
    hence this note.

    Attributes:
        signal: The last signal, or None.
    """

    def __init__(self) -> None:
        self.signal: SignalError | None = None

    def handle(self, number: int, frame: FrameType | None) -> None:
        """Note a signal and raise it."""
        self.signal = SignalError(number)
        raise self.signal

    def raise_again(self) -> None:
        """Raise the signal again, if one came."""
        if self.signal is not None:
            raise self.signal


@contextlib.contextmanager
def raising(*numbers: signal.Signals) -> Iterator[Received]:
    """Let signals raise `SignalError` within the block.

    Args:
        numbers: Which signals; `STOP_SIGNALS` if none is named.

    Yields:
        A note of the signal that came.
    """
    received = Received()
    before = {}
    if _is_main_thread():
        before = {number: signal.signal(number, received.handle) for number in numbers or STOP_SIGNALS}
    try:
        yield received
    finally:
        _install(before)


@contextlib.contextmanager
def raising_on_termination() -> Iterator[None]:
    """Let SIGTERM raise `SignalError` within the block, unless the process already handles or ignores it."""
    with contextlib.ExitStack() as stack:
        if _is_main_thread() and signal.getsignal(signal.SIGTERM) == signal.SIG_DFL:
            stack.enter_context(raising(signal.SIGTERM))
        yield


@contextlib.contextmanager
def at_most(seconds: float) -> Iterator[None]:
    """Raise `SignalError` in the block if it takes longer than so many seconds."""
    with raising(signal.SIGALRM):
        signal.setitimer(signal.ITIMER_REAL, seconds)
        try:
            yield
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)


class StopRequestedError(BaseException):
    """Interrupts work because a stop was requested. It never leaves the run."""


class StopRequest:
    """Within its block a signal requests a stop; a second SIGINT raises KeyboardInterrupt.

    Attributes:
        name: Name of the first signal that came, or None.
    """

    def __init__(self) -> None:
        self.name: str | None = None
        self._is_interruptible = False

    def __enter__(self) -> StopRequest:
        self.install()
        return self

    def __exit__(self, *_: object) -> None:
        self.uninstall()

    def install(self) -> None:
        """Install the handlers, if they are not installed yet."""
        if self not in _INSTALLED and _is_main_thread():
            _INSTALLED.append(self)
            if not _BEFORE:
                _BEFORE.update((number, signal.signal(number, _request_all)) for number in STOP_SIGNALS)

    def uninstall(self) -> None:
        """Put back the handlers that were there before."""
        if self in _INSTALLED:
            _INSTALLED.remove(self)
        # Another thread cannot put them back. `_request_all` does so at the next signal.
        if not _INSTALLED and _is_main_thread():
            _put_back()

    @property
    def is_requested(self) -> bool:
        """Whether a signal came."""
        return self.name is not None

    def interruptible(self, work: Callable[[], T]) -> T:
        """Do work whose results can be discarded; a signal interrupts it.

        Raises:
            StopRequestedError: A signal came.
        """
        try:
            self._is_interruptible = True
            if self.is_requested:
                raise StopRequestedError
            return work()
        finally:
            self._is_interruptible = False

    def in_background(self, work: Callable[[], T]) -> tuple[T | None, threading.Thread | None]:
        """Do work that cannot be interrupted, such as one long call into a library, in a second thread.

        Returns:
            The result and None; or, if a signal came first, None and the thread that is still at work.
        """
        results: list[T] = []
        errors: list[BaseException] = []

        def run() -> None:
            try:
                results.append(work())
            except BaseException as error:
                errors.append(error)

        thread = threading.Thread(target=run, name="evaluation", daemon=True)
        thread.start()
        while thread.is_alive():
            if self.is_requested:
                return None, thread
            thread.join(_POLL_SECONDS)
        if errors:
            raise errors[0]
        return results[0], None

    def request(self, name: str) -> bool:
        """Request a stop.

        Args:
            name: Of the signal.

        Returns:
            Whether interruptible work is under way, which the caller then has to interrupt.
        """
        self.name = self.name or name
        is_interruptible, self._is_interruptible = self._is_interruptible, False
        return is_interruptible


_INSTALLED: list[StopRequest] = []
"""Requests whose handlers are installed. Several runs of one thread may begin and end in any order."""

_BEFORE: dict[signal.Signals, Any] = {}
"""The handlers that were there before the first of them."""


def _request_all(number: int, frame: FrameType | None) -> None:
    """The handler while any request is installed."""
    if not _INSTALLED:
        _put_back()
        signal.raise_signal(number)
        return
    if number == signal.SIGINT and all(request.is_requested for request in _INSTALLED):
        raise KeyboardInterrupt
    name = signal.Signals(number).name
    are_interruptible = [request.request(name) for request in _INSTALLED]
    if any(are_interruptible):
        raise StopRequestedError


def _put_back() -> None:
    _install(_BEFORE)
    _BEFORE.clear()


def _install(handlers: dict[signal.Signals, Any]) -> None:
    for number, handler in handlers.items():
        # A handler that was not installed from Python cannot be put back.
        signal.signal(number, signal.SIG_DFL if handler is None else handler)


def _is_main_thread() -> bool:
    return threading.current_thread() is threading.main_thread()
