"""`python -m wgan` and the `wgan` command."""

from __future__ import annotations

import os
import sys
import threading

from wgan.cli import main as _main


def main() -> int:
    """Answer this process's command line; the exit code is returned."""
    code = _main()
    if any(thread.name == _UNBREAKABLE and thread.is_alive() for thread in threading.enumerate()):
        # An interpreter that is taken down around a thread within a library can abort, and its exit code with it.
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)
    return code


_UNBREAKABLE = "judge"
"""The thread of work that cannot be broken off, as `wgan.experiment.stopping` calls it."""


if __name__ == "__main__":
    sys.exit(main())
