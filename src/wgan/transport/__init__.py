"""Optimal transport between two sets of samples: what judges a generator, and the unit of its critic's curve."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from wgan.errors import NumericError, UsageError

MAX_ITERATIONS = 1_000_000_000


def wasserstein_1(x: Tensor, y: Tensor) -> float:
    """The exact earth mover's distance between two equally weighted sets of samples.

    W1 = min over plans Gamma of sum_ij Gamma_ij ||x_i - y_j||, solved by the network simplex.

    Args:
        x: Shape (N, ...); samples are flattened.
        y: Shape (M, ...), of the same size after flattening.

    Returns:
        The distance, in the units of the entries. Not differentiable.

    Raises:
        UsageError: Empty sets, or samples of different sizes.
        NumericError: Entries that are not finite, or a solver that stopped short of its optimum.

    Source: Arjovsky, Chintala and Bottou (2017), equation 1; POT's `emd2` (Bonneel et al. 2011).
    """
    first, second = _flat_pair(x, y)
    import ot  # takes seconds to import

    # In float64 and without the Gram-matrix shortcut, which loses all digits far from the origin.
    cost = torch.cdist(first, second, compute_mode="donot_use_mm_for_euclid_dist").numpy()
    plan_cost, log = ot.emd2([], [], cost, numItermax=MAX_ITERATIONS, log=True)
    if log["warning"] is not None:
        raise NumericError(
            f"the transport problem of {len(first)} x {len(second)} samples was not solved: {log['warning']}"
        )
    return float(plan_cost)


def wasserstein_1_sliced(x: Tensor, y: Tensor, rng: torch.Generator, *, num_directions: int = 256) -> float:
    """The mean earth mover's distance of one-dimensional projections on random directions.

    SW1 = E over unit vectors d of W1(<d, x>, <d, y>): cheap in any dimension, but smaller than W1, by about the square
    root of the dimension.

    Args:
        x: Shape (N, ...); samples are flattened.
        y: Shape (N, ...): as many samples, so that sorting pairs them.
        rng: Draws the directions.
        num_directions: How many.

    Returns:
        The distance, in the units of the entries. Not differentiable.

    Raises:
        UsageError: Empty sets, or sets of different sizes.
        NumericError: Entries that are not finite.

    Source: Bonneel et al. (2015), with |.| in place of the square.
    """
    first, second = _flat_pair(x, y, dtype=torch.float32)
    if len(first) != len(second):
        raise UsageError(
            f"sliced distances here need as many samples on both sides, not {len(first)} and {len(second)}"
        )
    directions = torch.randn(first.shape[1], num_directions, generator=rng)
    directions /= torch.linalg.vector_norm(directions, dim=0)
    # NumPy sorts columns several times faster than torch on a CPU.
    sides: list[NDArray[np.float32]] = [np.sort((side @ directions).numpy().T, axis=1) for side in (first, second)]
    return float(np.abs(sides[0] - sides[1]).mean(dtype=np.float64))


def _flat_pair(x: Tensor, y: Tensor, dtype: torch.dtype = torch.float64) -> tuple[Tensor, Tensor]:
    if not len(x) or not len(y):
        raise UsageError(f"a distance needs samples on both sides, not {len(x)} and {len(y)}")
    first, second = (side.detach().cpu().reshape(len(side), -1).to(dtype) for side in (x, y))
    if first.shape[1] != second.shape[1]:
        raise UsageError(f"samples of {first.shape[1]} numbers cannot be compared with samples of {second.shape[1]}")
    for side in (first, second):
        if not bool(side.isfinite().all()):
            raise NumericError("a distance needs finite samples, but some are NaN or infinite")
    return first, second
