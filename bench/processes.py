"""Start-up time, and the memory of a table. Each is measured in fresh processes."""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

from bench.rounds import Options, rows_of
from bench.table import OURS, Row

_EVERYTHING = "import wgan; [getattr(wgan, name) for name in wgan.__all__]"
_COMMANDS: dict[str, list[str]] = {
    "import torch": ["-c", "import torch"],
    "wgan, every public name": ["-c", _EVERYTHING],
    "import wgan": ["-c", "import wgan"],
    "wgan --help": ["-m", "wgan", "--help"],
    "Python alone": ["-c", ""],
}


def start(options: Options) -> list[Row]:
    """Time each command in a process of its own. The first round is not counted."""
    seconds: dict[str, list[float]] = {name: [] for name in _COMMANDS}
    for index in range(min(options.rounds, 5) + 1):
        for name, arguments in _COMMANDS.items():
            begin = time.perf_counter()
            subprocess.run([sys.executable, *arguments], check=True, stdout=subprocess.DEVNULL)
            if index:
                seconds[name].append(time.perf_counter() - begin)
    return rows_of("start, a process each", seconds)


_COLUMNS, _CATEGORIES = 30, 300
_ROWS, _QUICK_ROWS = 100_000, 20_000

_FRAME = """
import json, sys, time
from pathlib import Path
import numpy as np, pyarrow as pa, torch
torch.set_num_threads(1)
from wgan.data import open_data
from wgan.settings import DataOptions
rows, columns, categories = map(int, sys.argv[1:])
rng = np.random.default_rng(0)
words = pa.array([f"v{number:03d}" for number in range(categories)])
frame = pa.table({f"c{column}": words.take(pa.array(rng.integers(0, categories, rows))) for column in range(columns)})
pa.default_memory_pool().release_unused()
Path("/proc/self/clear_refs").write_text("5")  # Resets the peak of the resident size.
def peak():
    lines = Path("/proc/self/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith("VmHWM")).split()[1]) / 2**10
before, start = peak(), time.perf_counter()
"""
_END = """
print(json.dumps({"seconds": time.perf_counter() - start, "mib": peak() - before}))
"""
_ONE_HOT = """
one_hot = np.zeros((rows, columns * categories), np.float32)
for column in range(columns):
    codes = frame.column(column).combine_chunks().dictionary_encode().indices.to_numpy()
    one_hot[np.arange(rows), column * categories + codes] = 1
"""
_OPENED = """
source = open_data(frame, DataOptions(), seed=0)
"""
_BATCHES = """
rng = torch.Generator().manual_seed(0)
for _ in range(200):
    source.sample(256, rng)
"""
_CONTENDERS = {
    "one-hot as float32": _ONE_HOT,
    OURS: _OPENED,
    f"{OURS}, and 200 batches": _OPENED + _BATCHES,
}


def memory(options: Options) -> list[Row]:
    """Memory of a table while it is opened and trained on, compared with one-hot rows of float32.

    Each contender runs in a process of its own, which builds the same frame first. The memory is the growth of the peak
    resident size from then on. Only Linux can reset that peak; on other systems the result is empty.
    """
    if not Path("/proc/self/clear_refs").exists():
        return []
    num_rows = _QUICK_ROWS if options.quick else _ROWS
    measured: dict[str, list[dict[str, float]]] = {name: [] for name in _CONTENDERS}
    for _ in range(min(options.rounds, 3)):
        for name, code in _CONTENDERS.items():
            measured[name].append(_measure(_FRAME + code + _END, num_rows))
    mib = {name: statistics.median(turn["mib"] for turn in turns) for name, turns in measured.items()}
    reference = next(iter(mib.values()))
    rows = rows_of(
        f"memory, a table of {num_rows:,} rows, {_COLUMNS} columns of {_CATEGORIES} categories",
        {name: [turn["seconds"] for turn in turns] for name, turns in measured.items()},
    )
    return [
        replace(
            row,
            how=f"{own * 2**20 / num_rows:,.0f} bytes a row, {own / reference:.1%} of the memory",
            peak_mib=own,
        )
        for row, own in zip(rows, mib.values(), strict=True)
    ]


def _measure(code: str, num_rows: int) -> dict[str, float]:
    arguments = [sys.executable, "-c", code, str(num_rows), str(_COLUMNS), str(_CATEGORIES)]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    done = subprocess.run(arguments, check=True, capture_output=True, text=True, env=environment)
    measured: dict[str, float] = json.loads(done.stdout)
    return measured
