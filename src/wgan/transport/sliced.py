"""Sliced transport: the mean of exact transport along random lines, cheap in any dimension."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TypeGuard

import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from wgan.errors import UsageError
from wgan.transport.measures import Array, as_pair, as_weights, check_power, finite
from wgan.transport.one_dimensional import line_distances, power_mean

# Projected numbers at a time: 32 MiB in float64, several times that while levels are merged.
_BLOCK = 1 << 22


@dataclass(frozen=True, kw_only=True, eq=False)
class SlicedTransport:
    """A sliced distance, and how sure it is.

    Attributes:
        distance: SW_p, 0-d, float64, in the units of the points, differentiable.
        standard_error: Of the distance, because only some lines were drawn: a plain float in the same units, infinite
            for a single line. It says nothing of how the samples vary.
        directions: The unit vectors, shape (num_directions, D).
        by_direction: W_p along each, shape (num_directions,), float64, differentiable. The largest is a lower bound of
            the max-sliced distance, and each is one of W_p.
    """

    distance: Tensor
    standard_error: float
    directions: Tensor = field(repr=False)
    by_direction: Tensor = field(repr=False)


def sliced(
    x: Array,
    y: Array,
    rng: torch.Generator,
    *,
    num_directions: int = 256,
    p: float = 1.0,
    x_weights: Array | None = None,
    y_weights: Array | None = None,
    dtype: torch.dtype = torch.float64,
) -> SlicedTransport:
    """The sliced Wasserstein distance between two sets of points, by random directions.

    SW_p = (E W_p(<d, x>, <d, y>)^p)^(1/p) over unit vectors d, uniform on the sphere. It is at most W_p. In D
    dimensions SW_2 is about W_2 / sqrt(D); a translation by v has SW_2 = ||v|| / sqrt(D) exactly, and in the plane
    SW_1 = 2 ||v|| / pi.

    Args:
        x: Shape (N, ...); samples are flattened.
        y: Shape (M, ...), of the same size after flattening.
        rng: Draws the directions: D · num_directions normal numbers in float32, so that `dtype` does not change them.
        num_directions: How many.
        p: The power of the distance, at least 1.
        x_weights: Probabilities, shape (N,); None for equal ones.
        y_weights: Likewise, shape (M,).
        dtype: In which points are projected and sorted. torch.float32 takes about half the time on a CPU, and its
            rounding is some 1e-7 of the spread of the points, wherever they lie: both sets are centred together first.

    Returns:
        The distance, its standard error and the distance along each direction. Differentiable with respect to points
        and weights, with finite gradients.

    Raises:
        UsageError: Sets that are empty or differ in dimension, weights that are no probabilities, a p below 1, no
            direction, or another dtype.
        NumericError: Numbers that are not finite, or a distance too large for float64.

    Cost: O(L (N + M) (D + log (N + M))) time for L directions; O((N + M + L) D) memory and a block of some lines. With
    gradients, what needs more than one block is computed once more on the way back instead of being kept.

    Source: Rabin, Peyré, Delon and Bernot (2012); Bonneel, Rabin, Peyré and Pfister (2015).
    """
    check_power(p)
    if num_directions < 1:
        raise UsageError(f"num_directions must be at least 1, not {num_directions}")
    if dtype not in (torch.float64, torch.float32):
        raise UsageError(f"dtype must be torch.float64 or torch.float32, not {dtype}")
    first, second = _centred_pair(x, y, dtype)
    weights = [
        None if values is None else as_weights(values, len(side), name).to(side.device)
        for values, side, name in ((x_weights, first, "x_weights"), (y_weights, second, "y_weights"))
    ]
    directions = _directions(first.shape[1], num_directions, rng).to(first.device, dtype)

    def along(some: Tensor, x_rows: Tensor, y_rows: Tensor, a: Tensor | None, b: Tensor | None) -> Tensor:
        return line_distances(some @ x_rows.T, some @ y_rows.T, a, b, p)

    by_direction = _in_blocks(along, directions, first, second, *weights)
    distance = finite(power_mean(by_direction, None, p), "distance")
    return SlicedTransport(
        distance=distance,
        standard_error=_standard_error(by_direction.detach(), float(distance.detach()), p),
        directions=directions,
        by_direction=by_direction,
    )


def _centred_pair(x: Array, y: Array, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
    """Both sets as points of one space, moved together to the mean of the first, in the dtype to project them in.

    Far from the origin a projection would lose digits; a common translation changes no distance.
    """
    given = [side for side in (x, y) if _is_plain(side, dtype)]
    if dtype == torch.float32 and len(given) == 2:
        # A way through float64 and back would take as long as the projections. One row of each answers for the shapes,
        # and a sum for every number: it is not finite if one of them is not.
        as_pair(given[0][:1], given[1][:1])
        first, second = (side.reshape(len(side), -1) for side in given)
        centre = first.detach().mean(dim=0)
        if bool((centre.sum() + second.detach().sum().to(centre.device)).isfinite()):
            return first - centre, second.to(centre.device) - centre
    first, second = as_pair(x, y)
    centre = first.detach().mean(dim=0)
    return (first - centre).to(dtype), (second - centre).to(dtype)


def _is_plain(side: Array, dtype: torch.dtype) -> TypeGuard[Tensor]:
    """Whether a side is a dense tensor of that dtype as it is."""
    if not isinstance(side, Tensor) or type(side) not in (Tensor, torch.nn.Parameter):
        return False
    return side.layout == torch.strided and side.dtype == dtype and side.dim() > 0


def _directions(size: int, num: int, rng: torch.Generator) -> Tensor:
    """Unit vectors, uniform on the sphere, as rows."""
    normal = torch.randn(size, num, generator=rng, dtype=torch.float32, device=rng.device).double().T
    lengths: Tensor = torch.linalg.vector_norm(normal, dim=1, keepdim=True)
    return normal / lengths


def _in_blocks(along: Callable[..., Tensor], directions: Tensor, *points: Tensor | None) -> Tensor:
    """Apply `along` to as many directions at a time as memory should hold."""
    num_rows = sum(len(side) for side in points[:2] if side is not None)
    blocks = torch.split(directions, max(1, _BLOCK // num_rows))
    if len(blocks) == 1:
        return along(directions, *points)
    if torch.is_grad_enabled() and any(side is not None and side.requires_grad for side in points):
        return torch.cat([checkpoint(along, some, *points, use_reentrant=False) for some in blocks])
    return torch.cat([along(some, *points) for some in blocks])


def _standard_error(by_direction: Tensor, distance: float, p: float) -> float:
    """That of (mean of w^p)^(1/p), by the slope of the root at the mean."""
    num = len(by_direction)
    if num == 1:
        return math.inf
    if distance == 0:
        return 0.0
    # In units of the distance, so that no power overflows.
    deviation = float(((by_direction / distance) ** p).std())
    return distance * deviation / (p * math.sqrt(num))
