"""Two distributions on finitely many points, and how far apart they are in six senses."""

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
    """How far two distributions P_n and P are apart, in six senses; each 0-d, float64.

    Attributes:
        wasserstein: W1(P_n, P), in the units of the points.
        weak: The same under the bounded metric min(d, 1), at most 1: it converges to 0 just where P_n converges to P in
            distribution, on every complete separable space.
        total_variation: sup over sets A of |P_n(A) - P(A)|, at most 1.
        jensen_shannon: The usual one, in nats, at most log 2.
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
        points: Different points, shape (K, D), float64.
        p: Probabilities under P_n, shape (K,), float64.
        q: Probabilities under P, shape (K,), float64.
    """

    points: Tensor
    p: Tensor
    q: Tensor

    @classmethod
    def of(cls, points: Array, p: Array, q: Array) -> DiscretePair:
        """Two distributions on points of which some may be equal: those are made one.

        Args:
            points: Shape (K, ...), or (K,) for points on the line.
            p: Shape (K,), at least 0, summing to 1.
            q: Shape (K,), at least 0, summing to 1.

        Raises:
            UsageError: Shapes that do not fit, or probabilities that are none.
            NumericError: Numbers that are not finite.
        """
        given = as_points(points, "points")
        masses = as_weights(p, len(given), "p"), as_weights(q, len(given), "q")
        different, place = torch.unique(given.detach(), dim=0, return_inverse=True)
        first = torch.zeros(len(different), dtype=torch.int64, device=place.device)
        first[place] = torch.arange(len(given), device=place.device)  # one of the equal ones, with its graph
        p, q = (mass.to(place.device) for mass in masses)
        return cls(points=given[first], p=_gathered(p, place, len(first)), q=_gathered(q, place, len(first)))

    def distances(self) -> Distances:
        """All distances of the pair: W differentiable with respect to points, the others as far as they are.

        O(K²) memory, and the time of two transport problems.

        Raises:
            NumericError: A transport problem that was not solved.
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
        """The largest distance between two of the points: what makes the space compact, in a number."""
        return float(cost_matrix(self.points, self.points).max())


def _gathered(masses: Tensor, place: Tensor, num: int) -> Tensor:
    return masses.new_zeros(num).index_add(0, place, masses)


def discrete_distances(points: Array, p: Array, q: Array) -> Distances:
    """All distances between two discrete distributions.

    Args:
        points: Shape (K, ...), or (K,) for points on the line; equal ones are made one.
        p: Probabilities under P_n, shape (K,).
        q: Probabilities under P, shape (K,).

    Returns:
        Six numbers, each 0-d, float64.

    Raises:
        UsageError: Shapes that do not fit, or probabilities that are none.
        NumericError: Numbers that are not finite.

    Example:
        >>> far = discrete_distances([0.0, 3.0], [1.0, 0.0], [0.0, 1.0])
        >>> float(far.wasserstein), float(far.total_variation), float(far.kl)
        (3.0, 1.0, inf)
    """
    return DiscretePair.of(points, p, q).distances()
