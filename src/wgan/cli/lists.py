"""`wgan recipes` and `wgan divergences`: what a setting can name."""

from __future__ import annotations

import json
import math
import textwrap
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from wgan.cli.options import Group, arg, parse
from wgan.cli.streams import say

if TYPE_CHECKING:
    from wgan.divergences import Divergence

_CELL_WIDTH = 24
"""Longer formulas are wrapped, so that the table fits into 120 columns."""

_NOTES = """
f* is +∞ outside its domain. f'(1) is the threshold of t between real and fake. Near P = Q, each divergence is f''(1)/2
times χ². The last column is its value for disjoint supports. Parameters have their defaults here; another value is
written as in weighted_jensen_shannon:pi=0.3. jensen_shannon is twice the usual JS; weighted_jensen_shannon with pi=0.5
is the usual one."""


@dataclass(frozen=True, kw_only=True)
class RecipesOptions:
    """`wgan recipes` has no options."""


@dataclass(frozen=True, kw_only=True)
class DivergencesOptions:
    """Options of `wgan divergences`."""

    json: bool = arg("Print one JSON list instead of a table.", False)


def recipes(words: Sequence[str]) -> int:
    """Run `wgan recipes`."""
    description = "List the recipes, and the objectives, constraints, networks and optimisers with their defaults."
    parse(words, [Group(title="recipes", dataclass=RecipesOptions)], command="recipes", description=description)
    from wgan.settings.recipes import RECIPES
    from wgan.training.factory import REGISTRIES

    say("recipes (wgan train DATA --recipe NAME):")
    for name, recipe in RECIPES.items():
        data = f" [{recipe.settings.data}]" if recipe.settings.data else ""
        say(f"  {name:14} {recipe.line}{data}")
    for key, registry in {id(registry): registry for registry in REGISTRIES.values()}.items():
        options = " or ".join(f"--{name.replace('_', '-')}" for name in REGISTRIES if id(REGISTRIES[name]) == key)
        say(f"\n{registry.noun}s ({options}), with their defaults:")
        for text, line in registry.describe():
            say(f"  {text}\n      {line}")
    return 0


def divergences(words: Sequence[str]) -> int:
    """Run `wgan divergences`."""
    group = Group(title="display", dataclass=DivergencesOptions)
    description = "List the f-divergences: f, its conjugate f*, the domain of f*, and the threshold f'(1)."
    (options,) = parse(words, [group], command="divergences", description=description)
    from wgan.divergences import DIVERGENCES
    from wgan.divergences.table import COLUMNS, listing

    if options.json:
        print(json.dumps([_facts(DIVERGENCES.build(name)) for name in DIVERGENCES]))
        return 0
    say("D(P‖Q) = ∫ q f(p/q), P the data, Q the model, natural logarithms; f*(t) = sup over u ≥ 0 of t u − f(u)\n")
    for line in _table([COLUMNS, *listing()]):
        say(line)
    say(_NOTES)
    return 0


def _table(rows: Sequence[Sequence[str]]) -> Iterator[str]:
    """The rows as lines in columns; long cells are wrapped."""
    wrapped = [[_wrapped(cell) for cell in row] for row in rows]
    widths = [max(len(line) for cell in column for line in cell) for column in zip(*wrapped, strict=True)]
    for row in wrapped:
        for number in range(max(map(len, row))):
            cells = [cell[number] if number < len(cell) else "" for cell in row]
            yield "  ".join(cell.ljust(width) for cell, width in zip(cells, widths, strict=True)).rstrip()


def _wrapped(cell: str) -> list[str]:
    if len(cell) <= _CELL_WIDTH:
        return [cell]
    return textwrap.wrap(cell.replace(":", ": "), _CELL_WIDTH, break_long_words=False, break_on_hyphens=False)


def _facts(divergence: Divergence) -> dict[str, Any]:
    """A divergence as plain JSON; infinity, which JSON lacks, is the text "inf"."""
    return {
        "name": divergence.name,
        "parameters": asdict(divergence),  # type: ignore[call-overload]
        "f": divergence.f_text,
        "conjugate": divergence.conjugate_text,
        "domain": asdict(divergence.domain) | {"upper": _number(divergence.domain.upper)},
        "threshold": divergence.threshold,
        "curvature": divergence.curvature,
        "disjoint": _number(divergence.disjoint),
    }


def _number(value: float) -> float | str:
    return "inf" if value == math.inf else value
