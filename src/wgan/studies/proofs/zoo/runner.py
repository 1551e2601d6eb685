"""Runs a case in memory as `wgan train` does: the same updates, diagnoses and checks for divergence."""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass
from typing import Any

import torch

from wgan.data.source import Source
from wgan.randomness import Randomness
from wgan.runs import divergence
from wgan.runs.diagnosis import RunDiagnosis
from wgan.runs.record import NUMBERS
from wgan.runs.setups import build_setup
from wgan.settings import Settings
from wgan.studies.proofs.zoo.cases import DISTRIBUTIONS, Case, open_source
from wgan.system.torch_state import in_default_state
from wgan.training.factory import choose_parts
from wgan.training.game import Game
from wgan.training.loop import train
from wgan.transport import exact

_SCALE_ROWS, _FRESH = 256, 1_000


@dataclass(frozen=True, kw_only=True, eq=False)
class CaseRun:
    """A case after training.

    Attributes:
        case: The case.
        settings: Its settings with the seed.
        lines: The lines of its record that carry evidence.
        curve: Each recorded update and the critic's estimate.
        fresh_distances: Each diagnosed update and W1 between fresh points and as many samples, which no verdict uses.
        diverged: How the run diverged; empty if it did not.
        game: Its final state.
        source: Its data.
    """

    case: Case
    settings: Settings
    lines: list[dict[str, Any]]
    curve: list[tuple[int, float]]
    fresh_distances: list[tuple[int, float]]
    diverged: str
    game: Game
    source: Source


@in_default_state
def run_case(case: Case, seed: int) -> CaseRun:
    """Train a case to its end, or until it diverges; there are no rollbacks.

    Args:
        case: What to train.
        seed: Of the run and of its training rows.
    """
    settings = dataclasses.replace(case.settings, seed=seed)
    source, parts = open_source(settings.data, case.rows, seed), choose_parts(settings)
    setup = build_setup(settings, source, parts)
    game, diagnosis = setup.game, RunDiagnosis.of(settings, setup)
    assert diagnosis is not None, "every case has rows held out"
    scale = float(source.sample(_SCALE_ROWS, Randomness(seed).at("scale of the data")).values.abs().max())
    lines: list[dict[str, Any]] = []
    curve: list[tuple[int, float]] = []
    fresh_distances: list[tuple[int, float]] = []
    diverged = ""
    with game.engine.limits():
        for step in train(setup):
            is_diagnosed = diagnosis.is_due(step.number)
            if not is_diagnosed and step.number % settings.log_every:
                continue
            numbers = {name: getattr(step, name).item() for name in NUMBERS}
            fault = divergence.fault_of(game, parts, numbers, scale)
            if fault is not None:
                diverged = f"training diverged at step {step.number:,}: {fault}"
                break
            curve.append((step.number, numbers["estimate"]))
            line: dict[str, Any] = {"step": step.number, **numbers}
            if is_diagnosed:
                line |= diagnosis(numbers["estimate"])
                lines.append(line)
                fresh_distances.append((step.number, _fresh_distance(game, settings)))
            diagnosis.add(line)
    return CaseRun(
        case=case,
        settings=settings,
        lines=lines,
        curve=curve,
        fresh_distances=fresh_distances,
        diverged=diverged,
        game=game,
        source=source,
    )


@torch.no_grad()
def _fresh_distance(game: Game, settings: Settings) -> float:
    """W1 between fresh points and samples, both used for nothing else; NaN if samples are not finite."""
    streams = Randomness(settings.seed)
    points = DISTRIBUTIONS[settings.data].draw(_FRESH, streams.at("points of the witness"))
    samples = game.generate(game.prior.sample(_FRESH, streams.at("noise of the witness"))).values
    return float(exact(points, samples).distance) if bool(samples.isfinite().all()) else math.nan
