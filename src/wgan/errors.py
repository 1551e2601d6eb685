"""The family of errors that this project raises at its doors.

Every message says what was wanted, what came and where; `remedy` says what to do about it. Both call settings as the
command line does ("Use --missing drop"). The command line prints the two as at most two lines and leaves with
`exit_code`; programs catch `WganError` or one of its children, whose `str` names Python's parameters instead.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import ClassVar


class WganError(Exception):
    """The parent of every error that this project raises on purpose.

    Args:
        message: What was wanted, what came, and where. One line, unless several faults are listed.
        remedy: What the user can do about it. May be empty.

    Attributes:
        text: Message and remedy as the command line says them.
        renamed: Settings that the caller knows by another name.
        in_python: Brings a message to Python's names; the package sets it, as only it may look at the settings.
    """

    exit_code = 1
    in_python: ClassVar[Callable[[str, Mapping[str, str]], str]] = staticmethod(lambda text, renamed: text)

    def __init__(self, message: str, *, remedy: str = "") -> None:
        self.message = message
        self.remedy = remedy
        self.text = f"{message}\n{remedy}" if remedy else message
        self.renamed: Mapping[str, str] = {}
        super().__init__(self.text)

    def __str__(self) -> str:
        """Message and remedy with the names of Python's parameters."""
        return type(self).in_python(self.text, self.renamed)

    @property
    def in_full(self) -> str:
        """Message and remedy in one line, as sentences; the last of them as it is."""
        end = "" if self.message.endswith((".", "!", "?", ":")) else "."
        return f"{self.message}{end} {self.remedy}" if self.remedy else self.message


class UsageError(WganError, ValueError):
    """An option, a setting or an argument that cannot be used."""

    exit_code = 2


class DataError(WganError, ValueError):
    """Data that cannot be read or learnt from as it is."""

    exit_code = 3


class NumericError(WganError, ArithmeticError):
    """A loss or a parameter stopped being a finite number, or a solver did not reach its optimum."""

    exit_code = 4


class CheckpointError(WganError):
    """A checkpoint or a run directory that cannot be read, trusted or written."""

    exit_code = 5


class OutOfMemoryError(WganError, MemoryError):
    """The machine or its accelerator has no memory left; what was saved before is intact."""

    exit_code = 1


class Interrupted(WganError):  # noqa: N818 - a stop that was asked for is not an error of anyone's
    """The run was asked to stop, has saved itself, and can be resumed."""

    exit_code = 75


class WganWarning(UserWarning):
    """What this project has to say to a user while it goes on."""


class DataWarning(WganWarning):
    """Something about the data that does not stop the work but that its owner should know."""
