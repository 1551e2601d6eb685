"""Counter-based randomness: what is drawn depends on (seed, purpose, counters) and on nothing else.

A run that resumes at step k therefore needs only the integer k to continue all random streams, and one part of the
program never changes what another part draws.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch

from wgan.system.torch_state import building


@dataclass(frozen=True)
class Randomness:
    """A family of independent random streams under one seed.

    Attributes:
        seed: Any integer.

    Example:
        >>> streams = Randomness(0)
        >>> first = torch.rand(2, generator=streams.at("noise", 7))
        >>> again = torch.rand(2, generator=streams.at("noise", 7))
        >>> bool((first == again).all())
        True
    """

    seed: int

    def key(self, purpose: str, *counters: int) -> int:
        """The 63-bit seed of one stream."""
        text = "|".join((str(self.seed), purpose, *map(str, counters)))
        return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "little") >> 1

    def at(self, purpose: str, *counters: int) -> torch.Generator:
        """The stream of one purpose at one position, always on the CPU, so that all devices draw the same numbers.

        Args:
            purpose: What is drawn, such as "real" or "noise".
            counters: Where in the run, such as the generator step and the critic step within it.

        Returns:
            A fresh generator in its initial state.
        """
        return torch.Generator().manual_seed(self.key(purpose, *counters))

    @contextmanager
    def as_global(self, purpose: str) -> Iterator[None]:
        """Replace PyTorch's global generator by one stream within the block, in this thread only.

        Initial weights are drawn in this way. The global generator is neither used nor changed; the numbers are those
        that it would give with the stream's seed.

        Args:
            purpose: What is drawn.
        """
        with building(self.at(purpose)):
            yield
