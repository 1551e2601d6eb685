"""Kernels: how alike two points are. A row of `KERNELS` is a frozen dataclass, and its fields are its parameters."""

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

# Half a million pairs of points fix a median to about a thousandth.
_MEDIAN_POINTS = 1000

# Up to here, subtracting is as fast as multiplying; beyond, products take a tenth of the time.
_FEW_DIMENSIONS = 16
_CLOSE = 1e-6
_PAIRS = 1 << 12


class Kernel:
    """A symmetric function of two points."""

    @abstractmethod
    def __call__(self, x: Tensor, y: Tensor) -> Tensor:
        """Evaluate it on all pairs.

        Args:
            x: Shape (N, D), float64.
            y: Shape (M, D), float64.

        Returns:
            Shape (N, M), differentiable, with finite gradients where two points coincide.
        """

    def fitted(self, points: Tensor) -> Self:
        """This kernel, with each parameter that was left open chosen for `points`, shape (N, D), in whatever order."""
        del points
        return self


@dataclass(frozen=True)
class _WithBandwidth(Kernel):
    """A kernel of the distance in units of a bandwidth.

    Attributes:
        bandwidth: In the units of the points, above 0; None for the median distance between two of them.
    """

    bandwidth: float | None = None

    def __post_init__(self) -> None:
        if self.bandwidth is not None and not 0 < self.bandwidth < math.inf:
            raise UsageError(f"bandwidth must be above 0 and finite, not {self.bandwidth:g}")

    def fitted(self, points: Tensor) -> Self:
        """This kernel, with the median distance as its bandwidth unless it has one."""
        if self.bandwidth is not None:
            return self
        return dataclasses.replace(self, bandwidth=median_distance(points, norm=self._norm()))

    def _norm(self) -> float:
        return 2.0

    def _chosen(self) -> float:
        if self.bandwidth is None:
            raise UsageError("the kernel has no bandwidth yet", remedy="Give one, or call `fitted(points)` first.")
        return self.bandwidth


@dataclass(frozen=True)
class Gaussian(_WithBandwidth):
    """exp(-||x - y||² / (2 bandwidth²)).

    Source: Gretton et al. (2012), section 8, whose bandwidth is the median distance of the pooled sample.
    """

    def __call__(self, x: Tensor, y: Tensor) -> Tensor:
        """Evaluate it on all pairs."""
        return torch.exp(_squared_distances(x, y) / (-2.0 * self._chosen() ** 2))


@dataclass(frozen=True)
class GaussianMixture(_WithBandwidth):
    """The mean of Gaussians whose bandwidths double from one to the next, `bandwidth` in their middle.

    Attributes:
        num_bandwidths: How many.

    Source: Li, Swersky and Zemel (2015), Generative moment matching networks, with bandwidths relative to the points.
    """

    num_bandwidths: int = 5

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.num_bandwidths < 1:
            raise UsageError(f"num_bandwidths must be at least 1, not {self.num_bandwidths}")

    @property
    def bandwidths(self) -> tuple[float, ...]:
        """All of them, the narrowest first."""
        middle = (self.num_bandwidths - 1) / 2
        return tuple(self._chosen() * 2.0 ** (index - middle) for index in range(self.num_bandwidths))

    def __call__(self, x: Tensor, y: Tensor) -> Tensor:
        """Evaluate it on all pairs."""
        squared = _squared_distances(x, y)
        mixed = torch.zeros_like(squared)
        for bandwidth in self.bandwidths:
            mixed = mixed + torch.exp(squared / (-2.0 * bandwidth**2))
        return mixed / self.num_bandwidths


@dataclass(frozen=True)
class Laplacian(_WithBandwidth):
    """exp(-||x - y||₁ / bandwidth), with the sum of absolute differences; the median is of that distance too.

    Source: Muandet, Fukumizu, Sriperumbudur and Schölkopf (2017).
    """

    def _norm(self) -> float:
        return 1.0

    def __call__(self, x: Tensor, y: Tensor) -> Tensor:
        """Evaluate it on all pairs."""
        return torch.exp(_distances(x, y, norm=1.0) / -self._chosen())


@dataclass(frozen=True)
class Cubic(Kernel):
    """(x . y / D + 1)³, whose discrepancy compares moments up to the third.

    Source: Bińkowski, Sutherland, Arbel and Gretton (2018), section 3.
    """

    def __call__(self, x: Tensor, y: Tensor) -> Tensor:
        """Evaluate it on all pairs."""
        return cubic_kernel(x, y)


@dataclass(frozen=True)
class Energy(Kernel):
    """-||x - y||, whose squared discrepancy is the energy distance.

    It is positive definite on differences of distributions only, which is all that a discrepancy needs.

    Source: Sejdinovic, Sriperumbudur, Gretton and Fukumizu (2013), theorem 22.
    """

    def __call__(self, x: Tensor, y: Tensor) -> Tensor:
        """Evaluate it on all pairs."""
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
    """The median distance between two of the points: a bandwidth that follows the units of the data.

    Of more than 1,000 points, 1,000 stand for all: every so manyth in the order of the distance from the mean. Which
    ones depends on the set alone and not on the order, so that a test that permutes the points stays exact.

    Args:
        points: Shape (N, D).
        norm: 2 for the Euclidean distance, 1 for the sum of absolute differences.

    Returns:
        In the units of the points, a plain float. Where more than half of the pairs coincide, the median of the
        others; where all do, 1, and every kernel is then constant whatever its bandwidth.

    Source: Gretton et al. (2012), section 8.
    """
    points = as_tensor(points, "points").detach()
    if len(points) > _MEDIAN_POINTS:
        outwards = torch.linalg.vector_norm(points - points.mean(dim=0), dim=1).argsort()
        places = torch.linspace(0, len(points) - 1, _MEDIAN_POINTS, dtype=torch.float64, device=points.device).long()
        points = points[outwards[places]]
    above = torch.ones(len(points), len(points), dtype=torch.bool, device=points.device).triu_(1)
    distances = _distances(points, points, norm=norm)[above]
    apart = distances[distances > 0]
    if not len(apart):
        return 1.0
    median = float(distances.median())
    return median if median > 0 else float(apart.median())


def _distances(x: Tensor, y: Tensor, *, norm: float) -> Tensor:
    """All distances, by subtraction or as good as that: 0 where two points coincide, and right far from the origin."""
    tracked = torch.is_grad_enabled() and (x.requires_grad or y.requires_grad)
    if norm == 2.0 and x.shape[1] > _FEW_DIMENSIONS and not tracked:
        squared = _squared_distances(x, y)
        # Products are off by 1e-16 of the largest square, which is much to a small one: those are subtracted after all.
        rows, columns = (squared < _CLOSE * squared.max()).nonzero(as_tuple=True)
        if len(rows) < squared.numel() / 4:
            for i, j in zip(torch.split(rows, _PAIRS), torch.split(columns, _PAIRS), strict=True):
                squared[i, j] = (x[i] - y[j]).square().sum(dim=1)
            return squared.sqrt_()
    distances: Tensor = _Distances.apply(x, y, norm)  # type: ignore[no-untyped-call]
    return distances


class _Distances(torch.autograd.Function):
    """torch.cdist without products, but differentiable more than once: a penalty on a critic's slopes asks for that."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, y: Tensor, norm: float) -> Tensor:  # noqa: ANN401
        distances: Tensor = torch.cdist(x, y, p=norm, compute_mode="donot_use_mm_for_euclid_dist")
        ctx.save_for_backward(x, y, distances)
        ctx.norm = norm
        return distances

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, Tensor, None]:  # noqa: ANN401
        (x, y, distances), (pull,) = ctx.saved_tensors, gradients
        if not torch.is_grad_enabled():
            once = torch.ops.aten._cdist_backward
            back = pull.T.contiguous(), distances.T.contiguous()
            return (
                once(pull.contiguous(), x, y, ctx.norm, distances),
                once(back[0], y, x, ctx.norm, back[1]),
                None,
            )
        if ctx.norm == 1.0:
            ways = pull[:, :, None] * (x[:, None] - y).sign()
            return ways.sum(dim=1), -ways.sum(dim=0), None
        centre = y.detach().mean(dim=0)
        x, y = x - centre, y - centre
        again = _Distances.apply(x, y, ctx.norm)  # type: ignore[no-untyped-call]
        apart = again > 0
        pulls = torch.where(apart, pull / torch.where(apart, again, 1.0), 0.0)
        of_x = pulls.sum(dim=1)[:, None] * x - pulls @ y
        return of_x, pulls.sum(dim=0)[:, None] * y - pulls.T @ x, None


def _squared_distances(x: Tensor, y: Tensor) -> Tensor:
    """By products, about a common centre lest digits go far from the origin; off by 1e-16 of the largest."""
    centre = y.detach().mean(dim=0)
    x, y = x - centre, y - centre
    squares = x.square().sum(dim=1)[:, None] + y.square().sum(dim=1)
    return torch.addmm(squares, x, y.T, alpha=-2.0).clamp(min=0.0)
