"""A folder of image files, with its subfolders."""

from __future__ import annotations

import os
import stat
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from wgan.data.images.collection import Collection, Stamp, Stream, Tally, first_tags, is_image
from wgan.errors import DataError
from wgan.system.text import escaped


class Folder(Collection):
    """The image files of a folder and its subfolders, sorted by name.

    Links are followed, but no folder is entered twice. Skipped are hidden folders, the cache, run directories (their
    samples are not data), and whatever is neither a file nor a folder.

    Args:
        path: The folder. It is listed immediately; its files are read when they are used.
        cache: The folder of the cache, which may be inside `path`.

    Raises:
        DataError: The folder cannot be listed.
    """

    noun = "folder"
    listed = True

    def __init__(self, path: Path, cache: Path | None = None) -> None:
        super().__init__(path)
        self._cache = cache.resolve() if cache is not None else None
        self._skipped: Counter[str] = Counter()
        try:
            os.scandir(path).close()
        except OSError as error:
            raise DataError(
                f"{escaped(path)}: the folder cannot be listed: {error.strerror}",
                remedy="Is it still there and readable?",
            ) from None
        self._listed_at = time.time_ns()
        self._files = sorted(self._walk(), key=lambda file: file[0])
        if (tags := first_tags(name for name, _ in self._files)) is not None:
            self.tags = tags, path / tags

    def _walk(self) -> Iterator[tuple[str, os.stat_result]]:
        """Yield the name and the state of each regular file."""
        visited: set[tuple[int, int]] = set()
        pending = [""]
        while pending:
            prefix = pending.pop()
            try:
                status = os.stat(self.path / prefix)  # noqa: PTH116 - the same call as for the entries below
                with os.scandir(self.path / prefix) as listing:
                    entries = sorted(listing, key=lambda entry: entry.name)
            except OSError:
                self._skipped["unreadable folders"] += 1
                continue
            # A link to a parent folder would never end; a link to a sibling would count its files twice.
            if (status.st_dev, status.st_ino) in visited:
                self._skipped["folders reached again through a link"] += 1
                continue
            visited.add((status.st_dev, status.st_ino))
            if prefix and (reason := self._reason_to_skip(prefix, {entry.name for entry in entries})):
                self._skipped[reason] += 1
                continue
            subfolders = []
            for entry in entries:
                try:
                    status = entry.stat()
                except OSError:
                    self._skipped["broken links"] += 1
                    continue
                if stat.S_ISDIR(status.st_mode):
                    subfolders.append(f"{prefix}{entry.name}/")
                elif stat.S_ISREG(status.st_mode):
                    yield f"{prefix}{entry.name}", status
                else:
                    self._skipped["pipes, sockets or devices"] += 1
            pending += reversed(subfolders)

    def _reason_to_skip(self, prefix: str, names: set[str]) -> str:
        """Why a subfolder that contains `names` is skipped; empty if it is read."""
        if PurePosixPath(prefix).name.startswith("."):
            return "hidden folders"
        if "settings.toml" in names and not names.isdisjoint(("checkpoints", "metrics.jsonl")):
            return "run directories"
        if self._cache is not None and (self.path / prefix).resolve() == self._cache:
            return "folders of decoded images"
        return ""

    def stamp(self) -> Stamp:
        """The state of all images as they were listed; other files, such as those of the cache, are not included."""
        return Stamp.of(((name, status) for name, status in self._files if is_image(name, Tally())), self._listed_at)

    def stream(self, tally: Tally) -> Stream:
        """Yield the name and path of each image."""
        tally.skipped.update(self._skipped)
        for name, _ in self._files:
            if is_image(name, tally):
                yield name, self.path / name
