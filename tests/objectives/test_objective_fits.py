"""A one-dimensional Gaussian fitted to a mixture by each divergence, as in table 2 of the f-GAN paper.

Direct minimisation integrates q f(p/q) on a grid; the game never sees that integral, only its players' losses.
"""

from __future__ import annotations

import functools
import itertools
import math

import pytest
import torch
from scipy.optimize import minimize

from wgan.batch import Batch
from wgan.data.points import PointsCodec
from wgan.divergences import DIVERGENCES, as_divergence
from wgan.objectives import FGAN, GAN, OBJECTIVES
from wgan.runs.setups import build_setup
from wgan.settings import Settings
from wgan.training.loop import train

# Weights, means and standard deviations of the data. With the broad component all integrals converge.
MIXTURE = ((0.5, -1.2, 0.5), (0.25, 1.4, 0.6), (0.25, 0.3, 1.5))
APART = ((0.5, -2.0, 0.4), (0.5, 2.0, 0.4))
GRID = torch.linspace(-14, 14, 6001, dtype=torch.float64)

Shape = tuple[tuple[float, float, float], ...]


def log_normal(x: torch.Tensor, mean: torch.Tensor | float, deviation: torch.Tensor | float) -> torch.Tensor:
    deviation = torch.as_tensor(deviation, dtype=torch.float64)
    return -0.5 * ((x - mean) / deviation).square() - deviation.log() - 0.5 * math.log(2 * math.pi)


def log_p(x: torch.Tensor, mixture: Shape) -> torch.Tensor:
    return torch.stack([math.log(a) + log_normal(x, m, s) for a, m, s in mixture]).logsumexp(dim=0)


@functools.cache
def direct(words: tuple[tuple[float, str], ...], mixture: Shape, start: tuple[float, float]) -> tuple[float, float]:
    """Mean and deviation of the Gaussian that minimises a weighted sum of divergences."""

    def integral(theta: list[float]) -> float:
        lq = log_normal(GRID, theta[0], math.exp(theta[1]))
        ratio = (log_p(GRID, mixture) - lq).clamp(max=700).exp()
        total = sum(factor * (lq.exp() * as_divergence(word).f(ratio)) for factor, word in words)
        return float(torch.trapezoid(total.nan_to_num(0.0), GRID))

    found = minimize(integral, [start[0], math.log(start[1])], method="Nelder-Mead", options={"xatol": 1e-6})
    return float(found.x[0]), math.exp(found.x[1])


def train_against_the_best_critic(objective: FGAN | GAN, mixture: Shape, start: tuple[float, float]) -> list[float]:
    """Minimise the generator's loss in mean and log deviation, with the critic log p/q, constant in each step."""
    noise = torch.distributions.Normal(0.0, 1.0).icdf((torch.arange(4000, dtype=torch.float64) + 0.5) / 4000)
    theta = torch.tensor([start[0], math.log(start[1])], dtype=torch.float64, requires_grad=True)
    optimiser = torch.optim.Adam([theta], lr=0.05)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, 400)
    for _ in range(400):
        fake = theta[0] + theta[1].exp() * noise
        mean, deviation = theta[0].detach(), theta[1].detach().exp()
        optimiser.zero_grad()
        objective.generator_loss(log_p(fake, mixture) - log_normal(fake, mean, deviation)).backward()
        optimiser.step()
        schedule.step()
    return [theta[0].item(), theta[1].exp().item()]


# The best critic of total variation is a step function without a gradient, and a learned one saturates.
SMOOTH = [word for word in DIVERGENCES if word != "total_variation"]


@pytest.mark.parametrize("word", [*SMOOTH, "weighted_jensen_shannon:pi=0.2"])
def test_against_the_optimal_critic_the_generator_reaches_the_direct_minimum(word):
    start = (0.3, 1.0)
    found = train_against_the_best_critic(FGAN(divergence=word, generator="minimax", score="log-ratio"), MIXTURE, start)
    assert found == pytest.approx(direct(((1.0, word),), MIXTURE, start), abs=0.005)


def test_the_fits_by_different_divergences_differ():
    """Otherwise the test above would be weak."""
    means = sorted(direct(((1.0, word),), MIXTURE, (0.3, 1.0))[0] for word in SMOOTH)
    assert means[-1] - means[0] > 0.3
    # jensen_shannon, weighted and gan are one divergence up to a factor, as are squared_hellinger and alpha.
    assert sum(after - before > 0.01 for before, after in itertools.pairwise(means)) >= 4


@pytest.mark.parametrize(
    ("objective", "minimised"),
    [
        (GAN(generator="minimax"), ((1.0, "jensen_shannon"),)),
        # Arjovsky and Bottou (2017), theorem 2.5: the minimum of the -log D loss; JS includes its factors ½.
        (GAN(), ((1.0, "reverse_kl"), (-1.0, "jensen_shannon"))),
        # With T = 1 + log p/q, maximising E T(fake) minimises the reverse divergence.
        (FGAN(divergence="kl", score="log-ratio"), ((1.0, "reverse_kl"),)),
    ],
)
def test_generator_losses_minimise_their_divergence(objective, minimised):
    start = (0.3, 1.0)
    found = train_against_the_best_critic(objective, MIXTURE, start)
    assert found == pytest.approx(direct(minimised, MIXTURE, start), abs=0.005)


def test_forward_kl_covers_both_modes_and_reverse_kl_seeks_one():
    forward = train_against_the_best_critic(
        FGAN(divergence="kl", generator="minimax", score="log-ratio"), APART, (1.0, 1.0)
    )
    reverse = train_against_the_best_critic(
        FGAN(divergence="reverse_kl", generator="minimax", score="log-ratio"), APART, (1.0, 1.0)
    )
    assert forward == pytest.approx([0.0, math.sqrt(4 + 0.16)], abs=0.02)
    assert reverse == pytest.approx([2.0, 0.4], abs=0.02)


class Mixed:
    """Draws from the mixture."""

    conditions = None
    codec = PointsCodec.identity(1)

    def sample(self, size: int, rng: torch.Generator) -> Batch:
        shares, means, deviations = torch.tensor(MIXTURE).T
        chosen = torch.multinomial(shares, size, replacement=True, generator=rng)
        return Batch((means[chosen] + deviations[chosen] * torch.randn(size, generator=rng))[:, None])


@pytest.mark.slow
@pytest.mark.parametrize(
    "objective",
    [*(f"fgan:generator=minimax,divergence={word}" for word in SMOOTH), "gan:generator=minimax"],
)
def test_training_with_a_learned_critic_reaches_the_same_fit(objective):
    """Training itself, with an affine generator of normal noise, which is a Gaussian, and a small critic."""
    settings = Settings(
        objective=objective, constraint="none", generator="mlp:depth=0", critic="mlp:width=48,depth=2,activation=tanh",
        generator_optimizer="adam:lr=0.004,beta1=0.5", critic_optimizer="adam:lr=0.004,beta1=0.5,beta2=0.99",
        latent_dim=1, batch_size=1024, critic_steps=4, steps=1500, lr_schedule="linear", threads=1, device="cpu",
    )  # fmt: skip
    setup = build_setup(settings, Mixed())
    layer = setup.game.generator.body[0]
    with torch.no_grad():
        layer.weight.fill_(1.0)
        layer.bias.fill_(0.3)
    for _ in train(setup):
        pass
    word = "jensen_shannon" if objective.startswith("gan") else objective.rpartition("=")[2]
    expected = direct(((1.0, word),), MIXTURE, (0.3, 1.0))
    assert [layer.bias.item(), abs(layer.weight.item())] == pytest.approx(expected, abs=0.08)
    assert OBJECTIVES.build(objective).unit
