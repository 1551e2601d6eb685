"""Example 1 of the paper: two parallel lines, which all distances but one call equally far apart until they meet."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from wgan.errors import UsageError
from wgan.studies.topology.distances import DiscretePair, Distances
from wgan.transport.measures import as_float64


def parallel_lines(theta: float | Tensor, *, num: int = 16) -> DiscretePair:
    """Two vertical segments of length 1 at the horizontal distance theta, each as `num` equally heavy points.

    P_n is the law of (theta, Z) and P that of (0, Z), with Z uniform on [0, 1]. A generator g(z) = (theta, z) makes the
    first, and has only theta to learn. The points stand at equal heights on both lines, so that moving each straight
    across is the best plan, as it is for the lines themselves, and all distances are those of `example_1`.

    Args:
        theta: Of any sign.
        num: Points on each line.

    Raises:
        UsageError: No points.
        NumericError: theta is not finite.

    Source: Arjovsky, Chintala and Bottou (2017), example 1 and figure 1.
    """
    if num < 1:
        raise UsageError(f"num must be at least 1, not {num}")
    across = _number(theta).expand(num)
    heights = (torch.arange(num, dtype=torch.float64, device=across.device) + 0.5) / num
    lines = torch.stack([torch.cat([across, torch.zeros_like(across)]), heights.repeat(2)], dim=1)
    on_first = torch.cat([torch.ones_like(heights), torch.zeros_like(heights)]) / num
    return DiscretePair.of(lines, on_first, on_first.flip(0))


def example_1(theta: float | Tensor) -> Distances:
    """The distances between two parallel segments, in closed form.

    W = |theta|, while JS = log 2, KL = infinity both ways and TV = 1 for every theta other than 0; all are 0 at 0. As
    theta goes to 0, P_theta converges to P_0 in W and in no other: only W has a gradient to descend.

    Args:
        theta: The horizontal distance, of any sign.

    Returns:
        Six numbers; W differentiable with respect to theta.

    Raises:
        NumericError: theta is not finite.

    Source: Arjovsky, Chintala and Bottou (2017), example 1.

    Example:
        >>> lines = example_1(0.5)
        >>> print(f"{lines.wasserstein:.4f} {lines.total_variation:.4f} {lines.jensen_shannon:.4f} {lines.kl}")
        0.5000 1.0000 0.6931 inf
    """
    apart = _number(theta).abs()

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
    """A generator before, amid and after its training, beside the data: P_G0, P_G50 and P_G100.

    Each is a line like the data's; the first two are `first` and `middle` away from it, and the last lies upon it. JS
    says log 2, log 2, 0: nothing was gained half way, and a generator that follows it never sets out. W says `first`,
    `middle`, 0.

    Args:
        first: The distance of P_G0, above `middle`.
        middle: The distance of P_G50, above 0.
        num: Points on each line.

    Returns:
        Generator against data, by the generator's name, in the order of training.

    Raises:
        UsageError: Distances that do not fall.
    """
    if not first > middle > 0:
        raise UsageError(f"the distances must fall and be above 0, not {first} and {middle}")
    distances = {"P_G0": first, "P_G50": middle, "P_G100": 0.0}
    return {name: parallel_lines(distance, num=num) for name, distance in distances.items()}


def _number(theta: float | Tensor) -> Tensor:
    """Theta as a 0-d float64 tensor, with its graph."""
    return as_float64(theta if isinstance(theta, Tensor) else [theta], "theta").reshape(())
