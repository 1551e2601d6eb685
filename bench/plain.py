"""Plain eager loops, written from the papers alone. They share no code with the package.

float32, one critic pass for real and one for fake samples, and PyTorch's defaults for the optimisers except for the
numbers in the papers.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor, nn


@dataclass(frozen=True)
class PlainLoop:
    """Two networks and their training iteration: 5 critic updates, then 1 generator update.

    Attributes:
        generator: Noise to samples.
        critic: Samples to scores.
        iterate: Runs one iteration.
        noise: Draws the generator's input.
        real: Draws a batch of real samples.
        penalised: Whether the critic has a gradient penalty.
    """

    generator: nn.Module
    critic: nn.Module
    iterate: Callable[[], None]
    noise: Callable[[], Tensor]
    real: Callable[[], Tensor]
    penalised: bool

    @property
    def num_weights(self) -> tuple[int, int]:
        """The number of parameters of the generator and of the critic."""
        generator, critic = (
            sum(weight.numel() for weight in net.parameters()) for net in (self.generator, self.critic)
        )
        return generator, critic


def wgan_gp(
    generator: nn.Module,
    critic: nn.Module,
    real: Callable[[], Tensor],
    noise: Callable[[], Tensor],
    *,
    weight: float,
    lr: float,
    betas: tuple[float, float],
) -> PlainLoop:
    """WGAN-GP, two-sided penalty, Adam.

    Source: Gulrajani et al. (2017), Algorithm 1.
    """
    generator_optimizer = torch.optim.Adam(generator.parameters(), lr=lr, betas=betas)
    critic_optimizer = torch.optim.Adam(critic.parameters(), lr=lr, betas=betas)

    def iterate() -> None:
        for _ in range(5):
            x = real()
            with torch.no_grad():
                fake = generator(noise())
            mix = torch.rand(len(x), *[1] * (x.dim() - 1))
            between = (mix * x + (1 - mix) * fake).requires_grad_(True)
            (gradient,) = torch.autograd.grad(critic(between).sum(), between, create_graph=True)
            penalty = ((gradient.flatten(1).norm(dim=1) - 1) ** 2).mean()
            loss = critic(fake).mean() - critic(x).mean() + weight * penalty
            critic_optimizer.zero_grad()
            loss.backward()
            critic_optimizer.step()
        loss = -critic(generator(noise())).mean()
        generator_optimizer.zero_grad()
        loss.backward()
        generator_optimizer.step()

    return PlainLoop(generator, critic, iterate, noise, real, penalised=True)


def wgan(generator: nn.Module, critic: nn.Module, real: Callable[[], Tensor], noise: Callable[[], Tensor]) -> PlainLoop:
    """WGAN with weight clipping: RMSProp 5e-5, c = 0.01.

    Source: Arjovsky, Chintala and Bottou (2017), Algorithm 1.
    """
    generator_optimizer = torch.optim.RMSprop(generator.parameters(), lr=5e-5)
    critic_optimizer = torch.optim.RMSprop(critic.parameters(), lr=5e-5)

    def iterate() -> None:
        for _ in range(5):
            x = real()
            with torch.no_grad():
                fake = generator(noise())
            loss = critic(fake).mean() - critic(x).mean()
            critic_optimizer.zero_grad()
            loss.backward()
            critic_optimizer.step()
            with torch.no_grad():
                for weight in critic.parameters():
                    weight.clamp_(-0.01, 0.01)
        loss = -critic(generator(noise())).mean()
        generator_optimizer.zero_grad()
        loss.backward()
        generator_optimizer.step()

    return PlainLoop(generator, critic, iterate, noise, real, penalised=False)


def mlp(inputs: int, width: int, outputs: int) -> nn.Module:
    """Three hidden layers with ReLU, as WGAN-GP's networks for toy data."""
    return nn.Sequential(
        nn.Linear(inputs, width),
        nn.ReLU(),
        nn.Linear(width, width),
        nn.ReLU(),
        nn.Linear(width, width),
        nn.ReLU(),
        nn.Linear(width, outputs),
    )


def dcgan_generator(latent_dim: int, filters: int, levels: int) -> nn.Module:
    """DCGAN's generator of colour images: 4 × 4, doubled `levels` times (Radford, Metz and Chintala 2016, figure 1)."""
    widths = [filters * 2**level for level in reversed(range(levels))]
    layers: list[nn.Module] = [
        nn.Unflatten(1, (latent_dim, 1, 1)),
        nn.ConvTranspose2d(latent_dim, widths[0], 4, 1, 0, bias=False),
    ]
    for inputs, outputs in pairwise(widths):
        layers += [nn.BatchNorm2d(inputs), nn.ReLU(inplace=True)]
        layers.append(nn.ConvTranspose2d(inputs, outputs, 4, 2, 1, bias=False))
    layers += [nn.BatchNorm2d(widths[-1]), nn.ReLU(inplace=True), nn.ConvTranspose2d(widths[-1], 3, 4, 2, 1), nn.Tanh()]
    return nn.Sequential(*layers)


def dcgan_critic(filters: int, levels: int) -> nn.Module:
    """The critic for `dcgan_generator`, with batch norm and without the sigmoid, as the WGAN authors use it."""
    widths = [filters * 2**level for level in range(levels)]
    layers: list[nn.Module] = [nn.Conv2d(3, widths[0], 4, 2, 1), nn.LeakyReLU(0.2, inplace=True)]
    for inputs, outputs in pairwise(widths):
        layers.append(nn.Conv2d(inputs, outputs, 4, 2, 1, bias=False))
        layers += [nn.BatchNorm2d(outputs), nn.LeakyReLU(0.2, inplace=True)]
    return nn.Sequential(*layers, nn.Conv2d(widths[-1], 1, 4, 1, 0), nn.Flatten(0))


def dcgan_28_generator(latent_dim: int, filters: int) -> nn.Module:
    """A DCGAN-like generator of 28 × 28 × 1 images: 3 → 7 → 14 → 28."""
    f = filters
    return nn.Sequential(
        nn.Linear(latent_dim, 4 * f * 9, bias=False),
        nn.Unflatten(1, (4 * f, 3, 3)),
        nn.BatchNorm2d(4 * f),
        nn.ReLU(inplace=True),
        nn.ConvTranspose2d(4 * f, 2 * f, 4, 2, 1, output_padding=1, bias=False),
        nn.BatchNorm2d(2 * f),
        nn.ReLU(inplace=True),
        nn.ConvTranspose2d(2 * f, f, 4, 2, 1, bias=False),
        nn.BatchNorm2d(f),
        nn.ReLU(inplace=True),
        nn.ConvTranspose2d(f, 1, 4, 2, 1),
        nn.Tanh(),
    )


def dcgan_28_critic(filters: int) -> nn.Module:
    """The critic for `dcgan_28_generator`, without norm, as a gradient penalty needs."""
    f = filters
    return nn.Sequential(
        nn.Conv2d(1, f, 4, 2, 1),
        nn.LeakyReLU(0.2),
        nn.Conv2d(f, 2 * f, 4, 2, 1),
        nn.LeakyReLU(0.2),
        nn.Conv2d(2 * f, 4 * f, 4, 2, 1),
        nn.LeakyReLU(0.2),
        nn.Conv2d(4 * f, 1, 3, 1, 0),
        nn.Flatten(0),
    )
