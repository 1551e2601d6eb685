"""Evidence of what a critic's number is worth, gathered at one moment of a run."""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass

import torch

from wgan.constraints import Constraint
from wgan.data.source import Source
from wgan.game import Game
from wgan.objectives import Objective
from wgan.randomness import Randomness
from wgan.rules import Rules
from wgan.transport import sliced
from wgan.trust.distances import Solved, certify, flat, solve
from wgan.trust.optimality import gap_to_optimality
from wgan.trust.samples import Look, Rows, look, scored


@dataclass(frozen=True, kw_only=True)
class Evidence:
    """Numbers about the critic's number after some update; None where one cannot be had.

    Distances are in the units of the data, as the judge's are; estimates are in the objective's own.

    Attributes:
        training_estimate: The objective's estimate, of training rows against samples.
        held_out_estimate: The same of held-out rows: the difference is what the critic has learnt by heart.
        certified: W1 between held-out rows and samples is at least this, as the critic's scores prove whatever their
            slope.
        without_critic: The same by constant scores: what distances to nearest neighbours prove without any critic.
        exact: W1 between held-out rows and samples.
        exact_low: Where its 95 % interval begins.
        exact_high: Where it ends.
        exact_floor: W1 between held-out rows and as many training rows.
        sliced: Sliced W1 between held-out rows and samples, of images, and where the exact one is too dear.
        sliced_floor: The same between held-out and training rows.
        efficiency: The share of the exact distance that the critic proves.
        gap: The share of what a copy of the critic proves, trained further against the same generator, that the critic
            does not prove yet.
        slope_real: The largest norm of the critic's gradient at real samples.
        slope_fake: The same at generated ones.
        slope_between: The same at points between the two.
        slope_climbed: The same where gradient ascent ends.
        slope_bound: The product of the layers' norms, which no slope exceeds.
        estimate_by_slope: The held-out estimate divided by the largest slope that was found.
        layer_gradients: Norms of the critic's gradient, by layers.
        generator_layer_gradients: Likewise of the generator's.
        at_bound: Share of the critic's weights that sit at the bound that they are clipped to.
        step_cosine: Cosine between the critic's next step and its negative gradient; None where the optimiser keeps no
            memory of earlier gradients.
        score_histogram: Edges, and counts of the scores of held-out rows and of samples.
        diversity_samples: Mean distance from a sample to the nearest other one.
        diversity_real: The same among held-out rows.
        nearest_training: Mean distance from a sample to the nearest training row.
        nearest_held_out: The same to the nearest of as many held-out rows.
    """

    training_estimate: float
    held_out_estimate: float
    certified: float | None = None
    without_critic: float | None = None
    exact: float | None = None
    exact_low: float | None = None
    exact_high: float | None = None
    exact_floor: float | None = None
    sliced: float | None = None
    sliced_floor: float | None = None
    efficiency: float | None = None
    gap: float | None = None
    slope_real: float | None = None
    slope_fake: float | None = None
    slope_between: float | None = None
    slope_climbed: float | None = None
    slope_bound: float | None = None
    estimate_by_slope: float | None = None
    layer_gradients: tuple[float, ...] = ()
    generator_layer_gradients: tuple[float, ...] = ()
    at_bound: float | None = None
    step_cosine: float | None = None
    score_histogram: dict[str, list[float]] | None = None
    diversity_samples: float | None = None
    diversity_real: float | None = None
    nearest_training: float | None = None
    nearest_held_out: float | None = None

    def numbers(self) -> dict[str, object]:
        """By name, as plain JSON; what is None, empty or not finite is left out."""
        found: dict[str, object] = {}
        for field in dataclasses.fields(self):
            value = getattr(self, field.name)
            if isinstance(value, tuple):
                value = list(value)
            if value and not _is_finite(value):
                continue
            if value is not None and value != []:
                found[field.name] = value
        return found


class Examiner:
    """Looks at a game after any of its updates, always at the same real rows, so that evidence along a run compares.

    Args:
        source: The data.
        objective: What the two optimise.
        constraint: What holds the critic.
        rules: The numbers.
        size: Points on each side, at most, rows or packs of them: see `most_rows`.
        gap_steps: Updates by which a copy of the critic is trained further; 0 for none.
        seed: What decides which rows.

    Raises:
        UsageError: No rows were held out.
    """

    def __init__(
        self,
        source: Source,
        objective: Objective,
        constraint: Constraint,
        rules: Rules,
        *,
        size: int,
        gap_steps: int,
        seed: int,
    ) -> None:
        self.source, self.objective, self.constraint, self.rules = source, objective, constraint, rules
        self.gap_steps = gap_steps
        self.rows = Rows.of(source, size=size, packing=rules.packing, seed=seed)
        self._streams = Randomness(seed)
        self._held_out, self._training = (
            flat(rows.packed(rules.packing)) for rows in (self.rows.held_out, self.rows.training)
        )
        self._floor: tuple[Solved | None, float | None] | None = None

    @property
    def size(self) -> int:
        """Points on each side."""
        return len(self._held_out)

    @property
    def unit(self) -> float:
        """Data units in one unit of the networks: distances are multiplied by it. 1 where there is no common unit."""
        return getattr(self.source.codec, "unit", None) or 1.0

    def __call__(self, game: Game) -> Evidence:
        """Gather evidence.

        Args:
            game: As it stands; left as it was, and nothing is drawn that training draws.
        """
        seen = self.look(game)
        fake = flat(seen.fake.points)
        proven = certify(seen.held_out.scores, seen.fake.scores, self._held_out, fake, unit=self.unit)
        solved = solve(self._held_out, fake, self._streams.at("resampled pairs"), unit=self.unit)
        if self._floor is None:
            floor = solve(self._held_out, self._training, self._streams.at("resampled pairs"), unit=self.unit)
            self._floor = floor, self._sliced(self._training)
        floor, sliced_floor = self._floor
        gap = None
        if proven is not None:
            gap = gap_to_optimality(
                game,
                self.source,
                self.objective,
                self.constraint,
                self.rules,
                steps=self.gap_steps,
                before=proven.value,
                certified=lambda further: self.certified(further, seen),
            )
        efficiency = None
        if proven is not None and solved is not None:
            efficiency = proven.value / solved.value if solved.value > 0 else 1.0
        return Evidence(
            training_estimate=seen.training_estimate,
            held_out_estimate=seen.held_out_estimate,
            certified=None if proven is None else proven.value,
            without_critic=None if proven is None else proven.without_critic,
            exact=None if solved is None else solved.value,
            exact_low=None if solved is None else solved.low,
            exact_high=None if solved is None else solved.high,
            exact_floor=None if floor is None else floor.value,
            sliced=self._sliced(fake),
            sliced_floor=sliced_floor,
            efficiency=efficiency,
            gap=gap,
        )

    def look(self, game: Game) -> Look:
        """The rows, as many samples of the generator under training, and the critic's scores."""
        return look(game, self.objective, self.rules, self.rows)

    def certified(self, game: Game, seen: Look) -> float | None:
        """What the critic of a game proves of points that were looked at before, in the units of the data."""
        of_real, of_fake = scored(game, self.objective, self.rules, seen)
        proven = certify(of_real, of_fake, self._held_out, flat(seen.fake.points), unit=self.unit)
        return None if proven is None else proven.value

    def _sliced(self, other: torch.Tensor) -> float | None:
        """For images; for others only where the exact distance is too dear."""
        is_wanted = self.source.codec.layout.is_image or self._held_out.shape[0] > 2_048
        if not is_wanted or not bool(other.isfinite().all()):
            return None
        rng = self._streams.at("directions of the evidence")
        return self.unit * float(sliced(self._held_out, other, rng, dtype=torch.float32).distance)


def _is_finite(value: object) -> bool:
    """Whether all numbers in plain JSON are finite."""
    if isinstance(value, dict):
        return all(map(_is_finite, value.values()))
    if isinstance(value, list | tuple):
        return all(map(_is_finite, value))
    return not isinstance(value, float) or math.isfinite(value)
