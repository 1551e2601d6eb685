"""The settings of `wgan train`: a recipe or a file, with the options laid over it."""

from __future__ import annotations

import contextlib
import dataclasses
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from wgan.cli.options import Group, arg, given, help_text, wants_help
from wgan.data.names import BUILT_IN, default_recipe, kind_of
from wgan.errors import UsageError, WganError
from wgan.settings import RESUME_OPTIONS, DataOptions, Settings, from_mapping, problems, read_toml, refuse, seal_of
from wgan.settings.recipes import RECIPES, recipe, recipe_faults
from wgan.system.text import escaped

_DESCRIPTION = (
    "Train a Wasserstein GAN on DATA: a built-in name, an array (.npy, .npz), a table (.csv, .tsv, .parquet, .feather, "
    ".jsonl; text also compressed) or images (a folder, .zip, .tar, IDX, an LMDB folder). The defaults below are those "
    "of the paper. With DATA or --recipe before --help, they are those of its recipe."
)


def resume_flags() -> list[str]:
    """The options that may be given with --resume; DATA, which is an argument, may be given too."""
    return [f"--{name.replace('_', '-')}" for name in RESUME_OPTIONS if name != "data"]


@dataclass(frozen=True, kw_only=True)
class RunOptions:
    """Options of `wgan train` that are no settings of the run."""

    out: Path | None = arg("New directory for the run (default: runs/<data>-<recipe>-<number>).", None)
    settings: Path | None = arg("TOML file to take the settings from, such as a run's settings.toml.", None)
    resume: Path | None = arg(
        f"Resume this run. Only {', '.join(resume_flags())} and --quiet may be given with it, and DATA if the data "
        "has moved. --steps may be more or fewer than planned, but not fewer than are done.",
        None,
    )
    quiet: bool = arg("Print only the run directory.", False)


class Request(NamedTuple):
    """A parsed command line.

    Attributes:
        options: The options that are no settings.
        settings: The settings of the run, or the defaults if a run is resumed.
        given: The values that were given on the command line, by field.
    """

    options: RunOptions
    settings: Settings
    given: Mapping[str, Any]

    @property
    def has_batch_size(self) -> bool:
        """Whether the user chose the batch size, on the command line or in a file."""
        path = self.options.settings
        return "batch_size" in self.given or (path is not None and "batch_size" in read_toml(path))


def read(words: Sequence[str]) -> Request:
    """Read the words of `wgan train`.

    Raises:
        UsageError: Words or a file that cannot be used, with all faults listed.
        SystemExit: After printing the help, if `--help` is among the words.
    """
    if wants_help(words):
        plain = [word for word in words if word not in ("-h", "--help")]
        try:
            start = _start(given(plain, _groups(Settings())))
        except WganError:
            start = Settings()
        print(help_text(_groups(start, _choices()), command="train", description=_DESCRIPTION), end="")
        raise SystemExit(0)
    values = given(words, _groups(Settings()))
    start = _start(values) if "resume" not in values else Settings()
    options, settings, reading = (group.build(values) for group in _groups(start))
    return Request(options, dataclasses.replace(settings, input=reading), values)


def _groups(start: Settings, choices: Mapping[str, str] | None = None) -> list[Group]:
    return [
        Group(title="run", dataclass=RunOptions),
        Group(
            title="training",
            dataclass=Settings,
            defaults=start,
            positional={"data": "DATA"},
            hidden=("input",),
            more=choices or {},
        ),
        Group(title="data", dataclass=DataOptions, defaults=start.input),
    ]


def _start(values: Mapping[str, Any]) -> Settings:
    """The settings that the options are laid over: of a file, a recipe, or the recipe for the data."""
    named, named_data, path = values.get("recipe", ""), values.get("data", ""), values.get("settings")
    refuse(problems(Settings(data=named_data)))
    if path is not None:
        _warn_changed(path)
        content = read_toml(path)
        base = named or content.get("recipe")
        known = named or (isinstance(base, str) and base in RECIPES)
        start, faults = from_mapping(content, start=recipe(str(base)) if known else None)
        refuse([*recipe_faults(content.get("recipe", "")), *faults], where=escaped(str(path)))
    elif named:
        start = recipe(named)
    elif named_data:
        start = default_recipe(named_data)
    else:
        raise UsageError(no_data())
    data = named_data or start.data
    if data.startswith("<"):
        raise UsageError(f"the settings are of a run on data in memory, {data}", remedy="Name the DATA to train on.")
    if data:
        kind_of(data)
    return dataclasses.replace(start, data=data)


def _warn_changed(path: Path) -> None:
    """Warn if a settings file that a run wrote was changed since, which may be intended or damage."""
    with contextlib.suppress(OSError):
        if seal_of(path.read_bytes()) == "broken":
            said = f"{path} was changed after a run had written it; it is used as it is"
            print(f"wgan: warning: {escaped(said)}", file=sys.stderr)


def no_data() -> str:
    """The message if no data is named."""
    return f"no data was named: wgan train DATA, where DATA is a path or one of {', '.join(BUILT_IN)}"


def faults_of(settings: Settings) -> list[str]:
    """All faults of the settings, a line each: values out of range, and names that no registry has."""
    from wgan.training.factory import word_faults

    faults = problems(settings)
    reported = {fault.partition(" ")[0] for fault in faults}
    for name, error in word_faults(settings).items():
        if name not in reported:
            text = error.in_full
            # Some registries call their rows by the name of the setting.
            faults.append(text if text.startswith(f"{name} '") else f"{name}: {text}")
    return faults if settings.data else [*faults, no_data()]


def _choices() -> dict[str, str]:
    """For the help: the rows of each registry. Only this part of the help imports torch."""
    from wgan.training.factory import REGISTRIES

    listed = {name: f"One of {', '.join(registry)}; see `wgan recipes`." for name, registry in REGISTRIES.items()}
    return {**listed, "recipe": f"One of {', '.join(RECIPES)}."}
