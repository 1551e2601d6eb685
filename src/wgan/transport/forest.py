"""The masses of a plan from the pairs that it uses, in whole numbers: what rounding left on dear pairs is gone.

The pairs of a basic plan form a forest, on which the weights decide every mass. A solver in float64 leaves a rounding
of some 1e-17 here and there, which is dear where a pair costs 1e32, and loses masses below 1e-15 altogether.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from wgan.errors import NumericError
from wgan.transport.arithmetic import Floats, whole_numbers

_ROUNDING_BITS = 48
"""A mass of less than 2^-48 (16 roundings) of all weights on one side of its pair is what weights are rounded by."""

_BALANCE_BITS = 44
"""Weights of connected points that differ by less than 2^-44 of their sum are equal up to rounding."""

Places = NDArray[np.int64]


@dataclass(frozen=True, kw_only=True)
class Moves:
    """A plan: `masses[k]` from source point `rows[k]` to target point `columns[k]`."""

    rows: Places
    columns: Places
    masses: Floats


@dataclass
class _Flow:
    """What weights decide on a forest.

    Attributes:
        masses: Of each edge, in whole numbers; below 0 where the forest belongs to no plan.
        sides: The weights on the lighter side of each edge.
        imbalance: Whether some tree holds more of one side than of the other.
    """

    masses: list[int]
    sides: list[int]
    imbalance: bool


class Forest:
    """Edges between source and target points without a cycle.

    Args:
        a: Source weights, shape (N,), above 0.
        b: Target weights, shape (M,), above 0.
    """

    def __init__(self, a: Floats, b: Floats) -> None:
        self.shape = len(a), len(b)
        source, target = whole_numbers(a, b)
        self.supply = source + [-weight for weight in target]
        self.one = sum(source)
        self.heaviest_first = sorted(range(len(self.supply)), key=lambda node: -abs(self.supply[node]))
        self.edges: list[tuple[int, int]] = []

    def settled(
        self, rows: Places, columns: Places, masses: Floats, reduced: Callable[[], Floats] | None = None
    ) -> Moves:
        """The plan on the pairs that a solver used, with exact masses and without what rounding left.

        Args:
            rows: Source points of the solver's plan, shape (K,).
            columns: Its target points.
            masses: What the solver moved; only their order counts.
            reduced: Computes reduced costs, shape (N, M), finite: which pairs may be taken where those of the solver
                are not enough, the least first.

        Returns:
            At most N + M - 1 moves, each rounded once. Sums of rows and columns are the weights, but for what rounding
            weights up or down leaves, which the heaviest point of each tree takes.

        Raises:
            NumericError: The pairs belong to no plan.

        Source: the dual simplex on trees, as in Ahuja, Magnanti and Orlin (1993), section 11.
        """
        self.edges = self._acyclic(rows, columns, masses)
        flow = self._flow()
        if flow.imbalance or any(mass < 0 for mass in self._but_rounding(flow)):
            if reduced is None:
                raise NumericError("the solver's pairs belong to no plan")
            costs = reduced()
            self.edges = self._spanning(rows, columns, masses, costs)
            flow = self._made_possible(costs)
        while True:
            kept = [number for number, mass in enumerate(self._but_rounding(flow)) if mass > 0]
            if len(kept) == len(self.edges):
                break
            self.edges = [self.edges[number] for number in kept]
            flow = self._flow()
            if flow.imbalance:
                raise NumericError("rounding of the weights decides which pairs are used")
        places = np.array(self.edges, dtype=np.int64).reshape(-1, 2)
        return Moves(
            rows=places[:, 0],
            columns=places[:, 1] - self.shape[0],
            masses=np.array([mass / self.one for mass in flow.masses]),
        )

    def tightened(self, costs: Floats, f: Floats, g: Floats) -> tuple[Floats, Floats]:
        """Potentials with f_i + g_j = c_ij on every edge, and the given one at the heaviest point of each tree.

        The network simplex leaves points of less than some 1e-15 of the mass out, and their potentials wrong.

        Args:
            costs: Shape (N, M).
            f: Shape (N,).
            g: Shape (M,).
        """
        num_rows = self.shape[0]
        potentials = np.concatenate([f, g]).tolist()
        edge_costs = [float(costs[row, column - num_rows]) for row, column in self.edges]
        for tree in self._trees():
            for node, parent, number in tree[1:]:
                potentials[node] = edge_costs[number] - potentials[parent]
        return np.array(potentials[:num_rows]), np.array(potentials[num_rows:])

    def _but_rounding(self, flow: _Flow) -> list[int]:
        """Masses, 0 where rounding of the weights explains them."""
        pairs = zip(flow.masses, flow.sides, strict=True)
        return [0 if abs(mass) << _ROUNDING_BITS <= side else mass for mass, side in pairs]

    def _acyclic(self, rows: Places, columns: Places, masses: Floats) -> list[tuple[int, int]]:
        """The heaviest pairs that form a forest (Kruskal)."""
        leader = list(range(len(self.supply)))

        def leader_of(node: int) -> int:
            while leader[node] != node:
                leader[node] = node = leader[leader[node]]
            return node

        edges = []
        order = np.argsort(-masses, kind="stable")
        for row, column in zip(rows[order].tolist(), (columns[order] + self.shape[0]).tolist(), strict=True):
            first, second = leader_of(row), leader_of(column)
            if first != second:
                leader[first] = second
                edges.append((row, column))
        return edges

    def _spanning(self, rows: Places, columns: Places, masses: Floats, reduced: Floats) -> list[tuple[int, int]]:
        """A tree over all points: the pairs of the solver, the heaviest first, then those of least reduced cost."""
        from scipy.sparse import csr_array
        from scipy.sparse.csgraph import minimum_spanning_tree

        num_rows, num_columns = self.shape
        least, most = float(reduced.min()), float(reduced.max())
        lengths = 2.0 + (reduced - least) / ((most - least) or 1.0)
        lengths[rows, columns] = 1.5 - 0.5 * masses / masses.max()
        starts = np.concatenate([np.arange(num_rows + 1), np.full(num_columns, num_rows)]) * num_columns
        ends = np.tile(np.arange(num_rows, num_rows + num_columns), num_rows)
        tree = minimum_spanning_tree(csr_array((lengths.ravel(), ends, starts), shape=[num_rows + num_columns] * 2))
        first, second = tree.tocoo().coords
        return list(zip(first.tolist(), second.tolist(), strict=True))

    def _made_possible(self, reduced: Floats) -> _Flow:
        """Exchange pairs until no mass is below 0, always for the pair of least reduced cost that helps."""
        num_rows = self.shape[0]
        for _ in range(2 * len(self.supply)):
            flow = self._flow()
            masses = self._but_rounding(flow)
            worst = min(range(len(masses)), key=masses.__getitem__)
            if masses[worst] >= 0:
                return flow
            row = self.edges[worst][0]
            del self.edges[worst]
            inside = self._connected(row)
            from_rows, to_columns = (~inside[:num_rows]).nonzero()[0], inside[num_rows:].nonzero()[0]
            if not (len(from_rows) and len(to_columns)):
                break
            some = reduced[np.ix_(from_rows, to_columns)]
            best_row, best_column = np.unravel_index(some.argmin(), some.shape)
            self.edges.append((int(from_rows[best_row]), num_rows + int(to_columns[best_column])))
        raise NumericError("no plan was found on a tree of pairs")

    def _neighbours(self) -> list[list[tuple[int, int]]]:
        neighbours: list[list[tuple[int, int]]] = [[] for _ in self.supply]
        for number, (row, column) in enumerate(self.edges):
            neighbours[row].append((column, number))
            neighbours[column].append((row, number))
        return neighbours

    def _connected(self, start: int) -> NDArray[np.bool_]:
        neighbours = self._neighbours()
        inside = np.zeros(len(self.supply), dtype=bool)
        inside[start] = True
        stack = [start]
        while stack:
            for node, _ in neighbours[stack.pop()]:
                if not inside[node]:
                    inside[node] = True
                    stack.append(node)
        return inside

    def _trees(self) -> Iterator[list[tuple[int, int, int]]]:
        """Each tree from its heaviest point onwards: (node, its parent, the edge between them), parents first."""
        neighbours = self._neighbours()
        seen = [False] * len(self.supply)
        for root in self.heaviest_first:
            if seen[root]:
                continue
            seen[root] = True
            tree = [(root, -1, -1)]
            for node, _, _ in tree:  # grows as it goes
                for other, number in neighbours[node]:
                    if not seen[other]:
                        seen[other] = True
                        tree.append((other, node, number))
            yield tree

    def _flow(self) -> _Flow:
        """Add up from the leaves to the heaviest point of each tree, which takes what is left."""
        surplus, weight = list(self.supply), [abs(supply) for supply in self.supply]
        masses, sides = [0] * len(self.edges), [0] * len(self.edges)
        imbalance = False
        for tree in self._trees():
            root = tree[0][0]
            for node, parent, number in reversed(tree[1:]):
                masses[number] = surplus[node] if node < self.shape[0] else -surplus[node]
                surplus[parent] += surplus[node]
                weight[parent] += weight[node]
            for node, _, number in tree[1:]:
                sides[number] = min(weight[node], weight[root] - weight[node])
            imbalance |= abs(surplus[root]) << _BALANCE_BITS > weight[root]
        return _Flow(masses=masses, sides=sides, imbalance=imbalance)
