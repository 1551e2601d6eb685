"""Mixtures of Gaussians on the line: what one Gaussian cannot be, so that it must choose what to give up."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from wgan.errors import UsageError
from wgan.system.torch_state import in_usual_state
from wgan.transport.measures import Array, as_float64, as_weights, refuse_beyond_memory

_LEAST_LEVEL = 1e-12
_FEWEST_PLACES = 4_001
_PLACES_A_DEVIATION = 10.0
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
    @in_usual_state
    def of(cls, weights: Array, means: Array, deviations: Array) -> LineMixture:
        """A mixture from lists, arrays or tensors of equal length.

        Raises:
            UsageError: Lengths that differ, weights that are no probabilities, or a deviation that is not above 0.
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
        """The mean of the whole."""
        return float(self.weights @ self.means)

    @property
    def deviation(self) -> float:
        """The standard deviation of the whole."""
        second = self.weights @ (self.deviations.square() + self.means.square())
        return math.sqrt(float(second) - self.mean**2)

    def log_density(self, x: Tensor) -> Tensor:
        """The logarithm of the density at x, of x's shape, float64, differentiable."""
        parts = gaussian_log_density(x.double()[..., None], self.means, self.deviations)
        return torch.logsumexp(self.weights.log() + parts, dim=-1)

    @in_usual_state
    def sample(self, size: int, rng: torch.Generator) -> Tensor:
        """Draw a stratified batch, one point from each of `size` equally likely intervals.

        Each point is distributed as a mixture's point is, and a mean over the batch has far less noise than over
        independent points: one uniform number shifts them all.

        Args:
            size: Points.
            rng: What decides the shift and the order.

        Returns:
            Shape (size, 1), float32.
        """
        places = self.grid()
        below = torch.special.ndtr((places[:, None] - self.means) / self.deviations) @ self.weights
        levels, first = np.unique(below.numpy(), return_index=True)
        points = np.interp(stratified(size, rng).numpy(), levels, places.numpy()[first])
        return torch.from_numpy(points)[:, None].float()

    @in_usual_state
    def grid(self, *, reach: float = 12.0) -> Tensor:
        """Equally spaced places, close enough to see the narrowest mode, float64, ascending.

        Args:
            reach: How far they go beyond the outermost modes, in units of the widest mode's deviation, or half of the
                whole's if that is more, since a Gaussian that covers all modes is as wide.

        Raises:
            UsageError: More places than memory holds.
        """
        room = reach * max(float(self.deviations.max()), self.deviation / 2.0)
        low, high = float(self.means.min()) - room, float(self.means.max()) + room
        num = max(_FEWEST_PLACES, math.ceil((high - low) / float(self.deviations.min()) * _PLACES_A_DEVIATION))
        refuse_beyond_memory(64 * num * len(self.means), f"a grid of {num:,} places", "Bring the modes' widths closer.")
        return torch.linspace(low, high, num, dtype=torch.float64, device="cpu")


def stratified(num: int, rng: torch.Generator) -> Tensor:
    """Uniform numbers in (0, 1), one in each interval of width 1/num, in random order, shape (num,), float64."""
    levels = (
        torch.arange(num, dtype=torch.float64, device="cpu")
        + torch.rand((), dtype=torch.float64, generator=rng, device="cpu")
    ) / max(num, 1)
    return levels[torch.randperm(num, generator=rng, device="cpu")].clamp(_LEAST_LEVEL, 1.0 - _LEAST_LEVEL)


def gaussian_log_density(x: Tensor, mean: Tensor, deviation: Tensor) -> Tensor:
    """The logarithm of a Gaussian's density, broadcast, differentiable."""
    return -0.5 * ((x - mean) / deviation).square() - deviation.log() - _LOG_ROOT_2_PI


F_GAN_MIXTURE = LineMixture.of([0.33, 0.67], [-1.0, 2.0], [0.25, math.sqrt(2.0)])
"""The mixture of the f-GAN paper's table 2, whose minima are printed there.

Source: Nowozin, Cseke and Tomioka (2016), section 2.4 and supplement.
"""

TWO_MODES = LineMixture.of([0.6, 0.4], [-2.0, 2.0], [0.6, 0.6])
"""Two modes far enough apart that a Gaussian must cover both with what lies between, or leave one out."""
