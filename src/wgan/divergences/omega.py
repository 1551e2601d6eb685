"""The logarithm of Wright's omega function: what Lambert's W becomes where its argument would overflow."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

_NEWTON_STEPS = 8
"""Six bring every finite argument to the last digit of float64; the others are in reserve."""


class _LogOmega(torch.autograd.Function):
    """λ with e^λ + λ = z, whose derivative is 1 / (1 + e^λ)."""

    generate_vmap_rule = True

    @staticmethod
    def forward(z: Tensor) -> Tensor:
        # The left side is convex and both starts lie where it is too large: Newton's steps go down to the root.
        root = torch.where(z > 1.0, z.clamp(min=1.0).log(), z)
        for _ in range(_NEWTON_STEPS):
            power = root.exp()
            root = root - (power + root - z) / (1.0 + power)
        return root

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor], output: Tensor) -> None:  # noqa: ANN401 - torch's own
        ctx.save_for_backward(output)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:  # noqa: ANN401
        (root,) = ctx.saved_tensors
        return gradients[0] * torch.sigmoid(-root)


def log_omega(z: Tensor) -> Tensor:
    """The logarithm λ of Wright's omega function, for real numbers: e^λ + λ = z, so that W(e^z) = e^λ.

    Neither e^z nor anything larger than |z| is ever formed.

    Args:
        z: Any shape, float32 or float64.

    Returns:
        The same shape and type, differentiable any number of times.

    Source: Corless and Jeffrey (2002), "The Wright omega function".
    """
    value: Tensor = _LogOmega.apply(z)  # type: ignore[no-untyped-call]
    return value
