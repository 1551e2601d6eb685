"""Objectives that estimate a distance between distributions: Wasserstein, semi-dual transport, and MMD."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar, Literal

import torch
from torch import Tensor, nn

from wgan.constraints import Constraint
from wgan.errors import UsageError
from wgan.kernels import KERNELS, Kernel, squared_mmd
from wgan.networks import Critic
from wgan.objectives.objective import Objective, given_real
from wgan.transport.semidual import Targets

# Of each kind, for the median distance: 20,000 pairs give it to 1 %, and cost less than the kernel.
_MEDIAN_SAMPLES = 100


@dataclass(frozen=True)
class Wasserstein(Objective):
    """The Kantorovich-Rubinstein dual of the earth mover's distance.

    W(P, Q) = sup over 1-Lipschitz f of E_P f - E_Q f. A K-Lipschitz critic gives a lower bound of K W.

    Source: Arjovsky, Chintala and Bottou (2017), equations 2 and 3, and Algorithm 1, lines 5 and 10.
    """

    unit: ClassVar[str] = "earth mover's distance"
    title: ClassVar[str] = "a Wasserstein GAN"
    bfloat16_safe: ClassVar[bool] = True

    def critic_loss(self, real: Tensor, fake: Tensor, drawn: Tensor | None = None) -> Tensor:
        """Mean fake score minus mean real score: minus the objective of line 5, since optimisers minimise."""
        return fake.mean() - real.mean()

    def generator_loss(self, fake: Tensor, real: Tensor | None = None) -> Tensor:
        """Minus the mean fake score (line 10)."""
        return -fake.mean()

    def estimate(self, real: Tensor, fake: Tensor) -> Tensor:
        """Mean real score minus mean fake score."""
        return real.mean() - fake.mean()


@dataclass(frozen=True)
class SemiDual(Objective):
    """Optimal transport between batches by its semi-dual: the critic is the potential of the real samples.

    The critic g maximises E g(real) + E f(fake), where f(x) = min over the real y of the batch of c(x, y) - g(y). With
    `epsilon`, f is the soft minimum -eps log mean exp((g(y) - c(x, y)) / eps). The generator minimises E f(fake): each
    sample moves towards the y that attains the minimum. The critic needs no Lipschitz condition: any g gives a lower
    bound of the cost between the two batches (with epsilon, of the entropic cost), which is the estimate. The cost is
    between samples joined with their conditions, if there are any. Between small batches of the same distribution it
    is above 0.

    Source: Genevay, Cuturi, Peyré and Bach (2016), equations S_eps and 3; Genevay, Peyré and Cuturi (2018) for its use
    in training generators.
    """

    title: ClassVar[str] = "a generator trained by semi-dual optimal transport"
    of_scores: ClassVar[bool] = False
    generator_sees_real: ClassVar[bool] = True

    cost: Literal["euclidean", "squared"] = "euclidean"
    epsilon: float = 0.0

    def __post_init__(self) -> None:
        if not 0 <= self.epsilon < math.inf:
            raise ValueError(f"epsilon must be at least 0 and finite, not {self.epsilon}")

    @property
    def unit(self) -> str:
        """The cost by name. With entropy it is not a distance, and larger than without."""
        distance = "earth mover's distance" if self.cost == "euclidean" else "squared Wasserstein-2 distance"
        return f"{distance} with entropy {self.epsilon:g}" if self.epsilon else distance

    @property
    def scale(self) -> str:
        """That of the cost."""
        units = "units" if self.cost == "euclidean" else "squared units"
        return f"a lower bound of it between two batches, in {units} of the scaled data"

    def check(self, critic: Critic, constraint: Constraint) -> None:
        """Raise for a slope bound with a squared cost, whose potentials are as steep as the transport distance."""
        super().check(critic, constraint)
        if self.cost == "squared" and constraint.bounds_slope:
            raise UsageError(
                "the best potential of a squared cost is as steep as samples have to travel, and this constraint would "
                "hold its slope near one number",
                remedy="Use --constraint none, r1 or r2, or --objective semidual:cost=euclidean.",
            )

    def attach(self, critic: Critic) -> Critic:
        """The critic, with the samples appended to its scores."""
        return WithSamples(critic)

    def critic_loss(self, real: Tensor, fake: Tensor, drawn: Tensor | None = None) -> Tensor:
        """Minus the semi-dual."""
        return -self.estimate(real, fake)

    def generator_loss(self, fake: Tensor, real: Tensor | None = None) -> Tensor:
        """E f(fake)."""
        return self._transform(given_real(real, fake), fake).mean()

    def estimate(self, real: Tensor, fake: Tensor) -> Tensor:
        """E g(real) + E f(fake)."""
        return real[:, 0].mean() + self._transform(real, fake).mean()

    def witness(self, outputs: Tensor, real: Tensor, fake: Tensor) -> Tensor:
        """The potential g."""
        return outputs[:, 0]

    def _transform(self, real: Tensor, fake: Tensor) -> Tensor:
        """The function f at generated samples, shape (M,), float32; costs are computed in float64."""
        points = real[:, 1:].detach().double()
        weights = points.new_full((len(points),), 1.0 / len(points))
        targets = Targets(points=points, weights=weights, cost=self._costs, p=1.0, epsilon=self.epsilon)
        transformed, _ = targets.transform(fake[:, 1:].double(), real[:, 0].double())
        return transformed.to(fake.dtype)

    def _costs(self, x: Tensor, y: Tensor) -> Tensor:
        """All costs, shape (N, M), twice differentiable; by products of centred points, to limit cancellation."""
        centre = y.mean(dim=0)
        x, y = x - centre, y - centre
        squares = x.square().sum(dim=1)[:, None] + y.square().sum(dim=1)
        squared = torch.addmm(squares, x, y.T, alpha=-2.0).clamp(min=0.0)
        if self.cost == "squared":
            return squared
        apart = squared > 0
        return torch.where(apart, torch.where(apart, squared, 1.0).sqrt(), 0.0)


class WithSamples(Critic):
    """A critic whose outputs are the score, the sample and its condition, shape (N, 1 + D + C)."""

    def __init__(self, critic: Critic) -> None:
        nn.Module.__init__(self)
        self.critic, self.outputs, self.is_energy = critic, critic.outputs, critic.is_energy

    def forward(self, values: Tensor, condition: Tensor | None = None) -> Tensor:
        """Scores, samples and conditions, shape (N, 1 + D + C), float32, differentiable."""
        scores: Tensor = self.critic(values, condition)
        inputs = [values.flatten(1), *([] if condition is None else [condition.float()])]
        return torch.cat([scores[:, None], *inputs], dim=1)


@dataclass(frozen=True)
class MMD(Objective):
    """The squared maximum mean discrepancy of a kernel, on samples (GMMN) or on features that a critic learns.

    MMD² = E k(x, x') + E k(y, y') - 2 E k(x, y), unbiased, which the generator minimises. With --critic identity
    nothing is learned: the kernel acts on the samples themselves. Any other critic maps each sample to `features`
    numbers and maximises MMD² of these; constraints then act on the witness function E k(., real) - E k(., fake). A
    parameter of the kernel follows a colon: `mmd:kernel=gaussian:bandwidth=0.5`. The default bandwidth is the median
    distance in each pair of batches.

    Source: Li, Swersky and Zemel (2015) and Dziugaite, Roy and Ghahramani (2015) for moment matching; Li et al. (2017)
    for learned features; Bińkowski, Sutherland, Arbel and Gretton (2018) for the unbiased form and the witness.
    """

    scale: ClassVar[str] = "in units of the kernel, of the critic's features"
    title: ClassVar[str] = "a generator trained by moment matching"
    of_scores: ClassVar[bool] = False
    generator_sees_real: ClassVar[bool] = True
    fewest: ClassVar[int] = 2

    kernel: str = "gaussian-mixture"
    features: int = 16

    def __post_init__(self) -> None:
        if self.features < 1:
            raise ValueError(f"features must be at least 1, not {self.features}")
        _ = self.function

    @cached_property
    def function(self) -> Kernel:
        """The kernel.

        Raises:
            UsageError: There is none of that name.
        """
        return KERNELS.build(self.kernel)

    @property
    def unit(self) -> str:
        """The kernel, by its name."""
        return f"squared mean discrepancy of the kernel {self.kernel}"

    @property
    def critic_outputs(self) -> int:
        """Features of each sample."""
        return self.features

    def check(self, critic: Critic, constraint: Constraint) -> None:
        """Raise for a constraint on a critic without parameters."""
        if constraint.needs_parameters and next(critic.parameters(), None) is None:
            raise UsageError(
                "a critic without weights has nothing that a constraint could hold", remedy="Use --constraint none."
            )

    def critic_loss(self, real: Tensor, fake: Tensor, drawn: Tensor | None = None) -> Tensor:
        """Minus MMD²."""
        return -self.estimate(real, fake)

    def generator_loss(self, fake: Tensor, real: Tensor | None = None) -> Tensor:
        """MMD²."""
        return self.estimate(given_real(real, fake), fake)

    def estimate(self, real: Tensor, fake: Tensor) -> Tensor:
        """MMD², unbiased, so that it can be negative."""
        if min(len(real), len(fake)) < 2:
            raise UsageError("the mean discrepancy needs two samples on both sides")
        x, y = _rows(real), _rows(fake)
        return squared_mmd(x, y, kernel=self._fitted(x, y)).to(fake.dtype)

    def witness(self, outputs: Tensor, real: Tensor, fake: Tensor) -> Tensor:
        """E k(., real) - E k(., fake)."""
        points, x, y = _rows(outputs), _rows(real), _rows(fake)
        kernel = self._fitted(x, y)
        return (kernel(points, x).mean(dim=1) - kernel(points, y).mean(dim=1)).to(outputs.dtype)

    def _fitted(self, real: Tensor, fake: Tensor) -> Kernel:
        """The kernel with a bandwidth: if it has none, from the first samples, since a batch is in random order."""
        return self.function.fitted(torch.cat([real[:_MEDIAN_SAMPLES], fake[:_MEDIAN_SAMPLES]]).detach())


def _rows(outputs: Tensor) -> Tensor:
    """Shape (N, K), float64: sums of squares lose digits in float32."""
    return outputs.reshape(len(outputs), -1).double()
