"""What a fitted estimator keeps: the files of its run, in memory or in a directory. Nothing is pickled."""

from __future__ import annotations

import contextlib
import datetime
import hashlib
import importlib
import itertools
import json
import tempfile
import warnings
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from wgan import runs
from wgan.data.source import Codec
from wgan.errors import CheckpointError, UsageError, WganError
from wgan.estimator.forms import Form
from wgan.runs import RunWarning
from wgan.runs.checkpoints import known_best, name_of, steps_saved
from wgan.runs.checkpoints.format import BEST
from wgan.settings.former import todays_settings
from wgan.system.storage import disk_faults, parsed_json, read_plain, remove_folder, temporary_beside, write_new
from wgan.training.custom import NO_PARTS, Own

_NOTE = "estimator.json"
_KEPT = ("settings.toml", "source.json", "environment.json", "metrics.jsonl", "events.jsonl")

Files = dict[str, bytes]
"""The files of a run that say what it has learnt and how, by their path within it."""


def next_run(directory: Path) -> Path:
    """Make the first unused number in a folder of runs, which is made too if it is not there.

    Raises:
        UsageError: It cannot be made.
    """
    for number in itertools.count(1):
        path = directory / f"{number:03d}"
        try:
            path.mkdir(parents=True)
        except FileExistsError:
            continue
        except OSError as error:
            raise UsageError(f"'{path}' cannot be made: {error.strerror}", remedy="Name another directory.") from None
        return path
    raise AssertionError("there is always a next number")


def read_run(directory: Path) -> Files:
    """Read the files of a run, of its checkpoints the last and the best."""
    checkpoints = directory / "checkpoints"
    best = known_best(checkpoints)
    wanted = {*steps_saved(checkpoints)[-1:], *([] if best is None else [best.step])}
    folders = [directory / name for name in _KEPT]
    folders += [checkpoints / BEST, *(checkpoints / name_of(step) for step in wanted)]
    paths = [path for folder in folders for path in (folder, *folder.glob("*"))]
    return {path.relative_to(directory).as_posix(): path.read_bytes() for path in paths if path.is_file()}


def write_run(files: Files, params: Mapping[str, Any], form: Form, directory: Path) -> None:
    """Write the files of a run and a note on the estimator to a new directory, which appears when it is complete.

    Raises:
        UsageError: There is something at `directory`.
        CheckpointError: The disk is full or failing.
    """
    if directory.exists() and not (directory.is_dir() and not any(directory.iterdir())):
        raise UsageError(f"there is something at '{directory}'", remedy="Name a new one: nothing is overwritten.")
    if not directory.parent.is_dir():
        raise UsageError(f"the folder '{directory.parent}' does not exist")
    plain = {name: value for name, value in params.items() if _is_plain(value)}
    note = {"params": plain | {"directory": None}, "form": asdict(form)}
    note = json.loads(json.dumps(note, default=_label_note))
    temporary = temporary_beside(directory)
    try:
        with disk_faults(directory.parent):
            _write({**files, _NOTE: _sealed(note)}, temporary)
            temporary.replace(directory)
    finally:
        if temporary.exists():
            remove_folder(temporary)


def read_note(directory: Path, codec: Codec) -> tuple[dict[str, Any], Form]:
    """Read the note on the estimator: its parameters and the form of its data; for any other run, what suits its data.

    What a damaged note raises is for `unreadable_note`.
    """
    try:
        note = _unsealed(directory / _NOTE)
        params = {name: _with_tuples(value) for name, value in todays_settings(note["params"]).items()}
        return params, form_of_note({name: _with_tuples(value) for name, value in note["form"].items()})
    except FileNotFoundError:
        return {}, Form(container="arrow" if codec.kind == "table" else "array")


@contextlib.contextmanager
def unreadable_note(directory: Path) -> Iterator[None]:
    """Turn whatever a damaged note on the estimator provokes within the block into an error of this project's.

    Raises:
        CheckpointError: Instead of any error that is not of the family.
    """
    try:
        yield
    except WganError:
        raise
    except Exception as error:
        reason = " ".join(str(error).split())[:300]
        raise CheckpointError(
            f"'{directory / _NOTE}' cannot be read: {type(error).__name__}: {reason}", remedy="Save the model again."
        ) from None


def _unsealed(path: Path) -> dict[str, Any]:
    """A note whose every byte is checked; one of an earlier version, which has no checksum, as it is.

    Raises:
        CheckpointError: It was changed after it was written.
    """
    raw = read_plain(path)
    note: dict[str, Any] = parsed_json(raw)
    if "sha256" not in note:
        warnings.warn(f"'{path}' carries no checksum and is taken as it is", RunWarning, stacklevel=4)
        return note
    del note["sha256"]
    if _sealed(note) != raw:
        raise CheckpointError(
            f"'{path}' was changed after it was written: it does not have the checksum that it carries",
            remedy="Restore it from a copy, or save the model again.",
        )
    return note


def _sealed(note: dict[str, Any]) -> bytes:
    """A note that carries the checksum of all else in it. Labels in it may be NaN."""
    digest = hashlib.sha256(json.dumps(note, indent=1).encode()).hexdigest()
    return json.dumps({**note, "sha256": digest}, indent=1).encode()


def form_of_note(note: Mapping[str, Any]) -> Form:
    """The form that a note describes: its fields by name, or those of an earlier version."""
    form = dict(note)
    if "rank" in form:
        # Until codecs knew them, these were kept here.
        before = {name: form.pop(name, None) for name in ("rank", "channels_first", "lowest")}
        form["before"] = before | {"dtype": form.get("dtype", "")}
    return Form(**form)


def load_files(files: Files, own: Own = NO_PARTS) -> runs.Trained:
    """Load what a run has learnt from its files in memory."""
    with tempfile.TemporaryDirectory(prefix="wgan-") as temporary:
        directory = Path(temporary) / "run"
        _write(files, directory)
        return load_run(directory, own)


def load_run(directory: Path, own: Own = NO_PARTS) -> runs.Trained:
    """Load what a run has learnt: its last state, or its best where it had patience for no more than so many worse."""
    trained = runs.load(directory, parts=own)
    is_chosen = trained.settings.patience > 0 and known_best(directory / "checkpoints") is not None
    return runs.load(directory, checkpoint="best", parts=own) if is_chosen else trained


def _with_tuples(value: Any) -> Any:  # noqa: ANN401 - whatever a note holds
    """The value with tuples in the place of lists, at any depth, and labels that are dates as such."""
    if isinstance(value, dict) and value.keys() == {"date", "class", "unit"}:
        return _label(value)
    return tuple(map(_with_tuples, value)) if isinstance(value, list) else value


def _label_note(label: Any) -> Any:  # noqa: ANN401 - whatever a frame calls its columns
    """A column's label that JSON does not have: a date or a number of NumPy's as such, all else as its text."""
    if isinstance(label, datetime.date):
        kind = type(label).__name__
        return {"date": label.isoformat(), "class": kind, "unit": getattr(label, "unit", None)}
    return label.item() if isinstance(label, np.generic) else str(label)


def _label(note: Mapping[str, Any]) -> Any:  # noqa: ANN401
    """The inverse of `_label_note` for dates."""
    if note["class"] == "Timestamp":
        return importlib.import_module("pandas").Timestamp(note["date"]).as_unit(note["unit"])
    return getattr(datetime, "datetime" if note["class"] == "datetime" else "date").fromisoformat(note["date"])


def _write(files: Files, directory: Path) -> None:
    directory.mkdir()
    for name, content in files.items():
        path = directory / name
        path.parent.mkdir(parents=True, exist_ok=True)
        write_new(path, content)


def _is_plain(value: object) -> bool:
    try:
        json.dumps(value)
    except (TypeError, ValueError):
        return False
    return True
