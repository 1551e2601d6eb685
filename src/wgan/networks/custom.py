"""A user's own `nn.Module` as a player: copied, tried on a few rows, and refused where it could not be trained."""

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
"""A generator of images is tried on noise this many times as large: one without tanh then leaves [-1, 1]."""


@dataclass(frozen=True, eq=False)
class OwnNetwork:
    """A module of the user's own in the place of a row of the networks' table.

    A generator is called with noise (N, latent_dim) and gives (N, *layout.shape) or (N, layout.size): for images in
    [-1, 1]; the columns of a one-hot group are made a probability vector behind it. A critic is called with samples
    (N, *layout.shape) and gives one number each, or as many as the objective asks for. Where samples are asked for by a
    condition (N, C), that is the second argument of both; with conditioning "concat" it is joined to what goes in,
    as more entries of a vector or more channels of an image.

    The module is copied before it is trained, with its weights as they are: they are where training begins.

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
        # What keeps images in [-1, 1] is the module's own last layer.
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
        seen = InRows(body, ties_samples=_depends_on_others(body, inputs, scores))
        return Critic(Joining(seen) if given.joins() else seen, outputs, given)


class InRows(nn.Module):
    """Hands samples to a module in plain row-major order, since it may call `view`, which needs that.

    Images of one channel can have the strides of another memory layout, which convolutions then pass on.

    Args:
        module: The module.
        ties_samples: Whether its output for a sample depends on the rest of the batch.
    """

    def __init__(self, module: nn.Module, *, ties_samples: bool) -> None:
        super().__init__()
        self.module, self.ties_samples = module, ties_samples

    def forward(self, values: Tensor, *condition: Tensor) -> Tensor:
        """Apply the module."""
        scores: Tensor = self.module(values.flatten().view(values.shape), *condition)
        return scores


def refuse_shared(generator: nn.Module, critic: nn.Module) -> None:
    """Refuse two players that hold one and the same tensor: each moves by its own loss.

    Raises:
        UsageError: They share one, which is named.
    """
    known = {tensor.untyped_storage().data_ptr(): name for name, tensor in _tensors(generator) if not is_lazy(tensor)}
    for name, tensor in _tensors(critic):
        place = 0 if is_lazy(tensor) else tensor.untyped_storage().data_ptr()
        if place and place in known:
            raise UsageError(
                f"the critic's '{name}' and the generator's '{known[place]}' are one tensor, but each player moves by "
                "its own loss",
                remedy="Give the critic modules of its own, for example by copy.deepcopy.",
            )


def _tensors(module: nn.Module) -> list[tuple[str, Tensor]]:
    return [*module.named_parameters(), *module.named_buffers()]


def _copied(module: nn.Module, who: str) -> nn.Module:
    """A copy to be trained, on the CPU, after a look at its parameters and buffers."""
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
    """How a condition enters: as the second argument where nothing was asked for."""
    if given.size and given.way not in (None, "concat"):
        refuse_way(given, "a module of your own", "auto", "concat")
    return replace(given, way="argument") if given.size and given.way is None else given


def _inputs(shape: tuple[int, ...], given: Given) -> list[Tensor]:
    """A few rows that look like noise or samples, and conditions where these are handed over."""
    rng = torch.Generator().manual_seed(0)
    inputs = [torch.randn(_ROWS, *shape, generator=rng)]
    if given.size and not given.joins():
        inputs.append(torch.rand(_ROWS, given.size, generator=rng))
    return inputs


def _shapes_of(layout: Layout) -> list[tuple[int, ...]]:
    return list(dict.fromkeys([(_ROWS, *layout.shape), (_ROWS, layout.size)]))


class _RandomOperations(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Notes which operations draw random numbers, on this thread alone."""

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
    """What a copy of the module makes of a few rows, both in training and in use; the module stays as it is."""
    what = f"your own {who} ({type(body).__name__})"
    tried, drawing = copy.deepcopy(body), _RandomOperations()
    kept = set(tried.state_dict())
    passing = {name: buffer.clone() for name, buffer in tried.named_buffers() if name not in kept}
    taken = " and ".join(str(tuple(value.shape)) for value in inputs)
    for mode in (True, False):
        tried.train(mode)
        try:
            with drawing:
                output: object = tried(*inputs)
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
        name for name, buffer in tried.named_buffers() if name in passing and not _same(buffer, passing[name])
    ]:
        raise UsageError(
            f"{what} changes its buffer '{moved[0]}', which is not persistent, so that no checkpoint holds it",
            remedy="Register it with persistent=True.",
        )
    found: Tensor = tried.train()(*inputs)
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
    """Whether the scores of the first rows change when others are in the batch, which batch norm is known to do."""
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
