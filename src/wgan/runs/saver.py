"""Save the checkpoints of a run, with all that a resume needs in addition to the tensors."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

from torch import Tensor

from wgan.runs import checkpoints
from wgan.runs.context import RunContext
from wgan.runs.divergence import DivergedError, first_not_finite
from wgan.runs.metadata import checksums, noted_settings
from wgan.runs.record import numbers_of
from wgan.runs.schedule import is_regular
from wgan.training.loop import Step

State: TypeAlias = tuple[dict[str, Tensor], dict[str, object]]
"""Tensors and facts, as `Game.state` gives them."""


@dataclass(frozen=True)
class _Fallback:
    """A complete state that a stop can fall back to: a copy in memory, or the checkpoint of that step if None."""

    step: int
    copy: State | None = None


class Saver:
    """Saves the checkpoints of a run.

    Args:
        context: Of the run.
        last: The numbers of the last update, if the run is resumed.

    Attributes:
        last: The last update, or its numbers.
    """

    def __init__(self, context: RunContext, last: dict[str, float] | None = None) -> None:
        self._context = context
        self._checksums = checksums(context.files)
        self._fallback = _Fallback(context.game.steps_done)
        self.last: Step | dict[str, float] | None = last

    def save(
        self, state: State | None = None, *, pending: dict[str, float] | None = None, score: float | None = None
    ) -> Path:
        """Save a checkpoint.

        Args:
            state: What to save; the state of the game as it is if None.
            pending: The numbers of the last update, if its line of the record is still to be written.
            score: Of its samples, if they were evaluated; lower is better.

        Returns:
            The checkpoint's folder.

        Raises:
            DivergedError: A tensor is not finite.
            CheckpointError: The disk is full or failing; the last checkpoint is unchanged.
        """
        tensors, facts = self._context.game.state() if state is None else state
        step = int(str(facts["steps_done"]))
        if (name := first_not_finite(tensors)) is not None:
            raise DivergedError(step, f"'{name}' is not finite")
        settings, record = self._context.settings, self._context.record
        record.sync()
        noted = {
            "game": facts,
            "settings": noted_settings(settings),
            "steps": settings.steps,
            "record_bytes": record.length,
            "record_check": record.check,
            # If the run is ended here later, these are recorded then.
            "last": None if self.last is None else numbers_of(self.last, with_critic_updates=settings.optimality > 0),
            "files": self._checksums,
            "pending": pending,
        }
        path = checkpoints.save(
            self._context.files.checkpoints,
            step,
            tensors,
            noted,
            score=score,
            is_regular=lambda step: is_regular(settings, step),
        )
        self._fallback = _Fallback(step)
        self._context.journal.add_timed("saved", step, checkpoint=path.name)
        return path

    def save_before_stop(self, step: int) -> Path:
        """Save the state after `step` generator updates, unless it is saved already.

        A later update may have been interrupted; then the copy in memory is saved.

        Returns:
            The checkpoint's folder.
        """
        if not self.can_fall_back(step):
            return self.save()
        if self._fallback.copy is not None:
            return self.save(self._fallback.copy)
        return self._context.files.checkpoints / checkpoints.name_of(step)

    def can_fall_back(self, step: int) -> bool:
        """Whether the state after `step` generator updates is in memory or on the disk."""
        return self._fallback.step == step

    def keep_copy(self) -> None:
        """Keep a copy of the game's state in memory, unless it is in memory or on the disk."""
        step = self._context.game.steps_done
        if not self.can_fall_back(step):
            self._fallback = _Fallback(step, self.copy())

    def copy(self) -> State:
        """A copy of the game's state."""
        tensors, facts = self._context.game.state()
        return {name: tensor.detach().clone() for name, tensor in tensors.items()}, facts

    def went_back(self, checkpoint: checkpoints.Checkpoint) -> None:
        """Take note that the game was restored from a checkpoint."""
        self.last = checkpoint.facts.get("last")
        self._fallback = _Fallback(checkpoint.step)
