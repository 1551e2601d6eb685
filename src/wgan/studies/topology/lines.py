"""Example 1 of the paper: two parallel lines, whose distance is constant until they coincide, except for W1."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from wgan.errors import UsageError
from wgan.studies.topology.distances import DiscretePair, Distances
from wgan.transport.measures import as_float64


def parallel_lines(theta: float | Tensor, *, num: int = 16) -> DiscretePair:
    """Two vertical segments of length 1 at the horizontal distance theta, each as `num` points of equal weight.

    P_n is the distribution of (theta, Z) and P that of (0, Z), with Z uniform on [0, 1]. The first is that of the
    generator g(z) = (theta, z), whose only parameter is theta. The points have the same heights on both lines. The
    optimal plan moves each point horizontally, as it does for the lines, so all distances equal those of `example_1`.

    Args:
        theta: The horizontal distance, of any sign.
        num: Points on each line.

    Raises:
        UsageError: No points.
        NumericError: theta is not finite.

    Source: Arjovsky, Chintala and Bottou (2017), example 1 and figure 1.
    """
    if num < 1:
        raise UsageError(f"num must be at least 1, not {num}")
    offsets = _as_scalar(theta).expand(num)
    heights = (torch.arange(num, dtype=torch.float64, device=offsets.device) + 0.5) / num
    lines = torch.stack([torch.cat([offsets, torch.zeros_like(offsets)]), heights.repeat(2)], dim=1)
    on_first = torch.cat([torch.ones_like(heights), torch.zeros_like(heights)]) / num
    return DiscretePair.of(lines, on_first, on_first.flip(0))


def example_1(theta: float | Tensor) -> Distances:
    """The distances between two parallel segments, in closed form.

    W1 = |theta|, while for theta != 0 JS = log 2, KL is infinite in both directions and TV = 1; all are 0 at theta = 0.
    As theta goes to 0, P_theta converges to P_0 in W1 (and weakly), but in no other distance. Only these have a
    gradient.

    Args:
        theta: The horizontal distance, of any sign.

    Returns:
        The six distances, W1 differentiable with respect to theta.

    Raises:
        NumericError: theta is not finite.

    Source: Arjovsky, Chintala and Bottou (2017), example 1.

    Example:
        >>> lines = example_1(0.5)
        >>> print(f"{lines.wasserstein:.4f} {lines.total_variation:.4f} {lines.jensen_shannon:.4f} {lines.kl}")
        0.5000 1.0000 0.6931 inf
    """
    apart = _as_scalar(theta).abs()

    def unless_equal(value: float) -> Tensor:
        return apart.new_tensor(value if bool(apart > 0) else 0.0)

    return Distances(
        wasserstein=apart,
        weak=apart.clamp(max=1.0),
        total_variation=unless_equal(1.0),
        jensen_shannon=unless_equal(math.log(2.0)),
        kl=unless_equal(math.inf),
        reverse_kl=unless_equal(math.inf),
    )


def training_snapshots(first: float = 1.0, middle: float = 0.5, *, num: int = 16) -> dict[str, DiscretePair]:
    """A generator before, during and after training, with the data: P_G0, P_G50 and P_G100.

    Each is a line parallel to that of the data, at the distances `first`, `middle` and 0. JS is log 2, log 2 and 0: it
    shows no progress half way and has no gradient. W1 is `first`, `middle` and 0.

    Args:
        first: The distance of P_G0, above `middle`.
        middle: The distance of P_G50, above 0.
        num: Points on each line.

    Returns:
        Pairs of generator and data, by the generator's name, in the order of training.

    Raises:
        UsageError: Distances that do not decrease.
    """
    if not first > middle > 0:
        raise UsageError(f"the distances must decrease and be above 0, not {first} and {middle}")
    distances = {"P_G0": first, "P_G50": middle, "P_G100": 0.0}
    return {name: parallel_lines(distance, num=num) for name, distance in distances.items()}


def _as_scalar(theta: float | Tensor) -> Tensor:
    """Theta as a 0-d float64 tensor, still part of its graph."""
    return as_float64(theta if isinstance(theta, Tensor) else [theta], "theta").reshape(())
