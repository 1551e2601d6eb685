"""Make the directory of a new run, and own that of any run while writing in it."""

from __future__ import annotations

import itertools
import shlex
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from wgan.errors import CheckpointError, Interrupted, UsageError, WganError
from wgan.runs.files import METADATA_BYTES, RESTORE, RunFiles
from wgan.system.storage import (
    LOCK,
    TEMPORARY,
    Ownership,
    disk_faults,
    full_disk,
    is_full,
    remove_folder,
    sweep,
    temporary_beside,
)
from wgan.system.text import nearest

_SIGNS = frozenset(" ._-+=@,()")
_LONGEST_NAME = 200
_PROBE = "probe"
_MOST_NEAR = 3


def check_name(directory: Path) -> None:
    """Refuse a name that needs quoting in a shell, or that leads elsewhere.

    Raises:
        UsageError: The last part of the path is empty, "..", hidden, too long, or has characters other than letters,
            digits and a few that need no quoting.
    """
    name = directory.name
    odd = sorted({sign for sign in name if not (sign.isalnum() or sign in _SIGNS)})
    if name in ("", "..") or name[0] in ".- " or odd or len(name.encode("utf-8", "replace")) > _LONGEST_NAME:
        why = f"it holds {' '.join(ascii(sign) for sign in odd)}" if odd else "it is empty, hidden, or too long"
        raise UsageError(
            f"a run cannot be named {name!a}: {why}",
            remedy=f"Begin with a letter or digit; take letters, digits and {' '.join(sorted(_SIGNS - {' '}))}.",
        )


def next_directory(data: str, recipe: str) -> Path:
    """Make the first unused directory of the form runs/<data>-<recipe>-NNN."""
    words = "-".join(part for part in (Path(data).name.split(".")[0], recipe) if part)
    stem = "".join(sign if sign.isalnum() or sign in "_-" else "-" for sign in words).strip("-")[:60] or "run"
    for number in itertools.count(1):
        directory = Path("runs") / f"{stem}-{number:03d}"
        try:
            directory.mkdir(parents=True)
        except FileExistsError:
            if directory.parent.is_dir():
                continue
            raise _cannot_be_made(directory, "there is a file in its way") from None
        except OSError as error:
            raise _not_made(directory, error) from None
        return directory
    raise AssertionError("there is always a next number")


@contextmanager
def new_run(directory: Path | None, *, data: str, recipe: str) -> Iterator[tuple[RunFiles, Ownership]]:
    """Make and own a directory for a new run; if the block fails, it is removed again.

    Args:
        directory: Where, or None for the next free name.
        data: Name or path of the data, for that name.
        recipe: Name of the recipe, for that name.

    Yields:
        Its paths, and the lock.

    Raises:
        UsageError: The name is refused, or the directory cannot be written, is in use, or holds other files.
        Interrupted: A signal interrupted the block after the run's first checkpoint.
    """
    made: list[Path] = []
    try:
        if directory is None:
            directory = next_directory(data, recipe)
            made = [directory]
        else:
            check_name(directory)
            _refuse_unreachable(directory)
            made = [path for path in (directory, *directory.parents) if not path.exists()]
            _make(directory)
        files = RunFiles(directory)
        _refuse_other_files(files)
        ownership = own(directory)
        try:
            if files.holds_run():
                raise UsageError(
                    f"'{directory}' holds a run already",
                    remedy=f"Resume it (wgan train --resume {directory}) or choose another directory.",
                )
            _sweep(files)
            yield files, ownership
        except BaseException as error:
            has_begun = files.holds_run()
            if not has_begun:
                _remove_new_files(files)
            ownership.release()
            if has_begun and not isinstance(error, Exception | KeyboardInterrupt):
                # After its first checkpoint a run that is interrupted can be resumed.
                raise Interrupted(
                    f"stopped before the first step; everything is saved in {files.checkpoints}",
                    remedy=f"Resume with: wgan train --resume {shlex.quote(str(directory))}",
                ) from error
            raise
    except BaseException:
        for path in made:
            with suppress(OSError):
                path.rmdir()
        raise


def _refuse_unreachable(directory: Path) -> None:
    """Refuse a path that the system cannot look up: too long, with a loop of links, or below a file."""
    try:
        directory.exists()
        directory.absolute().stat()
    except FileNotFoundError:
        pass
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else str(error)
        raise UsageError(
            f"the run directory '{str(directory)[:100]}' cannot be made: {reason}", remedy="Choose another directory."
        ) from None


def own(directory: Path) -> Ownership:
    """Own an existing directory that can be written.

    Raises:
        UsageError: It cannot be written, or another run owns it.
        CheckpointError: The disk is full.
    """
    probe = temporary_beside(directory / _PROBE)
    try:
        probe.mkdir()
        probe.rmdir()
        return Ownership(directory)
    except OSError as error:
        if is_full(error):
            raise full_disk(directory, RunFiles(directory).bytes_to_save()) from error
        raise UsageError(
            f"the run directory '{directory}' cannot be written: {error.strerror}",
            remedy="Choose another directory or change its permissions.",
        ) from None


def refuse_no_run(files: RunFiles) -> None:
    """Refuse a path that is not a run.

    Raises:
        UsageError: There is no such directory (the most similar names of runs are suggested), or no checkpoint in it.
        CheckpointError: One of its files is missing.
    """
    if not files.root.is_dir():
        what = "it is a file, not the directory of a run" if files.root.exists() else "no such directory"
        raise UsageError(f"there is no run in '{files.root}': {what}", remedy=_nearest_runs(files.root))
    if not files.holds_run():
        raise UsageError(
            f"'{files.root}' holds no run that can be resumed: it has no checkpoint",
            remedy="Begin it again: a run saves its first checkpoint before the first step.",
        )
    for path in (files.settings, files.source, files.environment):
        if not path.is_file():
            raise CheckpointError(
                f"the run in '{files.root}' lacks its file '{path.name}'; its checkpoints exist", remedy=RESTORE
            )


def _nearest_runs(path: Path) -> str:
    """A remedy that names the runs most similar to a wrong path, in its folder or in runs/."""
    known: dict[str, Path] = {}
    for folder in (Path("runs"), path.parent):
        with suppress(OSError):
            known |= {entry.name: entry for entry in folder.iterdir() if RunFiles(entry).holds_run()}
    near = nearest(path.name, known, most=_MOST_NEAR) or nearest(path.stem, known, most=_MOST_NEAR)
    if near:
        return f"Did you mean {' or '.join(repr(str(known[name])) for name in near)}?"
    return "Name the directory of a run, such as those in runs/."


def _make(directory: Path) -> None:
    try:
        directory.mkdir(parents=True, exist_ok=True)
    except FileExistsError:
        raise _cannot_be_made(directory, "there is a file of that name") from None
    except OSError as error:
        raise _not_made(directory, error) from None


def _not_made(directory: Path, error: OSError) -> WganError:
    if is_full(error):
        return full_disk(directory, METADATA_BYTES)
    return _cannot_be_made(directory, error.strerror or str(error))


def _cannot_be_made(directory: Path, why: str) -> UsageError:
    return UsageError(f"the run directory '{directory}' cannot be made: {why}", remedy="Choose another directory.")


def _refuse_other_files(files: RunFiles) -> None:
    """Refuse a directory that holds other files than those of a run that was killed while it began."""
    names = {entry.name for entry in files.root.iterdir()}
    # A new run makes a probe first, then the lock, then everything else.
    others = {name for name in names if not name.startswith(TEMPORARY if LOCK in names else f"{TEMPORARY}{_PROBE}-")}
    if others and not files.holds_run() and not (LOCK in others and others <= files.initial_names()):
        raise UsageError(
            f"'{files.root}' is not empty and holds no run", remedy="Choose a new directory: nothing is overwritten."
        )


def _sweep(files: RunFiles) -> None:
    """Remove temporary files of a run that was killed while it began."""
    with disk_faults(files.root):
        for folder in (files.root, files.checkpoints, files.samples):
            sweep(folder)


def _remove_new_files(files: RunFiles) -> None:
    for name in files.initial_names():
        path = files.root / name
        if path.is_dir():
            remove_folder(path)
        else:
            path.unlink(missing_ok=True)
