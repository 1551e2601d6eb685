"""How the two players move: the updates of Algorithm 1, run operation by operation or each compiled as a whole.

Both ways take the same arguments and compute the functions of `wgan.training.losses`;
they differ in rounding alone.
"""

from __future__ import annotations

import dataclasses
import types
import warnings
from collections.abc import Callable, Sequence
from typing import Any, cast

import torch
from torch import Tensor, nn

from wgan.batch import Batch
from wgan.constraints import Constraint
from wgan.objectives import Objective
from wgan.optimizers import FunctionalOptimizer, Slots
from wgan.training.batches import Drawn, Mismatched
from wgan.training.engine import EngineWarning, compile_whole
from wgan.training.game import Game
from wgan.training.hyperparameters import Hyperparameters
from wgan.training.losses import critic_loss, generator_loss, ruled_generator_loss


def descend(loss: Tensor, player: nn.Module, optimizer: torch.optim.Optimizer) -> None:
    """Move one player, and only that one, down the gradient of its loss; one without weights stays where it is."""
    weights = list(player.parameters())
    if not weights:
        return
    optimizer.zero_grad(set_to_none=True)
    # `inputs` is the subscript of the gradient sign: the other player gathers nothing.
    torch.autograd.backward(loss, inputs=weights)
    optimizer.step()


class Updates:
    """Both players' updates, operation by operation.

    Args:
        game: Whose networks move.
        objective: What the two optimise.
        constraint: What holds the critic.
        hparams: The numbers.
    """

    def __init__(self, game: Game, objective: Objective, constraint: Constraint, hparams: Hyperparameters) -> None:
        self.game, self.objective, self.constraint, self.hparams = game, objective, constraint, hparams

    def critic(self, held: Constraint, real: Batch, noise: Tensor, drawn: Drawn) -> tuple[Tensor, Tensor]:
        """Move the critic once.

        Args:
            held: What holds it in this update.
            real: Real samples, not packed.
            noise: For as many generated ones.
            drawn: For both.

        Returns:
            Its loss, and the objective's estimate, both 0-d and before the move.
        """
        loss, estimate = self._critic_loss(held, real, noise, drawn)
        descend(loss, self.game.critic, self.game.critic_optimizer)
        return loss.detach(), estimate

    def generator(
        self, noise: Tensor, condition: Tensor | None, shown: Batch | None, mismatched: Mismatched | None
    ) -> Tensor:
        """Move the generator once.

        Args:
            noise: For its samples.
            condition: What these are asked for by; None for an unconditional game.
            shown: Real samples, not packed, where the objective's generator or a look ahead sees such.
            mismatched: For a look ahead, where the critic sees them.

        Returns:
            Its loss before the move, 0-d.
        """
        game, hparams = self.game, self.hparams
        fake = game.generate(noise, condition)
        loss = ruled_generator_loss(
            game, self.objective, self.constraint, hparams, fake, shown, mismatched, game.steps_done
        )
        descend(loss, game.generator, game.generator_optimizer)
        return loss.detach()

    def _critic_loss(self, held: Constraint, real: Batch, noise: Tensor, drawn: Drawn) -> tuple[Tensor, Tensor]:
        with torch.no_grad():
            fake = self.game.generate(noise, real.condition)
        packing = self.hparams.packing
        return critic_loss(self.game, self.objective, held, real.packed(packing), fake.packed(packing), drawn)


class CompiledUpdates(Updates):
    """The same, each compiled as a whole: samples, loss, gradient and optimiser in one.

    The first update of each kind is compiled before it is made, which takes some ten seconds, and a few where it was
    compiled on this machine before. Where that fails, a warning says so, as does the game's engine from then on, and
    all goes on operation by operation.
    """

    def __init__(self, game: Game, objective: Objective, constraint: Constraint, hparams: Hyperparameters) -> None:
        super().__init__(game, objective, constraint, hparams)
        self._compiled: dict[object, Callable[..., Any]] = {}

    def critic(self, held: Constraint, real: Batch, noise: Tensor, drawn: Drawn) -> tuple[Tensor, Tensor]:
        """As above."""
        optimizer = self.game.critic_optimizer
        if not self.game.engine.compiled or not isinstance(optimizer, FunctionalOptimizer):
            return super().critic(held, real, noise, drawn)

        def update(real: Batch, noise: Tensor, drawn: Drawn, slots: Slots, lr: Tensor) -> tuple[Tensor, Tensor]:
            loss, estimate = self._critic_loss(held, real, noise, drawn)
            _move(loss, list(self.game.critic.parameters()), optimizer, slots, lr)
            return loss.detach(), estimate

        arguments = (real, noise, drawn, optimizer.prepared(), _rate(optimizer))
        found = self._run(("critic", held), update, arguments)
        return super().critic(held, real, noise, drawn) if found is None else cast(tuple[Tensor, Tensor], found)

    def generator(
        self, noise: Tensor, condition: Tensor | None, shown: Batch | None, mismatched: Mismatched | None
    ) -> Tensor:
        """As above; a look ahead is not compiled."""
        game, packing, optimizer = self.game, self.hparams.packing, self.game.generator_optimizer
        if not game.engine.compiled or self.hparams.unrolled_steps or not isinstance(optimizer, FunctionalOptimizer):
            return super().generator(noise, condition, shown, mismatched)

        def update(noise: Tensor, condition: Tensor | None, shown: Batch | None, slots: Slots, lr: Tensor) -> Tensor:
            fake = game.generate(noise, condition).packed(packing)
            loss = generator_loss(game, self.objective, fake, None if shown is None else shown.packed(packing))
            _move(loss, list(game.generator.parameters()), optimizer, slots, lr)
            return loss.detach()

        arguments = (noise, condition, shown, optimizer.prepared(), _rate(optimizer))
        found = self._run("generator", update, arguments)
        return super().generator(noise, condition, shown, mismatched) if found is None else cast(Tensor, found)

    def _run(self, which: object, update: Callable[..., Any], arguments: tuple[Any, ...]) -> object | None:
        """Run a compiled update, compiling it the first time; None if that cannot be done."""
        if which in self._compiled:
            return cast(object, self._compiled[which](*arguments))
        compiled = compile_whole(cast(types.FunctionType, update))
        try:
            found: object = compiled(*arguments)
        except Exception as error:
            reason = str(error).strip().splitlines()
            why = f"compiling failed ({type(error).__name__}: {reason[0] if reason else 'no reason given'})"
            self.game.engine = dataclasses.replace(self.game.engine, compiled=False, why=why)
            warnings.warn(f"{why}; the run goes on operation by operation", EngineWarning, stacklevel=3)
            return None
        self._compiled[which] = compiled
        return found


def updates(game: Game, objective: Objective, constraint: Constraint, hparams: Hyperparameters) -> Updates:
    """The updates as the game's engine runs them."""
    kind = CompiledUpdates if game.engine.compiled else Updates
    return kind(game, objective, constraint, hparams)


def _rate(optimizer: torch.optim.Optimizer) -> Tensor:
    """The learning rate as a tensor: a number would be compiled in, and again whenever it falls."""
    return torch.tensor(optimizer.param_groups[0]["lr"], dtype=torch.float32, device="cpu")


def _move(loss: Tensor, weights: Sequence[Tensor], optimizer: FunctionalOptimizer, slots: Slots, lr: Tensor) -> None:
    """`descend` in operations that can be compiled: weights and slots change in place."""
    if not weights:
        return
    gradients = torch.autograd.grad(loss, weights, allow_unused=True)
    with torch.no_grad():
        moved, after = optimizer.foresee(weights, gradients, slots, lr)
        for weight, value in zip(weights, moved, strict=True):
            weight.copy_(value)
        for slot, values in zip(slots, after, strict=True):
            for name, value in values.items():
                slot[name].copy_(value)
