"""What keeps a critic Lipschitz: clipping, a gradient penalty, spectral normalisation, or nothing.

A constraint acts at up to three moments: once when the critic is built (`attach`), in the critic's loss (`penalty`),
and after each of its updates (`project`). To add one, write its class here and give it a row in `CONSTRAINTS`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar, Literal

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrizations

from wgan.batch import Batch
from wgan.choices import Catalog
from wgan.errors import UsageError

Scores = Callable[[Tensor, Tensor | None], Tensor]


class Constraint:
    """The three moments at which a critic can be held, each doing nothing here; a row defines those that it needs.

    Attributes:
        scale: In what unit a Wasserstein critic's estimate then is, as a curve's axis would say it.
    """

    scale: ClassVar[str] = "in units that change as the critic grows"

    def attach(self, critic: nn.Module) -> None:
        """Change or check the critic, once, before its optimiser is built.

        Raises:
            UsageError: A critic that this constraint cannot hold.
        """

    def draw(self, size: int, rng: torch.Generator) -> Tensor | None:
        """Draw what `penalty` needs at random for a batch of `size`, so that the loss itself is a pure function."""
        return None

    def penalty(self, scores: Scores, real: Batch, fake: Batch, drawn: Tensor | None) -> Tensor | float:
        """A term added to the critic's loss: 0-d, twice differentiable.

        Args:
            scores: The critic, from values (N, *shape) and a condition to scores (N,).
            real: The batch of real samples.
            fake: The batch of generated samples, of the same size, without a graph.
            drawn: What `draw` returned for this batch.
        """
        return 0.0

    def project(self, critic: nn.Module) -> None:
        """Bring the critic's weights back into the set that is allowed, after an update (Algorithm 1, line 7)."""


@dataclass(frozen=True)
class WeightClipping(Constraint):
    """Clip every weight of the critic to [-bound, bound] after each update.

    A critic without batch norm is then K-Lipschitz for a K that depends on the bound and the network alone, so the
    curve is a distance up to a factor that has the same limit all through a run.

    Source: Arjovsky, Chintala and Bottou (2017), Algorithm 1, line 7.
    """

    scale: ClassVar[str] = "up to an unknown constant factor"

    bound: float = 0.01

    def __post_init__(self) -> None:
        if not self.bound > 0:
            raise ValueError(f"bound must be above 0, not {self.bound}")

    @torch.no_grad()
    def project(self, critic: nn.Module) -> None:
        """Clip, batch-norm scales and biases included, as the authors do."""
        weights: list[Tensor] = list(critic.parameters())
        torch._foreach_clamp_min_(weights, -self.bound)
        torch._foreach_clamp_max_(weights, self.bound)


@dataclass(frozen=True)
class GradientPenalty(Constraint):
    """Hold the norm of the critic's gradient near a target on straight lines between real and fake samples.

    weight * E (max(0, ||grad f(x)|| - target)) ** power for sides = "one", and with |.| in place of max(0, .) for
    sides = "two", where x = e real + (1 - e) fake and e is uniform on [0, 1], one for each pair.

    Source: Gulrajani et al. (2017), equation 3 (two sides, power 2) and the remark on one side; Petzka et al. (2018).
    """

    scale: ClassVar[str] = "roughly in units of the scaled data: the penalty bounds slopes softly"

    weight: float = 10.0
    target: float = 1.0
    sides: Literal["two", "one"] = "two"
    power: Literal[1, 2] = 2

    def __post_init__(self) -> None:
        if not self.weight >= 0:
            raise ValueError(f"weight must be at least 0, not {self.weight}")
        if not self.target >= 0:
            raise ValueError(f"target must be at least 0, not {self.target}")

    def attach(self, critic: nn.Module) -> None:
        """Refuse batch norm: it ties samples together, and the penalty is on each sample's own gradient."""
        _refuse_batch_norm(critic, "a gradient penalty needs a critic that scores each sample by itself")

    def draw(self, size: int, rng: torch.Generator) -> Tensor:
        """The mixing weights e, shape (size,)."""
        return torch.rand(size, generator=rng)

    def penalty(self, scores: Scores, real: Batch, fake: Batch, drawn: Tensor | None) -> Tensor:
        """The penalty of equation 3, weight included; finite, with a finite gradient, where the critic is flat."""
        assert drawn is not None
        mix = drawn.reshape(-1, *[1] * (real.values.dim() - 1))
        between = torch.lerp(fake.values, real.values, mix).detach().requires_grad_(True)
        (gradient,) = torch.autograd.grad(scores(between, real.condition).sum(), between, create_graph=True)
        # vector_norm has the subgradient 0 at 0, where a square root of a sum of squares would give NaN.
        excess = torch.linalg.vector_norm(gradient.flatten(1).float(), dim=1) - self.target
        excess = excess.abs() if self.sides == "two" else excess.clamp(min=0.0)
        penalty: Tensor = self.weight * (excess.square() if self.power == 2 else excess).mean()
        return penalty


@dataclass(frozen=True)
class SpectralNorm(Constraint):
    """Divide each weight matrix of the critic by its largest singular value.

    An MLP whose activations are 1-Lipschitz then is so too, up to the error of one power iteration a forward pass.
    Convolutions are normalised as matrices of shape (out, in x height x width), which bounds the filter and not the
    convolution: its slope can exceed 1, as can that of residual blocks, which add their input.

    Source: Miyato et al. (2018), section 2 and Algorithm 1.
    """

    scale: ClassVar[str] = "up to an unknown constant factor"

    iterations: int = 1

    def __post_init__(self) -> None:
        if self.iterations < 1:
            raise ValueError(f"iterations must be at least 1, not {self.iterations}")

    def attach(self, critic: nn.Module) -> None:
        """Register the normalisation on every linear and convolutional layer; a critic that has it is left alone."""
        _refuse_batch_norm(critic, "spectral normalisation bounds slopes, which batch norm scales up again")
        for module in list(critic.modules()):
            is_layer = isinstance(module, nn.Linear | nn.Conv1d | nn.Conv2d)
            if is_layer and not nn.utils.parametrize.is_parametrized(module, "weight"):
                parametrizations.spectral_norm(module, n_power_iterations=self.iterations)


@dataclass(frozen=True)
class Unconstrained(Constraint):
    """Nothing: the critic is free, its scores can grow without bound, and the curve is no distance."""


def _refuse_batch_norm(critic: nn.Module, why: str) -> None:
    for name, module in critic.named_modules():
        if isinstance(module, nn.modules.batchnorm._BatchNorm):
            raise UsageError(
                f"{why}, but the critic's '{name}' is batch norm",
                remedy="Give the critic norm=layer or norm=none, for example --critic dcgan:norm=none.",
            )


CONSTRAINTS: Catalog[Constraint] = Catalog(
    "constraint",
    {"clipping": WeightClipping, "penalty": GradientPenalty, "spectral": SpectralNorm, "none": Unconstrained},
)
