"""Decoded images, and the sinks that collect their pixels: memory, or an .npy file with checksums."""

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

from wgan.data.images.codec import ImageCodec
from wgan.data.images.collection import Stamp
from wgan.errors import UsageError
from wgan.system.storage import DamagedError, disk_faults

BLOCK_BYTES = 1 << 22
"""Bytes of pixels under one checksum."""


@dataclass(frozen=True, kw_only=True)
class DecodedImages:
    """The decoded images of a collection, with the notes of their decoding.

    Attributes:
        pixels: Shape (N, channels, height, width), uint8, in memory or memory-mapped.
        codec: The codec of the pixels.
        notes: How the images were decoded, a line each.
        warning: The note that is issued as a warning too, or empty.
        ignored: Members of the collection that are not images, a line each.
        labels: Shape (N,), each image's index into `classes`, or None.
        classes: Names of the classes.
        digest: Digest of the pixels, part of the data's fingerprint.
        blocks: Checksums of each `BLOCK_BYTES` of the pixels; empty in memory.
        content: Digest of the encoded images and their names.
        stamp: State of the files when they were listed; None in memory.
        names: The images' names; empty if the collection has no meaningful names.
        tags: Name and content of the file that describes the images, or None.
    """

    pixels: NDArray[np.uint8]
    codec: ImageCodec
    notes: tuple[str, ...]
    warning: str
    ignored: tuple[str, ...]
    labels: NDArray[np.int64] | None
    classes: tuple[str, ...]
    digest: str
    blocks: tuple[str, ...] = ()
    content: str = ""
    stamp: Stamp | None = None
    names: tuple[str, ...] = ()
    tags: tuple[str, bytes] | None = None


class Sink(Protocol):
    """A destination of decoded pixels."""

    def append(self, pixels: NDArray[np.uint8]) -> None:
        """Append images, shape (n, channels, height, width)."""
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

    def append(self, pixels: NDArray[np.uint8]) -> None:
        """Append images, shape (n, channels, height, width).

        Raises:
            UsageError: All images together would take more than half of the memory.
        """
        end = self._count + len(pixels)
        if end > len(self._pixels):
            shape = (max(end, 2 * len(self._pixels)), *pixels.shape[1:])
            if end * pixels[0].nbytes > memory_bytes() // 2:
                available = f"{memory_bytes() / 2**30:.1f} GiB"
                raise UsageError(
                    f"the decoded images take more than half of this machine's memory ({available})",
                    remedy="Give a cache folder, from which they are memory-mapped, or a smaller size.",
                )
            self._pixels.resize(shape, refcheck=False)
        self._pixels[self._count : end] = pixels
        self._count = end
        self._hasher.update(pixels.data)

    def finish(self) -> tuple[NDArray[np.uint8], str, tuple[str, ...]]:
        """Return all images, shape (N, channels, height, width), and the digest of their pixels."""
        self._pixels.resize((self._count, *self._pixels.shape[1:]), refcheck=False)
        return self._pixels, self._hasher.hexdigest(), ()


def memory_bytes() -> int:
    """The physical memory of this machine."""
    return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")


class FileSink:
    """Pixels in an .npy file, written sequentially, so that a full disk raises an error instead of a signal."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file: BinaryIO = path.open("wb")
        self._shape: tuple[int, ...] = ()
        self._count = 0
        self._hasher = hashlib.blake2b(digest_size=16)
        self._checksums = _BlockChecksums()

    def append(self, pixels: NDArray[np.uint8]) -> None:
        """Append images, shape (n, channels, height, width)."""
        with disk_faults(self._path):
            if not self._shape:
                self._shape = pixels.shape[1:]
                self._write_header()
            self._file.write(pixels.data)
        self._hasher.update(pixels.data)
        self._checksums.update(pixels)
        self._count += len(pixels)

    def _write_header(self) -> int:
        fields = {"descr": "|u1", "fortran_order": False, "shape": (self._count, *self._shape)}
        np.lib.format.write_array_header_1_0(self._file, fields)
        return self._file.tell()

    def finish(self) -> tuple[NDArray[np.uint8], str, tuple[str, ...]]:
        """Sync the file; return its memory map, and the digest and checksums of its pixels."""
        with disk_faults(self._path):
            header_bytes = self._file.tell() - self._count * int(np.prod(self._shape))
            self._file.seek(0)
            # The format pads the header so that the first axis can grow in place.
            rewritten = self._write_header()
            assert rewritten == header_bytes
            self._file.flush()
            os.fsync(self._file.fileno())
        pixels = np.load(self._path, mmap_mode="r", allow_pickle=False)
        return pixels, self._hasher.hexdigest(), self._checksums.finish()

    def close(self) -> None:
        """Close the file, complete or not."""
        # Write errors have been raised before, and the folder of an incomplete file is removed.
        with contextlib.suppress(OSError):
            self._file.close()


class _BlockChecksums:
    """Checksums of each block of a stream of bytes."""

    def __init__(self) -> None:
        self._done: list[str] = []
        self._hasher, self._left = xxhash.xxh3_128(), BLOCK_BYTES

    def update(self, pixels: NDArray[np.uint8]) -> None:
        """Append bytes."""
        rest = np.ascontiguousarray(pixels).data.cast("B")
        while len(rest):
            part, rest = rest[: self._left], rest[self._left :]
            self._hasher.update(part)
            self._left -= len(part)
            if not self._left:
                self._end_block()

    def finish(self) -> tuple[str, ...]:
        """The checksums; the last block may be shorter."""
        if self._left < BLOCK_BYTES:
            self._end_block()
        return tuple(self._done)

    def _end_block(self) -> None:
        self._done.append(self._hasher.hexdigest())
        self._hasher, self._left = xxhash.xxh3_128(), BLOCK_BYTES


def verify_blocks(path: Path, start: int, length: int, blocks: Sequence[str]) -> None:
    """Compare `length` bytes of a file from `start` on with the checksums of their blocks, on all cores.

    The bytes are read, not memory-mapped: a memory-mapped file that is truncated meanwhile would end the process.

    Raises:
        DamagedError: They differ, or cannot be read.
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
        offset = 0 if wrong is None else start + wrong * BLOCK_BYTES
        raise DamagedError(f"{path.name} does not match its checksum from byte {offset:,} on")


def num_cores() -> int:
    """The number of cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
