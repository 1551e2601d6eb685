"""Sampling from a generator: rows per second, drawn and decoded block by block."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from bench import plain
from bench.contenders import CHOSEN, JAX, PLAIN, Contender, images
from bench.operations import layer_flops, weights_of
from bench.rounds import Options, Work, has_jax, measure
from bench.table import Row
from bench.training import engine_text
from wgan.data import open_data
from wgan.runs.trained import Trained
from wgan.settings import DataOptions, Settings
from wgan.training.factory import build_game

_TURNS = 10
_QUICK = 20


@dataclass(frozen=True, kw_only=True)
class Sampling:
    """A generator to sample from. It has its initial parameters, since their values have no influence on the time.

    Attributes:
        line: Its description in the table.
        settings: Settings of a run with this generator.
        data: The argument of `open_data`.
        plain: Builds the same generator in plain torch.
        latent_dim: Dimensions of its noise.
        block: Rows that the plain loop draws at once.
        decode: From the generator's output to data as the user has them.
        rows: Rows that the reported time refers to. One turn draws a tenth of them.
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
    """Build a contender of a sampling case in this process."""
    return _plain(SAMPLING[work]) if name == PLAIN else _ours(SAMPLING[work])


def rows(work: str, options: Options) -> list[Row]:
    """Measure one sampling case."""
    sampling = SAMPLING[work]
    threads = options.threads or _trained(sampling).game.engine.threads
    size = sampling.rows // _TURNS // (_QUICK if options.quick else 1)
    line = f"{sampling.line}, {size:,} per turn"
    names = [PLAIN, CHOSEN, *([JAX] if has_jax() and not options.quick else [])]
    piece = Work(name=work, line=line, size=size, units=sampling.rows, threads=threads, per_second=True)
    return measure(piece, names, options)


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
        how=engine_text(replace(game.engine, compiled=False)),
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
