"""How a step is run: on which device, in which precision, in which memory layout, on how many threads."""

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
from wgan.system.threads import PRODUCTS, on_threads

Precision = Literal["float32", "bfloat16"]


class EngineWarning(WganWarning):
    """A step is not run as it was to be."""


@dataclass(frozen=True, kw_only=True)
class Engine:
    """Where and how networks are evaluated; nothing of what is computed depends on it but rounding.

    Equal engines on the same CPU machine round equally. CUDA is left to its own defaults, under which they may not.

    Attributes:
        device: Where weights and batches live.
        precision: Of matrix products and convolutions; weights, losses and optimisers are float32 always.
        channels_last: Whether images and filters are kept with their channels innermost.
        threads: CPU threads, or 0 to leave the process's number alone.
        compiled: Whether each player's update is compiled as a whole, or run operation by operation.
        onednn: Whether a CPU multiplies float32 matrices by oneDNN, in place of what PyTorch asks by itself.
        why: Why updates are run so, in a few words, where that was chosen and not asked for.
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

    def bring(self, values: Tensor) -> Tensor:
        """Values on the device and in the memory layout."""
        values = values.to(self.device, non_blocking=True)
        if self.channels_last and values.dim() == 4:
            values = values.contiguous(memory_format=torch.channels_last)
        return values

    def bring_batch(self, batch: Batch) -> Batch:
        """A batch on the device and in the memory layout."""
        return Batch(self.bring(batch.values), None if batch.condition is None else self.bring(batch.condition))

    def arithmetic(self) -> AbstractContextManager[object]:
        """The context in which networks are evaluated."""
        if self.precision == "float32":
            return contextlib.nullcontext()
        return torch.autocast(self.device.type, torch.bfloat16)

    @contextlib.contextmanager
    def limits(self) -> Iterator[None]:
        """The number of CPU threads and who multiplies: sums depend on both, so a resumed run needs the same."""
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
    """Choose what the settings leave open.

    Args:
        device: A device, or auto for a GPU where there is one.
        precision: A precision, or auto: bfloat16 on processors with instructions for it, for convolutions and for
            updates that are compiled.
        engine: How updates are run, or auto: compiled on a CPU where the run is long enough to repay it.
        threads: A number, or 0: one for small networks, which lose more by waiting than they win; else all cores.
        convolutional: Whether either player is made of convolutions, which gain nothing by being compiled.
        num_weights: Weights of both players together.
        num_updates: Of both players, over the whole run.
        compilable: Whether the game's updates are known to gain by being compiled, and to lose nothing in bfloat16.

    Raises:
        UsageError: CUDA was asked for and there is none.
    """
    if device == "cuda" and not torch.cuda.is_available():
        raise UsageError("device cuda was asked for, but this machine has no CUDA device", remedy="Use --device cpu.")
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
    """CPU threads that suit networks of so many weights together: one, or all cores for large ones."""
    if num_weights < SMALL_NETWORKS:
        return 1
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _hindrance(convolutional: bool, num_updates: int, compilable: bool, use_cuda: bool) -> str:
    """Why updates are better not compiled, in a few words; empty if they are."""
    if convolutional:
        return "convolutions gain nothing by being compiled"
    if not compilable:
        return "only Wasserstein games without a look ahead were measured to gain by compiling"
    if use_cuda:
        return "compiling was not measured on CUDA"
    if num_updates < REPAYING_UPDATES:
        return f"{num_updates:,} of them are too few to repay compiling"
    return "" if has_compiler() else "there is no C++ compiler with Python's headers to compile them with"


SMALL_NETWORKS = 300_000
"""Weights of both players together below which one CPU thread is fastest."""


LARGE_PRODUCTS = 50_000
"""Weights of both players together from which oneDNN's products repay what it takes longer to be asked for each."""


REPAYING_UPDATES = 20_000
"""Updates of both players together from which a run repays the seconds that compiling takes."""


def has_compiler() -> bool:
    """Whether there are the C++ compiler that PyTorch would call and the headers of Python that it would include."""
    compiler = os.environ.get("CXX", "clang++" if sys.platform == "darwin" else "g++")
    return shutil.which(compiler) is not None and Path(sysconfig.get_path("include"), "Python.h").is_file()


def has_fast_bfloat16() -> bool:
    """Whether this CPU multiplies bfloat16 matrices in hardware (AVX512-BF16 or AMX)."""
    return bool(torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported())


@functools.cache
def has_slow_float32() -> bool:
    """Whether float32 matrices are multiplied slowly here, while oneDNN would multiply them as exactly and faster.

    MKL, which PyTorch asks by itself, has its best code for one maker's processors only. Whether oneDNN takes the
    permission to round to bfloat16, by which alone it can be asked, is seen from a product.
    """
    maker = Path("/proc/cpuinfo")
    usable = torch.backends.mkl.is_available() and torch.backends.mkldnn.is_available()  # type: ignore[no-untyped-call]
    if not usable or not maker.is_file() or "AuthenticAMD" not in maker.read_text(errors="replace"):
        return False
    x = torch.linspace(1.0, 2.0, 64 * 256, dtype=torch.float32, device="cpu").reshape(64, 256)
    exact = x.double() @ x.double().t()
    with PRODUCTS.by(onednn=True):
        error = float(((x @ x.t()).double() / exact - 1.0).abs().max())
    return error < _ROUNDING_OF_FLOAT32


_ROUNDING_OF_FLOAT32 = 2e-6
"""Relative error of sums of positive products: bfloat16 errs by some 1e-3."""


def compile_whole(function: types.FunctionType) -> Callable[..., Any]:
    """A function of tensors that is compiled as a whole when it is first called, gradients taken inside it included.

    What was compiled is kept on disk, so that the next run on this machine begins in a fraction of the time.
    """
    import torch._dynamo.config as tracing

    # What is compiled belongs to the code that it was compiled from, which takes eight of it: each game needs its own.
    own = types.FunctionType(
        function.__code__.replace(), function.__globals__, function.__name__, None, function.__closure__
    )
    # Whoever calls it passes tensors of the same kinds each time, and looking whether they are takes a twentieth of a
    # small update. Compiling three trial programs for each kind of vector instruction takes six seconds; what the
    # processor has is known, and a compiler that knows less is noticed by the first true program.
    options: dict[str, Any] = {
        "cpp_wrapper": True,
        "guard_filter_fn": lambda guards: [False] * len(guards),
        "cpp.vec_isa_ok": True,
    }
    compiled = torch.compile(own, fullgraph=True, dynamic=False, options=options)

    # Only a gradient that is taken within the function is compiled with it; a critic alone could not be differentiated
    # twice.
    as_whole = tracing.patch(trace_autograd_ops=True)
    called = False

    def run(*arguments: object) -> Any:  # noqa: ANN401 - whatever the function returns
        nonlocal called
        # Looking for the place takes a tenth of an update: what the first call has compiled, no other compiles.
        with as_whole, contextlib.nullcontext() if called else _compiling():
            found = compiled(*arguments)
        called = True
        return found

    return run


def compile_cache() -> Path:
    """Where compiled updates are kept: below XDG_CACHE_HOME, or ~/.cache."""
    return Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser() / "wgan" / "compiled"


_PLACE = "TORCHINDUCTOR_CACHE_DIR"
_TURN = threading.RLock()


@contextlib.contextmanager
def _compiling() -> Iterator[None]:
    """One thread compiles at a time: PyTorch reads the place for compiled code from the process's environment."""
    with _TURN, _kept_on_disk():
        yield


@contextlib.contextmanager
def _kept_on_disk() -> Iterator[None]:
    """Within the block PyTorch keeps what it compiles in `compile_cache`, unless the user names another place."""
    from torch._inductor.runtime.cache_dir_utils import default_cache_dir

    before, place = os.environ.get(_PLACE), compile_cache()
    # PyTorch writes the place that it chooses itself, which is emptied when a machine is started anew, into the
    # environment as soon as its compiler is imported: that is no user's word.
    if before in (None, default_cache_dir()) and _is_writable(place):
        os.environ[_PLACE] = str(place)
    try:
        yield
    finally:
        if before is None:
            os.environ.pop(_PLACE, None)
        else:
            os.environ[_PLACE] = before


@functools.cache
def _is_writable(folder: Path) -> bool:
    """Whether there is such a folder, made now if need be, that can be written to."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError:
        return False
    return os.access(folder, os.W_OK | os.X_OK)
