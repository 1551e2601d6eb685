"""Draw samples block by block, so that a smaller number of samples is the beginning of a larger one."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor

from wgan.batch import Batch, Layout
from wgan.data.conditions import Conditions
from wgan.data.source import Codec
from wgan.errors import UsageError
from wgan.randomness import Randomness
from wgan.system.threads import set_own_threads
from wgan.training.game import Game, Prior

_ENTRIES = 1 << 20
_LEAST, _MOST = 64, 8192


class Decoding(Protocol):
    """What decodes a run's samples: its data, or what the run keeps of it."""

    @property
    def codec(self) -> Codec:
        """Decodes what the networks generate."""
        ...

    @property
    def conditions(self) -> Conditions | None:
        """The conditions; None for an unconditional run."""
        ...


def block_size(layout: Layout) -> int:
    """Samples in a block: a power of two, about a million entries, the same on every machine."""
    return min(_MOST, max(_LEAST, 1 << max(0, (_ENTRIES // layout.size).bit_length() - 1)))


def draw_blocks(
    draw: Callable[[Tensor, Tensor | None], Tensor],
    prior: Prior,
    layout: Layout,
    *,
    num: int,
    seed: int,
    purpose: str,
    conditions: Conditions | None = None,
    num_workers: int = 1,
    noise: Tensor | None = None,
) -> Iterator[Batch]:
    """Draw samples in blocks of bounded memory.

    The noise and the conditions of a block depend on the seed, the purpose and the block's number alone. Whole blocks
    are drawn even if fewer samples are needed, so that rounding does not depend on `num` either.

    Args:
        draw: From noise (N, latent_dim) and conditions (N, C) or None to samples (N, *layout.shape).
        prior: The noise.
        layout: Of a sample.
        num: How many.
        seed: Of the noise.
        purpose: Names the random stream.
        conditions: Of the samples; None for an unconditional generator.
        num_workers: Threads that draw blocks in parallel; with several, `draw` must be thread-safe.
        noise: Shape (num, latent_dim); None for that of the seed.

    Returns:
        Blocks of samples (B, *layout.shape) with their conditions, `num` in all.
    """
    size, streams = block_size(layout), Randomness(seed)

    def block(number: int) -> Batch:
        drawn, left = prior.sample(size, streams.at(purpose, number)), num - number * size
        if noise is not None:
            drawn = _whole(noise[number * size : (number + 1) * size], size)
        if conditions is None:
            return Batch(draw(drawn, None)[:left])
        asked = conditions.draw(size, streams.at(f"conditions for {purpose}", number))
        return Batch(draw(drawn, asked)[:left], asked[:left])

    return _in_order(block, -(-num // size), num_workers)


def _whole(rows: Tensor, size: int) -> Tensor:
    """Rows, padded to a whole block with copies of the first."""
    return torch.cat([rows, rows[:1].expand(size - len(rows), -1)])


def _in_order(block: Callable[[int], Batch], count: int, num_workers: int) -> Iterator[Batch]:
    """Blocks 0 to count - 1, drawn on `num_workers` threads, at most one for each thread ahead of the consumer."""
    if min(count, num_workers) <= 1:
        yield from map(block, range(count))
        return
    waiting: deque[Future[Batch]] = deque()
    # Workers share nothing and never wait for one another, unlike the threads of one operation.
    pool = ThreadPoolExecutor(min(count, num_workers), initializer=set_own_threads, initargs=(1,))
    try:
        for number in range(count):
            waiting.append(pool.submit(block, number))
            if len(waiting) > num_workers:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        pool.shutdown(cancel_futures=True)


def draw_all(
    draw: Callable[[Tensor, Tensor | None], Tensor],
    prior: Prior,
    layout: Layout,
    *,
    num: int,
    seed: int,
    purpose: str,
    conditions: Conditions | None = None,
) -> Batch:
    """All samples of `draw_blocks` at once."""
    blocks = list(draw_blocks(draw, prior, layout, num=num, seed=seed, purpose=purpose, conditions=conditions))
    given = [block.condition for block in blocks if block.condition is not None]
    return Batch(torch.cat([block.values for block in blocks]), torch.cat(given) if given else None)


def drawn(game: Game, source: Decoding, num: int, purpose: str) -> Batch:
    """Samples of a run, under conditions as they occur in the data."""
    return draw_all(
        game.draw,
        game.prior,
        source.codec.layout,
        num=num,
        seed=game.seed,
        purpose=purpose,
        conditions=source.conditions,
    )


def draw_for(
    draw: Callable[[Tensor, Tensor | None], Tensor],
    prior: Prior,
    layout: Layout,
    condition: Tensor,
    *,
    seed: int,
    purpose: str,
    noise: Tensor | None = None,
) -> Tensor:
    """A sample for each condition, shape (N, *layout.shape), drawn in whole blocks as by `draw_blocks`."""
    size, streams = block_size(layout), Randomness(seed)
    samples = []
    for block, part in enumerate(condition.split(size)):  # type: ignore[no-untyped-call]
        drawn = prior.sample(size, streams.at(purpose, block))
        if noise is not None:
            drawn = _whole(noise[block * size : (block + 1) * size], size)
        samples.append(draw(drawn, _whole(part, size))[: len(part)])
    return torch.cat(samples)


def given_noise(noise: Any, size: int) -> Tensor:  # noqa: ANN401 - an array or tensor
    """Check and convert the noise that a caller passes.

    Args:
        noise: An array or tensor of real numbers, shape (N, size).
        size: Dimensions of the noise.

    Returns:
        Shape (N, size), float32, on the CPU.

    Raises:
        UsageError: A wrong shape, complex numbers or other types, no rows, or values that are not finite in float32.
    """
    wanted = f"noise must be an array or tensor of real numbers of shape (n, {size})"
    if isinstance(noise, Tensor):
        if noise.device.type == "meta":
            raise UsageError(f"{wanted}, not one on the device meta, without values")
        is_real = not noise.is_complex() and noise.dtype != torch.bool
        dtype, shape = str(noise.dtype).removeprefix("torch."), tuple(noise.shape)
    else:
        try:
            noise = np.asarray(noise)
        except ValueError as error:
            raise UsageError(f"{wanted}: {error}") from None
        is_real, dtype, shape = noise.dtype.kind in "fiu", str(noise.dtype), noise.shape
    if not is_real:
        raise UsageError(f"{wanted}, not of dtype {dtype}")
    if len(shape) != 2 or shape[1] != size or not shape[0]:
        one = shape == (size,)
        raise UsageError(f"{wanted}, not {shape}", remedy="For one sample: noise.reshape(1, -1)." if one else "")
    if isinstance(noise, Tensor):
        rows = noise.detach().to("cpu", torch.float32)
    else:
        with np.errstate(over="ignore"):
            rows = torch.from_numpy(np.array(noise, dtype=np.float32, order="C", copy=True))
    if not bool(rows.isfinite().all()):
        row = int((~rows.isfinite()).any(dim=1).nonzero()[0, 0])
        raise UsageError(f"noise holds NaN, infinite or too large values for float32, the first in row {row}")
    return rows
