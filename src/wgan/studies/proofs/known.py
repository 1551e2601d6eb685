"""Distances that are known: what a critic proves of them, and what samples alone let anyone see.

Two distributions stand still, their W1 in closed form. A critic is trained between samples of both, and what its scores
prove is set beside the exact distance of the same samples, and beside the truth.
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
from wgan.system.torch_state import in_usual_state
from wgan.transport import certified_dual, critic_dual, exact
from wgan.trust.critics import FittedCritic, fit_critic

PROVEN = 0.95
"""The share of the exact distance of samples that a critic at its optimum has to prove."""

NEAR = 1e-3
"""What is left between √(Ŵ² − floor²) and the truth where samples are enough to see it, as a share of the truth."""

_CONFIDENCE = 0.95
_BATCH = 128
_ROUNDING = 1e-9
_FEWEST = 2


@dataclass(frozen=True, kw_only=True)
class Pair:
    """A distribution and itself, moved: of all plans to move it back the straight one is the best, so W1 = shift.

    Attributes:
        name: What it is called.
        shape: "gauss": a standard Gaussian; "segment": a segment of length 1, moved at a right angle to it, which makes
            the parallel lines of the paper's example 1.
        dimension: Of the points.
        shift: How far it is moved along the first axis, which is W1.
    """

    name: str
    shape: Literal["gauss", "segment"]
    dimension: int
    shift: float = 1.0

    def draw(self, size: int, rng: torch.Generator) -> tuple[Tensor, Tensor]:
        """Independent points of both, shape (size, dimension) each, float64: where it was, and where it is."""
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
    """What one draw of samples shows; distances in the units of the points.

    Attributes:
        exact: W1 of the samples that the critic was fitted to.
        certified: What it proves of them: Ŵ.
        without_critic: What distances to nearest neighbours prove of them.
        fresh_exact: W1 of as many samples that it never saw.
        fresh_certified: What it proves of those.
        by_slope: Its mean difference on those, divided by the steepest slope that was found: without any transform.
        floor: W1 between two sets of real samples.
        certified_floor: What a critic fitted between these proves of it.
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
        """Ŵ less its floor: in the mean no more than the distance of a distribution from itself, moved."""
        return self.certified - self.certified_floor

    @property
    def debiased(self) -> float:
        """sqrt(Ŵ² - floor²), the floor being Ŵ's own.

        Noise leads points astray in all directions, of which all but one are at right angles to the shift, and such
        lengths add by their squares. For W2 and sets that are moved that is no approximation: W2² is the square of the
        distance of the means plus W2² of what is left when both are centred.
        """
        return math.sqrt(max(0.0, self.certified**2 - self.certified_floor**2))


@dataclass(frozen=True, kw_only=True)
class Known:
    """A pair, measured several times on samples of its own each.

    Attributes:
        pair: What was measured.
        repetitions: What was found.
        confidence: With what probability `interval` holds what many more repetitions would give in the mean.
    """

    pair: Pair
    repetitions: tuple[Repetition, ...]
    confidence: float

    def of(self, name: str) -> Floats:
        """One number of all repetitions, shape (R,)."""
        return np.array([getattr(each, name) for each in self.repetitions], dtype=np.float64)

    def interval(self, name: str) -> tuple[float, float]:
        """Student's interval for the mean of one number."""
        from scipy.special import stdtrit

        values = self.of(name)
        reach = stdtrit(len(values) - 1, (1 + self.confidence) / 2) * values.std(ddof=1) / math.sqrt(len(values))
        return float(values.mean() - reach), float(values.mean() + reach)


@dataclass(frozen=True, kw_only=True)
class KnownResult:
    """All pairs, and what is claimed of them.

    Attributes:
        size: Samples on each side.
        critic_steps: Updates of each critic.
        known: A row for each pair.
    """

    size: int
    critic_steps: int
    known: tuple[Known, ...]

    def claims(self) -> tuple[Claim, ...]:
        """That Ŵ is nearly the exact distance of its samples, and debiased the true one, but for chance."""
        every = [each for known in self.known for each in known.repetitions]
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
                text="and that of samples that it never saw",
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
            *(self._truth(known) for known in self.known),
        )

    def _truth(self, known: Known) -> Claim:
        low, high = known.interval("debiased")
        return Claim(
            text=f"{known.pair.name}: √(Ŵ² − floor²) is the true distance, but for chance",
            measured=f"{known.of('debiased').mean():.3f}, interval {low:.3f} to {high:.3f}",
            wanted=f"{known.pair.shift:g} in it, or within {NEAR:.1%}",
            holds=low - NEAR * known.pair.shift <= known.pair.shift <= high + NEAR * known.pair.shift,
        )


@in_usual_state
@on_threads(1)  # small critics, and solvers that run on one
def known(
    *, pairs: Sequence[Pair] = PAIRS, size: int = 1_000, repetitions: int = 5, critic_steps: int = 500, seed: int = 0
) -> KnownResult:
    """Train critics between distributions whose distance is known, and measure what their scores prove.

    In each repetition two sets are drawn of either distribution. Of the first two the critic is trained to its optimum
    on one pair of sets and judged on both; another is trained between the two sets of real samples, for the floor.

    Args:
        pairs: What to measure.
        size: Samples in each set.
        repetitions: Independent draws, at least 2.
        critic_steps: Updates of each critic, MLPs of three layers of 64.
        seed: All samples, weights and batches follow from it.

    Returns:
        All numbers. The intervals hold together with a probability of 95 %.

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
    return KnownResult(
        size=size,
        critic_steps=critic_steps,
        known=tuple(
            Known(
                pair=pair,
                repetitions=tuple(
                    _repetition(pair, size, critic_steps, seed, place, number) for number in range(repetitions)
                ),
                confidence=1 - (1 - _CONFIDENCE) / len(pairs),
            )
            for place, pair in enumerate(pairs)
        ),
    )


def _repetition(pair: Pair, size: int, critic_steps: int, seed: int, place: int, number: int) -> Repetition:
    rng = Randomness(seed).at("samples of a known distance", place, number)
    (real, moved), (fresh_real, fresh_moved) = pair.draw(size, rng), pair.draw(size, rng)
    drawn = Randomness(seed).at("seeds of the critics", place, number)
    seeds = torch.randint(2**31, (2,), generator=drawn, device="cpu").tolist()
    critic = fit_critic(real, moved, critic_steps=critic_steps, batch_size=_BATCH, seed=seeds[0])
    between_real = fit_critic(real, fresh_real, critic_steps=critic_steps, batch_size=_BATCH, seed=seeds[1])
    certified, without_critic = _proven(critic, real, moved)
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
        certified_floor=_proven(between_real, real, fresh_real)[0],
    )


@torch.no_grad()
def _proven(critic: FittedCritic, x: Tensor, y: Tensor) -> tuple[float, float]:
    """Ŵ, and what is proved without the critic."""
    found = certified_dual(critic(x), critic(y), x, y)
    return float(found.value), float(found.without_critic)
