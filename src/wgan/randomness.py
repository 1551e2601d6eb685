"""Counter-based randomness: what is drawn depends on (seed, purpose, counters) and on nothing else.

A run that resumes at step k therefore needs one integer, k, to draw what it would have drawn without the stop; and what
one part of the program draws never moves what another part draws.
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
        """The stream of one purpose at one place, on the CPU whatever the device, so that devices draw alike.

        Args:
            purpose: What is drawn, such as "real" or "noise".
            counters: Where in the run, such as the generator step and the critic step within it.

        Returns:
            A fresh generator in its initial state.
        """
        return torch.Generator().manual_seed(self.key(purpose, *counters))

    @contextmanager
    def as_global(self, purpose: str) -> Iterator[None]:
        """Put one stream in the place of PyTorch's global generator within the block, for this thread alone.

        Initial weights are drawn from it. The global generator is neither used nor changed, and the numbers are those
        that it would give under the stream's seed.

        Args:
            purpose: What is drawn.
        """
        with building(self.at(purpose)):
            yield
