"""Open paths, arrays and the embedded data set as sources of images."""

from __future__ import annotations

import importlib.resources
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from wgan.data.formats import IMAGE_FORMATS, image_format
from wgan.data.images.arrays import pixels_from_array
from wgan.data.images.cache import decoded_images
from wgan.data.images.collection import Collection
from wgan.data.images.decoding import ENDINGS
from wgan.data.images.folders import Folder
from wgan.data.images.idx import read_idx
from wgan.data.images.source import ImageSource
from wgan.data.images.tags import image_conditions, offered
from wgan.data.options import ENCODED_IMAGES, PIXELS, check_applies
from wgan.data.row_conditions import LABEL, conditions_of_labels, label_column
from wgan.errors import DataError, UsageError
from wgan.settings import DataOptions
from wgan.system.text import escaped

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
    """Make a source from an array of images.

    Args:
        array: Shape (N, H, W), (N, H, W, C) or (N, C, H, W). Its entries are booleans, integers 0 to 255, floats in [0,
            1] or [-1, 1], or any numbers if the options give their range.
        labels: Shape (N,), numbers or strings; a table for several labels at once; None if there are none.
        name: As the user called it.
        options: Mode, size and share held out.
        seed: The run's seed.
        classes: Names of the labels 0, 1, ..., if they have names.

    Returns:
        A source with its pixels in memory, or in the memory map `array`.

    Raises:
        DataError: An unsupported shape, dtype or range, or labels of another number.
        UsageError: An option that does not apply.
    """
    check_applies(options, PIXELS, f"{escaped(name)} (images that are decoded already)")
    read = pixels_from_array(array, name, options)
    pixels = read.array
    is_table = isinstance(labels, pa.Table)
    if not is_table and options.condition and labels is not None:
        column = label_column(labels, len(pixels), name, tuple(classes))
        offers, row_conditions = conditions_of_labels(column, len(pixels), name, options)
    else:
        offers, row_conditions = conditions_of_labels(labels if is_table else None, len(pixels), name, options)
    # Labels that are not classes, such as ages, can only be a condition.
    is_number = np.asarray(labels).dtype.kind == "f" and bool(options.condition)
    numbers, names = _classes(None if is_table or is_number else labels, len(pixels), name, classes)
    return ImageSource(
        name,
        pixels,
        read.codec,
        share=options.held_out,
        seed=seed,
        notes=read.notes,
        labels=numbers,
        classes=names,
        offers=(LABEL,) if numbers is not None else offers,
        row_conditions=row_conditions,
        unseen=options.unseen,
        warning=read.warning,
    )


def open_images(path: str | Path, options: DataOptions, *, seed: int, cache: Path | None) -> ImageSource:
    """Open a folder of images, or a file in one of `IMAGE_FORMATS`.

    Args:
        path: The folder or file. Archives are read in place, without extracting them.
        options: Mode, size, treatment of other aspect ratios and of broken images, and share held out.
        seed: The run's seed.
        cache: Folder of the cache of decoded images; None to keep them in memory.

    Returns:
        A source of the decoded images.

    Raises:
        UsageError: The path is missing, or an option does not apply.
        DataError: There are no images, or they are damaged or unsafe.
    """
    name, path = str(path), Path(path)
    try:
        found = image_format(_existing(path))
        if found is None:
            _check_folder(path)
        if found is not None and found.is_decoded:
            images, labels = found.open(path)
            return images_from_array(images, labels, name, options, seed)
        check_applies(options, ENCODED_IMAGES, f"{escaped(name)} (images)")
        collection: Collection = Folder(path, cache) if found is None else found.open(path)
        decoded = decoded_images(collection, options, cache)
    except OSError as error:
        raise DataError(
            f"{escaped(name)}: cannot be read: {error.strerror or error}", remedy="Is it still there and readable?"
        ) from None
    return ImageSource(
        name,
        decoded.pixels,
        decoded.codec,
        share=options.held_out,
        seed=seed,
        notes=decoded.notes + decoded.ignored,
        labels=decoded.labels,
        classes=decoded.classes,
        digest=decoded.digest,
        offers=offered(decoded),
        row_conditions=image_conditions(decoded, name, options),
        unseen=options.unseen,
        warning=decoded.warning,
    )


def _existing(path: Path) -> Path:
    """The path, if it is a file or a folder."""
    if not path.exists():
        raise UsageError(f"{escaped(path)}: there is no such file or folder")
    if not path.is_file() and not path.is_dir():
        raise DataError(f"{escaped(path)}: is neither a file nor a folder", remedy="Name a file or a folder of images.")
    return path


def _check_folder(path: Path) -> None:
    """Refuse a file that is in none of `IMAGE_FORMATS`."""
    if path.is_dir():
        return
    if path.suffix.lower() in ENDINGS:
        raise DataError(
            f"{escaped(path)}: is one image; needs at least 2", remedy="Name the folder that contains the images."
        )
    formats = ", ".join(f"{known.name} ({known.endings[0]})" for known in IMAGE_FORMATS)
    raise DataError(f"{escaped(path)}: is not a collection of images", remedy=f"Supported: a folder, {formats}.")


def open_embedded(options: DataOptions, *, seed: int, cache: Path | None = None) -> ImageSource:
    """The 10,000 test images of Fashion-MNIST, which are part of this package.

    Args:
        options: Mode, size and share held out.
        seed: The run's seed.
        cache: Not used: the images fit in memory.

    Source:
        Xiao, Rasul and Vollgraf, "Fashion-MNIST: a novel image dataset for benchmarking machine learning algorithms",
        2017 (MIT licence, in the folder of the data).
    """
    folder = importlib.resources.files("wgan.data").joinpath("embedded")
    with importlib.resources.as_file(folder.joinpath("t10k-images-idx3-ubyte.gz")) as path:
        images = read_idx(path, (3,))
    with importlib.resources.as_file(folder.joinpath("t10k-labels-idx1-ubyte.gz")) as path:
        labels = read_idx(path, (1,))
    return images_from_array(images, labels, "fashion-mnist", options, seed, classes=FASHION_CLASSES)


def _classes(
    labels: object, count: int, name: str, classes: Sequence[str]
) -> tuple[NDArray[np.int64] | None, tuple[str, ...]]:
    if labels is None:
        return None, ()
    array = np.asarray(labels)
    if array.shape != (count,) or array.dtype.kind not in "biuSU":
        raise DataError(
            f"{escaped(name)}: labels of shape {array.shape} and type {array.dtype} for {count:,} images",
            remedy="Labels must be one whole number or string for each image.",
        )
    known, indices = np.unique(array, return_inverse=True)
    if classes and array.dtype.kind in "biu" and known[0] >= 0 and known[-1] < len(classes):
        return array.astype(np.int64), tuple(classes)
    return indices.astype(np.int64), tuple(str(label) for label in known.tolist())
