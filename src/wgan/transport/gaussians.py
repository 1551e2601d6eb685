"""W2 between Gaussians, in closed form in any dimension.

W2^2(N(m1, S1), N(m2, S2)) = ||m1 - m2||^2 + tr(S1 + S2 - 2 (S1^(1/2) S2 S1^(1/2))^(1/2)).

The second term is the squared Bures distance of the covariances. It is computed as the distance of two square roots
after the best rotation of one of them, min_U ||S1^(1/2) - S2^(1/2) U||^2 (Bhatia, Jain and Lim 2019, theorem 1). Unlike
the trace, this sum of squares keeps its digits and stays nonnegative for nearly equal covariances. Its gradient has a
closed form; the gradient through eigenvectors would be NaN at repeated eigenvalues.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from wgan.errors import UsageError
from wgan.transport.measures import Array, as_float64, as_pair, as_points, as_weights, root

# The asymmetry and the negative eigenvalues of a covariance that count as rounding, relative to its largest entry.
_ROUNDING = 1e-8
# The relative error of the image's covariance up to which a map exists.
_MAP_TOLERANCE = 1e-6


@dataclass(frozen=True, kw_only=True)
class GaussianTransport:
    """The optimal transport of one Gaussian to another.

    Attributes:
        cost: W2^2, 0-d, float64, in squared units of the data; differentiable.
        distance: W2, 0-d, float64, in units of the data; differentiable, with the gradient 0 at 0.
        mean_part: ||m1 - m2||^2, the part of the cost due to the means, 0-d.
        covariance_part: The squared Bures distance, the part due to the covariances, 0-d.
    """

    cost: Tensor
    distance: Tensor
    mean_part: Tensor
    covariance_part: Tensor


@dataclass(frozen=True, kw_only=True)
class GaussianMap:
    """The optimal map between two Gaussians, T(x) = m2 + matrix (x - m1): the gradient of a convex function.

    Attributes:
        matrix: Shape (D, D), symmetric, positive semidefinite, float64; matrix S1 matrix = S2.
        source_mean: m1, shape (D,).
        target_mean: m2, shape (D,).
    """

    matrix: Tensor
    source_mean: Tensor
    target_mean: Tensor

    def __call__(self, x: Array) -> Tensor:
        """Map points.

        Args:
            x: Shape (N, ...); samples are flattened to (N, D).

        Returns:
            Shape (N, D), float64, differentiable with respect to x. O(N D^2) time.

        Raises:
            UsageError: Points of the wrong dimension.
            NumericError: Points that are not finite.
        """
        points = as_points(x, "x")
        if points.shape[1] != len(self.source_mean):
            raise UsageError(f"the map takes points of {len(self.source_mean)} numbers, not {points.shape[1]}")
        moved: Tensor = self.target_mean + (points - self.source_mean) @ self.matrix
        return moved


def gaussian_transport(
    source_mean: Array, source_covariance: Array, target_mean: Array, target_covariance: Array
) -> GaussianTransport:
    """The exact W2 between two Gaussians.

    W2^2 = ||m1 - m2||^2 + tr(S1 + S2 - 2 (S1^(1/2) S2 S1^(1/2))^(1/2)).

    It is a lower bound of W2 between any two distributions with these moments (Gelbrich 1990).

    Args:
        source_mean: m1, shape (D,), or a number.
        source_covariance: S1, shape (D, D), symmetric, positive semidefinite; or a variance.
        target_mean: m2, like m1.
        target_covariance: S2, like S1.

    Returns:
        The distance and its parts. First derivatives are finite everywhere, also at equal covariances. If S1 is
        singular and the distance has no derivative, they are those within the range of S1. O(D^3) time, O(D^2) memory.

    Raises:
        UsageError: Shapes that do not match, or a matrix that is not a covariance.
        NumericError: Entries that are not finite.

    Source: Dowson and Landau (1982); Gelbrich (1990), theorem 2.1; Peyré and Cuturi (2019), remark 2.31.

    Example:
        >>> float(gaussian_transport(0.0, 1.0, 3.0, 25.0).distance)
        5.0
    """
    m1, s1, m2, s2 = _as_gaussians(source_mean, source_covariance, target_mean, target_covariance)
    mean_part = (m1 - m2).square().sum()
    covariance_part: Tensor = _SquaredBures.apply(s1, s2)  # type: ignore[no-untyped-call]
    cost = mean_part + covariance_part
    return GaussianTransport(cost=cost, distance=root(cost, 2.0), mean_part=mean_part, covariance_part=covariance_part)


def gaussian_map(
    source_mean: Array, source_covariance: Array, target_mean: Array, target_covariance: Array
) -> GaussianMap:
    """The optimal map between two Gaussians: T = S1^(-1/2) (S1^(1/2) S2 S1^(1/2))^(1/2) S1^(-1/2).

    Args:
        source_mean: m1, shape (D,), or a number.
        source_covariance: S1, shape (D, D), or a variance. It may be singular if its range contains that of S2.
        target_mean: m2, like m1.
        target_covariance: S2, like S1.

    Returns:
        The map, detached. O(D^3) time.

    Raises:
        UsageError: Shapes that do not match, a matrix that is not a covariance, or a source without variance in a
            direction in which the target has some: its mass would have to be split, which no map does.
        NumericError: Entries that are not finite.

    Source: Peyré and Cuturi (2019), remark 2.31.
    """
    gaussians = _as_gaussians(source_mean, source_covariance, target_mean, target_covariance)
    m1, s1, m2, s2 = (moment.detach() for moment in gaussians)
    (root_1, inverse_1), (root_2, _) = _roots(s1), _roots(s2)
    _, values, right = _factors(root_1, root_2)
    matrix = _map_matrix(inverse_1, values, right)
    error = float((matrix @ s1 @ matrix - s2).abs().max())
    if error > _MAP_TOLERANCE * max(float(s2.abs().max()), torch.finfo(torch.float64).tiny):
        raise UsageError(
            "no map exists from a degenerate Gaussian (source) to one with variance outside its support (target)",
            remedy="Exchange the two, or add a little variance to the source. The distance exists in any case.",
        )
    return GaussianMap(matrix=matrix, source_mean=m1, target_mean=m2)


def fit_gaussian(x: Array, weights: Array | None = None) -> tuple[Tensor, Tensor]:
    """The mean and covariance of samples, divided by N and not by N - 1.

    Args:
        x: Shape (N, ...); samples are flattened to (N, D).
        weights: Shape (N,), summing to 1; None for equal weights.

    Returns:
        Mean, shape (D,), and covariance, shape (D, D), float64, differentiable. O(N D^2) time.

    Raises:
        UsageError: No samples, or weights that do not match.
        NumericError: Entries that are not finite.
    """
    points = as_points(x, "x")
    return _moments(points, as_weights(weights, len(points), "weights").to(points.device))


def gaussian_bound(
    x: Array, y: Array, *, x_weights: Array | None = None, y_weights: Array | None = None
) -> GaussianTransport:
    """W2 between the Gaussians with the means and covariances of two sample sets: a lower bound of W2 between the sets.

    Args:
        x: Samples, shape (N, ...).
        y: Samples, shape (M, ...), of the same size each.
        x_weights: Shape (N,), summing to 1; None for equal weights.
        y_weights: Shape (M,).

    Returns:
        The distance: at most the Euclidean W2 of the samples, and equal to it if one set is a scaled and translated
        copy of the other. Differentiable with respect to samples and weights. O((N + M) D^2 + D^3) time.

    Raises:
        UsageError: Sets that are empty or differ in dimension, or weights that do not match.
        NumericError: Entries that are not finite.

    Source: Gelbrich (1990), theorem 2.1. On features of images the cost is the Fréchet distance of Heusel et al.
    (2017), equation 6, except that theirs divides by N - 1.
    """
    first, second = as_pair(x, y)
    a = as_weights(x_weights, len(first), "x_weights").to(first.device)
    b = as_weights(y_weights, len(second), "y_weights").to(first.device)
    return gaussian_transport(*_moments(first, a), *_moments(second, b))


class _SquaredBures(torch.autograd.Function):
    """min over U of ||S1^(1/2) - S2^(1/2) U||^2, whose gradients are I - T12 and I - T21 (the optimal maps)."""

    @staticmethod
    def forward(ctx: Any, s1: Tensor, s2: Tensor) -> Tensor:  # noqa: ANN401 - torch's own context
        (root_1, inverse_1), (root_2, inverse_2) = _roots(s1), _roots(s2)
        left, values, right = _factors(root_1, root_2)
        ctx.save_for_backward(inverse_1, inverse_2, left, values, right)
        return (root_1 - root_2 @ (left @ right.T)).square().sum()

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, Tensor]:  # noqa: ANN401 - torch's own context
        inverse_1, inverse_2, left, values, right = ctx.saved_tensors
        eye = torch.eye(len(inverse_1), dtype=inverse_1.dtype, device=inverse_1.device)
        return (
            grad * (eye - _map_matrix(inverse_1, values, right)),
            grad * (eye - _map_matrix(inverse_2, values, left)),
        )


def _as_gaussians(
    source_mean: Array, source_covariance: Array, target_mean: Array, target_covariance: Array
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Both Gaussians, checked and on the device of the source."""
    m1, s1 = _as_gaussian(source_mean, source_covariance, "source")
    m2, s2 = _as_gaussian(target_mean, target_covariance, "target")
    if len(m1) != len(m2):
        raise UsageError(f"a Gaussian of {len(m1)} dimensions (source) cannot be moved to one of {len(m2)} (target)")
    return m1, s1, m2.to(m1.device), s2.to(m1.device)


def _as_gaussian(mean: Array, covariance: Array, side: str) -> tuple[Tensor, Tensor]:
    """A mean of shape (D,) and a covariance of shape (D, D), checked and made exactly symmetric."""
    m, s = as_float64(mean, f"{side}_mean"), as_float64(covariance, f"{side}_covariance")
    m = m.reshape(1) if m.dim() == 0 else m
    s = s.reshape(1, 1) if s.dim() == 0 else s
    if m.dim() != 1 or not len(m):
        raise UsageError(f"{side}_mean must have shape (D,), not {tuple(m.shape)}")
    if s.shape != (len(m), len(m)):
        raise UsageError(
            f"{side}_covariance must have shape ({len(m)}, {len(m)}) to match the mean, not {tuple(s.shape)}"
        )
    largest = float(s.detach().abs().max())
    if float((s - s.T).detach().abs().max()) > _ROUNDING * largest:
        raise UsageError(f"{side}_covariance must be symmetric", remedy="Take (S + S.T) / 2.")
    s = (s + s.T) / 2
    least = float(torch.linalg.eigvalsh(s.detach())[0])
    if least < -_ROUNDING * largest:
        raise UsageError(
            f"{side}_covariance must have no negative eigenvalue, but one is {least:.6g}",
            remedy="Matrices of pairwise correlations, computed with missing values, can have negative eigenvalues.",
        )
    return m, s.to(m.device)


def _moments(points: Tensor, weights: Tensor) -> tuple[Tensor, Tensor]:
    # One of the points is subtracted first, so that a common offset loses no digits.
    origin = points[0].detach()
    shifted = points - origin
    mean = weights @ shifted
    centred = shifted - mean
    return origin + mean, (weights[:, None] * centred).T @ centred


def _roots(s: Tensor) -> tuple[Tensor, Tensor]:
    """S^(1/2) and its pseudo-inverse. Eigenvalues that are 0 up to rounding are set to 0."""
    values, vectors = torch.linalg.eigh(s)
    is_positive = values > len(s) * torch.finfo(s.dtype).eps * values[-1].clamp(min=0.0)
    roots = torch.where(is_positive, values, 0.0).sqrt()
    inverses = torch.where(is_positive, 1.0 / torch.where(is_positive, roots, 1.0), 0.0)
    return (vectors * roots) @ vectors.T, (vectors * inverses) @ vectors.T


def _factors(root_1: Tensor, root_2: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """V, d, W with S2^(1/2) S1^(1/2) = V diag(d) W^T, so that (S1^(1/2) S2 S1^(1/2))^(1/2) = W diag(d) W^T."""
    left, values, right = torch.linalg.svd(root_2 @ root_1)
    return left, values, right.T


def _map_matrix(inverse: Tensor, values: Tensor, vectors: Tensor) -> Tensor:
    half = inverse @ (vectors * values.sqrt())
    return half @ half.T
