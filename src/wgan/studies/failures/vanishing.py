"""Vanishing gradients in the original GAN: the better the discriminator, the smaller the generator's gradient.

A fixed generator is far from the data. A discriminator and a Wasserstein critic are trained against it, and the
generator's gradient through each is measured along the way.
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
from wgan.studies import Claim
from wgan.studies.failures.mixtures import LineMixture, LineSource, line_generator
from wgan.system.threads import on_threads
from wgan.system.torch_state import in_default_state
from wgan.training.batches import draw_critic_batch, generate
from wgan.training.engine import Engine
from wgan.training.game import Game, Prior
from wgan.training.hyperparameters import Hyperparameters
from wgan.training.loop import critic_step
from wgan.training.setup import Setup
from wgan.training.updates import Updates
from wgan.trust.gradients import saturation, weight_gradient

_NUM_MEASURED = 25
_NUM_PROBES = 32
_PROBE_SIZE = 64
_BATCH_SIZE = 128
_PENALTY = 10.0
_NUM_POSITIONS = 401
_WARM_UP = 30
"""Critic updates after which the initial weights of a critic no longer dominate its gradient."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Curve:
    """The gradient of a loss with respect to a fixed generator, against updates of its critic.

    Attributes:
        norms: Norm of the mean gradient, shape (K,).
        noise: Root mean square distance of a batch's gradient from that mean, shape (K,).
    """

    norms: NDArray[np.float64]
    noise: NDArray[np.float64]


@dataclass(frozen=True, kw_only=True, eq=False)
class Vanishing:
    """The measurements.

    Attributes:
        distance: Between the means of data and generator; equal to W1.
        deviation: Standard deviation of both.
        steps: Critic updates at the measurements, shape (K,).
        minimax: Gradient of E log(1 - D(fake)).
        nonsaturating: Gradient of -E log D(fake), with the same discriminator.
        wasserstein: Gradient of -E f(fake).
        saturated: Share of samples at which the discriminator is within 0.001 of 0 or 1, shape (K,).
        positions: Positions on the line, shape (L,).
        discriminator: Final D at these positions, shape (L,).
        critic: Final f at these positions, shape (L,).
        slope: Slope of f in theory under a soft penalty: 1 + W1 / (2 weight).
    """

    distance: float
    deviation: float
    steps: NDArray[np.int64]
    minimax: Curve
    nonsaturating: Curve
    wasserstein: Curve
    saturated: NDArray[np.float64]
    positions: NDArray[np.float64]
    discriminator: NDArray[np.float64]
    critic: NDArray[np.float64]
    slope: float

    def claims(self) -> tuple[Claim, ...]:
        """The literature's claims about these curves from update 30 on, and whether they hold."""
        # Before that, the gradients are those of the initial weights.
        late = self.steps >= _WARM_UP
        fall = float(self.minimax.norms[-1] / self.minimax.norms[late][0])
        rise = float(self.nonsaturating.norms[-1] / self.nonsaturating.norms[late][0])
        noisier = float(self.nonsaturating.noise[-1] / self.nonsaturating.noise[late][0])
        late_norms = self.wasserstein.norms[late]
        band, saturated_share = float(late_norms.max() / late_norms.min()), float(self.saturated[-1])
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
                measured=f"{noisier:.3g} times what it was",
                wanted="above 3",
                holds=noisier > 3,
            ),
            Claim(
                text="the discriminator saturates",
                measured=f"{100 * saturated_share:.1f} % of the samples",
                wanted="above 99 %",
                holds=saturated_share > 0.99,
            ),
            Claim(
                text="the Wasserstein critic's gradient stays",
                measured=f"{late_norms.min():.3g} to {late_norms.max():.3g}, {self.slope:.3g} in theory",
                wanted="a factor below 1.5",
                holds=band < 1.5,
            ),
        )


@in_default_state
@on_threads(1)  # small networks
def vanishing(*, distance: float = 6.0, deviation: float = 0.5, critic_steps: int = 1500, seed: int = 0) -> Vanishing:
    """Train a discriminator and a Wasserstein critic against a fixed generator, and measure its gradients.

    The data is N(0, deviation²), the generator x = distance + deviation z, and both critics are MLPs of two layers of
    64. The optimal discriminator of two such Gaussians has the logit log p/q. Then the gradient of E log(1 - D) is
    close to 0, and that of -log D is distance / deviation². The optimal 1-Lipschitz critic has slope 1 at any
    distance, with a soft penalty somewhat more.

    Args:
        distance: Distance between the means, above 0.
        deviation: Standard deviation of both Gaussians, above 0.
        critic_steps: Updates of each critic.
        seed: Determines initial weights and all batches.

    Returns:
        Curves at some 25 numbers of updates, evenly spaced on a logarithmic axis, and both final critics.

    Raises:
        UsageError: A number out of range.

    Cost: critic_steps updates of two small networks, and 2,400 gradients: some 10 s on one thread.

    Source: Arjovsky and Bottou (2017), theorems 2.4 and 2.6 and figures 2 and 3; Arjovsky, Chintala and Bottou (2017),
        figure 2, for the two critics on the line.
    """
    if not (0 < distance < np.inf and 0 < deviation < np.inf) or critic_steps < _WARM_UP:
        raise UsageError(
            f"distance and deviation must be above 0 and critic_steps at least {_WARM_UP}, not {distance}, {deviation} "
            f"and {critic_steps}"
        )
    source = LineSource(LineMixture.of([1.0], [0.0], [deviation]))
    measured_at = np.unique(np.geomspace(1, critic_steps + 1, _NUM_MEASURED).round().astype(np.int64) - 1)
    games = [_game(distance, deviation, seed) for _ in range(2)]
    minimax, nonsaturating = GAN(generator="minimax"), GAN(generator="nonsaturating")
    hparams = Hyperparameters(generator_steps=0, batch_size=_BATCH_SIZE)
    discriminator = Setup(games[0], source, nonsaturating, Unconstrained(), hparams)
    critic = Setup(games[1], source, Wasserstein(), LipschitzPenalty(weight=_PENALTY), hparams)
    (falling, rising), saturated = _measure(discriminator, (minimax, nonsaturating), measured_at)
    (constant,), _ = _measure(critic, (Wasserstein(),), measured_at)
    margin = 4 * deviation
    positions = torch.linspace(-margin, distance + margin, _NUM_POSITIONS, dtype=torch.float32, device="cpu")
    with torch.no_grad():
        of_discriminator, of_critic = (game.score(positions[:, None]).double() for game in games)
    return Vanishing(
        distance=distance,
        deviation=deviation,
        steps=measured_at,
        minimax=falling,
        nonsaturating=rising,
        wasserstein=constant,
        saturated=saturated,
        positions=positions.double().numpy(),
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


def _measure(
    setup: Setup, losses: Sequence[Objective], measured_at: NDArray[np.int64]
) -> tuple[list[Curve], NDArray[np.float64]]:
    """Train the critic alone. At each measurement: the gradient of each loss, and the share of saturated samples."""
    game, streams = setup.game, Randomness(setup.game.seed)
    setup.constraint.attach(game.critic)
    found: list[list[tuple[float, float]]] = [[] for _ in losses]
    shares = []
    for update in range(int(measured_at[-1]) + 1):
        if update in measured_at:
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
