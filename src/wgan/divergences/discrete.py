"""f-divergences between discrete distributions, exact where probabilities are 0."""

from __future__ import annotations

from torch import Tensor

from wgan.divergences.divergence import Divergence
from wgan.divergences.table import as_divergence
from wgan.errors import UsageError
from wgan.transport.measures import Array, as_float64, as_weights


def divergence(p: Array, q: Array, kind: Divergence | str) -> Tensor:
    """The f-divergence of two discrete distributions on the same cells.

    D(P‖Q) = sum of q f(p/q) where q > 0, plus P's mass where q = 0 times the limit of f(u)/u as u grows. Cells where
    both are 0 count nothing.

    Args:
        p: Probabilities under P, the data: any shape, at least 0, summing to 1.
        q: Probabilities under Q, the model: the same shape.
        kind: A row of the table, or its word ("kl", "weighted_jensen_shannon:pi=0.3").

    Returns:
        0-d, float64, in nats; +inf where it is. Differentiable: the gradient is that on the simplex, free of a
        component along its normal. Cells where p or q is 0 are held there.

    Raises:
        UsageError: Shapes that differ, negative probabilities, another sum, or an unknown divergence.
        NumericError: Probabilities that are not finite.

    Cost: O(K) time and memory for K cells.

    Example:
        >>> p, q = [0.5, 0.5, 0.0], [0.25, 0.25, 0.5]
        >>> print(f"{divergence(p, q, 'kl'):.4f} {divergence(p, q, 'reverse_kl')}")
        0.6931 inf
    """
    row = as_divergence(kind)
    p, q = _as_distributions(p, q)
    # The ratio is formed so that it is at most 1: nothing overflows, however small the other probability is.
    rises, falls = (p <= q) & (p > 0), (q < p) & (q > 0)
    total = (q[rises] * row.f(p[rises] / q[rises])).sum() + (p[falls] * row.reverse.f(q[falls] / p[falls])).sum()
    for mass, cost in ((q[p == 0].sum(), row.at_zero), (p[q == 0].sum(), row.reverse.at_zero)):
        if bool(mass > 0):
            total = total + mass * cost
    return total


def js(p: Array, q: Array) -> Tensor:
    """The usual Jensen-Shannon divergence ½ KL(P‖M) + ½ KL(Q‖M) with M = (P + Q)/2, in [0, log 2].

    It is half of the row `jensen_shannon`, which has no ½ (as in the text of the WGAN paper, whose example 1 then says
    log 2, the value of the one here), and equal to `weighted_jensen_shannon` at pi = ½. Its square root is a metric.

    Args:
        p: Probabilities: any shape, at least 0, summing to 1.
        q: The same shape.

    Returns:
        0-d, float64, in nats, differentiable as `divergence` is.

    Raises:
        UsageError: As `divergence`.
        NumericError: Probabilities that are not finite.

    Cost: O(K) time and memory for K cells.

    Source: Lin (1991); Endres and Schindelin (2003) for the metric.

    Example:
        >>> print(f"{js([1.0, 0.0], [0.0, 1.0]):.4f}")
        0.6931
    """
    return 0.5 * divergence(p, q, "jensen_shannon")


def _as_distributions(p: Array, q: Array) -> tuple[Tensor, Tensor]:
    first, second = as_float64(p, "p"), as_float64(q, "q")
    if first.shape != second.shape:
        raise UsageError(
            f"p and q must be probabilities of the same cells, but have shapes {tuple(first.shape)} and "
            f"{tuple(second.shape)}",
            remedy="Give cells that one of them does not have the probability 0.",
        )
    flat_p, flat_q = first.reshape(-1), second.reshape(-1).to(first.device)
    return as_weights(flat_p, len(flat_p), "p"), as_weights(flat_q, len(flat_q), "q")
