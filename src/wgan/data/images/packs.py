"""Packs: images decoded once into one array that every later epoch and run reads directly.

A pack is a folder with `pixels.npy` (uint8, shape (N, channels, height, width), to be mapped) and `pack.json`. It is
written beside its final place, synced and renamed, so that it is there whole or not at all. `pack.json` carries its own
checksum, and those of the other files, which are checked when the pack is opened.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Protocol

import numpy as np
import xxhash
from numpy.typing import NDArray

from wgan.data.images.members import Stamp
from wgan.data.images.source import CHANNELS, ImageCodec
from wgan.data.npy import open_mapped
from wgan.errors import CheckpointError, UsageError
from wgan.system.storage import (
    DamagedError,
    disk_faults,
    install_folder,
    read_plain,
    replace_file,
    seal,
    unseal,
    write_new,
)

VERSION = 4
_PIXELS, _FACTS, _TAGS = "pixels.npy", "pack.json", "tags.csv"
BLOCK_BYTES = 1 << 22
"""Bytes of pixels under one checksum."""

ABANDONED_SECONDS = 86_400
"""Age at which what lies half-packed in a cache is left from a run that was killed, and not under way in another."""


@dataclass(frozen=True, kw_only=True)
class Pack:
    """Decoded images, and what was said while they were decoded.

    Attributes:
        pixels: Shape (N, channels, height, width), uint8, in memory or mapped.
        codec: What the pixels mean.
        notes: How the images were read, a line each.
        warning: The note that must be heard, or empty.
        passed_over: What was no image of the collection, a line each.
        labels: Shape (N,), each image's place in `classes`, or None.
        classes: Names of the classes.
        digest: Digest of the pixels, by which data is told from other data.
        blocks: Checksums of the pixels, by which damage is seen, for each `BLOCK_BYTES` of them; empty in memory.
        content: Digest of the encoded images and their names.
        stamp: What the file system said of them when they were listed; None in memory.
        names: The images' names; empty where they have none that mean anything.
        tags: Name and content of the file that describes the images, or None.
    """

    pixels: NDArray[np.uint8]
    codec: ImageCodec
    notes: tuple[str, ...]
    warning: str
    passed_over: tuple[str, ...]
    labels: NDArray[np.int64] | None
    classes: tuple[str, ...]
    digest: str
    blocks: tuple[str, ...] = ()
    content: str = ""
    stamp: Stamp | None = None
    names: tuple[str, ...] = ()
    tags: tuple[str, bytes] | None = None


class Sink(Protocol):
    """Where decoded pixels go, a block after another."""

    def append(self, block: NDArray[np.uint8]) -> None:
        """Take the next images, shape (n, channels, height, width)."""
        ...

    def finish(self) -> tuple[NDArray[np.uint8], str, tuple[str, ...]]:
        """Return all images, shape (N, channels, height, width), and the digest and checksums of their pixels."""
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

    def finish(self) -> tuple[NDArray[np.uint8], str, tuple[str, ...]]:
        """Return all images, shape (N, channels, height, width), and the digest of their pixels."""
        self._pixels.resize((self._count, *self._pixels.shape[1:]), refcheck=False)
        return self._pixels, self._hasher.hexdigest(), ()


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
        self._checksums = _Checksums()

    def append(self, block: NDArray[np.uint8]) -> None:
        """Write the next images, shape (n, channels, height, width)."""
        with disk_faults(self._path):
            if not self._shape:
                self._shape = block.shape[1:]
                self._write_header()
            self._file.write(block.data)
        self._hasher.update(block.data)
        self._checksums.update(block)
        self._count += len(block)

    def _write_header(self) -> int:
        facts = {"descr": "|u1", "fortran_order": False, "shape": (self._count, *self._shape)}
        np.lib.format.write_array_header_1_0(self._file, facts)
        return self._file.tell()

    def finish(self) -> tuple[NDArray[np.uint8], str, tuple[str, ...]]:
        """Sync the file; return its mapping, and the digest and checksums of its pixels."""
        with disk_faults(self._path):
            length = self._file.tell() - self._count * int(np.prod(self._shape))
            self._file.seek(0)
            # The format pads its header so that the first axis can grow without moving what follows.
            rewritten = self._write_header()
            assert rewritten == length
            self._file.flush()
            os.fsync(self._file.fileno())
        pixels = np.load(self._path, mmap_mode="r", allow_pickle=False)
        return pixels, self._hasher.hexdigest(), self._checksums.finish()

    def close(self) -> None:
        """Close the file, whole or not."""
        # What could not be written has been reported by then; the folder is about to be removed.
        with contextlib.suppress(OSError):
            self._file.close()


class _Checksums:
    """The checksums of bytes that come in pieces, for each block of them."""

    def __init__(self) -> None:
        self._done: list[str] = []
        self._hasher, self._left = xxhash.xxh3_128(), BLOCK_BYTES

    def update(self, piece: NDArray[np.uint8]) -> None:
        """Take the next bytes."""
        rest = np.ascontiguousarray(piece).data.cast("B")
        while len(rest):
            part, rest = rest[: self._left], rest[self._left :]
            self._hasher.update(part)
            self._left -= len(part)
            if not self._left:
                self._end_block()

    def finish(self) -> tuple[str, ...]:
        """The checksums; the last block may be shorter than the others."""
        if self._left < BLOCK_BYTES:
            self._end_block()
        return tuple(self._done)

    def _end_block(self) -> None:
        self._done.append(self._hasher.hexdigest())
        self._hasher, self._left = xxhash.xxh3_128(), BLOCK_BYTES


def write_facts(path: Path, made: Pack) -> None:
    """Write all of a pack but its pixels, and sync it."""
    if made.tags is not None:
        write_new(path.with_name(_TAGS), made.tags[1])
    write_new(path, _facts(made))


def restamp(place: Path, made: Pack) -> None:
    """Note what the file system says now of images that were found to be those of the pack.

    Where the cache cannot be written, they are read and compared again the next time.
    """
    with contextlib.suppress(CheckpointError):
        replace_file(place / _FACTS, _facts(made))


def _facts(made: Pack) -> bytes:
    return seal(
        {
            "version": VERSION,
            "shape": list(made.pixels.shape),
            "codec": made.codec.state(),
            "notes": list(made.notes),
            "warning": made.warning,
            "passed_over": list(made.passed_over),
            "labels": None if made.labels is None else made.labels.tolist(),
            "classes": list(made.classes),
            "digest": made.digest,
            "blocks": list(made.blocks),
            "content": made.content,
            "stamp": None if made.stamp is None else [made.stamp.digest, made.stamp.is_settled],
            "names": list(made.names),
            "tags": None if made.tags is None else [made.tags[0], xxhash.xxh3_128_hexdigest(made.tags[1])],
        }
    )


def install(workplace: Path, place: Path) -> None:
    """Move a finished pack to its place at one stroke, over what is there; of two that come at once, one stays."""
    try:
        install_folder(workplace, place)
    except OSError:
        if not place.is_dir():
            raise


def reopened(place: Path) -> Pack | None:
    """Map a pack after making sure that it is what was written.

    Returns:
        The pack; None where there is none.

    Raises:
        DamagedError: A file of it is missing, cannot be read, or is not what was written.
    """
    if not place.is_dir():
        return None
    try:
        facts = unseal(read_plain(place / _FACTS), _FACTS)
        pixels = open_mapped(place / _PIXELS)
        codec = ImageCodec.from_state(facts["codec"])
        labels = None if facts["labels"] is None else np.asarray(facts["labels"], dtype=np.int64)
        made = Pack(
            pixels=pixels,
            codec=codec,
            notes=tuple(map(str, facts["notes"])),
            warning=str(facts["warning"]),
            passed_over=tuple(map(str, facts["passed_over"])),
            labels=labels,
            classes=tuple(map(str, facts["classes"])),
            digest=str(facts["digest"]),
            blocks=tuple(map(str, facts["blocks"])),
            content=str(facts["content"]),
            stamp=Stamp(*facts["stamp"]),
            names=tuple(map(str, facts["names"])),
            tags=None if facts["tags"] is None else (str(facts["tags"][0]), (place / _TAGS).read_bytes()),
        )
        whole = (
            facts["version"] == VERSION
            and isinstance(pixels, np.memmap)
            and pixels.dtype == np.uint8
            and list(pixels.shape) == facts["shape"]
            and pixels.shape[1:] == (CHANNELS[codec.mode], codec.height, codec.width)
            and (place / _PIXELS).stat().st_size == pixels.offset + pixels.nbytes
            and len(made.names) in (0, len(pixels))
            and (labels is None or (labels.shape == pixels.shape[:1] and labels.max() < len(made.classes)))
        )
    except (
        OSError,
        ValueError,
        KeyError,
        TypeError,
        AttributeError,
        OverflowError,
        EOFError,
        CheckpointError,
    ) as error:
        raise DamagedError(" ".join(str(error).split())) from None
    if not whole or not isinstance(pixels, np.memmap):
        raise DamagedError(f"{_PIXELS} does not have the shape or the size that {_FACTS} notes")
    if made.tags is not None and xxhash.xxh3_128_hexdigest(made.tags[1]) != facts["tags"][1]:
        raise DamagedError(f"{_TAGS} does not have the checksum that {_FACTS} notes")
    _refuse_changed(place / _PIXELS, pixels.offset, pixels.nbytes, made.blocks)
    return made


def _refuse_changed(path: Path, start: int, length: int, blocks: Sequence[str]) -> None:
    """Compare the bytes of a file from `start` on with the checksums of their blocks, on all cores.

    They are read and not mapped: a mapped file that is cut off meanwhile would end the process.
    """
    with path.open("rb") as file, ThreadPoolExecutor(num_cores()) as pool:

        def checksum(block: int) -> str:
            size = min(BLOCK_BYTES, length - block * BLOCK_BYTES)
            return xxhash.xxh3_128_hexdigest(os.pread(file.fileno(), size, start + block * BLOCK_BYTES))

        count = -(-length // BLOCK_BYTES)
        try:
            found = list(pool.map(checksum, range(count)))
        except OSError as error:
            raise DamagedError(f"{path.name} cannot be read: {error.strerror}") from None
    wrong = next((block for block in range(count) if found[block : block + 1] != list(blocks[block : block + 1])), None)
    if wrong is not None or len(blocks) != count:
        place = 0 if wrong is None else start + wrong * BLOCK_BYTES
        raise DamagedError(f"{path.name} does not have the checksum that {_FACTS} notes, from byte {place:,} on")


def num_cores() -> int:
    """The cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
