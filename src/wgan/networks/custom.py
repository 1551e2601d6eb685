"""A user's own `nn.Module` as a player: it is copied, and checked on a few rows."""

from __future__ import annotations

import copy
import itertools
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.parameter import is_lazy
from torch.utils._python_dispatch import TorchDispatchMode

from wgan.batch import Layout
from wgan.errors import UsageError
from wgan.networks.conditioning import NOTHING, Given, Joining, refuse_way
from wgan.networks.players import Critic, Generator

_ROWS = 4
_FAR = 1_000.0
"""Generators of images are also tried on noise times this factor: without a tanh, outputs then leave [-1, 1]."""


@dataclass(frozen=True, eq=False)
class OwnNetwork:
    """A user's own module as a network.

    A generator maps noise (N, latent_dim) to (N, *layout.shape) or (N, layout.size), for images in [-1, 1]; a softmax
    over each one-hot group is applied after it. A critic maps samples (N, *layout.shape) to one number each, or to as
    many as the objective needs. A condition (N, C) is the second argument of both. With conditioning "concat" it is
    concatenated to the input, as more entries of a vector or more channels of an image.

    A copy of the module is trained, starting from its present parameters.

    Attributes:
        module: The module; never changed.
    """

    module: nn.Module

    def generator(self, latent_dim: int, layout: Layout, given: Given = NOTHING) -> Generator:
        """A generator with a copy of the module.

        Raises:
            UsageError: A module that cannot be trained, or whose input or output has another shape.
        """
        body = _copied(self.module, "generator")
        if isinstance(body, Generator):
            _refuse_other(body, latent_dim=latent_dim, layout=layout, given_size=given.size)
            return body
        given = _by_argument(given)
        inputs = _inputs((latent_dim + (given.size if given.joins() else 0),), given)
        values = _tried(body, "generator", inputs, _shapes_of(layout))
        if layout.bounded:
            far = _tried(body, "generator", [_FAR * inputs[0], *inputs[1:]], _shapes_of(layout))
            _refuse_unbounded(torch.cat([values, far]))
        # The module's own last layer keeps images in [-1, 1].
        return Generator(body, latent_dim, replace(layout, bounded=False), given)

    def critic(self, layout: Layout, outputs: int = 1, given: Given = NOTHING) -> Critic:
        """A critic with a copy of the module.

        Raises:
            UsageError: A module that cannot be trained, or whose input or output has another shape.
        """
        body = _copied(self.module, "critic")
        if isinstance(body, Critic):
            return body
        given = _by_argument(given)
        shape = (layout.shape[0] + (given.size if given.joins() else 0), *layout.shape[1:])
        inputs = _inputs(shape, given)
        wanted: list[tuple[int, ...]] = [(_ROWS,), (_ROWS, 1)] if outputs == 1 else [(_ROWS, outputs)]
        scores = _tried(body, "critic", inputs, wanted)
        rows = InRows(body, mixes_batch=_depends_on_others(body, inputs, scores))
        return Critic(Joining(rows) if given.joins() else rows, outputs, given)


class InRows(nn.Module):
    """Passes samples to a module in row-major order, since the module may call `view`, which requires it.

    Images of one channel can have the strides of another memory layout, which convolutions pass on.

    Args:
        module: The module.
        mixes_batch: Whether its output for a sample depends on the rest of the batch.
    """

    def __init__(self, module: nn.Module, *, mixes_batch: bool) -> None:
        super().__init__()
        self.module, self.mixes_batch = module, mixes_batch

    def forward(self, values: Tensor, *condition: Tensor) -> Tensor:
        """Apply the module."""
        scores: Tensor = self.module(values.flatten().view(values.shape), *condition)
        return scores


def refuse_shared(generator: nn.Module, critic: nn.Module) -> None:
    """Raise if two players share a tensor: each is trained by its own loss.

    Raises:
        UsageError: They share a tensor, which is named.
    """
    known = {tensor.untyped_storage().data_ptr(): name for name, tensor in _tensors(generator) if not is_lazy(tensor)}
    for name, tensor in _tensors(critic):
        address = 0 if is_lazy(tensor) else tensor.untyped_storage().data_ptr()
        if address and address in known:
            raise UsageError(
                f"the critic's '{name}' and the generator's '{known[address]}' are one tensor, but each player is "
                "trained by its own loss",
                remedy="Give the critic separate modules, for example by copy.deepcopy.",
            )


def _tensors(module: nn.Module) -> list[tuple[str, Tensor]]:
    return [*module.named_parameters(), *module.named_buffers()]


def _copied(module: nn.Module, who: str) -> nn.Module:
    """A copy to train, on the CPU, after checks of its parameters and buffers."""
    named = _tensors(module)
    what = f"your own {who} ({type(module).__name__})"
    for name, tensor in named:
        if is_lazy(tensor):
            raise UsageError(
                f"{what} has the lazily initialised parameter '{name}', which has no shape yet",
                remedy="Call the module once on an example, or give the layer its number of inputs.",
            )
        if tensor.device.type == "meta":
            raise UsageError(f"{what} has '{name}' on the device meta, without values", remedy="Build it on the CPU.")
        is_number = tensor.is_floating_point() or tensor.is_complex()
        if is_number and tensor.dtype != torch.float32:
            raise UsageError(
                f"{what} has '{name}' of dtype {str(tensor.dtype).removeprefix('torch.')}, not float32",
                remedy="Call .float() on the module; --precision bfloat16 computes in less.",
            )
    devices = sorted({str(tensor.device) for _, tensor in named})
    if len(devices) > 1:
        raise UsageError(f"{what} lies on {' and '.join(devices)}", remedy="Bring it to one device: module.to('cpu').")
    weights = dict(module.named_parameters())
    if not weights:
        raise UsageError(f"{what} has no parameters, so there is nothing to train", remedy="Give it a layer.")
    if frozen := [name for name, weight in weights.items() if not weight.requires_grad]:
        raise UsageError(
            f"{what} has parameters that are not to be trained (requires_grad is False): {', '.join(frozen[:3])}",
            remedy="Call requires_grad_(True), or keep what is fixed in buffers.",
        )
    try:
        body = copy.deepcopy(module)
    except Exception as error:
        raise UsageError(f"{what} cannot be copied: {_said(error)}") from error
    return body.cpu().train()


def _by_argument(given: Given) -> Given:
    """How a condition enters: by default as the second argument."""
    if given.size and given.way not in (None, "concat"):
        refuse_way(given, "a module of your own", "auto", "concat")
    return replace(given, way="argument") if given.size and given.way is None else given


def _inputs(shape: tuple[int, ...], given: Given) -> list[Tensor]:
    """A few rows of noise as inputs, and conditions if the module takes them."""
    rng = torch.Generator().manual_seed(0)
    inputs = [torch.randn(_ROWS, *shape, generator=rng)]
    if given.size and not given.joins():
        inputs.append(torch.rand(_ROWS, given.size, generator=rng))
    return inputs


def _shapes_of(layout: Layout) -> list[tuple[int, ...]]:
    return list(dict.fromkeys([(_ROWS, *layout.shape), (_ROWS, layout.size)]))


class _RandomOperations(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Records the operations that draw random numbers, in this thread only."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.names: list[str] = []

    def __torch_dispatch__(
        self,
        func: Any,  # noqa: ANN401 - torch's own
        types: Any,  # noqa: ANN401
        args: Sequence[Any] = (),
        kwargs: Any = None,  # noqa: ANN401
    ) -> Any:  # noqa: ANN401
        if torch.Tag.nondeterministic_seeded in func.tags:
            self.names.append(str(func).removeprefix("aten.").partition(".")[0])
        return func(*args, **(kwargs or {}))


@torch.no_grad()
def _tried(body: nn.Module, who: str, inputs: list[Tensor], wanted: list[tuple[int, ...]]) -> Tensor:
    """The output of a copy of the module for a few rows, after checks in training and in evaluation mode."""
    what = f"your own {who} ({type(body).__name__})"
    trial, drawing = copy.deepcopy(body), _RandomOperations()
    kept = set(trial.state_dict())
    passing = {name: buffer.clone() for name, buffer in trial.named_buffers() if name not in kept}
    taken = " and ".join(str(tuple(value.shape)) for value in inputs)
    for mode in (True, False):
        trial.train(mode)
        try:
            with drawing:
                output: object = trial(*inputs)
        except Exception as error:
            remedy = f"It is called with {'noise' if who == 'generator' else 'samples'} of shape {taken}"
            if len(inputs) > 1:
                remedy += ", the second the condition; with --conditioning concat both are joined to one"
            raise UsageError(f"{what} failed on {_ROWS} rows: {_said(error)}", remedy=f"{remedy}.") from error
        if not isinstance(output, Tensor):
            raise UsageError(f"{what} returned {type(output).__name__}, not a tensor")
        if tuple(output.shape) not in wanted:
            raise UsageError(
                f"{what} made {tuple(output.shape)} of {taken}",
                remedy=f"Wanted: {' or '.join(map(str, wanted))}, whose first entry is the number of rows.",
            )
        if not output.is_floating_point() or not bool(output.isfinite().all()):
            raise UsageError(f"{what} returned values that are not finite floating numbers")
    if drawing.names:
        raise UsageError(
            f"{what} draws random numbers itself ({', '.join(dict.fromkeys(drawing.names))}), so that no run with it "
            "could be repeated or resumed",
            remedy="Leave dropout and other noise out; a generator has its noise as its input.",
        )
    if moved := [
        name for name, buffer in trial.named_buffers() if name in passing and not _same(buffer, passing[name])
    ]:
        raise UsageError(
            f"{what} changes its buffer '{moved[0]}', which is not persistent, so that no checkpoint holds it",
            remedy="Register it with persistent=True.",
        )
    found: Tensor = trial.train()(*inputs)
    return found


def _same(a: Tensor, b: Tensor) -> bool:
    return a.shape == b.shape and torch.equal(a, b)


def _refuse_unbounded(values: Tensor) -> None:
    largest = float(values.abs().max())
    if largest > 1.001:
        raise UsageError(
            f"your own generator made values up to {largest:.4g}, but images lie in [-1, 1] as the networks see them",
            remedy="End it in nn.Tanh().",
        )


@torch.no_grad()
def _depends_on_others(body: nn.Module, inputs: list[Tensor], scores: Tensor) -> bool:
    """Whether the scores of the first rows depend on the other rows of the batch."""
    half = copy.deepcopy(body)(*[value[: _ROWS // 2] for value in inputs])
    return not torch.allclose(half, scores[: _ROWS // 2], rtol=1e-3, atol=1e-5 * (1 + float(scores.abs().max())))


def _refuse_other(generator: Generator, **wanted: object) -> None:
    found = {
        "latent_dim": generator.latent_dim,
        "layout": generator.layout,
        "given_size": generator.given.size,
    }
    for name, value in wanted.items():
        if found[name] != value:
            raise UsageError(f"your own generator was built for {name} {found[name]}, and this game has {value}")


def _said(error: Exception) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return f"{type(error).__name__}: {' '.join(itertools.islice(lines, 3))}"
