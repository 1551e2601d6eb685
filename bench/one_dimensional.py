"""One-dimensional and sliced transport, compared with SciPy, POT and plain torch code, on one thread.

All contenders of a case take turns in one process. The ratios within a round are reliable, the seconds are not.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import ot
import torch
from numpy.typing import NDArray
from scipy.stats import wasserstein_distance
from torch import Tensor

from bench.rounds import rows_of, time_in_turns
from bench.table import OURS, Row
from wgan.transport.one_dimensional import one_dimensional
from wgan.transport.sliced import sliced

# The largest relative difference allowed between two exact solvers of a million points, and between float32 slices.
_AGREEMENT = 1e-9
_SLICED_AGREEMENT = 1e-5

Contenders = dict[str, Callable[[], float]]


def cases(*, quick: bool = False) -> Iterator[list[Row]]:
    """Time each case.

    Args:
        quick: A tenth of the points, and fewer turns.

    Yields:
        The rows of one case: this package's first, then one for each other contender.
    """
    num, turns = (100_000, 5) if quick else (1_000_000, 9)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        for case, contenders in (_line_cases(num) | _sliced_cases(quick=quick)).items():
            yield _rows_of(case, contenders, turns)
    finally:
        torch.set_num_threads(threads)


def _line_cases(num: int) -> dict[str, Contenders]:
    rng = np.random.default_rng(0)
    x, y = rng.standard_normal(num), rng.standard_normal(num) + 0.3
    fewer = y[: num * 9 // 10].copy()
    a, b = (weights / weights.sum() for weights in rng.random((2, num)))
    x_points, y_points, fewer_points, a_weights, b_weights = map(torch.from_numpy, (x, y, fewer, a, b))
    return {
        f"1-D, {num:,} points a side": {
            OURS: lambda: float(one_dimensional(x_points, y_points)),
            "ours, with gradients": lambda: _with_gradients(x_points, y_points),
            "scipy": lambda: float(wasserstein_distance(x, y)),
            "POT": lambda: float(ot.wasserstein_1d(x, y)),
            "POT emd2_1d": lambda: float(ot.emd2_1d(x, y, metric="euclidean")),
            "torch sort": lambda: float((x_points.sort().values - y_points.sort().values).abs().mean()),
        },
        f"1-D, {num:,} and {len(fewer):,} points": {
            OURS: lambda: float(one_dimensional(x_points, fewer_points)),
            "scipy": lambda: float(wasserstein_distance(x, fewer)),
            "POT": lambda: float(ot.wasserstein_1d(x, fewer)),
        },
        f"1-D, {num:,} weighted points a side": {
            OURS: lambda: float(one_dimensional(x_points, y_points, x_weights=a_weights, y_weights=b_weights)),
            "scipy": lambda: float(wasserstein_distance(x, y, a, b)),
            "POT": lambda: float(ot.wasserstein_1d(x, y, a, b)),
        },
    }


def _sliced_cases(*, quick: bool) -> dict[str, Contenders]:
    cases: dict[str, Contenders] = {}
    for num in (1_000,) if quick else (1_000, 5_000):
        x, y = torch.randn(2, num, 28 * 28, generator=torch.Generator().manual_seed(0)).unbind()
        y = y + 0.1
        cases[f"sliced, {num:,} images of 28×28, 256 directions"] = {
            OURS: lambda x=x, y=y: float(sliced(x, y, _rng(), dtype=torch.float32).distance),  # type: ignore[misc]
            "ours in float64": lambda x=x, y=y: float(sliced(x, y, _rng()).distance),  # type: ignore[misc]
            "NumPy, float32": lambda x=x, y=y: _sliced_by_numpy(x.numpy(), y.numpy()),  # type: ignore[misc]
            "torch, float32": lambda x=x, y=y: _sliced_by_torch(x, y),  # type: ignore[misc]
        }
    return cases


def _rng() -> torch.Generator:
    return torch.Generator().manual_seed(0)


def _with_gradients(x: Tensor, y: Tensor) -> float:
    x, y = x.clone().requires_grad_(), y.clone().requires_grad_()
    distance = one_dimensional(x, y)
    distance.backward()  # type: ignore[no-untyped-call]
    return float(distance.detach())


def _directions(size: int) -> Tensor:
    directions = torch.randn(size, 256, generator=_rng())
    directions /= torch.linalg.vector_norm(directions, dim=0)
    return directions


def _sliced_by_numpy(x: NDArray[np.float32], y: NDArray[np.float32]) -> float:
    directions = _directions(x.shape[1]).numpy()
    x_sorted, y_sorted = (np.sort((side @ directions).T, axis=1) for side in (x, y))
    return float(np.abs(x_sorted - y_sorted).mean(dtype=np.float64))


def _sliced_by_torch(x: Tensor, y: Tensor) -> float:
    directions = _directions(x.shape[1])
    x_sorted, y_sorted = ((side @ directions).sort(dim=0).values for side in (x, y))
    return float((x_sorted - y_sorted).abs().mean(dtype=torch.float64))


def _rows_of(case: str, contenders: Contenders, turns: int) -> list[Row]:
    """Check that the contenders agree, which also warms them up, then time them in turns."""
    values = {name: contender() for name, contender in contenders.items()}
    tolerance = _SLICED_AGREEMENT if case.startswith("sliced") else _AGREEMENT
    assert all(abs(value / values[OURS] - 1.0) < tolerance for value in values.values()), values
    return rows_of(case, time_in_turns(contenders, turns))
