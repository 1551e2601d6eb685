"""The settings of a run: for each, one field with its type, default, meaning and range, and rules for resuming.

To add a setting, add its field here and use it. The checks, the command line, the reference and the rules for
resuming a run read the metadata of the fields.
"""

from __future__ import annotations

import functools
import math
import re
import textwrap
from collections.abc import Callable
from dataclasses import Field, dataclass, field, fields
from typing import Any, Literal, NamedTuple, TypeVar

T = TypeVar("T")

Resume = Literal["option", "file", "never"]
"""How a setting of a run may change when the run is resumed.

"option": by a parameter of `wgan.resume` and an option with `--resume`, or by editing `settings.toml`. "file": by
editing `settings.toml` alone. "never": it determines what is computed, and a resume refuses another value.
"""

MAX_EVALUATED = 20_000
"""The largest number of samples on each side of an evaluation: their matrix of costs then takes 3.2 GB."""

MAX_THREADS = 1024
"""The largest number of CPU threads: the library that starts them ends the process if the system refuses one."""


class Range(NamedTuple):
    """The values that a setting may take.

    Attributes:
        holds: Whether a value of the right type is allowed. NaN fails every comparison, so it tests what must hold.
        text: The allowed values, to follow "must be".
    """

    holds: Callable[[Any], bool]
    text: str


def at_least(low: int) -> Range:
    """All numbers from `low` on."""
    return Range(lambda value: value >= low, f"at least {low}")


def between(low: float, high: float, *, why: str = "") -> Range:
    """All numbers from `low` to `high`, both included."""
    return Range(lambda value: low <= value <= high, f"between {low:,} and {high:,}{f' ({why})' if why else ''}")


def matching(pattern: str, text: str) -> Range:
    """All words that match a regular expression."""
    return Range(lambda word: re.fullmatch(pattern, word) is not None, text)


FRACTION = Range(lambda value: 0 <= value < 1, "at least 0 and below 1")


def setting(
    default: T,
    meaning: str,
    allowed: Range | None = None,
    *,
    resume: Resume = "never",
    names_part: bool = False,
    per_column: Range | None = None,
    since: int = 1,
) -> T:
    """A field of a settings class.

    Args:
        default: The default. It must make runs what they were before the setting existed.
        meaning: One or two sentences for the help and the reference.
        allowed: The range of a number or of a pair of numbers.
        resume: Whether a run may be resumed under another value, see `Resume`. Options of `DataOptions` need none: the
            data itself is compared.
        names_part: Whether the value names a row of a registry, with its parameters.
        per_column: The words allowed in a list whose items apply to all columns, or as NAME=word to one.
        since: The version of `settings.toml` that has the setting; see `ADDED`.
    """
    metadata = {
        "meaning": meaning,
        "allowed": allowed,
        "resume": resume,
        "names_part": names_part,
        "per_column": per_column,
        "since": since,
    }
    return field(default=default, metadata=metadata)


def _documented(kind: type[T]) -> type[T]:
    """Append the meaning of each field to the docstring of a settings class."""
    lines = [
        textwrap.fill(
            f"{item.name}: {item.metadata['meaning']}", 120, initial_indent=" " * 8, subsequent_indent=" " * 12
        )
        for item in fields(kind)  # type: ignore[arg-type]
    ]
    kind.__doc__ = "\n".join([f"{(kind.__doc__ or '').rstrip()}\n\n    Attributes:", *lines, "    "])
    return kind


@_documented
@dataclass(frozen=True, kw_only=True)
class DataOptions:
    """How the data is read. An option that does not apply to the kind of data is an error; it is not ignored."""

    held_out: float = setting(
        0.1, "Fraction of the rows held out from training, for evaluation (0 to 0.5).", between(0, 0.5)
    )
    scaling: Literal["auto", "common", "each", "none"] = setting(
        "auto",
        "Scaling of points: one factor for all columns (common), one for each column (each), none, or chosen from the "
        "spread of the columns (auto).",
    )
    missing: Literal["error", "drop", "keep"] = setting(
        "error",
        "Empty and NaN cells of a table: refuse them (error), drop their rows (drop), or learn them and reproduce them "
        "in samples (keep).",
    )
    categorical: tuple[str, ...] = setting((), "Columns to treat as categories, whatever they contain.")
    numeric: tuple[str, ...] = setting((), "Columns to treat as numbers, whatever they contain.")
    ignore: tuple[str, ...] = setting((), "Columns to leave out.")
    header: bool = setting(True, "Whether the first line of a text table contains the column names.")
    decimal: tuple[str, ...] = setting(
        (),
        'Decimal separator of numbers in text, "." or ",": for all columns, or price=, for the column price. This '
        "option and the next three mean the same as in pandas.read_csv, and are detected where they are not given.",
        per_column=matching(r"[.,]", '"." or ","'),
        since=5,
    )
    thousands: tuple[str, ...] = setting(
        (),
        'Thousands separator of numbers in text: ",", ".", "\'", space or none; for all columns, or '
        "price=, for the column price.",
        per_column=matching(r"[.,'\u2019_ \u00a0\u202f\u2009]|none|space", '",", ".", "\'", "_", space or none'),
        since=5,
    )
    dayfirst: tuple[str, ...] = setting(
        (),
        "Whether 7/3/2024 is the 7th of March, yes or no: for all columns, or sold=yes for the column sold.",
        per_column=matching(r"yes|no", "yes or no"),
        since=5,
    )
    date_format: tuple[str, ...] = setting(
        (),
        "Format of dates, such as %d.%m.%Y: for all columns of dates, or sold=%d.%m.%Y for the column sold.",
        per_column=matching(r".*%[A-Za-z-].*", "a format such as %d.%m.%Y"),
        since=5,
    )
    max_categories: int = setting(
        1000,
        "Maximum number of different values in a column of categories. Each value takes one entry of every row.",
        between(2, 1_000_000),
        since=5,
    )
    size: tuple[int, int] = setting(
        (0, 0),
        "Height and width that images are resized to; 0 0 to keep their size.",
        Range(
            lambda value: value == (0, 0) or all(1 <= length <= 4096 for length in value),
            "two numbers between 1 and 4096, or 0 0 for the size that the images have",
        ),
    )
    mode: Literal["auto", "L", "RGB", "RGBA"] = setting(
        "auto", "Channels of images: grey (L), RGB, RGBA, or what most of the images need (auto)."
    )
    fit: Literal["crop", "pad", "stretch"] = setting(
        "crop", "Images of another aspect ratio: crop them to the centre, pad them, or stretch them."
    )
    range: tuple[float, float] = setting(
        (0.0, 0.0),
        "Pixel values that become black and white, for images that use a small part of the range of their type; 0 0 "
        "for the full range of the type. Values outside are clipped.",
        Range(
            lambda value: value == (0.0, 0.0) or (all(map(math.isfinite, value)) and value[0] < value[1]),
            "two numbers, the lower one first, or 0 0 for the range of the images' type",
        ),
        since=5,
    )
    skip_broken: bool = setting(False, "Leave out images that cannot be decoded, up to one in a hundred.")
    condition: tuple[str, ...] = setting(
        (),
        "What samples can be conditioned on: columns of a table, columns of the tags.csv of images, or label for the "
        "classes of labelled data; several with commas between them.",
        since=2,
    )
    text: tuple[str, ...] = setting((), "Conditions that are text, to be embedded.", since=2)
    embedding: str = setting("minilm", "Embedding of the text.", since=2)
    unseen: float = setting(
        0.0,
        "Fraction of the combinations of conditions held out from training, to evaluate samples for combinations that "
        "were never seen (0 to 0.5).",
        between(0, 0.5),
        since=2,
    )


@_documented
@dataclass(frozen=True, kw_only=True)
class Settings:
    """The settings of one training run.

    Words such as `constraint` have the form name:key=value,key=value; `wgan recipes` lists them.
    """

    # The data itself is compared when a run resumes; its name and path may change.
    data: str = setting("", "A built-in name or a path.", resume="option")
    recipe: str = setting("paper", "Named settings to start from; other settings override them.", resume="file")
    seed: int = setting(
        0,
        "Whole number that determines all randomness: the same seed gives the same run.",
        Range(lambda value: -(2**63) <= value < 2**63, "a 64-bit whole number"),
    )
    steps: int = setting(10_000, "Generator updates.", at_least(1), resume="option")
    batch_size: int = setting(64, "Samples in each batch (m in the paper).", at_least(1))
    critic_steps: int = setting(5, "Critic updates before each generator update (n_critic in the paper).", at_least(1))
    critic_schedule: Literal["constant", "authors"] = setting(
        "constant",
        "critic_steps critic updates before every generator update (constant), or, as in the authors' code, 100 before "
        "each of the first 25 generator updates and before each that follows a multiple of 500 others "
        "(authors).",
    )
    optimality: float = setting(
        0.0,
        "Above 0, the critic is trained to optimality before each generator update: in rounds of critic_steps updates, "
        "until a round increases the distance that the critic certifies beyond nearest neighbours by less than this "
        "fraction. 0.05 is a good value if time does not matter.",
        FRACTION,
        since=4,
    )
    max_critic_steps: int = setting(
        50,
        "Critic updates before one generator update after which no further round begins, if the critic is trained to "
        "optimality. The updates of critic_schedule are always made, even if they are more.",
        at_least(1),
        since=4,
    )
    packing: int = setting(
        1,
        "Samples that the critic sees together (PacGAN). The batch size must be a multiple of it.",
        at_least(1),
        since=2,
    )
    unrolled_steps: int = setting(
        0, "Critic updates that the generator's loss is unrolled through (unrolled GAN).", at_least(0), since=2
    )
    mismatch: float = setting(
        0.0,
        "Weight in the critic's loss of real samples with wrong conditions, which teaches the critic to tell them from "
        "matching ones (0: none; Reed et al.: 0.5).",
        FRACTION,
        since=2,
    )
    conditioning: Literal["auto", "concat", "norm", "projection", "norm-projection"] = setting(
        "auto",
        "How conditions enter the networks: concatenated to the noise and to the critic's input (concat), as scales of "
        "the generator's norms (norm), as a projection in the critic (projection), as the last two together "
        "(norm-projection), or as suits the networks (auto).",
        since=2,
    )
    objective: str = setting("wasserstein", "Losses of generator and critic.", names_part=True)
    constraint: str = setting("clipping", "Lipschitz constraint or regularisation of the critic.", names_part=True)
    generator: str = setting("mlp", "Network of the generator.", names_part=True)
    critic: str = setting("mlp", "Network of the critic.", names_part=True)
    latent_dim: int = setting(100, "Dimensions of the noise z.", at_least(1))
    noise: Literal["normal", "uniform"] = setting("normal", "Distribution of the noise.")
    generator_optimizer: str = setting("rmsprop", "Optimiser of the generator.", names_part=True)
    critic_optimizer: str = setting("rmsprop", "Optimiser of the critic.", names_part=True)
    lr_schedule: Literal["none", "linear", "cosine"] = setting(
        "none", "How the learning rates decay to zero over the run."
    )
    ema_decay: float = setting(
        0.0,
        "Decay of the exponential moving average of the generator's weights; samples come from the averaged generator "
        "(0: none).",
        FRACTION,
    )
    log_every: int = setting(10, "Generator updates between two lines of the record.", at_least(1), resume="file")
    eval_every: int = setting(
        1_000,
        "Generator updates between two evaluations on held-out data; each also measures the gradient that reaches the "
        "generator (0: only at the end).",
        at_least(0),
        resume="file",
    )
    sample_every: int = setting(1_000, "Generator updates between two grids of samples.", at_least(1), resume="file")
    save_every: int = setting(500, "Generator updates between two checkpoints.", at_least(1), resume="file")
    # Scores are comparable, and the best checkpoint is chosen by them, only if all evaluations are alike.
    eval_size: int = setting(
        2_500,
        "Samples drawn for an evaluation, and the maximum number of held-out rows.",
        between(2, MAX_EVALUATED, why="exact transport holds the costs of all pairs in memory"),
    )
    eval_repeats: int = setting(
        1, "Independent sets of samples in an evaluation; their distances are averaged.", at_least(1)
    )
    best_by: Literal["score", "held-out", "exact"] = setting(
        "score",
        "What chooses the best checkpoint: the score of the samples (score), or, on held-out rows, the distance that "
        "the critic certifies (held-out) or the exact one (exact).",
        since=4,
    )
    patience: int = setting(
        0,
        "Number of consecutive evaluations without a better checkpoint after which the run ends early (0: never).",
        at_least(0),
        resume="option",
        since=4,
    )
    diagnose: Literal["auto", "off"] = setting(
        "auto",
        "Whether to gather evidence of how far the critic's number can be trusted (auto: at evaluations and between "
        "them, using about a tenth of the run's time).",
        resume="file",
        since=4,
    )
    rollbacks: int = setting(
        3,
        "How often a run that diverges returns to its last good checkpoint, with half the learning rates and new "
        "random numbers, before it stops with an error.",
        at_least(0),
        resume="file",
        since=4,
    )
    device: Literal["auto", "cpu", "cuda"] = setting(
        "auto", "Device to train on (auto: a GPU if there is one).", resume="file"
    )
    precision: Literal["auto", "float32", "bfloat16"] = setting(
        "auto",
        "Precision of the networks' matrix products (auto: bfloat16 if the processor computes it fast and it does no "
        "harm).",
        resume="file",
    )
    engine: Literal["auto", "eager", "compiled"] = setting(
        "auto",
        "How updates are run: operation by operation (eager), compiled as a whole, which takes about twenty seconds "
        "the first time and less afterwards (compiled), or compiled if a long Wasserstein run of fully connected "
        "networks gains from it (auto).",
        resume="file",
        since=3,
    )
    threads: int = setting(
        0, "CPU threads (0: chosen by the size of the networks).", between(0, MAX_THREADS), resume="file"
    )
    input: DataOptions = field(
        default_factory=DataOptions, metadata={"meaning": "How the data is read.", "resume": "file"}
    )


@functools.cache
def settings_fields() -> dict[str, Field[Any]]:
    """All fields that hold a value, of `Settings` and of `DataOptions`, by name."""
    return {item.name: item for item in (*fields(Settings), *fields(DataOptions)) if item.name != "input"}


PER_COLUMN = tuple(item.name for item in fields(DataOptions) if item.metadata["per_column"])
"""The options for how numbers and dates are written: each is a list of words for all columns, or NAME=word for one."""

FIXED = tuple(item.name for item in fields(Settings) if item.metadata["resume"] == "never")
"""The settings that determine what a run computes. A checkpoint is resumed under no other values of these."""

RESUME_OPTIONS = tuple(item.name for item in fields(Settings) if item.metadata["resume"] == "option")
"""The settings that `wgan.resume` and `--resume` take new values of."""

_SINCE = {item.name: item.metadata["since"] for item in fields(Settings) if item.name != "input"} | {
    f"input.{item.name}": item.metadata["since"] for item in fields(DataOptions)
}
ADDED = tuple(
    frozenset(name for name, since in _SINCE.items() if since > version)
    for version in sorted({*_SINCE.values()}, reverse=True)[1:]
)
"""For each earlier version of `settings.toml`, the settings that it does not have, newest version first.

Such runs were trained with the defaults of these settings and with the eager engine.
"""
