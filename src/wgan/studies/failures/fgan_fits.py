"""A Gaussian fitted to a mixture by an f-GAN on the line. The generator has two weights, the critic is a network.

With an optimal critic the gradient of the bound is that of the divergence, so that the f-GAN converges to the direct
fit. The two differ by what the critic cannot express and by incomplete convergence.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from wgan.batch import Layout
from wgan.constraints import Unconstrained
from wgan.divergences import Divergence, as_divergence
from wgan.errors import NumericError, UsageError
from wgan.networks import MLP
from wgan.objectives import FGAN
from wgan.objectives.bounds import Form
from wgan.optimizers import Adam
from wgan.randomness import Randomness
from wgan.studies.failures.mixtures import LineMixture, LineSource, line_generator, stratified
from wgan.system.threads import on_threads
from wgan.system.torch_state import in_default_state
from wgan.training.engine import Engine
from wgan.training.game import Game, Prior
from wgan.training.hyperparameters import Hyperparameters
from wgan.training.loop import train
from wgan.training.setup import Setup

_LAST = 5
"""Weights and estimates are averaged over the last of so many equal parts of training."""


@dataclass(frozen=True, kw_only=True)
class FGANFit:
    """The Gaussian that an f-GAN converged to.

    Attributes:
        divergence: Its name.
        mean: Mean of the Gaussian.
        deviation: Standard deviation of the Gaussian.
        estimate: The critic's lower bound on the divergence, in nats.
    """

    divergence: str
    mean: float
    deviation: float
    estimate: float


@dataclass(frozen=True)
class StratifiedPrior(Prior):
    """Standard normal noise on the line, one number from each of equally likely intervals."""

    size: int = 1

    def sample(self, num: int, rng: torch.Generator) -> Tensor:
        """Noise of shape (num, 1), float32, on the CPU."""
        noise: Tensor = torch.special.ndtri(stratified(num, rng))
        return noise[:, None].float()


@in_default_state
@on_threads(1)  # small networks
def fit_by_fgan(
    mixture: LineMixture,
    kind: Divergence | str,
    *,
    generator: Form = "minimax",
    generator_steps: int = 400,
    batch_size: int = 256,
    seed: int = 0,
) -> FGANFit:
    """Fit a Gaussian to a mixture by the f-GAN of a divergence, trained by Algorithm 1.

    The generator is x = mean + deviation z, the critic an MLP of two layers of 32 with tanh. There are two critic
    updates for each generator update. The initial generator is wide and off centre, at no minimum of any divergence.

    The minimax generator minimises the bound. The nonsaturating one minimises -E T(fake). With an optimal critic the
    gradient of that is the gradient of another divergence, which seeks modes: KL(Q‖P) for kl, half of neyman for
    reverse_kl, and reverse_kl - jensen_shannon for gan and jensen_shannon. Where P = Q is impossible, the two differ.

    Args:
        mixture: P.
        kind: A smooth divergence, or its name.
        generator: "minimax", or "nonsaturating".
        generator_steps: Generator updates; both learning rates fall to 0 over them.
        batch_size: Points in each batch.
        seed: Determines the critic's initial weights and all batches.

    Returns:
        The mean over the last fifth of training. With the defaults, mean and deviation are within 0.03 of
        `fit_gaussian` on the f-GAN paper's mixture for every smooth divergence, and the estimate within 0.025.

    Raises:
        UsageError: An unknown divergence, or one that is not smooth: its optimal scores are infinite, so that the
            critic saturates and the generator gets no gradient.
        NumericError: Training diverged.

    Cost: Some 2 s on one thread.

    Source: Nowozin, Cseke and Tomioka (2016), sections 2.4 and 3.2 and table 2; Arjovsky and Bottou (2017), theorem
        2.5, for the gradient of -log D.
    """
    row = as_divergence(kind)
    if row.curvature is None:
        raise UsageError(
            f"the optimal critic of {row.word} is infinite wherever the densities differ: it saturates, and the "
            "generator gets no gradient",
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
        state = torch.stack([bias.detach().reshape(()), weight.detach().reshape(()).abs(), step.estimate])
        history.append(state.double())
    mean, deviation, estimate = torch.stack(history[-max(1, len(history) // _LAST) :]).mean(dim=0).tolist()
    if not all(map(math.isfinite, (mean, deviation, estimate))):
        raise NumericError(f"the f-GAN of {row.word} diverged", remedy="Try another seed, or fit_gaussian.")
    return FGANFit(divergence=row.word, mean=mean, deviation=deviation, estimate=estimate)


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
