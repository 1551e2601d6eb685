"""Packs: images decoded once into one array that every later epoch and run reads directly.

A pack is a folder with `pixels.npy` (uint8, shape (N, channels, height, width), to be mapped) and `pack.json`. It is
written beside its final place, synced and renamed, so that it is there whole or not at all.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Protocol

import numpy as np
from numpy.typing import NDArray

from wgan.data.images.source import CHANNELS, ImageCodec
from wgan.data.npy import open_mapped
from wgan.errors import CheckpointError, UsageError
from wgan.storage import canonical_json, disk_faults, install_folder, parsed_json, read_plain, write_new

VERSION = 3
_TAGS = "tags.csv"
ABANDONED_SECONDS = 86_400
"""Age at which what lies half-packed in a cache is left from a run that was killed, and not under way in another."""


@dataclass(frozen=True, kw_only=True)
class Pack:
    """Decoded images, and what was said while they were decoded.

    Attributes:
        pixels: Shape (N, channels, height, width), uint8, in memory or mapped.
        codec: What the pixels mean.
        notes: How the images were read, a line each.
        passed_over: What was no image of the collection, a line each.
        labels: Shape (N,), each image's place in `classes`, or None.
        classes: Names of the classes.
        digest: Digest of the pixels.
        names: The images' names; empty where they have none that mean anything.
        tags: Name and content of the file that describes the images, or None.
    """

    pixels: NDArray[np.uint8]
    codec: ImageCodec
    notes: tuple[str, ...]
    passed_over: tuple[str, ...]
    labels: NDArray[np.int64] | None
    classes: tuple[str, ...]
    digest: str
    names: tuple[str, ...] = ()
    tags: tuple[str, bytes] | None = None


class Sink(Protocol):
    """Where decoded pixels go, a block after another."""

    def append(self, block: NDArray[np.uint8]) -> None:
        """Take the next images, shape (n, channels, height, width)."""
        ...

    def finish(self) -> tuple[NDArray[np.uint8], str]:
        """Return all images, shape (N, channels, height, width), and the digest of their pixels."""
        ...


class MemorySink:
    """Pixels in one array, which grows by doubling."""

    def __init__(self) -> None:
        self._pixels: NDArray[np.uint8] = np.empty((0, 0, 0, 0), np.uint8)
        self._count = 0
        self._hasher = hashlib.blake2b(digest_size=16)

    def append(self, block: NDArray[np.uint8]) -> None:
        """Take the next images, shape (n, channels, height, width).

        Raises:
            UsageError: All together would take more than half of the memory.
        """
        end = self._count + len(block)
        if end > len(self._pixels):
            shape = (max(end, 2 * len(self._pixels)), *block.shape[1:])
            if end * block[0].nbytes > memory_bytes() // 2:
                available = f"{memory_bytes() / 2**30:.1f} GiB"
                raise UsageError(
                    f"the decoded images take more than half of this machine's memory ({available})",
                    remedy="Give a cache folder, from which they are then mapped, or a smaller size.",
                )
            self._pixels.resize(shape, refcheck=False)
        self._pixels[self._count : end] = block
        self._count = end
        self._hasher.update(block.data)

    def finish(self) -> tuple[NDArray[np.uint8], str]:
        """Return all images, shape (N, channels, height, width), and the digest of their pixels."""
        self._pixels.resize((self._count, *self._pixels.shape[1:]), refcheck=False)
        return self._pixels, self._hasher.hexdigest()


def memory_bytes() -> int:
    """The memory of this machine."""
    return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")


class FileSink:
    """Pixels in an .npy file, written from start to end: a full disk is then an error and not a signal."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file: BinaryIO = path.open("wb")
        self._shape: tuple[int, ...] = ()
        self._count = 0
        self._hasher = hashlib.blake2b(digest_size=16)

    def append(self, block: NDArray[np.uint8]) -> None:
        """Write the next images, shape (n, channels, height, width)."""
        with disk_faults(self._path):
            if not self._shape:
                self._shape = block.shape[1:]
                self._write_header()
            self._file.write(block.data)
        self._hasher.update(block.data)
        self._count += len(block)

    def _write_header(self) -> int:
        facts = {"descr": "|u1", "fortran_order": False, "shape": (self._count, *self._shape)}
        np.lib.format.write_array_header_1_0(self._file, facts)
        return self._file.tell()

    def finish(self) -> tuple[NDArray[np.uint8], str]:
        """Sync the file; return its mapping and the digest of its pixels."""
        with disk_faults(self._path):
            length = self._file.tell() - self._count * int(np.prod(self._shape))
            self._file.seek(0)
            # The format pads its header so that the first axis can grow without moving what follows.
            rewritten = self._write_header()
            assert rewritten == length
            self._file.flush()
            os.fsync(self._file.fileno())
        return np.load(self._path, mmap_mode="r", allow_pickle=False), self._hasher.hexdigest()

    def close(self) -> None:
        """Close the file, whole or not."""
        # What could not be written has been reported by then; the folder is about to be removed.
        with contextlib.suppress(OSError):
            self._file.close()


def write_facts(path: Path, made: Pack) -> None:
    """Write all of a pack but its pixels, and sync it."""
    facts = {
        "version": VERSION,
        "shape": made.pixels.shape,
        "codec": made.codec.state(),
        "notes": made.notes,
        "passed_over": made.passed_over,
        "labels": None if made.labels is None else made.labels.tolist(),
        "classes": made.classes,
        "digest": made.digest,
        "names": made.names,
        "tags": None if made.tags is None else made.tags[0],
    }
    if made.tags is not None:
        write_new(path.with_name(_TAGS), made.tags[1])
    write_new(path, canonical_json(facts))


def install(workplace: Path, place: Path) -> None:
    """Move a finished pack to its place at one stroke, unless another run has packed the same images meanwhile."""
    try:
        if reopened(place) is None:
            install_folder(workplace, place)
    except OSError:
        if reopened(place) is None:
            raise


def reopened(place: Path) -> Pack | None:
    """Map a pack; None where there is none or its parts do not belong together."""
    try:
        facts = parsed_json(read_plain(place / "pack.json"))
        pixels = open_mapped(place / "pixels.npy")
        codec = ImageCodec.from_state(facts["codec"])
        labels = None if facts["labels"] is None else np.asarray(facts["labels"], dtype=np.int64)
        made = Pack(
            pixels=pixels,
            codec=codec,
            notes=tuple(map(str, facts["notes"])),
            passed_over=tuple(map(str, facts["passed_over"])),
            labels=labels,
            classes=tuple(map(str, facts["classes"])),
            digest=str(facts["digest"]),
            names=tuple(map(str, facts["names"])),
            tags=None if facts["tags"] is None else (str(facts["tags"]), (place / _TAGS).read_bytes()),
        )
        whole = (
            facts["version"] == VERSION
            and isinstance(pixels, np.memmap)
            and pixels.dtype == np.uint8
            and list(pixels.shape) == facts["shape"]
            and pixels.shape[1:] == (CHANNELS[codec.mode], codec.height, codec.width)
            and (place / "pixels.npy").stat().st_size == pixels.offset + pixels.nbytes
            and len(made.names) in (0, len(pixels))
            and (labels is None or (labels.shape == pixels.shape[:1] and labels.max() < len(made.classes)))
        )
    except (OSError, ValueError, KeyError, TypeError, AttributeError, OverflowError, RecursionError, CheckpointError):
        return None
    return made if whole else None
