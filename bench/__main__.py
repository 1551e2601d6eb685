"""Benchmarks: training, sampling, start-up, memory and transport against other programs; the quality of whole runs.

Contenders take turns, so that other load on the machine affects all of them alike. The ratios are more reliable than
the seconds. "Of peak" is the share of the machine's peak rate of matrix products, measured in the same rounds with the
same precision and threads; the operations are those of the plain loop. "Warm-up" is the extra time of the first turn,
with empty ("cold") and with filled ("cached") compiler caches. JAX takes part if it is installed:
`pip install -e ".[bench]"`.

    python -m bench                 everything but quality: half an hour
    python -m bench --quick         about a minute: fewer and shorter turns, fewer contenders, no 64×64 images
    python -m bench mlp-512 start   some cases only
    python -m bench quality         whole runs of ring, grid and demo: their quality and total time, minutes each
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch

from bench import exact_transport, one_dimensional, processes, quality, sampling, training
from bench.cases import CASES
from bench.rounds import Options, cores, has_jax
from bench.table import Row, heading, lines

RESULTS = Path(__file__).parent / "results"
QUALITY = "quality"
_LONG = ("dcgan-64",)


def groups_of(name: str, options: Options) -> Iterator[list[Row]]:
    """Measure a case. Yields the rows of each of its pieces of work."""
    if name in CASES:
        yield training.rows(name, options)
    elif name in sampling.SAMPLING:
        yield sampling.rows(name, options)
    elif name in PROCESSES:
        yield PROCESSES[name](options)
    else:
        yield from TRANSPORT[name](quick=options.quick)


PROCESSES = {"start": processes.start, "memory": processes.memory}
TRANSPORT = {"exact": exact_transport.cases, "line": one_dimensional.cases}
KNOWN = (*CASES, *sampling.SAMPLING, *PROCESSES, *TRANSPORT)


def machine() -> dict[str, Any]:
    """A description of the machine."""
    model = platform.processor() or platform.machine()
    info = Path("/proc/cpuinfo")
    if info.exists():
        models = (line for line in info.read_text(encoding="utf-8").splitlines() if line.startswith("model name"))
        model = next(models, f": {model}").partition(":")[2].strip()
    return {
        "processor": model,
        "cores": cores(),
        "instructions": torch.backends.cpu.get_cpu_capability(),
        "torch": torch.__version__,
        "python": platform.python_version(),
        "load": os.getloadavg()[0] if hasattr(os, "getloadavg") else None,
    }


def speed(names: list[str], options: Options) -> list[dict[str, Any]]:
    """Measure, and print each part of the table as soon as it is ready."""
    if not has_jax() and any(name in CASES or name in sampling.SAMPLING for name in names):
        print('JAX is not installed and is left out: pip install -e ".[bench]"')
    print(heading())
    measured: list[Row] = []
    for name in names:
        for rows in filter(None, groups_of(name, options)):
            print(lines(rows), flush=True)
            measured += rows
    peaks = {(row.how.split(",")[0], row.threads): row.peak_gflops for row in measured if row.peak_gflops}
    for (precision, threads), gflops in sorted(peaks.items()):
        print(f"\nPeak of {precision} on {threads} thread{'s' * (threads > 1)}: {gflops:,.0f} GFLOP/s", end="")
    return [row.values() for row in measured]


def evaluate(names: list[str], seeds: int, steps: int) -> list[dict[str, Any]]:
    """Train whole runs, and print their quality."""
    print(quality.heading())
    finished = []
    for runs in quality.runs(names or quality.RECIPES, seeds, steps):
        print(f"\n{runs[0].recipe}")
        print("\n".join(run.line() for run in runs), flush=True)
        finished += runs
    return [run.values() for run in finished]


def main() -> None:
    """Measure, print and write the results."""
    parser = argparse.ArgumentParser(
        prog="python -m bench", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "cases",
        nargs="*",
        help=f"any of {', '.join(KNOWN)} (default: all); or quality, alone or with {', '.join(quality.RECIPES)}",
    )
    parser.add_argument("--quick", action="store_true", help="about a minute, less precise")
    parser.add_argument("--rounds", type=int, default=0, help="turns of each contender (default: 7, or 3 with --quick)")
    parser.add_argument("--threads", type=int, default=0, help="CPU threads (default: chosen by the package)")
    parser.add_argument("--seeds", type=int, default=1, help="runs of each kind, for quality (default: 1)")
    parser.add_argument(
        "--steps", type=int, default=0, help="generator updates, for quality (default: as in the recipe)"
    )
    options = parser.parse_args()
    is_quality = options.cases[:1] == [QUALITY]
    known: tuple[str, ...] = quality.RECIPES if is_quality else KNOWN
    names = options.cases[1:] if is_quality else options.cases
    unknown = [name for name in names if name not in known]
    if unknown:
        parser.error(f"unknown case: {', '.join(unknown)}. Known cases: {', '.join(known)}")
    description = machine()
    print(", ".join(f"{key} {value}" for key, value in description.items()))
    if is_quality:
        rows = evaluate(names, options.seeds, options.steps)
    else:
        names = names or [name for name in KNOWN if not (options.quick and name in _LONG)]
        rounds = options.rounds or (3 if options.quick else 7)
        rows = speed(names, Options(quick=options.quick, rounds=rounds, threads=options.threads))
    RESULTS.mkdir(exist_ok=True)
    path = RESULTS / f"{time.strftime('%Y%m%d-%H%M%S')}.json"
    description["load_after"] = machine()["load"]
    description["jax"] = has_jax()
    content = {"machine": description, "quick": options.quick, "rows": rows}
    path.write_text(json.dumps(content, indent=1), encoding="utf-8")
    print(f"\nWritten to {path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path}")


if __name__ == "__main__":
    main()
