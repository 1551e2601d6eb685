"""The published recipes that are timed, each as settings of this project and as a plain loop."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Literal

import torch
from torch import Tensor

from bench import plain
from wgan.assembly import build_game, build_rules, choose_parts
from wgan.data import Source, open_data
from wgan.game import Game
from wgan.settings import DataOptions, Settings
from wgan.training import train

Precision = Literal["auto", "float32"]


@dataclass(frozen=True, kw_only=True)
class Case:
    """One recipe.

    Attributes:
        line: What it is, as the table shows it.
        settings: The recipe in the project's own words.
        data: What `open_data` takes.
        plain: Builds the plain loop.
        iterations: Iterations of one timed turn.
        convolutional: Whether the project would choose another precision than float32 by itself.
    """

    line: str
    settings: Settings
    data: Callable[[], object]
    plain: Callable[[], plain.PlainLoop]
    iterations: int
    convolutional: bool = False

    def source(self) -> Source:
        """The data, in memory."""
        return open_data(self.data(), DataOptions(), seed=0)

    def game(self, source: Source, precision: Precision) -> Game:
        """The project's game."""
        return build_game(replace(self.settings, device="cpu", precision=precision), source.codec.layout)

    def ours(self, game: Game, source: Source) -> Callable[[], None]:
        """One iteration of the project's own loop over this game."""
        parts = choose_parts(self.settings)
        steps = train(game, source, parts.objective, parts.constraint, build_rules(self.settings))

        def iterate() -> None:
            next(steps)

        return iterate


def num_weights(game: Game) -> tuple[int, int]:
    """Weights of the generator and of the critic."""
    generator, critic = (sum(weight.numel() for weight in net.parameters()) for net in (game.generator, game.critic))
    return generator, critic


def _rows(images: Tensor, size: int) -> Callable[[], Tensor]:
    return lambda: images[torch.randint(len(images), (size,))]


def _ring(size: int) -> Callable[[], Tensor]:
    angles = torch.arange(8) * (math.pi / 4)
    centres = 2.0 * torch.stack([angles.cos(), angles.sin()], dim=1)
    return lambda: (centres[torch.randint(8, (size,))] + 0.02 * torch.randn(size, 2)) / 1.414


def _images(channels: int, size: int, num: int) -> Tensor:
    """Images of the right shape: what they show takes no time, so that they are random."""
    return torch.randint(0, 256, (num, size, size, channels), generator=torch.Generator().manual_seed(0)).byte()


def _floats(images: Tensor) -> Tensor:
    return (images.permute(0, 3, 1, 2).float() / 127.5 - 1.0).contiguous()


# More steps than anyone times: the loops are stopped from outside.
_COMMON = Settings(steps=1_000_000, critic_steps=5)


def _toy(width: int, iterations: int) -> Case:
    adam = "adam:rate=0.0001,beta1=0.5,beta2=0.9"
    return Case(
        line=f"WGAN-GP, MLP 3×{width}, 2-D, batch 256",
        settings=replace(
            _COMMON,
            generator=f"mlp:width={width}",
            critic=f"mlp:width={width}",
            constraint="penalty:weight=0.1",
            generator_optimizer=adam,
            critic_optimizer=adam,
            noise_size=2,
            batch_size=256,
        ),
        data=lambda: "ring",
        plain=lambda: plain.wgan_gp(
            plain.mlp(2, width, 2),
            plain.mlp(2, width, 1),
            _ring(256),
            lambda: torch.randn(256, 2),
            weight=0.1,
            rate=1e-4,
            betas=(0.5, 0.9),
        ),
        iterations=iterations,
    )


CASES: dict[str, Case] = {
    "mlp-128": _toy(128, iterations=40),
    "mlp-512": _toy(512, iterations=10),
    "dcgan-28": Case(
        line="WGAN-GP, DCGAN 28×28×1, 32 filters, batch 64",
        settings=replace(
            _COMMON,
            generator="dcgan:filters=32",
            critic="dcgan:filters=32,norm=none",
            constraint="penalty:weight=10",
            generator_optimizer="adam:rate=0.0001,beta1=0,beta2=0.9",
            critic_optimizer="adam:rate=0.0001,beta1=0,beta2=0.9",
            noise_size=64,
            batch_size=64,
        ),
        data=lambda: _images(1, 28, 2000).numpy(),
        plain=lambda: plain.wgan_gp(
            plain.dcgan_28_generator(64, 32),
            plain.dcgan_28_critic(32),
            _rows(_floats(_images(1, 28, 2000)), 64),
            lambda: torch.randn(64, 64),
            weight=10.0,
            rate=1e-4,
            betas=(0.0, 0.9),
        ),
        iterations=5,
        convolutional=True,
    ),
    "dcgan-64": Case(
        line="WGAN, Algorithm 1, DCGAN 64×64×3, 64 filters, batch 64",
        settings=replace(
            _COMMON,
            generator="dcgan:filters=64",
            critic="dcgan:filters=64",
            constraint="clipping:bound=0.01",
            generator_optimizer="rmsprop:rate=0.00005",
            critic_optimizer="rmsprop:rate=0.00005",
            noise_size=100,
            batch_size=64,
        ),
        data=lambda: _images(3, 64, 1000).numpy(),
        plain=lambda: plain.wgan(
            plain.dcgan_64_generator(100, 64),
            plain.dcgan_64_critic(64),
            _rows(_floats(_images(3, 64, 1000)), 64),
            lambda: torch.randn(64, 100),
        ),
        iterations=1,
        convolutional=True,
    ),
}
