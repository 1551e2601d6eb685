"""What folders, archives and databases of images have in common: named members, read one after another."""

from __future__ import annotations

import hashlib
import os
import re
import stat
import time
from collections import Counter
from collections.abc import Generator, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray

from wgan.data.images.decoding import ENDINGS, MAX_ENCODED_BYTES, BrokenImage
from wgan.data.images.naming import shown
from wgan.errors import DataError

# The bytes of an image; a file to read them from, which workers do beside each other; or why they cannot be had.
Encoded: TypeAlias = bytes | Path | BrokenImage
# Names and contents; a generator, so that who stops early can close what lies open behind it.
Stream: TypeAlias = Generator[tuple[str, Encoded], None, None]
TAGS = ("tags.csv", "labels.csv")
"""What the file is called that describes images, the first column naming the image."""

_COARSEST_CLOCK = 2_000_000_000
"""Nanoseconds between two times that a file system can tell apart, at most (FAT)."""

_RETRY_SECONDS = (0.05, 0.2, 0.5)


@dataclass
class Tally:
    """What was passed over while the members were listed.

    Attributes:
        endings: Files that are not images, by their ending.
        skipped: Other members that were passed over, by the reason.
    """

    endings: Counter[str] = field(default_factory=Counter)
    skipped: Counter[str] = field(default_factory=Counter)

    def notes(self) -> tuple[str, ...]:
        """Say with counts what was passed over."""
        said = []
        if self.endings:
            said.append(f"ignored, as they are not images: {self.seen()}")
        said += [f"skipped: {count:,} {reason}" for reason, count in sorted(self.skipped.items())]
        return tuple(said)

    def seen(self) -> str:
        """List the endings that are not images, the most frequent first."""
        most = [f"{count:,} {ending}" for ending, count in self.endings.most_common(8)]
        return ", ".join(most + (["..."] if len(self.endings) > 8 else []))


@dataclass(frozen=True)
class Stamp:
    """What the file system says of files at one moment.

    Attributes:
        digest: Of their names, sizes, times, and numbers (device and inode). The time of a file's last change of any
            kind, its ctime, is set by the system alone: a file that is replaced by one of the same size and
            modification time has another.
        is_settled: Whether none of them had been changed shortly before. While one had, a further change may leave all
            of this as it is, since clocks of file systems are coarse.
    """

    digest: str
    is_settled: bool

    @classmethod
    def of(cls, files: Iterable[tuple[str, os.stat_result]], taken: int) -> Stamp:
        """The stamp of files.

        Args:
            files: Their names and what the file system says of them.
            taken: Time before it was asked, in nanoseconds.
        """
        hasher, newest = hashlib.blake2b(digest_size=16), 0
        for name, status in files:
            facts = (status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_dev, status.st_ino)
            hasher.update(os.fsencode(name) + f"\0{facts}\0".encode())
            newest = max(newest, status.st_ctime_ns, status.st_mtime_ns)
        return cls(hasher.hexdigest(), newest < taken - _COARSEST_CLOCK)


class Collection(Protocol):
    """Images under names, in an order that does not change between two readings."""

    @property
    def path(self) -> Path:
        """Where it is."""
        ...

    @property
    def noun(self) -> str:
        """What it is, as a person says it."""
        ...

    @property
    def labelled(self) -> bool:
        """Whether folders in the members' names can mean classes."""
        ...

    @property
    def listed(self) -> bool:
        """Whether `stream` yields files by their names and reads none of them."""
        ...

    @property
    def tags(self) -> tuple[str, Encoded] | None:
        """Name and content of the file that describes the images; known once all members were streamed."""
        ...

    def stamp(self) -> Stamp:
        """What the file system says of the files that hold the images, by which a change is seen without reading them.

        Raises:
            OSError: They cannot be looked at.
        """
        ...

    def stream(self, tally: Tally) -> Stream:
        """Yield each member's name and content, counting in `tally` what is passed over.

        Raises:
            DataError: The whole is damaged, or must not be trusted.
        """
        ...


def is_wanted(name: str, tally: Tally) -> bool:
    """Whether a member's name is that of an image; counts it in `tally` if not, unless it describes images."""
    path = PurePosixPath(name)
    if is_tags(name):
        return False
    if any(part.startswith(".") for part in path.parts) or "__MACOSX" in path.parts:
        tally.skipped["hidden"] += 1
        return False
    ending = path.suffix.lower()
    if ending in ENDINGS:
        return True
    tally.endings[shown(ending[:20]) or "without ending"] += 1
    return False


def is_tags(name: str) -> bool:
    """Whether a member's name is that of a file which describes images."""
    path = PurePosixPath(name)
    is_hidden = any(part.startswith(".") for part in path.parts) or "__MACOSX" in path.parts
    return path.name.lower() in TAGS and not is_hidden


def first_tags(names: Iterable[str]) -> str | None:
    """Of the files that describe images the one that counts: the least deep, tags.csv before labels.csv."""
    found = [PurePosixPath(name) for name in names if is_tags(name)]
    ordered = sorted(found, key=lambda path: (len(path.parts), TAGS.index(path.name.lower()), str(path)))
    return str(ordered[0]) if ordered else None


def refuse_escaping(name: str, where: Path) -> None:
    """Refuse a member whose name points out of its archive.

    Nothing is ever extracted, so such a name could do no harm here; but no honest archive has one.

    Raises:
        DataError: The name is absolute or contains "..".
    """
    parts = name.replace("\\", "/").split("/")
    if parts[0] == "" or ".." in parts or re.match(r"[A-Za-z]:[\\/]", name):
        raise refused(name, where, "its path leads out of the archive")


def refused(name: str, where: Path, reason: str) -> DataError:
    """The error for an archive with a member that no honest archive of images has."""
    return DataError(
        f"{shown(where)}: member '{shown(name)}' is refused: {reason}",
        remedy="Make the archive anew from plain files only.",
    )


def load(encoded: Encoded) -> bytes:
    """The bytes of one image.

    Raises:
        BrokenImage: They cannot be had, or are too many.
        DataError: The file was there when the folder was listed and is gone now, also after some waiting.
    """
    if isinstance(encoded, bytes):
        return encoded
    if isinstance(encoded, BrokenImage):
        raise encoded
    for pause in (*_RETRY_SECONDS, None):
        try:
            return _read_regular(encoded)
        except PermissionError as error:
            raise BrokenImage(f"it cannot be read ({error.strerror})") from None
        except OSError as error:
            if pause is None:
                raise DataError(
                    f"{shown(encoded)}: could be listed but not read any more, after "
                    f"{len(_RETRY_SECONDS) + 1} attempts: {error.strerror}",
                    remedy="Do not change the folder while it is read; then start again.",
                ) from None
            time.sleep(pause)
    raise AssertionError("the last attempt returns or raises")


def _read_regular(path: Path) -> bytes:
    # Opened without blocking: a pipe put in the file's place since it was listed must not hang the program.
    descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0))
    with os.fdopen(descriptor, "rb") as file:
        status = os.fstat(file.fileno())
        if not stat.S_ISREG(status.st_mode):
            raise BrokenImage("it is not a regular file")
        if status.st_size > MAX_ENCODED_BYTES:
            raise too_many_bytes(status.st_size)
        return file.read(status.st_size)


def too_many_bytes(size: int) -> BrokenImage:
    """The reason why a member with so many bytes is not read."""
    return BrokenImage(f"{size:,} bytes are too many for an encoded image, which may have {MAX_ENCODED_BYTES:,}")


def labels_from_folders(names: Sequence[str]) -> tuple[NDArray[np.int64] | None, tuple[str, ...]]:
    """Read classes from the first folder below the one that all images share.

    Args:
        names: The images' names, with "/" between folders.

    Returns:
        Each image's class, shape (N,), and the classes' names, sorted; None and () where some image lies in no such
        folder.
    """
    folders = [PurePosixPath(name).parent.parts for name in names]
    # What the first and the last in order share, all those between them share.
    first, last = min(folders), max(folders)
    shared = next((n for n, (a, b) in enumerate(zip(first, last, strict=False)) if a != b), min(len(first), len(last)))
    if any(len(parts) <= shared for parts in folders):
        return None, ()
    words = [parts[shared] for parts in folders]
    classes = tuple(sorted(set(words)))
    place = {word: number for number, word in enumerate(classes)}
    return np.array([place[word] for word in words], dtype=np.int64), tuple(shown(word) for word in classes)
