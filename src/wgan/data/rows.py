"""Finite data: rows to train on, rows to judge on, and how they are drawn."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable

import torch
from torch import Tensor

from wgan.batch import Batch
from wgan.data.source import Codec

_HASHED_ROWS = 65_536


class Rows:
    """A finite set of encoded rows, split in two.

    Args:
        fetch: Row numbers, int64 of shape (n,), to encoded rows, float32 of shape (n, *layout.shape).
        train: Numbers of the rows to train on.
        held: Numbers of the rows to judge on.
    """

    def __init__(self, fetch: Callable[[Tensor], Tensor], train: Tensor, held: Tensor) -> None:
        self._fetch, self.train, self.held = fetch, train, held

    def sample(self, size: int, rng: torch.Generator) -> Batch:
        """Draw training rows independently, with replacement."""
        return Batch(self._fetch(self.train[torch.randint(len(self.train), (size,), generator=rng)]))

    def held_out(self, size: int, rng: torch.Generator) -> Tensor:
        """Draw rows that training never sees, without repetition: at most `size`."""
        return self._fetch(self.held[torch.randperm(len(self.held), generator=rng)[:size]])

    def distinct(self, size: int, rng: torch.Generator) -> Tensor:
        """Draw training rows without repetition: at most `size`."""
        return self._fetch(self.train[torch.randperm(len(self.train), generator=rng)[:size]])

    def digest(self, codec: Codec) -> str:
        """A digest of the training rows as the networks see them, and of the codec."""
        digest = hashlib.blake2b(json.dumps(codec.state(), sort_keys=True).encode(), digest_size=16)
        for part in self.train.split(_HASHED_ROWS):  # type: ignore[no-untyped-call]
            digest.update(self._fetch(part).numpy().tobytes())
        return digest.hexdigest()
