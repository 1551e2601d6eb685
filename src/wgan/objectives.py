"""What the two players optimise, and what the training curve then estimates.

An objective sees per-sample scores of shape (N,) and nothing else: neither networks nor data. To add one, write its
class here and give it a row in `OBJECTIVES`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Protocol

from torch import Tensor

from wgan.choices import Catalog


class Objective(Protocol):
    """A two-player game, in terms of the critic's scores.

    Attributes:
        unit: What `estimate` measures, as a curve's axis would say it.
        generator_sees_real: Whether `generator_loss` needs the scores of real samples (relativistic losses do).
    """

    @property
    def unit(self) -> str:
        """As above."""
        ...

    @property
    def generator_sees_real(self) -> bool:
        """As above."""
        ...

    def critic_loss(self, real: Tensor, fake: Tensor) -> Tensor:
        """The loss that the critic descends, 0-d and differentiable, from scores of shape (N,)."""
        ...

    def generator_loss(self, fake: Tensor, real: Tensor | None) -> Tensor:
        """The loss that the generator descends, 0-d and differentiable; `real` is None unless asked for."""
        ...

    def estimate(self, real: Tensor, fake: Tensor) -> Tensor:
        """What the critic's scores say of the distance between the two distributions, 0-d."""
        ...


@dataclass(frozen=True)
class Wasserstein:
    """The Kantorovich-Rubinstein dual of the earth mover's distance.

    W(P, Q) = sup over 1-Lipschitz f of E_P f - E_Q f. A critic that is K-Lipschitz at best estimates K W from below.

    Source: Arjovsky, Chintala and Bottou (2017), equations 2 and 3, and Algorithm 1, lines 5 and 10.
    """

    unit: ClassVar[str] = "earth mover's distance"
    generator_sees_real: ClassVar[bool] = False

    def critic_loss(self, real: Tensor, fake: Tensor) -> Tensor:
        """Mean fake score minus mean real score: minus line 5's objective, since our optimisers descend."""
        return fake.mean() - real.mean()

    def generator_loss(self, fake: Tensor, real: Tensor | None = None) -> Tensor:
        """Minus the mean fake score (line 10)."""
        return -fake.mean()

    def estimate(self, real: Tensor, fake: Tensor) -> Tensor:
        """Mean real score minus mean fake score: positive is distance."""
        return real.mean() - fake.mean()


OBJECTIVES: Catalog[Objective] = Catalog("objective", {"wasserstein": Wasserstein})
