"""The settings of a run, field by field: what each means and what it is where nobody says."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal


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
        header: Whether the first line of a table in text names the columns.
        decimal: What separates places after the point where numbers are text, "." or ",": of all columns, or NAME=, of
            one. Found where nothing is said, as are the next three, which mean what they mean in pandas.read_csv.
        thousands: What separates groups of digits: ",", ".", "'", space or none; of all columns, or NAME=, of one.
        dayfirst: Whether 7/3/2024 is the 7th of March, yes or no; of all columns, or NAME=yes of one.
        date_format: The form of dates, such as %d.%m.%Y, of all columns of dates, or NAME=%d.%m.%Y of one.
        max_categories: Different values that a column of categories may have; each takes an entry of every row.
        size: Height and width to bring images to, 0 0 for the size that they have.
        mode: Channels of the images: grey, RGB, RGBA, or what most of them need.
        fit: Images of another aspect ratio: cut to the middle, padded, or stretched.
        range: The values of pixels that become black and white, for images that use little of the range of their type;
            0 0 for the range of the type. What lies beyond is cut off.
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
    decimal: tuple[str, ...] = ()
    thousands: tuple[str, ...] = ()
    dayfirst: tuple[str, ...] = ()
    date_format: tuple[str, ...] = ()
    max_categories: int = 1000
    size: tuple[int, int] = (0, 0)
    mode: Literal["auto", "L", "RGB", "RGBA"] = "auto"
    fit: Literal["crop", "pad", "stretch"] = "crop"
    range: tuple[float, float] = (0.0, 0.0)
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
        critic_schedule: critic_steps updates of the critic each time (constant), or as in the authors' code: 100 before
            each of the first 25 generator updates and before every 500th (authors).
        optimality: Where above 0, the critic is trained to optimality before each generator update: in rounds of
            critic_steps, until one adds less than this share to what the critic proves of the distance. 0.05 is a good
            choice where time does not matter.
        max_critic_steps: Critic updates before one generator update, at most, where it is trained to optimality.
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
        latent_dim: Dimensions of the noise z.
        noise: Distribution of the noise.
        generator_optimizer: Optimiser of the generator.
        critic_optimizer: Optimiser of the critic.
        lr_schedule: How the learning rates fall to zero over the run.
        ema_decay: Decay of the exponential moving average of the generator that samples are drawn from (0: none).
        log_every: Generator updates between two lines of the record.
        eval_every: Generator updates between two evaluations against held-out data, each with a look at the gradient
            that reaches the generator (0: only at the end).
        sample_every: Generator updates between two sample sheets.
        save_every: Generator updates between two checkpoints.
        eval_size: Samples drawn for an evaluation, and held-out rows at most.
        eval_repeats: Independent sets of samples in an evaluation, whose distances are averaged.
        best_by: What makes a checkpoint the best: the judge's score (score), or of the evidence, on held-out rows, the
            distance that the critic proves (held-out) or the exact one (exact).
        patience: Evaluations in a row without a better checkpoint after which the run ends early (0: none do).
        diagnose: Whether evidence of what the critic's number is worth is gathered along the run (auto: at evaluations
            and between them, as often and as closely as a tenth of the run bears), or not (off).
        rollbacks: How often a run that diverges goes back to its last good checkpoint, with half the learning rates and
            other draws, before it gives up.
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
    critic_schedule: Literal["constant", "authors"] = "constant"
    optimality: float = 0.0
    max_critic_steps: int = 50
    packing: int = 1
    unrolled_steps: int = 0
    mismatch: float = 0.0
    conditioning: Literal["auto", "concat", "norm", "projection", "norm-projection"] = "auto"
    objective: str = "wasserstein"
    constraint: str = "clipping"
    generator: str = "mlp"
    critic: str = "mlp"
    latent_dim: int = 100
    noise: Literal["normal", "uniform"] = "normal"
    generator_optimizer: str = "rmsprop"
    critic_optimizer: str = "rmsprop"
    lr_schedule: Literal["none", "linear", "cosine"] = "none"
    ema_decay: float = 0.0
    log_every: int = 10
    eval_every: int = 1_000
    sample_every: int = 1_000
    save_every: int = 500
    eval_size: int = 2_500
    eval_repeats: int = 1
    best_by: Literal["score", "held-out", "exact"] = "score"
    patience: int = 0
    diagnose: Literal["auto", "off"] = "auto"
    rollbacks: int = 3
    device: Literal["auto", "cpu", "cuda"] = "auto"
    precision: Literal["auto", "float32", "bfloat16"] = "auto"
    engine: Literal["auto", "eager", "compiled"] = "auto"
    threads: int = 0
    input: DataOptions = field(default_factory=DataOptions)


WRITTEN = ("decimal", "thousands", "dayfirst", "date_format")
"""The options on how numbers and dates are written: each a word for all columns, or NAME=word for one."""

# The settings that name a row of one of the tables.
WORDS = ("objective", "constraint", "generator", "critic", "generator_optimizer", "critic_optimizer")

_WITH_GAMES = frozenset(
    {"packing", "unrolled_steps", "mismatch", "conditioning"}
    | {f"input.{name}" for name in ("condition", "text", "embedding", "unseen")}
)
_WITH_ENGINES = frozenset({"engine"})
_WITH_FORMS = frozenset(
    f"input.{name}" for name in ("decimal", "thousands", "dayfirst", "date_format", "max_categories", "range")
)
_WITH_EVIDENCE = frozenset({"diagnose", "optimality", "max_critic_steps", "best_by", "patience", "rollbacks"})
ADDED = (
    _WITH_FORMS,
    _WITH_FORMS | _WITH_EVIDENCE,
    _WITH_FORMS | _WITH_EVIDENCE | _WITH_ENGINES,
    _WITH_FORMS | _WITH_EVIDENCE | _WITH_ENGINES | _WITH_GAMES,
)
"""What runs of each earlier version do not name; they were trained as the defaults say, and operation by operation."""
