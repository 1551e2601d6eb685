"""Build what a run works with: its networks, and the object that holds these, its files, data and measurements."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from wgan.data.source import Source
from wgan.evaluation.metrics import SampleEvaluator
from wgan.randomness import Randomness
from wgan.runs import divergence
from wgan.runs.diagnosis import RunDiagnosis
from wgan.runs.files import RunFiles
from wgan.runs.memory_need import refuse_what_cannot_fit
from wgan.runs.record import Journal, Record
from wgan.runs.schedule import Due, due_after
from wgan.runs.selection import refuse_missing_scores
from wgan.runs.setups import build_setup
from wgan.settings import Settings
from wgan.training.factory import Parts
from wgan.training.game import Game
from wgan.training.setup import Setup

_SCALE_ROWS = 256


@dataclass(frozen=True, kw_only=True)
class RunContext:
    """The parts of a run that its loop, its checkpoints and its rollbacks share.

    Attributes:
        files: The run's directory.
        settings: Its settings.
        setup: What `train` takes: networks, data, objective, constraint and hyperparameters.
        parts: Objective, constraint, architectures and optimisers.
        record: `metrics.jsonl`.
        journal: `events.jsonl`.
        evaluator: Evaluates samples; None if no rows are held out.
        diagnosis: Diagnoses the critic; None if that is off, or too few rows are held out.
        scale: The largest absolute entry of some rows of the data, as the networks see them.
    """

    files: RunFiles
    settings: Settings
    setup: Setup
    parts: Parts
    record: Record
    journal: Journal
    evaluator: SampleEvaluator | None
    diagnosis: RunDiagnosis | None
    scale: float

    @property
    def source(self) -> Source:
        """The data."""
        return self.setup.source

    @property
    def game(self) -> Game:
        """Networks and optimisers; training changes them."""
        return self.setup.game

    def due(self, step: int) -> Due:
        """What is due after a generator update."""
        return due_after(self.settings, step, diagnosis=self.diagnosis is not None and self.diagnosis.is_due(step))

    def refuse_divergence(self, numbers: dict[str, float]) -> None:
        """Refuse to go on from a state that has diverged.

        Args:
            numbers: Measured after the last update, by name.

        Raises:
            DivergedError: A number is not finite, or weights are too large to learn.
        """
        if (fault := divergence.fault_of(self.game, self.parts, numbers, self.scale)) is not None:
            raise divergence.DivergedError(self.game.steps_done, fault)


def setup_of(settings: Settings, source: Source, parts: Parts) -> Setup:
    """Build what `train` takes, if the data and the memory allow it.

    Args:
        settings: Of the run.
        source: Its data.
        parts: Objective, constraint, architectures and optimisers.

    Raises:
        UsageError: Too few rows are held out for the settings, or there is too little memory.
    """
    refuse_missing_scores(settings, source)
    size = 0 if source.conditions is None else source.conditions.size
    refuse_what_cannot_fit(settings, parts, source.codec.layout, size)
    return build_setup(settings, source, parts)


def context_of(
    *,
    files: RunFiles,
    settings: Settings,
    setup: Setup,
    parts: Parts,
    record: Record,
    journal: Journal,
    lines: Iterable[Mapping[str, Any]] = (),
) -> RunContext:
    """The parts of a run, with what measures it.

    Args:
        files: The run's directory.
        settings: Its settings.
        setup: What `train` takes.
        parts: Objective, constraint, architectures and optimisers.
        record: `metrics.jsonl`.
        journal: `events.jsonl`.
        lines: Lines that the record holds already.
    """
    source, evaluator = setup.source, None
    if source.num_held_out != 0:
        evaluator = SampleEvaluator(source, size=settings.eval_size, repeats=settings.eval_repeats, seed=settings.seed)
    rows = source.sample(_SCALE_ROWS, Randomness(settings.seed).at("scale of the data"))
    return RunContext(
        files=files,
        settings=settings,
        setup=setup,
        parts=parts,
        record=record,
        journal=journal,
        evaluator=evaluator,
        diagnosis=RunDiagnosis.of(settings, setup, lines),
        scale=float(rows.values.abs().max()),
    )
