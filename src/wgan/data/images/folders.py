"""A folder of image files, with all folders below it."""

from __future__ import annotations

import os
import stat
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from wgan.data.images.members import Encoded, Stamp, Stream, Tally, first_tags, is_wanted
from wgan.data.images.naming import shown
from wgan.errors import DataError


class Folder:
    """Image files of a folder and of the folders below it, in the order of their names.

    Links are followed, but no folder is entered twice. What is neither a file nor a folder is skipped, and so are
    hidden folders, the cache, and directories of runs, whose samples would otherwise become data.

    Args:
        path: The folder. It is listed at once, and its files are read when they are asked for.
        cache: The folder that packs of these images are kept in.

    Raises:
        DataError: It cannot be listed.
    """

    noun = "folder"
    labelled = True
    listed = True

    def __init__(self, path: Path, cache: Path | None = None) -> None:
        self.path = path
        self._cache = cache.resolve() if cache is not None else None
        self._skipped: Counter[str] = Counter()
        try:
            os.scandir(path).close()
        except OSError as error:
            raise DataError(
                f"{shown(path)}: the folder cannot be listed: {error.strerror}",
                remedy="Is it still there and readable?",
            ) from None
        self._listed_at = time.time_ns()
        self._files = sorted(self._walk(), key=lambda file: file[0])

    def _walk(self) -> Iterator[tuple[str, os.stat_result]]:
        """Yield every regular file's name, and what the file system says of it."""
        entered: set[tuple[int, int]] = set()
        waiting = [""]
        while waiting:
            prefix = waiting.pop()
            try:
                status = os.stat(self.path / prefix)  # noqa: PTH116 - the same call as for the entries below
                with os.scandir(self.path / prefix) as listing:
                    entries = sorted(listing, key=lambda entry: entry.name)
            except OSError:
                self._skipped["unreadable folders"] += 1
                continue
            # A link that leads to a folder above it would never end; one to a folder beside it would count it twice.
            if (status.st_dev, status.st_ino) in entered:
                self._skipped["folders reached a second time by a link"] += 1
                continue
            entered.add((status.st_dev, status.st_ino))
            if prefix and (reason := self._reason_to_skip(prefix, {entry.name for entry in entries})):
                self._skipped[reason] += 1
                continue
            below = []
            for entry in entries:
                try:
                    status = entry.stat()
                except OSError:
                    self._skipped["links that lead nowhere"] += 1
                    continue
                if stat.S_ISDIR(status.st_mode):
                    below.append(f"{prefix}{entry.name}/")
                elif stat.S_ISREG(status.st_mode):
                    yield f"{prefix}{entry.name}", status
                else:
                    self._skipped["pipes, sockets or devices"] += 1
            waiting += reversed(below)

    def _reason_to_skip(self, prefix: str, names: set[str]) -> str:
        """Why a folder below, which holds `names`, is no part of the data; empty if it is one."""
        if PurePosixPath(prefix).name.startswith("."):
            return "hidden folders"
        if "settings.toml" in names and not names.isdisjoint(("checkpoints", "metrics.jsonl")):
            return "directories of runs"
        if self._cache is not None and (self.path / prefix).resolve() == self._cache:
            return "folders of decoded images"
        return ""

    @property
    def tags(self) -> tuple[str, Encoded] | None:
        """The file that describes the images, if there is one."""
        name = first_tags(name for name, _ in self._files)
        return None if name is None else (name, self.path / name)

    def stamp(self) -> Stamp:
        """Of all images, as they were listed: other files may come and go, the cache's own among them."""
        return Stamp.of(((name, status) for name, status in self._files if is_wanted(name, Tally())), self._listed_at)

    def stream(self, tally: Tally) -> Stream:
        """Yield names and files; the files are opened by who reads them."""
        tally.skipped.update(self._skipped)
        for name, _ in self._files:
            if is_wanted(name, tally):
                yield name, self.path / name
