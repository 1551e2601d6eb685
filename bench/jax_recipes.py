"""The timed recipes in JAX, by the names in `bench.cases` and `bench.sampling`. This module does not import torch."""

from __future__ import annotations

from collections.abc import Callable

from bench import jax_rival as rival
from bench.contenders import Contender, images
from bench.jax_rival import Recipe, Sampler


def contender(work: str, size: int) -> Contender:
    """The JAX contender of a piece of work, compiled for `size` units per turn."""
    if work in SAMPLERS:
        sampler = SAMPLERS[work]()
        return Contender(turn=sampler.turn, num_weights=(sampler.num_weights,), how="float32, jit", compiles=True)
    loop = rival.Loop(RECIPES[work](), size)
    return Contender(turn=loop.turn, num_weights=loop.num_weights, how="float32, scan in one jit", compiles=True)


def _toy(width: int) -> Recipe:
    return Recipe(
        generator=rival.mlp(2, width, 2),
        critic=rival.mlp(2, width, 1),
        real=rival.ring(256),
        batch_size=256,
        latent_dim=2,
        penalty=0.1,
        lr=1e-4,
        betas=(0.5, 0.9),
    )


def _algorithm_1(levels: int) -> Recipe:
    sides = tuple(4 * 2**level for level in range(levels + 1))
    return Recipe(
        generator=rival.dcgan_generator(100, 64, sides, 3),
        critic=rival.dcgan_critic(64, sides, 3, norm=True),
        real=rival.rows(images(3, sides[-1]), 64),
        batch_size=64,
        latent_dim=100,
        penalty=None,
        lr=5e-5,
    )


def _penalised_images() -> Recipe:
    sides = (3, 7, 14, 28)
    return Recipe(
        generator=rival.dcgan_generator(64, 32, sides, 1),
        critic=rival.dcgan_critic(32, sides, 1, norm=False),
        real=rival.rows(images(1, 28), 64),
        batch_size=64,
        latent_dim=64,
        penalty=10.0,
        lr=1e-4,
        betas=(0.0, 0.9),
    )


RECIPES: dict[str, Callable[[], Recipe]] = {
    "mlp-128": lambda: _toy(128),
    "mlp-512": lambda: _toy(512),
    "dcgan-28": _penalised_images,
    "dcgan-32": lambda: _algorithm_1(3),
    "dcgan-64": lambda: _algorithm_1(4),
}

SAMPLERS: dict[str, Callable[[], Sampler]] = {
    "sample-ring": lambda: Sampler(rival.mlp(8, 256, 2), 8, 8_192, "points"),
    "sample-fashion": lambda: Sampler(rival.dcgan_generator(64, 32, (3, 7, 14, 28), 1), 64, 1_000, "images"),
}
