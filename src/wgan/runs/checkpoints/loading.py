"""Load a checkpoint and verify it; skip damaged checkpoints, refuse files of other programs."""

from __future__ import annotations

import dataclasses
import hashlib
import os
import struct
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Literal

from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from wgan.errors import CheckpointError
from wgan.runs.checkpoints.format import (
    BEST,
    MAX_HEADER,
    TENSORS,
    Best,
    Checkpoint,
    CheckpointWarning,
    name_of,
    read_best,
    steps_saved,
)
from wgan.runs.checkpoints.metadata import best_of, foreign, read_state
from wgan.runs.checkpoints.saving import prune, write_best
from wgan.system.storage import DamagedError, disk_faults, remove_folder, sweep


def load(
    directory: Path, which: Literal["last", "best"] = "last", *, among: Callable[[int], bool] = lambda step: True
) -> Checkpoint:
    """Read one checkpoint and verify it.

    If it is damaged, the newest intact one is used instead, with a warning.

    Args:
        directory: The folder of the run's checkpoints.
        which: The last, or the one with the best score.
        among: Whether the checkpoint of a step may be used.

    Raises:
        CheckpointError: None can be read; or one is of another version of this format, or is not a checkpoint.
    """
    reasons: list[str] = []
    seen: set[int] = set()
    while True:
        first = _best_or_refuse(directory) if which == "best" else None
        left = [step for step in _order(directory, first) if step not in seen and among(step)]
        if not left:
            break
        path = directory / name_of(left[0])
        try:
            checkpoint = _read(path)
        except DamagedError as damage:
            seen.add(left[0])
            # A run under way may have removed it meanwhile, and then another one is the best.
            if path.is_dir() or (first is not None and first == read_best(directory) and first.step == left[0]):
                reasons.append(f"checkpoint '{path}' is damaged: {damage}")
            continue
        for reason in reasons:
            warnings.warn(f"{reason}; falling back to step {checkpoint.step}", CheckpointWarning, stacklevel=2)
        return dataclasses.replace(checkpoint, passed_over=tuple(reasons))
    if reasons:
        raise CheckpointError("; ".join(reasons), remedy="No intact checkpoint is left: begin the run again.")
    raise CheckpointError(
        f"'{directory}' holds no checkpoint", remedy="Begin the run again, or name a run's directory."
    )


def settle(
    directory: Path, checkpoint: Checkpoint, *, keep: int = 2, is_regular: Callable[[int], bool] = lambda step: True
) -> None:
    """Bring the folder into its state right after `checkpoint` was saved, before a run continues from it.

    Temporary folders are removed, damaged checkpoints that were skipped are renamed, and `best.json` is corrected.

    Args:
        directory: The folder of the run's checkpoints, owned by the caller.
        checkpoint: As loaded from it.
        keep: As in `save`.
        is_regular: As in `save`.

    Raises:
        CheckpointError: The disk is failing.
    """
    with disk_faults(directory):
        sweep(directory)
        for step in steps_saved(directory):
            if step > checkpoint.step:
                aside = directory / f"damaged-{name_of(step)}"
                if aside.exists():
                    remove_folder(aside)
                (directory / name_of(step)).rename(aside)
        if checkpoint.best is None:
            (directory / BEST).unlink(missing_ok=True)
        elif checkpoint.best != read_best(directory):
            write_best(directory, checkpoint.best)
        prune(directory, keep=keep, best=checkpoint.best, is_regular=is_regular)


def go_back(directory: Path, *, before: int, is_regular: Callable[[int], bool]) -> Checkpoint:
    """Load the newest regular checkpoint before a step that diverged, and remove later ones.

    Checkpoints of stops are skipped: a run that was never stopped has none, and must go on from the same state.

    Args:
        directory: The folder of the run's checkpoints, owned by the caller.
        before: The step that diverged.
        is_regular: As in `save`.

    Raises:
        CheckpointError: None can be read, or the disk is failing.
    """
    checkpoint = load(directory, among=lambda step: step < before and is_regular(step))
    with disk_faults(directory):
        for step in steps_saved(directory):
            if step > checkpoint.step and (step >= before or not is_regular(step)):
                remove_folder(directory / name_of(step))
    settle(directory, checkpoint, is_regular=is_regular)
    return checkpoint


def _order(directory: Path, first: Best | None) -> list[int]:
    """The steps to try: `first`, then the others from the newest on."""
    steps = steps_saved(directory)[::-1]
    return steps if first is None else [first.step, *(step for step in steps if step != first.step)]


def _best_or_refuse(directory: Path) -> Best:
    """The best checkpoint, by `best.json` or, if that is damaged, by the last checkpoint."""
    best = read_best(directory) or load(directory).best
    if best is None:
        raise CheckpointError(
            f"'{directory}' has no best checkpoint: none has a score yet", remedy="Use the last checkpoint."
        )
    return best


def _read(path: Path) -> Checkpoint:
    """Read one checkpoint.

    Raises:
        DamagedError: Its bytes are not those that were written.
        CheckpointError: It is of another version, or not a checkpoint.
    """
    state, files = read_state(path)
    try:
        tensors = _read_tensors(path / TENSORS, files[TENSORS]["bytes"], files[TENSORS]["sha256"])
    except (KeyError, TypeError) as error:
        raise foreign(path, f"its notes are of another form: {error}") from None
    return Checkpoint(step=int(path.name), tensors=tensors, facts=state["facts"], path=path, best=best_of(state, path))


def _read_tensors(path: Path, length: int, digest: str) -> dict[str, Tensor]:
    """Read the tensors after verifying, in this order, the header, the length and the checksum."""
    if not path.is_file():
        raise DamagedError(f"{path.name} is not there")
    try:
        with path.open("rb") as file:
            size = os.fstat(file.fileno()).st_size
            head = file.read(9)
            header_fault = _header_fault(head, size)
            if header_fault and _is_foreign(head, size, length):
                raise foreign(path, header_fault)
            if size != length:
                raise DamagedError(f"{path.name} has {size:,} bytes where {length:,} were written")
            file.seek(0)
            if hashlib.file_digest(file, "sha256").hexdigest() != digest:
                raise DamagedError(f"{path.name} does not have the checksum in its manifest")
        if header_fault:
            raise SafetensorError(header_fault)
        return load_file(path)
    except SafetensorError as error:
        # The checksum is right, so these bytes were written on purpose.
        raise foreign(path, str(error)) from None
    except OSError as error:
        raise DamagedError(f"{path.name} cannot be read: {error.strerror}") from None


def _header_fault(head: bytes, size: int) -> str | None:
    """What is wrong with the first nine bytes of a safetensors file of `size` bytes: a length and a brace."""
    if len(head) < 9:
        return f"it has {size} bytes"
    (length,) = struct.unpack("<Q", head[:8])
    if length > min(size - 8, MAX_HEADER):
        if _is_pickle(head):
            return "it is a pickle, which could run code"
        return f"its header claims {length:,} bytes in a file of {size:,}"
    return None if head[8:] == b"{" else "its header is not JSON"


def _is_pickle(head: bytes) -> bool:
    """Whether a file begins like a pickle, or like the zip archive that torch wraps one in."""
    return head[:4] == b"PK\x03\x04" or (head[:1] == b"\x80" and 2 <= head[1] <= 5)


def _is_foreign(head: bytes, size: int, length: int) -> bool:
    """Whether a file with a bad header is of another program, rather than damaged or truncated."""
    if len(head) < 9:
        return False
    return _is_pickle(head) or (size != length and struct.unpack("<Q", head[:8])[0] > length)
