"""Runs of the zoo, in memory, as `wgan train` makes them: the same updates, looks and refusals of what diverges."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch

from wgan.data.source import Source
from wgan.randomness import Randomness
from wgan.runs import divergence
from wgan.runs.compatibility import NUMBERS
from wgan.runs.diagnosis import RunDiagnosis
from wgan.runs.setups import build_setup
from wgan.settings import Settings
from wgan.studies.proofs.zoo.cases import Specimen
from wgan.studies.proofs.zoo.data import DISTRIBUTIONS, open_source
from wgan.system.torch_state import in_usual_state
from wgan.training.factory import choose_parts
from wgan.training.game import Game
from wgan.training.loop import train
from wgan.transport import exact

_SCALE_ROWS, _WITNESSED = 256, 1_000


@dataclass(frozen=True, kw_only=True, eq=False)
class Life:
    """A run of the zoo that has come to its end.

    Attributes:
        specimen: What was run.
        settings: Its settings, the seed among them.
        lines: Those lines of its record that carry evidence.
        curve: What the critic estimated at each recorded update: updates and estimates.
        witnessed: W1 between fresh points and as many samples after the updates of each look, which no verdict sees.
        facts: What a verdict is told beside them.
        game: As it ended.
        source: Its data.
    """

    specimen: Specimen
    settings: Settings
    lines: list[dict[str, Any]]
    curve: list[tuple[int, float]]
    witnessed: list[tuple[int, float]]
    facts: Mapping[str, Any]
    game: Game
    source: Source


@in_usual_state
def live(specimen: Specimen, seed: int) -> Life:
    """Train a specimen to its end, or until it is stopped because it diverged; nothing is rolled back.

    Args:
        specimen: Of the zoo.
        seed: Of the run, and of the rows that it is trained on.
    """
    settings = dataclasses.replace(specimen.settings, seed=seed)
    source, parts = open_source(settings.data, specimen.rows, seed), choose_parts(settings)
    setup = build_setup(settings, source, parts)
    game, examination = setup.game, RunDiagnosis.of(settings, setup)
    assert examination is not None, "every run of the zoo has rows held out"
    scale = float(source.sample(_SCALE_ROWS, Randomness(seed).at("scale of the data")).values.abs().max())
    facts, lines = dataclasses.asdict(settings), []
    curve: list[tuple[int, float]] = []
    witnessed: list[tuple[int, float]] = []
    with game.engine.limits():
        for step in train(setup):
            is_looked_at = examination.is_due(step.number)
            if not is_looked_at and step.number % settings.log_every:
                continue
            numbers = {name: getattr(step, name).item() for name in NUMBERS}
            fault = divergence.fault_of(game, parts, numbers, scale)
            if fault is not None:
                facts["diverged"] = f"training diverged at step {step.number:,}: {fault}"
                break
            curve.append((step.number, numbers["estimate"]))
            line: dict[str, Any] = {"step": step.number, **numbers}
            if is_looked_at:
                line |= examination(numbers["estimate"])
                lines.append(line)
                witnessed.append((step.number, _witness(game, settings)))
            examination.add(line)
    return Life(
        specimen=specimen,
        settings=settings,
        lines=lines,
        curve=curve,
        witnessed=witnessed,
        facts=facts,
        game=game,
        source=source,
    )


@torch.no_grad()
def _witness(game: Game, settings: Settings) -> float:
    """W1 between points that no part of the run has met and samples of noise of their own; NaN without finite ones."""
    streams = Randomness(settings.seed)
    points = DISTRIBUTIONS[settings.data].draw(_WITNESSED, streams.at("points of the witness"))
    samples = game.generate(game.prior.sample(_WITNESSED, streams.at("noise of the witness"))).values
    return float(exact(points, samples).distance) if bool(samples.isfinite().all()) else math.nan
