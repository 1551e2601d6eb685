"""How updates are computed: device, precision, memory layout, threads, and whether they are compiled."""

from __future__ import annotations

import contextlib
import functools
import os
import shutil
import sys
import sysconfig
import threading
import types
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor, nn

from wgan.batch import Batch
from wgan.errors import UsageError, WganWarning
from wgan.system.threads import MATMUL_LIBRARY, on_threads

Precision = Literal["float32", "bfloat16"]


class EngineWarning(WganWarning):
    """Updates are not computed as they were to be."""


@dataclass(frozen=True, kw_only=True)
class Engine:
    """Where and how networks are evaluated. Results depend on it only by rounding.

    Equal engines on the same CPU machine round equally. On CUDA, with its default settings, they may not.

    Attributes:
        device: The device of parameters and batches.
        precision: Of matrix products and convolutions; parameters, losses and optimisers are always float32.
        channels_last: Whether images and filters are stored with their channels innermost.
        threads: CPU threads, or 0 for the process's number.
        compiled: Whether each player's update is compiled as a whole, or run operation by operation.
        onednn: Whether a CPU multiplies float32 matrices by oneDNN instead of PyTorch's default library.
        why: The reason for `compiled`, in a few words, if it was chosen automatically.
    """

    device: torch.device = field(default_factory=lambda: torch.device("cpu"))
    precision: Precision = "float32"
    channels_last: bool = False
    threads: int = 0
    compiled: bool = False
    onednn: bool = False
    why: str = field(default="", compare=False)

    def place(self, network: nn.Module) -> nn.Module:
        """Move a network to the device and into the memory layout, in place."""
        network.to(self.device)
        if self.channels_last:
            network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        return network

    def to_device(self, values: Tensor) -> Tensor:
        """Values on the device and in the memory layout."""
        values = values.to(self.device, non_blocking=True)
        if self.channels_last and values.dim() == 4:
            values = values.contiguous(memory_format=torch.channels_last)
        return values

    def batch_to_device(self, batch: Batch) -> Batch:
        """A batch on the device and in the memory layout."""
        return Batch(self.to_device(batch.values), None if batch.condition is None else self.to_device(batch.condition))

    def arithmetic(self) -> AbstractContextManager[object]:
        """The context in which networks are evaluated."""
        if self.precision == "float32":
            return contextlib.nullcontext()
        return torch.autocast(self.device.type, torch.bfloat16)

    @contextlib.contextmanager
    def limits(self) -> Iterator[None]:
        """Set CPU threads and the library of matrix products: results depend on both, so resuming needs the same."""
        with on_threads(self.threads, onednn=self.onednn):
            yield

    def describe(self) -> str:
        """One line for the user."""
        threads = f", {self.threads} thread{'s' if self.threads != 1 else ''}" if self.device.type == "cpu" else ""
        layout = ", channels last" if self.channels_last else ""
        updates = f"{'compiled' if self.compiled else 'eager'} updates{f' ({self.why})' if self.why else ''}"
        precision = f"{self.precision} by oneDNN" if self.onednn and self.precision == "float32" else self.precision
        return f"{self.device}, {precision}{layout}{threads}, {updates}"


def choose_engine(
    *,
    device: Literal["auto", "cpu", "cuda"],
    precision: Literal["auto", "float32", "bfloat16"],
    engine: Literal["auto", "eager", "compiled"],
    threads: int,
    convolutional: bool,
    num_weights: int,
    num_updates: int,
    compilable: bool,
) -> Engine:
    """Choose what the settings leave to "auto".

    Args:
        device: A device, or auto for a GPU if there is one.
        precision: A precision, or auto: bfloat16 on processors with instructions for it, for convolutions and for
            compiled updates.
        engine: How updates are computed, or auto: compiled on a CPU if the run is long enough to repay the compilation.
        threads: A number, or 0: one thread for small networks, where synchronisation costs more than it gains; else all
            cores.
        convolutional: Whether either player has convolutions, which compilation does not speed up.
        num_weights: Parameters of both players together.
        num_updates: Of both players, over the whole run.
        compilable: Whether these updates are known to be faster compiled, and as accurate in bfloat16.

    Raises:
        UsageError: CUDA was requested and there is no such device.
    """
    if device == "cuda" and not torch.cuda.is_available():
        raise UsageError("device cuda was requested, but this machine has no CUDA device", remedy="Use --device cpu.")
    use_cuda = device == "cuda" or (device == "auto" and torch.cuda.is_available())
    hindrance = _hindrance(convolutional, num_updates, compilable, use_cuda) if engine == "auto" else ""
    compiled = engine == "compiled" or (engine == "auto" and not hindrance)
    repaid = f"{num_updates:,} of them repay the compiling" if engine == "auto" else ""
    if precision == "auto":
        gains = convolutional or (compiled and compilable)
        precision = "bfloat16" if gains and (use_cuda or has_fast_bfloat16()) else "float32"
    return Engine(
        device=torch.device("cuda" if use_cuda else "cpu"),
        precision=precision,
        channels_last=convolutional,
        threads=threads or threads_for(num_weights),
        compiled=compiled,
        onednn=not use_cuda and num_weights >= LARGE_PRODUCTS and has_slow_float32(),
        why=hindrance or repaid,
    )


def threads_for(num_weights: int) -> int:
    """CPU threads for networks with so many parameters together: one, or all cores for large networks."""
    if num_weights < SMALL_NETWORKS:
        return 1
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _hindrance(convolutional: bool, num_updates: int, compilable: bool, use_cuda: bool) -> str:
    """Why updates had better not be compiled, in a few words; empty if they should be."""
    if convolutional:
        return "convolutions gain nothing by being compiled"
    if not compilable:
        return "only Wasserstein objectives without unrolled updates were measured to gain by compiling"
    if use_cuda:
        return "compiling was not measured on CUDA"
    if num_updates < REPAYING_UPDATES:
        return f"{num_updates:,} of them are too few to repay compiling"
    return "" if has_compiler() else "there is no C++ compiler with Python's headers to compile them with"


SMALL_NETWORKS = 300_000
"""Parameters of both players together below which one CPU thread is fastest."""


LARGE_PRODUCTS = 50_000
"""Parameters of both players together from which oneDNN's products repay its overhead for each call."""


REPAYING_UPDATES = 20_000
"""Updates of both players together from which compilation, which takes seconds, saves time."""


def has_compiler() -> bool:
    """Whether the C++ compiler that PyTorch would call and the headers of Python are installed."""
    compiler = os.environ.get("CXX", "clang++" if sys.platform == "darwin" else "g++")
    return shutil.which(compiler) is not None and Path(sysconfig.get_path("include"), "Python.h").is_file()


def has_fast_bfloat16() -> bool:
    """Whether this CPU multiplies bfloat16 matrices in hardware (AVX512-BF16 or AMX)."""
    return bool(torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported())


@functools.cache
def has_slow_float32() -> bool:
    """Whether oneDNN multiplies float32 matrices faster than PyTorch's default on this CPU, and as exactly.

    MKL, the default, has its best code for the processors of one vendor only. PyTorch calls oneDNN only if it permits
    rounding to bfloat16; a test product shows whether oneDNN makes use of this.
    """
    cpuinfo = Path("/proc/cpuinfo")
    usable = torch.backends.mkl.is_available() and torch.backends.mkldnn.is_available()  # type: ignore[no-untyped-call]
    if not usable or not cpuinfo.is_file() or "AuthenticAMD" not in cpuinfo.read_text(errors="replace"):
        return False
    x = torch.linspace(1.0, 2.0, 64 * 256, dtype=torch.float32, device="cpu").reshape(64, 256)
    exact = x.double() @ x.double().t()
    with MATMUL_LIBRARY.use(onednn=True):
        error = float(((x @ x.t()).double() / exact - 1.0).abs().max())
    return error < _ROUNDING_OF_FLOAT32


_ROUNDING_OF_FLOAT32 = 2e-6
"""Relative error of sums of positive products; with bfloat16 it is about 1e-3."""


def compile_whole(function: types.FunctionType) -> Callable[..., Any]:
    """A function of tensors that is compiled as a whole, with the gradients inside it, when it is first called.

    The compiled code is cached on disk, so that the next run on this machine starts in a fraction of the time.
    """
    import torch._dynamo.config as tracing

    # PyTorch caches compiled code by code object, eight for each at most: each game needs a separate code object.
    own = types.FunctionType(
        function.__code__.replace(), function.__globals__, function.__name__, None, function.__closure__
    )
    # Every call passes tensors of the same kinds, and guards that check this take 5 % of a small update. PyTorch's test
    # programs for vector instructions take six seconds to compile. They are skipped: the processor's instructions are
    # known, and a compiler that lacks them fails at the first real program.
    options: dict[str, Any] = {
        "cpp_wrapper": True,
        "guard_filter_fn": lambda guards: [False] * len(guards),
        "cpp.vec_isa_ok": True,
    }
    compiled = torch.compile(own, fullgraph=True, dynamic=False, options=options)

    # Gradients are compiled only if they are taken within the function; a compiled critic could not be differentiated
    # twice.
    as_whole = tracing.patch(trace_autograd_ops=True)
    called = False

    def run(*arguments: object) -> Any:  # noqa: ANN401 - whatever the function returns
        nonlocal called
        # Finding the cache directory takes a tenth of an update, and only the first call compiles.
        with as_whole, contextlib.nullcontext() if called else _compiling():
            found = compiled(*arguments)
        called = True
        return found

    return run


def compile_cache() -> Path:
    """The directory of compiled updates: below XDG_CACHE_HOME, or ~/.cache."""
    return Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser() / "wgan" / "compiled"


_CACHE_VARIABLE = "TORCHINDUCTOR_CACHE_DIR"
_LOCK = threading.RLock()


@contextlib.contextmanager
def _compiling() -> Iterator[None]:
    """One thread compiles at a time: PyTorch reads its cache directory from the process's environment."""
    with _LOCK, _cached_on_disk():
        yield


@contextlib.contextmanager
def _cached_on_disk() -> Iterator[None]:
    """Within the block PyTorch caches compiled code in `compile_cache`, unless the user names another directory."""
    from torch._inductor.runtime.cache_dir_utils import default_cache_dir

    before, directory = os.environ.get(_CACHE_VARIABLE), compile_cache()
    # PyTorch writes its default, a temporary directory, into the environment as soon as its compiler is imported. That
    # is not the user's choice.
    if before in (None, default_cache_dir()) and _is_writable(directory):
        os.environ[_CACHE_VARIABLE] = str(directory)
    try:
        yield
    finally:
        if before is None:
            os.environ.pop(_CACHE_VARIABLE, None)
        else:
            os.environ[_CACHE_VARIABLE] = before


@functools.cache
def _is_writable(folder: Path) -> bool:
    """Whether the folder can be written to; it is created if it does not exist."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError:
        return False
    return os.access(folder, os.W_OK | os.X_OK)
