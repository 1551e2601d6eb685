"""Build a `Setup` for `train` from data, settings and the user's own objects."""

from __future__ import annotations

import dataclasses
from dataclasses import replace
from typing import Any

from wgan.data import Source, open_data
from wgan.errors import UsageError
from wgan.settings import DataOptions, Settings, check
from wgan.settings.recipes import recipe
from wgan.system.text import counted, did_you_mean
from wgan.training.custom import own_parts, try_out
from wgan.training.factory import REGISTRIES, Parts, build_game, choose_parts, hparams_of
from wgan.training.setup import Setup
from wgan.trust.critic_schedule import schedule_for


def setup(
    data: Any,  # noqa: ANN401 - whatever can be opened
    settings: Settings | None = None,
    *,
    options: DataOptions | None = None,
    **changes: Any,  # noqa: ANN401 - of any setting
) -> Setup:
    """Build the argument of `train`: `for step in train(setup(X, critic=module))`.

    Args:
        data: An array, a tensor, a data frame, a path or a built-in name; or an open `Source`.
        settings: To start from; the recipe for this kind of data if None.
        options: How to read the data; those of `settings` if None.
        changes: Any settings, such as `steps`, `batch_size`, `seed` and `ema_decay`. Objective, constraint,
            networks and optimisers may be objects and modules as `wgan.WGAN` takes them. Modules are copied.

    Returns:
        The setup. `game.draw` generates samples as the networks see them, and `source.codec.decode` decodes them.

    Raises:
        UsageError: Settings or parts that cannot be used.
        DataError: Data that cannot be read or learnt from.

    Example:
        >>> import torch
        >>> from torch import nn
        >>> from wgan import setup, train
        >>> points = torch.randn(500, 2, generator=torch.Generator().manual_seed(0))
        >>> generator, critic = nn.Linear(4, 2), nn.Sequential(nn.Linear(2, 8), nn.ReLU(), nn.Linear(8, 1))
        >>> built = setup(points, generator=generator, critic=critic, latent_dim=4, batch_size=32, steps=3)
        >>> [step.number for step in train(built)]
        [1, 2, 3]
    """
    known = [item.name for item in dataclasses.fields(Settings) if item.name not in ("data", "recipe", "input")]
    if unknown := [name for name in changes if name not in known]:
        raise UsageError(f"there is no setting {unknown[0]!r}", remedy=did_you_mean(unknown[0], known))
    seed = changes.pop("seed", settings.seed if settings is not None else 0)
    check(replace(settings or Settings(), seed=seed))
    read = options or (settings.input if settings is not None else DataOptions())
    source: Source = data if hasattr(data, "sample") and hasattr(data, "codec") else open_data(data, read, seed=seed)
    start = settings or recipe(source.codec.kind)
    if settings is None:
        start = with_fitting_batch(start, source, shrink=True)
    own = own_parts({name: changes.pop(name) for name in REGISTRIES if name in changes})
    chosen = replace(start, data=f"<{type(data).__name__}>", input=read, seed=seed, **{**changes, **own.words})
    check(chosen)
    built = build_setup(with_fitting_batch(chosen, source), source, choose_parts(chosen, own.parts))
    try_out(built, own)
    return built


def with_fitting_batch(settings: Settings, source: Source, *, shrink: bool = False) -> Settings:
    """The settings with a batch size of at most the samples to train on.

    Raises:
        UsageError: The batch size is larger, and does not shrink.
    """
    if source.size is None or settings.batch_size <= source.size:
        return settings
    if shrink:
        return replace(settings, batch_size=source.size)
    raise UsageError(
        f"batch_size {settings.batch_size:,} is more than '{source.name}' has to train on: "
        f"{counted(source.size, 'sample')}",
        remedy=f"The largest batch size is {source.size}.",
    )


def build_setup(settings: Settings, source: Source, parts: Parts | None = None) -> Setup:
    """Build a `Setup` from settings and open data.

    Args:
        settings: Of the run.
        source: The data.
        parts: Objective, constraint, architectures and optimisers; built from the settings if None.

    Raises:
        UsageError: Unknown words, or parts that do not fit one another or the data.
    """
    parts, hparams = parts or choose_parts(settings), hparams_of(settings)
    size = 0 if source.conditions is None else source.conditions.size
    game = build_game(settings, source.codec.layout, size, parts)
    return Setup(game, source, parts.objective, parts.constraint, hparams, schedule_for(hparams))
