"""Constraints on the critic's weights: clipping and spectral normalisation."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrizations

from wgan.constraints.constraint import Constraint, refuse_batch_norm
from wgan.system.torch_state import in_default_state


@dataclass(frozen=True)
class WeightClipping(Constraint):
    """Clip every weight of the critic to [-bound, bound] after each update.

    A critic without batch norm is then K-Lipschitz, with K depending only on the bound and the network. The estimate is
    thus at most K times the distance throughout a run.

    Source: Arjovsky, Chintala and Bottou (2017), Algorithm 1, line 7.
    """

    scale: ClassVar[str] = "up to an unknown constant factor"
    bounds_slope: ClassVar[bool] = True

    bound: float = 0.01

    def __post_init__(self) -> None:
        if not 0 < self.bound < math.inf:
            raise ValueError(f"bound must be above 0 and finite, not {self.bound}")

    @torch.no_grad()
    def project(self, critic: nn.Module) -> None:
        """Clip all parameters, including biases and batch-norm scales, as in the authors' code."""
        parameters: list[Tensor] = list(critic.parameters())
        torch._foreach_clamp_min_(parameters, -self.bound)
        torch._foreach_clamp_max_(parameters, self.bound)

    def projected(self, weights: list[Tensor]) -> list[Tensor]:
        """The clipped weights; those beyond the bound have gradient 0."""
        return [weight.clamp(-self.bound, self.bound) for weight in weights]


@dataclass(frozen=True)
class SpectralNorm(Constraint):
    """Divide each weight matrix of the critic by its largest singular value.

    An MLP with 1-Lipschitz activations is then 1-Lipschitz, up to the error of one power iteration in each forward
    pass. Convolutions are normalised as matrices of shape (out, in x height x width), which bounds the filter but not
    the convolution: its slope can exceed 1, as can that of residual blocks, which add their input.

    Source: Miyato et al. (2018), section 2 and Algorithm 1.
    """

    scale: ClassVar[str] = "up to an unknown constant factor"
    bounds_slope: ClassVar[bool] = True

    iterations: int = 1

    def __post_init__(self) -> None:
        if self.iterations < 1:
            raise ValueError(f"iterations must be at least 1, not {self.iterations}")

    @in_default_state
    def attach(self, critic: nn.Module) -> None:
        """Register the normalisation on every linear and convolutional layer that does not have it yet."""
        refuse_batch_norm(critic, "spectral normalisation bounds slopes, which batch norm scales up again")
        for module in list(critic.modules()):
            is_layer = isinstance(module, nn.Linear | nn.Conv1d | nn.Conv2d | nn.ConvTranspose2d)
            if is_layer and not nn.utils.parametrize.is_parametrized(module, "weight"):
                parametrizations.spectral_norm(module, n_power_iterations=self.iterations)
