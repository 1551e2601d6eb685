"""Everything that a user can set for a run, without importing torch."""

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
        header: Whether the first line of a .csv names the columns.
        size: Height and width of the images, (0, 0) for the size they have.
        mode: Channels of the images: grey, RGB, RGBA, or what most of them need.
        fit: Images of another aspect ratio: cut to the middle, padded, or stretched.
        skip_broken: Leave out images that cannot be decoded, up to one in a hundred.
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


@dataclass(frozen=True, kw_only=True)
class Settings:
    """One training run. Words such as `constraint` have the form name:key=value,key=value (`wgan recipes` lists them).

    Attributes:
        data: A built-in name or a path.
        recipe: The recipe that these settings began as.
        seed: All randomness of the run follows from it.
        steps: Generator updates.
        batch_size: Samples in each batch (the paper's m).
        critic_steps: Critic updates before each generator update (the paper's n_critic).
        schedule: constant, or the authors' code: 100 critic updates for the first 25 generator updates and every 500th.
        objective: What the two players optimise.
        constraint: What keeps the critic Lipschitz.
        generator: Network of the generator.
        critic: Network of the critic.
        noise_size: Dimensions of the noise z.
        noise: Distribution of the noise.
        generator_optimizer: Optimiser of the generator.
        critic_optimizer: Optimiser of the critic.
        decay: How the learning rates fall to zero over the run.
        average: Decay of the exponential moving average of the generator that samples are drawn from (0: none).
        record_every: Generator updates between two lines of the record.
        judge_every: Generator updates between two evaluations against held-out data (0: only at the end).
        sample_every: Generator updates between two sample sheets.
        save_every: Generator updates between two checkpoints.
        judge_size: Samples drawn for an evaluation, and held-out rows at most.
        device: Where to train.
        precision: Arithmetic of the networks' matrix products.
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
    device: Literal["auto", "cpu", "cuda"] = "auto"
    precision: Literal["auto", "float32", "bfloat16"] = "auto"
    threads: int = 0
    input: DataOptions = field(default_factory=DataOptions)
