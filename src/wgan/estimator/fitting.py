"""A fit is a run: check the data, derive the settings of the run from the parameters, and train to the end."""

from __future__ import annotations

import contextlib
import dataclasses
import sys
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch

from wgan import runs
from wgan.data.names import default_recipe
from wgan.data.source import Source, decode_batch
from wgan.errors import DataError, DataWarning, Interrupted
from wgan.estimator.forms import Form
from wgan.estimator.parameters import as_parameter, run_settings
from wgan.randomness import Randomness
from wgan.settings import DataOptions, Settings, in_python
from wgan.settings.recipes import recipe
from wgan.training.custom import Own

_ROWS_TRIED = 64
"""Rows that are converted to the caller's types and compared before anything is trained."""


def refuse_by_convention(X: object, y: object = None) -> None:  # noqa: N803 - scikit-learn's name
    """Refuse arrays that scikit-learn asks every estimator to refuse, with the messages that its checks look for.

    Args:
        X: As the caller gave it.
        y: As the caller gave it.

    Raises:
        DataError: A sparse matrix, complex numbers, no columns, or a single row.
    """
    for name, given in (("X", X), ("y", y)):
        if _is_sparse(given):
            raise DataError(f"{name} is a sparse matrix, which is not supported", remedy=f"Give {name}.toarray().")
        if isinstance(given, np.ndarray | torch.Tensor) and _is_complex(given):
            raise DataError(
                f"Complex data not supported: {name} has shape {tuple(given.shape)} and dtype {given.dtype}",
                remedy="Give real and imaginary parts as separate columns.",
            )
    if not isinstance(X, np.ndarray | torch.Tensor):
        return
    shape = tuple(X.shape)
    if len(shape) == 2 and shape[1] == 0 and shape[0] > 1:
        raise DataError(
            f"X has 0 feature(s) (shape={shape}) while a minimum of 1 is required.", remedy="Give at least 1 column."
        )
    if shape[:1] == (1,):
        raise DataError(
            f"X has 1 sample (shape {shape}); needs at least 2 rows",
            remedy="Give more data: a distribution cannot be learnt from less.",
        )


def _is_complex(array: np.ndarray | torch.Tensor) -> bool:
    return array.is_complex() if isinstance(array, torch.Tensor) else array.dtype.kind == "c"


def _is_sparse(data: object) -> bool:
    """Whether the data is a sparse matrix or array of SciPy. If it is, SciPy has been imported."""
    sparse = sys.modules.get("scipy.sparse")
    return sparse is not None and bool(sparse.issparse(data))


def settings_for(
    values: Mapping[str, Any],
    X: object,  # noqa: N803 - scikit-learn's name
    source: Source,
    options: DataOptions,
    *,
    recipe_name: str | None,
    seed: int,
    is_kept: bool,
) -> Settings:
    """Derive the settings of the run: those of the recipe, overridden by those that are given.

    Args:
        values: The settings that are given, by name.
        X: The data as given: its name, or its type, is recorded in the settings.
        source: The data, opened.
        options: The options under which it was read.
        recipe_name: A recipe; None for the recipe for this kind of data.
        seed: Seed of the run.
        is_kept: Whether the run's directory is kept.
    """
    is_named = isinstance(X, str | Path)
    start = default_recipe(str(X)) if is_named and recipe_name is None else recipe(recipe_name or source.codec.kind)
    given = run_settings(values)
    if "batch_size" not in given and source.size is not None:
        given["batch_size"] = min(start.batch_size, source.size)
    if not is_kept:
        # The directory is removed at the end, so evaluations and checkpoints along the way are of no use, unless they
        # decide when the run ends.
        steps = max(1, given.get("steps", start.steps))
        given = {"sample_every": steps, "save_every": steps} | given
        if not given.get("patience"):
            given = {"eval_every": 0} | given
    data = str(X) if is_named else f"<{type(X).__name__} in memory>"
    return dataclasses.replace(start, data=data, seed=seed, input=options, **given)


def warn_and_refuse(X: object, form: Form, source: Source) -> None:  # noqa: N803 - scikit-learn's name
    """Pass on warnings about the data, and refuse types that samples could not have.

    Args:
        X: The data as given.
        form: Its form.
        source: The data, opened.

    Raises:
        DataError: Samples could not have the types of the data.
    """
    if said := getattr(source, "warning", ""):
        said = in_python(said, as_parameter)
        warnings.warn(f"{source.name}: {said}", DataWarning, stacklevel=3)
    if source.codec.kind == "table" and not isinstance(X, str | Path):
        rows = source.labelled("train", _ROWS_TRIED, Randomness(0).at("rows to bring back"))
        form.refuse_lost_types(X, decode_batch(source.codec, source.conditions, rows, source.codec.restore))


def train(
    settings: Settings, source: Source, directory: Path, own: Own, *, shown: bool, is_kept: bool
) -> list[dict[str, Any]]:
    """Train to the end.

    Args:
        settings: The settings of the run.
        source: The data.
        directory: A new directory for the files of the run.
        own: The user's own parts.
        shown: Whether to show a live view.
        is_kept: Whether the directory is kept, so that an interrupted run can be resumed.

    Returns:
        The lines of the record.

    Raises:
        Interrupted: A signal stopped a run that is kept.
        KeyboardInterrupt: A signal stopped a run that is not kept.
    """
    history: list[dict[str, Any]] = []
    with runs.begin(settings, directory, source=source, parts=own) as run, contextlib.ExitStack() as stack:
        view = None
        if shown:
            from wgan.report.live import LiveView

            engine = run.game.engine.describe()
            view = stack.enter_context(LiveView(settings, source.describe(), directory, settings.steps, engine=engine))
        try:
            for progress in run.run():
                if progress.went_back:
                    history = [line for line in history if line["step"] <= progress.step]
                if progress.record is not None:
                    history.append(progress.record)
                if view is not None:
                    view.update(progress)
        except Interrupted:
            if not is_kept:
                # Its message says how to resume the run, but the directory is about to be removed.
                raise KeyboardInterrupt from None
            raise
    return history
