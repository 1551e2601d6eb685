"""Collections of encoded images: folders, archives and databases, read member by member."""

from __future__ import annotations

import hashlib
import os
import re
import stat
import time
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Generator, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import ClassVar, TypeAlias

import numpy as np
from numpy.typing import NDArray

from wgan.data.images.decoding import ENDINGS, MAX_ENCODED_BYTES, BrokenImage
from wgan.errors import DataError
from wgan.system.text import escaped

# The bytes of an image; a file to read them from, which the workers do in parallel; or why they cannot be read.
Encoded: TypeAlias = bytes | Path | BrokenImage
# Names and contents. A generator, so that closing it early closes the files behind it.
Stream: TypeAlias = Generator[tuple[str, Encoded], None, None]
TAGS = ("tags.csv", "labels.csv")
"""Names of a file that describes the images. Its first column holds their names."""

_MAX_CLOCK_STEP = 2_000_000_000
"""The coarsest time stamps of any file system (FAT), in nanoseconds."""

_RETRY_SECONDS = (0.05, 0.2, 0.5)


@dataclass
class Tally:
    """Counts of the members that are not read.

    Attributes:
        endings: Files that are not images, by ending.
        skipped: Other members that are skipped, by reason.
    """

    endings: Counter[str] = field(default_factory=Counter)
    skipped: Counter[str] = field(default_factory=Counter)

    def notes(self) -> tuple[str, ...]:
        """The counts in words, a line each."""
        ignored = [f"ignored, as they are not images: {self.seen()}"] if self.endings else []
        return (*ignored, *(f"skipped: {count:,} {reason}" for reason, count in sorted(self.skipped.items())))

    def seen(self) -> str:
        """The endings that are not images, the most frequent first."""
        most = [f"{count:,} {ending}" for ending, count in self.endings.most_common(8)]
        return ", ".join(most + (["..."] if len(self.endings) > 8 else []))


@dataclass(frozen=True)
class Stamp:
    """The state of files that the file system reports, by which a change is noticed without reading them.

    Attributes:
        digest: Of their names, sizes, times (mtime and ctime) and numbers (device and inode). Only the system sets the
            ctime: it reveals that a file was replaced by one of the same size and mtime.
        is_settled: Whether no file was changed shortly before. Otherwise another change may leave `digest` the same,
            since clocks of file systems are coarse.
    """

    digest: str
    is_settled: bool

    @classmethod
    def of(cls, files: Iterable[tuple[str, os.stat_result]], time_ns: int) -> Stamp:
        """The stamp of files.

        Args:
            files: Their names and states.
            time_ns: Time before the states were read, in nanoseconds.
        """
        hasher, newest = hashlib.blake2b(digest_size=16), 0
        for name, status in files:
            facts = (status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_dev, status.st_ino)
            hasher.update(os.fsencode(name) + f"\0{facts}\0".encode())
            newest = max(newest, status.st_ctime_ns, status.st_mtime_ns)
        return cls(hasher.hexdigest(), newest < time_ns - _MAX_CLOCK_STEP)

    @classmethod
    def of_file(cls, path: Path) -> Stamp:
        """The stamp of one file that holds all images."""
        time_ns = time.time_ns()
        return cls.of([("", path.stat())], time_ns)


class Collection(ABC):
    """Named images, in an order that is the same each time they are read.

    Args:
        path: The folder or file.

    Attributes:
        noun: The kind of collection, for messages and the key of the cache.
        labelled: Whether folders in the members' names can be classes.
        listed: Whether `stream` only lists files, without reading them.
        tags: Name and content of the file that describes the images, or None; known once all members were streamed.
    """

    noun: ClassVar[str]
    labelled: ClassVar[bool] = True
    listed: ClassVar[bool] = False

    def __init__(self, path: Path) -> None:
        self.path = path
        self.tags: tuple[str, Encoded] | None = None

    def stamp(self) -> Stamp:
        """The state of the files that hold the images.

        Raises:
            OSError: It cannot be read.
        """
        return Stamp.of_file(self.path)

    @abstractmethod
    def stream(self, tally: Tally) -> Stream:
        """Yield each image's name and content, and count the other members in `tally`.

        Raises:
            DataError: The collection is damaged or unsafe.
        """


def is_image(name: str, tally: Tally) -> bool:
    """Whether a member is an image by its name. Counts it in `tally` if not, except a file that describes images."""
    if is_tags(name):
        return False
    path = PurePosixPath(name)
    if _is_hidden(path):
        tally.skipped["hidden"] += 1
        return False
    ending = path.suffix.lower()
    if ending in ENDINGS:
        return True
    tally.endings[escaped(ending[:20]) or "without ending"] += 1
    return False


def is_tags(name: str) -> bool:
    """Whether a member is a file that describes images, by its name."""
    path = PurePosixPath(name)
    return path.name.lower() in TAGS and not _is_hidden(path)


def _is_hidden(path: PurePosixPath) -> bool:
    return any(part.startswith(".") for part in path.parts) or "__MACOSX" in path.parts


def first_tags(names: Iterable[str]) -> str | None:
    """The file to use of several that describe images: the one at the least depth, tags.csv before labels.csv."""
    found = [PurePosixPath(name) for name in names if is_tags(name)]
    ordered = sorted(found, key=lambda path: (len(path.parts), TAGS.index(path.name.lower()), str(path)))
    return str(ordered[0]) if ordered else None


def refuse_escaping(name: str, archive: Path) -> None:
    """Refuse a member whose path leads out of its archive.

    Archives are never extracted, so that such a path does no harm here; but it is a sign of an attack.

    Raises:
        DataError: The path is absolute or contains "..".
    """
    parts = name.replace("\\", "/").split("/")
    if parts[0] == "" or ".." in parts or re.match(r"[A-Za-z]:[\\/]", name):
        raise unsafe_member(name, archive, "its path leads out of the archive")


def unsafe_member(name: str, archive: Path, reason: str) -> DataError:
    """The error for an archive with an unsafe member."""
    return DataError(
        f"{escaped(archive)}: member '{escaped(name)}' is refused: {reason}",
        remedy="Create the archive again from regular files only.",
    )


def load(encoded: Encoded) -> bytes:
    """The bytes of one image.

    Raises:
        BrokenImage: They cannot be read, or are too many.
        DataError: The file was listed but has disappeared, even after several attempts.
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
                    f"{escaped(encoded)}: was listed but cannot be read any more, after "
                    f"{len(_RETRY_SECONDS) + 1} attempts: {error.strerror}",
                    remedy="Do not change the folder while it is read; then start again.",
                ) from None
            time.sleep(pause)
    raise AssertionError("the last attempt returns or raises")


def _read_regular(path: Path) -> bytes:
    # Opened without blocking: the file may have been replaced by a pipe since it was listed.
    descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0))
    with os.fdopen(descriptor, "rb") as file:
        status = os.fstat(file.fileno())
        if not stat.S_ISREG(status.st_mode):
            raise BrokenImage("it is not a regular file")
        if status.st_size > MAX_ENCODED_BYTES:
            raise too_many_bytes(status.st_size)
        return file.read(status.st_size)


def too_many_bytes(size: int) -> BrokenImage:
    """The error for an encoded image with more than `MAX_ENCODED_BYTES`."""
    return BrokenImage(f"{size:,} bytes are too many for an encoded image, which may have {MAX_ENCODED_BYTES:,}")


def read_tags(collection: Collection) -> tuple[str, bytes] | None:
    """Read the file that describes the images.

    Raises:
        DataError: It is damaged or too large.
    """
    if collection.tags is None:
        return None
    name, content = collection.tags
    try:
        return name, load(content)
    except BrokenImage as reason:
        raise DataError(f"{escaped(collection.path)}: {escaped(name)}: {reason}", remedy="Write it again.") from None


def labels_from_folders(names: Sequence[str]) -> tuple[NDArray[np.int64] | None, tuple[str, ...]]:
    """Read classes from the first folder below the one that contains all images.

    Args:
        names: The images' names, with "/" between folders.

    Returns:
        Each image's class, shape (N,), and the sorted names of the classes; None and () if an image is in no such
        folder.
    """
    folders = [PurePosixPath(name).parent.parts for name in names]
    # The prefix that the first and the last in sorted order share is common to all.
    first, last = min(folders), max(folders)
    depth = next((n for n, (a, b) in enumerate(zip(first, last, strict=False)) if a != b), min(len(first), len(last)))
    if any(len(parts) <= depth for parts in folders):
        return None, ()
    labels = [parts[depth] for parts in folders]
    classes = tuple(sorted(set(labels)))
    index = {label: number for number, label in enumerate(classes)}
    return np.array([index[label] for label in labels], dtype=np.int64), tuple(escaped(label) for label in classes)
