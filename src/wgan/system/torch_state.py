"""What a caller may have set in PyTorch and NumPy for their own thread, kept away from what is computed here.

A notebook may leave gradients off, autocast on, a default device set, or NumPy's underflow made an error. All this is
local to a thread, so that it can be put aside while one of this project's functions runs and put back afterwards,
without a trace in any other thread. PyTorch's default dtype is not local: code of this project names its dtypes.
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
def usual_state() -> Iterator[None]:
    """Within the block this thread computes as if PyTorch's and NumPy's state had not been changed.

    Gradients are recorded, inference mode and autocast are off, no default device and no other `TorchFunctionMode` is
    in force, and NumPy's floating-point errors are treated as NumPy does by default.
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
    """How many autocast contexts this thread is in, those that are not enabled included."""
    depth: int = torch.autocast_increment_nesting() - 1
    torch.autocast_decrement_nesting()
    return depth


@contextlib.contextmanager
def _outside_autocast() -> Iterator[None]:
    """Leave all autocast contexts for the block.

    To disable autocast would not do. PyTorch keeps what it has rounded of weights until the outermost context ends: one
    of this project's own contexts within it would go on with the weights of its first update.
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
        # What the caller's context has kept of weights may have moved meanwhile.
        torch.clear_autocast_cache()
        for _ in range(depth):
            torch.autocast_increment_nesting()
        for device in enabled:
            torch.set_autocast_enabled(device, True)


@contextlib.contextmanager
def _without_modes(num: int) -> Iterator[None]:
    """Take this thread's function modes off for the block, but for those of `building`. A default device is a mode."""
    modes = [_pop_mode() for _ in range(num)]  # type: ignore[no-untyped-call]
    kept = [mode for mode in reversed(modes) if isinstance(mode, _Making)]
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


def in_usual_state(function: Callable[_P, _T]) -> Callable[_P, _T]:
    """Run a function, or each step of a generator function, in `usual_state`: its caller's state is as it was between.

    Args:
        function: Whose results do not depend on the caller's graph: under `no_grad` it records gradients all the same.
    """
    if inspect.isgeneratorfunction(function):

        @functools.wraps(function)
        def stepped(*args: _P.args, **kwargs: _P.kwargs) -> Iterator[object]:
            steps = function(*args, **kwargs)
            try:
                while True:
                    with usual_state():
                        try:
                            value = next(steps)
                        except StopIteration:
                            return
                    yield value
            finally:
                with usual_state():
                    steps.close()

        return cast(Callable[_P, _T], stepped)

    @functools.wraps(function)
    def whole(*args: _P.args, **kwargs: _P.kwargs) -> _T:
        with usual_state():
            return function(*args, **kwargs)

    return whole


def usable(values: torch.Tensor) -> torch.Tensor:
    """The tensor, or a copy of one that was made in inference mode: no gradient can be taken through such."""
    return values.clone() if values.is_inference() else values


@contextlib.contextmanager
def building(rng: torch.Generator | None = None, *, device: str | None = None) -> Iterator[None]:
    """Within the block this thread makes tensors on one device, in float32 where it names no dtype.

    So every network is built alike, one that knows nothing of this project included, whatever PyTorch's defaults are.

    Args:
        rng: What all is drawn from that names no generator of its own; None for that of the block around this one, or
            for PyTorch's global generator. The numbers are those that the global generator would give in the same
            state; it is not touched.
        device: Where tensors are made that name no device; None for that of the block around this one, or for the CPU.
    """
    before = getattr(_LOCAL, "device", "cpu")
    _LOCAL.device = device or before
    try:
        with usual_state(), _Making(rng, _LOCAL.device):
            yield
    finally:
        _LOCAL.device = before


_LOCAL = threading.local()
"""Where the innermost `building` of this thread makes tensors."""


def built(function: Callable[_P, _T]) -> Callable[_P, _T]:
    """Run a function that makes a network in `building`."""

    @functools.wraps(function)
    def alike(*args: _P.args, **kwargs: _P.kwargs) -> _T:
        with building():
            return function(*args, **kwargs)

    return alike


class _Making(TorchFunctionMode):
    """Names device, dtype and generator where a call leaves them to the defaults."""

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
            return made.to(torch.float32)  # of Python's numbers, by the default dtype
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
    """Functions whose result has the default dtype where none is named."""
    names = ("empty", "zeros", "ones", "rand", "randn", "eye", "linspace", "logspace")
    return frozenset(getattr(torch, name) for name in names)


@functools.cache
def _makers() -> frozenset[object]:
    """Functions that make a tensor of no other, on the default device where none is named."""
    names = ("randint", "randperm", "full", "arange", "tensor", "scalar_tensor")
    return _float_makers() | {getattr(torch, name) for name in names}
