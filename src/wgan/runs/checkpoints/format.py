"""The format of a checkpoint: its files and version, and what is read from it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor

from wgan.errors import CheckpointError, WganWarning
from wgan.system.storage import DamagedError, unseal

FORMAT = "wgan checkpoint"
VERSION = 1

TENSORS, STATE, MANIFEST, BEST = "tensors.safetensors", "state.json", "manifest.json", "best.json"

# Far above any real checkpoint; they bound what a hostile file can make a parser allocate.
MAX_NOTE = 1 << 16
MAX_HEADER = 1 << 23
MAX_STATE = 1 << 24


class CheckpointWarning(WganWarning):
    """A checkpoint is damaged, and an older one is used instead."""


@dataclass(frozen=True)
class Best:
    """The checkpoint with the best score.

    Attributes:
        step: Its step.
        score: Its score; lower is better.
    """

    step: int
    score: float


@dataclass(frozen=True)
class Checkpoint:
    """A checkpoint that was read.

    Attributes:
        step: Generator updates done.
        tensors: Named tensors on the CPU. They may be views of the file: copy them before changing them.
        facts: Plain JSON values.
        path: The checkpoint's folder.
        best: The best checkpoint of the run when this one was saved.
        passed_over: Why newer checkpoints were not used, a line each.
    """

    step: int
    tensors: dict[str, Tensor]
    facts: dict[str, Any]
    path: Path
    best: Best | None
    passed_over: tuple[str, ...] = ()


def name_of(step: int) -> str:
    """The name of a step's checkpoint and of its samples."""
    return f"{step:08d}"


def steps_saved(directory: Path) -> list[int]:
    """The steps of the checkpoints in `directory`, in ascending order, damaged ones included."""
    if not directory.is_dir():
        return []
    names = (path.name for path in directory.iterdir() if path.is_dir() and not path.is_symlink())
    # Other names are not checkpoints.
    return sorted(int(name) for name in names if name.isascii() and name.isdigit() and name_of(int(name)) == name)


def read_best(directory: Path) -> Best | None:
    """The best checkpoint so far; None if none has a score or `best.json` is damaged."""
    try:
        note = unseal(bounded(directory / BEST, MAX_NOTE), BEST)
        return Best(int(note["step"]), float(note["score"]))
    except (DamagedError, KeyError, TypeError, ValueError):
        return None


def bounded(path: Path, most: int) -> bytes:
    """Read a file of at most `most` bytes.

    Raises:
        DamagedError: It is missing, longer, or cannot be read.
    """
    if not path.is_file():
        raise DamagedError(f"{path.name} is not there")
    try:
        with path.open("rb") as file:
            content = file.read(most + 1)
    except OSError as error:
        raise DamagedError(f"{path.name} cannot be read: {error.strerror}") from None
    if len(content) > most:
        raise DamagedError(f"{path.name} is longer than {most:,} bytes")
    return content


def refuse_other_version(content: dict[str, Any], path: Path) -> None:
    """Refuse another version's file before its checksum is verified, which may be computed in another way."""
    if content.get("version", VERSION) != VERSION:
        raise CheckpointError(
            f"'{path}' has format version {content['version']!r}; this program reads version {VERSION}",
            remedy="Use the version of wgan that wrote it, or remove its folder to use the checkpoint before it.",
        )
