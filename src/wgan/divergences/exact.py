"""Exact f-divergences between discrete distributions and between Gaussians."""

from __future__ import annotations

from torch import Tensor

from wgan.divergences.base import Divergence
from wgan.divergences.normal import as_normal
from wgan.divergences.table import as_divergence
from wgan.errors import UsageError
from wgan.transport.measures import Array, as_float64, as_weights


def divergence(p: Array, q: Array, kind: Divergence | str) -> Tensor:
    """The f-divergence of two discrete distributions on the same cells.

    D(P‖Q) = sum of q f(p/q) over q > 0, plus P's mass where q = 0 times the limit of f(u)/u as u grows. Cells where
    both are 0 contribute nothing.

    Args:
        p: Probabilities under P, the data: any shape, at least 0, summing to 1.
        q: Probabilities under Q, the model: the same shape.
        kind: A divergence, or its name with parameters ("kl", "weighted_jensen_shannon:pi=0.3").

    Returns:
        0-d, float64, in nats; may be +inf. Differentiable: the gradient is tangent to the simplex, and treats zeros of
        p and q as constants.

    Raises:
        UsageError: Shapes that differ, probabilities that are negative or do not sum to 1, or an unknown divergence.
        NumericError: Probabilities that are not finite.

    Cost: O(K) time and memory for K cells.

    Example:
        >>> p, q = [0.5, 0.5, 0.0], [0.25, 0.25, 0.5]
        >>> print(f"{divergence(p, q, 'kl'):.4f} {divergence(p, q, 'reverse_kl')}")
        0.6931 inf
    """
    row = as_divergence(kind)
    p, q = _as_distributions(p, q)
    # Ratios of at most 1 cannot overflow: where p > q the reverse divergence takes q/p.
    low, high = (p <= q) & (p > 0), (q < p) & (q > 0)
    total = (q[low] * row.f(p[low] / q[low])).sum() + (p[high] * row.reverse.f(q[high] / p[high])).sum()
    for mass, cost in ((q[p == 0].sum(), row.at_zero), (p[q == 0].sum(), row.reverse.at_zero)):
        if bool(mass > 0):
            total = total + mass * cost
    return total


def js(p: Array, q: Array) -> Tensor:
    """The usual Jensen-Shannon divergence ½ KL(P‖M) + ½ KL(Q‖M) with M = (P + Q)/2, in [0, log 2].

    It is half of `jensen_shannon`, which has no factor ½, and equal to `weighted_jensen_shannon` at pi = ½. The text of
    the WGAN paper defines the divergence without ½, but the value log 2 in its example 1 is that with ½. Its square
    root is a metric.

    Args:
        p: Probabilities: any shape, at least 0, summing to 1.
        q: The same shape.

    Returns:
        0-d, float64, in nats, differentiable like `divergence`.

    Raises:
        UsageError: Like `divergence`.
        NumericError: Probabilities that are not finite.

    Cost: O(K) time and memory for K cells.

    Source: Lin (1991); Endres and Schindelin (2003) for the metric.

    Example:
        >>> print(f"{js([1.0, 0.0], [0.0, 1.0]):.4f}")
        0.6931
    """
    return 0.5 * divergence(p, q, "jensen_shannon")


def gaussian_divergence(
    p_mean: Array | float,
    p_covariance: Array | float,
    q_mean: Array | float,
    q_covariance: Array | float,
    kind: Divergence | str,
) -> Tensor:
    """The f-divergence of two normal distributions in any dimension, in closed form.

    kl, reverse_kl, jeffrey and squared_hellinger are always finite. With P = N(μp, Σp) and Q = N(μq, Σq), the others
    are finite if and only if a matrix is positive definite: 2 Σp⁻¹ − Σq⁻¹ for pearson, 2 Σq⁻¹ − Σp⁻¹ for neyman, and
    α Σp⁻¹ + (1 − α) Σq⁻¹ for alpha.

    Args:
        p_mean: Mean of P, the data: shape (D,), or a number on the line.
        p_covariance: Its covariance: shape (D, D), or the variance as a number.
        q_mean: Mean of Q, the model.
        q_covariance: Its covariance.
        kind: A divergence, or its name with parameters.

    Returns:
        0-d, float64, in nats, differentiable; +inf if the divergence is infinite (up to rounding) or overflows float64.

    Raises:
        UsageError: Shapes that do not match, a covariance that is not symmetric and positive definite, an unknown
            divergence, or one without a closed form.
        NumericError: Numbers that are not finite.

    Cost: O(D³) time, O(D²) memory.

    Source: See the classes of the divergences and `wgan.divergences.normal`.

    Example:
        >>> print(f"{gaussian_divergence(0.0, 1.0, 3.0, 1.0, 'kl'):.4f}")
        4.5000
        >>> print(gaussian_divergence(0.0, 2.0, 0.0, 1.0, "pearson"))
        tensor(inf, dtype=torch.float64)
    """
    row = as_divergence(kind)
    p, q = as_normal(p_mean, p_covariance, "p"), as_normal(q_mean, q_covariance, "q")
    if len(p.mean) != len(q.mean):
        raise UsageError(f"a Gaussian of {len(p.mean)} dimensions (p) cannot be compared with one of {len(q.mean)} (q)")
    return row.of_gaussians(p, q.to(p.mean.device))


def _as_distributions(p: Array, q: Array) -> tuple[Tensor, Tensor]:
    first, second = as_float64(p, "p"), as_float64(q, "q")
    if first.shape != second.shape:
        raise UsageError(
            f"p and q must be probabilities of the same cells, but have shapes {tuple(first.shape)} and "
            f"{tuple(second.shape)}",
            remedy="Use probability 0 for cells that only one of them has.",
        )
    flat_p, flat_q = first.reshape(-1), second.reshape(-1).to(first.device)
    return as_weights(flat_p, len(flat_p), "p"), as_weights(flat_q, len(flat_q), "q")
