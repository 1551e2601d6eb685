"""Stopping when asked to: signals become a request, which the run looks at wherever its state is whole."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable
from types import FrameType
from typing import Any, TypeVar

T = TypeVar("T")

_LOOK_EVERY = 0.05
"""Seconds between two looks at the request while something long is under way."""


class StopAskedError(BaseException):
    """Breaks off what is under way because the run was asked to stop. Never leaves the run."""


class StopRequest:
    """Within its block, SIGTERM, SIGINT and SIGUSR1 ask the run to stop; a second SIGINT ends it at once.

    Handlers can only be installed by the main thread; elsewhere the block changes nothing.
    """

    def __init__(self) -> None:
        self.name: str | None = None
        self._breakable = False

    def __enter__(self) -> StopRequest:
        self.listen()
        return self

    def __exit__(self, *_: object) -> None:
        self.unlisten()

    def listen(self) -> None:
        """Install the handlers, if they are not and can be."""
        if self not in _LISTENING and threading.current_thread() is threading.main_thread():
            _LISTENING.append(self)
            if not _BEFORE:
                _BEFORE.update((number, signal.signal(number, _ask_all)) for number in _SIGNALS)

    def unlisten(self) -> None:
        """Put back the handlers that were there before."""
        if self in _LISTENING:
            _LISTENING.remove(self)
        # Only the main thread can do this. What another thread leaves installed, `_ask_all` removes.
        if not _LISTENING and threading.current_thread() is threading.main_thread():
            _put_back()

    @property
    def asked(self) -> bool:
        """Whether a signal has come."""
        return self.name is not None

    def breaking_off(self, work: Callable[[], T]) -> T:
        """Do work whose results can be thrown away; a signal breaks it off in the middle.

        Raises:
            StopAskedError: A signal came.
        """
        try:
            self._breakable = True
            if self.asked:
                raise StopAskedError
            return work()
        finally:
            self._breakable = False

    def meanwhile(self, work: Callable[[], T]) -> tuple[T | None, threading.Thread | None]:
        """Do work that cannot be broken off (one long call into a library) beside the main thread.

        Returns:
            Its result and None; or, if a signal came first, None and the thread that is still at it.
        """
        results: list[T] = []
        errors: list[BaseException] = []

        def run() -> None:
            try:
                results.append(work())
            except BaseException as error:
                errors.append(error)

        thread = threading.Thread(target=run, name="judge", daemon=True)
        thread.start()
        while thread.is_alive():
            if self.asked:
                return None, thread
            thread.join(_LOOK_EVERY)
        if errors:
            raise errors[0]
        return results[0], None

    def ask(self, name: str) -> bool:
        """Ask the run to stop.

        Args:
            name: Of the signal.

        Returns:
            Whether it is in the middle of what can be broken off, which the caller then has to do.
        """
        self.name = self.name or name
        is_breakable, self._breakable = self._breakable, False
        return is_breakable


_SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGUSR1)
_LISTENING: list[StopRequest] = []
"""Runs of the main thread that signals are for. They may begin and end in any order: several can take turns."""

_BEFORE: dict[signal.Signals, Any] = {}
"""The handlers that were there before the first of them."""


def _put_back() -> None:
    """Install the handlers that were there before."""
    for number, handler in _BEFORE.items():
        signal.signal(number, signal.SIG_DFL if handler is None else handler)
    _BEFORE.clear()


def _ask_all(number: int, frame: FrameType | None) -> None:
    """The handler while any run listens."""
    if not _LISTENING:
        _put_back()
        signal.raise_signal(number)
        return
    if number == signal.SIGINT and all(request.asked for request in _LISTENING):
        raise KeyboardInterrupt
    name = signal.Signals(number).name
    are_breakable = [request.ask(name) for request in _LISTENING]
    if any(are_breakable):
        raise StopAskedError
