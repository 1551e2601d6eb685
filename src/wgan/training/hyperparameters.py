"""The numbers of the training loop."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields
from typing import Literal

from wgan.errors import UsageError
from wgan.settings import range_fault

AUTHORS_CRITIC_STEPS = 100


@dataclass(frozen=True, kw_only=True)
class Hyperparameters:
    """The numbers of the training loop.

    Attributes:
        generator_steps: Generator updates of the whole run.
        batch_size: Samples in each batch (m).
        critic_steps: Critic updates before each generator update (n_critic).
        critic_schedule: "constant", or "authors": `AUTHORS_CRITIC_STEPS` critic updates before each of the first 25
            generator updates and before each that follows a multiple of 500 others, as in the authors' code.
        optimality: Further rounds of `critic_steps` critic updates follow as long as a round adds at least this share
            to the distance that the critic certifies beyond nearest neighbours; 0 for the schedule alone.
        max_critic_steps: With optimality, critic updates before one generator update from which on no further round
            begins. The first updates, those of `critic_schedule`, may be more.
        lr_schedule: How the learning rates fall from their start to 0 over the run.
        ema_decay: Decay of the generator's exponential moving average; 0 for none.
        packing: Samples that the critic sees as one.
        unrolled_steps: Critic updates that the generator's loss looks ahead.
        mismatch: Weight of real samples under wrong conditions in the critic's loss.

    Raises:
        UsageError: A number out of range.
    """

    generator_steps: int
    batch_size: int = 64
    critic_steps: int = 5
    critic_schedule: Literal["constant", "authors"] = "constant"
    optimality: float = 0.0
    max_critic_steps: int = 50
    lr_schedule: Literal["none", "linear", "cosine"] = "none"
    ema_decay: float = 0.0
    packing: int = 1
    unrolled_steps: int = 0
    mismatch: float = 0.0

    def __post_init__(self) -> None:
        values = {item.name: getattr(self, item.name) for item in fields(self)} | {"generator_steps": None}
        faults = [fault for name, value in values.items() if value is not None and (fault := range_fault(name, value))]
        if not self.generator_steps >= 0:
            faults.append(f"generator_steps must be at least 0, not {self.generator_steps}")
        if self.optimality and self.max_critic_steps < self.critic_steps:
            faults.append(
                f"max_critic_steps must be at least the {self.critic_steps} of one round, not {self.max_critic_steps}"
            )
        if faults:
            raise UsageError("; ".join(faults))
        if self.batch_size % self.packing:
            raise UsageError(
                f"batches of {self.batch_size} cannot be packed by {self.packing}",
                remedy="Choose a batch size that is a multiple of it.",
            )

    def critic_steps_at(self, step: int) -> int:
        """Number of critic updates between generator updates `step` and `step` + 1 by the fixed schedule."""
        if self.critic_schedule == "authors" and (step < 25 or step % 500 == 0):
            return AUTHORS_CRITIC_STEPS
        return self.critic_steps

    def critic_steps_before(self, step: int) -> int:
        """The sum of `critic_steps_at` over all generator updates before the given one.

        Further updates with optimality above 0 are not counted.

        Args:
            step: Generator updates done.
        """
        if self.critic_schedule == "constant":
            return step * self.critic_steps
        long = min(step, 25) + max(0, step - 1) // 500
        return long * AUTHORS_CRITIC_STEPS + (step - long) * self.critic_steps

    def lr_factor_at(self, step: int) -> float:
        """The factor on both learning rates after `step` generator updates, from 1 down to 0."""
        done = step / max(1, self.generator_steps)
        if self.lr_schedule == "linear":
            return 1.0 - done
        return 0.5 + 0.5 * math.cos(math.pi * done) if self.lr_schedule == "cosine" else 1.0
