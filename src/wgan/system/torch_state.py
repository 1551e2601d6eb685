"""Shield computations from the thread-local state that a caller has set in PyTorch and NumPy.

A notebook may have switched gradients off or autocast on, set a default device, or made NumPy raise on underflow. All
this is local to a thread. Functions of this project set it to the defaults while they run and restore it afterwards.
PyTorch's default dtype is not local to a thread, so this project's code names its dtypes.
"""

from __future__ import annotations

import contextlib
import functools
import inspect
import threading
from collections.abc import Callable, Iterable, Iterator
from typing import Any, ParamSpec, TypeVar, cast

import numpy as np
import torch
from torch.overrides import TorchFunctionMode, _pop_mode, _push_mode

_P = ParamSpec("_P")
_T = TypeVar("_T")

_DEVICES = ("cpu", "cuda")


@contextlib.contextmanager
def default_state() -> Iterator[None]:
    """Set the thread-local state of PyTorch and NumPy to its defaults within the block.

    Gradients are recorded, inference mode and autocast are off, no default device and no other `TorchFunctionMode` is
    active, and NumPy treats floating-point errors as it does by default.
    """
    with np.errstate(divide="warn", over="warn", under="ignore", invalid="warn"):
        num_modes: int = torch._C._len_torch_function_stack()
        in_autocast = _autocast_depth() > 0
        if torch.is_grad_enabled() and not (num_modes or in_autocast or torch.is_inference_mode_enabled()):
            yield
            return
        with contextlib.ExitStack() as stack:
            stack.enter_context(torch.inference_mode(False))
            stack.enter_context(torch.enable_grad())
            if in_autocast:
                stack.enter_context(_outside_autocast())
            if num_modes:
                stack.enter_context(_without_modes(num_modes))
            yield


def _autocast_depth() -> int:
    """How many autocast contexts this thread is in, disabled ones included."""
    depth: int = torch.autocast_increment_nesting() - 1
    torch.autocast_decrement_nesting()
    return depth


@contextlib.contextmanager
def _outside_autocast() -> Iterator[None]:
    """Leave all autocast contexts for the block.

    It is not enough to disable autocast. PyTorch caches rounded weights until the outermost context ends: a context of
    this project within it would keep the weights of its first update.
    """
    enabled = [device for device in _DEVICES if torch.is_autocast_enabled(device)]
    depth = _autocast_depth()
    for device in enabled:
        torch.set_autocast_enabled(device, False)
    for _ in range(depth):
        torch.autocast_decrement_nesting()
    torch.clear_autocast_cache()
    try:
        yield
    finally:
        # The caller's context may have cached weights that have changed meanwhile.
        torch.clear_autocast_cache()
        for _ in range(depth):
            torch.autocast_increment_nesting()
        for device in enabled:
            torch.set_autocast_enabled(device, True)


@contextlib.contextmanager
def _without_modes(num: int) -> Iterator[None]:
    """Remove this thread's function modes within the block, but those of `building`. A default device is a mode."""
    modes = [_pop_mode() for _ in range(num)]  # type: ignore[no-untyped-call]
    kept = [mode for mode in reversed(modes) if isinstance(mode, _TensorDefaults)]
    try:
        for mode in kept:
            _push_mode(mode)  # type: ignore[no-untyped-call]
        try:
            yield
        finally:
            for _ in kept:
                _pop_mode()  # type: ignore[no-untyped-call]
    finally:
        for mode in reversed(modes):
            _push_mode(mode)  # type: ignore[no-untyped-call]


def in_default_state(function: Callable[_P, _T]) -> Callable[_P, _T]:
    """Run a function, or each step of a generator function, in `default_state`. Between steps the caller's state holds.

    Args:
        function: Records gradients even if its caller is under `no_grad`.
    """
    if inspect.isgeneratorfunction(function):

        @functools.wraps(function)
        def stepped(*args: _P.args, **kwargs: _P.kwargs) -> Iterator[object]:
            steps = function(*args, **kwargs)
            try:
                while True:
                    with default_state():
                        try:
                            value = next(steps)
                        except StopIteration:
                            return
                    yield value
            finally:
                with default_state():
                    steps.close()

        return cast(Callable[_P, _T], stepped)

    @functools.wraps(function)
    def wrapper(*args: _P.args, **kwargs: _P.kwargs) -> _T:
        with default_state():
            return function(*args, **kwargs)

    return wrapper


def usable(values: torch.Tensor) -> torch.Tensor:
    """The tensor; a copy if it was made in inference mode, since such tensors have no gradients."""
    return values.clone() if values.is_inference() else values


@contextlib.contextmanager
def building(rng: torch.Generator | None = None, *, device: str | None = None) -> Iterator[None]:
    """Build equal networks under any PyTorch defaults: within the block tensors are float32, on one device.

    Args:
        rng: The generator of draws that name none; None for that of an enclosing block, or for PyTorch's global
            generator. It gives the numbers that the global generator would give in the same state.
        device: Where tensors are made that name no device; None for that of an enclosing block, or for the CPU.
    """
    before = getattr(_LOCAL, "device", "cpu")
    _LOCAL.device = device or before
    try:
        with default_state(), _TensorDefaults(rng, _LOCAL.device):
            yield
    finally:
        _LOCAL.device = before


_LOCAL = threading.local()
"""The device of the innermost `building` block of this thread."""


def built(function: Callable[_P, _T]) -> Callable[_P, _T]:
    """Run a function that builds a network in `building`."""

    @functools.wraps(function)
    def wrapper(*args: _P.args, **kwargs: _P.kwargs) -> _T:
        with building():
            return function(*args, **kwargs)

    return wrapper


class _TensorDefaults(TorchFunctionMode):
    """Adds device, dtype and generator to calls that leave them to the defaults."""

    def __init__(self, rng: torch.Generator | None, device: str) -> None:
        super().__init__()
        self.rng, self.device = rng, device

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Iterable[type],
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:  # noqa: ANN401 - whatever the function returns
        named = dict(kwargs or {})
        makes = func in _makers()
        if makes and named.get("device") is None:
            named["device"] = self.device
        if func in _float_makers() and named.get("dtype") is None:
            named["dtype"] = torch.float32
        first = args[0] if args else named.get("tensor")
        on_cpu = first.device.type == "cpu" if isinstance(first, torch.Tensor) else named.get("device") in (None, "cpu")
        draws = getattr(func, "__name__", "") in _DRAWING and on_cpu
        if self.rng is not None and draws and named.get("generator") is None:
            named["generator"] = self.rng
        made = func(*args, **named)
        if makes and named.get("dtype") is None and made.is_floating_point():
            return made.to(torch.float32)  # made from Python numbers in the default dtype
        return made


_DRAWING = frozenset(
    {
        *("rand", "randn", "randint", "randperm", "rand_like", "randn_like", "randint_like"),
        *("normal", "bernoulli", "multinomial", "poisson"),
        *("uniform_", "normal_", "bernoulli_", "exponential_", "random_", "cauchy_", "geometric_", "log_normal_"),
        # Of torch.nn.init, what a mode sees as a whole; the others call those above.
        "kaiming_uniform_",
    }
)
"""Names of the functions and methods that take a generator."""


@functools.cache
def _float_makers() -> frozenset[object]:
    """Functions whose result has the default dtype if none is named."""
    names = ("empty", "zeros", "ones", "rand", "randn", "eye", "linspace", "logspace")
    return frozenset(getattr(torch, name) for name in names)


@functools.cache
def _makers() -> frozenset[object]:
    """Functions that make a tensor from no other one, on the default device if none is named."""
    names = ("randint", "randperm", "full", "arange", "tensor", "scalar_tensor")
    return _float_makers() | {getattr(torch, name) for name in names}
