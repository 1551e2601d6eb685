"""The memory that training needs at least, computed from the settings before any network is built."""

from __future__ import annotations

import dataclasses
import math
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.parameter import is_lazy

from wgan.batch import Layout
from wgan.errors import CheckpointError, UsageError
from wgan.networks import NETWORKS, Architecture, OwnNetwork, given_to
from wgan.optimizers import FunctionalOptimizer, Optimizer
from wgan.settings import Settings
from wgan.settings.registry import OWN
from wgan.system.memory import available, in_words, memory_faults
from wgan.system.torch_state import building
from wgan.training.factory import Parts

_FLOAT = 4
_HALF = 2
"""Bytes of a layer's output, in the lowest precision that it may run in."""

_PLENTY = 16
_MOST_KEPT = 5
"""Numbers for each parameter, at most: its value and gradient, two of the optimiser, and one more."""

_FEW = 2
_MODEST_NOISE = 128
"""Dimensions of the noise that fit into the memory of any machine."""


@dataclass(frozen=True, kw_only=True)
class Need:
    """Bytes that training needs at least.

    Attributes:
        generator: For its parameters, their gradients, the state of its optimiser, and the average.
        critic: Likewise, without an average.
        sample: For each sample of a batch.
    """

    generator: float
    critic: float
    sample: float

    def total(self, batch_size: int) -> float:
        """Bytes for batches of `batch_size` samples."""
        return self.generator + self.critic + batch_size * self.sample


def need_of(settings: Settings, parts: Parts, layout: Layout, condition_size: int = 0) -> Need:
    """The memory that training needs at least; nothing is allocated.

    Args:
        settings: The run's settings.
        parts: What they name.
        layout: Of a sample of the data.
        condition_size: Entries of a condition; 0 without conditions.

    Returns:
        Bytes; infinite if a network has more parameters than 64 bits can count.

    Raises:
        UsageError: The networks do not fit the data.
    """
    to_generator, to_critic = given_to(settings.conditioning, condition_size)

    def generator() -> tuple[nn.Module, tuple[Tensor, ...]]:
        network = parts.generator.generator(settings.latent_dim, layout, to_generator)
        return network, (torch.empty(_FEW, settings.latent_dim), torch.empty(_FEW, to_generator.size))

    def critic() -> tuple[nn.Module, tuple[Tensor, ...]]:
        packed, given = layout.packed(settings.packing), to_critic.packed(settings.packing)
        network = parts.critic.critic(packed, parts.objective.critic_outputs, given)
        return network, (torch.empty(_FEW, *packed.shape), torch.empty(_FEW, given.size))

    # The user's own modules exist already and cannot be run on the meta device.
    generated, generator_outputs = _weights(parts.generator) or _measured(generator)
    scored, critic_outputs = _weights(parts.critic) or _measured(critic)
    # The critic scores real and generated samples; outputs of layers are kept for the gradient.
    per_sample = _FLOAT * _entries(settings, layout) + _HALF * (
        generator_outputs + 2 * critic_outputs / settings.packing
    )
    averaged = _FLOAT * generated if settings.ema_decay else 0
    return Need(
        generator=_kept(parts.generator_optimizer, generated) + averaged,
        critic=_kept(parts.critic_optimizer, scored),
        sample=per_sample,
    )


def refuse_larger_networks(
    settings: Settings,
    parts: Parts,
    layout: Layout,
    condition_size: int,
    stored: Mapping[str, Tensor],
    directory: Path,
) -> None:
    """Refuse a layout whose networks would have more parameters than the checkpoint, before they are built.

    The layout comes from `source.json`, which can be edited.

    Args:
        settings: The run's settings.
        parts: What they name.
        layout: Of a sample, from `source.json`.
        condition_size: Entries of a condition, likewise.
        stored: The tensors of a checkpoint, by name.
        directory: The run, for the message.

    Raises:
        CheckpointError: The networks would be larger.
    """
    saved = {
        player: sum(tensor.numel() for name, tensor in stored.items() if name.startswith(f"{player}."))
        for player in ("generator", "critic")
    }
    # Fully connected networks have many parameters for each number of a sample: most runs need no count.
    if _PLENTY * (layout.size + condition_size) <= saved["generator"]:
        return
    need = need_of(dataclasses.replace(settings, ema_decay=0.0), parts, layout, condition_size)
    counted = {"generator": need.generator, "critic": need.critic}
    for player, count in counted.items():
        # Each parameter counts at least twice: its value and its gradient.
        if count > _MOST_KEPT * _FLOAT * saved[player]:
            raise CheckpointError(
                f"the {player} of '{directory}' would be larger than the one in its checkpoint: a sample of its "
                f"source.json has {layout.size:,} numbers",
                remedy="Restore source.json from a copy.",
            )


def _entries(settings: Settings, layout: Layout) -> int:
    """Numbers of the noise of a sample, of the sample, and of a real row."""
    return settings.latent_dim + 2 * layout.size


def _weights(network: Architecture) -> tuple[float, float] | None:
    """Parameters of the user's own module, and 0 outputs; None for any other network."""
    if not isinstance(network, OwnNetwork):
        return None
    return float(sum(weight.numel() for weight in network.module.parameters() if not is_lazy(weight))), 0.0


def refuse_what_cannot_fit(settings: Settings, parts: Parts, layout: Layout, condition_size: int = 0) -> None:
    """Refuse training that needs more memory than is available.

    Args:
        settings: The run's settings.
        parts: What they name.
        layout: Of a sample of the data.
        condition_size: Entries of a condition; 0 without conditions.

    Raises:
        UsageError: It does, or needs more threads than can be started; the setting to change is named.
    """
    if settings.threads > 1:
        _refuse_threads(settings.threads)
    room = _room(settings)
    if room is None:
        return
    batch = _FLOAT * settings.batch_size * _entries(settings, layout)
    # If a batch alone is too large, networks need not be measured.
    need = need_of(settings, parts, layout, condition_size) if batch <= room else Need(generator=0, critic=0, sample=0)
    total = max(batch, need.total(settings.batch_size))
    if total <= room:
        return
    said = f"needs at least {in_words(total)} of memory, of which {in_words(room)} is available"
    for name, value in _modest(settings).items():
        other, other_parts = _with(settings, parts, {name: value})
        counted = need_of(other, other_parts, layout, condition_size)
        if counted.total(other.batch_size) <= room:
            most = int((room - counted.generator - counted.critic) // counted.sample)
            remedy = f"A batch_size of {most:,} or less would do." if name == "batch_size" else f"Use a smaller {name}."
            raise UsageError(f"{name} {_shown(settings, name)} {said}", remedy=remedy)
    changed: dict[str, Any] = {}
    for name, value in _modest(settings).items():
        changed[name] = value
        other, other_parts = _with(settings, parts, changed)
        if need_of(other, other_parts, layout, condition_size).total(other.batch_size) <= room:
            named = " with ".join(f"{name} {_shown(settings, name)}" for name in changed)
            raise UsageError(f"{named} {said}", remedy="Use smaller ones.")
    raise UsageError(f"the networks, of samples of {layout.size:,} numbers, {said}", remedy="Use smaller networks.")


def _refuse_threads(count: int) -> None:
    """Refuse more threads than the system can start: OpenMP would end the process."""
    waiting, started = threading.Event(), list[threading.Thread]()
    try:
        for _ in range(count):
            thread = threading.Thread(target=waiting.wait, daemon=True)
            thread.start()
            started.append(thread)
    except (RuntimeError, MemoryError):
        raise UsageError(
            f"threads {count:,} cannot be started: the system starts no more than {len(started):,} here",
            remedy="Use fewer threads, or raise the limit (ulimit -u, ulimit -v).",
        ) from None
    finally:
        waiting.set()
        for thread in started:
            thread.join()


def _modest(settings: Settings) -> dict[str, int | str]:
    """The settings that may be too large, each with a value that fits any machine."""
    counts = {"batch_size": _FEW, "packing": 1, "latent_dim": _MODEST_NOISE}
    found: dict[str, int | str] = {name: value for name, value in counts.items() if value < getattr(settings, name)}
    # A word without parameters is the network with its defaults.
    words = {name: getattr(settings, name).partition(":") for name in ("generator", "critic")}
    return found | {name: word for name, (word, colon, _) in words.items() if colon and word != OWN}


def _with(settings: Settings, parts: Parts, values: Mapping[str, Any]) -> tuple[Settings, Parts]:
    """The settings and their parts with other values; packing is at most the batch size."""
    other = dataclasses.replace(settings, **values)
    networks: dict[str, Any] = {
        name: NETWORKS.build(word) for name, word in values.items() if name in ("generator", "critic")
    }
    return (
        dataclasses.replace(other, packing=min(other.packing, other.batch_size)),
        dataclasses.replace(parts, **networks),
    )


def _shown(settings: Settings, name: str) -> str:
    value = getattr(settings, name)
    return f"{value:,}" if isinstance(value, int) else f"'{value}'"


def _room(settings: Settings) -> int | None:
    """Bytes that are free on the device; None if that is unknown."""
    if settings.device != "cpu" and torch.cuda.is_available():
        # Memory that other processes hold now may be free soon, so all of it counts.
        return int(torch.cuda.mem_get_info()[1])
    return available()


def _measured(build: Callable[[], tuple[nn.Module, tuple[Tensor, ...]]]) -> tuple[float, float]:
    """Parameters of a network, and numbers that its layers put out for each sample."""
    counts: list[int] = []
    weights = 0

    def count(layer: nn.Module, inputs: object, output: Tensor) -> None:
        counts.append(output.numel())

    try:
        with building(device="meta"), torch.no_grad(), memory_faults("", ""):
            network, arguments = build()
            weights = sum(weight.numel() for weight in network.parameters())
            for layer in network.modules():
                if isinstance(layer, nn.Linear | nn.Conv2d | nn.ConvTranspose2d):
                    layer.register_forward_hook(count)
            network(*arguments)
    except MemoryError:
        return math.inf, 0.0
    except (NotImplementedError, RuntimeError):
        # It cannot be built or run on the meta device; the parameters counted so far are a lower bound.
        return float(weights), 0.0
    return float(weights), sum(counts) / _FEW


def _kept(optimizer: Optimizer, weights: float) -> float:
    """Bytes of so many parameters, their gradients and the state of the optimiser."""
    trial = optimizer.build([nn.Parameter(torch.zeros(_FEW))])
    slots = trial.initialised_slots()[0].values() if isinstance(trial, FunctionalOptimizer) else ()
    return _FLOAT * weights * (2 + sum(value.numel() == _FEW for value in slots))
