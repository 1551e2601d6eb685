"""A reference solver of transport problems in exact integer arithmetic, by successive shortest paths.

Source: Ahuja, Magnanti and Orlin (1993), Network flows, section 9.7.
"""

import math
from fractions import Fraction


def least_cost(costs, supply, demand):
    """The least cost of moving `supply` to `demand`, divided by the total mass, as a fraction; None if infeasible.

    Args:
        costs: Rows of numbers, float or Fraction; infinite for forbidden pairs.
        supply: Integers, one for each row.
        demand: Integers with the same sum, one for each column.
    """
    assert sum(supply) == sum(demand)
    num_rows, num_columns = len(supply), len(demand)
    exact = [[None if value == math.inf else Fraction(value) for value in row] for row in costs]
    allowed = [value for row in exact for value in row if value is not None]
    unit = math.lcm(*(value.denominator for value in allowed)) if allowed else 1
    least = min(allowed, default=Fraction(0))
    whole = [[None if value is None else int((value - least) * unit) for value in row] for row in exact]
    supply, demand = list(supply), list(demand)
    flow = [[0] * num_columns for _ in supply]
    prices = [0] * (num_rows + num_columns)
    while any(supply):
        found = _shortest_path(whole, flow, supply, demand, prices)
        if found is None:
            return None
        path, distances = found
        prices = [price + distance for price, distance in zip(prices, distances, strict=True)]
        back = [flow[row][column] for row, column, forward in path if not forward]
        amount = min([supply[path[0][0]], demand[path[-1][1]], *back])
        for row, column, forward in path:
            flow[row][column] += amount if forward else -amount
        supply[path[0][0]] -= amount
        demand[path[-1][1]] -= amount
    moved = sum(
        flow[row][column] * exact[row][column]
        for row in range(num_rows)
        for column in range(num_columns)
        if flow[row][column]
    )
    return Fraction(moved) / sum(map(sum, flow))


def _shortest_path(costs, flow, supply, demand, prices):
    """Dijkstra over reduced costs, from all rows with supply to the nearest column with demand."""
    num_rows, num_columns = len(supply), len(demand)
    distances = [0 if left else None for left in supply] + [None] * num_columns
    before, done, last = [None] * len(distances), [False] * len(distances), None
    while True:
        open_nodes = [node for node, distance in enumerate(distances) if distance is not None and not done[node]]
        if not open_nodes:
            return None
        node = min(open_nodes, key=distances.__getitem__)
        done[node] = True
        if node >= num_rows and demand[node - num_rows]:
            last = node
            break
        for other, length in _steps(node, costs, flow, num_rows, num_columns):
            total = distances[node] + length + prices[node] - prices[other]
            if distances[other] is None or total < distances[other]:
                distances[other], before[other] = total, node
    furthest = distances[last]
    path = []
    while before[last] is not None:
        node = before[last]
        path.append((node, last - num_rows, True) if node < num_rows else (last, node - num_rows, False))
        last = node
    capped = [furthest if distance is None else min(distance, furthest) for distance in distances]
    return path[::-1], capped


def _steps(node, costs, flow, num_rows, num_columns):
    if node < num_rows:
        return [(num_rows + j, costs[node][j]) for j in range(num_columns) if costs[node][j] is not None]
    j = node - num_rows
    return [(i, -costs[i][j]) for i in range(num_rows) if flow[i][j]]
