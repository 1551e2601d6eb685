"""What a fitted estimator keeps: the files of its run, in memory or in a directory. Nothing is pickled."""

from __future__ import annotations

import contextlib
import itertools
import json
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from wgan import experiment
from wgan.checkpoints.format import BEST, name_of, read_best, steps_saved
from wgan.data.source import Codec
from wgan.errors import CheckpointError, UsageError, WganError
from wgan.estimator.forms import Form
from wgan.storage import disk_faults, parsed_json, read_plain, remove_folder, temporary_beside, write_new

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
    best = read_best(checkpoints)
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
    # A label that is neither text nor number, such as a date, is kept as its text.
    note = json.dumps({"params": plain | {"directory": None}, "form": asdict(form)}, indent=1, default=str)
    temporary = temporary_beside(directory)
    try:
        with disk_faults(directory.parent):
            _write({**files, _NOTE: note.encode()}, temporary)
            temporary.replace(directory)
    finally:
        if temporary.exists():
            remove_folder(temporary)


def read_note(directory: Path, codec: Codec) -> tuple[dict[str, Any], Form]:
    """Read the note on the estimator: its parameters and the form of its data; for any other run, what suits its data.

    What a damaged note raises is for `unreadable_note`.
    """
    try:
        note = parsed_json(read_plain(directory / _NOTE))
        params = {name: _with_tuples(value) for name, value in note["params"].items()}
        return params, Form(**{name: _with_tuples(value) for name, value in note["form"].items()})
    except FileNotFoundError:
        rank = 4 if codec.layout.is_image else 2
        return {}, Form(container="arrow" if codec.kind == "table" else "array", rank=rank)


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


def history_of(files: Files) -> list[dict[str, Any]]:
    """The lines of a run's record.

    Raises:
        CheckpointError: One of them is damaged.
    """
    try:
        return [parsed_json(line) for line in files.get("metrics.jsonl", b"").splitlines()]
    except ValueError as error:
        raise CheckpointError(
            f"the record metrics.jsonl is damaged: {error}", remedy="Restore it from a copy, or save the model again."
        ) from None


def load_files(files: Files) -> experiment.Trained:
    """Load what a run has learnt from its files in memory."""
    with tempfile.TemporaryDirectory(prefix="wgan-") as temporary:
        directory = Path(temporary) / "run"
        _write(files, directory)
        return load_run(directory)


def load_run(directory: Path) -> experiment.Trained:
    """Load what a run has learnt: its last state, or its best where it had patience for no more than so many worse."""
    trained = experiment.load(directory)
    is_chosen = trained.settings.patience > 0 and read_best(directory / "checkpoints") is not None
    return experiment.load(directory, checkpoint="best") if is_chosen else trained


def _with_tuples(value: Any) -> Any:  # noqa: ANN401 - whatever a note holds
    """The value with tuples in the place of lists, at any depth."""
    return tuple(map(_with_tuples, value)) if isinstance(value, list) else value


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
