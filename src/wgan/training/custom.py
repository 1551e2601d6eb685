"""The user's own objects and modules as parts: their names in files, and a trial before training."""

from __future__ import annotations

import copy
import functools
import hashlib
import re
import shlex
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from wgan.batch import Batch, Layout
from wgan.constraints import Constraint
from wgan.errors import CheckpointError, UsageError, WganError
from wgan.networks import OwnNetwork, refuse_shared
from wgan.optimizers import OwnOptimizer
from wgan.randomness import Randomness
from wgan.settings import Settings
from wgan.settings.registry import OWN
from wgan.system.text import did_you_mean
from wgan.training.batches import CriticBatch, GeneratorBatch, generate, with_loss_draws
from wgan.training.factory import REGISTRIES
from wgan.training.losses import critic_loss, generator_loss
from wgan.training.setup import Setup

_ROWS = 4


@dataclass(frozen=True)
class Own:
    """The user's own parts.

    Attributes:
        words: The settings for what was given, by setting: the words of the registry that build an equal object, or
            "own:class=NAME,digest=..." for any other.
        parts: The objects of the latter kind, by setting.
    """

    words: Mapping[str, Any] = field(default_factory=dict)
    parts: Mapping[str, Any] = field(default_factory=dict)

    def check(self, settings: Settings, *, where: str) -> None:
        """Check that these are the objects that a run was started with.

        Args:
            settings: Of the run.
            where: The run's directory.

        Raises:
            UsageError: An object of the run was not given; the remedy says how to give it.
            CheckpointError: An object has another class, or other parameters or layers.
        """
        named = {setting: getattr(settings, setting) for setting in REGISTRIES}
        needed = {setting: word for setting, word in named.items() if is_own(word)}
        if missing := {setting: _class_of(word) for setting, word in needed.items() if setting not in self.words}:
            raise _missing(missing, where, in_memory=settings.data.startswith("<"))
        differences = [
            f"{setting}: {word}, was {named[setting]}" for setting, word in self.words.items() if word != named[setting]
        ]
        if differences:
            raise CheckpointError(
                f"the parts that were given are not those of the run in '{where}': {'; '.join(differences)}",
                remedy="Give the same classes with the same layers and parameters (the digest is of what repr shows).",
            )


NO_PARTS = Own()


def is_own(word: str) -> bool:
    """Whether a setting is a user's own object."""
    return word.partition(":")[0].strip() == OWN


def own_parts(given: Mapping[str, Any]) -> Own:
    """Prepare the user's own parts. Modules are copied, so that training does not change the user's.

    Args:
        given: By setting ("objective", "constraint", "generator", "critic", "generator_optimizer", "critic_optimizer"):
            an object with the methods of its registry's classes, an `nn.Module` for a network, or a function of
            parameters for an optimiser. A text is taken as the setting.

    Raises:
        UsageError: Objects that cannot be used, one line each; or two modules that share a tensor.
    """
    words: dict[str, str] = {}
    parts: dict[str, Any] = {}
    faults = []
    generator, critic = given.get("generator"), given.get("critic")
    if isinstance(generator, nn.Module) and isinstance(critic, nn.Module):
        refuse_shared(generator, critic)
    for setting, value in given.items():
        if setting not in REGISTRIES:
            raise UsageError(f"there is no part {setting!r}", remedy=did_you_mean(setting, REGISTRIES))
        if isinstance(value, str):
            words[setting] = value
            continue
        if fault := fault_of(setting, value):
            faults.append(f"{setting} {fault}")
            continue
        words[setting] = REGISTRIES[setting].word_of(value) or _word_of(value)
        if is_own(words[setting]):
            parts[setting] = _prepared(value)
    if faults:
        raise UsageError("\n".join(faults))
    return Own(words=words, parts=parts)


def fault_of(setting: str, value: Any) -> str:  # noqa: ANN401 - whatever the user gave
    """What is wrong with an object for a setting; empty if it can be used."""
    registry = REGISTRIES[setting]
    is_optimizer, is_network = setting.endswith("_optimizer"), setting in ("generator", "critic")
    if is_network and isinstance(value, nn.Module):
        return ""
    if is_optimizer and isinstance(value, torch.optim.Optimizer):
        return (
            "must be what makes an optimiser of parameters, not an optimiser of parameters that are not trained here: "
            f"functools.partial(torch.optim.{type(value).__name__}, lr=...)"
        )
    if is_optimizer and callable(value) and registry.fault(value):
        return ""
    if isinstance(value, type):
        return f"must be an object, not the class {value.__name__}: give {value.__name__}()"
    if lack := registry.fault(value):
        also = " or an nn.Module" if is_network else " or a function of parameters" if is_optimizer else ""
        what = f"{type(value).__name__} {lack}" if type(value).__module__ != "builtins" else f"not {value!r}"
        return f"must be a word or an object of the kind that its table has{also}; {what}"
    return ""


def _prepared(value: Any) -> Any:  # noqa: ANN401
    """The part itself: modules and functions are wrapped as classes of their registries."""
    if isinstance(value, nn.Module):
        try:
            return OwnNetwork(copy.deepcopy(value))
        except Exception:
            return OwnNetwork(value)  # building the player copies it again, and reports why that fails
    return OwnOptimizer(value) if callable(value) and not hasattr(value, "build") else value


def _word_of(value: Any) -> str:  # noqa: ANN401
    """The setting for a user's own object: its class, and a digest of its `repr`."""
    kind = value.func if isinstance(value, functools.partial) else value
    name = kind.__name__ if hasattr(kind, "__name__") else type(kind).__name__
    # Memory addresses differ in each process.
    shown = re.sub(r" at 0x[0-9a-fA-F]+", "", repr(value))
    digest = hashlib.blake2b(shown.encode("utf-8", "backslashreplace"), digest_size=4).hexdigest()
    return f"{OWN}:class={re.sub(r'[^A-Za-z0-9_]', '', name) or 'object'},digest={digest}"


def _class_of(word: str) -> str:
    return word.partition("class=")[2].partition(",")[0]


def _missing(missing: Mapping[str, str], where: str, *, in_memory: bool) -> UsageError:
    parts = ", ".join(f"{setting.replace('_', ' ')} ({name})" for setting, name in missing.items())
    named = ", ".join(f"{setting}=..." for setting in missing)
    how = _resumed(missing, where, in_memory=in_memory)
    return UsageError(
        f"the run in '{where}' was trained with parts of the user's own, which no file holds: {parts}",
        remedy=f"Give them in Python. To sample: WGAN.load({where!r}, {named}). To go on: {how}. "
        f"To end it: wgan.finish({where!r}, parts={{...}}).",
    )


def _resumed(settings: Iterable[str], where: str, *, in_memory: bool) -> str:
    given = ", ".join(f"{setting!r}: ..." for setting in settings)
    data = ", source=open_data(...)" if in_memory else ""
    return f"with wgan.resume({where!r}{data}, parts={{{given}}}) as run: list(run.run())"


def how_to_go_on(settings: Settings, directory: Path) -> str:
    """How to resume a run that has stopped: a command, or Python code for a run with the user's own parts.

    Args:
        settings: Of the run.
        directory: Of the run.
    """
    own = [setting for setting in REGISTRIES if is_own(getattr(settings, setting))]
    if not own:
        return f"wgan train --resume {shlex.quote(str(directory))}"
    return f"in Python, {_resumed(own, str(directory), in_memory=settings.data.startswith('<'))}"


def try_out(setup: Setup, own: Own) -> None:
    """Compute both losses and their gradients on a few random rows, so that parts that do not work fail at once.

    Args:
        setup: Not changed.
        own: The parts of the user's own; without any, nothing is tried.

    Raises:
        UsageError: A loss that fails, is not finite, or has no gradient.
    """
    if not own.parts:
        return
    named = " and ".join(f"{setting} {_class_of(own.words[setting])}" for setting in own.parts)
    what = f"a trial of your own parts ({named}) on a few random rows failed"
    try:
        with setup.game.engine.limits(), setup.game.preserved():
            fault = _fault_of_trial(setup.at(0))
    except WganError:
        raise
    except Exception as error:
        lines = " ".join(str(error).split())
        raise UsageError(f"{what}: {type(error).__name__}: {lines}") from error
    if fault:
        raise UsageError(f"{what}: {fault}")


def _fault_of_trial(setup: Setup) -> str:
    """What is wrong with the losses on a few random rows; empty if nothing."""
    game, constraint = setup.game, setup.constraint
    hash(constraint)
    num = setup.hparams.packing * max(_ROWS, setup.objective.fewest)
    rng = Randomness(0).at("rows of a trial")
    rows = game.engine.batch_to_device(_rows(setup.source.codec.layout, num, game.generator.given.size, rng))
    batch = CriticBatch(setup.pack(rows), game.prior.sample(num, rng), rows.condition)
    with torch.no_grad():
        fake = generate(setup, batch.noise, batch.condition)
    loss, estimate = critic_loss(setup, with_loss_draws(setup, batch, 0), fake)
    if fault := _fault_of(loss, game.critic, "critic"):
        return fault
    if not isinstance(estimate, Tensor) or estimate.dim():
        return "the estimate is not a tensor without axes (a mean)"
    real = batch.real if setup.objective.generator_sees_real else None
    fake = generate(setup, batch.noise, batch.condition)
    loss = generator_loss(setup, GeneratorBatch(batch.noise, batch.condition, real), fake)
    if fault := _fault_of(loss, game.generator, "generator"):
        return fault
    if next(game.critic.parameters(), None) is not None:
        _project(constraint, game.critic)
    return ""


def _project(constraint: Constraint, critic: nn.Module) -> None:
    constraint.project(copy.deepcopy(critic))
    constraint.projected([weight.detach().clone() for weight in critic.parameters()])


def _fault_of(loss: object, player: nn.Module, who: str) -> str:
    """What is wrong with a player's loss; empty if nothing."""
    if not isinstance(loss, Tensor) or loss.dim():
        found = f"shape {tuple(loss.shape)}" if isinstance(loss, Tensor) else type(loss).__name__
        return f"the {who}'s loss must be a tensor without axes (a mean), not {found}"
    if not bool(loss.isfinite()):
        return f"the {who}'s loss is {loss.item()}"
    weights = list(player.parameters())
    if not weights:
        return ""
    if not loss.requires_grad:
        return f"the {who}'s loss has no gradient: something in it was detached, or made of numbers"
    gradients = torch.autograd.grad(loss, weights, allow_unused=True)
    if all(gradient is None for gradient in gradients):
        return f"the {who}'s loss does not depend on the {who}"
    if not all(gradient is None or bool(gradient.isfinite().all()) for gradient in gradients):
        return f"the gradient of the {who}'s loss is not finite"
    return ""


def _rows(layout: Layout, num: int, condition_size: int, rng: torch.Generator) -> Batch:
    """Random samples in the range of the data, and conditions."""
    values = torch.randn(num, *layout.shape, generator=rng)
    values = values.tanh() if layout.bounded else values
    for start, stop in layout.groups:
        values[:, start:stop] = values[:, start:stop].softmax(dim=1)
    return Batch(values, torch.rand(num, condition_size, generator=rng) if condition_size else None)
