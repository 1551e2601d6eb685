"""The monotone plan between sorted points on the line, as a path of moves."""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from wgan.transport.arithmetic import whole_numbers

_ROUNDING_BITS = 48
"""Levels that differ by less than 2^-48 (16 roundings) of the mass on either side are equal."""


@dataclass(frozen=True, kw_only=True)
class Staircase:
    """The moves of the monotone plan over sorted points: a path from (0, 0) to (N - 1, M - 1) by single steps.

    Attributes:
        rows: Sorted source points, shape (..., N + M - 1), int64.
        columns: Sorted target points, likewise.
        masses: What is moved, at least 0 and summing to 1, likewise, float64, differentiable.
    """

    rows: Tensor
    columns: Tensor
    masses: Tensor


def exact_staircase(
    x_weights: Tensor | None, y_weights: Tensor | None, x_levels: Tensor, y_levels: Tensor
) -> Staircase:
    """The moves with masses from whole numbers; levels that differ by the rounding of the weights are one.

    Sums in float64 lose weights below 1e-16, and leave a mass of that size between levels that should coincide, which
    then moves between neighbours that may lie far apart.

    Args:
        x_weights: In the order of the sorted points, shape (N,); None for equal ones.
        y_weights: Likewise, shape (M,).
        x_levels: In float64, shape (N - 1,), for gradients.
        y_levels: Likewise, shape (M - 1,).
    """
    num_rows = x_levels.shape[-1] + 1
    sides = (x_weights, num_rows), (y_weights, y_levels.shape[-1] + 1)
    x_sums, y_sums = (
        list(itertools.accumulate(whole_numbers(np.ones(num) if side is None else side.cpu().numpy())[0]))
        for side, num in sides
    )
    one = x_sums[-1] * y_sums[-1]
    levels = [level * y_sums[-1] for level in x_sums[:-1]] + [level * x_sums[-1] for level in y_sums[:-1]]
    order = sorted(range(len(levels)), key=levels.__getitem__)
    merged = [0, *(levels[number] for number in order), one]
    masses = [after - before for before, after in itertools.pairwise(merged)]
    # Each level has at most one partner on the other side, the nearest first.
    near = [
        step
        for step in range(1, len(order))
        if (order[step - 1] < num_rows - 1) != (order[step] < num_rows - 1)
        and masses[step] << _ROUNDING_BITS <= min(merged[step], one - merged[step + 1])
    ]
    taken: set[int] = set()
    for step in sorted(near, key=masses.__getitem__):
        if taken.isdisjoint((step, step + 1)):
            taken |= {step, step + 1}
            masses[step] = 0
    device = x_levels.device
    stairs = staircase(x_levels, y_levels, torch.tensor(order, dtype=torch.int64, device=device))
    exact = torch.tensor([mass / one for mass in masses], dtype=torch.float64, device=device)
    return Staircase(rows=stairs.rows, columns=stairs.columns, masses=exact + (stairs.masses - stairs.masses.detach()))


def staircase(x_levels: Tensor, y_levels: Tensor, order: Tensor | None = None) -> Staircase:
    """Merge the inner levels of two distribution functions, shapes (..., N - 1) and (..., M - 1).

    Between two neighbours of the merged levels lies one move. Levels that coincide leave a move without mass: it keeps
    the path connected, and with it the gradients with respect to weights are potentials.
    """
    num_rows = x_levels.shape[-1]
    lines = max(x_levels.shape[:-1], y_levels.shape[:-1], key=len)
    levels = torch.cat([x_levels.expand(*lines, -1), y_levels.expand(*lines, -1)], dim=-1)
    order = order_of(levels, stable=True) if order is None else order
    merged = levels.gather(-1, order)
    begin = levels.new_zeros((*lines, 1))
    # Where the last points weigh nothing, the level before them may be 1 and a rounding.
    end = torch.cat([merged[..., -1:].detach(), begin + 1.0], dim=-1).amax(-1, keepdim=True)
    masses = torch.diff(merged, prepend=begin, append=end)
    rows = torch.nn.functional.pad((order < num_rows).cumsum(-1), (1, 0))
    columns = torch.arange(rows.shape[-1], device=rows.device) - rows
    return Staircase(rows=rows, columns=columns, masses=masses)


def sorted_weights(weights: Tensor | None, order: Tensor | None) -> Tensor | None:
    """Weights in the order of the sorted points, without a graph."""
    return weights if weights is None or order is None else weights.detach().gather(0, order)


def levels_of(values: Tensor, weights: Tensor | None, order: Tensor | None) -> Tensor:
    """The distribution function after each sorted point but the last, shape (..., N - 1) or (N - 1,), float64."""
    if weights is None or order is None:
        # Quotients of whole numbers, not sums: 1/3 and 2/6 are then the same float.
        num = values.shape[-1]
        return torch.arange(1, num, dtype=torch.float64, device=values.device) / num
    # `gather` and its gradient are several times faster here than indexing by brackets.
    return weights.expand(order.shape).gather(-1, order).cumsum(-1)[..., :-1]


def order_of(values: Tensor, *, stable: bool = False) -> Tensor:
    """The indices that sort along the last dimension."""
    if values.device.type != "cpu":
        return values.detach().argsort(dim=-1, stable=stable)
    # The stable sort finds the two sorted runs that it is given, and merges them in linear time.
    return torch.from_numpy(np.argsort(values.detach().numpy(), axis=-1, kind="stable" if stable else None))
