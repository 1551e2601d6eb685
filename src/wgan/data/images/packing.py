"""Decode a collection of images once, into one array that every later epoch and run reads directly.

A pack is a folder with `pixels.npy` (uint8, shape (N, channels, height, width), to be mapped) and `pack.json`. It is
written beside its final place, synced and renamed, so that it is there whole or not at all.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shutil
import tempfile
import time
import warnings
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from wgan.data.images.decoding import (
    BrokenImage,
    Facts,
    Policy,
    Survey,
    decode,
    probe,
    quiet_pillow,
    resolve,
)
from wgan.data.images.members import Collection, Encoded, Tally, labels_from_folders, load, shown
from wgan.data.images.source import CHANNELS, ImageCodec
from wgan.errors import CheckpointError, DataError, DataWarning, UsageError
from wgan.settings import DataOptions

R = TypeVar("R")
_VERSION = 1
_CHUNK_IMAGES = 32
_CHUNK_BYTES = 1 << 23
_ABANDONED_SECONDS = 86_400
_NUM_BROKEN_NAMED = 3


@dataclass(frozen=True, kw_only=True)
class Pack:
    """Decoded images, and what was said while they were decoded.

    Attributes:
        pixels: Shape (N, channels, height, width), uint8, in memory or mapped.
        codec: What the pixels mean.
        notes: How the images were read, a line each.
        labels: Shape (N,), each image's place in `classes`, or None.
        classes: Names of the classes.
        digest: Digest of the pixels.
    """

    pixels: NDArray[np.uint8]
    codec: ImageCodec
    notes: tuple[str, ...]
    labels: NDArray[np.int64] | None
    classes: tuple[str, ...]
    digest: str


def pack(collection: Collection, options: DataOptions, cache: Path | None) -> Pack:
    """Decode all images, or map the pack that an earlier call left in the cache.

    Args:
        collection: The encoded images.
        options: The mode and size that are wanted, and whether broken images may be left out.
        cache: Folder of packs; None to keep the pixels in memory.

    Raises:
        DataError: No images, too few, or broken ones.
        UsageError: The cache cannot be made, or the pixels do not fit in memory.
        CheckpointError: The disk is full or fails.
    """
    if cache is None:
        return _decoded(collection, options, _Memory())
    place = cache / _key(collection, options)
    found = _reopened(place)
    if found is not None:
        return found
    try:
        cache.mkdir(parents=True, exist_ok=True)
        _sweep(cache)
        workplace = Path(tempfile.mkdtemp(prefix=".packing-", dir=cache))
    except OSError as error:
        raise UsageError(
            f"the cache folder {cache} cannot be written: {error.strerror}", remedy="Name another folder for the run."
        ) from None
    try:
        with contextlib.closing(_File(workplace / "pixels.npy")) as sink:
            made = _decoded(collection, options, sink)
        with _disk_errors(cache):
            _write_facts(workplace / "pack.json", made)
            _install(workplace, place)
    finally:
        shutil.rmtree(workplace, ignore_errors=True)
    found = _reopened(place)
    if found is None:
        raise CheckpointError(f"the pack {place} was written but cannot be read back", remedy="Check the disk.")
    return found


def _key(collection: Collection, options: DataOptions) -> str:
    asked = [_VERSION, options.mode, options.size, options.fit, options.skip_broken, collection.noun]
    hasher = hashlib.blake2b(json.dumps(asked).encode(), digest_size=16)
    hasher.update(os.fsencode(collection.path.resolve()))
    for part in collection.key():
        hasher.update(part)
    return hasher.hexdigest()


def _decoded(collection: Collection, options: DataOptions, sink: _Sink) -> Pack:
    with quiet_pillow():
        policy = _policy(collection, options)
        tally, survey = Tally(), Survey()
        names: list[str] = []
        broken: list[str] = []

        def work(encoded: Encoded) -> tuple[Facts, NDArray[np.uint8]]:
            return decode(load(encoded), policy)

        for chunk in _in_order(work, collection.stream(tally)):
            good = []
            for name, result in chunk:
                if isinstance(result, BrokenImage):
                    broken.append(f"{shown(name)}: {result}")
                    if not options.skip_broken:
                        raise _broken_error(collection, broken[0])
                    continue
                survey.add(result[0])
                good.append(result[1])
                if collection.labelled:
                    names.append(name)
            if good:
                sink.append(np.stack(good))
    _judge_broken(collection, broken, survey.num_images)
    if survey.num_images < 2:
        raise DataError(f"{collection.path}: needs at least 2 images, found {survey.num_images}")
    labels, classes = labels_from_folders(names) if names else (None, ())
    notes = [policy.note(survey), *tally.notes()]
    if broken:
        named = "; ".join(broken[:_NUM_BROKEN_NAMED]) + ("; ..." if len(broken) > _NUM_BROKEN_NAMED else "")
        notes.append(f"left out, as broken: {len(broken):,} of {survey.num_images + len(broken):,} ({named})")
        warnings.warn(f"{collection.path}: {notes[-1]}", DataWarning, stacklevel=4)
    pixels, digest = sink.finish()
    return Pack(pixels=pixels, codec=policy.codec, notes=tuple(notes), labels=labels, classes=classes, digest=digest)


def _policy(collection: Collection, options: DataOptions) -> Policy:
    """Decide on mode and size, from the images' headers where the options leave either open."""
    survey, tally = Survey(), Tally()
    if options.mode != "auto" and options.size != (0, 0):
        return resolve(survey, options)
    num_broken, first_broken = 0, ""

    def work(encoded: Encoded) -> Facts:
        return probe(load(encoded))

    for chunk in _in_order(work, collection.stream(tally)):
        for name, result in chunk:
            if not isinstance(result, BrokenImage):
                survey.add(result)
                continue
            num_broken += 1
            first_broken = first_broken or f"{shown(name)}: {result}"
            if not options.skip_broken:
                raise _broken_error(collection, first_broken)
    if survey.num_images + num_broken == 0:
        found = [f"endings seen: {tally.seen()}"] if tally.endings else []
        found += [f"{count:,} {reason}" for reason, count in sorted(tally.skipped.items())]
        raise DataError(
            f"{collection.path}: no images in this {collection.noun} ({'; '.join(found) or 'it is empty'})",
            remedy="Images are taken as .png, .jpg, .webp, .bmp, .gif, .tif and .ppm files.",
        )
    if survey.num_images == 0:
        raise _broken_error(collection, first_broken)
    return resolve(survey, options)


def _broken_error(collection: Collection, reason: str) -> DataError:
    joint = "/" if collection.noun == "folder" else ", "
    return DataError(
        f"{collection.path}{joint}{reason}",
        remedy="Repair or remove it; or set skip_broken, which leaves out up to one image in a hundred.",
    )


def _judge_broken(collection: Collection, broken: list[str], num_good: int) -> None:
    if len(broken) * 100 > len(broken) + num_good:
        raise DataError(
            f"{collection.path}: {len(broken):,} of {len(broken) + num_good:,} images are broken, "
            f"more than one in a hundred; the first: {broken[0]}",
            remedy="Repair or remove them.",
        )


def _in_order(
    work: Callable[[Encoded], R], items: Iterable[tuple[str, Encoded]]
) -> Iterator[list[tuple[str, R | BrokenImage]]]:
    """Do the work on all cores, and yield the results in the order of the items, a chunk at a time.

    Threads suffice: Pillow's decoders let go of the interpreter lock. At most two chunks a worker are under way.
    """

    def work_on(chunk: list[tuple[str, Encoded]]) -> list[tuple[str, R | BrokenImage]]:
        results: list[tuple[str, R | BrokenImage]] = []
        for name, encoded in chunk:
            try:
                results.append((name, work(encoded)))
            except BrokenImage as reason:
                # Without its traceback, which would keep the image's bytes alive.
                results.append((name, reason.with_traceback(None)))
        return results

    num_workers = _num_cores()
    pending: deque[Future[list[tuple[str, R | BrokenImage]]]] = deque()
    with contextlib.closing(_chunks(items)) as chunks, ThreadPoolExecutor(num_workers) as pool:
        try:
            for chunk in chunks:
                pending.append(pool.submit(work_on, chunk))
                if len(pending) > 2 * num_workers:
                    yield pending.popleft().result()
            while pending:
                yield pending.popleft().result()
        finally:
            for future in pending:
                future.cancel()


def _num_cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _chunks(items: Iterable[tuple[str, Encoded]]) -> Generator[list[tuple[str, Encoded]], None, None]:
    chunk: list[tuple[str, Encoded]] = []
    num_bytes = 0
    for name, encoded in items:
        chunk.append((name, encoded))
        num_bytes += len(encoded) if isinstance(encoded, bytes) else 0
        if len(chunk) == _CHUNK_IMAGES or num_bytes > _CHUNK_BYTES:
            yield chunk
            chunk, num_bytes = [], 0
    if chunk:
        yield chunk


class _Sink(Protocol):
    """Where decoded pixels go, a block after another."""

    def append(self, block: NDArray[np.uint8]) -> None: ...

    def finish(self) -> tuple[NDArray[np.uint8], str]: ...


class _Memory:
    """Pixels in one array, which grows by doubling."""

    def __init__(self) -> None:
        self._pixels: NDArray[np.uint8] = np.empty((0, 0, 0, 0), np.uint8)
        self._count = 0
        self._hasher = hashlib.blake2b(digest_size=16)

    def append(self, block: NDArray[np.uint8]) -> None:
        end = self._count + len(block)
        if end > len(self._pixels):
            shape = (max(end, 2 * len(self._pixels)), *block.shape[1:])
            if end * block[0].nbytes > _memory_bytes() // 2:
                raise UsageError(
                    f"the decoded images take more than half of this machine's memory ({_memory_bytes() / 2**30:.1f} GiB)",
                    remedy="Give a cache folder, from which they are then mapped, or a smaller size.",
                )
            self._pixels.resize(shape, refcheck=False)
        self._pixels[self._count : end] = block
        self._count = end
        self._hasher.update(block.data)

    def finish(self) -> tuple[NDArray[np.uint8], str]:
        self._pixels.resize((self._count, *self._pixels.shape[1:]), refcheck=False)
        return self._pixels, self._hasher.hexdigest()


def _memory_bytes() -> int:
    try:
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, ValueError, OSError):
        return 1 << 62


class _File:
    """Pixels in an .npy file, written from start to end: a full disk is then an error and not a signal."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file: BinaryIO = path.open("wb")
        self._shape: tuple[int, ...] = ()
        self._count = 0
        self._hasher = hashlib.blake2b(digest_size=16)

    def append(self, block: NDArray[np.uint8]) -> None:
        with _disk_errors(self._path.parent.parent):
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
        with _disk_errors(self._path.parent.parent):
            length = self._file.tell() - self._count * int(np.prod(self._shape))
            self._file.seek(0)
            # The format pads its header so that the first axis can grow without moving what follows.
            assert self._write_header() == length
            self._file.flush()
            os.fsync(self._file.fileno())
        return np.load(self._path, mmap_mode="r", allow_pickle=False), self._hasher.hexdigest()

    def close(self) -> None:
        # What could not be written has been reported by then; the folder is about to be removed.
        with contextlib.suppress(OSError):
            self._file.close()


@contextlib.contextmanager
def _disk_errors(cache: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        free = ""
        with contextlib.suppress(OSError):
            free = f" ({shutil.disk_usage(cache).free / 2**20:,.0f} MiB free)"
        raise CheckpointError(
            f"packing the images into {cache} failed: {error.strerror}{free}",
            remedy="Make room, or choose a smaller size or another folder. Nothing partial was left behind.",
        ) from None


def _write_facts(path: Path, made: Pack) -> None:
    facts = {
        "version": _VERSION,
        "shape": made.pixels.shape,
        "codec": made.codec.state(),
        "notes": made.notes,
        "labels": None if made.labels is None else made.labels.tolist(),
        "classes": made.classes,
        "digest": made.digest,
    }
    with path.open("w", encoding="utf-8") as file:
        json.dump(facts, file)
        file.flush()
        os.fsync(file.fileno())


def _install(workplace: Path, place: Path) -> None:
    _sync_folder(workplace)
    try:
        workplace.rename(place)
    except OSError:
        # Another run may have packed the same images meanwhile; what is there and not valid is of no use to anyone.
        if _reopened(place) is not None:
            return
        shutil.rmtree(place)
        workplace.rename(place)
    _sync_folder(place.parent)


def _sync_folder(path: Path) -> None:
    # Folders cannot be opened everywhere; where they can, a rename is safe only once its folder is on the disk.
    with contextlib.suppress(OSError):
        descriptor = os.open(path, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def _sweep(cache: Path) -> None:
    """Remove what killed runs left half-packed a day ago or earlier."""
    for left in cache.glob(".packing-*"):
        with contextlib.suppress(OSError):
            if time.time() - left.stat().st_mtime > _ABANDONED_SECONDS:
                shutil.rmtree(left)


def _reopened(place: Path) -> Pack | None:
    """Map a pack; None where there is none or its parts do not belong together."""
    try:
        facts = json.loads((place / "pack.json").read_text(encoding="utf-8"))
        pixels = np.load(place / "pixels.npy", mmap_mode="r", allow_pickle=False)
        codec = ImageCodec.from_state(facts["codec"])
        labels = None if facts["labels"] is None else np.asarray(facts["labels"], dtype=np.int64)
        made = Pack(
            pixels=pixels,
            codec=codec,
            notes=tuple(map(str, facts["notes"])),
            labels=labels,
            classes=tuple(map(str, facts["classes"])),
            digest=str(facts["digest"]),
        )
        whole = (
            facts["version"] == _VERSION
            and isinstance(pixels, np.memmap)
            and pixels.dtype == np.uint8
            and list(pixels.shape) == facts["shape"]
            and pixels.shape[1:] == (CHANNELS[codec.mode], codec.height, codec.width)
            and (place / "pixels.npy").stat().st_size == pixels.offset + pixels.nbytes
            and (labels is None or (labels.shape == pixels.shape[:1] and labels.max() < len(made.classes)))
        )
    except (OSError, ValueError, KeyError, TypeError, EOFError, CheckpointError):
        return None
    return made if whole else None
