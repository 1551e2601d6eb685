"""Games about a distance between samples: earth mover's, transport between batches, means in a kernel's space."""

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

# Of each kind, for a median distance: 20,000 pairs fix it to a hundredth, and cost less than the kernel itself.
_MEDIAN_SAMPLES = 100


@dataclass(frozen=True)
class Wasserstein(Objective):
    """The Kantorovich-Rubinstein dual of the earth mover's distance.

    W(P, Q) = sup over 1-Lipschitz f of E_P f - E_Q f. A critic that is K-Lipschitz at best estimates K W from below.

    Source: Arjovsky, Chintala and Bottou (2017), equations 2 and 3, and Algorithm 1, lines 5 and 10.
    """

    unit: ClassVar[str] = "earth mover's distance"
    title: ClassVar[str] = "a Wasserstein GAN"
    bears_bfloat16: ClassVar[bool] = True

    def critic_loss(self, real: Tensor, fake: Tensor, drawn: Tensor | None = None) -> Tensor:
        """Mean fake score minus mean real score: minus line 5's objective, since our optimisers descend."""
        return fake.mean() - real.mean()

    def generator_loss(self, fake: Tensor, real: Tensor | None = None) -> Tensor:
        """Minus the mean fake score (line 10)."""
        return -fake.mean()

    def estimate(self, real: Tensor, fake: Tensor) -> Tensor:
        """Mean real score minus mean fake score: positive is distance."""
        return real.mean() - fake.mean()


@dataclass(frozen=True)
class SemiDual(Objective):
    """Optimal transport between batches by its semi-dual: the critic is a potential, and the samples answer it.

    The critic g maximises E g(real) + E f(fake), where f(x) = min over the real y of the batch of c(x, y) - g(y), or
    with `epsilon` its soft form -eps log mean exp((g(y) - c(x, y)) / eps). The generator descends E f(fake): each of
    its samples moves towards the y that answers for it. No Lipschitz condition is asked of the critic: any g gives a
    lower bound of the cost between the two batches (with epsilon, of the cost with entropy), which is the estimate.
    What is moved is a sample together with the condition it was drawn under, if there is one. Between small batches
    even of one distribution that cost is above 0.

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
        """The cost by name; with entropy it is no distance, and above the one without."""
        distance = "earth mover's distance" if self.cost == "euclidean" else "squared Wasserstein-2 distance"
        return f"{distance} with entropy {self.epsilon:g}" if self.epsilon else distance

    @property
    def scale(self) -> str:
        """That of the cost."""
        units = "units" if self.cost == "euclidean" else "squared units"
        return f"a lower bound of it between two batches, in {units} of the scaled data"

    def check(self, critic: Critic, constraint: Constraint) -> None:
        """Refuse what keeps slopes at 1 where the cost is squared: its potentials are as steep as the way is long."""
        super().check(critic, constraint)
        if self.cost == "squared" and constraint.bounds_slope:
            raise UsageError(
                "the best potential of a squared cost is as steep as samples have to travel, and this constraint would "
                "hold its slope near one number",
                remedy="Use --constraint none, r1 or r2, or --objective semidual:cost=euclidean.",
            )

    def attach(self, critic: Critic) -> Critic:
        """The critic, with the samples beside its potentials."""
        return BesideSamples(critic)

    def critic_loss(self, real: Tensor, fake: Tensor, drawn: Tensor | None = None) -> Tensor:
        """Minus the semi-dual."""
        return -self.estimate(real, fake)

    def generator_loss(self, fake: Tensor, real: Tensor | None = None) -> Tensor:
        """E f(fake)."""
        return self._answers(given_real(real, fake), fake).mean()

    def estimate(self, real: Tensor, fake: Tensor) -> Tensor:
        """E g(real) + E f(fake)."""
        return real[:, 0].mean() + self._answers(real, fake).mean()

    def witness(self, outputs: Tensor, real: Tensor, fake: Tensor) -> Tensor:
        """The potential g."""
        return outputs[:, 0]

    def _answers(self, real: Tensor, fake: Tensor) -> Tensor:
        """The function f at generated samples, shape (M,), float32: costs are computed in float64."""
        points = real[:, 1:].detach().double()
        weights = points.new_full((len(points),), 1.0 / len(points))
        targets = Targets(points=points, weights=weights, cost=self._costs, p=1.0, epsilon=self.epsilon)
        answers, _ = targets.transform(fake[:, 1:].double(), real[:, 0].double())
        return answers.to(fake.dtype)

    def _costs(self, x: Tensor, y: Tensor) -> Tensor:
        """All costs, shape (N, M), by products, about a common centre lest digits go; twice differentiable."""
        centre = y.mean(dim=0)
        x, y = x - centre, y - centre
        squares = x.square().sum(dim=1)[:, None] + y.square().sum(dim=1)
        squared = torch.addmm(squares, x, y.T, alpha=-2.0).clamp(min=0.0)
        if self.cost == "squared":
            return squared
        apart = squared > 0
        return torch.where(apart, torch.where(apart, squared, 1.0).sqrt(), 0.0)


class BesideSamples(Critic):
    """A critic whose outputs are its score and the sample that it is of, with its condition, shape (N, 1 + D + C)."""

    def __init__(self, critic: Critic) -> None:
        nn.Module.__init__(self)
        self.critic, self.outputs, self.is_energy = critic, critic.outputs, critic.is_energy

    def forward(self, values: Tensor, condition: Tensor | None = None) -> Tensor:
        """Score samples, and hand them on, shape (N, 1 + D + C), float32, differentiable."""
        scores: Tensor = self.critic(values, condition)
        beside = [values.flatten(1), *([] if condition is None else [condition.float()])]
        return torch.cat([scores[:, None], *beside], dim=1)


@dataclass(frozen=True)
class MMD(Objective):
    """The squared mean discrepancy under a kernel, of samples as they are (GMMN) or of features that a critic learns.

    MMD² = E k(x, x') + E k(y, y') - 2 E k(x, y), unbiased, which the generator descends. With --critic identity there
    is nothing to learn: moments are matched in the samples' own space. Any other critic gives `features` numbers a
    sample and ascends MMD² of these; constraints then hold its witness, the function
    E k(., real) - E k(., fake). The kernel is a word of the kernels' table, its own parameter after a colon:
    `mmd:kernel=gaussian:bandwidth=0.5`; without a bandwidth it is the median distance in each pair of batches.

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
        """The kernel, as its word has it.

        Raises:
            UsageError: There is none of that name.
        """
        return KERNELS.build(self.kernel)

    @property
    def unit(self) -> str:
        """The kernel, by its word."""
        return f"squared mean discrepancy of the kernel {self.kernel}"

    @property
    def critic_outputs(self) -> int:
        """Numbers that a critic makes of a sample."""
        return self.features

    def check(self, critic: Critic, constraint: Constraint) -> None:
        """Refuse to hold a critic that has no weights."""
        if constraint.holds and next(critic.parameters(), None) is None:
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
        """MMD², unbiased, so below 0 at times."""
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
        """The kernel, with a bandwidth if it has none: samples of a batch are in no order: some stand for all."""
        return self.function.fitted(torch.cat([real[:_MEDIAN_SAMPLES], fake[:_MEDIAN_SAMPLES]]).detach())


def _rows(outputs: Tensor) -> Tensor:
    """Shape (N, K), float64: sums of squares lose digits in float32."""
    return outputs.reshape(len(outputs), -1).double()
