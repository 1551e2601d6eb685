"""Known distances: the lower bound by a critic, the exact distance of the samples, and the true distance.

The W1 of two fixed distributions is known in closed form. A critic is trained between samples of both. Its lower bound
is compared with the exact distance of the same samples and with the true one.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from wgan.errors import UsageError
from wgan.figures import Floats
from wgan.randomness import Randomness
from wgan.studies import Claim
from wgan.system.threads import on_threads
from wgan.system.torch_state import in_default_state
from wgan.transport import certified_dual, critic_dual, exact
from wgan.trust.critics import FittedCritic, fit_critic

PROVEN = 0.95
"""Share of the exact distance of samples that an optimal critic has to prove."""

NEAR = 1e-3
"""Relative error of √(Ŵ² − floor²) that is allowed beyond the interval."""

_CONFIDENCE = 0.95
_BATCH = 128
_ROUNDING = 1e-9
_FEWEST = 2


@dataclass(frozen=True, kw_only=True)
class Pair:
    """A distribution and a translate of it. Translation is the optimal plan, so W1 = shift.

    Attributes:
        name: Of the pair.
        shape: "gauss": a standard Gaussian; "segment": a segment of length 1, translated at a right angle, as in the
            paper's example 1.
        dimension: Dimension of the points.
        shift: Translation along the first axis; equal to W1.
    """

    name: str
    shape: Literal["gauss", "segment"]
    dimension: int
    shift: float = 1.0

    def draw(self, size: int, rng: torch.Generator) -> tuple[Tensor, Tensor]:
        """Independent points of the distribution and of its translate, shape (size, dimension) each, float64."""
        real, moved = self._points(size, rng), self._points(size, rng)
        moved[:, 0] += self.shift
        return real, moved

    def _points(self, size: int, rng: torch.Generator) -> Tensor:
        if self.shape == "gauss":
            return torch.randn(size, self.dimension, dtype=torch.float64, generator=rng, device="cpu")
        points = torch.zeros(size, self.dimension, dtype=torch.float64, device="cpu")
        points[:, 1] = torch.rand(size, dtype=torch.float64, generator=rng, device="cpu")
        return points


PAIRS = (
    Pair(name="parallel lines", shape="segment", dimension=2),
    Pair(name="Gaussians, 1-D", shape="gauss", dimension=1),
    Pair(name="Gaussians, 2-D", shape="gauss", dimension=2),
    Pair(name="Gaussians, 10-D", shape="gauss", dimension=10),
)


@dataclass(frozen=True, kw_only=True)
class Repetition:
    """Measurements on one draw of samples, in the unit of the points.

    Attributes:
        exact: W1 of the samples that the critic was trained on.
        certified: The critic's lower bound on it, Ŵ.
        without_critic: The lower bound by nearest neighbours.
        fresh_exact: W1 of as many fresh samples.
        fresh_certified: The critic's lower bound on that.
        by_slope: Difference of its mean scores on fresh samples, divided by its largest slope.
        floor: W1 between two sets of real samples.
        certified_floor: Lower bound on that by a critic trained on these two sets.
    """

    exact: float
    certified: float
    without_critic: float
    fresh_exact: float
    fresh_certified: float
    by_slope: float
    floor: float
    certified_floor: float

    @property
    def less_floor(self) -> float:
        """Ŵ less its floor: in the mean at most the true distance."""
        return self.certified - self.certified_floor

    @property
    def debiased(self) -> float:
        """sqrt(Ŵ² - floor²), the floor being Ŵ's own.

        Noise displaces points in all directions, of which all but one are orthogonal to the shift, and orthogonal
        lengths add in squares. For W2 and translates this is exact: W2² is the squared distance of the means plus W2²
        of the centred sets.
        """
        return math.sqrt(max(0.0, self.certified**2 - self.certified_floor**2))


@dataclass(frozen=True, kw_only=True)
class PairResult:
    """Repeated measurements of a pair.

    Attributes:
        pair: The pair.
        repetitions: The measurements, each on its own samples.
        confidence: Confidence level of `interval`.
    """

    pair: Pair
    repetitions: tuple[Repetition, ...]
    confidence: float

    def of(self, name: str) -> Floats:
        """One measurement in all repetitions, shape (R,)."""
        return np.array([getattr(each, name) for each in self.repetitions], dtype=np.float64)

    def interval(self, name: str) -> tuple[float, float]:
        """Student's interval for the mean of one measurement."""
        from scipy.special import stdtrit

        values = self.of(name)
        half_width = stdtrit(len(values) - 1, (1 + self.confidence) / 2) * values.std(ddof=1) / math.sqrt(len(values))
        return float(values.mean() - half_width), float(values.mean() + half_width)


@dataclass(frozen=True, kw_only=True)
class KnownDistances:
    """The measurements of all pairs.

    Attributes:
        size: Samples on each side.
        critic_steps: Updates of each critic.
        pairs: The measurements of each pair.
    """

    size: int
    critic_steps: int
    pairs: tuple[PairResult, ...]

    def claims(self) -> tuple[Claim, ...]:
        """Ŵ is close to the exact distance of its samples. Debiased, it is the true distance up to sampling error."""
        every = [each for pair in self.pairs for each in pair.repetitions]
        fitted = min(each.certified / each.exact for each in every)
        fresh = min(each.fresh_certified / each.fresh_exact for each in every)
        above = max(max(each.certified / each.exact, each.fresh_certified / each.fresh_exact) for each in every) - 1
        return (
            Claim(
                text="a critic at its optimum proves the exact distance of its samples",
                measured=f"Ŵ at least {fitted:.1%} of it",
                wanted=f"{PROVEN:.0%}",
                holds=fitted >= PROVEN,
            ),
            Claim(
                text="a critic at its optimum proves the exact distance of fresh samples",
                measured=f"Ŵ at least {fresh:.1%} of it",
                wanted=f"{PROVEN:.0%}",
                holds=fresh >= PROVEN,
            ),
            Claim(
                text="Ŵ is never above the exact distance",
                measured=f"at most {above:+.1e} of it",
                wanted="rounding",
                holds=above <= _ROUNDING,
            ),
            *map(self._truth, self.pairs),
        )

    def _truth(self, found: PairResult) -> Claim:
        low, high = found.interval("debiased")
        return Claim(
            text=f"{found.pair.name}: √(Ŵ² − floor²) equals the true distance up to sampling error",
            measured=f"{found.of('debiased').mean():.3f}, interval {low:.3f} to {high:.3f}",
            wanted=f"{found.pair.shift:g} in it, or within {NEAR:.1%}",
            holds=low - NEAR * found.pair.shift <= found.pair.shift <= high + NEAR * found.pair.shift,
        )


@in_default_state
@on_threads(1)  # small critics, and single-threaded solvers
def known(
    *, pairs: Sequence[Pair] = PAIRS, size: int = 1_000, repetitions: int = 5, critic_steps: int = 500, seed: int = 0
) -> KnownDistances:
    """Train critics between distributions of known distance, and measure their lower bounds.

    In each repetition, two sets are drawn from each distribution. A critic is trained to its optimum on the first set
    of each, and evaluated on both. Another critic is trained between the two sets of real samples, for the floor.

    Args:
        pairs: The pairs to measure.
        size: Samples in each set.
        repetitions: Independent draws, at least 2.
        critic_steps: Updates of each critic, an MLP of three layers of 64.
        seed: Determines all samples, weights and batches.

    Returns:
        All measurements. The intervals hold jointly with a probability of 95 %.

    Raises:
        UsageError: Counts that are too small.

    Cost: 2 `critic_steps` updates and three transport problems for each pair and repetition: with the defaults about a
    minute on one thread.
    """
    if size < _FEWEST or repetitions < _FEWEST or not pairs:
        raise UsageError(
            f"size and repetitions must be at least {_FEWEST}, and there must be a pair, not {size}, {repetitions} and "
            f"{len(pairs)}"
        )
    return KnownDistances(
        size=size,
        critic_steps=critic_steps,
        pairs=tuple(
            PairResult(
                pair=pair,
                repetitions=tuple(
                    _repetition(pair, size, critic_steps, seed, index, number) for number in range(repetitions)
                ),
                confidence=1 - (1 - _CONFIDENCE) / len(pairs),
            )
            for index, pair in enumerate(pairs)
        ),
    )


def _repetition(pair: Pair, size: int, critic_steps: int, seed: int, index: int, number: int) -> Repetition:
    rng = Randomness(seed).at("samples of a known distance", index, number)
    (real, moved), (fresh_real, fresh_moved) = pair.draw(size, rng), pair.draw(size, rng)
    drawn = Randomness(seed).at("seeds of the critics", index, number)
    seeds = torch.randint(2**31, (2,), generator=drawn, device="cpu").tolist()
    critic = fit_critic(real, moved, critic_steps=critic_steps, batch_size=_BATCH, seed=seeds[0])
    between_real = fit_critic(real, fresh_real, critic_steps=critic_steps, batch_size=_BATCH, seed=seeds[1])
    certified, without_critic = _lower_bounds(critic, real, moved)
    dual = critic_dual(fresh_real, fresh_moved, critic)
    assert dual.exact is not None
    return Repetition(
        exact=float(exact(real, moved).cost),
        certified=certified,
        without_critic=without_critic,
        fresh_exact=float(dual.exact.cost),
        fresh_certified=float(dual.certified.value),
        by_slope=float(dual.by_measured),
        floor=float(exact(real, fresh_real).cost),
        certified_floor=_lower_bounds(between_real, real, fresh_real)[0],
    )


@torch.no_grad()
def _lower_bounds(critic: FittedCritic, x: Tensor, y: Tensor) -> tuple[float, float]:
    """Ŵ, and the lower bound without the critic."""
    found = certified_dual(critic(x), critic(y), x, y)
    return float(found.value), float(found.without_critic)
