"""The errors that this project raises on purpose.

A message says what was expected, what was found and where; `remedy` says what to do about it. Messages name settings as
options of the command line ("Use --missing drop"). The command line prints message and remedy on one line each, and
exits with `exit_code`. `str(error)` names parameters of Python instead (`missing="drop"`).
"""

from __future__ import annotations

from collections.abc import Callable
from contextvars import ContextVar
from typing import ClassVar

Spelling = Callable[[str, str | None], str]
"""Writes a setting as its reader would give it, from its name and its value as Python code, or None for no value."""

SPELLING: ContextVar[Spelling | None] = ContextVar("spelling", default=None)
"""How warnings write settings in `str`; None for `name=value`."""


class WganError(Exception):
    """Base class of the errors of this project.

    Args:
        message: What was expected, what was found, and where. One line, unless several faults are listed.
        remedy: What the user can do about it. May be empty.

    `message`, `remedy` and `text` name options of the command line, and are what the command line prints. `in_full` is
    `text` in one line, for messages within messages and lists. `str(error)` names parameters of Python, and is what a
    traceback shows.

    Attributes:
        message: As given.
        remedy: As given.
        text: Message, and remedy on a second line.
        spelling: How settings are written in `str`; None for `name=value`.
        in_python: Rewrites options as Python parameters. The package sets it, because settings are on a higher floor.
    """

    exit_code = 1
    in_python: ClassVar[Callable[[str, Spelling | None], str]] = staticmethod(lambda text, spelling: text)

    def __init__(self, message: str, *, remedy: str = "") -> None:
        self.message = message
        self.remedy = remedy
        self.text = f"{message}\n{remedy}" if remedy else message
        self.spelling: Spelling | None = None
        super().__init__(self.text)

    def __str__(self) -> str:
        """Message and remedy with the parameters of Python."""
        return type(self).in_python(self.text, self.spelling)

    @property
    def in_full(self) -> str:
        """Message and remedy in one line, with the options of the command line."""
        end = "" if self.message.endswith((".", "!", "?", ":")) else "."
        return f"{self.message}{end} {self.remedy}" if self.remedy else self.message


class UsageError(WganError, ValueError):
    """An option, a setting or an argument that cannot be used."""

    exit_code = 2


class DataError(WganError, ValueError):
    """Data that cannot be read or trained on."""

    exit_code = 3


class NumericError(WganError, ArithmeticError):
    """A loss or a parameter is not finite, or a solver did not reach its optimum."""

    exit_code = 4


class CheckpointError(WganError):
    """A checkpoint or a run directory that cannot be read or written, or that was changed."""

    exit_code = 5


class OutOfMemoryError(WganError, MemoryError):
    """Out of memory, on the machine or on its accelerator. Earlier checkpoints are intact."""

    exit_code = 1


class Interrupted(WganError):  # noqa: N818 - a requested stop is not an error
    """The run was stopped by a signal. It has been saved and can be resumed."""

    exit_code = 75


class WganWarning(UserWarning):
    """Base class of the warnings of this project.

    Args:
        message: The warning in one line.

    Attributes:
        text: The message with the options of the command line; `str(warning)` has the parameters of Python.
    """

    def __init__(self, message: str) -> None:
        self.text = message
        self._spelling = SPELLING.get()
        super().__init__(message)

    def __str__(self) -> str:
        """The message with the parameters of Python."""
        return WganError.in_python(self.text, self._spelling)


class DataWarning(WganWarning):
    """A property of the data that the user should know; training is still possible."""
