"""What a run has written about itself beside its checkpoints, read back."""

from __future__ import annotations

import dataclasses
import tomllib
from pathlib import Path
from typing import Any

from wgan.errors import CheckpointError, UsageError
from wgan.experiment.files import RESTORE, RunFiles
from wgan.settings import ADDED, Settings, from_toml, read_toml, to_toml
from wgan.storage import parsed_json, read_plain


def read_settings(files: RunFiles) -> Settings:
    """Read a run's settings, all of which the run itself wrote.

    Raises:
        CheckpointError: The file is damaged or cut off.
        UsageError: A value, changed by hand, cannot be used.
    """
    try:
        values = read_toml(files.settings)
    except UsageError as error:
        raise CheckpointError(error.message, remedy=RESTORE) from None
    whole = tomllib.loads(to_toml(Settings()))
    reading = values.get("input")
    missing = [name for name in whole if name not in values]
    missing += [f"input.{name}" for name in whole["input"] if isinstance(reading, dict) and name not in reading]
    # A run of an earlier version is what the defaults of later settings make of it.
    if missing and set(missing) not in ADDED:
        raise CheckpointError(f"'{files.settings}' is cut off: it lacks {', '.join(missing)}", remedy=RESTORE)
    settings = from_toml(files.settings)
    return dataclasses.replace(settings, engine="eager") if "engine" in missing else settings


def read_note(path: Path, *wanted: str) -> dict[str, Any]:
    """Read one of a run's JSON files.

    Args:
        path: The file.
        wanted: Names that must be in it.

    Raises:
        CheckpointError: It cannot be read, or lacks one of the names.
    """
    try:
        note: dict[str, Any] = parsed_json(read_plain(path))
    except (OSError, ValueError) as error:
        raise CheckpointError(f"'{path}' cannot be read: {error}", remedy=RESTORE) from None
    missing = [name for name in wanted if not isinstance(note, dict) or name not in note]
    if missing or not isinstance(note, dict):
        raise CheckpointError(f"'{path}' lacks {', '.join(missing) or 'everything'}", remedy=RESTORE)
    return note


def read_source(files: RunFiles) -> dict[str, Any]:
    """Read what a run keeps of its data, as `source_state` gives it.

    Raises:
        CheckpointError: It cannot be read.
    """
    note = read_note(files.source, "name", "describe", "fingerprint", "codec")
    wrong = [name for name in ("name", "describe", "fingerprint") if not isinstance(note[name], str)]
    wrong += [] if isinstance(note["codec"], dict) else ["codec"]
    wrong += [] if isinstance(note.get("conditions", {}), dict) else ["conditions"]
    if wrong:
        raise CheckpointError(f"'{files.source}': {', '.join(wrong)} of another type than a run writes", remedy=RESTORE)
    return note
