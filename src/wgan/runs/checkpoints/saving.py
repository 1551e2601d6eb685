"""Save a checkpoint atomically, and remove checkpoints that are no longer needed."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path

from safetensors.torch import save as serialize
from torch import Tensor

from wgan.runs.checkpoints.format import (
    BEST,
    FORMAT,
    MANIFEST,
    STATE,
    TENSORS,
    VERSION,
    Best,
    name_of,
    read_best,
    steps_saved,
)
from wgan.runs.checkpoints.metadata import known_best
from wgan.system.storage import (
    canonical_json,
    disk_faults,
    install_folder,
    remove_folder,
    replace_file,
    require_space,
    seal,
    temporary_beside,
    write_new,
)

# Bytes in addition to the tensors: the header, the facts and the folder.
_SLACK = 1 << 20


def save(
    directory: Path,
    step: int,
    tensors: Mapping[str, Tensor],
    facts: Mapping[str, object],
    *,
    keep: int = 2,
    score: float | None = None,
    is_regular: Callable[[int], bool] = lambda step: True,
) -> Path:
    """Save one checkpoint, then remove those that are no longer needed.

    Earlier checkpoints stay valid until the new one is on the disk.

    Args:
        directory: The folder of the run's checkpoints; made if it is not there.
        step: Generator updates done.
        tensors: Named tensors of any shape, dtype and device.
        facts: Plain JSON values; floats are exact.
        keep: Latest regular checkpoints that are kept, besides the newest and the best.
        score: Of this step, lower being better; None if it was not measured.
        is_regular: Whether a run that is never stopped saves a checkpoint at a step. Others, of stops, are removed by
            the next save, so that the stop leaves no trace.

    Returns:
        The checkpoint's folder.

    Raises:
        CheckpointError: The disk is full or failing.
        ValueError: A fact is NaN or infinite.
    """
    with disk_faults(directory):
        directory.mkdir(parents=True, exist_ok=True)
    known = known_best(directory)
    best = known
    if score is not None and (known is None or known.step == step or score < known.score):
        best = Best(step, score)
    state = canonical_json(
        {
            "format": FORMAT,
            "version": VERSION,
            "step": step,
            "facts": dict(facts),
            "best": None if best is None else {"step": best.step, "score": best.score},
        }
    )
    needed = sum(tensor.nbytes for tensor in tensors.values()) + len(state) + _SLACK
    require_space(directory, needed)
    path = directory / name_of(step)
    _write(path, {TENSORS: serialize(_plain(tensors)), STATE: state}, needed)
    if best is not None and best != read_best(directory):
        write_best(directory, best)
    with disk_faults(directory):
        prune(directory, keep=keep, best=best, is_regular=is_regular)
    return path


def write_best(directory: Path, best: Best) -> None:
    """Write `best.json`, so that the best checkpoint is known without reading all of them."""
    replace_file(directory / BEST, seal({"directory": name_of(best.step), "step": best.step, "score": best.score}))


def _plain(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Contiguous tensors on the CPU that share no memory (tied weights), as safetensors requires."""
    plain: dict[str, Tensor] = {}
    seen: set[int] = set()
    for name, tensor in tensors.items():
        value = tensor.detach().to("cpu").contiguous()
        address = value.untyped_storage().data_ptr()
        plain[name] = value.clone() if address in seen else value
        seen.add(address)
    return plain


def _write(path: Path, files: dict[str, bytes], needed: int) -> None:
    """Write a folder of files and their manifest atomically."""
    temporary = temporary_beside(path)
    entries = {
        name: {"bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()} for name, content in files.items()
    }
    manifest = seal({"format": FORMAT, "version": VERSION, "files": entries})
    with disk_faults(path, needed):
        try:
            temporary.mkdir()
            for name, content in files.items():
                write_new(temporary / name, content)
            write_new(temporary / MANIFEST, manifest)
            # Only the checkpoint of a stop is ever replaced; the regular ones before it stay.
            install_folder(temporary, path)
        except BaseException:
            shutil.rmtree(temporary, ignore_errors=True)
            raise


def prune(directory: Path, *, keep: int, best: Best | None, is_regular: Callable[[int], bool]) -> None:
    """Remove all checkpoints but the newest, the latest `keep` regular ones and the best."""
    steps = steps_saved(directory)
    regular = [step for step in steps if is_regular(step)]
    kept = {*steps[-1:], *regular[-keep:]} | ({best.step} if best is not None else set())
    for step in steps:
        if step not in kept:
            remove_folder(directory / name_of(step))
