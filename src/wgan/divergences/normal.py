"""Normal distributions in any dimension, and the two integrals behind all closed forms between them."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from wgan.errors import UsageError
from wgan.transport.measures import Array, as_float64

_ASYMMETRY = 1e-6
"""The asymmetry of a covariance that counts as float32 rounding, relative to its variances."""


@dataclass(frozen=True, kw_only=True)
class Normal:
    """A nondegenerate normal distribution.

    Attributes:
        mean: Shape (D,), float64.
        covariance: Shape (D, D), float64, symmetric and positive definite.
        factor: The Cholesky factor L of the covariance L Lᵀ, lower triangular.
    """

    mean: Tensor
    covariance: Tensor
    factor: Tensor

    def to(self, device: torch.device) -> Normal:
        """The same distribution on another device."""
        return Normal(mean=self.mean.to(device), covariance=self.covariance.to(device), factor=self.factor.to(device))

    @property
    def log_determinant(self) -> Tensor:
        """The logarithm of the covariance's determinant, 0-d."""
        return 2.0 * self.factor.diagonal().log().sum()


def as_normal(mean: Array | float, covariance: Array | float, name: str) -> Normal:
    """A normal distribution from its mean and covariance, which may be numbers in one dimension.

    Args:
        mean: Shape (D,), or a number.
        covariance: Shape (D, D), or the variance as a number.
        name: The name of the distribution in messages.

    Raises:
        UsageError: Shapes that do not match, or a covariance that is not symmetric and positive definite.
        NumericError: Numbers that are not finite.
    """
    centre, spread = _as_moment(mean, f"{name}_mean"), _as_moment(covariance, f"{name}_covariance")
    centre = centre.reshape(1) if centre.dim() == 0 else centre
    spread = spread.reshape(1, 1).to(centre.device) if spread.dim() == 0 else spread.to(centre.device)
    if centre.dim() != 1 or not len(centre) or spread.shape != (len(centre), len(centre)):
        raise UsageError(
            f"{name}_mean must have shape (D,) and {name}_covariance (D, D), not {tuple(centre.shape)} and "
            f"{tuple(spread.shape)}",
            remedy="For one variance per dimension use torch.diag(variances).",
        )
    variances = spread.diagonal().detach()
    scales = variances.clamp(min=0.0).sqrt()
    if bool(((spread - spread.T).abs() > _ASYMMETRY * torch.outer(scales, scales)).any()):
        raise UsageError(f"{name}_covariance must be symmetric", remedy="Take the mean of it and its transpose.")
    spread = 0.5 * (spread + spread.T)
    # A pivot of the correlation matrix is the share of a variance that the preceding dimensions do not explain.
    correlations = spread.detach() / torch.outer(scales, scales)
    pivots, failed = torch.linalg.cholesky_ex(correlations)
    rounding = 8.0 * len(centre) * torch.finfo(torch.float64).eps
    if bool((variances <= 0).any()) or int(failed) or float(pivots.diagonal().square().min()) <= rounding:
        raise UsageError(
            f"{name}_covariance must be positive definite, but has a direction without variance",
            remedy="Leave out dimensions that depend on others, or add a small multiple of the identity.",
        )
    return Normal(mean=centre, covariance=spread, factor=torch.linalg.cholesky(spread))


def _as_moment(values: Array | float, name: str) -> Tensor:
    return as_float64(np.asarray(values) if isinstance(values, int | float) else values, name)


def kullback_leibler(p: Normal, q: Normal) -> Tensor:
    """The Kullback-Leibler divergence of two normal distributions.

    ½ (tr(Σq⁻¹ Σp) − D + δᵀ Σq⁻¹ δ + log|Σq| − log|Σp|), where δ is the difference of the means.

    Returns:
        0-d, in nats, differentiable.

    Source: Kullback (1959), chapter 9.
    """
    traces = torch.linalg.solve_triangular(q.factor, p.factor, upper=False).square().sum()
    shift = torch.linalg.solve_triangular(q.factor, (p.mean - q.mean)[:, None], upper=False)
    value: Tensor = traces - len(p.mean) + shift.square().sum() + q.log_determinant - p.log_determinant
    return 0.5 * value


def log_power_integral(p: Normal, q: Normal, order: float) -> Tensor:
    """The logarithm of ∫ p^a q^(1−a).

    With S = a Σq + (1 − a) Σp it is ½ ((1 − a) log|Σp| + a log|Σq| − log|S|) − ½ a (1 − a) δᵀ S⁻¹ δ. The integral
    exists if and only if S is positive definite: for a = 2 if 2 Σp⁻¹ − Σq⁻¹ is, for a between 0 and 1 always.

    Args:
        p: One distribution.
        q: The other.
        order: The power a.

    Returns:
        0-d, differentiable; +inf if the integral does not exist, also if S is singular up to rounding.

    Source: Liese and Vajda (1987), chapter 2; Nielsen and Nock (2014) for a = 2.
    """
    # In coordinates where q is standard normal, S is a I + (1 − a) W, which has a scale to compare eigenvalues with.
    whitened = torch.linalg.solve_triangular(q.factor, p.factor, upper=False)
    shift = torch.linalg.solve_triangular(q.factor, (p.mean - q.mean)[:, None], upper=False)
    ratio = whitened @ whitened.T
    mixed = order * torch.eye(len(ratio), dtype=ratio.dtype, device=ratio.device) + (1.0 - order) * ratio
    if not 0.0 <= order <= 1.0:
        scale = abs(order) + abs(1.0 - order) * float(torch.linalg.matrix_norm(ratio.detach(), 2))
        rounding = 8.0 * len(ratio) * torch.finfo(torch.float64).eps * scale
        if float(torch.linalg.eigvalsh(mixed.detach()).min()) <= rounding:
            return torch.full_like(p.log_determinant, math.inf)
    factor = torch.linalg.cholesky(mixed)
    stretch = (1.0 - order) * (p.log_determinant - q.log_determinant) - 2.0 * factor.diagonal().log().sum()
    distance = torch.linalg.solve_triangular(factor, shift, upper=False).square().sum()
    value: Tensor = stretch - order * (1.0 - order) * distance
    return 0.5 * value
