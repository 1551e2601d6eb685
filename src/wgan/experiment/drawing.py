"""Draw any number of samples in blocks, so that a smaller draw is the beginning of a larger one."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import torch
from torch import Tensor

from wgan.batch import Layout
from wgan.game import Prior
from wgan.randomness import Randomness

_ENTRIES = 1 << 20
_LEAST, _MOST = 64, 8192


def block_size(layout: Layout) -> int:
    """Samples in a block: a power of two, the same on every machine, of about a million entries."""
    return min(_MOST, max(_LEAST, 1 << max(0, (_ENTRIES // layout.size).bit_length() - 1)))


def draw_blocks(
    draw: Callable[[Tensor], Tensor], prior: Prior, layout: Layout, *, num: int, seed: int, purpose: str
) -> Iterator[Tensor]:
    """Draw samples in blocks of bounded memory.

    The noise of a block depends on the seed, the purpose and the block's number alone, and whole blocks are drawn even
    where fewer samples are wanted, so that rounding does not depend on `num` either.

    Args:
        draw: From noise (N, noise_size) to samples (N, *layout.shape).
        prior: The noise.
        layout: What a sample is.
        num: How many.
        seed: Of the noise.
        purpose: What they are drawn for.

    Yields:
        Samples (B, *layout.shape), `num` in all.
    """
    size, streams = block_size(layout), Randomness(seed)
    for block in range(-(-num // size)):
        noise = prior.sample(size, streams.at(purpose, block))
        yield draw(noise)[: num - block * size]


def draw_all(
    draw: Callable[[Tensor], Tensor], prior: Prior, layout: Layout, *, num: int, seed: int, purpose: str
) -> Tensor:
    """All samples of `draw_blocks` at once, shape (num, *layout.shape)."""
    return torch.cat(list(draw_blocks(draw, prior, layout, num=num, seed=seed, purpose=purpose)))
