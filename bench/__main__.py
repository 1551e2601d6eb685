"""Speed: training against plain loops (5 critic updates and 1 generator update), transport against its rivals.

All contenders of a case take turns in one process, so that whatever else the machine does falls on all of them alike;
trust the ratios. Peak memory is measured in a process for each, since one process never gives all of it back.

    python -m bench                 everything
    python -m bench --quick         under a minute: fewer rounds, no 64×64 images, no memory
    python -m bench mlp-512         some cases only
    python -m bench exact line      transport only: between clouds, and on the line and sliced
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import torch

from bench import exact_transport, one_dimensional
from bench.cases import CASES, Case, num_weights

RESULTS = Path(__file__).parent / "results"
CONTENDERS = ("plain", "ours, float32", "ours, as chosen")
TRANSPORT = {"exact": exact_transport.cases, "line": one_dimensional.cases}


@dataclass
class Contender:
    """One way to run a case, and what was measured of it.

    Attributes:
        iterate: Runs one iteration.
        engine: Precision and memory layout, in words.
        seconds: Seconds an iteration, one number for each round.
        peak: Peak resident memory in MiB, None where it was not measured.
    """

    iterate: Callable[[], None]
    engine: str
    seconds: list[float] = field(default_factory=list)
    peak: float | None = None

    def turn(self, iterations: int) -> float:
        """Seconds an iteration over one turn."""
        start = time.perf_counter()
        for _ in range(iterations):
            self.iterate()
        return (time.perf_counter() - start) / iterations


def contender(case: Case, name: str) -> tuple[Contender, tuple[int, int], int]:
    """Build one contender of a case, with its numbers of weights and the threads that the project would choose."""
    source = case.source()
    game = case.game(source, "float32" if name == "ours, float32" else "auto")
    if name != "plain":
        engine = game.engine.precision + (", channels last" if game.engine.channels_last else "")
        return Contender(case.ours(game, source), engine), num_weights(game), game.engine.threads
    torch.manual_seed(0)
    loop = case.plain()
    return Contender(loop.iterate, "float32"), loop.num_weights, game.engine.threads


def measure(case: Case, rounds: int, iterations: int, threads: int) -> tuple[dict[str, Contender], int]:
    """Time the contenders of a case in turns, the first turn of each not counted."""
    names = CONTENDERS if case.convolutional else CONTENDERS[:2]
    built = {name: contender(case, name) for name in names}
    weights = {weights for _, weights, _ in built.values()}
    assert len(weights) == 1, f"the contenders are not the same networks: {weights}"
    threads = threads or built["plain"][2]
    torch.set_num_threads(threads)
    contenders = {name: found for name, (found, _, _) in built.items()}
    for found in contenders.values():
        found.turn(max(1, iterations // 2))
    for _ in range(rounds):
        for found in contenders.values():
            found.seconds.append(found.turn(iterations))
    return contenders, threads


def peak_memory(case: str, name: str, threads: int) -> float:
    """Peak resident memory of a process that does nothing but two iterations, in MiB."""
    command = [sys.executable, "-m", "bench", case, "--threads", str(threads), "--peak-of", name]
    answer = subprocess.run(command, capture_output=True, text=True, check=True, cwd=Path(__file__).parent.parent)
    return float(answer.stdout)


def print_peak(case: Case, name: str, threads: int) -> None:
    """What `peak_memory` runs in its process."""
    torch.set_num_threads(threads)
    contender(case, name)[0].turn(2)
    unit = 2**20 if sys.platform == "darwin" else 2**10
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / unit)


def machine() -> str:
    """The machine in one line."""
    model = platform.processor() or platform.machine()
    info = Path("/proc/cpuinfo")
    if info.exists():
        lines = (line for line in info.read_text(encoding="utf-8").splitlines() if line.startswith("model name"))
        model = next(lines, f": {model}").partition(":")[2].strip()
    version = torch.__version__
    features = torch.backends.cpu.get_cpu_capability()
    load = f"; load {os.getloadavg()[0]:.1f}" if hasattr(os, "getloadavg") else ""
    python = platform.python_version()
    return f"{model}, {torch.get_num_threads()} cores, {features}{load}; torch {version}, Python {python}"


def rows_of(case: Case, contenders: dict[str, Contender], threads: int) -> list[dict[str, object]]:
    """What the table and the file say of a case."""
    plain = contenders["plain"].seconds
    return [
        {
            "case": case.line,
            "contender": name,
            "engine": found.engine,
            "threads": threads,
            "seconds": statistics.median(found.seconds),
            "all_seconds": found.seconds,
            # Neighbours in time are compared with one another, so that a slow minute of the machine cancels.
            "plain_over_this": statistics.median(a / b for a, b in zip(plain, found.seconds, strict=True)),
            "peak_mib": found.peak,
        }
        for name, found in contenders.items()
    ]


def print_rows(rows: list[dict[str, object]]) -> None:
    """One case of the table."""
    print(f"\n{rows[0]['case']}, threads: {rows[0]['threads']}")
    for row in rows:
        seconds, peak = float(str(row["seconds"])), row["peak_mib"]
        memory = f"{float(str(peak)):8,.0f} MiB" if peak is not None else ""
        time_text = f"{seconds * 1e3:9.1f} ms" if seconds < 1 else f"{seconds:9.2f} s "
        ratio = f"{float(str(row['plain_over_this'])):6.2f} ×"
        print(f"  {row['contender']!s:<16} {row['engine']!s:<24} {time_text} {ratio} {memory}", flush=True)


def print_transport(rows: list[dict[str, object]]) -> None:
    """One case of transport, each contender against this project."""
    print(f"\n{rows[0]['case']}, threads: {rows[0]['threads']}")
    for row in rows:
        milliseconds, ratio = 1e3 * float(str(row["seconds"])), float(str(row["times_ours"]))
        print(
            f"  {row['contender']!s:<24} {milliseconds:9.1f} ms {ratio:6.2f} × ours  {row.get('solver', '')}".rstrip()
        )
    best = min(float(str(row["times_ours"])) for row in rows if not str(row["contender"]).startswith("ours"))
    print(f"  ours takes {1 / best:.2f} times as long as the best of the others", flush=True)


def main() -> None:
    """Measure, print and write the results."""
    parser = argparse.ArgumentParser(prog="python -m bench", description=(__doc__ or "").splitlines()[0])
    known = [*CASES, *TRANSPORT]
    parser.add_argument("cases", nargs="*", help=f"which of {', '.join(known)} (all)")
    parser.add_argument("--quick", action="store_true", help="under a minute, less certain")
    parser.add_argument("--rounds", type=int, default=0, help="turns of each contender (7, or 3 where quick)")
    parser.add_argument("--threads", type=int, default=0, help="CPU threads (as the project chooses for the size)")
    parser.add_argument("--peak-of", help=argparse.SUPPRESS)
    options = parser.parse_args()
    unknown = [name for name in options.cases if name not in known]
    if unknown:
        parser.error(f"no case is called {', '.join(unknown)}. Known: {', '.join(known)}")
    names = options.cases or [name for name in known if not (options.quick and name == "dcgan-64")]
    if options.peak_of:
        print_peak(CASES[names[0]], options.peak_of, options.threads)
        return
    about = machine()
    print(about)
    if any(name in CASES for name in names):
        print("Training: seconds an iteration (5 critic updates, 1 generator update), and times faster than plain.")
    written: list[dict[str, object]] = []
    for name in names:
        if name in TRANSPORT:
            for rows in TRANSPORT[name](quick=options.quick):
                print_transport(rows)
                written += rows
            continue
        case = CASES[name]
        rounds = options.rounds or (3 if options.quick else 7)
        iterations = max(1, case.iterations // 2) if options.quick else case.iterations
        contenders, threads = measure(case, rounds, iterations, options.threads)
        if not options.quick:
            for which, found in contenders.items():
                found.peak = peak_memory(name, which, threads)
        rows = rows_of(case, contenders, threads)
        print_rows(rows)
        written += rows
    RESULTS.mkdir(exist_ok=True)
    path = RESULTS / f"{time.strftime('%Y%m%d-%H%M%S')}.json"
    path.write_text(json.dumps({"machine": about, "quick": options.quick, "rows": written}, indent=1), encoding="utf-8")
    print(f"\nWritten to {path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path}")


if __name__ == "__main__":
    main()
