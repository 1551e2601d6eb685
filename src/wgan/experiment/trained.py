"""A generator that has been trained: samples from a run's checkpoint, without the data it was trained on."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Literal, TypeAlias

import numpy as np
import pyarrow as pa
import torch
from numpy.typing import NDArray
from torch import Tensor

from wgan import checkpoints
from wgan.assembly import build_game
from wgan.batch import Batch, Layout
from wgan.data import codec_from_state, conditions_from_state
from wgan.data.conditions import Conditions
from wgan.data.source import Codec, Labelled, Samples, Source, decode_batch
from wgan.engine import has_fast_bfloat16
from wgan.errors import CheckpointError, UsageError
from wgan.experiment.continuing import moved
from wgan.experiment.drawing import draw_blocks, draw_for, drawn
from wgan.experiment.files import RunFiles, refuse_no_run
from wgan.experiment.fitting import refuse_other_data, refuse_other_facts, refuse_other_settings, restore
from wgan.experiment.notes import read_environment, read_settings, read_source
from wgan.experiment.obeying import obeyed
from wgan.experiment.opening import open_again
from wgan.experiment.record import Journal
from wgan.game import Game
from wgan.metrics import Judge
from wgan.settings import Settings

Where: TypeAlias = Mapping[str, Any]
"""What samples are asked for by: names of conditions to a value, or to several."""


class Trained:
    """A trained generator and the way back from what it makes to what the user brought.

    Attributes:
        settings: The run's settings.
        codec: The preprocessing that samples undo.
        game: The networks; samples are drawn from its averaged generator where there is one.
        conditions: What samples may be asked for; None of an unconditional run.
        doubt: Why samples may be worth nothing, in a line: the run diverged, or has done no step. Empty if neither.
    """

    def __init__(
        self, settings: Settings, codec: Codec, game: Game, conditions: Conditions | None = None, doubt: str = ""
    ) -> None:
        self.settings, self.codec, self.game, self.doubt = settings, codec, game, doubt
        self.conditions = conditions
        # From here on it is only drawn from, on several threads at once, none of which may then change its mode.
        game.best_generator.eval()

    @property
    def step(self) -> int:
        """Generator updates that were done."""
        return self.game.steps_done

    @property
    def layout(self) -> Layout:
        """What a sample is, as the networks see it."""
        return self.codec.layout

    def generate(self, num: int, seed: int = 0, *, where: Where | None = None) -> Iterator[Samples]:
        """Draw samples in blocks of bounded memory.

        On the same CPU machine the same seed gives the same samples, and a smaller number of them is the beginning of a
        larger one.

        Args:
            num: How many, at least 1.
            seed: Of the noise, and of what is asked for where it is drawn.
            where: What is asked for: names of conditions to a value, or to several that then come equally often. What
                nothing is said of is drawn as it occurs in the data.

        Returns:
            Blocks of samples as the user brought them, `num` in all; those of points and images that can be asked for
            have their conditions beside them.

        Raises:
            UsageError: `num` is below 1; something is asked of an unconditional run; a name or a value that is not
                known.
        """
        asked = self._asked(num, where)
        return (decode_batch(self.codec, asked, batch) for batch in self._blocks(num, seed, asked))

    def sample(self, num: int, seed: int = 0, *, where: Where | None = None) -> Samples:
        """All samples of `generate` at once."""
        blocks = list(self.generate(num, seed, where=where))
        if isinstance(blocks[0], pa.Table):
            return pa.concat_tables(blocks)
        labelled = [block for block in blocks if isinstance(block, Labelled)]
        if labelled:
            words = pa.concat_tables(block.words for block in labelled)
            return Labelled(values=np.concatenate([block.values for block in labelled]), words=words)
        joined: NDArray[np.generic] = np.concatenate([np.asarray(block) for block in blocks])
        return joined

    def values(self, num: int, seed: int = 0, *, where: Where | None = None) -> Tensor:
        """The same samples as the networks see them, shape (num, *layout.shape), float32, without a graph.

        Raises:
            UsageError: As `generate`.
        """
        return torch.cat([batch.values for batch in self._blocks(num, seed, self._asked(num, where))])

    def draw(self, condition: Tensor, seed: int = 0) -> Tensor:
        """A sample for each of these conditions, as the networks see them, shape (N, *layout.shape), float32.

        Args:
            condition: Shape (N, C), as `conditions.encode` gives it.
            seed: Of the noise.
        """
        game = self.game
        with game.engine.limits():
            return draw_for(
                game.draw, game.prior, self.layout, condition, seed=seed, purpose="noise of a user's samples"
            )

    def _asked(self, num: int, where: Where | None) -> Conditions | None:
        """What is asked for, after a look at whether it can be."""
        if num < 1:
            raise UsageError(f"the number of samples must be at least 1, not {num}")
        if self.conditions is None and where:
            raise UsageError(
                f"{next(iter(where))!r} cannot be asked for: this run was trained without conditions",
                remedy="Train one with --condition.",
            )
        return self.conditions if self.conditions is None or not where else self.conditions.where(where)

    def _blocks(self, num: int, seed: int, asked: Conditions | None) -> Iterator[Batch]:
        game, engine, num_workers = self.game, self.game.engine, 1
        if engine.device.type == "cpu":
            # Each block on one thread, whatever their number: rounding is then the same for any number of cores.
            engine, num_workers = dataclasses.replace(engine, threads=1), torch.get_num_threads()
        blocks = draw_blocks(
            game.draw,
            game.prior,
            self.layout,
            num=num,
            seed=seed,
            purpose="noise of a user's samples",
            conditions=asked,
            num_workers=num_workers,
        )
        while True:
            # The limit on threads is the process's own: it must not stay while the caller has the block.
            with engine.limits():
                batch = next(blocks, None)
            if batch is None:
                return
            yield batch


def load(directory: Path, *, checkpoint: Literal["best", "last"] = "last") -> Trained:
    """Load what a run has learnt; the run may still be going on.

    Args:
        directory: The run's directory.
        checkpoint: The last one, or the one whose samples were judged best.

    Raises:
        UsageError: There is no run.
        CheckpointError: No checkpoint can be used.
    """
    files = RunFiles(directory)
    refuse_no_run(files)
    settings = read_settings(files)
    saved = checkpoints.load(files.checkpoints, checkpoint)
    refuse_other_facts(saved)
    refuse_other_settings(saved, settings, directory)
    stored = read_source(files)
    codec, conditions = codec_from_state(stored["codec"]), conditions_from_state(stored.get("conditions"))
    size = 0 if conditions is None else conditions.size
    game = build_game(_for_this_machine(settings, read_environment(files)), codec.layout, size)
    restore(game, saved)
    return Trained(settings, codec, game, conditions, _doubt(files, saved.step))


def _doubt(files: RunFiles, step: int) -> str:
    """Why the samples of a run's checkpoint may be worth nothing, or an empty text."""
    if step == 0:
        return f"the generator of '{files.root}' has not been trained yet: this is step 0"
    try:
        lines = Journal(files.events).lines()
    except CheckpointError as error:
        # Samples do not depend on it.
        return f"{error.message}; how the run ended is not known"
    endings = [line for line in lines if line.get("event") in ("diverged", "resumed", "finished")]
    if endings and endings[-1]["event"] == "diverged":
        return f"the run in '{files.root}' diverged at step {endings[-1].get('step')}; this is its state at step {step}"
    return ""


def evaluate(
    directory: Path,
    *,
    checkpoint: Literal["best", "last"] = "last",
    data: str | None = None,
    source: Source | None = None,
    size: int | None = None,
    rounds: int | None = None,
    features: bool = False,
    obedience: bool = True,
) -> dict[str, float]:
    """Judge a run's samples against the rows it never saw, as the run itself does along the way.

    Args:
        directory: The run's directory.
        checkpoint: The last one, or the one whose samples were judged best.
        data: Where the data is now, if it has moved since.
        source: The data, if it is open already or was never a file.
        size: Samples on each side, at most; None for the number that the run takes.
        rounds: Independent sets of samples; None for the number that the run takes.
        features: Whether to compute the kernel distance on a network's features too (images only).
        obedience: Whether to see if conditions are obeyed, where there are conditions; takes up to a minute.

    Returns:
        "score" (lower is better) and the numbers it is made of, by name; then those of `wgan.obedience.obedience`.

    Raises:
        UsageError: There is no run, or it holds no rows out.
        CheckpointError: No checkpoint can be used, or the data is not what the run was begun with.
    """
    trained = load(directory, checkpoint=checkpoint)
    settings, game = trained.settings, trained.game
    if source is None:
        source = open_again(settings if data is None else moved(settings, data), RunFiles(directory))
    refuse_other_data(read_source(RunFiles(directory)), source, directory)
    judge = Judge(
        source,
        size=size or settings.judge_size,
        rounds=rounds or settings.judge_rounds,
        seed=settings.seed,
        features=features,
    )

    with game.engine.limits():
        found = judge(lambda num: drawn(game, source, num, "noise of the judge").values)
        return found | (obeyed(game, source, settings, judge.size) if obedience else {})


def _for_this_machine(settings: Settings, environment: dict[str, Any]) -> Settings:
    """The settings with what this machine lacks replaced: a GPU, and bfloat16 where only that GPU was fast at it."""
    if torch.cuda.is_available() or (settings.device != "cuda" and environment.get("device") == "cpu"):
        return settings
    is_slow = settings.precision == "bfloat16" and not has_fast_bfloat16()
    return dataclasses.replace(settings, device="cpu", precision="float32" if is_slow else settings.precision)
