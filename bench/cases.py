"""The published recipes that are timed: each as settings of this package and as a plain loop.

`bench.jax_recipes` has them in JAX.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from bench import plain
from bench.contenders import images
from wgan.data import Source, open_data
from wgan.runs.setups import build_setup
from wgan.settings import DataOptions, Settings
from wgan.training.setup import Setup


@dataclass(frozen=True, kw_only=True)
class Case:
    """One recipe.

    Attributes:
        line: Its description in the table.
        settings: The recipe as settings of this package.
        data: The argument of `open_data`.
        plain: Builds the plain loop.
        iterations: Iterations of one timed turn.
    """

    line: str
    settings: Settings
    data: Callable[[], object]
    plain: Callable[[], plain.PlainLoop]
    iterations: int

    def source(self) -> Source:
        """The data, in memory."""
        return open_data(self.data(), DataOptions(), seed=0)

    def setup(self, source: Source, *, chosen: bool) -> Setup:
        """This package's networks and optimisers, with the engine that it chooses or in eager float32."""
        settings = self.settings if chosen else replace(self.settings, engine="eager", precision="float32")
        return build_setup(replace(settings, device="cpu"), source)


def _rows(images: NDArray[np.uint8], size: int) -> Callable[[], Tensor]:
    values = (torch.from_numpy(images).permute(0, 3, 1, 2).float() / 127.5 - 1.0).contiguous()
    return lambda: values[torch.randint(len(values), (size,))]


def _ring(size: int) -> Callable[[], Tensor]:
    angles = torch.arange(8) * (math.pi / 4)
    centres = 2.0 * torch.stack([angles.cos(), angles.sin()], dim=1)
    return lambda: (centres[torch.randint(8, (size,))] + 0.02 * torch.randn(size, 2)) / 1.414


# Many steps, so that the package chooses the engine of a long run. The benchmark stops the loops earlier.
_COMMON = Settings(steps=1_000_000, critic_steps=5)


def _toy(width: int, iterations: int) -> Case:
    adam = "adam:lr=0.0001,beta1=0.5,beta2=0.9"

    return Case(
        line=f"WGAN-GP, MLP 3×{width}, 2-D, batch 256",
        settings=replace(
            _COMMON,
            generator=f"mlp:width={width}",
            critic=f"mlp:width={width}",
            constraint="penalty:weight=0.1",
            generator_optimizer=adam,
            critic_optimizer=adam,
            latent_dim=2,
            batch_size=256,
        ),
        data=lambda: "ring",
        plain=lambda: plain.wgan_gp(
            plain.mlp(2, width, 2),
            plain.mlp(2, width, 1),
            _ring(256),
            lambda: torch.randn(256, 2),
            weight=0.1,
            lr=1e-4,
            betas=(0.5, 0.9),
        ),
        iterations=iterations,
    )


def _algorithm_1(levels: int, iterations: int) -> Case:
    size = 4 * 2**levels

    return Case(
        line=f"WGAN, Algorithm 1, DCGAN {size}×{size}×3, 64 filters, batch 64",
        settings=replace(
            _COMMON,
            generator="dcgan:filters=64",
            critic="dcgan:filters=64",
            constraint="clipping:bound=0.01",
            generator_optimizer="rmsprop:lr=0.00005",
            critic_optimizer="rmsprop:lr=0.00005",
            latent_dim=100,
            batch_size=64,
        ),
        data=lambda: images(3, size),
        plain=lambda: plain.wgan(
            plain.dcgan_generator(100, 64, levels),
            plain.dcgan_critic(64, levels),
            _rows(images(3, size), 64),
            lambda: torch.randn(64, 100),
        ),
        iterations=iterations,
    )


def _penalised_images() -> Case:
    adam = "adam:lr=0.0001,beta1=0,beta2=0.9"

    return Case(
        line="WGAN-GP, DCGAN 28×28×1, 32 filters, batch 64",
        settings=replace(
            _COMMON,
            generator="dcgan:filters=32",
            critic="dcgan:filters=32,norm=none",
            constraint="penalty:weight=10",
            generator_optimizer=adam,
            critic_optimizer=adam,
            latent_dim=64,
            batch_size=64,
        ),
        data=lambda: images(1, 28),
        plain=lambda: plain.wgan_gp(
            plain.dcgan_28_generator(64, 32),
            plain.dcgan_28_critic(32),
            _rows(images(1, 28), 64),
            lambda: torch.randn(64, 64),
            weight=10.0,
            lr=1e-4,
            betas=(0.0, 0.9),
        ),
        iterations=5,
    )


CASES: dict[str, Case] = {
    "mlp-128": _toy(128, iterations=40),
    "mlp-512": _toy(512, iterations=8),
    "dcgan-28": _penalised_images(),
    "dcgan-32": _algorithm_1(3, iterations=2),
    "dcgan-64": _algorithm_1(4, iterations=1),
}
