"""The evaluation of a critic at one moment of a run: the numbers of `Evidence`, computed without changing the run.

A number is declared in `wgan.trust.evidence` and computed here, by one of `CriticEvaluator.measurements`.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from wgan.batch import Batch
from wgan.evaluation.features import EfficientNetLite0
from wgan.evaluation.metrics import LOW_DIMENSIONS, harden
from wgan.randomness import Randomness
from wgan.system.torch_state import in_default_state
from wgan.training.setup import Setup
from wgan.transport import exact, sliced
from wgan.trust.critic_statistics import score_histogram, slopes, welch_t
from wgan.trust.distances import MAX_POINTS, certify, exact_distance, flat
from wgan.trust.diversity import Reference, diversity, memory
from wgan.trust.evidence import Evidence
from wgan.trust.gradient_diagnostics import diagnose_gradients
from wgan.trust.optimality import relative_rise, trained_further
from wgan.trust.samples import Rows, Snapshot, rescore, snapshot


class CriticEvaluator:
    """Evaluates the critic of a run after any of its updates, always on the same real rows.

    Args:
        setup: The run. Parameters, running statistics, optimisers and modes of its game stay as they are, and no random
            draw of training is used up. Learning rates become those of the last update.
        size: Largest number of points on each side: rows, or packs of rows if the critic sees several as one. Packs are
            then the points of all distances except those of diversity. `most_rows` gives an affordable number.
        gap_steps: Updates by which a copy of the critic is trained further; 0 for none.
        seed: Determines the rows.
        features: Whether to compute exact W1 in the features of a network too, for images. Needs the `features` extra
            and takes about half a minute for each evaluation.

    Raises:
        UsageError: No rows are held out, or the extra is not installed.
    """

    @in_default_state
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
        self.measurements = (
            self._estimates,
            self._distances,
            self._slopes,
            self._gradient_diagnostics,
            self._diversity,
        )

    @property
    def size(self) -> int:
        """Points on each side."""
        return len(self._held_out)

    @property
    def unit(self) -> float:
        """Factor from distances in network units to the data's unit; 1 if the columns have no common unit."""
        return getattr(self.setup.source.codec, "unit", None) or 1.0

    def __call__(self, *, further: bool = True) -> Evidence:
        """Compute the evidence.

        Args:
            further: Whether to train a copy of the critic further, which takes longest.

        Raises:
            UsageError: As `wgan.training.loop.train`.
        """
        seen = self.snapshot()
        found: dict[str, Any] = {}
        for measure in self.measurements:
            found |= measure(seen)
        if further:
            found |= self._further(seen, found["certified"])
        return Evidence(**found)

    @in_default_state
    def snapshot(self) -> Snapshot:
        """The rows, as many samples of the current generator, and the critic's scores."""
        return snapshot(self.setup, self.rows)

    def _estimates(self, seen: Snapshot) -> dict[str, Any]:
        """The critic's estimates and statistics of its scores."""
        return {
            "training_estimate": seen.training_estimate,
            "held_out_estimate": seen.held_out_estimate,
            "score_histogram": score_histogram(seen.held_out.scores, seen.fake.scores),
            "training_lead": welch_t(seen.training.scores, seen.held_out.scores),
        }

    def _distances(self, seen: Snapshot) -> dict[str, Any]:
        """Distances between held-out rows and samples, lower bounds on them, and their floors."""
        fake = flat(seen.fake.points)
        bound = certify(seen.held_out.scores, seen.fake.scores, self._held_out, fake, unit=self.unit)
        w1 = exact_distance(self._held_out, fake, self._streams.at("resampled pairs"), unit=self.unit)
        if self._floors is None:
            pairs = self._streams.at("resampled pairs")
            floor = exact_distance(self._held_out, self._training, pairs, unit=self.unit)
            self._floors = {
                "exact_floor": floor and floor.value,
                "sliced_floor": self._sliced(self._training),
                "exact_features_floor": self._by_features(self.rows.training),
            }
        efficiency = None
        if bound is not None and w1 is not None:
            efficiency = bound.value / w1.value if w1.value > 0 else 1.0
        return {
            "certified": bound and bound.value,
            "without_critic": bound and bound.without_critic,
            "exact": w1 and w1.value,
            "exact_low": w1 and w1.low,
            "exact_high": w1 and w1.high,
            "sliced": self._sliced(fake),
            "efficiency": efficiency,
            "exact_features": self._by_features(seen.fake.rows),
            **self._floors,
        }

    def _further(self, seen: Snapshot, certified: float | None) -> dict[str, Any]:
        """Estimate and lower bound of a copy of the critic after more updates, on the same points."""
        if not self.gap_steps or certified is None or next(self.setup.game.critic.parameters(), None) is None:
            return {}
        found = rescore(trained_further(self.setup, steps=self.gap_steps), seen)
        after = certify(found.held_out, found.fake, self._held_out, flat(seen.fake.points), unit=self.unit)
        return {
            "further_estimate": found.held_out_estimate,
            "gap": None if after is None else relative_rise(certified, after.value),
        }

    def _slopes(self, seen: Snapshot) -> dict[str, Any]:
        """Slopes of the critic as a function of single points, and the estimate divided by the largest."""
        game, objective = self.setup.game, self.setup.objective
        outputs = seen.training.outputs, seen.fake.outputs

        def function(values: Tensor, condition: Tensor | None) -> Tensor:
            return objective.witness(game.score(values, condition), *outputs)

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

    def _gradient_diagnostics(self, seen: Snapshot) -> dict[str, Any]:
        """Gradients and the next step of both players."""
        found = diagnose_gradients(self.setup)
        return {
            "layer_gradients": found.critic_layers,
            "generator_layer_gradients": found.generator_layers,
            "at_bound": found.at_bound,
            "step_cosine": found.step_cosine,
        }

    def _diversity(self, seen: Snapshot) -> dict[str, Any]:
        """Coverage and memorisation of samples as the user gets them: not packed, with one category each."""
        samples = harden(seen.fake.rows.values.cpu(), self.setup.source.codec.layout.groups)
        found, near = diversity(samples, self.rows.held_out.values), None
        if self._reference is not None:
            near = memory(samples, self._reference.training, self._reference.held_out)
        return {
            "diversity_samples": found and self.unit * found.samples,
            "diversity_real": found and self.unit * found.real,
            "coverage": found and found.coverage,
            "off_support": found and self.unit * found.off_support,
            "nearest_training": near and self.unit * near.training,
            "nearest_held_out": near and self.unit * near.held_out,
            "memorised": near and near.memorised,
            "memorised_error": near and near.memorised_error,
        }

    def _sliced(self, other: Tensor) -> float | None:
        """Sliced W1 to the held-out rows; None in few dimensions, unless the exact distance is too expensive."""
        is_wanted = self._held_out.shape[1] > LOW_DIMENSIONS or self.size > MAX_POINTS
        if not is_wanted or not bool(other.isfinite().all()):
            return None
        rng = self._streams.at("directions of the evidence")
        return self.unit * float(sliced(self._held_out, other, rng, dtype=torch.float32).distance)

    def _by_features(self, other: Batch) -> float | None:
        """Exact W1 between the features of the held-out rows and of others."""
        features = self._features_of(other)
        if features is None or self._held_out_features is None:
            return None
        return float(exact(self._held_out_features, features).cost)

    def _features_of(self, rows: Batch) -> Tensor | None:
        if self._extractor is None or len(rows.values) > MAX_POINTS or not bool(rows.values.isfinite().all()):
            return None
        return self._extractor(rows.values.cpu())
