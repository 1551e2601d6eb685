"""The family of errors that this project raises at its doors.

Every message says what was wanted, what came and where; `remedy` says what to do about it. The command line prints the
two as at most two lines and leaves with `exit_code`; programs catch `WganError` or one of its children.
"""


class WganError(Exception):
    """The parent of every error that this project raises on purpose.

    Args:
        message: What was wanted, what came, and where. One line, unless several faults are listed.
        remedy: What the user can do about it. May be empty.
    """

    exit_code = 1

    def __init__(self, message: str, *, remedy: str = "") -> None:
        self.message = message
        self.remedy = remedy
        super().__init__(f"{message}\n{remedy}" if remedy else message)


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


class Interrupted(WganError):  # noqa: N818 - a stop that was asked for is not an error of anyone's
    """The run was asked to stop, has saved itself, and can be resumed."""

    exit_code = 75


class WganWarning(UserWarning):
    """What this project has to say to a user while it goes on."""


class DataWarning(WganWarning):
    """Something about the data that does not stop the work but that its owner should know."""
