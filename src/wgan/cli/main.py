"""The main function: it dispatches to the module of a command, and turns each kind of error into an exit code."""

from __future__ import annotations

import errno
import importlib
import re
import sys
import traceback
import warnings
from collections.abc import Callable, Sequence

from wgan.cli.streams import LINE_FEED, lenient_streams
from wgan.errors import (
    CheckpointError,
    DataWarning,
    Interrupted,
    OutOfMemoryError,
    UsageError,
    WganError,
    WganWarning,
)
from wgan.settings import on_command_line
from wgan.system.memory import is_out_of_memory
from wgan.system.signals import SignalError, raising_on_termination
from wgan.system.text import did_you_mean, escaped

COMMANDS = {
    "train": ("train:run", "train on your data, or resume a run"),
    "finish": ("runs:finish", "draw the last samples of a stopped run and write its report"),
    "sample": ("sample:run", "draw samples from a run and write them to a file"),
    "evaluate": ("runs:evaluate", "compare a run's samples with data held out from training"),
    "report": ("runs:report", "write the report of a run, one HTML file"),
    "compare": ("compare:run", "compare runs with different critics"),
    "recipes": ("lists:recipes", "list the recipes, and the values of each setting"),
    "data": ("data:run", "describe a data set as training would read it"),
    "distance": ("distance:run", "compare two data sets by every distance"),
    "divergences": ("lists:divergences", "list the f-divergences: f, its conjugate, domain and threshold"),
    "failures": ("failures:run", "measure why the original GAN fails: vanishing gradients, missed modes"),
    "prove": ("prove:run", "check what is claimed of the critic's estimate: its curve, its value, its verdict"),
}
"""For each command, the module of this package and the function that runs it, and its line in the help."""

HELP = f"""\
usage: wgan COMMAND [options]

Learn to sample from your data with Wasserstein GANs.

commands:
{chr(10).join(f"  {name:11} {line}" for name, (_, line) in COMMANDS.items())}

options:
  -h, --help  show this help; after a command, the help of the command
  --version   show the version
  --debug     show the traceback of an error

To begin:
  wgan train ring
  wgan sample runs/ring-ring-001 --num 1000 --out samples.npy
"""

_INTERRUPTED = 130
_PIPE_CLOSED = 141

_PATH_ERRNOS = (
    errno.ENAMETOOLONG,
    errno.ELOOP,
    errno.ENOENT,
    errno.ENOTDIR,
    errno.EISDIR,
    errno.EEXIST,
    errno.EACCES,
    errno.EPERM,
    errno.EROFS,
)
"""System errors about a file name that the user gave."""

_DISK_ERRNOS = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO, errno.ESTALE)

_LONG_WORD = re.compile(r"\S{300,}")
"""A word that would fill the screen, such as a path with thousands of characters."""

_MEMORY_REMEDIES = {
    "train": "Try a smaller batch (--batch-size) or a smaller network.",
    "sample": "Try fewer samples (--num), or another format than .png, which needs all of them at once.",
    "evaluate": "Try fewer samples (--size).",
    "distance": "Try fewer samples (--num), or fewer distances (--only).",
}
"""How to use less memory, by command."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command line.

    Args:
        argv: The words after the program's name; None for those of this process.

    Returns:
        The exit code: 0, 2 usage, 3 data, 4 numeric failure, 5 checkpoint or disk, 75 stopped and resumable, 1 any
        other error, 130 interrupted and 143 terminated with nothing to save, 141 the output was closed by its reader.
    """
    words = list(sys.argv[1:] if argv is None else argv)
    debug = "--debug" in words
    words = [word for word in words if word != "--debug"]
    with lenient_streams() as (out, _), warnings.catch_warnings(), raising_on_termination():
        # Warnings never end a command, also if Python was started with -W error.
        warnings.simplefilter("default", WganWarning)
        warnings.simplefilter("always", DataWarning)
        warnings.showwarning = _show_warning(warnings.showwarning)
        try:
            code = _dispatch(words)
        except SystemExit as stop:
            code = stop.code if isinstance(stop.code, int) else int(stop.code is not None)
        except BaseException as error:
            if debug and not isinstance(error, BrokenPipeError):
                traceback.print_exc()
            code = _report_error(error, words)
    return _PIPE_CLOSED if out.reader_left and code == 0 else code


def _dispatch(words: list[str]) -> int:
    if not words:
        print(HELP, file=sys.stderr, end="")
        return UsageError.exit_code
    command = words[0]
    if command in ("-h", "--help", "help"):
        print(HELP, end="")
        return 0
    if command == "--version":
        from importlib.metadata import version

        print(f"wgan {version('wgan')}")
        return 0
    if command not in COMMANDS:
        raise UsageError(f"there is no command {command!r}", remedy=did_you_mean(command, COMMANDS))
    module, _, function = COMMANDS[command][0].partition(":")
    code = getattr(importlib.import_module(f"wgan.cli.{module}"), function)(words[1:])
    assert isinstance(code, int)
    return code


def _report_error(error: BaseException, words: Sequence[str]) -> int:
    """Print an error in a line or two, and return the exit code."""
    if isinstance(error, Interrupted):
        print(f"wgan: {escaped(error.text, keep=LINE_FEED)}", file=sys.stderr)
        return error.exit_code
    if isinstance(error, WganError):
        _print_error(on_command_line(error.text))
        return error.exit_code
    if isinstance(error, KeyboardInterrupt):
        _print_error("interrupted")
        return _INTERRUPTED
    if isinstance(error, SignalError):
        _print_error("terminated")
        return error.exit_code
    if isinstance(error, BrokenPipeError):
        return _PIPE_CLOSED
    if isinstance(error, OSError) and error.errno in (*_PATH_ERRNOS, *_DISK_ERRNOS):
        _print_error(f"{escaped(str(error.filename or 'a file'))}: {error.strerror}")
        return UsageError.exit_code if error.errno in _PATH_ERRNOS else CheckpointError.exit_code
    if is_out_of_memory(error):
        _print_error(f"out of memory\n{_MEMORY_REMEDIES.get(words[0], 'Try with less data.')}")
        return OutOfMemoryError.exit_code
    reason = " ".join(str(error).split())
    what = f"unexpected {type(error).__name__}: {reason}"
    _print_error(f"{what}\nThis is a bug of wgan. Run it again with --debug for the traceback.")
    return 1


def _print_error(text: str) -> None:
    short = _LONG_WORD.sub(lambda word: f"{word[0][:100]}...{word[0][-50:]}", escaped(text, keep=LINE_FEED))
    print(f"wgan: error: {short}", file=sys.stderr)


def _show_warning(default: Callable[..., None]) -> Callable[..., None]:
    """Wrap the function that shows warnings: those of this package take one line, without a file and a line number."""

    def show(message: Warning | str, category: type[Warning], *location: object) -> None:
        if category.__module__.startswith("wgan."):
            text = message.text if isinstance(message, WganWarning) else str(message)
            print(f"wgan: warning: {escaped(' '.join(text.split()))}", file=sys.stderr)
        else:
            default(message, category, *location)

    return show
