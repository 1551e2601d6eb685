"""How long it takes to start: the command's help, and importing the package beside torch alone."""

from __future__ import annotations

import statistics
import subprocess
import sys
import time

from bench.rounds import Options, ratio
from bench.table import Row

_EVERYTHING = "import wgan; [getattr(wgan, name) for name in wgan.__all__]"
_COMMANDS: dict[str, list[str]] = {
    "import torch": ["-c", "import torch"],
    "wgan, every public name": ["-c", _EVERYTHING],
    "import wgan": ["-c", "import wgan"],
    "wgan --help": ["-m", "wgan", "--help"],
    "Python alone": ["-c", ""],
}


def rows(options: Options) -> list[Row]:
    """Time each command in a process of its own, the first round not counted."""
    seconds: dict[str, list[float]] = {name: [] for name in _COMMANDS}
    for index in range(min(options.rounds, 5) + 1):
        for name, arguments in _COMMANDS.items():
            start = time.perf_counter()
            subprocess.run([sys.executable, *arguments], check=True, stdout=subprocess.DEVNULL)
            if index:
                seconds[name].append(time.perf_counter() - start)
    reference = seconds["import torch"]
    return [
        Row(
            work="start, a process each",
            contender=name,
            threads=1,
            seconds=statistics.median(taken),
            all_seconds=taken,
            speed=ratio(reference, taken),
        )
        for name, taken in seconds.items()
    ]
