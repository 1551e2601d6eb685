"""Sliced transport: the mean of exact one-dimensional transport along random directions, cheap in any dimension."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TypeGuard

import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from wgan.errors import UsageError
from wgan.transport.measures import Array, as_pair, check_power, finite
from wgan.transport.one_dimensional import line_distances, power_mean, weights_or_none

# Projected values at a time: 32 MiB in float64, and several times that during the merging of levels.
_BLOCK = 1 << 22


@dataclass(frozen=True, kw_only=True, eq=False)
class SlicedTransport:
    """A sliced distance with its standard error.

    Attributes:
        distance: SW_p, 0-d, float64, in the units of the points, differentiable.
        standard_error: The standard error of the distance due to the random directions, in the same units; infinite for
            a single direction. It does not include the variation of the samples.
        directions: The unit vectors, shape (num_directions, D).
        by_direction: W_p along each direction, shape (num_directions,), float64, differentiable. Each is a lower bound
            of W_p; the largest is also one of the max-sliced distance.
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
    """The sliced Wasserstein distance between two sets of points, from random directions.

    SW_p = (E W_p(<d, x>, <d, y>)^p)^(1/p) over unit vectors d, uniform on the sphere. It is at most W_p. In D
    dimensions SW_2 is about W_2 / sqrt(D). For a translation by v, SW_2 = ||v|| / sqrt(D) exactly, and in two
    dimensions SW_1 = 2 ||v|| / pi.

    Args:
        x: Shape (N, ...); samples are flattened.
        y: Shape (M, ...), of the same size after flattening.
        rng: Draws the directions: D · num_directions normal numbers in float32, independent of `dtype`.
        num_directions: The number of directions.
        p: The power of the distance, at least 1.
        x_weights: Probabilities, shape (N,); None for equal weights.
        y_weights: Likewise, shape (M,).
        dtype: The dtype of projections and sorting. torch.float32 takes about half the time on a CPU. Its rounding
            error is about 1e-7 of the spread of the points, wherever they lie, since both sets are centred first.

    Returns:
        The distance, its standard error and the distance along each direction. Differentiable with respect to points
        and weights, with finite gradients.

    Raises:
        UsageError: Sets that are empty or differ in dimension, weights that are not probabilities, p below 1, no
            direction, or an unsupported dtype.
        NumericError: Numbers that are not finite, or a distance too large for float64.

    Cost: O(L (N + M) (D + log (N + M))) time for L directions; O((N + M + L) D) memory plus one block of directions.
    With gradients and more than one block, the blocks are recomputed in the backward pass (checkpointing).

    Source: Rabin, Peyré, Delon and Bernot (2012); Bonneel, Rabin, Peyré and Pfister (2015).
    """
    check_power(p)
    if num_directions < 1:
        raise UsageError(f"num_directions must be at least 1, not {num_directions}")
    if dtype not in (torch.float64, torch.float32):
        raise UsageError(f"dtype must be torch.float64 or torch.float32, not {dtype}")
    first, second = _centred_pair(x, y, dtype)
    a, b = weights_or_none(x_weights, first.T, "x_weights"), weights_or_none(y_weights, second.T, "y_weights")
    directions = _directions(first.shape[1], num_directions, rng).to(first.device, dtype)

    def along(block: Tensor, x_rows: Tensor, y_rows: Tensor, a: Tensor | None, b: Tensor | None) -> Tensor:
        return line_distances(block @ x_rows.T, block @ y_rows.T, a, b, p)

    by_direction = _in_blocks(along, directions, first, second, a, b)
    distance = finite(power_mean(by_direction, None, p), "distance")
    return SlicedTransport(
        distance=distance,
        standard_error=_standard_error(by_direction.detach(), float(distance.detach()), p),
        directions=directions,
        by_direction=by_direction,
    )


def _centred_pair(x: Array, y: Array, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
    """Both sets minus the mean of the first, in the dtype of the projections.

    Far from the origin a projection would lose digits. A common translation changes no distance.
    """
    plain = [points for points in (x, y) if _is_plain(points, dtype)]
    if dtype == torch.float32 and len(plain) == 2:
        # Conversion to float64 and back would take as long as the projections. The shapes are checked on one row of
        # each, and finiteness on a sum, which is not finite if any value is not.
        as_pair(plain[0][:1], plain[1][:1])
        first, second = (points.reshape(len(points), -1) for points in plain)
        centre = first.detach().mean(dim=0)
        if bool((centre.sum() + second.detach().sum().to(centre.device)).isfinite()):
            return first - centre, second.to(centre.device) - centre
    first, second = as_pair(x, y)
    centre = first.detach().mean(dim=0)
    return (first - centre).to(dtype), (second - centre).to(dtype)


def _is_plain(points: Array, dtype: torch.dtype) -> TypeGuard[Tensor]:
    """Whether points are a dense tensor of that dtype."""
    if not isinstance(points, Tensor) or type(points) not in (Tensor, torch.nn.Parameter):
        return False
    return points.layout == torch.strided and points.dtype == dtype and points.dim() > 0


def _directions(size: int, num: int, rng: torch.Generator) -> Tensor:
    """Unit vectors, uniform on the sphere, as rows."""
    normal = torch.randn(size, num, generator=rng, dtype=torch.float32, device=rng.device).double().T
    lengths: Tensor = torch.linalg.vector_norm(normal, dim=1, keepdim=True)
    return normal / lengths


def _in_blocks(along: Callable[..., Tensor], directions: Tensor, *points: Tensor | None) -> Tensor:
    """Apply `along` to blocks of directions, to limit memory."""
    num_rows = sum(len(rows) for rows in points[:2] if rows is not None)
    blocks = torch.split(directions, max(1, _BLOCK // num_rows))
    if len(blocks) == 1:
        return along(directions, *points)
    if torch.is_grad_enabled() and any(tensor is not None and tensor.requires_grad for tensor in points):
        return torch.cat([checkpoint(along, block, *points, use_reentrant=False) for block in blocks])
    return torch.cat([along(block, *points) for block in blocks])


def _standard_error(by_direction: Tensor, distance: float, p: float) -> float:
    """The standard error of (mean of w^p)^(1/p), by the delta method."""
    num = len(by_direction)
    if num == 1:
        return math.inf
    if distance == 0:
        return 0.0
    # In units of the distance, so that no power overflows.
    deviation = float(((by_direction / distance) ** p).std())
    return distance * deviation / (p * math.sqrt(num))
