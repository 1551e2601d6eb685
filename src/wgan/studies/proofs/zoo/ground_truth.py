"""The true state of a case, measured by means that no verdict uses: fresh points, known modes, other critics."""

from __future__ import annotations

import dataclasses
import statistics
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from wgan.randomness import Randomness
from wgan.runs.setups import build_setup
from wgan.studies.proofs.zoo.cases import CASES, DISTRIBUTIONS, open_source
from wgan.studies.proofs.zoo.runner import CaseRun
from wgan.system.threads import on_threads
from wgan.system.torch_state import in_default_state
from wgan.training.factory import choose_parts
from wgan.transport import exact
from wgan.trust.optimality import trained_further
from wgan.trust.spearman import rank_correlation
from wgan.trust.verdict import Kind

GroundTruth = dict[str, float]
"""Measured numbers by name; see `ground_truth_of`."""

_FRESH, _SOLVED = 4_000, 1_500
_STEPPED = 512
_OTHER_STEPS = 900

NEAR = 0.15
"""A sound run's exact W1 to fresh points, less its floor, is at most this share of the data's spread."""

HARM = 1.5
"""Exact W1 of a run with a fault is at least so many times that of its sound sibling."""

DRIFT = 100.0
"""With a clipping bound that is too large, the ratio of the estimate to exact W1 may grow by this factor instead."""

FOLLOWED = 0.5
"""Rank correlation of a curve with W1 to fresh points from which on the curve follows the distance."""

FEWEST = 4
"""Diagnoses below which it cannot be known whether the curve follows the distance."""

_SMOOTHED = 5


@in_default_state
@on_threads(1)  # as in training
def ground_truth_of(run: CaseRun) -> GroundTruth:
    """Measure the final state of a run.

    Returns:
        Numbers by name; if samples are not finite, "ended" and "spread" alone.

        - "ended": 0 for a run that was stopped as diverged, else 1.
        - "spread": mean distance of fresh points from their centre.
        - "w1", "w1_floor": exact W1 between fresh points and samples, and between two sets of fresh points.
        - "estimate_trained", "estimate_fresh": the critic's estimate on training rows and on fresh points.
        - "near_rows", "near_fresh": mean distance from a sample to the nearest training row, and to the nearest of as
          many fresh points.
        - "nearer_to_rows": share of the samples for which the first of these is smaller.
        - "slope": mean slope of the critic at samples.
        - "modes": share of the modes with at least a quarter of their share of the samples, if there are modes.
        - "other_critic": estimate on fresh points of the sibling's critic, trained on these samples, where it is used.
        - "looks": number of diagnoses.
        - "follows": rank correlation of the curve, a median of recent updates, with W1 to fresh points.
        - "drift": ratio of the held-out estimate to exact W1 at the last diagnosis, over that at the first.
    """
    streams = Randomness(run.settings.seed).at
    distribution, game, objective = DISTRIBUTIONS[run.settings.data], run.game, choose_parts(run.settings).objective
    fresh, others = (distribution.draw(_FRESH, streams("fresh points of the zoo", k)) for k in range(2))
    with torch.no_grad():
        fake = game.generate(game.prior.sample(_FRESH, streams("noise of the zoo"))).values
        rows = run.source.distinct(_FRESH, streams("rows of the zoo"))
        of_fresh, of_fake, of_rows = (game.score(points) for points in (fresh, fake, rows))
    found = {"ended": float(not run.diverged), "spread": _spread(fresh)}
    if not bool(fake.isfinite().all()):
        return found
    found |= {
        "w1": float(exact(fresh[:_SOLVED], fake[:_SOLVED]).distance),
        "w1_floor": float(exact(fresh[:_SOLVED], others[:_SOLVED]).distance),
        "estimate_trained": float(objective.estimate(of_rows, of_fake)),
        "estimate_fresh": float(objective.estimate(of_fresh, of_fake)),
    }
    to_rows, to_fresh = _nearest(fake, rows), _nearest(fake, fresh[: len(rows)])
    found |= {
        "near_rows": float(to_rows.mean()),
        "near_fresh": float(to_fresh.mean()),
        "nearer_to_rows": float((to_rows < to_fresh).double().mean()),
    }
    points = fake[:_STEPPED].clone().requires_grad_(True)
    scores = objective.witness(game.score(points), of_rows, of_fake)
    found["slope"] = float(torch.autograd.grad(scores.sum(), points)[0].norm(dim=1).mean())
    if distribution.modes is not None and distribution.sigma is not None:
        _, which = torch.cdist(fake, distribution.modes, compute_mode="donot_use_mm_for_euclid_dist").min(dim=1)
        shares = torch.bincount(which, minlength=len(distribution.modes)) / len(fake)
        found["modes"] = float((shares >= 0.25 / len(shares)).double().mean())
    if run.case.expected in ("critic-not-optimal", "trust"):
        found["other_critic"] = _other_critic(run, fresh, fake)
    found |= {"looks": float(len(run.lines)), "follows": _follows(run)}
    if len(run.lines) > 1:
        found["drift"] = _factor(run.lines[-1]) / max(_factor(run.lines[0]), 1e-30)
    return found


def is_true(kind: Kind, found: GroundTruth, sibling: GroundTruth | None) -> bool:
    """Whether the expected verdict is true of a run.

    Args:
        kind: The expected verdict.
        found: Ground truth of the run.
        sibling: Ground truth of its sound sibling with the same seed; None for a sound run.
    """
    if kind == "diverged":
        # Stopped, without a slope, or with an extreme estimate.
        return not found["ended"] or "w1" not in found or found["slope"] == 0 or abs(found["estimate_fresh"]) > 1e6
    if "w1" not in found:
        return False
    w1, trained, fresh, modes = found["w1"], found["estimate_trained"], found["estimate_fresh"], found.get("modes", 1)
    is_harmed = sibling is None or w1 >= HARM * sibling["w1"]
    match kind:
        case "trust":
            is_near = w1 - found["w1_floor"] <= NEAR * found["spread"]
            is_sound = is_near and modes >= 0.75 and fresh > 0 and found["nearer_to_rows"] <= 0.65
            return is_sound and found["follows"] >= FOLLOWED
        case "cannot-tell":
            return found["looks"] < FEWEST or not found["follows"] >= FOLLOWED
        case "critic-not-optimal":
            return is_harmed and found["other_critic"] >= 2 * fresh
        case "critic-overfits":
            return fresh <= 0.75 * trained
        case "clip-too-small":
            return is_harmed and found["slope"] <= 1e-3
        case "clip-too-large":
            return found["slope"] >= 1e3 and (is_harmed or found["drift"] >= DRIFT)
        case "momentum":
            return is_harmed
        case "collapsed":
            return is_harmed and modes <= 2 / 3
        case "memorising":
            return found["nearer_to_rows"] >= 0.75 and found["near_rows"] <= 0.65 * found["near_fresh"]


def _other_critic(run: CaseRun, fresh: Tensor, fake: Tensor) -> float:
    """The estimate of the sound sibling's critic, trained against the final generator of this run."""
    sibling = CASES[run.case.sibling] if run.case.sibling else run.case
    settings = dataclasses.replace(sibling.settings, seed=run.settings.seed)
    setup = build_setup(settings, open_source(settings.data, sibling.rows, settings.seed))
    setup.game.generator = run.game.generator
    further = trained_further(setup, steps=_OTHER_STEPS).game
    with torch.no_grad():
        return float(setup.objective.estimate(further.score(fresh), further.score(fake)))


def _follows(run: CaseRun) -> float:
    """Rank correlation of the smoothed curve with W1 to fresh points."""
    smooth = [
        statistics.median([estimate for other, estimate in run.curve if other <= step][-_SMOOTHED:])
        for step, _ in run.fresh_distances
    ]
    return rank_correlation(smooth, [distance for _, distance in run.fresh_distances])


def _factor(line: Mapping[str, Any]) -> float:
    """Held-out estimate over exact W1."""
    return abs(float(line["held_out_estimate"])) / float(line["exact"])


def _spread(points: Tensor) -> float:
    return float((points - points.mean(dim=0)).norm(dim=1).mean())


def _nearest(points: Tensor, others: Tensor) -> Tensor:
    return torch.cdist(points, others, compute_mode="donot_use_mm_for_euclid_dist").min(dim=1).values
