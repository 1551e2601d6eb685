"""The monotone plan between sorted points in one dimension, as a path of moves."""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from wgan.transport.arithmetic import to_integers

_ROUNDING_BITS = 48
"""Levels that differ by less than 2^-48 (16 roundings) of the mass on both sides of them count as equal."""


@dataclass(frozen=True, kw_only=True)
class Staircase:
    """The moves of the monotone plan over sorted points: a path from (0, 0) to (N - 1, M - 1) by single steps.

    Attributes:
        rows: Sorted source points, shape (..., N + M - 1), int64.
        columns: Sorted target points, likewise.
        masses: Mass of each move, at least 0 and summing to 1, float64, differentiable, likewise.
    """

    rows: Tensor
    columns: Tensor
    masses: Tensor


def exact_staircase(
    x_weights: Tensor | None, y_weights: Tensor | None, x_levels: Tensor, y_levels: Tensor
) -> Staircase:
    """The moves with masses from integer arithmetic. Levels that differ by the rounding of the weights are merged.

    Sums in float64 lose weights below 1e-16. They leave a mass of that size between levels that should coincide, which
    then moves between neighbours that may be far apart.

    Args:
        x_weights: In the order of the sorted points, shape (N,); None for equal weights.
        y_weights: Likewise, shape (M,).
        x_levels: In float64, shape (N - 1,), used for gradients.
        y_levels: Likewise, shape (M - 1,).
    """
    num_rows = x_levels.shape[-1] + 1
    sides = (x_weights, num_rows), (y_weights, y_levels.shape[-1] + 1)
    x_sums, y_sums = (
        list(itertools.accumulate(to_integers(np.ones(num) if weights is None else weights.cpu().numpy())[0]))
        for weights, num in sides
    )
    total = x_sums[-1] * y_sums[-1]
    levels = [level * y_sums[-1] for level in x_sums[:-1]] + [level * x_sums[-1] for level in y_sums[:-1]]
    order = sorted(range(len(levels)), key=levels.__getitem__)
    merged = [0, *(levels[number] for number in order), total]
    masses = [after - before for before, after in itertools.pairwise(merged)]
    # Each level is merged with at most one level of the other side, the nearest first.
    near = [
        step
        for step in range(1, len(order))
        if (order[step - 1] < num_rows - 1) != (order[step] < num_rows - 1)
        and masses[step] << _ROUNDING_BITS <= min(merged[step], total - merged[step + 1])
    ]
    taken: set[int] = set()
    for step in sorted(near, key=masses.__getitem__):
        if taken.isdisjoint((step, step + 1)):
            taken |= {step, step + 1}
            masses[step] = 0
    device = x_levels.device
    stairs = staircase(x_levels, y_levels, torch.tensor(order, dtype=torch.int64, device=device))
    exact = torch.tensor([mass / total for mass in masses], dtype=torch.float64, device=device)
    return Staircase(rows=stairs.rows, columns=stairs.columns, masses=exact + (stairs.masses - stairs.masses.detach()))


def staircase(x_levels: Tensor, y_levels: Tensor, order: Tensor | None = None) -> Staircase:
    """The moves from the inner levels of two distribution functions, shapes (..., N - 1) and (..., M - 1).

    Each interval between neighbouring merged levels is one move. Levels that coincide give a move without mass. It
    keeps the path connected, so that the gradients with respect to the weights are potentials.
    """
    num_rows = x_levels.shape[-1]
    lines = max(x_levels.shape[:-1], y_levels.shape[:-1], key=len)
    levels = torch.cat([x_levels.expand(*lines, -1), y_levels.expand(*lines, -1)], dim=-1)
    order = order_of(levels, stable=True) if order is None else order
    merged = levels.gather(-1, order)
    begin = levels.new_zeros((*lines, 1))
    # If the last points have weight 0, rounding may bring the level before them above 1.
    end = torch.cat([merged[..., -1:].detach(), begin + 1.0], dim=-1).amax(-1, keepdim=True)
    masses = torch.diff(merged, prepend=begin, append=end)
    rows = torch.nn.functional.pad((order < num_rows).cumsum(-1), (1, 0))
    columns = torch.arange(rows.shape[-1], device=rows.device) - rows
    return Staircase(rows=rows, columns=columns, masses=masses)


def sorted_weights(weights: Tensor | None, order: Tensor | None) -> Tensor | None:
    """Weights in the order of the sorted points, detached."""
    return weights if weights is None or order is None else weights.detach().gather(0, order)


def levels_of(values: Tensor, weights: Tensor | None, order: Tensor | None) -> Tensor:
    """The distribution function after each sorted point but the last, shape (..., N - 1) or (N - 1,), float64."""
    if weights is None or order is None:
        # Quotients of integers instead of sums, so that 1/3 and 2/6 are the same float.
        num = values.shape[-1]
        return torch.arange(1, num, dtype=torch.float64, device=values.device) / num
    # `gather` and its gradient are several times faster here than indexing.
    return weights.expand(order.shape).gather(-1, order).cumsum(-1)[..., :-1]


def order_of(values: Tensor, *, stable: bool = False) -> Tensor:
    """The indices that sort the values along the last dimension."""
    if values.device.type != "cpu":
        return values.detach().argsort(dim=-1, stable=stable)
    # NumPy's stable sort merges two sorted runs in linear time.
    return torch.from_numpy(np.argsort(values.detach().numpy(), axis=-1, kind="stable" if stable else None))
