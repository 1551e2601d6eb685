"""Exact transport between clouds, against the best of POT, SciPy and lapx, on one thread.

Every contender starts from points: each rival gets torch's cost matrix of differences, which is right everywhere, and
is called in the way that its users find fastest. All take turns in one process; trust the ratios.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterator, Sequence

import lap
import numpy as np
import ot
import torch
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment
from torch import Tensor

from bench.rounds import ratio
from bench.table import OURS, Row
from wgan.transport import exact

SIZES = (500, 1_000, 2_000, 4_000)
DIMENSIONS = (2, 64)
SHIFTS = (0.0, 0.5, 3.0)
_AGREEMENT = 1e-9
# lapjvs works in float32 inside, so that its plan may cost a little more than the best.
_FLOAT32_AGREEMENT = 1e-6
# A rival that is so much slower than the best is not timed at the next size, where it would take minutes.
_HOPELESS = 5.0


def cases(*, quick: bool = False) -> Iterator[list[Row]]:
    """Time each case.

    Args:
        quick: Up to 1,000 points.

    Yields:
        For each case one row for each contender, this project's first.
    """
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        for dimension in DIMENSIONS:
            for shift in SHIFTS:
                hopeless: set[str] = set()
                for size in SIZES[:2] if quick else SIZES:
                    case = f"exact W1, {size:,} points a side, {dimension}-D, shifted by {shift:g}"
                    x, y = clouds(size, dimension, shift)
                    found = _rows_of(case, x, y, hopeless, turns=9 if size <= 1_000 else 5)
                    hopeless |= _too_slow(found)
                    yield found
    finally:
        torch.set_num_threads(threads)


def clouds(size: int, dimension: int, shift: float) -> tuple[Tensor, Tensor]:
    """Two samples of a normal distribution, one of them moved along the first axis."""
    rng = torch.Generator().manual_seed(size + dimension)
    x, y = torch.randn(2, size, dimension, generator=rng, dtype=torch.float64).unbind()
    y[:, 0] += shift
    return x, y


def _costs(x: Tensor, y: Tensor) -> NDArray[np.float64]:
    costs: NDArray[np.float64] = torch.cdist(x, y, compute_mode="donot_use_mm_for_euclid_dist").numpy()
    return costs


def _mean(costs: NDArray[np.float64], pairs: Sequence[NDArray[np.int64]]) -> float:
    return float(costs[pairs[0], pairs[1]].mean())


def _contenders(x: Tensor, y: Tensor) -> dict[str, Callable[[], float]]:
    def assigned(solver: Callable[[NDArray[np.float64]], Sequence[NDArray[np.int64]]]) -> float:
        costs = _costs(x, y)
        return _mean(costs, solver(costs))

    return {
        OURS: lambda: float(exact(x, y).cost),
        "POT emd2": lambda: float(ot.emd2([], [], _costs(x, y), numItermax=10**9)),
        "SciPy": lambda: assigned(linear_sum_assignment),
        "lapx lapjvh": lambda: assigned(lambda costs: lap.lapjvh(costs, return_cost=False)),
        "lapx lapjvs, float32": lambda: assigned(lambda costs: lap.lapjvs(costs, return_cost=False)),
    }


def _rows_of(case: str, x: Tensor, y: Tensor, hopeless: set[str], turns: int) -> list[Row]:
    """Time the contenders in turns, the first turn of each not counted, and see that they agree."""
    contenders = {name: solve for name, solve in _contenders(x, y).items() if name not in hopeless}
    values = {name: solve() for name, solve in contenders.items()}
    for name, value in values.items():
        allowed = _FLOAT32_AGREEMENT if "float32" in name else _AGREEMENT
        assert abs(value / values[OURS] - 1.0) < allowed, (case, values)
    seconds: dict[str, list[float]] = {name: [] for name in contenders}
    for _ in range(turns):
        for name, solve in contenders.items():
            start = time.perf_counter()
            solve()
            seconds[name].append(time.perf_counter() - start)
    start = time.perf_counter()
    found = exact(x, y)
    assert found.optimal
    proven = time.perf_counter() - start
    return [
        Row(
            work=case,
            contender=name,
            how=found.solver if name == OURS else "",
            threads=1,
            seconds=statistics.median(taken),
            all_seconds=taken,
            speed=ratio(seconds[OURS], taken),
            proven=proven if name == OURS else None,
        )
        for name, taken in seconds.items()
    ]


def _too_slow(found: list[Row]) -> set[str]:
    best = min(row.seconds for row in found if row.contender != OURS)
    return {
        row.contender for row in found if row.contender not in (OURS, "POT emd2") and row.seconds > _HOPELESS * best
    }
