"""Kernel functions. Each kernel of `KERNELS` is a frozen dataclass whose fields are its parameters."""

from __future__ import annotations

import dataclasses
import math
from abc import abstractmethod
from dataclasses import dataclass
from typing import Any, Self

import torch
from torch import Tensor

from wgan.errors import UsageError
from wgan.settings.registry import Registry
from wgan.transport.measures import as_tensor

# Half a million pairs of points give the median to about 0.1 %.
_MEDIAN_POINTS = 1000

# Up to this dimension differences are as fast as matrix products; beyond it products take a tenth of the time.
_FEW_DIMENSIONS = 16
_CLOSE = 1e-6
_PAIRS = 1 << 12


class Kernel:
    """A symmetric kernel function of two points."""

    @abstractmethod
    def __call__(self, x: Tensor, y: Tensor) -> Tensor:
        """Evaluate the kernel on all pairs.

        Args:
            x: Shape (N, D), float64.
            y: Shape (M, D), float64.

        Returns:
            Shape (N, M), differentiable, with finite gradients at coincident points.
        """

    def fitted(self, points: Tensor) -> Self:
        """This kernel with unset parameters chosen from `points`, shape (N, D), independent of their order."""
        del points
        return self


@dataclass(frozen=True)
class _WithBandwidth(Kernel):
    """Base class of kernels that depend on the distance divided by a bandwidth.

    Attributes:
        bandwidth: In the units of the points, above 0; None for the median distance between two of them.
    """

    bandwidth: float | None = None

    def __post_init__(self) -> None:
        if self.bandwidth is not None and not 0 < self.bandwidth < math.inf:
            raise UsageError(f"bandwidth must be above 0 and finite, not {self.bandwidth:g}")

    def fitted(self, points: Tensor) -> Self:
        """This kernel, with the median distance as its bandwidth if none is set."""
        if self.bandwidth is not None:
            return self
        return dataclasses.replace(self, bandwidth=median_distance(points, norm=self._norm()))

    def _norm(self) -> float:
        return 2.0

    def _set_bandwidth(self) -> float:
        if self.bandwidth is None:
            raise UsageError("the kernel has no bandwidth yet", remedy="Set one, or call `fitted(points)` first.")
        return self.bandwidth


@dataclass(frozen=True)
class Gaussian(_WithBandwidth):
    """exp(-||x - y||² / (2 bandwidth²)).

    Source: Gretton et al. (2012), section 8, whose bandwidth is the median distance of the pooled sample.
    """

    def __call__(self, x: Tensor, y: Tensor) -> Tensor:
        """Evaluate the kernel on all pairs."""
        return torch.exp(_squared_distances(x, y) / (-2.0 * self._set_bandwidth() ** 2))


@dataclass(frozen=True)
class GaussianMixture(_WithBandwidth):
    """The mean of Gaussian kernels whose bandwidths double from one to the next, centred at `bandwidth`.

    Attributes:
        num_bandwidths: The number of bandwidths.

    Source: Li, Swersky and Zemel (2015), Generative moment matching networks, with bandwidths relative to the points.
    """

    num_bandwidths: int = 5

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.num_bandwidths < 1:
            raise UsageError(f"num_bandwidths must be at least 1, not {self.num_bandwidths}")

    @property
    def bandwidths(self) -> tuple[float, ...]:
        """All bandwidths in increasing order."""
        middle = (self.num_bandwidths - 1) / 2
        return tuple(self._set_bandwidth() * 2.0 ** (index - middle) for index in range(self.num_bandwidths))

    def __call__(self, x: Tensor, y: Tensor) -> Tensor:
        """Evaluate the kernel on all pairs."""
        squared = _squared_distances(x, y)
        mixed = torch.zeros_like(squared)
        for bandwidth in self.bandwidths:
            mixed = mixed + torch.exp(squared / (-2.0 * bandwidth**2))
        return mixed / self.num_bandwidths


@dataclass(frozen=True)
class Laplacian(_WithBandwidth):
    """exp(-||x - y||₁ / bandwidth), with the L1 distance, which is also used for the median.

    Source: Muandet, Fukumizu, Sriperumbudur and Schölkopf (2017).
    """

    def _norm(self) -> float:
        return 1.0

    def __call__(self, x: Tensor, y: Tensor) -> Tensor:
        """Evaluate the kernel on all pairs."""
        return torch.exp(_distances(x, y, norm=1.0) / -self._set_bandwidth())


@dataclass(frozen=True)
class Cubic(Kernel):
    """(x . y / D + 1)³, whose discrepancy compares the first three moments.

    Source: Bińkowski, Sutherland, Arbel and Gretton (2018), section 3.
    """

    def __call__(self, x: Tensor, y: Tensor) -> Tensor:
        """Evaluate the kernel on all pairs."""
        return cubic_kernel(x, y)


@dataclass(frozen=True)
class Energy(Kernel):
    """-||x - y||, whose squared discrepancy is the energy distance.

    It is conditionally positive definite, which is sufficient for a discrepancy.

    Source: Sejdinovic, Sriperumbudur, Gretton and Fukumizu (2013), theorem 22.
    """

    def __call__(self, x: Tensor, y: Tensor) -> Tensor:
        """Evaluate the kernel on all pairs."""
        return -_distances(x, y, norm=2.0)


KERNELS: Registry[Kernel] = Registry(
    "kernel",
    {
        "gaussian": Gaussian,
        "gaussian-mixture": GaussianMixture,
        "laplacian": Laplacian,
        "cubic": Cubic,
        "energy": Energy,
    },
)


def cubic_kernel(x: Tensor, y: Tensor) -> Tensor:
    """The polynomial kernel k(x, y) = (x . y / D + 1)³.

    Args:
        x: Shape (N, D).
        y: Shape (M, D).

    Returns:
        Shape (N, M), differentiable.

    Source: Bińkowski, Sutherland, Arbel and Gretton (2018), section 3.
    """
    x, y = as_tensor(x, "x"), as_tensor(y, "y")
    return (x @ y.T / x.shape[1] + 1.0) ** 3


def median_distance(points: Tensor, *, norm: float = 2.0) -> float:
    """The median distance between two points: a bandwidth in the units of the data.

    Of more than 1,000 points, 1,000 are used, evenly spaced in the order of their distance from the mean. This choice
    does not depend on the order of the points, so a permutation test stays exact.

    Args:
        points: Shape (N, D).
        norm: 2 for the Euclidean distance, 1 for the L1 distance.

    Returns:
        The median, in the units of the points. If more than half of the pairs coincide, the median of the others. If
        all coincide, 1: every kernel is then constant, whatever its bandwidth.

    Source: Gretton et al. (2012), section 8.
    """
    points = as_tensor(points, "points").detach()
    if len(points) > _MEDIAN_POINTS:
        order = torch.linalg.vector_norm(points - points.mean(dim=0), dim=1).argsort()
        indices = torch.linspace(0, len(points) - 1, _MEDIAN_POINTS, dtype=torch.float64, device=points.device).long()
        points = points[order[indices]]
    upper = torch.ones(len(points), len(points), dtype=torch.bool, device=points.device).triu_(1)
    distances = _distances(points, points, norm=norm)[upper]
    apart = distances[distances > 0]
    if not len(apart):
        return 1.0
    median = float(distances.median())
    return median if median > 0 else float(apart.median())


def _distances(x: Tensor, y: Tensor, *, norm: float) -> Tensor:
    """All distances with the accuracy of differences: 0 for coincident points, and accurate far from the origin."""
    tracked = torch.is_grad_enabled() and (x.requires_grad or y.requires_grad)
    if norm == 2.0 and x.shape[1] > _FEW_DIMENSIONS and not tracked:
        squared = _squared_distances(x, y)
        # Products have an error of 1e-16 of the largest square. Small entries are recomputed from differences.
        rows, columns = (squared < _CLOSE * squared.max()).nonzero(as_tuple=True)
        if len(rows) < squared.numel() / 4:
            for i, j in zip(torch.split(rows, _PAIRS), torch.split(columns, _PAIRS), strict=True):
                squared[i, j] = (x[i] - y[j]).square().sum(dim=1)
            return squared.sqrt_()
    distances: Tensor = _Distances.apply(x, y, norm)  # type: ignore[no-untyped-call]
    return distances


class _Distances(torch.autograd.Function):
    """torch.cdist from differences, but twice differentiable, as gradient penalties on a critic need."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, y: Tensor, norm: float) -> Tensor:  # noqa: ANN401
        distances: Tensor = torch.cdist(x, y, p=norm, compute_mode="donot_use_mm_for_euclid_dist")
        ctx.save_for_backward(x, y, distances)
        ctx.norm = norm
        return distances

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, Tensor, None]:  # noqa: ANN401
        (x, y, distances), (gradient,) = ctx.saved_tensors, gradients
        if not torch.is_grad_enabled():
            backward = torch.ops.aten._cdist_backward
            transposed = gradient.T.contiguous(), distances.T.contiguous()
            return (
                backward(gradient.contiguous(), x, y, ctx.norm, distances),
                backward(transposed[0], y, x, ctx.norm, transposed[1]),
                None,
            )
        if ctx.norm == 1.0:
            signed = gradient[:, :, None] * (x[:, None] - y).sign()
            return signed.sum(dim=1), -signed.sum(dim=0), None
        centre = y.detach().mean(dim=0)
        x, y = x - centre, y - centre
        distances = _Distances.apply(x, y, ctx.norm)  # type: ignore[no-untyped-call]
        apart = distances > 0
        scaled = torch.where(apart, gradient / torch.where(apart, distances, 1.0), 0.0)
        of_x = scaled.sum(dim=1)[:, None] * x - scaled @ y
        return of_x, scaled.sum(dim=0)[:, None] * y - scaled.T @ x, None


def _squared_distances(x: Tensor, y: Tensor) -> Tensor:
    """Squared distances by a matrix product of centred points, with an error of 1e-16 of the largest."""
    centre = y.detach().mean(dim=0)
    x, y = x - centre, y - centre
    squares = x.square().sum(dim=1)[:, None] + y.square().sum(dim=1)
    return torch.addmm(squares, x, y.T, alpha=-2.0).clamp(min=0.0)
