"""`python -m wgan` and the `wgan` command."""

from __future__ import annotations

import atexit
import os
import sys

from wgan.cli import main as _main


def main() -> int:
    """Answer this process's command line; the exit code is returned."""
    code = _main()
    if "torch" in sys.modules:
        # Libraries that are taken down around threads of their own can abort, and a run's exit code with them.
        atexit._run_exitfuncs()
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)
    return code


if __name__ == "__main__":
    sys.exit(main())
