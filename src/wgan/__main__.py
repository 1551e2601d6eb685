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
    """Run the command line of this process and return the exit code."""
    open_closed_descriptors()
    _require_utf8()
    code = _main()
    if "torch" in sys.modules:
        # Libraries with running threads can abort when the interpreter exits, which would change the exit code.
        atexit._run_exitfuncs()
        for stream in (sys.stdout, sys.stderr):
            # A closed stream or a full disk must not change the exit code.
            with contextlib.suppress(AttributeError, OSError, ValueError):
                stream.flush()
        os._exit(code)
    return code


def _require_utf8() -> None:
    """Restart in Python's UTF-8 mode if file names and arguments would be decoded as ASCII.

    This happens in the POSIX locale with UTF-8 mode and locale coercion disabled. The output keeps the encoding of the
    locale.
    """
    if codecs.lookup(sys.getfilesystemencoding()).name != "ascii":
        return
    encoding = getattr(sys.stdout, "encoding", None) or "ascii"
    os.environ.setdefault(_IO_ENCODING, f"{encoding}:backslashreplace")
    os.environ["PYTHONUTF8"] = "1"
    os.execv(sys.executable, [sys.executable, "-X", "utf8", *sys.orig_argv[1:]])


if __name__ == "__main__":
    sys.exit(main())
