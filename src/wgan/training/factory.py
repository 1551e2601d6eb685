"""Build networks, optimisers, objective and constraint from the names in the settings."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

from torch import nn

from wgan.batch import Layout
from wgan.constraints import CONSTRAINTS, Constraint
from wgan.errors import UsageError
from wgan.networks import NETWORKS, Architecture, Critic, Generator, OwnNetwork, given_to
from wgan.objectives import OBJECTIVES, Objective
from wgan.optimizers import OPTIMIZERS, Optimizer
from wgan.randomness import Randomness
from wgan.settings import Settings
from wgan.settings.registry import Registry
from wgan.training.engine import choose_engine
from wgan.training.game import Game, Prior
from wgan.training.hyperparameters import Hyperparameters

REGISTRIES: dict[str, Registry] = {  # type: ignore[type-arg]
    "objective": OBJECTIVES,
    "constraint": CONSTRAINTS,
    "generator": NETWORKS,
    "critic": NETWORKS,
    "generator_optimizer": OPTIMIZERS,
    "critic_optimizer": OPTIMIZERS,
}
"""Setting to the registry of its parts."""


@dataclass(frozen=True, kw_only=True)
class Parts:
    """The objects that the settings name."""

    objective: Objective
    constraint: Constraint
    generator: Architecture
    critic: Architecture
    generator_optimizer: Optimizer
    critic_optimizer: Optimizer

    @property
    def has_own_network(self) -> bool:
        """Whether a player is a user's own module."""
        return isinstance(self.generator, OwnNetwork) or isinstance(self.critic, OwnNetwork)


def choose_parts(settings: Settings, own: Mapping[str, Any] | None = None) -> Parts:
    """Build the parts that the settings name.

    Args:
        settings: The run's settings.
        own: The user's own objects, by setting, from `wgan.training.custom.own_parts`.

    Raises:
        UsageError: Unknown names or parameters, and own objects that were not given: all of them, one line each.
    """
    parts, faults = _parts_and_faults(settings, own)
    errors = list(faults.values())
    if len(errors) == 1:
        raise errors[0]
    if errors:
        lines = [f"  {error.in_full}" for error in errors]
        raise UsageError("\n".join([f"{len(errors)} settings cannot be used:", *lines]))
    return Parts(**parts)


def word_faults(settings: Settings, own: Mapping[str, Any] | None = None) -> dict[str, UsageError]:
    """What is wrong with the names of parts in the settings.

    Args:
        settings: Any settings.
        own: As for `choose_parts`.

    Returns:
        Setting to the error of its registry; empty if all can be used.
    """
    return _parts_and_faults(settings, own)[1]


def _parts_and_faults(
    settings: Settings, own: Mapping[str, Any] | None
) -> tuple[dict[str, Any], dict[str, UsageError]]:
    """The parts that can be built, and the errors of the others, by setting."""
    parts: dict[str, Any] = {}
    faults: dict[str, UsageError] = {}
    for setting, registry in REGISTRIES.items():
        word: object = getattr(settings, setting)
        try:
            if not isinstance(word, str):
                raise UsageError(f"{setting} must be a text, not {word!r}")
            parts[setting] = own[setting] if own and setting in own else registry.build(word)
        except UsageError as error:
            faults[setting] = error
    return parts, faults


def build_game(settings: Settings, layout: Layout, condition_size: int = 0, parts: Parts | None = None) -> Game:
    """Build networks, optimisers and engine; the initial weights follow from the seed.

    Args:
        settings: The run's settings.
        layout: Of the data.
        condition_size: Entries of a condition; 0 for an unconditional game.
        parts: What the settings name; built from them if None.

    Raises:
        UsageError: Unknown names, or parts that do not fit one another or the data.
    """
    parts, hparams = parts or choose_parts(settings), hparams_of(settings)
    streams = Randomness(settings.seed)
    to_generator, to_critic = given_to(settings.conditioning, condition_size)
    with streams.as_global("initial weights of the generator"):
        generator = parts.generator.generator(settings.latent_dim, layout, to_generator)
    with streams.as_global("initial weights of the critic"):
        critic = parts.critic.critic(
            layout.packed(hparams.packing), parts.objective.critic_outputs, to_critic.packed(hparams.packing)
        )
        parts.objective.check(critic, parts.constraint)
        parts.constraint.attach(critic)
        critic = parts.objective.attach(critic)
    _refuse_what_needs_weights(hparams, critic)
    _refuse_small_batches(hparams, parts.objective, generator, critic)
    # A user's own modules run in contiguous layout and float32 unless another precision is requested.
    is_ours = not parts.has_own_network
    engine = choose_engine(
        device=settings.device,
        precision=settings.precision if is_ours or settings.precision != "auto" else "float32",
        engine=settings.engine,
        threads=settings.threads,
        convolutional=is_ours and (_has_convolutions(generator) or _has_convolutions(critic)),
        num_weights=_count(generator) + _count(critic),
        num_updates=hparams.generator_steps + hparams.critic_steps_before(hparams.generator_steps),
        compilable=is_ours
        and parts.objective.of_scores
        and parts.objective.bfloat16_safe
        and not hparams.unrolled_steps,
    )
    engine.place(generator)
    engine.place(critic)
    return Game(
        generator=generator,
        critic=critic,
        generator_optimizer=parts.generator_optimizer.build(generator.parameters()),
        critic_optimizer=parts.critic_optimizer.build(critic.parameters()),
        prior=Prior(settings.latent_dim, settings.noise),
        seed=settings.seed,
        engine=engine,
        averaged=settings.ema_decay > 0,
    )


def hparams_of(settings: Settings) -> Hyperparameters:
    """The numbers of the training loop."""
    shared = {item.name for item in fields(Hyperparameters)} - {"generator_steps"}
    return Hyperparameters(generator_steps=settings.steps, **{name: getattr(settings, name) for name in shared})


def _refuse_what_needs_weights(hparams: Hyperparameters, critic: Critic) -> None:
    if _count(critic):
        return
    if hparams.unrolled_steps:
        raise UsageError("a critic without weights has no updates to look ahead", remedy="Use --unrolled-steps 0.")
    if hparams.optimality:
        raise UsageError("a critic without weights has no optimum to be trained to", remedy="Use --optimality 0.")
    if hparams.mismatch:
        raise UsageError(
            "a critic without weights cannot learn from samples under wrong conditions", remedy="Use --mismatch 0."
        )


def _refuse_small_batches(hparams: Hyperparameters, objective: Objective, generator: Generator, critic: Critic) -> None:
    """Raise for batches with too few samples, or packs of them, for the losses or for batch norm."""
    packs = hparams.batch_size // hparams.packing
    needs = {
        f"the losses of {objective.title}": (objective.fewest, packs),
        "batch norm in the generator": (_fewest_normed(generator), hparams.batch_size),
        "batch norm in the critic": (_fewest_normed(critic), packs),
    }
    for what, (least, num) in needs.items():
        if num < least:
            packed = f", packed by {hparams.packing}," if hparams.packing > 1 else ""
            raise UsageError(
                f"a batch of {hparams.batch_size}{packed} is too small for {what}",
                remedy=f"Use --batch-size {least * hparams.packing} or more.",
            )


def _fewest_normed(network: nn.Module) -> int:
    """Samples that batch norm needs: one image has many pixels, but one vector has no standard deviation."""
    return 2 if any(isinstance(module, nn.BatchNorm1d) for module in network.modules()) else 1


def _count(network: nn.Module) -> int:
    return sum(weight.numel() for weight in network.parameters())


def _has_convolutions(network: nn.Module) -> bool:
    return any(isinstance(module, nn.Conv2d | nn.ConvTranspose2d) for module in network.modules())
