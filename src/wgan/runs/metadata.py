"""Read and check the files that a run writes in addition to its checkpoints.

`settings.toml` contains a checksum of its lines, since a resume may change it. `source.json` and `environment.json`
never change: every checkpoint notes their checksums.
"""

from __future__ import annotations

import dataclasses
import hashlib
import os
import platform
import time
import tomllib
import warnings
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from wgan.errors import CheckpointError, UsageError
from wgan.runs.checkpoints import read_facts
from wgan.runs.files import RESTORE, RunFiles
from wgan.runs.record import RunWarning, read_lines
from wgan.settings import ADDED, Seal, Settings, from_toml, read_toml, seal_of, to_toml
from wgan.settings.former import todays_settings
from wgan.system.storage import parsed_json, read_plain

if TYPE_CHECKING:
    from wgan.training.engine import Engine

_SHOWN = 8
_PAUSES = (0.05, 0.2)
_MEANT = "Restore it from a copy; or, if it was changed on purpose, remove its line that begins with '# sha256'."


def noted_settings(settings: Settings) -> dict[str, Any]:
    """All settings as plain JSON values, those of `input` under dotted names, as a checkpoint notes them."""
    values = tomllib.loads(to_toml(settings))
    return _flat(values)


def checksums(files: RunFiles) -> dict[str, str]:
    """The checksums of the files that never change, by file name, as a checkpoint notes them.

    Raises:
        CheckpointError: One of them cannot be read.
    """
    return {path.name: hashlib.sha256(_bytes(path)).hexdigest() for path in (files.source, files.environment)}


def settings_seal(files: RunFiles, facts: Mapping[str, Any] | None) -> Seal:
    """Whether a run's settings have a checksum.

    Args:
        files: Of the run.
        facts: Of its newest checkpoint; None if there is none.

    Raises:
        CheckpointError: Their checksum is wrong; the changes are listed.
    """
    raw = _bytes(files.settings)
    seal = seal_of(raw)
    if seal == "broken":
        try:
            now = _flat(todays_settings(tomllib.loads(raw.decode("utf-8-sig"))))
            said = listed_differences(now, _noted(facts, now))
        except ValueError as error:
            said = str(error)
        raise CheckpointError(
            f"'{files.settings}' was changed after it was written{f': {said}' if said else ''}", remedy=_MEANT
        )
    return seal


def listed_differences(now: Mapping[str, Any], before: Mapping[str, Any]) -> str:
    """The settings that differ, with their values now and before; the first few of many."""
    names = [name for name in {**before, **now} if name not in now or name not in before or now[name] != before[name]]
    differences = [f"{name}: {now.get(name, 'nothing')}, was {before.get(name, 'nothing')}" for name in names]
    more = [f"and {len(differences) - _SHOWN} more"] if len(differences) > _SHOWN else []
    return "; ".join(differences[:_SHOWN] + more)


def read_settings(files: RunFiles) -> Settings:
    """Read a run's settings.

    Settings without a checksum are read with a warning that lists their differences from the newest checkpoint.

    Raises:
        CheckpointError: The file is damaged, incomplete, or does not have its checksum.
        UsageError: A value, changed by hand, cannot be used.
    """
    facts = read_facts(files.checkpoints)
    seal = settings_seal(files, facts)
    try:
        values = read_toml(files.settings)
    except UsageError as error:
        raise CheckpointError(error.message, remedy=RESTORE) from None
    whole = tomllib.loads(to_toml(Settings()))
    reading = values.get("input")
    missing = [name for name in whole if name not in values]
    missing += [f"input.{name}" for name in whole["input"] if isinstance(reading, dict) and name not in reading]
    # A run of an earlier version used the defaults of settings that were added later.
    if missing and set(missing) not in ADDED:
        raise CheckpointError(f"'{files.settings}' is cut off: it lacks {', '.join(missing)}", remedy=RESTORE)
    settings = from_toml(files.settings)
    if facts is not None:
        _warn_unchecked(files, facts, seal, _flat(values))
    return dataclasses.replace(settings, engine="eager") if "engine" in missing else settings


def read_note(path: Path, *wanted: str, digests: Mapping[str, str]) -> dict[str, Any]:
    """Read one of a run's JSON files.

    Args:
        path: The file.
        wanted: Names that must be in it.
        digests: The checksums that the run's checkpoint notes, by file name.

    Raises:
        CheckpointError: It cannot be read, is not what was written, or lacks one of the names.
    """
    raw = _bytes(path)
    if path.name in digests and hashlib.sha256(raw).hexdigest() != digests[path.name]:
        raise CheckpointError(
            f"'{path}' was changed after it was written: it does not have the checksum that the checkpoint notes",
            remedy=RESTORE,
        )
    try:
        note: dict[str, Any] = parsed_json(raw)
    except ValueError as error:
        raise CheckpointError(f"'{path}' cannot be read: {error}", remedy=RESTORE) from None
    missing = [name for name in wanted if not isinstance(note, dict) or name not in note]
    if missing or not isinstance(note, dict):
        raise CheckpointError(f"'{path}' lacks {', '.join(missing) or 'everything'}", remedy=RESTORE)
    return note


def read_source(files: RunFiles) -> dict[str, Any]:
    """Read what a run keeps of its data, in the form of `source_state`.

    Raises:
        CheckpointError: It cannot be read, or is not what was written.
    """
    wanted = ("name", "describe", "fingerprint", "codec")
    note = read_note(files.source, *wanted, digests=noted_checksums(read_facts(files.checkpoints)))
    wrong = [name for name in ("name", "describe", "fingerprint") if not isinstance(note[name], str)]
    wrong += [] if isinstance(note["codec"], dict) else ["codec"]
    wrong += [] if isinstance(note.get("conditions", {}), dict) else ["conditions"]
    if wrong:
        raise CheckpointError(f"'{files.source}': {', '.join(wrong)} of another type than a run writes", remedy=RESTORE)
    return note


def read_environment(files: RunFiles) -> dict[str, Any]:
    """Read the environment that a run was begun in.

    Raises:
        CheckpointError: It cannot be read, or is not what was written.
    """
    return read_note(files.environment, digests=noted_checksums(read_facts(files.checkpoints)))


def environment_of(engine: Engine) -> dict[str, Any]:
    """What the last bits of a run depend on besides its settings and data."""
    return {
        "wgan": version("wgan"),
        "python": platform.python_version(),
        "torch": torch.__version__,
        "numpy": np.__version__,
        "platform": platform.platform(),
        "machine": platform.machine(),
        "cpu_capability": torch.backends.cpu.get_cpu_capability(),
        "cores": os.cpu_count(),
        "device": torch.cuda.get_device_name() if engine.device.type == "cuda" else "cpu",
        "threads": engine.threads or torch.get_num_threads(),
        "precision": engine.precision,
        "engine": "compiled" if engine.compiled else "eager",
    }


def read_recorded(files: RunFiles) -> list[dict[str, Any]]:
    """The lines of a run's record; one that is still being written is left out.

    Raises:
        CheckpointError: They were changed after they were written, or some are missing.
    """
    for pause in (*_PAUSES, None):
        facts = read_facts(files.checkpoints) or {}
        try:
            lines = read_lines(files.metrics, length=facts.get("record_bytes"), check=facts.get("record_check"))
            return _merged(lines)
        except CheckpointError:
            # A run that is going back to an earlier checkpoint shortens its record.
            if pause is None:
                raise
            time.sleep(pause)
    raise AssertionError("the last attempt returns or raises")


def _merged(lines: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """One line for each update; a run that was ended where it was stopped may have recorded an update twice."""
    merged: dict[object, dict[str, Any]] = {}
    for index, line in enumerate(lines):
        key = line.get("step", f"line {index}")
        merged[key] = merged.get(key, {}) | line
    return list(merged.values())


def noted_checksums(facts: Mapping[str, Any] | None) -> dict[str, str]:
    """The checksums of a run's files that a checkpoint notes, by file name; none if it is of an earlier version.

    Args:
        facts: Of the checkpoint; None if there is none.
    """
    found = {} if facts is None else facts.get("files", {})
    return found if isinstance(found, dict) else {}


def _warn_unchecked(files: RunFiles, facts: Mapping[str, Any], seal: Seal, values: Mapping[str, Any]) -> None:
    """Warn about files without checksums, and list the differences."""
    if "files" not in facts:
        names = ", ".join(path.name for path in (files.settings, files.source, files.environment, files.metrics))
        said = (
            f"the run in '{files.root}' is of an earlier version: {names} carry no checksums and are taken as they are"
        )
    elif seal == "none":
        said = f"'{files.settings}' carries no checksum and is taken as it is"
        if changed := listed_differences(values, _noted(facts, values)):
            said += f"; it was changed after it was written: {changed}"
    else:
        return
    warnings.warn(said, RunWarning, stacklevel=4)


def _noted(facts: Mapping[str, Any] | None, default: Mapping[str, Any]) -> Mapping[str, Any]:
    """The settings that a checkpoint notes, if it notes all of them."""
    noted = None if facts is None else facts.get("settings")
    return noted if isinstance(noted, dict) and "data" in noted else default


def _flat(values: Mapping[str, Any]) -> dict[str, Any]:
    inner = values.get("input")
    inner = inner if isinstance(inner, dict) else {}
    return {name: value for name, value in values.items() if name != "input"} | {
        f"input.{name}": value for name, value in inner.items()
    }


def _bytes(path: Path) -> bytes:
    try:
        return read_plain(path)
    except OSError as error:
        raise CheckpointError(f"'{path}' cannot be read: {error.strerror}", remedy=RESTORE) from None
