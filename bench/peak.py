"""The machine's peak rate of matrix products: an upper bound for every network."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator

import torch
from torch.nn import functional

_SIZES = (256, 512, 1_024)
_SECONDS = 0.1
_TYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16}


class Peak:
    """The rate of square matrix products, of the size and with the library that are fastest on this machine.

    torch multiplies float32 matrices with MKL where it was built with it. MKL can run at half the rate on processors of
    other makers, so that oneDNN is tried too.

    Args:
        precision: float32 or bfloat16.
        threads: CPU threads.

    Attributes:
        rates: Operations per second, one number for each turn.
    """

    def __init__(self, precision: str, threads: int) -> None:
        self.rates: list[float] = []
        self._threads = threads
        ways = [way for size in _SIZES for way in _ways(size, _TYPES[precision])]
        self._best = max(ways, key=self._rate)

    def turn(self) -> None:
        """Measure once and append the result to `rates`."""
        self.rates.append(self._rate(self._best))

    def _rate(self, way: tuple[float, Callable[[], object]]) -> float:
        operations, product = way
        with _limited(self._threads):
            product()
            # The fastest of many, so that other processes do not lower the peak.
            best, until = float("inf"), time.perf_counter() + _SECONDS
            while time.perf_counter() < until:
                start = time.perf_counter()
                product()
                best = min(best, time.perf_counter() - start)
        return operations / best


def _ways(size: int, kind: torch.dtype) -> Iterator[tuple[float, Callable[[], object]]]:
    """Pairs of a product's number of operations and the function that computes it."""
    x = torch.ones(size, size, dtype=kind)
    out = torch.empty_like(x)
    yield 2.0 * size**3, lambda: torch.mm(x, x, out=out)
    if kind == torch.float32 and torch.backends.mkldnn.is_available():  # type: ignore[no-untyped-call]
        y = x.to_mkldnn()
        yield 2.0 * size**3, lambda: functional.linear(y, y)


@contextlib.contextmanager
def _limited(threads: int) -> Iterator[None]:
    """Limit torch's CPU threads within the block."""
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        yield
    finally:
        torch.set_num_threads(before)
