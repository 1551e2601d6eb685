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
    """Refuse a name that would need quoting where it is shown, or that leads elsewhere.

    Raises:
        UsageError: The last part of the path is empty, "..", hidden, too long, or has other signs than letters, digits
            and a few that are harmless everywhere.
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
    """The first unused name of the form runs/<data>-<recipe>-NNN, made at once so that no other run takes it."""
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
    """Make and own a directory for a new run; if the block fails, it leaves no trace.

    Args:
        directory: Where, or None for the next free name.
        data: Name or path of the data, for that name.
        recipe: Name of the recipe, for that name.

    Yields:
        The files and the right to write them.

    Raises:
        UsageError: A refused name, a directory that cannot be written, one that is in use or that holds other things.
        Interrupted: A signal broke the block off after the run's first checkpoint.
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
        _refuse_strangers(files)
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
                _remove_beginnings(files)
            ownership.release()
            if has_begun and not isinstance(error, Exception | KeyboardInterrupt):
                # What breaks a beginning off after its first checkpoint has stopped a run like any other.
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
    """Refuse a path that the system does not even look up: too long, in a circle, or below a file."""
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
    """Own an existing directory after making sure that it can be written.

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
    """Refuse a path that is no run.

    Raises:
        UsageError: There is no such directory (with the nearest names of runs), or no checkpoint in it.
        CheckpointError: One of its notes is not there.
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
                f"the run in '{files.root}' lacks its file '{path.name}'; its checkpoints are there", remedy=RESTORE
            )


def _nearest_runs(path: Path) -> str:
    """A remedy that names the runs beside a wrong path, or in runs/, whose names are most like it."""
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


def _refuse_strangers(files: RunFiles) -> None:
    """Refuse a directory with anything in it that a run would mix with or overwrite; what a killed run left may be."""
    names = {entry.name for entry in files.root.iterdir()}
    # Whoever begins a run makes a probe first, then the lock, then all else.
    left = {name for name in names if not name.startswith(TEMPORARY if LOCK in names else f"{TEMPORARY}{_PROBE}-")}
    if left and not files.holds_run() and not (LOCK in left and left <= files.belongings()):
        raise UsageError(
            f"'{files.root}' is not empty and holds no run", remedy="Choose a new directory: nothing is overwritten."
        )


def _sweep(files: RunFiles) -> None:
    """Remove what a killed beginning left half-written."""
    with disk_faults(files.root):
        for folder in (files.root, files.checkpoints, files.samples):
            sweep(folder)


def _remove_beginnings(files: RunFiles) -> None:
    for name in files.belongings():
        path = files.root / name
        if path.is_dir():
            remove_folder(path)
        else:
            path.unlink(missing_ok=True)
