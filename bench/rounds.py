"""How contenders are compared: in turns, round by round, with the machine's peak measured in between.

Neighbours in time are compared with one another, so that a slow minute of the machine falls on all alike: every ratio
is the median of the ratios within each round.
"""

from __future__ import annotations

import importlib.util
import os
import statistics
import tempfile
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from bench.peak import Peak
from bench.table import Row
from bench.workers import Worker


@dataclass(frozen=True, kw_only=True)
class Options:
    """What the user asked for.

    Attributes:
        quick: Fewer and shorter turns, and no start with empty caches.
        rounds: Turns of each contender.
        threads: CPU threads; 0 for what the project chooses for the work.
    """

    quick: bool
    rounds: int
    threads: int


@dataclass(frozen=True, kw_only=True)
class Work:
    """A piece of work.

    Attributes:
        name: Its key.
        line: What it is, as the table shows it.
        size: Units of one turn.
        units: Units that the seconds are stated for.
        threads: CPU threads.
        per_second: Whether units a second are worth stating too.
    """

    name: str
    line: str
    size: int
    units: int
    threads: int
    per_second: bool = False


def measure(work: Work, names: Sequence[str], options: Options) -> list[Row]:
    """Time contenders, the first of which the others are compared with and whose operations are counted."""
    with tempfile.TemporaryDirectory(prefix="wgan-bench-") as caches, ExitStack() as stack:
        # A quick look takes what the user's own runs have compiled before.
        environment = {} if options.quick else _caches_below(Path(caches))
        cold = {} if options.quick else _cold_turns(work, names, environment)
        started = (Worker(work.name, name, work.size, work.threads, environment) for name in names)
        workers = [stack.enter_context(worker) for worker in started]
        counted = {tuple(worker.about["num_weights"]) for worker in workers}
        assert len(counted) == 1, f"the contenders are not the same networks: {counted}"
        first = {worker.name: worker.turn() for worker in workers}
        flops = work.size * workers[0].flops()
        peaks = {precision: Peak(precision, work.threads) for precision in _precisions(workers)}
        seconds: dict[str, list[float]] = {name: [] for name in names}
        for index in range(options.rounds):
            # Nobody is always the one that comes after the peak.
            for worker in [*workers[index % len(workers) :], *workers[: index % len(workers)]]:
                seconds[worker.name].append(worker.turn())
            for peak in peaks.values():
                peak.turn()
        return [
            _row(work, worker, seconds, seconds[names[0]], peaks[worker.about["precision"]], flops, first, cold)
            for worker in workers
        ]


def _row(
    work: Work,
    worker: Worker,
    seconds: dict[str, list[float]],
    reference: list[float],
    peak: Peak,
    flops: float,
    first: dict[str, float],
    cold: dict[str, float],
) -> Row:
    taken, about = seconds[worker.name], worker.about
    usual = statistics.median(taken)
    # What uses all cores is held against no peak of fewer.
    shares = [flops / each / lr for each, lr in zip(taken, peak.rates, strict=True)]
    fair = not worker.name.endswith("all cores")
    return Row(
        work=work.line,
        contender=worker.name,
        how=about["how"],
        threads=work.threads if fair else cores(),
        seconds=usual / work.size * work.units,
        all_seconds=[each / work.size * work.units for each in taken],
        speed=ratio(reference, taken),
        share=statistics.median(shares) if fair else None,
        gflops=flops / work.size / 1e9,
        peak_gflops=statistics.median(peak.rates) / 1e9 if fair else None,
        peak_mib=worker.peak_mib(),
        cold=max(0.0, cold[worker.name] - usual) if worker.name in cold else None,
        warm=max(0.0, first[worker.name] - usual),
        per_second=work.size / usual if work.per_second else None,
    )


def ratio(reference: Sequence[float], taken: Sequence[float]) -> float:
    """How many times faster than the reference, round by round."""
    return statistics.median(a / b for a, b in zip(reference, taken, strict=True))


def cores() -> int:
    """The cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def has_jax() -> bool:
    """Whether JAX is installed."""
    return importlib.util.find_spec("jax") is not None


def _precisions(workers: Sequence[Worker]) -> list[str]:
    return sorted({worker.about["precision"] for worker in workers})


def _caches_below(directory: Path) -> dict[str, str]:
    """Where compilers keep what they have compiled."""
    return {
        "TORCHINDUCTOR_CACHE_DIR": str(directory / "torch"),
        "JAX_COMPILATION_CACHE_DIR": str(directory / "jax"),
        "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
    }


def _cold_turns(work: Work, names: Sequence[str], environment: dict[str, str]) -> dict[str, float]:
    """Seconds of the first turn of those that compile something, before anything is kept."""
    found = {}
    for name in names:
        with Worker(work.name, name, work.size, work.threads, environment) as worker:
            if worker.about["compiles"]:
                found[name] = worker.turn()
    return found
