"""The numbers of Algorithm 1."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from wgan.errors import UsageError

AUTHORS_CRITIC_STEPS = 100


@dataclass(frozen=True, kw_only=True)
class Hyperparameters:
    """The numbers of Algorithm 1.

    Attributes:
        generator_steps: Generator updates of the whole run.
        batch_size: Samples in each batch (m).
        critic_steps: Critic updates before each generator update (n_critic).
        critic_schedule: "constant", or "authors": `AUTHORS_CRITIC_STEPS` critic updates before each of the first 25
            generator updates and before every 500th, as in the authors' code.
        optimality: Share of what the critic proves that a round of its updates must add for another one to follow; 0
            for the schedule's updates alone.
        max_critic_steps: Critic updates before one generator update, at most, where optimality decides.
        lr_schedule: How the learning rates fall from their start to zero over the run.
        ema_decay: Decay of the generator's exponential moving average; 0 for none.
        packing: Samples that the critic sees as one.
        unrolled_steps: Updates of the critic that the generator looks ahead.
        mismatch: Weight of real samples under wrong conditions in the critic's loss.

    Raises:
        UsageError: A number out of its range.
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
        wanted = {
            "generator_steps": (self.generator_steps >= 0, "at least 0"),
            "batch_size": (self.batch_size >= 1, "at least 1"),
            "critic_steps": (self.critic_steps >= 1, "at least 1"),
            "optimality": (0 <= self.optimality < 1, "at least 0 and below 1"),
            "max_critic_steps": (
                not self.optimality or self.max_critic_steps >= self.critic_steps,
                f"at least the {self.critic_steps} of one round",
            ),
            "ema_decay": (0 <= self.ema_decay < 1, "at least 0 and below 1"),
            "packing": (self.packing >= 1, "at least 1"),
            "unrolled_steps": (self.unrolled_steps >= 0, "at least 0"),
            "mismatch": (0 <= self.mismatch < 1, "at least 0 and below 1"),
        }
        faults = [
            f"{name} must be {must}, not {getattr(self, name)}" for name, (holds, must) in wanted.items() if not holds
        ]
        if faults:
            raise UsageError("; ".join(faults))
        if self.batch_size % self.packing:
            raise UsageError(
                f"batches of {self.batch_size} cannot be packed by {self.packing}",
                remedy="Choose a batch size that is a multiple of it.",
            )

    def critic_steps_at(self, step: int) -> int:
        """Critic updates before the generator update that follows `step` others."""
        if self.critic_schedule == "authors" and (step < 25 or step % 500 == 0):
            return AUTHORS_CRITIC_STEPS
        return self.critic_steps

    def critic_steps_before(self, step: int) -> int:
        """Critic updates of the whole run before those that precede the generator update that follows `step` others."""
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
