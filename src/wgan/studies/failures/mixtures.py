"""Mixtures of Gaussians on the line, which a single Gaussian cannot fit, and networks on the line."""

from __future__ import annotations

import hashlib
import math
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from wgan.batch import Batch, Layout
from wgan.data.points import PointsCodec
from wgan.data.source import RowsOf
from wgan.errors import UsageError
from wgan.networks import Generator
from wgan.system.torch_state import in_default_state
from wgan.transport.measures import Array, as_float64, as_weights, refuse_beyond_memory

_MIN_LEVEL = 1e-12
_MIN_POINTS = 4_001
_POINTS_PER_DEVIATION = 10.0
_LOG_ROOT_2_PI = 0.5 * math.log(2.0 * math.pi)


@dataclass(frozen=True, kw_only=True, eq=False)
class LineMixture:
    """A mixture of Gaussians on the line, sum_k w_k N(m_k, s_k²).

    Attributes:
        weights: Shape (K,), float64, summing to 1.
        means: Shape (K,), float64.
        deviations: Standard deviations, shape (K,), float64, above 0.
    """

    weights: Tensor
    means: Tensor
    deviations: Tensor

    @classmethod
    @in_default_state
    def of(cls, weights: Array, means: Array, deviations: Array) -> LineMixture:
        """A mixture from lists, arrays or tensors of equal length.

        Raises:
            UsageError: Different lengths, weights that are not probabilities, or a deviation not above 0.
            NumericError: Numbers that are not finite.
        """
        centres, widths = as_float64(means, "means").detach(), as_float64(deviations, "deviations").detach()
        if centres.dim() != 1 or not len(centres) or widths.shape != centres.shape:
            raise UsageError(
                f"means and deviations must both have shape (K,), not {tuple(centres.shape)} and {tuple(widths.shape)}"
            )
        if bool((widths <= 0).any()):
            raise UsageError(f"deviations must be above 0, not {float(widths.min()):g}")
        shares = as_weights(weights, len(centres), "weights").detach()
        return cls(weights=shares, means=centres, deviations=widths)

    @property
    def mean(self) -> float:
        """Mean of the mixture."""
        return float(self.weights @ self.means)

    @property
    def deviation(self) -> float:
        """Standard deviation of the mixture."""
        second = self.weights @ (self.deviations.square() + self.means.square())
        return math.sqrt(float(second) - self.mean**2)

    def log_density(self, x: Tensor) -> Tensor:
        """The logarithm of the density at x, of x's shape, float64, differentiable."""
        parts = gaussian_log_density(x.double()[..., None], self.means, self.deviations)
        return torch.logsumexp(self.weights.log() + parts, dim=-1)

    @in_default_state
    def sample(self, size: int, rng: torch.Generator) -> Tensor:
        """Draw a stratified batch, one point from each of `size` equally likely intervals.

        Each point has the distribution of the mixture. One uniform number shifts them all, so that a mean over the
        batch has far less noise than over independent points.

        Args:
            size: Number of points.
            rng: Determines the shift and the order.

        Returns:
            Shape (size, 1), float32.
        """
        positions = self.grid()
        below = torch.special.ndtr((positions[:, None] - self.means) / self.deviations) @ self.weights
        levels, first = np.unique(below.numpy(), return_index=True)
        points = np.interp(stratified(size, rng).numpy(), levels, positions.numpy()[first])
        return torch.from_numpy(points)[:, None].float()

    @in_default_state
    def grid(self, *, reach: float = 12.0) -> Tensor:
        """Equally spaced points that resolve the narrowest mode, float64, ascending.

        Args:
            reach: How far they extend beyond the outermost modes, in units of the widest mode's deviation. Half the
                mixture's deviation is the unit if larger, since a Gaussian that covers all modes is as wide.

        Raises:
            UsageError: More points than fit into memory.
        """
        margin = reach * max(float(self.deviations.max()), self.deviation / 2.0)
        low, high = float(self.means.min()) - margin, float(self.means.max()) + margin
        num = max(_MIN_POINTS, math.ceil((high - low) / float(self.deviations.min()) * _POINTS_PER_DEVIATION))
        refuse_beyond_memory(64 * num * len(self.means), f"a grid of {num:,} points", "Bring the modes' widths closer.")
        return torch.linspace(low, high, num, dtype=torch.float64, device="cpu")


def stratified(num: int, rng: torch.Generator) -> Tensor:
    """Uniform numbers in (0, 1), one in each interval of width 1/num, in random order, shape (num,), float64."""
    levels = (
        torch.arange(num, dtype=torch.float64, device="cpu")
        + torch.rand((), dtype=torch.float64, generator=rng, device="cpu")
    ) / max(num, 1)
    return levels[torch.randperm(num, generator=rng, device="cpu")].clamp(_MIN_LEVEL, 1.0 - _MIN_LEVEL)


def gaussian_log_density(x: Tensor, mean: Tensor, deviation: Tensor) -> Tensor:
    """The logarithm of a Gaussian's density, broadcast, differentiable."""
    return -0.5 * ((x - mean) / deviation).square() - deviation.log() - _LOG_ROOT_2_PI


class LineSource:
    """A mixture on the line as a `Source` of stratified batches.

    Args:
        mixture: The distribution.
    """

    name = "mixture"
    size: int | None = None
    num_held_out: int | None = None
    notes: tuple[str, ...] = ()
    conditions: None = None
    offers: tuple[str, ...] = ()

    def __init__(self, mixture: LineMixture) -> None:
        self.mixture = mixture
        self.codec = PointsCodec.identity(1)

    def sample(self, size: int, rng: torch.Generator) -> Batch:
        """Draw points, shape (size, 1), float32."""
        return Batch(self.mixture.sample(size, rng))

    def held_out(self, size: int, rng: torch.Generator) -> Tensor:
        """Draw fresh points, shape (size, 1), float32."""
        return self.mixture.sample(size, rng)

    def distinct(self, size: int, rng: torch.Generator) -> Tensor:
        """Draw fresh points, shape (size, 1), float32."""
        return self.mixture.sample(size, rng)

    def labelled(self, part: RowsOf, size: int, rng: torch.Generator) -> Batch:
        """Draw fresh points, shape (size, 1), float32, without conditions; none are unseen."""
        return self.sample(0 if part == "unseen" else size, rng)

    def describe(self) -> str:
        """A description of the data."""
        return f"points on the line: a mixture of {len(self.mixture.means)} Gaussians that never repeats"

    def fingerprint(self) -> str:
        """A digest of the mixture's parameters."""
        parameters = torch.stack([self.mixture.weights, self.mixture.means, self.mixture.deviations])
        return hashlib.blake2b(parameters.numpy().tobytes(), digest_size=16).hexdigest()


def line_generator(mean: float, deviation: float) -> Generator:
    """The generator x = mean + deviation z: its weight is the deviation, its bias the mean."""
    layer = torch.nn.utils.skip_init(torch.nn.Linear, 1, 1, dtype=torch.float32, device="cpu")  # type: ignore[no-untyped-call]
    with torch.no_grad():
        layer.weight.fill_(deviation)
        layer.bias.fill_(mean)
    return Generator(layer, 1, Layout(shape=(1,)))


F_GAN_MIXTURE = LineMixture.of([0.33, 0.67], [-1.0, 2.0], [0.25, math.sqrt(2.0)])
"""The mixture of the f-GAN paper's table 2, whose minima are printed there.

Source: Nowozin, Cseke and Tomioka (2016), section 2.4 and supplement.
"""

TWO_MODES = LineMixture.of([0.6, 0.4], [-2.0, 2.0], [0.6, 0.6])
"""Two modes far apart: a Gaussian covers both and the gap between them, or only one."""
