"""Constraints on the critic's weights: clipping and spectral normalisation."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrizations

from wgan.constraints.constraint import Constraint, refuse_batch_norm
from wgan.system.torch_state import in_usual_state


@dataclass(frozen=True)
class WeightClipping(Constraint):
    """Clip every weight of the critic to [-bound, bound] after each update.

    A critic without batch norm is then K-Lipschitz for a K that depends on the bound and the network alone, so the
    curve is a distance up to a factor that has the same limit all through a run.

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
        """Clip, batch-norm scales and biases included, as the authors do."""
        weights: list[Tensor] = list(critic.parameters())
        torch._foreach_clamp_min_(weights, -self.bound)
        torch._foreach_clamp_max_(weights, self.bound)

    def projected(self, weights: list[Tensor]) -> list[Tensor]:
        """The weights clipped; those outside the box have no gradient."""
        return [weight.clamp(-self.bound, self.bound) for weight in weights]


@dataclass(frozen=True)
class SpectralNorm(Constraint):
    """Divide each weight matrix of the critic by its largest singular value.

    An MLP whose activations are 1-Lipschitz then is so too, up to the error of one power iteration a forward pass.
    Convolutions are normalised as matrices of shape (out, in x height x width), which bounds the filter and not the
    convolution: its slope can exceed 1, as can that of residual blocks, which add their input.

    Source: Miyato et al. (2018), section 2 and Algorithm 1.
    """

    scale: ClassVar[str] = "up to an unknown constant factor"
    bounds_slope: ClassVar[bool] = True

    iterations: int = 1

    def __post_init__(self) -> None:
        if self.iterations < 1:
            raise ValueError(f"iterations must be at least 1, not {self.iterations}")

    @in_usual_state
    def attach(self, critic: nn.Module) -> None:
        """Register the normalisation on every linear and convolutional layer; a critic that has it is left alone."""
        refuse_batch_norm(critic, "spectral normalisation bounds slopes, which batch norm scales up again")
        for module in list(critic.modules()):
            is_layer = isinstance(module, nn.Linear | nn.Conv1d | nn.Conv2d | nn.ConvTranspose2d)
            if is_layer and not nn.utils.parametrize.is_parametrized(module, "weight"):
                parametrizations.spectral_norm(module, n_power_iterations=self.iterations)
