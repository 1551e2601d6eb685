"""Compare contenders: in turns, round by round, with the machine's peak rate measured in between.

Every ratio is the median of the ratios within each round, so that a slow minute of the machine affects all contenders
alike.
"""

from __future__ import annotations

import importlib.util
import os
import statistics
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from bench.peak import Peak
from bench.table import Row
from bench.workers import Worker


@dataclass(frozen=True, kw_only=True)
class Options:
    """Options of the command line.

    Attributes:
        quick: Fewer and shorter turns; the caches of compilers are not emptied.
        rounds: Turns of each contender.
        threads: CPU threads; 0 for the number that the package chooses for the work.
    """

    quick: bool
    rounds: int
    threads: int


@dataclass(frozen=True, kw_only=True)
class Work:
    """A piece of work.

    Attributes:
        name: Its key.
        line: Its description in the table.
        size: Units of one turn.
        units: Units that the reported seconds refer to.
        threads: CPU threads.
        per_second: Whether to report units per second too.
    """

    name: str
    line: str
    size: int
    units: int
    threads: int
    per_second: bool = False


def measure(work: Work, names: Sequence[str], options: Options) -> list[Row]:
    """Time contenders. The first is the reference of the ratios; its floating-point operations are counted."""
    with tempfile.TemporaryDirectory(prefix="wgan-bench-") as caches, ExitStack() as stack:
        # A quick run uses the compilers' caches of the user.
        environment = {} if options.quick else _cache_variables(Path(caches))
        cold = {} if options.quick else _cold_turns(work, names, environment)
        started = (Worker(work.name, name, work.size, work.threads, environment) for name in names)
        workers = [stack.enter_context(worker) for worker in started]
        num_weights = {tuple(worker.about["num_weights"]) for worker in workers}
        assert len(num_weights) == 1, f"the contenders have different networks: {num_weights}"
        first = {worker.name: worker.turn() for worker in workers}
        flops = work.size * workers[0].flops()
        peaks = {precision: Peak(precision, work.threads) for precision in _precisions(workers)}
        seconds: dict[str, list[float]] = {name: [] for name in names}
        for index in range(options.rounds):
            # The order rotates, so that no contender always follows the measurement of the peak.
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
    # The peak is not comparable with a contender that uses all cores.
    shares = [flops / each / rate for each, rate in zip(taken, peak.rates, strict=True)]
    comparable = not worker.name.endswith("all cores")
    return Row(
        work=work.line,
        contender=worker.name,
        how=about["how"],
        threads=work.threads if comparable else cores(),
        seconds=usual / work.size * work.units,
        all_seconds=[each / work.size * work.units for each in taken],
        speed=ratio(reference, taken),
        share=statistics.median(shares) if comparable else None,
        gflops=flops / work.size / 1e9,
        peak_gflops=statistics.median(peak.rates) / 1e9 if comparable else None,
        peak_mib=worker.peak_mib(),
        cold=max(0.0, cold[worker.name] - usual) if worker.name in cold else None,
        warm=max(0.0, first[worker.name] - usual),
        per_second=work.size / usual if work.per_second else None,
    )


def ratio(reference: Sequence[float], taken: Sequence[float]) -> float:
    """The speed relative to the reference: the median of the ratios within each round."""
    return statistics.median(a / b for a, b in zip(reference, taken, strict=True))


def time_in_turns(contenders: Mapping[str, Callable[[], object]], turns: int) -> dict[str, list[float]]:
    """Seconds of each turn of each contender, all in this process."""
    seconds: dict[str, list[float]] = {name: [] for name in contenders}
    for _ in range(turns):
        for name, run in contenders.items():
            start = time.perf_counter()
            run()
            seconds[name].append(time.perf_counter() - start)
    return seconds


def rows_of(work: str, seconds: Mapping[str, list[float]]) -> list[Row]:
    """A row for each contender on one thread. The first is the reference of the ratios."""
    reference = next(iter(seconds.values()))
    return [
        Row(
            work=work,
            contender=name,
            threads=1,
            seconds=statistics.median(taken),
            all_seconds=taken,
            speed=ratio(reference, taken),
        )
        for name, taken in seconds.items()
    ]


def cores() -> int:
    """The number of cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def has_jax() -> bool:
    """Whether JAX is installed."""
    return importlib.util.find_spec("jax") is not None


def _precisions(workers: Sequence[Worker]) -> list[str]:
    return sorted({worker.about["precision"] for worker in workers})


def _cache_variables(directory: Path) -> dict[str, str]:
    """Environment variables that move the compilers' caches below a directory."""
    return {
        "TORCHINDUCTOR_CACHE_DIR": str(directory / "torch"),
        "JAX_COMPILATION_CACHE_DIR": str(directory / "jax"),
        "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
    }


def _cold_turns(work: Work, names: Sequence[str], environment: dict[str, str]) -> dict[str, float]:
    """Seconds of the first turn with empty caches, for the contenders that compile something."""
    seconds = {}
    for name in names:
        with Worker(work.name, name, work.size, work.threads, environment) as worker:
            if worker.about["compiles"]:
                seconds[name] = worker.turn()
    return seconds
