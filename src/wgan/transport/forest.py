"""Exact masses of a plan from the pairs that it uses, in integer arithmetic.

The pairs of a basic plan form a forest, on which the weights determine every mass. A float64 solver leaves rounding
errors of about 1e-17, which are expensive on a pair of cost 1e32, and loses masses below 1e-15.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from wgan.errors import NumericError
from wgan.transport.arithmetic import Floats, to_integers

_ROUNDING_BITS = 48
"""A mass below 2^-48 (16 roundings) of the total weight on one side of its edge counts as rounding of the weights."""

_BALANCE_BITS = 44
"""Total weights of a tree that differ by less than 2^-44 of their sum count as equal."""

Indices = NDArray[np.int64]


@dataclass(frozen=True, kw_only=True)
class Moves:
    """A plan in NumPy arrays: `masses[k]` is moved from source point `rows[k]` to target point `columns[k]`."""

    rows: Indices
    columns: Indices
    masses: Floats


@dataclass
class _Flow:
    """The flow on a forest that the weights determine.

    Attributes:
        masses: The mass of each edge, as integers; negative if no plan uses these edges.
        sides: The total weight on the lighter side of each edge.
        imbalance: Whether the source and target weights of some tree differ.
    """

    masses: list[int]
    sides: list[int]
    imbalance: bool


class Forest:
    """A set of edges between source and target points without a cycle.

    Args:
        a: Source weights, shape (N,), above 0.
        b: Target weights, shape (M,), above 0.
    """

    def __init__(self, a: Floats, b: Floats) -> None:
        self.shape = len(a), len(b)
        source, target = to_integers(a, b)
        self.supply = source + [-weight for weight in target]
        self.total = sum(source)
        self.heaviest_first = sorted(range(len(self.supply)), key=lambda node: -abs(self.supply[node]))
        self.edges: list[tuple[int, int]] = []

    def exact_plan(
        self, rows: Indices, columns: Indices, masses: Floats, reduced: Callable[[], Floats] | None = None
    ) -> Moves:
        """The plan on the pairs of a solver's plan, with exact masses and without masses left by rounding.

        Args:
            rows: Source points of the solver's plan, shape (K,).
            columns: Target points, shape (K,).
            masses: The masses of the solver, shape (K,), which only rank the pairs.
            reduced: Computes finite reduced costs, shape (N, M). They rank further pairs if those of the solver do not
                suffice.

        Returns:
            At most N + M - 1 moves, each rounded once. Row and column sums are the weights; the rounding error of their
            totals is left at the heaviest point of each tree.

        Raises:
            NumericError: No plan uses these pairs.

        Source: Ahuja, Magnanti and Orlin (1993), section 11, for the dual simplex on trees.
        """
        self.edges = self._acyclic(rows, columns, masses)
        flow = self._flow()
        if flow.imbalance or any(mass < 0 for mass in self._significant_masses(flow)):
            if reduced is None:
                raise NumericError("no plan uses the solver's pairs")
            costs = reduced()
            self.edges = self._spanning(rows, columns, masses, costs)
            flow = self._make_feasible(costs)
        while True:
            kept = [number for number, mass in enumerate(self._significant_masses(flow)) if mass > 0]
            if len(kept) == len(self.edges):
                break
            self.edges = [self.edges[number] for number in kept]
            flow = self._flow()
            if flow.imbalance:
                raise NumericError("the rounding of the weights determines which pairs are used")
        edges = np.array(self.edges, dtype=np.int64).reshape(-1, 2)
        return Moves(
            rows=edges[:, 0],
            columns=edges[:, 1] - self.shape[0],
            masses=np.array([mass / self.total for mass in flow.masses]),
        )

    def tighten(self, costs: Floats, f: Floats, g: Floats) -> tuple[Floats, Floats]:
        """Potentials with f_i + g_j = c_ij on every edge, unchanged at the heaviest point of each tree.

        The network simplex ignores points of less than about 1e-15 of the mass, so their potentials are wrong.

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

    def _significant_masses(self, flow: _Flow) -> list[int]:
        """The masses, with 0 in place of those that the rounding of the weights explains."""
        pairs = zip(flow.masses, flow.sides, strict=True)
        return [0 if abs(mass) << _ROUNDING_BITS <= side else mass for mass, side in pairs]

    def _acyclic(self, rows: Indices, columns: Indices, masses: Floats) -> list[tuple[int, int]]:
        """The forest of the pairs of largest mass (Kruskal)."""
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

    def _spanning(self, rows: Indices, columns: Indices, masses: Floats, reduced: Floats) -> list[tuple[int, int]]:
        """A spanning tree: the pairs of the solver by decreasing mass, then the others by increasing reduced cost."""
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

    def _make_feasible(self, reduced: Floats) -> _Flow:
        """Exchange pairs of negative mass for the pair of least reduced cost, until no mass is negative."""
        num_rows = self.shape[0]
        for _ in range(2 * len(self.supply)):
            flow = self._flow()
            masses = self._significant_masses(flow)
            worst = min(range(len(masses)), key=masses.__getitem__)
            if masses[worst] >= 0:
                return flow
            row = self.edges[worst][0]
            del self.edges[worst]
            inside = self._connected(row)
            from_rows, to_columns = (~inside[:num_rows]).nonzero()[0], inside[num_rows:].nonzero()[0]
            if not (len(from_rows) and len(to_columns)):
                break
            candidates = reduced[np.ix_(from_rows, to_columns)]
            best_row, best_column = np.unravel_index(candidates.argmin(), candidates.shape)
            self.edges.append((int(from_rows[best_row]), num_rows + int(to_columns[best_column])))
        raise NumericError("no feasible tree of pairs was found")

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
        """Each tree as (node, parent, edge between them), parents first, from its heaviest point as the root."""
        neighbours = self._neighbours()
        seen = [False] * len(self.supply)
        for root in self.heaviest_first:
            if seen[root]:
                continue
            seen[root] = True
            tree = [(root, -1, -1)]
            for node, _, _ in tree:  # grows during the loop
                for other, number in neighbours[node]:
                    if not seen[other]:
                        seen[other] = True
                        tree.append((other, node, number))
            yield tree

    def _flow(self) -> _Flow:
        """Sum the weights from the leaves to the root of each tree, where the imbalance remains."""
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
