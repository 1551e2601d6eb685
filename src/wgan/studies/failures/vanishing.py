"""Why the original GAN starves its generator: the better its discriminator, the less of a gradient is left.

A generator stands still, far from the data. A discriminator is trained against it, and a Wasserstein critic beside it,
and along the way the gradient is measured that each would hand to the generator.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from wgan.batch import Layout
from wgan.constraints import LipschitzPenalty, Unconstrained
from wgan.errors import UsageError
from wgan.networks import MLP
from wgan.objectives import GAN, Objective, Wasserstein
from wgan.optimizers import Adam
from wgan.randomness import Randomness
from wgan.studies.failures.games import LineSource, line_generator
from wgan.studies.failures.mixtures import LineMixture
from wgan.system.threads import on_threads
from wgan.system.torch_state import in_usual_state
from wgan.training.batches import draw_critic_batch, generate
from wgan.training.engine import Engine
from wgan.training.game import Game, Prior
from wgan.training.hyperparameters import Hyperparameters
from wgan.training.loop import critic_step
from wgan.training.setup import Setup
from wgan.training.updates import Updates
from wgan.trust.gradients import saturation, weight_gradient

_NUM_MARKS = 25
_NUM_PROBES = 32
_PROBE_SIZE = 64
_BATCH_SIZE = 128
_PENALTY = 10.0
_NUM_PLACES = 401
_SETTLED = 30
"""Critic updates after which a critic that was drawn at random has found its direction."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Curve:
    """The gradient that a loss hands to a generator that stands still, against updates of its critic.

    Attributes:
        norms: Norm of the mean gradient, shape (K,).
        noise: Root mean square distance of a batch's gradient from that mean, shape (K,).
    """

    norms: NDArray[np.float64]
    noise: NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class Claim:
    """A sentence of the literature in numbers.

    Attributes:
        text: What is claimed.
        measured: The number.
        wanted: What it has to be.
        holds: Whether it is.
    """

    text: str
    measured: str
    wanted: str
    holds: bool


@dataclass(frozen=True, kw_only=True, eq=False)
class Vanishing:
    """What was measured.

    Attributes:
        distance: Between the means of data and generator, which is W1.
        deviation: Of both.
        steps: Updates of the critic after which it was measured, shape (K,).
        minimax: Of E log(1 - D(fake)).
        nonsaturating: Of -E log D(fake), on the same discriminator.
        wasserstein: Of -E f(fake).
        saturated: Share of samples at which the discriminator is within 0.001 of 0 or 1, shape (K,).
        places: On the line, shape (L,).
        discriminator: D there in the end, shape (L,).
        critic: f there in the end, shape (L,).
        slope: What f's slope should be: 1 + W1 / (2 weight), since its penalty is soft.
    """

    distance: float
    deviation: float
    steps: NDArray[np.int64]
    minimax: Curve
    nonsaturating: Curve
    wasserstein: Curve
    saturated: NDArray[np.float64]
    places: NDArray[np.float64]
    discriminator: NDArray[np.float64]
    critic: NDArray[np.float64]
    slope: float

    def claims(self) -> tuple[Claim, ...]:
        """What the literature says of such curves from update 30 on, and whether these say it too."""
        # From where the critics have found their direction: before, it is their initial weights that are measured.
        late = self.steps >= _SETTLED
        fall = float(self.minimax.norms[-1] / self.minimax.norms[late][0])
        rise = float(self.nonsaturating.norms[-1] / self.nonsaturating.norms[late][0])
        louder = float(self.nonsaturating.noise[-1] / self.nonsaturating.noise[late][0])
        settled = self.wasserstein.norms[late]
        band, sure = float(settled.max() / settled.min()), float(self.saturated[-1])
        return (
            Claim(
                text="the minimax gradient vanishes",
                measured=f"{fall:.1e} of what it was",
                wanted="below 1e-3",
                holds=fall < 1e-3,
            ),
            Claim(
                text="the gradient of -log D does not",
                measured=f"{rise:.3g} times what it was",
                wanted="above 1",
                holds=rise > 1,
            ),
            Claim(
                text="but its noise grows",
                measured=f"{louder:.3g} times what it was",
                wanted="above 3",
                holds=louder > 3,
            ),
            Claim(
                text="the discriminator saturates",
                measured=f"{100 * sure:.1f} % of the samples",
                wanted="above 99 %",
                holds=sure > 0.99,
            ),
            Claim(
                text="the Wasserstein critic's gradient stays",
                measured=f"{settled.min():.3g} to {settled.max():.3g}, {self.slope:.3g} in theory",
                wanted="a factor below 1.5",
                holds=band < 1.5,
            ),
        )


@in_usual_state
@on_threads(1)  # its networks are small
def vanishing(*, distance: float = 6.0, deviation: float = 0.5, critic_steps: int = 1500, seed: int = 0) -> Vanishing:
    """Train a discriminator and a Wasserstein critic against a generator that stands still, and measure its gradients.

    Data N(0, deviation²), generator x = distance + deviation z, both critics MLPs of two layers of 64. The optimal
    discriminator of two such Gaussians has the logit log p/q, so that E log(1 - D) has next to no gradient, and -log D
    one of distance / deviation²; the best 1-Lipschitz critic has slope 1 at any distance, a soft penalty somewhat more.

    Args:
        distance: Between the means, above 0.
        deviation: Of both Gaussians, above 0.
        critic_steps: Updates of each critic.
        seed: Initial weights and all batches follow from it.

    Returns:
        Curves at some 25 numbers of updates, evenly spaced on a logarithmic axis, and both critics in the end.

    Raises:
        UsageError: A number out of its range.

    Cost: critic_steps updates of two small networks, and 2,400 gradients: some 10 s on one thread.

    Source: Arjovsky and Bottou (2017), theorems 2.4 and 2.6 and figures 2 and 3; Arjovsky, Chintala and Bottou (2017),
        figure 2, for the two critics on the line.
    """
    if not (0 < distance < np.inf and 0 < deviation < np.inf) or critic_steps < _SETTLED:
        raise UsageError(
            f"distance and deviation must be above 0 and critic_steps at least {_SETTLED}, not {distance}, {deviation} "
            f"and {critic_steps}"
        )
    source = LineSource(LineMixture.of([1.0], [0.0], [deviation]))
    marks = np.unique(np.geomspace(1, critic_steps + 1, _NUM_MARKS).round().astype(np.int64) - 1)
    games = [_game(distance, deviation, seed) for _ in range(2)]
    minimax, other = GAN(generator="minimax"), GAN(generator="nonsaturating")
    hparams = Hyperparameters(generator_steps=0, batch_size=_BATCH_SIZE)
    discriminator = Setup(games[0], source, other, Unconstrained(), hparams)
    critic = Setup(games[1], source, Wasserstein(), LipschitzPenalty(weight=_PENALTY), hparams)
    (low, high), saturated = _measured(discriminator, (minimax, other), marks)
    (flat,), _ = _measured(critic, (Wasserstein(),), marks)
    places = torch.linspace(-4 * deviation, distance + 4 * deviation, _NUM_PLACES, dtype=torch.float32, device="cpu")
    with torch.no_grad():
        of_discriminator, of_critic = (game.score(places[:, None]).double() for game in games)
    return Vanishing(
        distance=distance,
        deviation=deviation,
        steps=marks,
        minimax=low,
        nonsaturating=high,
        wasserstein=flat,
        saturated=saturated,
        places=places.double().numpy(),
        discriminator=of_discriminator.sigmoid().numpy(),
        critic=of_critic.numpy(),
        slope=1.0 + distance / (2.0 * _PENALTY),
    )


def _game(distance: float, deviation: float, seed: int) -> Game:
    generator = line_generator(distance, deviation)
    with Randomness(seed).as_global("weights of the critic"):
        critic = MLP(width=64, depth=2).critic(Layout(shape=(1,)))
    return Game(
        generator=generator,
        critic=critic,
        generator_optimizer=Adam().build(generator.parameters()),
        critic_optimizer=Adam(lr=1e-3, beta1=0.5).build(critic.parameters()),
        prior=Prior(1),
        seed=seed,
        engine=Engine(),
        averaged=False,
    )


def _measured(
    setup: Setup, losses: Sequence[Objective], marks: NDArray[np.int64]
) -> tuple[list[Curve], NDArray[np.float64]]:
    """Train the critic alone; at each mark, the gradients of each loss, and how much of the critic is saturated."""
    game, streams = setup.game, Randomness(setup.game.seed)
    setup.constraint.attach(game.critic)
    found: list[list[tuple[float, float]]] = [[] for _ in losses]
    shares = []
    for update in range(int(marks[-1]) + 1):
        if update in marks:
            probes = [game.prior.sample(_PROBE_SIZE, streams.at("probe", number)) for number in range(_NUM_PROBES)]
            for curve, loss in zip(found, losses, strict=True):
                other = dataclasses.replace(setup, objective=loss)
                curve.append(_mean_and_noise(torch.stack([weight_gradient(other, noise) for noise in probes])))
            batch = draw_critic_batch(setup, "real", "noise of the critic", update)
            with torch.no_grad():
                scores = game.score_both(batch.real, generate(setup, batch.noise, None))
            shares.append(float(saturation(*scores).share))
        critic_step(setup, Updates(), update, (update,))
    curves = [Curve(norms=np.array(curve)[:, 0], noise=np.array(curve)[:, 1]) for curve in found]
    return curves, np.array(shares)


def _mean_and_noise(gradients: Tensor) -> tuple[float, float]:
    mean = gradients.mean(dim=0)
    return float(mean.norm()), float((gradients - mean).square().sum(dim=1).mean().sqrt())
