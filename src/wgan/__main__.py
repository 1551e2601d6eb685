"""`python -m wgan` and the `wgan` command."""

from __future__ import annotations

import sys

from wgan.cli import main as _main


def main() -> int:
    """Answer this process's command line; the exit code is returned."""
    return _main()


if __name__ == "__main__":
    sys.exit(main())
