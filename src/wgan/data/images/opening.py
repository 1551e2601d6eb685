"""The doors of the image room: a path, an array or the embedded set becomes a source."""

from __future__ import annotations

import importlib.resources
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from wgan.data.applying import ENCODED_IMAGES, PIXELS, check_applies
from wgan.data.contents import content_of
from wgan.data.images.archives import TarArchive, ZipArchive
from wgan.data.images.arrays import pixels_from_array
from wgan.data.images.decoding import ENDINGS
from wgan.data.images.folders import Folder
from wgan.data.images.idx import labels_beside, looks_like_idx, read_idx
from wgan.data.images.lsun import Database
from wgan.data.images.members import Collection
from wgan.data.images.naming import shown
from wgan.data.images.packing import pack
from wgan.data.images.source import ImageSource
from wgan.data.images.tags import image_conditions, offered
from wgan.data.row_conditions import LABEL, conditions_of_labels, label_column
from wgan.errors import DataError, UsageError
from wgan.settings import DataOptions
from wgan.system.text import counted

FASHION_CLASSES = (
    "T-shirt/top",
    "Trouser",
    "Pullover",
    "Dress",
    "Coat",
    "Sandal",
    "Shirt",
    "Sneaker",
    "Bag",
    "Ankle boot",
)


def images_from_array(
    array: object, labels: object, name: str, options: DataOptions, seed: int, *, classes: Sequence[str] = ()
) -> ImageSource:
    """Make a source of an array of images.

    Args:
        array: Shape (N, H, W), (N, H, W, C) or (N, C, H, W); booleans, integers 0 to 255, floats in [0, 1] or [-1, 1],
            or any numbers where the options name their range.
        labels: Shape (N,), of numbers or words; a table for several at once; None where there are none.
        name: As the user called it.
        options: Mode, size and share held out.
        seed: The run's seed.
        classes: Names of the labels 0, 1, ..., where they have names.

    Returns:
        A source whose pixels lie in memory, or in the mapped file that `array` is.

    Raises:
        DataError: Another shape, type or range, or labels of another number.
        UsageError: An option that does not apply.
    """
    check_applies(options, PIXELS, f"{shown(name)} (images that are decoded already)")
    read = pixels_from_array(array, name, options)
    pixels, notes = read.array, read.notes
    is_table = isinstance(labels, pa.Table)
    if not is_table and options.condition and labels is not None:
        names = tuple(classes)
        offers, row_conditions = conditions_of_labels(
            label_column(labels, len(pixels), name, names), len(pixels), name, options
        )
    else:
        offers, row_conditions = conditions_of_labels(labels if is_table else None, len(pixels), name, options)
    # Labels that are not classes, such as ages, are taken as a condition only.
    is_number = np.asarray(labels).dtype.kind == "f" and bool(options.condition)
    numbers, names = _classes(None if is_table or is_number else labels, len(pixels), name, classes)
    return ImageSource(
        name,
        pixels,
        read.codec,
        share=options.held_out,
        seed=seed,
        notes=notes,
        labels=numbers,
        classes=names,
        offers=(LABEL,) if numbers is not None else offers,
        row_conditions=row_conditions,
        unseen=options.unseen,
        warning=read.warning,
    )


def open_images(path: str | Path, options: DataOptions, *, seed: int, cache: Path | None) -> ImageSource:
    """Open a folder, a .zip or .tar archive, an LMDB in LSUN's layout, or an IDX file of images.

    Args:
        path: Where the images are. Archives are read in place, never extracted.
        options: Mode, size, treatment of other aspect ratios and of broken images, and share held out.
        seed: The run's seed.
        cache: Folder in which decoded images are packed, and found again by the next call; None to keep them in memory.

    Returns:
        A source of the decoded images.

    Raises:
        UsageError: The path is missing, or an option does not fit.
        DataError: There is nothing readable, or it is damaged or not to be trusted.
    """
    name, path = str(path), Path(path)
    try:
        collection = _collection(path, cache)
        if collection is None:
            return open_idx(path, options, seed=seed)
        check_applies(options, ENCODED_IMAGES, f"{shown(name)} (images)")
        made = pack(collection, options, cache)
    except OSError as error:
        raise DataError(
            f"{shown(name)}: cannot be read: {error.strerror or error}", remedy="Is it still there and readable?"
        ) from None
    row_conditions = image_conditions(made, name, options)
    return ImageSource(
        name,
        made.pixels,
        made.codec,
        share=options.held_out,
        seed=seed,
        notes=made.notes + made.passed_over,
        labels=made.labels,
        classes=made.classes,
        digest=made.digest,
        offers=offered(made),
        row_conditions=row_conditions,
        unseen=options.unseen,
        warning=made.warning,
    )


def _collection(path: Path, cache: Path | None) -> Collection | None:
    """Tell by ending, and where that says nothing by content, what `path` is; None for an IDX file."""
    if path.is_dir():
        return Database(path) if (path / "data.mdb").exists() else Folder(path, cache)
    if not path.exists():
        raise UsageError(f"{shown(path)}: there is no such file or folder")
    if not path.is_file():
        raise DataError(f"{shown(path)}: is neither a file nor a folder", remedy="Name a file or a folder of images.")
    ending, content = path.name.lower(), content_of(path)
    if content == "zip" or (ending.endswith(".zip") and content != "tar"):
        return ZipArchive(path)
    if content == "tar" or ending.endswith((".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tbz2", ".tar.xz", ".txz")):
        return TarArchive(path)
    if ending.endswith(".mdb"):
        return Database(path)
    if looks_like_idx(path) or "idx" in ending or ending.endswith((".gz", "-ubyte")):
        return None
    if path.suffix.lower() in ENDINGS:
        raise DataError(
            f"{shown(path)}: is one image; needs at least 2", remedy="Name the folder that the images are in."
        )
    raise DataError(
        f"{shown(path)}: is not a collection of images",
        remedy="Taken: a folder, .zip, .tar, .tar.gz, IDX .gz, or an LMDB.",
    )


def open_embedded(options: DataOptions, *, seed: int, cache: Path | None = None) -> ImageSource:
    """The 10,000 test images of Fashion-MNIST, which are part of this package.

    Args:
        options: Mode, size and share held out.
        seed: The run's seed.
        cache: Not used: the images fit in memory.

    Source:
        Xiao, Rasul and Vollgraf, "Fashion-MNIST: a novel image dataset for benchmarking machine learning algorithms",
        2017 (MIT licence, beside the data).
    """
    folder = importlib.resources.files("wgan.data").joinpath("embedded")
    with importlib.resources.as_file(folder.joinpath("t10k-images-idx3-ubyte.gz")) as path:
        images = read_idx(path, (3,))
    with importlib.resources.as_file(folder.joinpath("t10k-labels-idx1-ubyte.gz")) as path:
        labels = read_idx(path, (1,))
    return images_from_array(images, labels, "fashion-mnist", options, seed, classes=FASHION_CLASSES)


def open_idx(path: Path, options: DataOptions, *, seed: int) -> ImageSource:
    """Open an IDX file of images, with the labels that lie beside it where there are any."""
    images = read_idx(path, (3, 4))
    beside = labels_beside(path)
    labels = None if beside is None else read_idx(beside, (1,))
    if beside is not None and labels is not None and len(labels) != len(images):
        raise DataError(
            f"{shown(beside)}: {counted(len(labels), 'label')}, but {shown(path.name)} has "
            f"{counted(len(images), 'image')}",
            remedy="Fetch both files again, or move the labels away: images need none.",
        )
    return images_from_array(images, labels, str(path), options, seed)


def _classes(
    labels: object, count: int, name: str, classes: Sequence[str]
) -> tuple[NDArray[np.int64] | None, tuple[str, ...]]:
    if labels is None:
        return None, ()
    given = np.asarray(labels)
    if given.shape != (count,) or given.dtype.kind not in "biuSU":
        raise DataError(
            f"{shown(name)}: labels of shape {given.shape} and type {given.dtype} for {count:,} images",
            remedy="One whole number or word for each image is taken.",
        )
    known, places = np.unique(given, return_inverse=True)
    if classes and given.dtype.kind in "biu" and known[0] >= 0 and known[-1] < len(classes):
        return given.astype(np.int64), tuple(classes)
    return places.astype(np.int64), tuple(str(label) for label in known.tolist())
