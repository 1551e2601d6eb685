"""All that training needs, in one object."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from wgan.batch import Batch
from wgan.constraints import Constraint
from wgan.data.source import Source
from wgan.errors import UsageError
from wgan.objectives import Objective
from wgan.training.game import Game
from wgan.training.hyperparameters import Hyperparameters


def fixed_critic_steps(setup: Setup) -> Iterator[int]:
    """Number the critic updates before the next generator update, by the hyperparameters.

    Raises:
        UsageError: The hyperparameters require a critic at its optimum, which needs another schedule.
    """
    if setup.hparams.optimality:
        raise UsageError(
            f"an optimality of {setup.hparams.optimality:g} needs a critic schedule that measures it",
            remedy="Build the setup with wgan.setup, or pass wgan.trust.critic_schedule.until_optimal.",
        )
    yield from range(setup.hparams.critic_steps_at(setup.game.steps_done))


@dataclass(frozen=True, eq=False)
class Setup:
    """All that `train` needs.

    Attributes:
        game: Generator, critic, optimisers and prior; training changes it.
        source: The data.
        objective: The losses of both players.
        constraint: What keeps the critic Lipschitz.
        hparams: The numbers of the training loop.
        critic_schedule: Called before each generator update; yields 0, 1, 2 and so on: once for each critic
            update, and at least once.
    """

    game: Game
    source: Source
    objective: Objective
    constraint: Constraint
    hparams: Hyperparameters
    critic_schedule: Callable[[Setup], Iterator[int]] = fixed_critic_steps

    def at(self, update: int) -> Setup:
        """The setup with the constraint of one critic update, as `critic_step` numbers it: lazy penalties skip some."""
        constraint = self.constraint.at(update)
        return self if constraint is self.constraint else dataclasses.replace(self, constraint=constraint)

    def pack(self, batch: Batch) -> Batch:
        """The samples of a batch as the critic sees them: `hparams.packing` of them joined to one."""
        return batch.packed(self.hparams.packing)
