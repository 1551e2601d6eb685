"""A cost matrix that is gone through some rows at a time, held or computed again."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from wgan.errors import UsageError
from wgan.transport.costs import Cost, cost_matrix, is_matrix, pair_costs
from wgan.transport.measures import Array, as_pair

_CACHED = 2**17  # costs in one tile: what a core keeps beside it while it goes through the scales


@dataclass(frozen=True)
class Tiles:
    """The costs between two samples, some rows at a time; held as a matrix where it is small or came as one."""

    x: Tensor | None
    y: Tensor | None
    cost: Cost
    p: float
    matrix: Tensor | None
    shape: tuple[int, int]
    held: int

    @classmethod
    def of(cls, x: Array | None, y: Array | None, cost: Cost, p: float, held: int) -> Tiles:
        """Check what came, and compute what may be held."""
        if is_matrix(cost):
            matrix = cost_matrix(x, y, cost, p)
            return cls(None, None, matrix, 1.0, matrix.detach(), (matrix.shape[0], matrix.shape[1]), held)
        if x is None or y is None:
            raise UsageError("points are missing: x and y may be left out only where the cost is a matrix")
        first, second = as_pair(x, y)
        shape = len(first), len(second)
        small = shape[0] * shape[1] <= held
        computed = cost_matrix(first.detach(), second.detach(), cost, p) if small else None
        return cls(first, second, cost, p, computed, shape, held)

    @property
    def device(self) -> torch.device:
        """Where the points or the matrix are."""
        known = self.x if self.matrix is None else self.matrix
        assert known is not None
        return known.device

    @property
    def requires_grad(self) -> bool:
        """Whether a gradient with respect to the costs may be asked for."""
        sides = (self.x, self.y, self.cost)
        return any(isinstance(side, Tensor) and side.requires_grad for side in sides)

    def at(self, rows: Tensor, columns: Tensor) -> Tensor:
        """The matrix between some points of each set, without a graph."""
        if self.matrix is not None:
            every = (len(rows), len(columns)) == self.shape
            return self.matrix if every else self.matrix.index_select(0, rows).index_select(1, columns)
        assert self.x is not None
        assert self.y is not None
        return cost_matrix(self.x.detach()[rows], self.y.detach()[columns], self.cost, self.p)

    def pairs(self, rows: Tensor, columns: Tensor) -> Tensor:
        """Costs of single pairs, shape (K,), differentiable."""
        return pair_costs(self.x, self.y, rows, columns, self.cost, self.p)

    def tiles(self) -> Iterator[tuple[slice, Tensor]]:
        """The matrix from top to bottom in tiles that fit the cache: their rows, and costs of shape (rows, M)."""
        num_rows, num_columns = self.shape
        block = max(1, self.held // num_columns) if self.matrix is None else num_rows
        tile = max(1, (_CACHED if self.device.type == "cpu" else self.held) // num_columns)
        for top in range(0, num_rows, block):
            rows = slice(top, min(top + block, num_rows))
            costs = self.matrix if self.matrix is not None else self._computed(rows)
            for start in range(0, len(costs), tile):
                part = costs[start : start + tile]
                yield slice(top + start, top + start + len(part)), part

    def _computed(self, rows: slice) -> Tensor:
        assert self.x is not None
        assert self.y is not None
        return cost_matrix(self.x.detach()[rows], self.y.detach(), self.cost, self.p)

    def transform(self, u: Tensor, v: Tensor) -> tuple[Tensor, Tensor]:
        """The c-transforms of several potentials on each side, in one pass over the costs.

        Args:
            u: Potentials on x, shape (S, N).
            v: Potentials on y, shape (T, M).

        Returns:
            min_i c_ij - u_i of shape (S, M), and min_j c_ij - v_j of shape (T, N).
        """
        onto_y = u.new_full((len(u), self.shape[1]), math.inf)
        onto_x = v.new_empty((len(v), self.shape[0]))
        for rows, costs in self.tiles():
            free = torch.empty_like(costs)
            for potential, least in zip(u, onto_y, strict=True):
                torch.sub(costs, potential[rows, None], out=free)
                torch.minimum(least, free.amin(dim=0), out=least)
            for potential, least in zip(v, onto_x, strict=True):
                torch.sub(costs, potential, out=free)
                torch.amin(free, dim=1, out=least[rows])
        return onto_y, onto_x

    def nearest_row(self, u: Tensor) -> Tensor:
        """Which i takes min_i c_ij - u_i, shape (M,), int64."""
        least = u.new_full((self.shape[1],), math.inf)
        where = torch.zeros(self.shape[1], dtype=torch.int64, device=u.device)
        for rows, costs in self.tiles():
            smallest, row = (costs - u[rows, None]).min(dim=0)
            where = torch.where(smallest < least, row + rows.start, where)
            least = torch.minimum(least, smallest)
        return where

    def nearest_column(self, v: Tensor) -> Tensor:
        """Which j takes min_j c_ij - v_j, shape (N,), int64."""
        return torch.cat([(costs - v).argmin(dim=1) for _, costs in self.tiles()])
