"""The same Gaussian by a game: an f-GAN on the line, whose generator has two weights and whose critic is a network.

Where the critic is at its best, the gradient of the bound is the gradient of the divergence, so the game rests where
direct minimisation does; what separates the two is what the critic cannot express and what the game has not finished.
"""

from __future__ import annotations

import hashlib
import math
from dataclasses import dataclass

import torch
from torch import Tensor

from wgan.batch import Batch, Layout
from wgan.constraints import Unconstrained
from wgan.data.points import PointsCodec
from wgan.data.source import RowsOf
from wgan.divergences import Divergence, as_divergence
from wgan.errors import NumericError, UsageError
from wgan.networks import MLP, Generator
from wgan.objectives import FGAN
from wgan.objectives.bounds import Form
from wgan.optimizers import Adam
from wgan.randomness import Randomness
from wgan.studies.failures.mixtures import LineMixture, stratified
from wgan.system.threads import on_threads
from wgan.system.torch_state import in_usual_state
from wgan.training.engine import Engine
from wgan.training.game import Game, Prior
from wgan.training.hyperparameters import Hyperparameters
from wgan.training.loop import train
from wgan.training.setup import Setup

_LAST = 5
"""Weights and estimates are averaged over the last of so many equal parts of the game."""


@dataclass(frozen=True, kw_only=True)
class GameFit:
    """The Gaussian that a game came to rest at.

    Attributes:
        divergence: The row's word.
        mean: Of the Gaussian.
        deviation: Its standard deviation.
        estimate: The bound that the critic proved, in nats.
    """

    divergence: str
    mean: float
    deviation: float
    estimate: float


class LineSource:
    """A mixture on the line as a `Source`, drawn in stratified batches, which have far less noise.

    Args:
        mixture: What is drawn from.
    """

    name = "mixture"
    size: int | None = None
    num_held_out: int | None = None
    notes: tuple[str, ...] = ()
    conditions: None = None
    offers: tuple[str, ...] = ()

    def __init__(self, mixture: LineMixture) -> None:
        self.mixture = mixture
        self.codec = PointsCodec.identity(1)

    def sample(self, size: int, rng: torch.Generator) -> Batch:
        """Draw points, shape (size, 1), float32."""
        return Batch(self.mixture.sample(size, rng))

    def held_out(self, size: int, rng: torch.Generator) -> Tensor:
        """Draw fresh points, shape (size, 1), float32."""
        return self.mixture.sample(size, rng)

    def distinct(self, size: int, rng: torch.Generator) -> Tensor:
        """Draw fresh points, shape (size, 1), float32."""
        return self.mixture.sample(size, rng)

    def labelled(self, part: RowsOf, size: int, rng: torch.Generator) -> Batch:
        """Draw fresh points, shape (size, 1), float32, without conditions; none are unseen."""
        return self.sample(0 if part == "unseen" else size, rng)

    def describe(self) -> str:
        """Say what it is."""
        return f"points on the line: a mixture of {len(self.mixture.means)} Gaussians that never repeats"

    def fingerprint(self) -> str:
        """A digest of the mixture's parameters."""
        parameters = torch.stack([self.mixture.weights, self.mixture.means, self.mixture.deviations])
        return hashlib.blake2b(parameters.numpy().tobytes(), digest_size=16).hexdigest()


@dataclass(frozen=True)
class StratifiedPrior(Prior):
    """Standard normal noise on the line, one number from each of equally likely intervals."""

    size: int = 1

    def sample(self, num: int, rng: torch.Generator) -> Tensor:
        """Noise of shape (num, 1), float32, on the CPU."""
        noise: Tensor = torch.special.ndtri(stratified(num, rng))
        return noise[:, None].float()


@in_usual_state
@on_threads(1)  # its networks are small
def fit_by_game(
    mixture: LineMixture,
    kind: Divergence | str,
    *,
    generator: Form = "minimax",
    generator_steps: int = 400,
    batch_size: int = 256,
    seed: int = 0,
) -> GameFit:
    """Fit a Gaussian to a mixture by playing the f-GAN of a divergence, with Algorithm 1's own loop.

    The generator is x = mean + deviation z, the critic an MLP of two layers of 32 with tanh; two critic updates before
    each of the generator's. It starts wide and off centre, at no row's minimum.

    In its minimax form the generator descends the bound. In the other it descends -E T(fake), whose gradient at the
    best critic is that of another divergence, with mode seeking in it: KL(Q‖P) for kl, half of neyman for reverse_kl,
    reverse_kl - jensen_shannon for gan and jensen_shannon. Where P = Q is out of reach, the two rest apart.

    Args:
        mixture: What is fitted to.
        kind: A smooth row of the table, or its word.
        generator: "minimax", or "nonsaturating".
        generator_steps: Updates of the generator; both rates fall to 0 over them.
        batch_size: Points in each batch.
        seed: The critic's initial weights and all batches follow from it.

    Returns:
        The mean over the last fifth of the game. With the defaults mean and deviation are within 0.03 of
        `fit_gaussian` on the f-GAN paper's mixture for every smooth row, and the estimate within 0.025.

    Raises:
        UsageError: An unknown divergence, or one with a kink: its best scores are infinite, there the critic saturates,
            and nothing reaches the generator.
        NumericError: The game diverged.

    Cost: Some 2 s on one thread.

    Source: Nowozin, Cseke and Tomioka (2016), sections 2.4 and 3.2 and table 2; Arjovsky and Bottou (2017), theorem
        2.5, for what -log D descends.
    """
    row = as_divergence(kind)
    if row.curvature is None:
        raise UsageError(
            f"the best critic of {row.word} is infinite wherever the densities differ: it saturates, and nothing "
            "reaches the generator",
            remedy="Use fit_gaussian.",
        )
    if generator_steps < 1:
        raise UsageError(f"generator_steps must be at least 1, not {generator_steps}")
    game = _game(mixture, seed)
    weight, bias = game.generator.parameters()
    history = []
    hparams = Hyperparameters(
        generator_steps=generator_steps, batch_size=batch_size, critic_steps=2, lr_schedule="linear"
    )
    objective = FGAN(divergence=row.word, generator=generator, score="log-ratio")
    for step in train(Setup(game, LineSource(mixture), objective, Unconstrained(), hparams)):
        here = torch.stack([bias.detach().reshape(()), weight.detach().reshape(()).abs(), step.estimate])
        history.append(here.double())
    mean, deviation, estimate = torch.stack(history[-max(1, len(history) // _LAST) :]).mean(dim=0).tolist()
    if not all(map(math.isfinite, (mean, deviation, estimate))):
        raise NumericError(f"the game of {row.word} diverged", remedy="Try another seed, or fit_gaussian.")
    return GameFit(divergence=row.word, mean=mean, deviation=deviation, estimate=estimate)


def _game(mixture: LineMixture, seed: int) -> Game:
    layout = Layout(shape=(1,))
    generator = line_generator(mixture.mean + 0.5 * mixture.deviation, 1.2 * mixture.deviation)
    with Randomness(seed).as_global("weights of the critic"):
        critic = MLP(width=32, depth=2, activation="tanh").critic(layout)
    return Game(
        generator=generator,
        critic=critic,
        generator_optimizer=Adam(lr=1e-2, beta1=0.5).build(generator.parameters()),
        critic_optimizer=Adam(lr=5e-3, beta1=0.5, beta2=0.99).build(critic.parameters()),
        prior=StratifiedPrior(),
        seed=seed,
        engine=Engine(),
        averaged=False,
    )


def line_generator(mean: float, deviation: float) -> Generator:
    """The generator x = mean + deviation z: its weight is the deviation, its bias the mean."""
    layer = torch.nn.utils.skip_init(torch.nn.Linear, 1, 1, dtype=torch.float32, device="cpu")  # type: ignore[no-untyped-call]
    with torch.no_grad():
        layer.weight.fill_(deviation)
        layer.bias.fill_(mean)
    return Generator(layer, 1, Layout(shape=(1,)))
