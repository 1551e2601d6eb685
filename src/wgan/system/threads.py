"""The number of CPU threads of PyTorch's operations, and the library that multiplies matrices.

PyTorch keeps a number of threads for each Python thread, and a default for new threads. Only the first is changed here.
The library that multiplies matrices is a setting of the whole process; Python threads that need another one take turns.
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
    """Run the operations of this Python thread on `num` CPU threads within the block; other threads keep their number.

    Float32 matrices are multiplied in full float32 precision within it, even if the process permits less.

    Args:
        num: CPU threads; 0 leaves the number as it is.
        onednn: Whether oneDNN multiplies matrices, in place of PyTorch's default.
    """
    before = torch.get_num_threads()
    with MATMUL_LIBRARY.use(onednn=onednn):
        if num in (0, before):
            yield
            return
        set_own_threads(num)
        try:
            yield
        finally:
            set_own_threads(before)


def set_own_threads(num: int) -> None:
    """Set the number of CPU threads for the operations of this Python thread alone."""
    # The first call in a thread sets its number to the default: it would overwrite ours later.
    torch.get_num_threads()
    _setter()(num)


@functools.cache
def _setter() -> Callable[[int], None]:
    """A function that sets the number of CPU threads of the Python thread that calls it."""
    direct = _direct_setter()
    if direct is not None:
        return direct
    other = ThreadPoolExecutor(1, thread_name_prefix="threads")

    def by_another_thread(num: int) -> None:
        usual = _number_of_new_threads()
        torch.set_num_threads(num)
        # This changes the default too; another thread puts it back.
        other.submit(torch.set_num_threads, usual).result()

    return by_another_thread


def _number_of_new_threads() -> int:
    """The number of CPU threads that a new Python thread begins with."""
    with ThreadPoolExecutor(1) as fresh:
        return fresh.submit(torch.get_num_threads).result()


def _direct_setter() -> Callable[[int], None] | None:
    """Set OpenMP and MKL directly, as PyTorch does; None if they cannot be reached or PyTorch ignores them."""
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
    """Whether PyTorch uses a number that was set directly; tried in a separate thread."""
    seen: list[int] = []

    def attempt() -> None:
        wanted = torch.get_num_threads() + 1
        direct(wanted)
        seen.append(torch.get_num_threads() - wanted)

    thread = threading.Thread(target=attempt)
    thread.start()
    thread.join()
    return seen == [0]


class _MatmulLibrary:
    """The library that multiplies float32 matrices on the CPU: oneDNN, or PyTorch's default.

    It is a setting of the whole process. Threads that want the same library run together, others wait for them to end.
    Threads enter in the order in which they came, so that none waits for ever.
    """

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._waiting: list[object] = []
        self._num_inside, self._by_onednn = 0, False
        self._before: tuple[str, str] | None = None
        self._own = threading.local()

    @contextlib.contextmanager
    def use(self, onednn: bool) -> Iterator[None]:
        """Multiply by oneDNN within the block, or by PyTorch's default; a block within a block changes nothing."""
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
        """Wait for the end of all blocks that use the other library, behind the threads that wait already."""
        ticket = object()
        self._waiting.append(ticket)
        try:
            self._changed.wait_for(
                lambda: self._waiting[0] is ticket and (not self._num_inside or self._by_onednn == onednn)
            )
        finally:
            self._waiting.remove(ticket)
            self._changed.notify_all()

    def _leave(self) -> None:
        with self._changed:
            # A process that was forked within a block leaves it without having entered.
            self._num_inside = max(0, self._num_inside - 1)
            if not self._num_inside:
                if self._before is not None:
                    matmul, conv = _backends()
                    matmul.fp32_precision, conv.fp32_precision = self._before
                    self._before = None
                self._changed.notify_all()

    def _set(self, onednn: bool) -> None:
        """Change the precision if necessary, and keep what it was."""
        matmul, conv = _backends()
        before = (matmul.fp32_precision, conv.fp32_precision)
        # PyTorch uses oneDNN for float32 matrices if a lower precision is permitted.
        if onednn or not set(before) <= _FULL:
            self._before = before
            matmul.fp32_precision, conv.fp32_precision = "bf16" if onednn else "ieee", "ieee"


_FULL = {"none", "ieee"}
"""Values that mean full float32 precision. "none" inherits; PyTorch reports another value if it inherits one."""


def _backends() -> tuple[Any, Any]:
    backend: Any = torch.backends.mkldnn
    return backend.matmul, backend.conv


MATMUL_LIBRARY = _MatmulLibrary()
"""The library that this process uses. It is one for all threads, so there is only this instance."""

# A forked child has none of the threads that were inside or waiting.
os.register_at_fork(after_in_child=MATMUL_LIBRARY.__init__)  # type: ignore[misc]
