"""The CPU threads of PyTorch's operations, and who multiplies matrices, without an effect on other threads.

PyTorch keeps the number of threads of an operation for each thread that calls operations, and beside it a number that
new threads begin with. Only the first is changed here. Who multiplies is the whole process's choice: threads that want
it otherwise take turns.
"""

from __future__ import annotations

import contextlib
import ctypes
import functools
import os
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import torch


@contextlib.contextmanager
def on_threads(num: int, *, onednn: bool = False) -> Iterator[None]:
    """Run the operations of this thread on so many CPU threads within the block; other threads keep their number.

    Products of float32 matrices are exact to float32 within it, whatever the process permits.

    Args:
        num: Threads; 0 for the number that there is.
        onednn: Whether oneDNN multiplies, in place of what PyTorch asks by itself.
    """
    before = torch.get_num_threads()
    with PRODUCTS.by(onednn=onednn):
        if num in (0, before):
            yield
            return
        set_own_threads(num)
        try:
            yield
        finally:
            set_own_threads(before)


def set_own_threads(num: int) -> None:
    """Set the number of CPU threads for the operations of this thread alone."""
    # A thread's first look gives it the process's number: after that it would be lost.
    torch.get_num_threads()
    _setter()(num)


@functools.cache
def _setter() -> Callable[[int], None]:
    """A function that sets the number of threads of the thread that calls it."""
    direct = _direct_setter()
    if direct is not None:
        return direct
    other = ThreadPoolExecutor(1, thread_name_prefix="threads")

    def by_another_thread(num: int) -> None:
        usual = _number_of_new_threads()
        torch.set_num_threads(num)
        # This has changed the process's number too, which any thread can put back.
        other.submit(torch.set_num_threads, usual).result()

    return by_another_thread


def _number_of_new_threads() -> int:
    """The number of threads that a new thread of this process begins with."""
    with ThreadPoolExecutor(1) as fresh:
        return fresh.submit(torch.get_num_threads).result()


def _direct_setter() -> Callable[[int], None] | None:
    """What PyTorch itself calls for a thread of its own: OpenMP and MKL. None where they cannot be reached or seen."""
    folder = Path(torch.__file__).parent / "lib"
    for name in ("libtorch_cpu.so", "libtorch_cpu.dylib"):
        try:
            library = ctypes.CDLL(str(folder / name))
            openmp = library.omp_set_num_threads
            mkl = library.MKL_Set_Num_Threads_Local if torch.backends.mkl.is_available() else None  # type: ignore[no-untyped-call]
        except (OSError, AttributeError):
            continue

        def direct(num: int, openmp: Any = openmp, mkl: Any = mkl) -> None:  # noqa: ANN401 - C functions
            openmp(num)
            if mkl is not None:
                mkl(num)

        return direct if _is_seen(direct) else None
    return None


def _is_seen(direct: Callable[[int], None]) -> bool:
    """Whether PyTorch takes notice of a number that was set directly: tried in a thread that ends with it."""
    seen: list[int] = []

    def attempt() -> None:
        wanted = torch.get_num_threads() + 1
        direct(wanted)
        seen.append(torch.get_num_threads() - wanted)

    thread = threading.Thread(target=attempt)
    thread.start()
    thread.join()
    return seen == [0]


class _Products:
    """Who multiplies float32 matrices on the CPU. PyTorch asks the whole process, so threads that differ take turns.

    Threads that want the same mode enter together. They enter in the order in which they asked, so that none waits for
    ever.
    """

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._waiting: list[object] = []
        self._num_inside, self._by_onednn = 0, False
        self._before: tuple[str, str] | None = None
        self._own = threading.local()

    @contextlib.contextmanager
    def by(self, onednn: bool) -> Iterator[None]:
        """Multiply by oneDNN within the block, or as PyTorch does by itself; within another block, as that one says."""
        if getattr(self._own, "inside", False):
            yield
            return
        self._enter(onednn)
        self._own.inside = True
        try:
            yield
        finally:
            self._own.inside = False
            self._leave()

    def _enter(self, onednn: bool) -> None:
        with self._changed:
            if self._waiting or (self._num_inside and self._by_onednn != onednn):
                self._wait(onednn)
            if not self._num_inside:
                self._by_onednn = onednn
                self._set(onednn)
            self._num_inside += 1

    def _wait(self, onednn: bool) -> None:
        """Wait for the end of all blocks of the other mode, behind those who wait already."""
        place = object()
        self._waiting.append(place)
        try:
            self._changed.wait_for(
                lambda: self._waiting[0] is place and (not self._num_inside or self._by_onednn == onednn)
            )
        finally:
            self._waiting.remove(place)
            self._changed.notify_all()

    def _leave(self) -> None:
        with self._changed:
            # A process forked within a block leaves it without having entered.
            self._num_inside = max(0, self._num_inside - 1)
            if not self._num_inside:
                if self._before is not None:
                    matmul, conv = _kinds()
                    matmul.fp32_precision, conv.fp32_precision = self._before
                    self._before = None
                self._changed.notify_all()

    def _set(self, onednn: bool) -> None:
        """Change what is not as it is wanted, and keep what it was."""
        matmul, conv = _kinds()
        before = (matmul.fp32_precision, conv.fp32_precision)
        # PyTorch asks oneDNN for float32 products where it permits another precision.
        if onednn or not set(before) <= _FULL:
            self._before = before
            matmul.fp32_precision, conv.fp32_precision = "bf16" if onednn else "ieee", "ieee"


_FULL = {"none", "ieee"}
"""Words for float32 as it is, unless an inherited one says otherwise: none is given back where one does."""


def _kinds() -> tuple[Any, Any]:
    backend: Any = torch.backends.mkldnn
    return backend.matmul, backend.conv


PRODUCTS = _Products()
"""Of this process."""

# The threads that are inside or wait at a fork are not in the child.
os.register_at_fork(after_in_child=PRODUCTS.__init__)  # type: ignore[misc]
