"""A fit is a run: its settings from the estimator's parameters, and its training to the end."""

from __future__ import annotations

import contextlib
import dataclasses
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from wgan import runs
from wgan.data.names import default_recipe
from wgan.data.source import Source, decode_batch
from wgan.errors import DataWarning, Interrupted
from wgan.estimator.checking import CALLED, given_settings
from wgan.estimator.forms import Form
from wgan.randomness import Randomness
from wgan.settings import DataOptions, Settings, in_python
from wgan.settings.recipes import recipe
from wgan.training.custom import Own

_ROWS_TRIED = 64
"""Rows that are brought back once before anything is trained."""


def settings_for(
    params: Mapping[str, Any],
    X: object,  # noqa: N803 - scikit-learn's name
    source: Source,
    options: DataOptions,
    seed: int,
) -> Settings:
    """The settings of a fit: those of a recipe, with what the parameters say laid over them.

    Args:
        params: The estimator's parameters by name, None where the recipe decides.
        X: As it was given: its name, or its type, is what the settings call the data.
        source: What was opened from it.
        options: How that was read.
        seed: Of the run.
    """
    is_named = isinstance(X, str | Path)
    named = params["recipe"]
    start = default_recipe(str(X)) if is_named and named is None else recipe(named or source.codec.kind)
    given = given_settings(params)
    if params["batch_size"] is None and source.size is not None:
        given["batch_size"] = min(start.batch_size, source.size)
    if params["directory"] is None:
        # What is thrown away at the end need not be judged, drawn and saved along the way, unless that decides its end.
        steps = given.get("steps", start.steps)
        given |= {"sample_every": max(1, steps), "save_every": max(1, steps)}
        if params["eval_every"] is None and not params["patience"]:
            given |= {"eval_every": 0}
    data = str(X) if is_named else f"<{type(X).__name__} in memory>"
    return dataclasses.replace(start, data=data, seed=seed, input=options, **given)


def warn_and_refuse(X: object, form: Form, source: Source) -> None:  # noqa: N803 - scikit-learn's name
    """Warn about the data, and refuse types that samples could not have.

    Args:
        X: As it was given.
        form: Of it.
        source: What was opened from it.

    Raises:
        DataError: Samples could not be of its types.
    """
    if said := getattr(source, "warning", ""):
        said = in_python(said, CALLED)
        warnings.warn(f"{source.name}: {said}", DataWarning, stacklevel=3)
    if source.codec.kind == "table" and not isinstance(X, str | Path):
        rows = source.labelled("train", _ROWS_TRIED, Randomness(0).at("rows to bring back"))
        form.refuse_other(X, decode_batch(source.codec, source.conditions, rows, source.codec.restore))


def train(
    settings: Settings, source: Source, directory: Path, own: Own, *, shown: bool, is_kept: bool
) -> list[dict[str, Any]]:
    """Train to the end.

    Args:
        settings: Of the run.
        source: The data.
        directory: A new directory for its files.
        own: Parts of the user's own.
        shown: Whether a live view shows how far it is.
        is_kept: Whether the directory stays, so that an interrupted run can be resumed.

    Returns:
        The lines of its record.

    Raises:
        Interrupted: A signal stopped a run that is kept.
        KeyboardInterrupt: One stopped a run that is not.
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
                # What it says how to resume is about to be removed.
                raise KeyboardInterrupt from None
            raise
    return history
