"""The cache of decoded images: each data set is decoded once, and later runs memory-map its pixels.

An entry is a folder with `pixels.npy` (uint8, shape (N, channels, height, width)) and `pack.json`. It is written to a
temporary folder, synced and renamed, so that an entry is always complete. `pack.json` carries its own checksum and
those of the other files; all are verified when the entry is opened.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shutil
import warnings
from dataclasses import replace
from pathlib import Path

import numpy as np
import xxhash

from wgan.data.array_files import open_mapped
from wgan.data.images.codec import CHANNELS, ImageCodec
from wgan.data.images.collection import Collection, Stamp, Tally, read_tags
from wgan.data.images.decoded import DecodedImages, FileSink, MemorySink, verify_blocks
from wgan.data.images.pipeline import content_digest, decode_collection
from wgan.errors import CheckpointError, DataWarning, UsageError
from wgan.settings import DataOptions
from wgan.system.storage import (
    DamagedError,
    disk_faults,
    install_folder,
    read_plain,
    replace_file,
    seal,
    sweep,
    temporary_beside,
    unseal,
    write_new,
)
from wgan.system.text import escaped

VERSION = 4
_PIXELS, _FACTS, _TAGS = "pixels.npy", "pack.json", "tags.csv"
_ABANDONED_SECONDS = 86_400
"""Age from which a temporary folder in the cache belongs to a run that was killed, and not to one in progress."""


def decoded_images(collection: Collection, options: DataOptions, cache: Path | None) -> DecodedImages:
    """Decode all images, or open the entry that an earlier call wrote to the cache.

    An entry is used if its checksums match and its images have not changed since. The state that the file system
    reports decides that if it is reliable; otherwise the encoded images are read and compared.

    Args:
        collection: The encoded images.
        options: Mode, size and range, and whether broken images may be skipped.
        cache: Folder of the cache; None to keep the pixels in memory.

    Raises:
        DataError: No images, too few, or broken ones.
        UsageError: The cache cannot be created, or the pixels do not fit in memory.
        CheckpointError: The disk is full or fails.
    """
    if cache is None:
        return decode_collection(collection, options, MemorySink())
    entry = cache / _key(collection, options)
    found = _valid_entry(entry, collection)
    if found is not None:
        # Files of the folder that are not images may have changed since.
        return replace(found, ignored=_ignored(collection), tags=read_tags(collection)) if collection.listed else found
    try:
        cache.mkdir(parents=True, exist_ok=True)
        sweep(cache, older_than=_ABANDONED_SECONDS)
        temporary = temporary_beside(entry)
        temporary.mkdir()
    except OSError as error:
        raise UsageError(
            f"the cache folder {escaped(cache)} cannot be written: {error.strerror}",
            remedy="Name another folder for the run.",
        ) from None
    try:
        stamp = collection.stamp()
        with contextlib.closing(FileSink(temporary / _PIXELS)) as sink:
            images = replace(decode_collection(collection, options, sink), stamp=stamp)
        with disk_faults(entry):
            _write_entry(temporary, images)
            _install(temporary, entry)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    # The pixels were memory-mapped before the rename: the map stays valid if another run replaces the entry.
    return images


def _key(collection: Collection, options: DataOptions) -> str:
    asked = [VERSION, options.mode, options.size, options.fit, options.skip_broken, options.range, collection.noun]
    hasher = hashlib.blake2b(json.dumps(asked).encode(), digest_size=16)
    hasher.update(os.fsencode(collection.path.resolve()))
    return hasher.hexdigest()


def _ignored(collection: Collection) -> tuple[str, ...]:
    """Notes on the members that are not images now: other files may change while an entry stays valid."""
    tally = Tally()
    for _ in collection.stream(tally):
        pass
    return tally.notes()


def _valid_entry(entry: Path, collection: Collection) -> DecodedImages | None:
    """The entry if it is undamaged and its images have not changed; otherwise None, with a warning that says why."""
    name = escaped(collection.path)
    try:
        found = read_entry(entry)
    except DamagedError as damage:
        message = f"{name}: the decoded images in '{entry}' are damaged ({damage}): they are decoded again"
        warnings.warn(message, DataWarning, stacklevel=4)
        return None
    if found is None:
        return None
    stamp = collection.stamp()
    # A stamp that was taken too soon after a change may be the same after another change.
    if found.stamp is not None and stamp.digest == found.stamp.digest and found.stamp.is_settled:
        return found
    if found.content != content_digest(collection):
        message = f"{name}: the images were changed since they were decoded: they are decoded again"
        warnings.warn(message, DataWarning, stacklevel=4)
        return None
    found = replace(found, stamp=stamp)
    # If the cache cannot be written, the images are compared again the next time.
    with contextlib.suppress(CheckpointError):
        replace_file(entry / _FACTS, _facts(found))
    return found


def _write_entry(folder: Path, images: DecodedImages) -> None:
    """Write all of an entry except its pixels, and sync it."""
    if images.tags is not None:
        write_new(folder / _TAGS, images.tags[1])
    write_new(folder / _FACTS, _facts(images))


def _facts(images: DecodedImages) -> bytes:
    return seal(
        {
            "version": VERSION,
            "shape": list(images.pixels.shape),
            "codec": images.codec.state(),
            "notes": list(images.notes),
            "warning": images.warning,
            "passed_over": list(images.ignored),
            "labels": None if images.labels is None else images.labels.tolist(),
            "classes": list(images.classes),
            "digest": images.digest,
            "blocks": list(images.blocks),
            "content": images.content,
            "stamp": None if images.stamp is None else [images.stamp.digest, images.stamp.is_settled],
            "names": list(images.names),
            "tags": None if images.tags is None else [images.tags[0], xxhash.xxh3_128_hexdigest(images.tags[1])],
        }
    )


def _install(temporary: Path, entry: Path) -> None:
    """Rename a finished folder to its entry, replacing an older one; if two runs finish together, one entry stays."""
    try:
        install_folder(temporary, entry)
    except OSError:
        if not entry.is_dir():
            raise


_DAMAGE = (OSError, ValueError, LookupError, TypeError, AttributeError, ArithmeticError, EOFError)
"""Errors that reading damaged files can raise."""


def read_entry(entry: Path) -> DecodedImages | None:
    """Open an entry and verify its checksums.

    Returns:
        The images, memory-mapped; None if there is no such entry.

    Raises:
        DamagedError: A file is missing, cannot be read, or does not match its checksum.
    """
    if not entry.is_dir():
        return None
    try:
        facts = unseal(read_plain(entry / _FACTS), _FACTS)
        pixels = open_mapped(entry / _PIXELS)
        codec = ImageCodec.from_state(facts["codec"])
        labels = None if facts["labels"] is None else np.asarray(facts["labels"], dtype=np.int64)
        images = DecodedImages(
            pixels=pixels,
            codec=codec,
            notes=tuple(map(str, facts["notes"])),
            warning=str(facts["warning"]),
            ignored=tuple(map(str, facts["passed_over"])),
            labels=labels,
            classes=tuple(map(str, facts["classes"])),
            digest=str(facts["digest"]),
            blocks=tuple(map(str, facts["blocks"])),
            content=str(facts["content"]),
            stamp=Stamp(*facts["stamp"]),
            names=tuple(map(str, facts["names"])),
            tags=None if facts["tags"] is None else (str(facts["tags"][0]), (entry / _TAGS).read_bytes()),
        )
        is_consistent = (
            facts["version"] == VERSION
            and isinstance(pixels, np.memmap)
            and pixels.dtype == np.uint8
            and list(pixels.shape) == facts["shape"]
            and pixels.shape[1:] == (CHANNELS[codec.mode], codec.height, codec.width)
            and (entry / _PIXELS).stat().st_size == pixels.offset + pixels.nbytes
            and len(images.names) in (0, len(pixels))
            and (labels is None or (labels.shape == pixels.shape[:1] and labels.max() < len(images.classes)))
        )
    except (*_DAMAGE, CheckpointError) as error:
        raise DamagedError(" ".join(str(error).split())) from None
    if not is_consistent or not isinstance(pixels, np.memmap):
        raise DamagedError(f"{_PIXELS} does not have the shape or the size that {_FACTS} states")
    if images.tags is not None and xxhash.xxh3_128_hexdigest(images.tags[1]) != facts["tags"][1]:
        raise DamagedError(f"{_TAGS} does not match the checksum in {_FACTS}")
    verify_blocks(entry / _PIXELS, pixels.offset, pixels.nbytes, images.blocks)
    return images
