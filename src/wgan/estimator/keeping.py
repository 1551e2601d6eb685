"""Keep a fitted estimator: the files of its run, in memory or in a directory. Nothing is pickled."""

from __future__ import annotations

import contextlib
import datetime
import hashlib
import importlib
import itertools
import json
import tempfile
import warnings
from collections.abc import Iterable, Iterator, Mapping
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
from wgan.settings.former import todays_parameters
from wgan.system.storage import disk_faults, parsed_json, read_plain, remove_folder, temporary_beside, write_new
from wgan.training.custom import NO_PARTS, Own

_NOTE = "estimator.json"
_KEPT = ("settings.toml", "source.json", "environment.json", "metrics.jsonl", "events.jsonl")

Files = dict[str, bytes]
"""The contents of the files of a run that are kept, by their path in the run directory."""


def next_run(directory: Path) -> Path:
    """Create a directory with the first unused number in a directory of runs, which is created if necessary.

    Raises:
        UsageError: The directory cannot be created.
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
    """Write the files of a run and a note on the estimator to a new directory, which appears once it is complete.

    Args:
        files: The files of the run.
        params: The estimator's parameters. Those that JSON cannot represent are left out.
        form: The form of the caller's data.
        directory: A directory that does not exist or is empty.

    Raises:
        UsageError: `directory` is taken.
        CheckpointError: The disk is full or failing.
    """
    if directory.exists() and not (directory.is_dir() and not any(directory.iterdir())):
        raise UsageError(f"there is something at '{directory}'", remedy="Name a new one: nothing is overwritten.")
    if not directory.parent.is_dir():
        raise UsageError(f"the folder '{directory.parent}' does not exist")
    plain = _plain_items(params) | {"directory": None, "settings": _plain_items(params["settings"] or {}) or None}
    note = {"params": plain, "form": asdict(form)}
    note = json.loads(json.dumps(note, default=_label_note))
    temporary = temporary_beside(directory)
    try:
        with disk_faults(directory.parent):
            _write({**files, _NOTE: _sealed(note)}, temporary)
            temporary.replace(directory)
    finally:
        if temporary.exists():
            remove_folder(temporary)


def read_note(directory: Path, codec: Codec, known: Iterable[str]) -> tuple[dict[str, Any], Form]:
    """Read the estimator's parameters and the form of its data. A run without them gets a form that suits its data.

    A damaged note may raise any error; see `unreadable_note`.

    Args:
        directory: The directory of the run.
        codec: The codec of the run.
        known: The names of the estimator's parameters.
    """
    try:
        note = _unsealed(directory / _NOTE)
        params = todays_parameters(note["params"], known)
        params = {name: _with_tuples(value) for name, value in params.items()}
        if params.get("settings"):
            params["settings"] = {name: _with_tuples(value) for name, value in params["settings"].items()}
        return params, form_of_note({name: _with_tuples(value) for name, value in note["form"].items()})
    except FileNotFoundError:
        return {}, Form(container="arrow" if codec.kind == "table" else "array")


@contextlib.contextmanager
def unreadable_note(directory: Path) -> Iterator[None]:
    """Within the block, turn any error that a damaged note causes into a `CheckpointError`."""
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
    """Read a note and verify its checksum. Notes of earlier versions have none and are accepted with a warning.

    Raises:
        CheckpointError: The note was changed after it was written.
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
    """A note with the checksum of all other items in it. Labels in it may be NaN."""
    digest = hashlib.sha256(json.dumps(note, indent=1).encode()).hexdigest()
    return json.dumps({**note, "sha256": digest}, indent=1).encode()


def form_of_note(note: Mapping[str, Any]) -> Form:
    """The form that a note of this or an earlier version describes."""
    form = dict(note)
    if "rank" in form:
        # Earlier versions kept these here rather than in the codec.
        before = {name: form.pop(name, None) for name in ("rank", "channels_first", "lowest")}
        form["before"] = before | {"dtype": form.get("dtype", "")}
    return Form(**form)


def load_files(files: Files, own: Own = NO_PARTS) -> runs.Trained:
    """Load a trained generator from the files of its run in memory."""
    with tempfile.TemporaryDirectory(prefix="wgan-") as temporary:
        directory = Path(temporary) / "run"
        _write(files, directory)
        return load_run(directory, own)


def load_run(directory: Path, own: Own = NO_PARTS) -> runs.Trained:
    """Load a trained generator: the last checkpoint of the run, or the best one if the run had patience."""
    trained = runs.load(directory, parts=own)
    is_chosen = trained.settings.patience > 0 and known_best(directory / "checkpoints") is not None
    return runs.load(directory, checkpoint="best", parts=own) if is_chosen else trained


def _with_tuples(value: Any) -> Any:  # noqa: ANN401 - whatever a note holds
    """The value with tuples in place of lists, at any depth, and with labels that are dates restored."""
    if isinstance(value, dict) and value.keys() == {"date", "class", "unit"}:
        return _label(value)
    return tuple(map(_with_tuples, value)) if isinstance(value, list) else value


def _label_note(label: Any) -> Any:  # noqa: ANN401 - whatever a frame calls its columns
    """A column's label that JSON cannot represent: a date as a note, a NumPy scalar as a number, others as text."""
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


def _plain_items(values: Mapping[str, Any]) -> dict[str, Any]:
    """The values that JSON can represent."""
    return {name: value for name, value in values.items() if _is_plain(value)}


def _is_plain(value: object) -> bool:
    try:
        json.dumps(value)
    except (TypeError, ValueError):
        return False
    return True
