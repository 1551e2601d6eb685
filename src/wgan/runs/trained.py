"""Load a trained generator from a run, and draw samples from it without the data it was trained on."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, Literal, TypeAlias

import numpy as np
import pyarrow as pa
import torch
from numpy.typing import NDArray
from torch import Tensor

from wgan.batch import Batch, Layout
from wgan.data import codec_from_state, conditions_from_state
from wgan.data.conditions import Conditions
from wgan.data.source import Codec, Decoded, Labelled, Samples, Source, decode_batch
from wgan.errors import CheckpointError, UsageError
from wgan.evaluation.metrics import SampleEvaluator
from wgan.runs import checkpoints
from wgan.runs.compatibility import refuse_other_data, refuse_other_facts, refuse_other_settings, restore
from wgan.runs.data import moved, open_again
from wgan.runs.directories import refuse_no_run
from wgan.runs.drawing import draw_blocks, draw_for, given_noise
from wgan.runs.evaluating import evaluate_setup
from wgan.runs.files import RunFiles
from wgan.runs.memory_need import refuse_larger_networks
from wgan.runs.metadata import read_environment, read_settings, read_source
from wgan.runs.record import Journal
from wgan.settings import Settings
from wgan.system.memory import memory_faults
from wgan.system.torch_state import in_default_state
from wgan.training.custom import Own, own_parts
from wgan.training.engine import has_fast_bfloat16
from wgan.training.factory import Parts, build_game, choose_parts, hparams_of
from wgan.training.game import Game
from wgan.training.setup import Setup

Where: TypeAlias = Mapping[str, Any]
"""Conditions of samples: from the name of a condition to a value, or to several."""

Decode: TypeAlias = Callable[[Tensor], Decoded]
"""Decodes what the networks generate."""

_DRAWING = ("while samples were drawn", "Draw fewer at once, or in blocks: generate() holds no more than one.")


class Trained:
    """A trained generator and the preprocessing that its samples undo.

    Attributes:
        settings: The run's settings.
        codec: The preprocessing.
        game: The networks; samples are drawn from its averaged generator if there is one.
        conditions: The conditions of samples; None for an unconditional run.
        doubt: Why samples may be useless, in a line: the run diverged, or has done no step. Empty if neither.
        parts: Objective, constraint, architectures and optimisers; built from the settings if None.
    """

    def __init__(
        self,
        settings: Settings,
        codec: Codec,
        game: Game,
        conditions: Conditions | None = None,
        doubt: str = "",
        parts: Parts | None = None,
    ) -> None:
        self.settings, self.codec, self.game, self.doubt = settings, codec, game, doubt
        self.conditions = conditions
        self.parts = parts or choose_parts(settings)
        # Several threads draw samples at once; none of them may change the mode.
        game.sampling_generator.eval()

    @property
    def step(self) -> int:
        """Generator updates that were done."""
        return self.game.steps_done

    @property
    def layout(self) -> Layout:
        """The layout of a sample, as the networks see it."""
        return self.codec.layout

    def generate(
        self, num: int, seed: int = 0, *, where: Where | None = None, decode: Decode | None = None
    ) -> Iterator[Samples]:
        """Draw samples in blocks of bounded memory.

        On the same CPU machine the same seed gives the same samples, and fewer samples are the beginning of more.

        Args:
            num: How many, at least 1.
            seed: Of the noise and of conditions that are drawn.
            where: From names of conditions to a value, or to several that then come equally often. Other conditions are
                drawn as they occur in the data.
            decode: `codec.restore` for arrays in the dtype, range and axes of the training data; `codec.decode` if
                None, which gives images as bytes with channels last.

        Returns:
            Blocks of samples, `num` in all. Points and images of a conditional run have their conditions beside them.

        Raises:
            UsageError: `num` is below 1, the run is unconditional but `where` is not empty, or a name or value is
                unknown.
        """
        asked = self._asked(num, where)
        return self._decoded(num, seed, asked, decode)

    @in_default_state
    @memory_faults(*_DRAWING)
    def sample(
        self,
        num: int | None = None,
        seed: int = 0,
        *,
        where: Where | None = None,
        noise: Any = None,  # noqa: ANN401 - an array or a tensor
        decode: Decode | None = None,
    ) -> Samples:
        """All samples of `generate` at once, or samples of the caller's own noise.

        Args:
            num: How many; may be left out if `noise` is given.
            seed: As in `generate`.
            where: As in `generate`.
            noise: A row for each sample, shape (num, settings.latent_dim). The same rows give the same samples under
                the same conditions.
            decode: As in `generate`.

        Raises:
            UsageError: As `generate`; or noise that cannot be used.
        """
        rows = None if noise is None else given_noise(noise, self.settings.latent_dim)
        if rows is not None and num not in (None, len(rows)):
            raise UsageError(f"noise has {len(rows):,} rows, but {num:,} samples were requested")
        num = (1 if num is None else num) if rows is None else len(rows)
        blocks = list(self._decoded(num, seed, self._asked(num, where), decode, rows))
        if isinstance(blocks[0], pa.Table):
            return pa.concat_tables(blocks)
        labelled = [block for block in blocks if isinstance(block, Labelled)]
        if labelled:
            words = pa.concat_tables(block.words for block in labelled)
            return Labelled(values=_joined([block.values for block in labelled]), words=words)
        return _joined([np.asarray(block) for block in blocks])

    @in_default_state
    @memory_faults(*_DRAWING)
    def values(self, num: int, seed: int = 0, *, where: Where | None = None) -> Tensor:
        """The same samples as the networks see them, shape (num, *layout.shape), float32, without a graph.

        Raises:
            UsageError: As `generate`.
        """
        return torch.cat([batch.values for batch in self._blocks(num, seed, self._asked(num, where))])

    @in_default_state
    @memory_faults(*_DRAWING)
    def draw(self, condition: Tensor, seed: int = 0, *, noise: Any = None) -> Tensor:  # noqa: ANN401
        """A sample for each condition, as the networks see them, shape (N, *layout.shape), float32.

        Args:
            condition: Shape (N, C), as `conditions.encode` gives it.
            seed: Of the noise.
            noise: As in `sample`.

        Raises:
            UsageError: Noise that cannot be used, or with another number of rows.
        """
        game = self.game
        rows = None if noise is None else given_noise(noise, self.settings.latent_dim)
        if rows is not None and len(rows) != len(condition):
            raise UsageError(f"noise has {len(rows):,} rows, but {len(condition):,} samples were requested")
        with game.engine.limits():
            return draw_for(
                game.draw,
                game.prior,
                self.layout,
                condition,
                seed=seed,
                purpose="noise of a user's samples",
                noise=rows,
            )

    @in_default_state
    def _decoded(
        self, num: int, seed: int, asked: Conditions | None, decode: Decode | None, noise: Tensor | None = None
    ) -> Iterator[Samples]:
        for batch in self._blocks(num, seed, asked, noise):
            yield decode_batch(self.codec, asked, batch, decode)

    def _asked(self, num: int, where: Where | None) -> Conditions | None:
        """Check the arguments, and restrict the conditions to `where`."""
        if num < 1:
            raise UsageError(f"the number of samples must be at least 1, not {num}")
        if self.conditions is None and where:
            raise UsageError(
                f"{next(iter(where))!r} cannot be requested: this run was trained without conditions",
                remedy="Train one with --condition.",
            )
        return self.conditions if self.conditions is None or not where else self.conditions.where(where)

    def _blocks(self, num: int, seed: int, asked: Conditions | None, noise: Tensor | None = None) -> Iterator[Batch]:
        game, engine, num_workers = self.game, self.game.engine, 1
        if engine.device.type == "cpu":
            # Each block is drawn on one thread: rounding is then the same for any number of cores.
            engine, num_workers = dataclasses.replace(engine, threads=1), torch.get_num_threads()

        def draw(noise: Tensor, condition: Tensor | None) -> Tensor:
            # Not around the blocks: a thread that waits for another must not keep that one from its turn.
            with engine.limits():
                return game.draw(noise, condition)

        blocks = draw_blocks(
            draw,
            game.prior,
            self.layout,
            num=num,
            seed=seed,
            purpose="noise of a user's samples",
            conditions=asked,
            num_workers=num_workers,
            noise=noise,
        )
        while True:
            with memory_faults(*_DRAWING):
                batch = next(blocks, None)
            if batch is None:
                return
            yield batch


def _joined(blocks: list[NDArray[np.generic]]) -> NDArray[np.generic]:
    """Concatenate blocks; NumPy by itself would change the byte order to the machine's own."""
    joined = np.empty((sum(map(len, blocks)), *blocks[0].shape[1:]), blocks[0].dtype)
    return np.concatenate(blocks, out=joined)


@in_default_state
@memory_faults("while the run was read", "Close other programs, or read it on a machine with more memory.")
def load(
    directory: str | Path,
    *,
    checkpoint: Literal["best", "last"] = "last",
    parts: Mapping[str, Any] | Own | None = None,
) -> Trained:
    """Load the trained generator of a run, which may still be running.

    Args:
        directory: The run's directory.
        checkpoint: The last one, or the one with the best score.
        parts: Your own objects and modules that the run was begun with, by setting.

    Raises:
        UsageError: There is no run, or it was begun with parts that are missing in `parts`.
        CheckpointError: No checkpoint can be used, or `parts` differ from those of the run.
    """
    directory = Path(directory)
    files = RunFiles(directory)
    refuse_no_run(files)
    settings = read_settings(files)
    given = parts if isinstance(parts, Own) else own_parts(parts or {})
    given.check(settings, where=str(directory))
    chosen = choose_parts(settings, given.parts)
    saved = checkpoints.load(files.checkpoints, checkpoint)
    refuse_other_facts(saved)
    refuse_other_settings(saved, settings, directory)
    stored = read_source(files)
    codec, conditions = codec_from_state(stored["codec"]), conditions_from_state(stored.get("conditions"))
    size = 0 if conditions is None else conditions.size
    refuse_larger_networks(settings, chosen, codec.layout, size, saved.tensors, directory)
    game = build_game(_for_this_machine(settings, read_environment(files)), codec.layout, size, chosen)
    restore(game, saved)
    return Trained(settings, codec, game, conditions, _doubt(files, saved.step), chosen)


def _doubt(files: RunFiles, step: int) -> str:
    """Why the samples of a run's checkpoint may be useless; empty if there is no reason."""
    if step == 0:
        return f"the generator of '{files.root}' has not been trained yet: this is step 0"
    try:
        lines = Journal(files.events).lines()
    except CheckpointError as error:
        # Samples do not depend on the events.
        return f"{error.message}; how the run ended is not known"
    endings = [line for line in lines if line.get("event") in ("diverged", "resumed", "finished")]
    if endings and endings[-1]["event"] == "diverged":
        return f"the run in '{files.root}' diverged at step {endings[-1].get('step')}; this is its state at step {step}"
    return ""


@in_default_state
@memory_faults("while samples were evaluated", "Use a smaller size (--size).")
def evaluate(
    directory: str | Path,
    *,
    checkpoint: Literal["best", "last"] = "last",
    data: str | None = None,
    source: Source | None = None,
    size: int | None = None,
    repeats: int | None = None,
    features: bool = False,
    conditional_accuracy: bool = True,
    parts: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """Evaluate a run's samples against held-out rows, as the run itself does along the way.

    Args:
        directory: The run's directory.
        checkpoint: The last one, or the one with the best score.
        data: Where the data is now, if it has moved.
        source: The data, if it is open already or was never a file.
        size: Samples of each set, at most; None for the run's own number.
        repeats: Independent sets of samples; None for the run's own number.
        features: Whether to compute the kernel distance between a network's features too (images only).
        conditional_accuracy: Whether to measure if samples follow their conditions, if there are conditions; takes up
            to a minute.
        parts: Your own objects and modules that the run was begun with, by setting.

    Returns:
        By name, "score" (lower is better) and the numbers of `wgan.evaluation.metrics.METRICS` and of
        `wgan.evaluation.conditional_accuracy`. "columns" compares held-out rows and samples in each numeric column, in
        the form of `wgan.evaluation.Marginal.as_json`, for tables and points of a few coordinates.

    Raises:
        UsageError: There is no run, or it holds no rows out.
        CheckpointError: No checkpoint can be used, or the data differs from the data that the run was begun with.
    """
    directory = Path(directory)
    trained = load(directory, checkpoint=checkpoint, parts=parts)
    settings = trained.settings
    if source is None:
        source = open_again(settings if data is None else moved(settings, data), RunFiles(directory))
    refuse_other_data(read_source(RunFiles(directory)), source, directory)
    evaluator = SampleEvaluator(
        source,
        size=size or settings.eval_size,
        repeats=repeats or settings.eval_repeats,
        seed=settings.seed,
        features=features,
    )
    objective, constraint = trained.parts.objective, trained.parts.constraint
    return evaluate_setup(
        Setup(trained.game, source, objective, constraint, hparams_of(settings)),
        settings,
        evaluator,
        by_column=True,
        conditional_accuracy=conditional_accuracy,
    )


def _for_this_machine(settings: Settings, environment: dict[str, Any]) -> Settings:
    """The settings without a GPU that this machine lacks, and without bfloat16 if only that GPU was fast at it."""
    if torch.cuda.is_available() or (settings.device != "cuda" and environment.get("device") == "cpu"):
        return settings
    is_slow = settings.precision == "bfloat16" and not has_fast_bfloat16()
    return dataclasses.replace(settings, device="cpu", precision="float32" if is_slow else settings.precision)
