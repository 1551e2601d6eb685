"""Everything that a user can set for a run, what it may be, and its TOML file; all without importing torch."""

from __future__ import annotations

import dataclasses
import re
import tomllib
import typing
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from wgan.choices import nearest
from wgan.display import escaped
from wgan.errors import UsageError


@dataclass(frozen=True, kw_only=True)
class DataOptions:
    """How DATA is read. Options that do not apply to the kind of data found are an error, not ignored.

    Attributes:
        held_out: Share of the rows kept from training, for judging (0 to 0.5).
        scaling: How points are scaled: by one factor for all columns, by one each, by none, or chosen by their spread.
        missing: Empty and NaN cells of a table: refuse, drop the row, or keep (learnt and reproduced in samples).
        categorical: Columns to treat as categories, whatever they look like.
        numeric: Columns to treat as numbers, whatever they look like.
        ignore: Columns to leave out.
        header: Whether the first line of a .csv names the columns.
        size: Height and width to bring images to, 0 0 for the size that they have.
        mode: Channels of the images: grey, RGB, RGBA, or what most of them need.
        fit: Images of another aspect ratio: cut to the middle, padded, or stretched.
        skip_broken: Leave out images that cannot be decoded, up to one in a hundred.
        condition: What samples can be asked for: columns of a table, or of the tags.csv of images, or label for the
            classes of labelled data; several with commas between them.
        text: Those of them that are text, to be embedded.
        embedding: What embeds text.
        unseen: Share of the combinations of conditions that are kept from training, to see what is made of them (0 to
            0.5).
    """

    held_out: float = 0.1
    scaling: Literal["auto", "common", "each", "none"] = "auto"
    missing: Literal["error", "drop", "keep"] = "error"
    categorical: tuple[str, ...] = ()
    numeric: tuple[str, ...] = ()
    ignore: tuple[str, ...] = ()
    header: bool = True
    size: tuple[int, int] = (0, 0)
    mode: Literal["auto", "L", "RGB", "RGBA"] = "auto"
    fit: Literal["crop", "pad", "stretch"] = "crop"
    skip_broken: bool = False
    condition: tuple[str, ...] = ()
    text: tuple[str, ...] = ()
    embedding: str = "minilm"
    unseen: float = 0.0


@dataclass(frozen=True, kw_only=True)
class Settings:
    """One training run. Words such as `constraint` have the form name:key=value,key=value (`wgan recipes` lists them).

    Attributes:
        data: A built-in name or a path.
        recipe: Named settings to begin with, over which the others are laid.
        seed: Whole number that all randomness follows from: the same one gives the same run.
        steps: Generator updates.
        batch_size: Samples in each batch (the paper's m).
        critic_steps: Critic updates before each generator update (the paper's n_critic).
        schedule: Critic updates as critic_steps says, or as in the authors' code: 100 of them before each of the first
            25 generator updates and every 500th.
        packing: Samples that the critic sees as one (PacGAN), of which the batch size is a multiple.
        unrolled_steps: Updates of the critic that the generator looks ahead (unrolled GAN).
        mismatch: Weight in the critic's loss of real samples under conditions that are not theirs, which it then learns
            to tell from those under their own (0: none; Reed and others: 0.5).
        conditioning: How a condition enters: joined to the noise and to what the critic sees (concat), by the scales of
            the generator's norms (norm), by a projection in the critic (projection), by these two (norm-projection), or
            as suits the networks (auto).
        objective: What the two players optimise.
        constraint: What keeps the critic in bounds.
        generator: Network of the generator.
        critic: Network of the critic.
        noise_size: Dimensions of the noise z.
        noise: Distribution of the noise.
        generator_optimizer: Optimiser of the generator.
        critic_optimizer: Optimiser of the critic.
        decay: How the learning rates fall to zero over the run.
        average: Decay of the exponential moving average of the generator that samples are drawn from (0: none).
        record_every: Generator updates between two lines of the record.
        judge_every: Generator updates between two evaluations against held-out data, each with a look at the gradient
            that reaches the generator (0: only at the end).
        sample_every: Generator updates between two sample sheets.
        save_every: Generator updates between two checkpoints.
        judge_size: Samples drawn for an evaluation, and held-out rows at most.
        judge_rounds: Independent sets of samples in an evaluation, whose distances are averaged.
        device: Where to train (auto: on a GPU if there is one).
        precision: Arithmetic of the networks' matrix products (auto: bfloat16 where the processor is fast at it and it
            does no harm).
        engine: How each player's update is run: operation by operation (eager), compiled as a whole when it is first
            made, which takes some twenty seconds and less the next time (compiled), or compiled where a long
            Wasserstein run of fully connected networks repays it (auto).
        threads: CPU threads (0: chosen by the size of the networks).
        input: How DATA is read.
    """

    data: str = ""
    recipe: str = "paper"
    seed: int = 0
    steps: int = 10_000
    batch_size: int = 64
    critic_steps: int = 5
    schedule: Literal["constant", "authors"] = "constant"
    packing: int = 1
    unrolled_steps: int = 0
    mismatch: float = 0.0
    conditioning: Literal["auto", "concat", "norm", "projection", "norm-projection"] = "auto"
    objective: str = "wasserstein"
    constraint: str = "clipping"
    generator: str = "mlp"
    critic: str = "mlp"
    noise_size: int = 100
    noise: Literal["normal", "uniform"] = "normal"
    generator_optimizer: str = "rmsprop"
    critic_optimizer: str = "rmsprop"
    decay: Literal["none", "linear", "cosine"] = "none"
    average: float = 0.0
    record_every: int = 10
    judge_every: int = 1_000
    sample_every: int = 1_000
    save_every: int = 500
    judge_size: int = 2_500
    judge_rounds: int = 1
    device: Literal["auto", "cpu", "cuda"] = "auto"
    precision: Literal["auto", "float32", "bfloat16"] = "auto"
    engine: Literal["auto", "eager", "compiled"] = "auto"
    threads: int = 0
    input: DataOptions = field(default_factory=DataOptions)


# The settings that name a row of one of the tables.
WORDS = ("objective", "constraint", "generator", "critic", "generator_optimizer", "critic_optimizer")

_WITH_GAMES = frozenset(
    {"packing", "unrolled_steps", "mismatch", "conditioning"}
    | {f"input.{name}" for name in ("condition", "text", "embedding", "unseen")}
)
ADDED = (frozenset({"engine"}), _WITH_GAMES | {"engine"})
"""What runs of each earlier version do not name; they were trained as the defaults say, and operation by operation."""

MOST_JUDGED = 20_000
"""Samples on each side of an evaluation, at most: their matrix of costs then takes 3.2 GB."""

_HEADER = "# The settings of one training run. `wgan train --settings FILE` trains it again.\n\n"
_WORD = re.compile(r"[A-Za-z][A-Za-z0-9_-]*(:.*)?")
_CLASS_PATH = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)+([:(].*)?|!.*|__\w+__.*")
_PICKLE = re.compile(r".*\.(pkl|pickle|joblib|dill|pt|pth|ckpt)", re.IGNORECASE)

# NaN fails every comparison, so each of these says what must hold rather than what must not.
_COUNT: tuple[Callable[[Any], bool], str] = (lambda value: value >= 1, "at least 1")
_COUNT_OR_NONE: tuple[Callable[[Any], bool], str] = (lambda value: value >= 0, "at least 0")
_RANGES: dict[str, tuple[Callable[[Any], bool], str]] = {
    "seed": (lambda value: -(2**63) <= value < 2**63, "a 64-bit whole number"),
    "steps": _COUNT,
    "batch_size": _COUNT,
    "critic_steps": _COUNT,
    "packing": _COUNT,
    "unrolled_steps": _COUNT_OR_NONE,
    "mismatch": (lambda value: 0 <= value < 1, "at least 0 and below 1"),
    "noise_size": _COUNT,
    "average": (lambda value: 0 <= value < 1, "at least 0 and below 1"),
    "record_every": _COUNT,
    "judge_every": _COUNT_OR_NONE,
    "sample_every": _COUNT,
    "save_every": _COUNT,
    "judge_size": (
        lambda value: 2 <= value <= MOST_JUDGED,
        f"between 2 and {MOST_JUDGED:,} (exact transport holds the costs of all pairs in memory)",
    ),
    "judge_rounds": _COUNT,
    "threads": _COUNT_OR_NONE,
    "held_out": (lambda value: 0 <= value <= 0.5, "between 0 and 0.5"),
    "unseen": (lambda value: 0 <= value <= 0.5, "between 0 and 0.5"),
    "size": (
        lambda value: value == (0, 0) or all(1 <= length <= 4096 for length in value),
        "two numbers between 1 and 4096, or 0 0 for the size that the images have",
    ),
}


def to_toml(settings: Settings) -> str:
    """Write settings as TOML that `from_toml` reads back to an equal object.

    Args:
        settings: Any settings. Data that is no text (an object in memory) is named by its type.

    Returns:
        A comment, one line a setting, and those of `input` in a table of their own.
    """
    import tomli_w

    values = dataclasses.asdict(dataclasses.replace(settings, data=""))
    data: object = settings.data
    values["data"] = str(data) if isinstance(data, (str, Path)) else f"<{type(data).__name__} in memory>"
    return _HEADER + tomli_w.dumps(values)


def from_toml(path: str | Path, *, start: Settings | None = None) -> Settings:
    """Read settings from a TOML file.

    Args:
        path: The file. Nothing that it names is imported, unpickled or run.
        start: What the settings are that the file leaves out; the defaults if None.

    Returns:
        Settings whose every value has its declared type and lies in its range.

    Raises:
        UsageError: A file that cannot be read or is no TOML; or unknown keys, wrong types, values out of range and
            class paths, all of them listed.
    """
    settings, faults = from_mapping(read_toml(path), start=start)
    refuse(faults, where=escaped(str(path)))
    return settings


def read_toml(path: str | Path) -> dict[str, Any]:
    """Read the raw values of a TOML file.

    Raises:
        UsageError: The file is missing, unreadable or no TOML.
    """
    try:
        return tomllib.loads(Path(path).read_bytes().decode("utf-8-sig"))
    except FileNotFoundError:
        raise UsageError(f"there is no settings file {escaped(str(path))}", remedy=_neighbours(Path(path))) from None
    except OSError as error:
        raise UsageError(f"the settings file {escaped(str(path))} cannot be read: {error.strerror}") from None
    except UnicodeDecodeError as error:
        raise UsageError(f"the settings file {escaped(str(path))} is no UTF-8 text: byte {error.start}") from None
    except tomllib.TOMLDecodeError as error:
        raise UsageError(
            f"{escaped(str(path))} is no TOML: {error}", remedy="Write one `name = value` a line."
        ) from None


def from_mapping(values: Mapping[str, Any], *, start: Settings | None = None) -> tuple[Settings, list[str]]:
    """Lay plain values over settings.

    Args:
        values: As TOML gives them: `input` a mapping, sequences lists.
        start: What the settings are that `values` leaves out; the defaults if None.

    Returns:
        The settings, in which faulty values are left out, and the list of faults.
    """
    start = start or Settings()
    table = values.get("input", {})
    top = {name: value for name, value in values.items() if name != "input"}
    fitting, faults = _sift(top, start, "")
    if isinstance(table, Mapping):
        inner, more = _sift(table, start.input, "input.")
        faults += more
    else:
        inner = {}
        faults.append(f"input must be a table [input], not {_spell(table)}")
    settings = dataclasses.replace(start, **fitting, input=dataclasses.replace(start.input, **inner))
    return settings, faults + problems(settings)


def problems(settings: Settings) -> list[str]:
    """List everything that is wrong with the settings taken by themselves.

    Whether a word names a row of its table is for the table to say; here it must only have the form of one.

    Returns:
        One line a problem, naming the setting, what it must be and what it is; empty if there is none.
    """
    found: list[str] = []
    fitting: dict[str, Any] = {}
    for part, prefix in ((settings, ""), (settings.input, "input.")):
        values = {item.name: getattr(part, item.name) for item in dataclasses.fields(part)}
        values.pop("input", None)
        if not isinstance(values.get("data", ""), str):
            del values["data"]
        kept, faults = _sift(values, part, prefix)
        fitting |= kept
        found += faults
    for name, (holds, must) in _RANGES.items():
        if name in fitting and not holds(fitting[name]):
            found.append(f"{name} must be {must}, not {_spell(fitting[name])}")
    found += [fault for name in WORDS if name in fitting and (fault := _misspelt(name, fitting[name]))]
    if _PICKLE.fullmatch(fitting.get("data", "")):
        found.append(f"data {_spell(fitting['data'])} is refused: reading a pickle can run what it carries")
    return found + _claimed_twice(fitting)


def check(settings: Settings) -> None:
    """Raise one error that lists every problem of the settings.

    Raises:
        UsageError: If there is any problem.
    """
    refuse(problems(settings))


def refuse(faults: list[str], *, where: str = "", noun: str = "settings") -> None:
    """Raise one error that lists the faults, if there are any.

    Args:
        faults: A line each.
        where: The file that they were found in.
        noun: What they are faults of.

    Raises:
        UsageError: If the list is not empty.
    """
    prefix = f"{where}: " if where else ""
    if len(faults) == 1:
        raise UsageError(f"{prefix}{faults[0]}")
    if faults:
        lines = "".join(f"\n  - {fault}" for fault in faults)
        raise UsageError(f"{prefix}{len(faults)} {noun} cannot be used:{lines}")


def _sift(values: Mapping[str, Any], part: Settings | DataOptions, prefix: str) -> tuple[dict[str, Any], list[str]]:
    """Part the values into those that have the type of their field, and a line for each of the others."""
    hints = typing.get_type_hints(type(part))
    fitting, faults = {}, []
    for name, value in values.items():
        if name not in hints:
            faults.append(f"there is no setting {_spell(prefix + name)}; {_nearest(name, list(hints))}")
            continue
        value = tuple(value) if isinstance(value, list) else value
        value = float(value) if hints[name] is float and type(value) is int else value
        if _fits(value, hints[name]):
            fitting[name] = value
        else:
            faults.append(f"{prefix}{name} must be {_in_words(hints[name])}, not {_spell(value)}")
    return fitting, faults


def _nearest(name: str, known: list[str]) -> str:
    near = nearest(name, known)
    return f"did you mean '{near[0]}'?" if near else f"known: {', '.join(known)}"


def _fits(value: object, hint: Any) -> bool:  # noqa: ANN401 - the type is itself data here
    if typing.get_origin(hint) is Literal:
        return value in typing.get_args(hint)
    if typing.get_origin(hint) is tuple:
        inner = typing.get_args(hint)
        if not isinstance(value, tuple) or (inner[-1] is not ... and len(value) != len(inner)):
            return False
        return all(_fits(item, inner[0]) for item in value)
    # bool is a subclass of int, but `steps = true` is a slip.
    return type(value) is hint if isinstance(hint, type) else True


def _in_words(hint: Any) -> str:  # noqa: ANN401
    if typing.get_origin(hint) is Literal:
        return "one of " + ", ".join(map(str, typing.get_args(hint)))
    if typing.get_origin(hint) is tuple:
        inner = typing.get_args(hint)
        return "a list of texts" if inner[-1] is ... else f"a list of {len(inner)} whole numbers"
    return {int: "a whole number", float: "a number", bool: "true or false", str: "a text"}.get(hint, str(hint))


def _misspelt(name: str, word: str) -> str:
    if _PICKLE.fullmatch(word) or _CLASS_PATH.fullmatch(word):
        return f"{name} {_spell(word)} is refused: settings name rows of a table and never import or unpickle anything"
    if not _WORD.fullmatch(word):
        return f"{name} must have the form name or name:key=value,key=value, not {_spell(word)}"
    return ""


def _claimed_twice(fitting: Mapping[str, Any]) -> list[str]:
    named = ("categorical", "numeric", "ignore", "condition", "text")
    lists = [(name, set(fitting.get(name, ()))) for name in named]
    return [
        f"column {_spell(column)} is named under both {first} and {second}"
        for place, (first, columns) in enumerate(lists)
        for second, others in lists[place + 1 :]
        for column in sorted(columns & others)
        # What a condition is can be said like that of any other column.
        if second != "condition" or first == "ignore"
        if first != "condition"
    ]


def _spell(value: object) -> str:
    """Show a value as it would be written in the file, shortened, with control characters escaped."""
    if isinstance(value, bool):
        return str(value).lower()
    text = repr(list(value)) if isinstance(value, tuple) else repr(value)
    return text if len(text) <= 80 else f"{text[:76]}..."


def _neighbours(path: Path) -> str:
    try:
        names = sorted(entry.name for entry in path.parent.iterdir() if entry.suffix == ".toml")
    except OSError:
        return ""
    near = nearest(path.name, names, most=3) or names[:3]
    return f"Near it: {', '.join(escaped(str(path.parent / name)) for name in near)}." if near else ""
