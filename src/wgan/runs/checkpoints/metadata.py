"""Read and verify the metadata of a checkpoint, without its tensors."""

from __future__ import annotations

import contextlib
import hashlib
from pathlib import Path
from typing import Any

from wgan.errors import CheckpointError
from wgan.runs.checkpoints.format import (
    FORMAT,
    MANIFEST,
    MAX_NOTE,
    MAX_STATE,
    STATE,
    Best,
    bounded,
    name_of,
    read_best,
    refuse_other_version,
    steps_saved,
)
from wgan.settings.former import todays_settings
from wgan.system.storage import DamagedError, parsed, unseal


def read_facts(directory: Path) -> dict[str, Any] | None:
    """The facts of the newest checkpoint with intact metadata; None if there is none.

    Args:
        directory: The folder of the run's checkpoints; it may be missing.
    """
    state = _newest_state(directory)
    return None if state is None else dict(state["facts"])


def _newest_state(directory: Path) -> dict[str, Any] | None:
    for step in steps_saved(directory)[::-1]:
        with contextlib.suppress(DamagedError, CheckpointError):
            return read_state(directory / name_of(step))[0]
    return None


def known_best(directory: Path) -> Best | None:
    """The best checkpoint so far, by `best.json` or, if that is damaged, by the newest checkpoint.

    Args:
        directory: The folder of the run's checkpoints.
    """
    if (best := read_best(directory)) is not None:
        return best
    state = _newest_state(directory)
    return None if state is None else best_of(state, directory)


def read_state(path: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    """Read the state of a checkpoint, and the entries of its manifest.

    Raises:
        DamagedError: Their bytes are not those that were written.
        CheckpointError: They are of another version, or not of a checkpoint.
    """
    raw = bounded(path / MANIFEST, MAX_NOTE)
    refuse_other_version(parsed(raw, MANIFEST), path / MANIFEST)
    manifest = unseal(raw, MANIFEST)
    try:
        _refuse_other_format(manifest, path, MANIFEST)
        files = manifest["files"]
        raw = bounded(path / STATE, MAX_STATE)
        with contextlib.suppress(DamagedError):
            refuse_other_version(parsed(raw, STATE), path / STATE)
        if hashlib.sha256(raw).hexdigest() != files[STATE]["sha256"]:
            raise DamagedError(f"{STATE} does not have the checksum in its manifest")
        state = parsed(raw, STATE)
        _refuse_other_format(state, path, STATE)
        if state["step"] != int(path.name):
            raise foreign(path, f"its notes are of step {state['step']!r}")
        if not isinstance(state["facts"], dict):
            raise foreign(path, "its facts are not a JSON object")
        if isinstance(noted := state["facts"].get("settings"), dict):
            state["facts"]["settings"] = todays_settings(noted)
        best_of(state, path)
        return state, dict(files)
    except KeyError as error:
        raise foreign(path, f"its notes lack {error}") from None
    except (TypeError, ValueError) as error:
        raise foreign(path, f"its notes are of another form: {error}") from None


def best_of(state: dict[str, Any], path: Path) -> Best | None:
    """The best checkpoint when this state was saved."""
    try:
        best = state["best"]
        return None if best is None else Best(int(best["step"]), float(best["score"]))
    except KeyError as error:
        raise foreign(path, f"its notes lack {error}") from None
    except (TypeError, ValueError) as error:
        raise foreign(path, f"its notes are of another form: {error}") from None


def _refuse_other_format(note: dict[str, Any], path: Path, name: str) -> None:
    if note["format"] != FORMAT:
        raise foreign(path, f"{name} says that its format is {note['format']!r}")


def foreign(path: Path, fault: str) -> CheckpointError:
    """The error for a folder that is not a checkpoint of this program."""
    return CheckpointError(
        f"'{path}' is not a checkpoint of this program: {fault}",
        remedy="Nothing in it was run. Remove its folder to use the checkpoint before it.",
    )
