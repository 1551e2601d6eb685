"""Samples from trained networks: rows a second, drawn, decoded and dropped block by block."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from bench import plain
from bench.contenders import CHOSEN, JAX, PLAIN, Contender
from bench.data import images
from bench.operations import layer_flops
from bench.rounds import Options, Work, has_jax, measure
from bench.table import Row
from bench.training import in_words, weights_of
from wgan.data import open_data
from wgan.runs.trained import Trained
from wgan.settings import DataOptions, Settings
from wgan.training.factory import build_game

_TURNS = 10
_QUICK = 20


@dataclass(frozen=True, kw_only=True)
class Sampling:
    """A generator to draw from. What its weights are takes no time: they are those that a run begins with.

    Attributes:
        line: What it is, as the table shows it.
        settings: Of a run that has such a generator.
        data: What `open_data` takes.
        plain: The same generator, written plainly.
        latent_dim: Of its noise.
        block: Rows that the plain loop draws at once.
        decode: From its output to what a user wants.
        rows: How many the time is stated for; a tenth of it is one turn.
    """

    line: str
    settings: Settings
    data: Callable[[], object]
    plain: Callable[[], nn.Module]
    latent_dim: int
    block: int
    decode: Callable[[Tensor], NDArray[np.generic]]
    rows: int


def _pixels(values: Tensor) -> NDArray[np.generic]:
    pixels: NDArray[np.generic] = ((values + 1) * 127.5).round().clamp(0, 255).byte().permute(0, 2, 3, 1).numpy()
    return pixels


def _points(values: Tensor) -> NDArray[np.generic]:
    points: NDArray[np.generic] = (values * 1.414).numpy()
    return points


SAMPLING: dict[str, Sampling] = {
    "sample-ring": Sampling(
        line="sampling 10⁷ points, MLP 3×256, noise of 8",
        settings=Settings(generator="mlp:width=256", critic="mlp:width=256", latent_dim=8),
        data=lambda: "ring",
        plain=lambda: plain.mlp(8, 256, 2),
        latent_dim=8,
        block=8_192,
        decode=_points,
        rows=10_000_000,
    ),
    "sample-fashion": Sampling(
        line="sampling 10⁵ images of 28×28, DCGAN, 32 filters",
        settings=Settings(generator="dcgan:filters=32", critic="dcgan:filters=32", latent_dim=64),
        data=lambda: images(1, 28),
        plain=lambda: plain.dcgan_28_generator(64, 32),
        latent_dim=64,
        block=1_000,
        decode=_pixels,
        rows=100_000,
    ),
}


def contender(work: str, name: str) -> Contender:
    """Build the contender of a sampling case in this process."""
    return _plain(SAMPLING[work]) if name == PLAIN else _ours(SAMPLING[work])


def rows(work: str, options: Options) -> list[Row]:
    """Measure one sampling case."""
    sampling = SAMPLING[work]
    threads = options.threads or _trained(sampling).game.engine.threads
    size = sampling.rows // _TURNS // (_QUICK if options.quick else 1)
    line = f"{sampling.line}, {size:,} a turn"
    drawn = Work(name=work, line=line, size=size, units=sampling.rows, threads=threads, per_second=True)
    return measure(drawn, [PLAIN, CHOSEN, *([JAX] if has_jax() and not options.quick else [])], options)


def _trained(sampling: Sampling) -> Trained:
    settings = replace(sampling.settings, device="cpu")
    codec = open_data(sampling.data(), DataOptions(), seed=0).codec
    return Trained(settings, codec, build_game(settings, codec.layout))


def _ours(sampling: Sampling) -> Contender:
    trained = _trained(sampling)
    game = trained.game

    def turn(num: int) -> None:
        for _ in trained.generate(num):
            pass

    return Contender(
        turn=turn,
        num_weights=(weights_of(game.generator),),
        how=in_words(replace(game.engine, compiled=False)),
        precision=game.engine.precision,
    )


def _plain(sampling: Sampling) -> Contender:
    generator = sampling.plain().eval()

    @torch.no_grad()
    def turn(num: int) -> None:
        for start in range(0, num, sampling.block):
            noise = torch.randn(min(sampling.block, num - start), sampling.latent_dim)
            sampling.decode(generator(noise))

    return Contender(
        turn=turn,
        num_weights=(weights_of(generator),),
        how="float32",
        flops=lambda: sum(layer_flops(generator, torch.randn(1, sampling.latent_dim))),
    )
