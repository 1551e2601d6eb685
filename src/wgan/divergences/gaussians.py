"""f-divergences between normal distributions, in closed form."""

from __future__ import annotations

from torch import Tensor

from wgan.divergences.divergence import Divergence
from wgan.divergences.normal import as_normal
from wgan.divergences.table import as_divergence
from wgan.errors import UsageError
from wgan.transport.measures import Array


def gaussian_divergence(
    p_mean: Array | float,
    p_covariance: Array | float,
    q_mean: Array | float,
    q_covariance: Array | float,
    kind: Divergence | str,
) -> Tensor:
    """The f-divergence of two normal distributions of any dimension, for rows with a closed form.

    kl, reverse_kl, jeffrey and squared_hellinger are always finite. The others are, with P = N(μp, Σp) and
    Q = N(μq, Σq), if and only if a matrix is positive definite: 2 Σp⁻¹ − Σq⁻¹ for pearson, 2 Σq⁻¹ − Σp⁻¹ for neyman,
    α Σp⁻¹ + (1 − α) Σq⁻¹ for alpha.

    Args:
        p_mean: Mean of P, the data: shape (D,), or a number on the line.
        p_covariance: Its covariance: shape (D, D), or the variance as a number.
        q_mean: Mean of Q, the model.
        q_covariance: Its covariance.
        kind: A row of the table, or its word.

    Returns:
        0-d, float64, in nats, differentiable; +inf where the divergence is infinite, up to rounding at the border, and
        where it is beyond the range of float64.

    Raises:
        UsageError: Shapes that do not fit, a covariance that is not symmetric and positive definite, an unknown
            divergence, or one without a closed form.
        NumericError: Numbers that are not finite.

    Cost: O(D³) time, O(D²) memory.

    Source: see the rows and `wgan.divergences.normal`.

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
