"""Write docs/reference.md from the tables that the program itself reads: `make docs`.

With `--check` nothing is written, and the exit code says whether the file is current.
"""

from __future__ import annotations

import dataclasses
import re
import sys
import typing
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, Literal

from floors import picture

from wgan.data.names import BUILT_IN
from wgan.divergences import DIVERGENCES
from wgan.divergences.table import COLUMNS, listing
from wgan.errors import WganError
from wgan.kernels import KERNELS
from wgan.settings import DataOptions, Settings
from wgan.settings.recipes import RECIPES
from wgan.settings.registry import Registry
from wgan.training.factory import REGISTRIES
from wgan.trust.evidence import FIELDS
from wgan.trust.symptoms import SYMPTOMS

REFERENCE = Path(__file__).parent / "reference.md"
ARCHITECTURE = Path(__file__).parent / "architecture.md"
OPENING = """# Reference

Written by `make docs` from the tables that the program reads; do not edit."""

# Codes that no error of the project's family carries.
OTHER_CODES = {
    0: "Done.",
    1: "Anything else: a fault of the program. `--debug` shows where.",
    130: "Interrupted (Ctrl-C) before there was anything to save.",
    138: "Ended by SIGUSR1 before there was anything to save.",
    141: "Nobody reads the output any more.",
    143: "Terminated (SIGTERM) before there was anything to save.",
}


def table(titles: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table in Markdown."""
    lines = [titles, ["---"] * len(titles), *rows]
    return "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines)


def spell(value: object) -> str:
    """A default as a settings file would have it."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, tuple):
        return f"[{', '.join(map(spell, value))}]"
    return f'"{value}"' if isinstance(value, str) else str(value)


def kinds(hint: object) -> str:
    """What a field may hold."""
    if typing.get_origin(hint) is Literal:
        return ", ".join(f"`{value}`" for value in typing.get_args(hint))
    if typing.get_origin(hint) is tuple:
        return "list"
    names = {"int": "whole number", "float": "number", "bool": "`true`, `false`", "str": "text"}
    name = getattr(hint, "__name__", str(hint))
    return names.get(name, name)


def settings_table(settings: type) -> str:
    """Each field of a settings class: name, what it may hold, default, meaning."""
    hints = typing.get_type_hints(settings)
    rows = []
    for field in dataclasses.fields(settings):
        if dataclasses.is_dataclass(hints[field.name]):
            continue
        meaning = field.metadata["meaning"]
        rows.append([f"`{field.name}`", kinds(hints[field.name]), f"`{spell(field.default)}`", meaning])
    return table(["setting", "takes", "default", "meaning"], rows)


def registry_table(registry: Registry[Any]) -> str:
    """The rows of a registry, with their defaults."""
    rows = [[f"`{text}`", line] for text, line in registry.describe()]
    return table(["name, with its defaults", "meaning"], rows)


def registry_sections() -> list[str]:
    """Each registry once, with the settings that name its rows."""
    users: dict[str, list[str]] = {}
    for setting, registry in REGISTRIES.items():
        users.setdefault(registry.noun, []).append(setting)
    sections = []
    for noun, settings in users.items():
        taken = " and ".join(f"`{setting}`" for setting in settings)
        sections += [f"### {noun.capitalize()}", f"Value of {taken}.", registry_table(REGISTRIES[settings[0]])]
    return sections


def errors(family: type[WganError]) -> list[type[WganError]]:
    """A family of errors and all its descendants."""
    return [family, *(one for child in family.__subclasses__() for one in errors(child))]


def exit_codes() -> str:
    """The exit codes of the command line, from the errors that carry them."""
    found: dict[int, list[str]] = {}
    for error in errors(WganError):
        if error.__module__ == WganError.__module__ and error is not WganError:
            found.setdefault(error.exit_code, []).append((error.__doc__ or "").splitlines()[0])
    rows = {code: " ".join(lines) for code, lines in found.items()} | OTHER_CODES
    return table(["code", "meaning"], [[str(code), rows[code]] for code in sorted(rows)])


def divergence_table() -> str:
    """The f-divergences: word, formulas and numbers, and what each is."""
    lines = [line for _, line in DIVERGENCES.describe()]
    rows = [[f"`{word}`", *cells, line] for (word, *cells), line in zip(listing(), lines, strict=True)]
    return table([*COLUMNS, "what"], rows)


def evidence_table() -> str:
    """The numbers that a diagnosis of the critic records: name, unit and meaning."""
    rows = [[f"`{name}`", field["unit"], field["meaning"]] for name, field in FIELDS.items()]
    return table(["number", "unit", "meaning"], rows)


def symptom_table() -> str:
    """The symptoms that a verdict depends on: name and meaning."""
    return table(["symptom", "meaning"], [[f"`{name}`", symptom.meaning] for name, symptom in SYMPTOMS.items()])


def reference() -> str:
    """The whole file."""
    recipes = [
        [f"`{name}`", f"`{recipe.settings.data}`" if recipe.settings.data else "any", recipe.line]
        for name, recipe in RECIPES.items()
    ]
    sections = [
        OPENING,
        "## Recipes",
        table(["recipe", "data", "for"], recipes),
        "## Built-in data",
        table(["name", "what"], [[f"`{name}`", line] for name, line in BUILT_IN.items()]),
        "## Choices",
        "A choice is a name, or a name with parameters: `penalty:weight=0.1,one_sided=true`.",
        *registry_sections(),
        "## f-divergences",
        "D(P‖Q) = ∫ q f(p/q) in nats, P the data and Q the model. The conjugate f\\*(t) = sup over u ≥ 0 of t u − f(u) "
        "is +∞ outside its domain; f'(1) is the threshold of t between real and fake; near P = Q a divergence rises by "
        "f''(1)/2 times χ²; the last number is its value on disjoint supports. `wgan divergences` prints the table; "
        "`wgan.divergences` computes with it.",
        divergence_table(),
        "## Kernels",
        "Value of `kernel` in `mmd:kernel=laplacian`; `wgan.kernels` has their classes.",
        registry_table(KERNELS),
        "## Settings",
        settings_table(Settings),
        "### How data is read",
        "In a settings file these stand in the table `[input]`.",
        settings_table(DataOptions),
        "## Evidence on the critic",
        "Numbers of a diagnosis in `metrics.jsonl`. A number is left out where it cannot be computed.",
        evidence_table(),
        "### Symptoms",
        "Numbers that the verdict depends on: medians over the latest diagnoses, unless the meaning says otherwise.",
        symptom_table(),
        "## Exit codes",
        exit_codes(),
    ]
    return "\n\n".join(sections) + "\n"


def architecture() -> str:
    """The text of the architecture page, its picture of the floors renewed."""
    text = ARCHITECTURE.read_text(encoding="utf-8")
    return re.sub(r"(?<=<!-- floors -->\n).*?(?=<!-- /floors -->)", f"```\n{picture()}\n```\n", text, flags=re.DOTALL)


def main() -> int:
    """Write the generated pages, or check them."""
    stale = 0
    for path, text in ((REFERENCE, reference()), (ARCHITECTURE, architecture())):
        if "--check" not in sys.argv[1:]:
            path.write_text(text, encoding="utf-8")
        elif not path.exists() or path.read_text(encoding="utf-8") != text:
            print(f"{path.name} is not current: run `make docs` and commit it", file=sys.stderr)
            stale = 1
    return stale


if __name__ == "__main__":
    sys.exit(main())
