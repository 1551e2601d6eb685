"""The Kantorovich-Rubinstein dual, with one 1-Lipschitz function on the points of both sides, as a linear program.

Source: Kantorovich and Rubinstein; Villani (2009), remark 6.5.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from wgan.errors import NumericError
from wgan.transport.arithmetic import Floats, weighted_value
from wgan.transport.certificates import Certificate
from wgan.transport.costs import Cost, cost_matrix, is_matrix
from wgan.transport.measures import Array, as_pair
from wgan.transport.solvers import anchored_bounds, solve_program

OPTIMALITY_OF_FUNCTION = 1e-9
"""The relative difference allowed between the value of the function and the plan's cost."""

_SLACK = 1e-9
"""The relative violation of a metric's axioms that counts as rounding."""


@dataclass(frozen=True, kw_only=True)
class LipschitzFunction:
    """The dual with one function: max sum_k (a_k - b_k) f_k subject to f_k - f_l <= d_kl for all points of both sides.

    Attributes:
        value: sum_k (a_k - b_k) f_k, 0-d, float64: equal to the optimum of the transport problem.
        function: f on the K distinct points of both sides, shape (K,); f_0 = 0, since f is unique up to a constant.
        x_places: The index of each x_i among the K points, shape (N,), int64.
        y_places: The index of each y_j among the K points, shape (M,), int64.
        distances: d between the K points, shape (K, K).
        violation: The largest |f_k - f_l| - d_kl, at least 0.
    """

    value: Tensor
    function: Tensor = field(repr=False)
    x_places: Tensor = field(repr=False)
    y_places: Tensor = field(repr=False)
    distances: Tensor = field(repr=False)
    violation: float

    @property
    def potentials(self) -> Tensor:
        """F = (f, -f) on x and y, shape (N + M,): potentials of the full dual."""
        return torch.cat([self.function[self.x_places], -self.function[self.y_places]])


class Support(NamedTuple):
    """The distinct points of both sides: their distances, and the indices of x and y among them."""

    distances: Tensor
    x_places: Tensor
    y_places: Tensor


def joint_support(x: Array | None, y: Array | None, cost: Cost, p: float, costs: Tensor) -> Support | str:
    """The joint support if the cost is a metric on it, and otherwise the reason why it is not.

    Args:
        x: Shape (N, ...); None if the cost is a matrix.
        y: Shape (M, ...); None if the cost is a matrix.
        cost: As in `cost_matrix`.
        p: The power of the distance.
        costs: The costs of all pairs, shape (N, M).
    """
    num_x, num_y = costs.shape
    if not bool(costs.isfinite().all()):
        return "the cost forbids pairs, and a metric is finite"
    if is_matrix(cost):
        distances = costs
        if num_x != num_y or bool(distances.diagonal().any()):
            return (
                "a cost matrix between two sets does not contain the distances within each, unless it is square with a "
                "zero diagonal: then both are one set"
            )
        x_places = y_places = torch.arange(num_x, device=distances.device)
    else:
        assert x is not None
        assert y is not None
        points = torch.cat(as_pair(x, y)).detach()
        points, places = torch.unique(points, dim=0, return_inverse=True)
        distances = cost_matrix(points, points, cost, p).detach()
        x_places, y_places = places[:num_x], places[num_x:]
    return _broken_axiom(distances.cpu().numpy()) or Support(distances, x_places, y_places)


def _broken_axiom(distances: Floats) -> str:
    """The axiom of a metric that a matrix breaks by more than rounding, or "". Distinct points may be at distance 0."""
    if not np.isfinite(distances).all():
        return "the cost forbids pairs, and a metric is finite"
    # The tolerance is relative to the distances that are compared, not to the largest distance.
    diagonal = np.abs(distances.diagonal())
    if (diagonal > _SLACK * np.median(np.abs(distances))).any():
        return f"the cost of a point to itself is not 0 everywhere: {diagonal.max():.6g}"
    if (off_diagonal := distances - np.diag(distances.diagonal())).min() < 0.0:
        return f"the cost is negative somewhere: {off_diagonal.min():.6g}"
    difference = np.abs(distances - distances.T) - _SLACK * (distances + distances.T)
    if difference.max() > 0.0 and len(distances) > 1:
        i, j = np.unravel_index(difference.argmax(), distances.shape)
        if i != j:
            return f"the cost is not symmetric: {distances[i, j]:.6g} and {distances[j, i]:.6g} between two points"
    worst, where = 0.0, None
    allowed = (1.0 - _SLACK) * off_diagonal
    for k in range(len(distances)):
        excess = allowed - distances[:, k, None] - distances[k]
        if excess.max() > worst:
            worst, where = float(excess.max()), (k, *np.unravel_index(excess.argmax(), excess.shape))
    if where is None:
        return ""
    k, i, j = where
    return (
        "the cost breaks the triangle inequality on the joint support: "
        f"{distances[i, j]:.6g} > {distances[i, k]:.6g} + {distances[k, j]:.6g}"
    )


def solve_lipschitz(a: Tensor, b: Tensor, support: Support, certificate: Certificate) -> LipschitzFunction:
    """Solve max <a - b, f> subject to f_k - f_l <= d_kl for all pairs k != l, with f_0 = 0.

    If the magnitudes of the distances differ too much for HiGHS, the function is instead the c-transform of optimal
    potentials, which is 1-Lipschitz because the cost is a metric.

    Args:
        a: Weights of x, shape (N,).
        b: Weights of y, shape (M,).
        support: The points of both sides.
        certificate: Optimal potentials of the problem.

    Raises:
        NumericError: The value of neither function equals the cost of the plan.
    """
    d, x_places, y_places = (part.cpu() for part in support)
    transform = (d[:, y_places] - certificate.target_potential).amin(dim=1)
    for function in (_solve_program(a, b, d, x_places, y_places), transform):
        if function is None:
            continue
        # The largest 1-Lipschitz function below it on all points, up to rounding (McShane).
        function = (d + function).amin(dim=1)
        function = function - function[0]
        value = _value(a, b, function, x_places, y_places)
        violation = float(((function[:, None] - function).abs() - d).max().clamp(min=0.0))
        if abs(value - certificate.absolute_cost) <= OPTIMALITY_OF_FUNCTION * certificate.absolute_cost:
            device = support.distances.device
            return LipschitzFunction(
                value=torch.tensor(value, dtype=torch.float64, device=device),
                function=function.to(device),
                x_places=support.x_places,
                y_places=support.y_places,
                distances=support.distances,
                violation=violation,
            )
    raise NumericError(
        f"no 1-Lipschitz function was found whose value is the cost of the plan, {certificate.absolute_cost:.6g}",
        remedy="Skip it with reduce=False: float64 has too few digits for distances of such different magnitudes.",
    )


def _value(a: Tensor, b: Tensor, function: Tensor, x_places: Tensor, y_places: Tensor) -> float:
    potentials = (a, function[x_places], b, -function[y_places])
    return weighted_value(*(values.numpy() for values in potentials))


def _solve_program(a: Tensor, b: Tensor, d: Tensor, x_places: Tensor, y_places: Tensor) -> Tensor | None:
    from scipy.sparse import csr_array

    num = len(d)
    difference = torch.zeros(num, dtype=torch.float64, device="cpu")
    difference.index_add_(0, x_places, a).index_add_(0, y_places, -b)
    distances = d.numpy()
    scale = float(distances.max()) or 1.0
    first, second = np.nonzero(~np.eye(num, dtype=bool))
    pairs = np.arange(len(first))
    entries = np.concatenate([np.ones(len(pairs)), -np.ones(len(pairs))])
    indices = (np.concatenate([pairs, pairs]), np.concatenate([first, second]))
    try:
        values = solve_program(
            -difference.numpy(),
            "Lipschitz",
            A_ub=csr_array((entries, indices), shape=(len(pairs), num)) if len(pairs) else None,
            b_ub=distances[first, second] / scale if len(pairs) else None,
            bounds=anchored_bounds(num),
        )
    except NumericError:
        return None
    return torch.from_numpy(scale * values)
