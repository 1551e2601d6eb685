"""Evidence of what a critic's number is worth, gathered at one moment of a run."""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from wgan.batch import Batch
from wgan.evaluation.features import EfficientNetLite0
from wgan.evaluation.metrics import LOW_DIMENSIONS, harden
from wgan.randomness import Randomness
from wgan.system.torch_state import in_usual_state
from wgan.training.setup import Setup
from wgan.transport import exact, sliced
from wgan.trust.distances import SOLVED, Certified, certify, flat, solve
from wgan.trust.diversity import Reference, diversity, memory
from wgan.trust.gradient_diagnostics import diagnose_gradients
from wgan.trust.optimality import relative_rise, trained_further
from wgan.trust.samples import Rows, Snapshot, rescore, snapshot
from wgan.trust.scores import lead, score_histogram
from wgan.trust.slopes import slopes


@dataclass(frozen=True, kw_only=True)
class Evidence:
    """Numbers about the critic's number after some update; None where one cannot be had.

    Distances are in the units of the data, as the judge's are; estimates are in the objective's own.

    Attributes:
        training_estimate: The objective's estimate, of training rows against samples.
        held_out_estimate: The same of held-out rows: the difference is what the critic has memorised.
        further_estimate: The held-out estimate of a copy of the critic that was trained further against the same
            generator.
        certified: W1 between held-out rows and samples is at least this, as the critic's scores prove whatever their
            slope.
        without_critic: The same by constant scores: what distances to nearest neighbours prove without any critic.
        exact: W1 between held-out rows and samples.
        exact_low: Where its 95 % interval begins.
        exact_high: Where it ends.
        exact_floor: W1 between held-out rows and as many training rows. Samples under the conditions of the held-out
            rows can come nearer than that.
        sliced: Sliced W1 between held-out rows and samples, in more than `LOW_DIMENSIONS`, where the exact one hardly
            tells samples from noise, and where that is too dear.
        sliced_floor: The same between held-out and training rows.
        efficiency: The share of the exact distance that the critic proves.
        gap: The share of what that copy proves of the same points that the critic does not prove yet. Where `exact` is
            no larger than its floor, what either proves is noise, and so is this.
        exact_features: W1 between held-out rows and samples in the features of a network, where they were asked for.
        exact_features_floor: The same between held-out and training rows.
        slope_real: The largest norm of the critic's gradient at real samples.
        slope_fake: The same at generated ones.
        slope_between: The same at points between the two.
        slope_climbed: The same where gradient ascent ends.
        slope_bound: The product of the layers' norms, which no slope exceeds.
        estimate_by_slope: The difference of the mean scores of held-out rows and samples, which is a Wasserstein
            critic's estimate, divided by the largest slope that was found: at most W1 as far as none is steeper.
        layer_gradients: Mean length of the gradient of the critic's loss at what each of its layers puts out for one
            sample, from the samples to the scores.
        generator_layer_gradients: Likewise of the generator's loss, from the noise to the samples.
        at_bound: Share of the critic's weights that sit at the bound that they are clipped to.
        step_cosine: Cosine between the critic's next step and its negative gradient: above 0 where the optimiser keeps
            no memory of earlier gradients.
        score_histogram: Edges, and counts of the scores of held-out rows and of samples.
        diversity_samples: Mean distance from a sample to the nearest other one.
        diversity_real: The same among held-out rows.
        coverage: Share of the held-out rows around which there are samples: what is missing, the generator has lost.
        off_support: Mean distance from a sample to the nearest held-out row that was looked at.
        nearest_training: Mean distance from a sample to the nearest of some training rows, of a finite set of them.
        nearest_held_out: The same to the nearest of as many held-out rows.
        memorised: Share of the samples that are nearer to training rows, of which all are looked through up to some ten
            thousand, than chance would have them.
        memorised_error: The standard error of `memorised` where nothing is copied.
        training_lead: By how many standard errors the critic's scores of training rows are above those of held-out rows
            in the mean: what it has memorised, whatever the unit of its estimate.
    """

    training_estimate: float
    held_out_estimate: float
    further_estimate: float | None = None
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
    exact_features: float | None = None
    exact_features_floor: float | None = None
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
    coverage: float | None = None
    off_support: float | None = None
    nearest_training: float | None = None
    nearest_held_out: float | None = None
    memorised: float | None = None
    memorised_error: float | None = None
    training_lead: float | None = None

    def numbers(self) -> dict[str, object]:
        """By name, as plain JSON; what is None, empty or not finite is left out."""
        found: dict[str, object] = {}
        for field in dataclasses.fields(self):
            value = getattr(self, field.name)
            if value not in (None, ()) and _is_finite(value):
                found[field.name] = list(value) if isinstance(value, tuple) else value
        return found


class CriticEvaluator:
    """Looks at a game after any of its updates, always at the same real rows, so that evidence along a run compares.

    Args:
        setup: The run. Its game is left as it was: parameters, running statistics, optimisers and modes. Nothing is
            drawn from the random streams of training. Learning rates become those of the last update.
        size: Points on each side, at most: rows, or packs of them where the critic sees several as one, which are then
            the points of all distances but those of diversity. `most_rows` says what is affordable.
        gap_steps: Updates by which a copy of the critic is trained further; 0 for none.
        seed: What decides which rows.
        features: Whether to compute exact W1 in a network's features too (images only): needs the `features` extra
            and, at each look, about half a minute.

    Raises:
        UsageError: No rows were held out, or the features are not installed.
    """

    @in_usual_state
    def __init__(
        self,
        setup: Setup,
        *,
        size: int,
        gap_steps: int,
        seed: int,
        features: bool = False,
    ) -> None:
        source = setup.source
        self.setup, self.gap_steps = setup, gap_steps
        self.rows = Rows.of(source, size=size, packing=setup.hparams.packing, seed=seed)
        self._streams = Randomness(seed)
        self._held_out, self._training = (flat(setup.pack(rows)) for rows in (self.rows.held_out, self.rows.training))
        self._extractor = EfficientNetLite0() if features and source.codec.layout.is_image else None
        self._held_out_features = self._features_of(self.rows.held_out)
        self._reference = Reference.of(source, seed=seed)
        self._floors: dict[str, Any] | None = None

    @property
    def size(self) -> int:
        """Points on each side."""
        return len(self._held_out)

    @property
    def unit(self) -> float:
        """Data units in one unit of the networks: distances are multiplied by it. 1 where there is no common unit."""
        return getattr(self.setup.source.codec, "unit", None) or 1.0

    def __call__(self, *, further: bool = True) -> Evidence:
        """Gather evidence.

        Args:
            further: Whether to train a copy of the critic further, which takes longest.

        Raises:
            UsageError: As `wgan.training.loop.train`.
        """
        seen = self.snapshot()
        fake = flat(seen.fake.points)
        proven = certify(seen.held_out.scores, seen.fake.scores, self._held_out, fake, unit=self.unit)
        return Evidence(
            training_estimate=seen.training_estimate,
            held_out_estimate=seen.held_out_estimate,
            **self._distances(seen, fake, proven),
            **(self._further(seen, fake, proven) if further else {}),
            **self._slopes(seen),
            **self._moves(),
            **self._variety(seen),
            score_histogram=score_histogram(seen.held_out.scores, seen.fake.scores),
            training_lead=lead(seen.training.scores, seen.held_out.scores),
        )

    @in_usual_state
    def snapshot(self) -> Snapshot:
        """The rows, as many samples of the generator under training, and the critic's scores."""
        return snapshot(self.setup, self.rows)

    def _distances(self, seen: Snapshot, fake: Tensor, proven: Certified | None) -> dict[str, Any]:
        """What the critic proves, and what is true."""
        solved = solve(self._held_out, fake, self._streams.at("resampled pairs"), unit=self.unit)
        if self._floors is None:
            floor = solve(self._held_out, self._training, self._streams.at("resampled pairs"), unit=self.unit)
            self._floors = {
                "exact_floor": floor and floor.value,
                "sliced_floor": self._sliced(self._training),
                "exact_features_floor": self._by_features(self.rows.training),
            }
        efficiency = None
        if proven is not None and solved is not None:
            efficiency = proven.value / solved.value if solved.value > 0 else 1.0
        return {
            "certified": proven and proven.value,
            "without_critic": proven and proven.without_critic,
            "exact": solved and solved.value,
            "exact_low": solved and solved.low,
            "exact_high": solved and solved.high,
            "sliced": self._sliced(fake),
            "efficiency": efficiency,
            "exact_features": self._by_features(seen.fake.rows),
            **self._floors,
        }

    def _further(self, seen: Snapshot, fake: Tensor, proven: Certified | None) -> dict[str, Any]:
        """What a copy of the critic makes of the same points after some more updates."""
        if not self.gap_steps or proven is None or next(self.setup.game.critic.parameters(), None) is None:
            return {}
        found = rescore(trained_further(self.setup, steps=self.gap_steps), seen)
        after = certify(found.held_out, found.fake, self._held_out, fake, unit=self.unit)
        return {
            "further_estimate": found.held_out_estimate,
            "gap": None if after is None else relative_rise(proven.value, after.value),
        }

    def _slopes(self, seen: Snapshot) -> dict[str, Any]:
        """How steep the critic is as a function of single points, and what its estimate says of W1 by that."""
        game, objective = self.setup.game, self.setup.objective
        made_of = seen.training.outputs, seen.fake.outputs

        def function(values: Tensor, condition: Tensor | None) -> Tensor:
            return objective.witness(game.score(values, condition), *made_of)

        is_score = objective.critic_outputs == 1
        with game.preserved():
            game.critic.eval()
            found = slopes(function, seen.held_out.points, seen.fake.points, network=game.critic if is_score else None)
        if found is None:
            return {}
        difference = float(seen.held_out.scores.double().mean() - seen.fake.scores.double().mean())
        return {
            "slope_real": found.real,
            "slope_fake": found.fake,
            "slope_between": found.between,
            "slope_climbed": found.climbed,
            "slope_bound": found.bound,
            "estimate_by_slope": self.unit * difference / found.climbed if found.climbed > 0 else None,
        }

    def _moves(self) -> dict[str, Any]:
        """What both players would go by next."""
        found = diagnose_gradients(self.setup)
        return {
            "layer_gradients": found.critic_layers,
            "generator_layer_gradients": found.generator_layers,
            "at_bound": found.at_bound,
            "step_cosine": found.step_cosine,
        }

    def _variety(self, seen: Snapshot) -> dict[str, Any]:
        """What samples are like as the user gets them, single and with one category each, whatever the critic sees."""
        samples = harden(seen.fake.rows.values.cpu(), self.setup.source.codec.layout.groups)
        various = diversity(samples, self.rows.held_out.values)
        near = None
        if self._reference is not None:
            near = memory(samples, self._reference.training, self._reference.held_out)
        return {
            "diversity_samples": various and self.unit * various.samples,
            "diversity_real": various and self.unit * various.real,
            "coverage": various and various.coverage,
            "off_support": various and self.unit * various.off_support,
            "nearest_training": near and self.unit * near.training,
            "nearest_held_out": near and self.unit * near.held_out,
            "memorised": near and near.memorised,
            "memorised_error": near and near.memorised_error,
        }

    def _sliced(self, other: Tensor) -> float | None:
        """Of points of more than a few numbers, and of others only where the exact distance is too dear."""
        is_wanted = self._held_out.shape[1] > LOW_DIMENSIONS or self.size > SOLVED
        if not is_wanted or not bool(other.isfinite().all()):
            return None
        rng = self._streams.at("directions of the evidence")
        return self.unit * float(sliced(self._held_out, other, rng, dtype=torch.float32).distance)

    def _by_features(self, other: Batch) -> float | None:
        """Exact W1 between features of the held-out rows and of others."""
        features = self._features_of(other)
        if features is None or self._held_out_features is None:
            return None
        return float(exact(self._held_out_features, features).cost)

    def _features_of(self, rows: Batch) -> Tensor | None:
        if self._extractor is None or len(rows.values) > SOLVED or not bool(rows.values.isfinite().all()):
            return None
        return self._extractor(rows.values.cpu())


def _is_finite(value: object) -> bool:
    """Whether all numbers in plain JSON are finite."""
    if isinstance(value, dict):
        return all(map(_is_finite, value.values()))
    if isinstance(value, list | tuple):
        return all(map(_is_finite, value))
    return not isinstance(value, float) or math.isfinite(value)
