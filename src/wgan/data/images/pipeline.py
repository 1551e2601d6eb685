"""Decode a collection of images on all cores, in order and in bounded memory."""

from __future__ import annotations

import contextlib
import functools
import os
import warnings
from collections import deque
from collections.abc import Callable, Generator, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import chain, islice
from pathlib import Path
from typing import TypeVar

import numpy as np
import xxhash

from wgan.data.images.collection import Collection, Encoded, Stream, Tally, labels_from_folders, load, read_tags
from wgan.data.images.conversion import (
    Conversion,
    Header,
    Survey,
    ValueRange,
    check_range,
    conversion_for,
    range_of,
)
from wgan.data.images.decoded import DecodedImages, Sink, num_cores
from wgan.data.images.decoding import ENCODINGS, BrokenImage, DecodedImage, decode, header_of, quiet_pillow
from wgan.data.images.idx import looks_like_idx
from wgan.errors import DataError, DataWarning
from wgan.settings import DataOptions
from wgan.system.text import escaped

R = TypeVar("R")
_CHUNK_IMAGES = 32
_CHUNK_BYTES = 1 << 21
# At most one broken image in this many may be skipped.
_MIN_IMAGES_PER_BROKEN = 100
_MAX_NAMED = 3


def decode_collection(collection: Collection, options: DataOptions, sink: Sink) -> DecodedImages:
    """Decode all images.

    Args:
        collection: The encoded images.
        options: Mode, size and range, and whether broken images may be skipped.
        sink: Receives the pixels.

    Raises:
        DataError: No images, too few, or broken ones.
    """
    with quiet_pillow():
        conversion = _conversion(collection, options)
        tally, survey, values = Tally(), Survey(), ValueRange(conversion.range)
        names: list[str] = []
        broken: list[str] = []
        content = _ContentDigest()
        work = functools.partial(_decode_with_digest, conversion=conversion)
        with contextlib.closing(_map_in_order(work, collection.stream(tally))) as chunks:
            for chunk in chunks:
                decoded = []
                for name, result in chunk:
                    assert not isinstance(result, BrokenImage)
                    digest, image = result
                    content.add(name, digest)
                    if isinstance(image, BrokenImage):
                        broken.append(f"{escaped(name)}: {image}")
                        if not options.skip_broken:
                            raise _broken_error(collection, options, broken[0])
                        continue
                    survey.add(image.header)
                    values.add(image.low, image.high)
                    decoded.append(image.pixels)
                    if collection.labelled:
                        names.append(name)
                if decoded:
                    sink.append(np.stack(decoded))
    _check_counts(collection, tally, survey.num_images, broken)
    labels, classes = labels_from_folders(names) if names else (None, ())
    codec, warning = values.codec_for(conversion.codec, survey)
    notes = [conversion.describe(survey), *filter(None, (values.note(), warning))]
    if broken:
        named = "; ".join(broken[:_MAX_NAMED]) + ("; ..." if len(broken) > _MAX_NAMED else "")
        notes.append(f"skipped as broken: {len(broken):,} of {survey.num_images + len(broken):,} ({named})")
        warnings.warn(f"{escaped(collection.path)}: {notes[-1]}", DataWarning, stacklevel=4)
    pixels, digest_of_pixels, blocks = sink.finish()
    return DecodedImages(
        pixels=pixels,
        codec=codec,
        notes=tuple(notes),
        warning=warning,
        ignored=tally.notes(),
        labels=labels,
        classes=classes,
        digest=digest_of_pixels,
        blocks=blocks,
        content=content.digest(collection),
        names=tuple(names),
        tags=read_tags(collection),
    )


def _conversion(collection: Collection, options: DataOptions) -> Conversion:
    """Choose the conversion, from the images' headers if the options leave something open."""
    survey, tally = Survey(), Tally()
    limits = range_of(options)
    if options.mode != "auto" and options.size != (0, 0) and limits is None:
        return conversion_for(survey, options)
    num_broken, first_broken = 0, ""

    def work(encoded: Encoded) -> Header:
        return header_of(load(encoded))

    with contextlib.closing(_map_in_order(work, collection.stream(tally))) as chunks:
        for name, result in chain.from_iterable(chunks):
            if not isinstance(result, BrokenImage):
                survey.add(result)
                continue
            num_broken += 1
            first_broken = first_broken or f"{escaped(name)}: {result}"
            if not options.skip_broken:
                raise _broken_error(collection, options, first_broken)
    if survey.num_images + num_broken == 0:
        raise _no_images_error(collection, tally)
    if survey.num_images == 0:
        raise _broken_error(collection, options, first_broken)
    conversion = conversion_for(survey, options)
    if limits is not None:
        check_range(survey, conversion, escaped(collection.path))
    return conversion


def _check_counts(collection: Collection, tally: Tally, num_good: int, broken: list[str]) -> None:
    """Refuse a collection with fewer than 2 images, or with too many broken ones."""
    num_all = num_good + len(broken)
    if num_all == 0:
        raise _no_images_error(collection, tally)
    if len(broken) * _MIN_IMAGES_PER_BROKEN > num_all:
        raise DataError(
            f"{escaped(collection.path)}: {len(broken):,} of {num_all:,} images are broken, "
            f"more than one in a hundred; the first: {broken[0]}",
            remedy="Repair or remove them.",
        )
    if num_good < 2:
        raise DataError(
            f"{escaped(collection.path)}: needs at least 2 images, found {num_good}",
            remedy="Give more images: a distribution cannot be learnt from fewer.",
        )


def _no_images_error(collection: Collection, tally: Tally) -> DataError:
    found = [f"endings seen: {tally.seen()}"] if tally.endings else []
    found += [f"{count:,} {reason}" for reason, count in sorted(tally.skipped.items())]
    remedy = f"Formats of images: {', '.join(endings[0] for endings in ENCODINGS.values())}."
    if idx := _idx_files(collection):
        files = ", ".join(f"'{escaped(path)}'" for path in idx[:_MAX_NAMED])
        remedy = f"It holds IDX files of images: name one of them instead of the folder: {files}."
    return DataError(
        f"{escaped(collection.path)}: no images in this {collection.noun} ({'; '.join(found) or 'it is empty'})",
        remedy=remedy,
    )


def _idx_files(collection: Collection) -> list[Path]:
    """The IDX files of images directly in a folder."""
    if not collection.path.is_dir():
        return []
    return [path for path in sorted(collection.path.iterdir()) if path.is_file() and looks_like_idx(path, (3, 4))]


def _broken_error(collection: Collection, options: DataOptions, reason: str) -> DataError:
    separator = "/" if collection.noun == "folder" else ", "
    remedy = "Repair or remove it."
    if not options.skip_broken and _has_at_least(collection, _MIN_IMAGES_PER_BROKEN):
        remedy = "Repair or remove it; or use --skip-broken, which skips up to one image in a hundred."
    return DataError(f"{escaped(collection.path)}{separator}{reason}", remedy=remedy)


def _has_at_least(collection: Collection, count: int) -> bool:
    """Whether a collection has at least `count` images; reads no further than needed."""
    with contextlib.closing(collection.stream(Tally())) as items:
        try:
            return sum(1 for _ in islice(items, count)) == count
        except DataError:
            return False


class _ContentDigest:
    """A digest of the names and encoded bytes of a collection's images, in order."""

    def __init__(self) -> None:
        self._hasher = xxhash.xxh3_128()

    def add(self, name: str, digest: bytes) -> None:
        """Add an image by the digest of its bytes."""
        self._hasher.update(os.fsencode(name) + b"\0" + digest)

    def digest(self, collection: Collection) -> str:
        """The digest of all images, and of the file that describes them if it is in the same archive."""
        if not collection.listed and (tags := read_tags(collection)) is not None:
            self.add(tags[0], xxhash.xxh3_128_digest(tags[1]))
        return self._hasher.hexdigest()


def content_digest(collection: Collection) -> str:
    """The digest of a collection's encoded images, without decoding them."""
    content = _ContentDigest()
    stream = collection.stream(Tally())
    with contextlib.closing(_map_in_order(lambda encoded: _load_with_digest(encoded)[0], stream)) as chunks:
        for name, digest in chain.from_iterable(chunks):
            assert isinstance(digest, bytes)
            content.add(name, digest)
    return content.digest(collection)


def _load_with_digest(encoded: Encoded) -> tuple[bytes, bytes | BrokenImage]:
    """The digest of an encoded image, and its bytes or why they cannot be read."""
    try:
        raw = load(encoded)
    except BrokenImage as error:
        # Its traceback would keep the bytes of the image alive.
        return xxhash.xxh3_128_digest(str(error).encode()), error.with_traceback(None)
    return xxhash.xxh3_128_digest(raw), raw


def _decode_with_digest(encoded: Encoded, conversion: Conversion) -> tuple[bytes, DecodedImage | BrokenImage]:
    """The digest of an encoded image, and the decoded image or why it cannot be decoded."""
    digest, raw = _load_with_digest(encoded)
    try:
        return digest, raw if isinstance(raw, BrokenImage) else decode(raw, conversion)
    except BrokenImage as error:
        return digest, error.with_traceback(None)


def _map_in_order(
    work: Callable[[Encoded], R], items: Stream
) -> Generator[list[tuple[str, R | BrokenImage]], None, None]:
    """Apply a function to all items on all cores; yield the results in the order of the items, in chunks.

    Threads suffice, since Pillow's decoders release the GIL. At most two chunks per worker are in flight.
    """

    def process(chunk: list[tuple[str, Encoded]]) -> list[tuple[str, R | BrokenImage]]:
        results: list[tuple[str, R | BrokenImage]] = []
        for name, encoded in chunk:
            try:
                results.append((name, work(encoded)))
            except BrokenImage as error:
                # Its traceback would keep the bytes of the image alive.
                results.append((name, error.with_traceback(None)))
        return results

    num_workers = num_cores()
    pending: deque[Future[list[tuple[str, R | BrokenImage]]]] = deque()
    with contextlib.closing(items), ThreadPoolExecutor(num_workers) as pool:
        try:
            for chunk in _chunks(items):
                pending.append(pool.submit(process, chunk))
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
