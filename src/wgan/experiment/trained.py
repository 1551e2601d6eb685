"""A generator that has been trained: samples from a run's checkpoint, without the data it was trained on."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pyarrow as pa
import torch
from numpy.typing import NDArray
from torch import Tensor

from wgan import checkpoints
from wgan.assembly import build_game
from wgan.batch import Layout
from wgan.data import codec_from_state
from wgan.data.source import Codec, Decoded, Source
from wgan.engine import has_fast_bfloat16
from wgan.errors import UsageError
from wgan.experiment.drawing import draw_all, draw_blocks
from wgan.experiment.files import RunFiles, refuse_no_run
from wgan.experiment.fitting import refuse_other_data, refuse_other_facts, refuse_other_settings, restore
from wgan.experiment.opening import open_again, read_note, read_settings, read_source
from wgan.experiment.record import Journal
from wgan.game import Game
from wgan.metrics import Judge
from wgan.settings import Settings


class Trained:
    """A trained generator and the way back from what it makes to what the user brought.

    Attributes:
        settings: The run's settings.
        codec: The preprocessing that samples undo.
        game: The networks; samples are drawn from its averaged generator where there is one.
        doubt: Why samples may be worth nothing, in a line: the run diverged, or has done no step. Empty if neither.
    """

    def __init__(self, settings: Settings, codec: Codec, game: Game, doubt: str = "") -> None:
        self.settings, self.codec, self.game, self.doubt = settings, codec, game, doubt

    @property
    def step(self) -> int:
        """Generator updates that were done."""
        return self.game.steps_done

    @property
    def layout(self) -> Layout:
        """What a sample is, as the networks see it."""
        return self.codec.layout

    def generate(self, num: int, seed: int = 0) -> Iterator[Decoded]:
        """Draw samples in blocks of bounded memory.

        On the same CPU machine the same seed gives the same samples, and a smaller number of them is the beginning of a
        larger one.

        Args:
            num: How many, at least 1.
            seed: Of the noise.

        Returns:
            Blocks of samples as the user brought them, `num` in all.

        Raises:
            UsageError: `num` is below 1.
        """
        _refuse_none(num)
        return (self.codec.decode(values) for values in self._blocks(num, seed))

    def sample(self, num: int, seed: int = 0) -> Decoded:
        """All samples of `generate` at once."""
        blocks = list(self.generate(num, seed))
        if isinstance(blocks[0], pa.Table):
            return pa.concat_tables(blocks)
        joined: NDArray[np.generic] = np.concatenate(blocks)
        return joined

    def values(self, num: int, seed: int = 0) -> Tensor:
        """The same samples as the networks see them, shape (num, *layout.shape), float32, without a graph.

        Raises:
            UsageError: `num` is below 1.
        """
        _refuse_none(num)
        return torch.cat(list(self._blocks(num, seed)))

    def _blocks(self, num: int, seed: int) -> Iterator[Tensor]:
        game = self.game
        blocks = draw_blocks(
            game.draw, game.prior, self.layout, num=num, seed=seed, purpose="noise of a user's samples"
        )
        while True:
            # The limit on threads is the process's own: it must not stay while the caller has the block.
            with game.engine.limits():
                values = next(blocks, None)
            if values is None:
                return
            yield values


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
    codec = codec_from_state(read_source(files)["codec"])
    game = build_game(_for_this_machine(settings, read_note(files.environment)), codec.layout)
    restore(game, saved)
    return Trained(settings, codec, game, _doubt(files, saved.step))


def _doubt(files: RunFiles, step: int) -> str:
    """Why the samples of a run's checkpoint may be worth nothing, or an empty text."""
    if step == 0:
        return f"the generator of '{files.root}' has not been trained yet: this is step 0"
    endings = [
        line for line in Journal(files.events).lines() if line.get("event") in ("diverged", "resumed", "finished")
    ]
    if endings and endings[-1]["event"] == "diverged":
        return f"the run in '{files.root}' diverged at step {endings[-1].get('step')}; this is its state at step {step}"
    return ""


def evaluate(
    directory: Path,
    *,
    checkpoint: Literal["best", "last"] = "last",
    source: Source | None = None,
    size: int | None = None,
    rounds: int | None = None,
    features: bool = False,
) -> dict[str, float]:
    """Judge a run's samples against the rows it never saw, as the run itself does along the way.

    Args:
        directory: The run's directory.
        checkpoint: The last one, or the one whose samples were judged best.
        source: The data, if it is open already or was never a file.
        size: Samples on each side, at most; None for the number that the run takes.
        rounds: Independent sets of samples; None for the number that the run takes.
        features: Whether to compute the kernel distance on a network's features too (images only).

    Returns:
        "score" (lower is better) and the numbers it is made of, by name.

    Raises:
        UsageError: There is no run, or it holds no rows out.
        CheckpointError: No checkpoint can be used, or the data is not what the run was begun with.
    """
    trained = load(directory, checkpoint=checkpoint)
    settings, game = trained.settings, trained.game
    if source is None:
        source = open_again(settings, RunFiles(directory))
    refuse_other_data(read_source(RunFiles(directory)), source, directory)
    judge = Judge(
        source,
        size=size or settings.judge_size,
        rounds=rounds or settings.judge_rounds,
        seed=settings.seed,
        features=features,
    )

    def draw(num: int) -> Tensor:
        return draw_all(game.draw, game.prior, trained.layout, num=num, seed=game.seed, purpose="noise of the judge")

    with game.engine.limits():
        return judge(draw)


def _for_this_machine(settings: Settings, environment: dict[str, Any]) -> Settings:
    """The settings with what this machine lacks replaced: a GPU, and bfloat16 where only that GPU was fast at it."""
    if torch.cuda.is_available() or (settings.device != "cuda" and environment.get("device") == "cpu"):
        return settings
    is_slow = settings.precision == "bfloat16" and not has_fast_bfloat16()
    return dataclasses.replace(settings, device="cpu", precision="float32" if is_slow else settings.precision)


def _refuse_none(num: int) -> None:
    if num < 1:
        raise UsageError(f"the number of samples must be at least 1, not {num}")
