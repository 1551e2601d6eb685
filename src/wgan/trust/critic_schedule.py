"""Critic updates before each generator update: a fixed number, or as many as bring it near its optimum."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import torch

from wgan.randomness import Randomness
from wgan.training.hyperparameters import Hyperparameters
from wgan.training.setup import Setup, fixed_critic_steps
from wgan.trust.distances import certify, flat
from wgan.trust.optimality import relative_rise
from wgan.trust.samples import generated, outputs_of

POINTS = 256
"""Points on each side on which the critic is measured, at the cost of two updates of a small critic."""


def schedule_for(hparams: Hyperparameters) -> Callable[[Setup], Iterator[int]]:
    """The critic schedule for `Setup`: to optimality if `hparams.optimality` is above 0, else fixed."""
    return until_optimal if hparams.optimality else fixed_critic_steps


def until_optimal(setup: Setup) -> Iterator[int]:
    """Number the critic updates before the next generator update, from 0; the caller makes them.

    First come those of the fixed schedule. Then groups of `critic_steps` updates follow until one of them adds less
    than the share `hparams.optimality` to what the critic proves, or `max_critic_steps` updates were made. What it
    proves is

        M = W(f) - W(0),

    the certified distance W(f) between real rows and samples, which holds for any slope of f, minus the part that
    distances to nearest neighbours prove alone. Rows and samples are drawn anew before each generator update.

    The critic's own estimate is not used: under weight clipping it keeps rising with the slope long after the critic
    has the right shape. W(f) alone is not used either: in many dimensions it is nearly W(0) from the start, so that any
    rise is small in comparison. A critic that proves nothing, or less than half of its best so far, is not at its
    optimum even if the last group changed little: each generator update throws clipped critics off.

    Args:
        setup: The state before the first of these updates.

    Yields:
        0, 1, 2 and so on, each after the caller has made the update before it.

    Source: Arjovsky, Chintala and Bottou (2017), section 3: the critic can, and should, be trained till optimality.
    """
    game, hparams = setup.game, setup.hparams
    made = hparams.critic_steps_at(game.steps_done)
    proven = _Proven(setup)
    before = best = proven()
    yield from range(made)
    while made < hparams.max_critic_steps:
        after = proven()
        if before is None or best is None or after is None:
            return
        best = max(best, after)
        if relative_rise(before, after) < hparams.optimality and after > best / 2:
            return
        num = min(hparams.critic_steps, hparams.max_critic_steps - made)
        yield from range(made, made + num)
        before, made = after, made + num


class _Proven:
    """Computes what the critic proves on a fixed set of points."""

    def __init__(self, setup: Setup) -> None:
        game, streams, k = setup.game, Randomness(setup.game.seed), setup.game.steps_done
        num = POINTS * setup.hparams.packing
        # The name is part of the random stream and cannot change.
        real = game.engine.batch_to_device(setup.source.sample(num, streams.at("real of the rounds", k)))
        noise = game.prior.sample(num, streams.at("noise of the rounds", k))
        with game.preserved(), torch.no_grad():
            fake = generated(setup, noise, real.condition)
        self.setup, self.real, self.fake = setup, setup.pack(real), setup.pack(fake)
        self._flat = flat(self.real), flat(self.fake)

    def __call__(self) -> float | None:
        """In units of the networks; None if scores are not finite."""
        with self.setup.game.preserved(), torch.no_grad():
            real, fake = (outputs_of(self.setup, points) for points in (self.real, self.fake))
            of_real, of_fake = (self.setup.objective.witness(outputs, real, fake) for outputs in (real, fake))
        found = certify(of_real, of_fake, *self._flat)
        return None if found is None else found.value - found.without_critic
