"""How much memory a table takes while it is opened and trained on, beside one-hot rows of float32.

Each contender has a process of its own, which builds the same frame first. What is stated is the growth of the largest
resident size from then on. Linux alone can start that peak afresh, so elsewhere there is nothing to state.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
from pathlib import Path

from bench.rounds import Options, ratio
from bench.table import OURS, Row

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
Path("/proc/self/clear_refs").write_text("5")  # The peak of the resident size starts afresh.
def peak():
    lines = Path("/proc/self/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith("VmHWM")).split()[1]) / 2**10
before, start = peak(), time.perf_counter()
"""
_END = """
print(json.dumps({"seconds": time.perf_counter() - start, "mib": peak() - before}))
"""
_ONE_HOT = """
held = np.zeros((rows, columns * categories), np.float32)
for column in range(columns):
    codes = frame.column(column).combine_chunks().dictionary_encode().indices.to_numpy()
    held[np.arange(rows), column * categories + codes] = 1
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


def rows(options: Options) -> list[Row]:
    """Measure each contender in a process of its own, in turns; nothing where there is no /proc."""
    if not Path("/proc/self/clear_refs").exists():
        return []
    num_rows = _QUICK_ROWS if options.quick else _ROWS
    found: dict[str, list[dict[str, float]]] = {name: [] for name in _CONTENDERS}
    for _ in range(min(options.rounds, 3)):
        for name, code in _CONTENDERS.items():
            found[name].append(_measured(_FRAME + code + _END, num_rows))
    seconds = {name: [turn["seconds"] for turn in turns] for name, turns in found.items()}
    mib = {name: statistics.median(turn["mib"] for turn in turns) for name, turns in found.items()}
    reference = next(iter(_CONTENDERS))
    return [
        Row(
            work=f"memory, a table of {num_rows:,} rows, {_COLUMNS} columns of {_CATEGORIES} categories",
            contender=name,
            how=f"{mib[name] * 2**20 / num_rows:,.0f} bytes a row, {mib[name] / mib[reference]:.1%} of the memory",
            threads=1,
            seconds=statistics.median(taken),
            all_seconds=taken,
            speed=ratio(seconds[reference], taken),
            peak_mib=mib[name],
        )
        for name, taken in seconds.items()
    ]


def _measured(code: str, num_rows: int) -> dict[str, float]:
    arguments = [sys.executable, "-c", code, str(num_rows), str(_COLUMNS), str(_CATEGORIES)]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    done = subprocess.run(arguments, check=True, capture_output=True, text=True, env=environment)
    measured: dict[str, float] = json.loads(done.stdout)
    return measured
