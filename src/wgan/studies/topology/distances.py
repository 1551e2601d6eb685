"""Two distributions on finitely many points, and six distances between them."""

from __future__ import annotations

from dataclasses import asdict, dataclass

import torch
from torch import Tensor

from wgan.divergences import divergence, js
from wgan.transport.costs import cost_matrix
from wgan.transport.exact import exact
from wgan.transport.measures import Array, as_points, as_weights


@dataclass(frozen=True, kw_only=True)
class Distances:
    """Six distances between two distributions P_n and P; each 0-d, float64.

    Attributes:
        wasserstein: W1(P_n, P), in the units of the points.
        weak: W1 under the bounded metric min(d, 1), at most 1. On a complete separable space it converges to 0 if and
            only if P_n converges to P in distribution.
        total_variation: sup over sets A of |P_n(A) - P(A)|, at most 1.
        jensen_shannon: The usual JS, in nats, at most log 2.
        kl: KL(P_n || P), in nats.
        reverse_kl: KL(P || P_n), in nats.
    """

    wasserstein: Tensor
    weak: Tensor
    total_variation: Tensor
    jensen_shannon: Tensor
    kl: Tensor
    reverse_kl: Tensor

    def as_numbers(self) -> dict[str, float]:
        """The six values by name."""
        return {name: float(value) for name, value in asdict(self).items()}


@dataclass(frozen=True, kw_only=True)
class DiscretePair:
    """Two distributions on finitely many points.

    Attributes:
        points: Distinct points, shape (K, D), float64.
        p: Probabilities under P_n, shape (K,), float64.
        q: Probabilities under P, shape (K,), float64.
    """

    points: Tensor
    p: Tensor
    q: Tensor

    @classmethod
    def of(cls, points: Array, p: Array, q: Array) -> DiscretePair:
        """Two distributions on points that may repeat: equal points are merged.

        Args:
            points: Shape (K, ...), or (K,) for points on the line.
            p: Shape (K,), at least 0, summing to 1.
            q: Shape (K,), at least 0, summing to 1.

        Raises:
            UsageError: Shapes that do not match, or invalid probabilities.
            NumericError: Numbers that are not finite.
        """
        repeated = as_points(points, "points")
        weights = as_weights(p, len(repeated), "p"), as_weights(q, len(repeated), "q")
        distinct, index = torch.unique(repeated.detach(), dim=0, return_inverse=True)
        representative = torch.zeros(len(distinct), dtype=torch.int64, device=index.device)
        representative[index] = torch.arange(len(repeated), device=index.device)  # keeps the graph of the points
        p, q = (w.new_zeros(len(distinct)).index_add(0, index, w) for w in (w.to(index.device) for w in weights))
        return cls(points=repeated[representative], p=p, q=q)

    def distances(self) -> Distances:
        """All distances of the pair, W1 differentiable with respect to the points.

        O(K²) memory, and the time of two transport problems.

        Raises:
            NumericError: A transport problem was not solved.
        """
        of_p, of_q = self.p > 0, self.q > 0
        x, y, a, b = self.points[of_p], self.points[of_q], self.p[of_p], self.q[of_q]
        bounded = cost_matrix(x, y).clamp(max=1.0)
        return Distances(
            wasserstein=exact(x, y, x_weights=a, y_weights=b).distance,
            weak=exact(cost=bounded, x_weights=a, y_weights=b).distance,
            total_variation=divergence(self.p, self.q, "total_variation"),
            jensen_shannon=js(self.p, self.q),
            kl=divergence(self.p, self.q, "kl"),
            reverse_kl=divergence(self.p, self.q, "reverse_kl"),
        )

    @property
    def diameter(self) -> float:
        """The largest distance between two of the points."""
        return float(cost_matrix(self.points, self.points).max())


def discrete_distances(points: Array, p: Array, q: Array) -> Distances:
    """All distances between two discrete distributions.

    Args:
        points: Shape (K, ...), or (K,) for points on the line; equal points are merged.
        p: Probabilities under P_n, shape (K,).
        q: Probabilities under P, shape (K,).

    Returns:
        The six distances, each 0-d, float64.

    Raises:
        UsageError: Shapes that do not match, or invalid probabilities.
        NumericError: Numbers that are not finite.

    Example:
        >>> far = discrete_distances([0.0, 3.0], [1.0, 0.0], [0.0, 1.0])
        >>> float(far.wasserstein), float(far.total_variation), float(far.kl)
        (3.0, 1.0, inf)
    """
    return DiscretePair.of(points, p, q).distances()
