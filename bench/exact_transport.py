"""Exact transport between two samples, compared with POT, SciPy and lapx, on one thread.

Every contender starts from the points. The others get a cost matrix that torch computes from differences (accurate for
near points too), and are called in their fastest way. All take turns in one process. The ratios are reliable, the
seconds are not.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace

import lap
import numpy as np
import ot
import torch
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment
from torch import Tensor

from bench.rounds import rows_of, time_in_turns
from bench.table import OURS, Row
from wgan.transport import exact

SIZES = (500, 1_000, 2_000, 4_000)
DIMENSIONS = (2, 64)
SHIFTS = (0.0, 0.5, 3.0)
_AGREEMENT = 1e-9
# lapjvs computes in float32, so that its plan may cost slightly more than the optimum.
_FLOAT32_AGREEMENT = 1e-6
# A contender slower than the best by this factor is left out at the next size, where it would take minutes.
_TOO_SLOW = 5.0


def cases(*, quick: bool = False) -> Iterator[list[Row]]:
    """Time each case.

    Args:
        quick: Up to 1,000 points.

    Yields:
        The rows of one case: this package's first, then one for each other contender.
    """
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        for dimension in DIMENSIONS:
            for shift in SHIFTS:
                excluded: set[str] = set()
                for size in SIZES[:2] if quick else SIZES:
                    case = f"exact W1, {size:,} points a side, {dimension}-D, shifted by {shift:g}"
                    x, y = clouds(size, dimension, shift)
                    rows = _rows_of(case, x, y, excluded, turns=9 if size <= 1_000 else 5)
                    excluded |= _too_slow(rows)
                    yield rows
    finally:
        torch.set_num_threads(threads)


def clouds(size: int, dimension: int, shift: float) -> tuple[Tensor, Tensor]:
    """Two normal samples, the second shifted along the first axis."""
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


def _rows_of(case: str, x: Tensor, y: Tensor, excluded: set[str], turns: int) -> list[Row]:
    """Check that the contenders agree, which also warms them up, then time them in turns."""
    contenders = {name: solve for name, solve in _contenders(x, y).items() if name not in excluded}
    values = {name: solve() for name, solve in contenders.items()}
    for name, value in values.items():
        allowed = _FLOAT32_AGREEMENT if "float32" in name else _AGREEMENT
        assert abs(value / values[OURS] - 1.0) < allowed, (case, values)
    seconds = time_in_turns(contenders, turns)
    start = time.perf_counter()
    result = exact(x, y)
    assert result.optimal
    proven = time.perf_counter() - start
    ours, *others = rows_of(case, seconds)
    return [replace(ours, how=result.solver, proven=proven), *others]


def _too_slow(rows: list[Row]) -> set[str]:
    best = min(row.seconds for row in rows if row.contender != OURS)
    return {row.contender for row in rows if row.contender not in (OURS, "POT emd2") and row.seconds > _TOO_SLOW * best}
