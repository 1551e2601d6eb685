"""The dual of a transport problem with one 1-Lipschitz function on the points of both sides, as a linear program.

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
from wgan.transport.costs import Cost, cost_matrix, is_matrix
from wgan.transport.highs import first_at_zero, minimise
from wgan.transport.measures import Array, as_pair
from wgan.transport.proving import Proof

OPTIMALITY_OF_FUNCTION = 1e-9
"""By what share the value of the function may differ from the plan's cost."""

_SLACK = 1e-9
"""By what share of a distance rounding may break an axiom."""


@dataclass(frozen=True, kw_only=True)
class LipschitzFunction:
    """The dual with one function: max sum_k (a_k - b_k) f_k subject to f_k - f_l <= d_kl for all points of both sides.

    Attributes:
        value: sum_k (a_k - b_k) f_k, 0-d, float64: equal to the optimum of the transport problem.
        function: f on the K distinct points of both sides, shape (K,); f_0 = 0, since a constant changes nothing.
        x_places: Which of the K points each x_i is, shape (N,), int64.
        y_places: Which of the K points each y_j is, shape (M,), int64.
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
    """The distinct points of both sides: the distances between them, and which of them x and y are."""

    distances: Tensor
    x_places: Tensor
    y_places: Tensor


def joint_support(x: Array | None, y: Array | None, cost: Cost, p: float, costs: Tensor) -> Support | str:
    """The joint support where the cost is a metric on it, and otherwise why not.

    Args:
        x: Shape (N, ...); None with a matrix.
        y: Shape (M, ...); None with a matrix.
        cost: As in `cost_matrix`.
        p: The power of the distance.
        costs: Those of all pairs, shape (N, M).
    """
    num_x, num_y = costs.shape
    if not bool(costs.isfinite().all()):
        return "the cost forbids pairs, and a metric is finite"
    if is_matrix(cost):
        distances = costs
        if num_x != num_y or bool(distances.diagonal().any()):
            return (
                "a matrix of costs between two sets leaves the distances within each unknown, unless it is square "
                "with zeros on the diagonal: then both are one set"
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
    """What keeps a matrix from being a metric up to rounding, or "". Distinct points may be at distance 0."""
    if not np.isfinite(distances).all():
        return "the cost forbids pairs, and a metric is finite"
    # Rounding is a share of what is compared, not of the largest distance.
    staying = np.abs(distances.diagonal())
    if (staying > _SLACK * np.median(np.abs(distances))).any():
        return f"the cost of staying is not 0 everywhere: {staying.max():.6g}"
    if (off_diagonal := distances - np.diag(distances.diagonal())).min() < 0.0:
        return f"the cost is negative somewhere: {off_diagonal.min():.6g}"
    difference = np.abs(distances - distances.T) - _SLACK * (distances + distances.T)
    if difference.max() > 0.0 and len(distances) > 1:
        i, j = np.unravel_index(difference.argmax(), distances.shape)
        if i != j:
            return f"the cost is not symmetric: {distances[i, j]:.6g} there and {distances[j, i]:.6g} back"
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


def solve_lipschitz(a: Tensor, b: Tensor, support: Support, proof: Proof) -> LipschitzFunction:
    """Solve max <a - b, f> subject to f_k - f_l <= d_kl for all pairs k != l, with f_0 = 0.

    Where distances differ too much in size for HiGHS, the function is the c-transform of proven potentials instead,
    which is 1-Lipschitz because a distance is.

    Args:
        a: Weights of x, shape (N,).
        b: Weights of y, shape (M,).
        support: The points of both sides.
        proof: Optimal potentials of the problem.

    Raises:
        NumericError: Neither function is worth what the plan costs.
    """
    d, x_places, y_places = (part.cpu() for part in support)
    for is_second in (False, True):
        function = _from_potentials(d, y_places, proof) if is_second else _by_highs(a, b, d, x_places, y_places)
        if function is None:
            continue
        # The smallest function above it that is 1-Lipschitz on all points, rounding aside (McShane).
        function = (d + function).amin(dim=1)
        function = function - function[0]
        value = _value(a, b, function, x_places, y_places)
        violation = float(((function[:, None] - function).abs() - d).max().clamp(min=0.0))
        if abs(value - proof.size) <= OPTIMALITY_OF_FUNCTION * proof.size:
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
        f"no 1-Lipschitz function was found that is worth the cost of the plan, {proof.size:.6g}",
        remedy="Leave it out by reduce=False: float64 has too few digits for distances of such different sizes.",
    )


def _value(a: Tensor, b: Tensor, function: Tensor, x_places: Tensor, y_places: Tensor) -> float:
    sides = (a, function[x_places], b, -function[y_places])
    return weighted_value(*(side.numpy() for side in sides))


def _by_highs(a: Tensor, b: Tensor, d: Tensor, x_places: Tensor, y_places: Tensor) -> Tensor | None:
    from scipy.sparse import csr_array

    num = len(d)
    difference = torch.zeros(num, dtype=torch.float64, device="cpu")
    difference.index_add_(0, x_places, a).index_add_(0, y_places, -b)
    distances = d.numpy()
    scale = float(distances.max()) or 1.0
    first, second = np.nonzero(~np.eye(num, dtype=bool))
    pairs = np.arange(len(first))
    entries = np.concatenate([np.ones(len(pairs)), -np.ones(len(pairs))])
    places = (np.concatenate([pairs, pairs]), np.concatenate([first, second]))
    try:
        values = minimise(
            -difference.numpy(),
            "Lipschitz",
            A_ub=csr_array((entries, places), shape=(len(pairs), num)) if len(pairs) else None,
            b_ub=distances[first, second] / scale if len(pairs) else None,
            bounds=first_at_zero(num),
        )
    except NumericError:
        return None
    return torch.from_numpy(scale * values)


def _from_potentials(d: Tensor, y_places: Tensor, proof: Proof) -> Tensor:
    return (d[:, y_places] - proof.target_potential).amin(dim=1)
