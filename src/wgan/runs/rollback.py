"""Go back to a checkpoint after training diverged, or end the run."""

from __future__ import annotations

from typing import NoReturn

from wgan.errors import NumericError
from wgan.runs import checkpoints
from wgan.runs.compatibility import restore
from wgan.runs.context import RunContext
from wgan.runs.divergence import DivergedError
from wgan.runs.samples import remove_later_samples
from wgan.runs.saver import Saver
from wgan.runs.schedule import is_regular
from wgan.training.factory import Parts
from wgan.training.game import Game
from wgan.trust.verdict import Verdict

MAX_RATE = 1.0
"""A learning rate from which on nothing can be learnt: each update moves weights by about as much. A rollback, which
halves the rates, does not help if half the rate is not below it."""


def roll_back(context: RunContext, saver: Saver, diverged: DivergedError) -> str:
    """Go back to the last good checkpoint, with half the learning rates and other random draws.

    Returns:
        What was done, in a sentence.

    Raises:
        NumericError: There were as many rollbacks as the settings allow, or smaller rates cannot help.
    """
    game, settings, num = context.game, context.settings, context.game.rollbacks
    if num >= settings.rollbacks or not _can_be_slowed(game, context.parts):
        _end(context, diverged)
    checkpoint = checkpoints.go_back(
        context.files.checkpoints, before=diverged.step, is_regular=lambda step: is_regular(settings, step)
    )
    restore(game, checkpoint)
    game.rollbacks = num + 1
    context.record.cut(int(checkpoint.facts["record_bytes"]), check=checkpoint.facts.get("record_check"))
    remove_later_samples(context.files, checkpoint.step)
    if context.diagnosis is not None:
        context.diagnosis.forget(checkpoint.step)
    saver.went_back(checkpoint)
    message = (
        f"{diverged.message}; going back to step {checkpoint.step:,} with other random draws and half the learning "
        f"rates ({_rates(game, context.parts)}): rollback {game.rollbacks} of {settings.rollbacks}"
    )
    seconds = context.journal.elapsed()
    context.journal.warn(diverged.step, message, "rolled-back", seconds=seconds, to=checkpoint.step)
    # A run that is stopped and resumed now must not diverge once more first.
    saver.save()
    return message


def note_verdict(context: RunContext, step: int, verdict: Verdict) -> None:
    """Note a verdict that differs from the one before."""
    facts = {"kind": verdict.kind, "reason": verdict.reason, "remedy": verdict.remedy}
    context.journal.add_timed("verdict", step, **facts)


def _end(context: RunContext, diverged: DivergedError) -> NoReturn:
    """End the run: note the verdict and the divergence, and raise the error."""
    folder, game = context.files.checkpoints, context.game
    good = folder / checkpoints.name_of(checkpoints.steps_saved(folder)[-1])
    tried = f" after {game.rollbacks} rollbacks" if game.rollbacks > 1 else " after a rollback" * game.rollbacks
    error = NumericError(
        f"{diverged.message}. The last good checkpoint{tried} is {good}",
        remedy=f"Most likely the learning rates are too high ({_rates(game, context.parts)}): begin again with a tenth "
        "of them or less.",
    )
    if context.diagnosis is not None:
        how = f"{diverged.fault} at step {diverged.step:,}"
        note_verdict(context, diverged.step, context.diagnosis.verdict_with(diverged=how))
    context.journal.add_timed("diverged", diverged.step, message=error.message)
    raise error from diverged


def _can_be_slowed(game: Game, parts: Parts) -> bool:
    """Whether something can be learnt at half the learning rates."""
    fastest = max(parts.generator_optimizer.lr, parts.critic_optimizer.lr)
    return fastest * game.lr_factor / 2 < MAX_RATE


def _rates(game: Game, parts: Parts) -> str:
    """The learning rates of step 0, halved as often as there were rollbacks."""
    generator, critic = (each.lr * game.lr_factor for each in (parts.generator_optimizer, parts.critic_optimizer))
    return f"{generator:g} for the generator, {critic:g} for the critic"
