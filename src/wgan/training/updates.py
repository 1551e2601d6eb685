"""The updates of both players, run operation by operation or compiled as a whole.

Both ways compute the losses of `wgan.training.losses` and differ in rounding alone.
"""

from __future__ import annotations

import dataclasses
import types
import warnings
from collections.abc import Callable, Sequence
from typing import Any, cast

import torch
from torch import Tensor, nn

from wgan.optimizers import FunctionalOptimizer, Slots
from wgan.training.batches import CriticBatch, GeneratorBatch, generate
from wgan.training.engine import EngineWarning, compile_whole
from wgan.training.losses import critic_loss, generator_loss
from wgan.training.setup import Setup


def descend(loss: Tensor, player: nn.Module, optimizer: torch.optim.Optimizer) -> None:
    """One optimiser step of one player along the gradient of its loss; nothing for a player without parameters."""
    parameters = list(player.parameters())
    if not parameters:
        return
    optimizer.zero_grad(set_to_none=True)
    # The gradient is with respect to this player's parameters alone: the other one must not accumulate any.
    torch.autograd.backward(loss, inputs=parameters)
    optimizer.step()


class Updates:
    """The updates of both players, operation by operation."""

    def critic(self, setup: Setup, batch: CriticBatch) -> tuple[Tensor, Tensor]:
        """Update the critic once (Algorithm 1, lines 5 to 7).

        Args:
            setup: With the constraint of this update (`Setup.at`).
            batch: What the update is computed from.

        Returns:
            Its loss and the objective's estimate, both 0-d and before the update.
        """
        loss, estimate = self._critic_step(setup, batch)
        setup.constraint.project(setup.game.critic)  # 7
        return loss, estimate

    def generator(self, setup: Setup, batch: GeneratorBatch) -> Tensor:
        """Update the generator once (Algorithm 1, lines 10 and 11).

        Args:
            setup: With the constraint of the run.
            batch: What the update is computed from.

        Returns:
            Its loss before the update, 0-d.
        """
        game = setup.game
        fake = generate(setup, batch.noise, batch.condition)
        loss = generator_loss(setup, batch, fake, game.steps_done)
        descend(loss, game.generator, game.generator_optimizer)  # 10, 11
        return loss.detach()

    def _critic_step(self, setup: Setup, batch: CriticBatch) -> tuple[Tensor, Tensor]:
        loss, estimate = _critic_loss(setup, batch)
        descend(loss, setup.game.critic, setup.game.critic_optimizer)  # 5, 6
        return loss.detach(), estimate


class CompiledUpdates(Updates):
    """The same updates of one game, each compiled as a whole: samples, loss, gradient and optimiser step.

    Each kind of update is compiled when it is first made. This takes about ten seconds, or a few where the machine has
    compiled it before. If compiling fails, a warning is issued, the game's engine notes it, and the run continues
    operation by operation.
    """

    def __init__(self) -> None:
        self._compiled: dict[object, Callable[..., Any]] = {}

    def _critic_step(self, setup: Setup, batch: CriticBatch) -> tuple[Tensor, Tensor]:
        game, optimizer = setup.game, setup.game.critic_optimizer
        if not game.engine.compiled or not isinstance(optimizer, FunctionalOptimizer):
            return super()._critic_step(setup, batch)

        def update(batch: CriticBatch, slots: Slots, lr: Tensor) -> tuple[Tensor, Tensor]:
            loss, estimate = _critic_loss(setup, batch)
            _step_in_place(loss, list(game.critic.parameters()), optimizer, slots, lr)  # 5, 6
            return loss.detach(), estimate

        arguments = (batch, optimizer.initialised_slots(), _lr(optimizer))
        found = self._run(setup, ("critic", setup.constraint), update, arguments)
        return super()._critic_step(setup, batch) if found is None else cast(tuple[Tensor, Tensor], found)

    def generator(self, setup: Setup, batch: GeneratorBatch) -> Tensor:
        """As in `Updates`; unrolled updates are not compiled."""
        game, optimizer = setup.game, setup.game.generator_optimizer
        if not game.engine.compiled or batch.unrolled is not None or not isinstance(optimizer, FunctionalOptimizer):
            return super().generator(setup, batch)

        def update(batch: GeneratorBatch, slots: Slots, lr: Tensor) -> Tensor:
            loss = generator_loss(setup, batch, generate(setup, batch.noise, batch.condition))
            _step_in_place(loss, list(game.generator.parameters()), optimizer, slots, lr)  # 10, 11
            return loss.detach()

        arguments = (batch, optimizer.initialised_slots(), _lr(optimizer))
        found = self._run(setup, "generator", update, arguments)
        return super().generator(setup, batch) if found is None else cast(Tensor, found)

    def _run(self, setup: Setup, kind: object, update: Callable[..., Any], arguments: tuple[Any, ...]) -> object | None:
        """Run a compiled update, compiling it the first time; None if that fails."""
        if kind in self._compiled:
            return cast(object, self._compiled[kind](*arguments))
        compiled = compile_whole(cast(types.FunctionType, update))
        try:
            found: object = compiled(*arguments)
        except Exception as error:
            reason = str(error).strip().splitlines()
            why = f"compiling failed ({type(error).__name__}: {reason[0] if reason else 'no reason given'})"
            setup.game.engine = dataclasses.replace(setup.game.engine, compiled=False, why=why)
            warnings.warn(f"{why}; the run continues operation by operation", EngineWarning, stacklevel=3)
            return None
        self._compiled[kind] = compiled
        return found


def _critic_loss(setup: Setup, batch: CriticBatch) -> tuple[Tensor, Tensor]:
    with torch.no_grad():
        fake = generate(setup, batch.noise, batch.condition)
    return critic_loss(setup, batch, fake)


def _lr(optimizer: torch.optim.Optimizer) -> Tensor:
    """The learning rate as a tensor: a number would be compiled in, and again whenever it changes."""
    return torch.tensor(optimizer.param_groups[0]["lr"], dtype=torch.float32, device="cpu")


def _step_in_place(
    loss: Tensor, parameters: Sequence[Tensor], optimizer: FunctionalOptimizer, slots: Slots, lr: Tensor
) -> None:
    """`descend` in operations that can be compiled: parameters and slots change in place."""
    if not parameters:
        return
    gradients = torch.autograd.grad(loss, parameters, allow_unused=True)
    with torch.no_grad():
        updated, after = optimizer.functional_step(parameters, gradients, slots, lr)
        for parameter, value in zip(parameters, updated, strict=True):
            parameter.copy_(value)
        for slot, values in zip(slots, after, strict=True):
            for name, value in values.items():
                slot[name].copy_(value)
