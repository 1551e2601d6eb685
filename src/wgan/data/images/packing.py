"""Decode a collection of images, on all cores, in order and in bounded memory."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shutil
import warnings
from collections import deque
from collections.abc import Callable, Generator, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from itertools import chain, islice
from pathlib import Path
from typing import TypeVar

import numpy as np
import xxhash

from wgan.data.images.decoding import (
    BrokenImage,
    Decoded,
    Facts,
    Policy,
    Survey,
    decode,
    probe,
    quiet_pillow,
    resolve,
)
from wgan.data.images.extremes import Extremes, refuse_range
from wgan.data.images.idx import looks_like_idx
from wgan.data.images.members import Collection, Encoded, Stream, Tally, labels_from_folders, load
from wgan.data.images.naming import shown
from wgan.data.images.packs import (
    ABANDONED_SECONDS,
    VERSION,
    FileSink,
    MemorySink,
    Pack,
    Sink,
    install,
    num_cores,
    reopened,
    restamp,
    write_facts,
)
from wgan.data.images.ranges import asked_range
from wgan.errors import DataError, DataWarning, UsageError
from wgan.settings import DataOptions
from wgan.system.storage import DamagedError, disk_faults, sweep, temporary_beside

R = TypeVar("R")
_CHUNK_IMAGES = 32
_CHUNK_BYTES = 1 << 21
# One broken image of so many may be skipped.
_SKIPPED_OF = 100
_NUM_BROKEN_NAMED = 3


def pack(collection: Collection, options: DataOptions, cache: Path | None) -> Pack:
    """Decode all images, or map the pack that an earlier call left in the cache.

    A pack is used if it is what was written, and if its images are still those that it was made from. The file system's
    word is taken for that where it can be relied on; otherwise the encoded images are read and compared.

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
        return _decoded(collection, options, MemorySink())
    place = cache / _key(collection, options)
    found = _still_valid(place, collection)
    if found is not None:
        # Of a folder's files those that are not images may have changed since.
        return (
            replace(found, passed_over=_passed_over(collection), tags=_tags(collection)) if collection.listed else found
        )
    try:
        cache.mkdir(parents=True, exist_ok=True)
        sweep(cache, older_than=ABANDONED_SECONDS)
        workplace = temporary_beside(place)
        workplace.mkdir()
    except OSError as error:
        raise UsageError(
            f"the cache folder {shown(cache)} cannot be written: {error.strerror}",
            remedy="Name another folder for the run.",
        ) from None
    try:
        stamp = collection.stamp()
        with contextlib.closing(FileSink(workplace / "pixels.npy")) as sink:
            made = replace(_decoded(collection, options, sink), stamp=stamp)
        with disk_faults(place):
            write_facts(workplace / "pack.json", made)
            install(workplace, place)
    finally:
        shutil.rmtree(workplace, ignore_errors=True)
    # Its pixels were mapped before they got their name, and stay whatever another run puts there.
    return made


def _still_valid(place: Path, collection: Collection) -> Pack | None:
    """The pack at a place, if it is sound and made from what the images are now; says why where it is not."""
    name = shown(collection.path)
    try:
        found = reopened(place)
    except DamagedError as damage:
        said = f"{name}: the decoded images in '{place}' are damaged ({damage}): they are decoded again"
        warnings.warn(said, DataWarning, stacklevel=4)
        return None
    if found is None:
        return None
    stamp = collection.stamp()
    # What is left as it was while a file was younger than its clock can tell may hide a change.
    if found.stamp is not None and stamp.digest == found.stamp.digest and found.stamp.is_settled:
        return found
    if found.content != _content(collection):
        said = f"{name}: the images were changed since they were decoded: they are decoded again"
        warnings.warn(said, DataWarning, stacklevel=4)
        return None
    found = replace(found, stamp=stamp)
    restamp(place, found)
    return found


class _Content:
    """Digests the names and the encoded bytes of a collection, in its order."""

    def __init__(self) -> None:
        self._hasher = xxhash.xxh3_128()

    def add(self, name: str, digest: bytes) -> None:
        """Take in an image."""
        self._hasher.update(os.fsencode(name) + b"\0" + digest)

    def digest(self, collection: Collection) -> str:
        """The digest of all images, and of the file that describes them where it lies in the same archive."""
        if not collection.listed and (tags := _tags(collection)) is not None:
            self.add(tags[0], xxhash.xxh3_128_digest(tags[1]))
        return self._hasher.hexdigest()


def _content(collection: Collection) -> str:
    """The digest of a collection's encoded images, none of which is decoded."""
    content = _Content()
    with contextlib.closing(_in_order(lambda encoded: _loaded(encoded)[0], collection.stream(Tally()))) as chunks:
        for name, digest in chain.from_iterable(chunks):
            assert isinstance(digest, bytes)
            content.add(name, digest)
    return content.digest(collection)


def _loaded(encoded: Encoded) -> tuple[bytes, bytes | BrokenImage]:
    """The digest of an encoded image, and its bytes or why they cannot be had."""
    try:
        raw = load(encoded)
    except BrokenImage as reason:
        # Without its traceback, which would keep the image's bytes alive.
        return xxhash.xxh3_128_digest(str(reason).encode()), reason.with_traceback(None)
    return xxhash.xxh3_128_digest(raw), raw


def _tags(collection: Collection) -> tuple[str, bytes] | None:
    """The file that describes the images, read.

    Raises:
        DataError: It is damaged or too large.
    """
    if collection.tags is None:
        return None
    name, content = collection.tags
    try:
        return name, load(content)
    except BrokenImage as reason:
        raise DataError(f"{shown(collection.path)}: {shown(name)}: {reason}", remedy="Write it again.") from None


def _passed_over(collection: Collection) -> tuple[str, ...]:
    """What is no image now: a pack stays valid when other files come and go, and its notes would be out of date."""
    tally = Tally()
    for _ in collection.stream(tally):
        pass
    return tally.notes()


def _key(collection: Collection, options: DataOptions) -> str:
    asked = [VERSION, options.mode, options.size, options.fit, options.skip_broken, options.range, collection.noun]
    hasher = hashlib.blake2b(json.dumps(asked).encode(), digest_size=16)
    hasher.update(os.fsencode(collection.path.resolve()))
    return hasher.hexdigest()


def _decoded(collection: Collection, options: DataOptions, sink: Sink) -> Pack:
    with quiet_pillow():
        policy = _policy(collection, options)
        tally, survey, extremes = Tally(), Survey(), Extremes(policy.range)
        names: list[str] = []
        broken: list[str] = []

        content = _Content()

        def work(encoded: Encoded) -> tuple[bytes, Decoded | BrokenImage]:
            digest, raw = _loaded(encoded)
            try:
                return digest, raw if isinstance(raw, BrokenImage) else decode(raw, policy)
            except BrokenImage as reason:
                return digest, reason.with_traceback(None)

        with contextlib.closing(_in_order(work, collection.stream(tally))) as chunks:
            for chunk in chunks:
                good = []
                for name, found in chunk:
                    assert not isinstance(found, BrokenImage)
                    digest, result = found
                    content.add(name, digest)
                    if isinstance(result, BrokenImage):
                        broken.append(f"{shown(name)}: {result}")
                        if not options.skip_broken:
                            raise _broken_error(collection, options, broken[0])
                        continue
                    survey.add(result.facts)
                    extremes.add(result)
                    good.append(result.pixels)
                    if collection.labelled:
                        names.append(name)
                if good:
                    sink.append(np.stack(good))
    if survey.num_images + len(broken) == 0:
        raise _no_images(collection, tally)
    _judge_broken(collection, broken, survey.num_images)
    if survey.num_images < 2:
        raise DataError(
            f"{shown(collection.path)}: needs at least 2 images, found {survey.num_images}",
            remedy="Give more images: a distribution cannot be learnt from less.",
        )
    labels, classes = labels_from_folders(names) if names else (None, ())
    codec, warning = extremes.judge(policy.codec, survey)
    notes = [policy.note(survey), *filter(None, (extremes.note(), warning))]
    if broken:
        named = "; ".join(broken[:_NUM_BROKEN_NAMED]) + ("; ..." if len(broken) > _NUM_BROKEN_NAMED else "")
        notes.append(f"left out, as broken: {len(broken):,} of {survey.num_images + len(broken):,} ({named})")
        warnings.warn(f"{shown(collection.path)}: {notes[-1]}", DataWarning, stacklevel=4)
    pixels, told, blocks = sink.finish()
    return Pack(
        pixels=pixels,
        codec=codec,
        notes=tuple(notes),
        warning=warning,
        passed_over=tally.notes(),
        labels=labels,
        classes=classes,
        digest=told,
        blocks=blocks,
        content=content.digest(collection),
        names=tuple(names),
        tags=_tags(collection),
    )


def _policy(collection: Collection, options: DataOptions) -> Policy:
    """Decide on mode and size, from the images' headers where the options leave either open."""
    survey, tally = Survey(), Tally()
    asked = asked_range(options)
    if options.mode != "auto" and options.size != (0, 0) and asked is None:
        return resolve(survey, options)
    num_broken, first_broken = 0, ""

    def work(encoded: Encoded) -> Facts:
        return probe(load(encoded))

    with contextlib.closing(_in_order(work, collection.stream(tally))) as chunks:
        for name, result in chain.from_iterable(chunks):
            if not isinstance(result, BrokenImage):
                survey.add(result)
                continue
            num_broken += 1
            first_broken = first_broken or f"{shown(name)}: {result}"
            if not options.skip_broken:
                raise _broken_error(collection, options, first_broken)
    if survey.num_images + num_broken == 0:
        raise _no_images(collection, tally)
    if survey.num_images == 0:
        raise _broken_error(collection, options, first_broken)
    policy = resolve(survey, options)
    if asked is not None:
        refuse_range(survey, policy, shown(collection.path))
    return policy


def _no_images(collection: Collection, tally: Tally) -> DataError:
    found = [f"endings seen: {tally.seen()}"] if tally.endings else []
    found += [f"{count:,} {reason}" for reason, count in sorted(tally.skipped.items())]
    remedy = "Images are taken as .png, .jpg, .webp, .bmp, .gif, .tif and .ppm files."
    if idx := _idx_files(collection):
        files = ", ".join(f"'{shown(path)}'" for path in idx[:_NUM_BROKEN_NAMED])
        remedy = f"It holds IDX files of images: name one of them instead of the folder: {files}."
    return DataError(
        f"{shown(collection.path)}: no images in this {collection.noun} ({'; '.join(found) or 'it is empty'})",
        remedy=remedy,
    )


def _idx_files(collection: Collection) -> list[Path]:
    """The IDX files of images that lie in a folder itself."""
    if not collection.path.is_dir():
        return []
    return [path for path in sorted(collection.path.iterdir()) if path.is_file() and looks_like_idx(path, (3, 4))]


def _broken_error(collection: Collection, options: DataOptions, reason: str) -> DataError:
    joint = "/" if collection.noun == "folder" else ", "
    remedy = "Repair or remove it."
    if not options.skip_broken and _reaches(collection, _SKIPPED_OF):
        remedy = "Repair or remove it; or use --skip-broken, which leaves out up to one image in a hundred."
    return DataError(f"{shown(collection.path)}{joint}{reason}", remedy=remedy)


def _reaches(collection: Collection, count: int) -> bool:
    """Whether there are so many images; no more of them are looked at than it takes to say so."""
    with contextlib.closing(collection.stream(Tally())) as items:
        try:
            return sum(1 for _ in islice(items, count)) == count
        except DataError:
            return False


def _judge_broken(collection: Collection, broken: list[str], num_good: int) -> None:
    if len(broken) * _SKIPPED_OF > len(broken) + num_good:
        raise DataError(
            f"{shown(collection.path)}: {len(broken):,} of {len(broken) + num_good:,} images are broken, "
            f"more than one in a hundred; the first: {broken[0]}",
            remedy="Repair or remove them.",
        )


def _in_order(work: Callable[[Encoded], R], items: Stream) -> Generator[list[tuple[str, R | BrokenImage]], None, None]:
    """Do the work on all cores, and yield the results in the order of the items, a chunk at a time.

    Threads suffice: Pillow's decoders let go of the interpreter lock, and for images so small that little is decoded
    in each, starting processes would take longer than it saves. At most two chunks a worker are under way.
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

    num_workers = num_cores()
    pending: deque[Future[list[tuple[str, R | BrokenImage]]]] = deque()
    with contextlib.closing(items), ThreadPoolExecutor(num_workers) as pool:
        try:
            for chunk in _chunks(items):
                pending.append(pool.submit(work_on, chunk))
                if len(pending) > 2 * num_workers:
                    yield pending.popleft().result()
            while pending:
                yield pending.popleft().result()
        finally:
            for future in pending:
                future.cancel()


def _chunks(items: Stream) -> Iterator[list[tuple[str, Encoded]]]:
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
