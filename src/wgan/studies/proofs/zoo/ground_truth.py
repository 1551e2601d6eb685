"""What is true of a run of the zoo, found by means that no verdict sees: fresh points, known modes, other critics."""

from __future__ import annotations

import dataclasses
import statistics
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from wgan.randomness import Randomness
from wgan.runs.setups import build_setup
from wgan.studies.proofs.zoo.cases import ZOO
from wgan.studies.proofs.zoo.data import DISTRIBUTIONS, open_source
from wgan.studies.proofs.zoo.runner import Life
from wgan.system.threads import on_threads
from wgan.system.torch_state import in_usual_state
from wgan.training.factory import choose_parts
from wgan.transport import exact
from wgan.trust import trained_further
from wgan.trust.ranks import rank_correlation
from wgan.trust.verdict import Kind

Truths = dict[str, float]
"""Numbers by name."""

_FRESH, _SOLVED = 4_000, 1_500
_STEPPED = 512
_OTHER_STEPS = 900

NEAR = 0.15
"""A sound run's exact W1 to fresh points, less its floor, is at most this share of the data's spread."""

HARM = 1.5
"""A fault is one that costs: exact W1 is at least so many times the sound sibling's."""

DRIFT = 100.0
"""Or, with a bound that is too large, one that leaves the number no meaning: the factor between it and exact W1 becomes
so many times as large along the run."""

FOLLOWED = 0.5
"""Rank correlation of a run's curve with W1 to fresh points, from which on the curve tells how far samples are."""

FEWEST = 4
"""Moments of a run below which its curve cannot be known to tell anything, sound as it may be."""

_SMOOTHED = 5


@in_usual_state
@on_threads(1)  # as the runs of the zoo were trained
def truths_of(life: Life) -> Truths:
    """Look at a run as it ended.

    Returns:
        "w1" and "w1_floor", exact, to points that no part of the run has met, and "spread", the mean distance of these
        from their centre; "estimate_trained" and "estimate_fresh", the critic's estimate on rows that it was trained on
        and on fresh points; "near_rows" and "near_fresh", mean distances from samples to the nearest training row and
        to the nearest of as many fresh points, and "nearer_to_rows", the share of samples for which the first is the
        smaller; "slope", the critic's mean slope at samples; "modes", the share of the modes that got at least a
        quarter of their share of the samples, where there are modes; "drift", by what the factor between the critic's
        held-out estimate and exact W1 was multiplied from the first look to the last; "other_critic", what the
        sibling's critic, trained on these samples from its first update on, estimates on fresh points, where it
        matters; "looks", how often the run was looked at, and "follows", the rank correlation of its curve, a median of
        recent updates, with W1 to fresh points at these looks; "ended", 0 of a run that was stopped as diverged.
        Without samples that are finite, little of this.
    """
    streams = Randomness(life.settings.seed).at
    distribution, game, objective = DISTRIBUTIONS[life.settings.data], life.game, choose_parts(life.settings).objective
    fresh, others = (distribution.draw(_FRESH, streams("fresh points of the zoo", k)) for k in range(2))
    with torch.no_grad():
        fake = game.generate(game.prior.sample(_FRESH, streams("noise of the zoo"))).values
        rows = life.source.distinct(_FRESH, streams("rows of the zoo"))
        of_fresh, of_fake, of_rows = (game.score(points) for points in (fresh, fake, rows))
    found = {"ended": float("diverged" not in life.facts), "spread": _spread(fresh)}
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
    said = objective.witness(game.score(points), of_rows, of_fake)
    found["slope"] = float(torch.autograd.grad(said.sum(), points)[0].norm(dim=1).mean())
    if distribution.modes is not None and distribution.sigma is not None:
        _, which = torch.cdist(fake, distribution.modes, compute_mode="donot_use_mm_for_euclid_dist").min(dim=1)
        shares = torch.bincount(which, minlength=len(distribution.modes)) / len(fake)
        found["modes"] = float((shares >= 0.25 / len(shares)).double().mean())
    if life.specimen.expected in ("critic-not-optimal", "trust"):
        found["other_critic"] = _other_critic(life, fresh, fake)
    found |= {"looks": float(len(life.lines)), "follows": _follows(life)}
    if len(life.lines) > 1:
        found["drift"] = _factor(life.lines[-1]) / max(_factor(life.lines[0]), 1e-30)
    return found


def is_true(kind: Kind, found: Truths, sibling: Truths | None) -> bool:
    """Whether a run is what the table says.

    Args:
        kind: What the table says.
        found: What is true of the run.
        sibling: What is true of its sound sibling under the same seed; None of sound runs.
    """
    if kind == "diverged":
        # Stopped, or without any slope or size that could still lead anywhere.
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


def _other_critic(life: Life, fresh: Tensor, fake: Tensor) -> float:
    """The estimate of the sound sibling's critic, trained against the generator that this run ended with."""
    sibling = ZOO[life.specimen.sibling] if life.specimen.sibling else life.specimen
    settings = dataclasses.replace(sibling.settings, seed=life.settings.seed)
    setup = build_setup(settings, open_source(settings.data, sibling.rows, settings.seed))
    setup.game.generator = life.game.generator
    further = trained_further(setup, steps=_OTHER_STEPS).game
    with torch.no_grad():
        return float(setup.objective.estimate(further.score(fresh), further.score(fake)))


def _follows(life: Life) -> float:
    """How the curve, as a reader of it sees it, orders the moments at which W1 to fresh points is known."""
    smooth = [
        statistics.median([estimate for other, estimate in life.curve if other <= step][-_SMOOTHED:])
        for step, _ in life.witnessed
    ]
    return rank_correlation(smooth, [distance for _, distance in life.witnessed])


def _factor(line: Mapping[str, Any]) -> float:
    """What a critic's number is of the distance that it is to stand for."""
    return abs(float(line["held_out_estimate"])) / float(line["exact"])


def _spread(points: Tensor) -> float:
    return float((points - points.mean(dim=0)).norm(dim=1).mean())


def _nearest(points: Tensor, others: Tensor) -> Tensor:
    return torch.cdist(points, others, compute_mode="donot_use_mm_for_euclid_dist").min(dim=1).values
