"""How many updates the critic makes before each of the generator's: a number of them, or until it proves no more."""

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
"""Points on each side by which a critic is measured between two rounds, as dear as two updates of a small one."""


def critic_schedule(hparams: Hyperparameters) -> Callable[[Setup], Iterator[int]]:
    """The schedule of the critic updates that the hyperparameters name, as `Setup` takes it."""
    return until_optimal if hparams.optimality else fixed_critic_steps


def until_optimal(setup: Setup) -> Iterator[int]:
    """Number the critic's updates before the next generator update, from 0 on; the caller makes them.

    First come those of the schedule. Where `hparams.optimality` is above 0, rounds of `critic_steps` follow until one
    adds less than that share to what the critic proves, or `max_critic_steps` updates were made. What it proves is

        M = W(f) - W(0),

    by how much the certified distance W(f) between real rows and samples, whatever the slope of f, exceeds what
    distances to nearest neighbours prove of it: these rows and samples are fresh before each generator update and the
    same for all its rounds. The critic's own estimate would not do. Under weight clipping it goes on rising long after
    the critic has the right shape, as its slope grows; and beside the whole of W(f), which in many dimensions is nearly
    W(0) from the start, any rise is small. A critic that proves nothing, or not half of what it proved some rounds ago,
    is no optimum either, however little the last round has moved it: clipped critics are thrown off by each update of
    the generator.

    Args:
        setup: As it is before the first of them; only the caller changes it.

    Yields:
        0, 1, 2 and so on: each when the update before it has been made.

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
        further = min(hparams.critic_steps, hparams.max_critic_steps - made)
        yield from range(made, made + further)
        before, made = after, made + further


class _Proven:
    """What the critic of a game proves, now and again, of points that stay the same."""

    def __init__(self, setup: Setup) -> None:
        game, streams, k = setup.game, Randomness(setup.game.seed), setup.game.steps_done
        num = POINTS * setup.hparams.packing
        real = game.engine.bring_batch(setup.source.sample(num, streams.at("real of the rounds", k)))
        noise = game.prior.sample(num, streams.at("noise of the rounds", k))
        with game.preserved(), torch.no_grad():
            fake = generated(setup, noise, real.condition)
        self.setup, self.real, self.fake = setup, setup.pack(real), setup.pack(fake)
        self._flat = flat(self.real), flat(self.fake)

    def __call__(self) -> float | None:
        """In units of the networks; None where that is not finite, so that nothing is proven."""
        with self.setup.game.preserved(), torch.no_grad():
            real, fake = (outputs_of(self.setup, points) for points in (self.real, self.fake))
            of_real, of_fake = (self.setup.objective.witness(outputs, real, fake) for outputs in (real, fake))
        found = certify(of_real, of_fake, *self._flat)
        return None if found is None else found.value - found.without_critic
