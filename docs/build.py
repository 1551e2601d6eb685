"""Write the generated docs, docs/reference.md and the floors in docs/architecture.md: `make docs`.

With `--check` nothing is written, and the exit code is 1 if a file is not current.
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

from wgan.data.compression import COMPRESSIONS
from wgan.data.names import BUILT_IN
from wgan.data.tables.formats import TABLE_FORMATS
from wgan.divergences import DIVERGENCES
from wgan.divergences.table import COLUMNS, listing
from wgan.errors import WganError
from wgan.evaluation.metrics import METRICS
from wgan.kernels import KERNELS
from wgan.settings import RESUME_OPTIONS, DataOptions, Settings
from wgan.settings.fields import Range
from wgan.settings.recipes import RECIPES
from wgan.settings.registry import Registry
from wgan.training.factory import REGISTRIES
from wgan.trust.evidence import FIELDS
from wgan.trust.symptoms import SYMPTOMS

REFERENCE = Path(__file__).parent / "reference.md"
ARCHITECTURE = Path(__file__).parent / "architecture.md"
OPENING = """# Reference

Written by `make docs` from the code; do not edit."""

# Exit codes that no subclass of `WganError` has.
OTHER_CODES = {
    0: "Done.",
    1: "Any other error: a bug. `--debug` shows the traceback.",
    130: "Interrupted (Ctrl-C) before the first checkpoint.",
    138: "Ended by SIGUSR1 before the first checkpoint.",
    141: "The reader of the output was closed (SIGPIPE).",
    143: "Terminated (SIGTERM) before the first checkpoint.",
}


def table(titles: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table in Markdown."""
    lines = [titles, ["---"] * len(titles), *rows]
    return "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines)


def spell(value: object) -> str:
    """A default, as it is written in a settings file."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, tuple):
        return f"[{', '.join(map(spell, value))}]"
    return f'"{value}"' if isinstance(value, str) else str(value)


def kinds(hint: object, allowed: Range | None) -> str:
    """The values that a field takes: its type and range."""
    if typing.get_origin(hint) is Literal:
        return ", ".join(f"`{value}`" for value in typing.get_args(hint))
    names = {"int": "whole number", "float": "number", "bool": "`true`, `false`", "str": "text", "tuple": "list"}
    name = getattr(typing.get_origin(hint) or hint, "__name__", str(hint))
    name = names.get(name, name)
    if allowed is None:
        return name
    return f"{name}, {allowed.text}" if "number" not in allowed.text else allowed.text


def settings_table(settings: type) -> str:
    """The fields of a settings class: name, values, default, meaning."""
    hints = typing.get_type_hints(settings)
    rows = []
    for field in dataclasses.fields(settings):
        if dataclasses.is_dataclass(hints[field.name]):
            continue
        values = kinds(hints[field.name], field.metadata["allowed"])
        rows.append([f"`{field.name}`", values, f"`{spell(field.default)}`", field.metadata["meaning"]])
    return table(["setting", "values", "default", "meaning"], rows)


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
    """A class of errors and all its subclasses."""
    return [family, *(one for child in family.__subclasses__() for one in errors(child))]


def exit_codes() -> str:
    """The exit codes of the command line."""
    found: dict[int, list[str]] = {}
    for error in errors(WganError):
        if error.__module__ == WganError.__module__ and error is not WganError:
            found.setdefault(error.exit_code, []).append((error.__doc__ or "").splitlines()[0])
    rows = {code: " ".join(lines) for code, lines in found.items()} | OTHER_CODES
    return table(["code", "meaning"], [[str(code), rows[code]] for code in sorted(rows)])


def metric_table() -> str:
    """The numbers of an evaluation: name, unit, whether lower or higher is better, and what each is."""
    rows = [[f"`{name}`", row.title, row.unit, row.better, row.meaning] for name, row in METRICS.items()]
    return table(["name", "title", "unit", "better", "what"], rows)


def evidence_table() -> str:
    """The numbers of a diagnosis: name, label, unit and meaning."""
    rows = [[f"`{name}`", row["label"], row["unit"], row["meaning"]] for name, row in FIELDS.items()]
    return table(["name", "label", "unit", "meaning"], rows)


def divergence_table() -> str:
    """The f-divergences: name, formulas, numbers and meaning."""
    lines = [line for _, line in DIVERGENCES.describe()]
    rows = [[f"`{word}`", *cells, line] for (word, *cells), line in zip(listing(), lines, strict=True)]
    return table([*COLUMNS, "meaning"], rows)


def table_formats() -> str:
    """The formats of table files: their endings, and whether compressed files are written."""
    rows = [
        [known.name, ", ".join(f"`{ending}`" for ending in known.endings), "yes" if known.compressible else "no"]
        for known in TABLE_FORMATS
    ]
    return table(["format", "endings", "written compressed"], rows)


def symptom_table() -> str:
    """The symptoms that a verdict depends on: name and meaning."""
    return table(["symptom", "meaning"], [[f"`{name}`", symptom.meaning] for name, symptom in SYMPTOMS.items()])


def reference() -> str:
    """The whole file."""
    recipes = [
        [f"`{name}`", f"`{recipe.settings.data}`" if recipe.settings.data else "any", recipe.line]
        for name, recipe in RECIPES.items()
    ]
    in_file = [item.name for item in dataclasses.fields(Settings) if item.metadata["resume"] == "file"]
    by_option = ", ".join(f"`{name}`" for name in RESUME_OPTIONS)
    by_file = ", ".join(f"`{name}`" for name in in_file if name != "input")
    sections = [
        OPENING,
        "## Recipes",
        table(["recipe", "data", "purpose"], recipes),
        "## Built-in data",
        table(["name", "content"], [[f"`{name}`", line] for name, line in BUILT_IN.items()]),
        "## Table files",
        f"Every format is read compressed too ({', '.join(f'`{ending}`' for ending in COMPRESSIONS)}, `.zip`).",
        table_formats(),
        "## Named parts",
        "The value is a name, with or without parameters: `penalty`, `penalty:weight=0.1,one_sided=true`.",
        *registry_sections(),
        "## f-divergences",
        "D(P‖Q) = ∫ q f(p/q) in nats, with P the data and Q the model. The conjugate is f\\*(t) = sup over u ≥ 0 of "
        "t u − f(u), and +∞ outside its domain. f'(1) is the threshold of t between real and fake. Near P = Q a "
        "divergence grows as f''(1)/2 times χ². \"Disjoint\" is its value on disjoint supports. `wgan divergences` "
        "prints the table; `wgan.divergences` has the functions.",
        divergence_table(),
        "## Numbers of an evaluation",
        "A run evaluates its samples by these; `wgan evaluate` and the report show them. Each distance has "
        "its floor (`w1_floor`), the same distance between two sets of real rows. The first distance is the score.",
        metric_table(),
        "## Evidence on the critic",
        "The numbers of a diagnosis. A number that cannot be computed is left out of the record of a run.",
        evidence_table(),
        "### Symptoms",
        "Numbers that the verdict depends on: medians over the latest diagnoses, unless the meaning says otherwise.",
        symptom_table(),
        "## Kernels",
        "Value of `kernel` in `mmd:kernel=laplacian`; `wgan.kernels` has their classes.",
        registry_table(KERNELS),
        "## Settings",
        settings_table(Settings),
        f"A run may be resumed under other values of {by_option}, given with `--resume`, and of {by_file}, "
        "only by editing the run's `settings.toml`. All other settings are fixed.",
        "### How data is read",
        "In a settings file these are in the table `[input]`.",
        settings_table(DataOptions),
        "## Exit codes",
        exit_codes(),
    ]
    return "\n\n".join(sections) + "\n"


def architecture() -> str:
    """The architecture page with the current picture of the floors."""
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
