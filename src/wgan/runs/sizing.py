"""What a game takes in memory at least, counted from its settings before anything of it is made."""

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
from wgan.networks import Architecture, OwnNetwork, given_to
from wgan.optimizers import FunctionalOptimizer, Optimizer
from wgan.settings import Settings
from wgan.settings.registry import OWN
from wgan.system.memory import available, in_words, memory_faults
from wgan.system.torch_state import building
from wgan.training.factory import choose_parts, hparams_of

_FLOAT = 4
_HALF = 2
"""Bytes of a number that a layer puts out, in the least precision that it may be run in."""

_PLENTY = 16
_MOST_KEPT = 5
"""Numbers for each weight, at most: the weight, its gradient, what an optimiser keeps, and one more."""

_FEW = 2
_MODEST_NOISE = 128
"""Dimensions of the noise that no network is too large for."""


@dataclass(frozen=True, kw_only=True)
class Need:
    """Bytes that a game takes at least.

    Attributes:
        generator: Its weights, their gradients, what its optimiser keeps for them, and their average.
        critic: Likewise, without an average.
        sample: For each sample of a batch, whatever else is in it.
    """

    generator: float
    critic: float
    sample: float

    def total(self, batch_size: int) -> float:
        """Bytes in all."""
        return self.generator + self.critic + batch_size * self.sample


def need_of(settings: Settings, layout: Layout, condition_size: int = 0, own: Mapping[str, Any] | None = None) -> Need:
    """Count what a game takes at least; nothing is allocated.

    Args:
        settings: The run's settings.
        layout: What a sample of the data is.
        condition_size: Entries of what a sample is asked for by.
        own: Objects of the user's own, by setting.

    Returns:
        Bytes; infinite where a network has more weights than 64 bits can count.

    Raises:
        UsageError: Words that no table has, or networks that do not fit the data.
    """
    parts, hparams = choose_parts(settings, own), hparams_of(settings)
    to_generator, to_critic = given_to(settings.conditioning, condition_size)

    def generator() -> tuple[nn.Module, tuple[Tensor, ...]]:
        network = parts.generator.generator(settings.latent_dim, layout, to_generator)
        return network, (torch.empty(_FEW, settings.latent_dim), torch.empty(_FEW, to_generator.size))

    def critic() -> tuple[nn.Module, tuple[Tensor, ...]]:
        packed, told = layout.packed(hparams.packing), to_critic.packed(hparams.packing)
        network = parts.critic.critic(packed, parts.objective.critic_outputs, told)
        return network, (torch.empty(_FEW, *packed.shape), torch.empty(_FEW, told.size))

    # Modules of the user's own are there already, and are tried on numbers, which a network without any has not.
    made, made_outputs = _weights(parts.generator) or _measured(generator)
    judged, judged_outputs = _weights(parts.critic) or _measured(critic)
    # Real samples and generated ones are scored, and what layers put out is kept for the gradient.
    per_sample = _FLOAT * _entries(settings, layout) + _HALF * (made_outputs + 2 * judged_outputs / hparams.packing)
    averaged = _FLOAT * made if settings.ema_decay else 0
    return Need(
        generator=_kept(parts.generator_optimizer, made) + averaged,
        critic=_kept(parts.critic_optimizer, judged),
        sample=per_sample,
    )


def refuse_larger_networks(
    settings: Settings,
    layout: Layout,
    condition_size: int,
    stored: Mapping[str, Tensor],
    directory: Path,
    own: Mapping[str, Any] | None = None,
) -> None:
    """Refuse samples for which networks would have more weights than a checkpoint holds, before these are made.

    What a run keeps of its data can be edited by hand, and says how large a sample is.

    Args:
        settings: The run's settings.
        layout: What a sample is, by what the run keeps of its data.
        condition_size: Entries of what a sample is asked for by, likewise.
        stored: The tensors of a checkpoint, by name.
        directory: The run, for the message.
        own: Objects of the user's own, by setting.

    Raises:
        CheckpointError: There are more.
    """
    held = {
        player: sum(tensor.numel() for name, tensor in stored.items() if name.startswith(f"{player}."))
        for player in ("generator", "critic")
    }
    # A network of fully connected layers has many weights for each number of a sample: most need not be counted.
    if _PLENTY * (layout.size + condition_size) <= held["generator"]:
        return
    need = need_of(dataclasses.replace(settings, ema_decay=0.0), layout, condition_size, own)
    counted = {"generator": need.generator, "critic": need.critic}
    for player, count in counted.items():
        # Of each weight there are at least the weight itself and its gradient.
        if count > _MOST_KEPT * _FLOAT * held[player]:
            raise CheckpointError(
                f"the {player} of '{directory}' would be larger than the one in its checkpoint: a sample of its "
                f"source.json has {layout.size:,} numbers",
                remedy="Restore source.json from a copy.",
            )


def _entries(settings: Settings, layout: Layout) -> int:
    """Numbers of a sample's noise, of the sample, and of the real one beside it."""
    return settings.latent_dim + 2 * layout.size


def _weights(network: Architecture) -> tuple[float, float] | None:
    """Weights of a module of the user's own, and nothing of what its layers put out; None of any other network."""
    if not isinstance(network, OwnNetwork):
        return None
    return float(sum(weight.numel() for weight in network.module.parameters() if not is_lazy(weight))), 0.0


def refuse_what_cannot_fit(
    settings: Settings, layout: Layout, condition_size: int = 0, own: Mapping[str, Any] | None = None
) -> None:
    """Refuse a game that needs more memory than there is.

    Args:
        settings: The run's settings.
        layout: What a sample of the data is.
        condition_size: Entries of what a sample is asked for by.
        own: Objects of the user's own, by setting.

    Raises:
        UsageError: It does, or asks for more threads than can be started; the setting to change is named.
    """
    if settings.threads > 1:
        _refuse_threads(settings.threads)
    room = _room(settings)
    if room is None:
        return
    batch = _FLOAT * settings.batch_size * _entries(settings, layout)
    # A batch that is itself too large need not wait for networks that are sized by it.
    need = need_of(settings, layout, condition_size, own) if batch <= room else Need(generator=0, critic=0, sample=0)
    total = max(batch, need.total(settings.batch_size))
    if total <= room:
        return
    said = f"needs at least {in_words(total)} of memory, of which {in_words(room)} can be had"
    for name, value in _modest(settings).items():
        other = _with(settings, {name: value})
        counted = need_of(other, layout, condition_size, own)
        if counted.total(other.batch_size) <= room:
            most = int((room - counted.generator - counted.critic) // counted.sample)
            remedy = f"A batch_size of {most:,} or less would do." if name == "batch_size" else f"Use a smaller {name}."
            raise UsageError(f"{name} {_shown(settings, name)} {said}", remedy=remedy)
    changed: dict[str, Any] = {}
    for name, value in _modest(settings).items():
        changed[name] = value
        other = _with(settings, changed)
        if need_of(other, layout, condition_size, own).total(other.batch_size) <= room:
            named = " with ".join(f"{name} {_shown(settings, name)}" for name in changed)
            raise UsageError(f"{named} {said}", remedy="Use smaller ones.")
    raise UsageError(f"the networks, of samples of {layout.size:,} numbers, {said}", remedy="Use smaller networks.")


def _refuse_threads(count: int) -> None:
    """Refuse more threads than the system starts: the library that starts them would end the process."""
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
    """What may be too large, with a value in place of its own that no machine finds large."""
    counts = {"batch_size": _FEW, "packing": 1, "latent_dim": _MODEST_NOISE}
    found: dict[str, int | str] = {name: value for name, value in counts.items() if value < getattr(settings, name)}
    # A word without its parameters is the network as its table has it.
    words = {name: getattr(settings, name).partition(":") for name in ("generator", "critic")}
    return found | {name: word for name, (word, colon, _) in words.items() if colon and word != OWN}


def _with(settings: Settings, values: Mapping[str, Any]) -> Settings:
    """The settings with other values, and with packs that are no larger than a batch."""
    other = dataclasses.replace(settings, **values)
    return dataclasses.replace(other, packing=min(other.packing, other.batch_size))


def _shown(settings: Settings, name: str) -> str:
    value = getattr(settings, name)
    return f"{value:,}" if isinstance(value, int) else f"'{value}'"


def _room(settings: Settings) -> int | None:
    """Bytes free on the device of the game, None where that is unknown."""
    if settings.device != "cpu" and torch.cuda.is_available():
        # What others hold there now may be free in a moment.
        return int(torch.cuda.mem_get_info()[1])
    return available()


def _measured(build: Callable[[], tuple[nn.Module, tuple[Tensor, ...]]]) -> tuple[float, float]:
    """Weights of a network, and numbers that its layers put out for each sample."""
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
        # A network that cannot be built or walked without numbers counts as far as it came.
        return float(weights), 0.0
    return float(weights), sum(counts) / _FEW


def _kept(optimizer: Optimizer, weights: float) -> float:
    """Bytes of so many weights, their gradients and what the optimiser keeps."""
    trial = optimizer.build([nn.Parameter(torch.zeros(_FEW))])
    slots = trial.initialised_slots()[0].values() if isinstance(trial, FunctionalOptimizer) else ()
    return _FLOAT * weights * (2 + sum(value.numel() == _FEW for value in slots))
