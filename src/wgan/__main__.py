"""`python -m wgan` and the `wgan` command."""

from __future__ import annotations

import atexit
import codecs
import contextlib
import os
import sys

from wgan.cli.main import main as _main
from wgan.cli.streams import open_closed_descriptors

_IO_ENCODING = "PYTHONIOENCODING"


def main() -> int:
    """Run the command of this process's command line, and return the exit code."""
    open_closed_descriptors()
    _leave_ascii()
    code = _main()
    if "torch" in sys.modules:
        # Libraries with running threads can abort at exit, which would replace the exit code.
        atexit._run_exitfuncs()
        for stream in (sys.stdout, sys.stderr):
            # A closed stream or a full disk must not change the exit code.
            with contextlib.suppress(AttributeError, OSError, ValueError):
                stream.flush()
        os._exit(code)
    return code


def _leave_ascii() -> None:
    """Start again in Python's UTF-8 mode where file names and words would be read as ASCII.

    That is so in the POSIX locale with UTF-8 mode and the coercion of the locale switched off. What is printed stays
    within the encoding of the locale.
    """
    if codecs.lookup(sys.getfilesystemencoding()).name != "ascii":
        return
    encoding = getattr(sys.stdout, "encoding", None) or "ascii"
    os.environ.setdefault(_IO_ENCODING, f"{encoding}:backslashreplace")
    os.environ["PYTHONUTF8"] = "1"
    os.execv(sys.executable, [sys.executable, "-X", "utf8", *sys.orig_argv[1:]])


if __name__ == "__main__":
    sys.exit(main())
