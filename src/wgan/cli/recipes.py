"""`wgan recipes`: what can be named in the settings."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from wgan.cli.main import say
from wgan.cli.options import Group, parse


@dataclass(frozen=True, kw_only=True)
class RecipesOptions:
    """`wgan recipes` has no options."""


def run(words: Sequence[str]) -> int:
    """Answer `wgan recipes`."""
    description = "List the named recipes, and what each setting may be with its parameters and their defaults."
    parse(words, [Group(title="recipes", kind=RecipesOptions)], command="recipes", description=description)
    from wgan.settings.recipes import RECIPES
    from wgan.training.factory import REGISTRIES

    say("recipes (wgan train DATA --recipe NAME):")
    for name, recipe in RECIPES.items():
        data = f" [{recipe.settings.data}]" if recipe.settings.data else ""
        say(f"  {name:14} {recipe.line}{data}")
    tables = {id(catalog): catalog for catalog in REGISTRIES.values()}
    for key, catalog in tables.items():
        options = " or ".join(f"--{name.replace('_', '-')}" for name in REGISTRIES if id(REGISTRIES[name]) == key)
        say(f"\n{catalog.noun}s ({options}), with their defaults:")
        for text, line in catalog.describe():
            say(f"  {text}\n      {line}")
    return 0
