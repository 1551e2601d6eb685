"""The doors of the image room: a path, an array or the embedded set becomes a source."""

from __future__ import annotations

import importlib.resources
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from wgan.data.images.arrays import pixels_from_array
from wgan.data.images.idx import labels_beside, read_idx
from wgan.data.images.source import ImageSource
from wgan.errors import DataError, UsageError
from wgan.settings import DataOptions

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
        array: Shape (N, H, W), (N, H, W, C) or (N, C, H, W); integers 0 to 255, or floats in [0, 1] or [-1, 1].
        labels: Shape (N,), of numbers or words; None where there are none.
        name: As the user called it.
        options: Mode, size and share held out.
        seed: The run's seed.
        classes: Names of the labels 0, 1, ..., where they have names.

    Returns:
        A source whose pixels lie in memory, or in the mapped file that `array` is.

    Raises:
        DataError: Another shape, type or range, or labels of another number.
    """
    check_options(options)
    pixels, policy, notes = pixels_from_array(array, name, options)
    numbers, names = _classes(labels, len(pixels), name, classes)
    return ImageSource(
        name, pixels, policy.codec, share=options.held_out, seed=seed, notes=notes, labels=numbers, classes=names
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
        raise DataError(f"{beside}: {len(labels):,} labels, but {path.name} has {len(images):,} images")
    return images_from_array(images, labels, str(path), options, seed)


def check_options(options: DataOptions) -> None:
    """Refuse options that say nothing about images.

    Raises:
        UsageError: One of them is set, or the share held out is not between 0 and 0.5.
    """
    plain = DataOptions()
    foreign = ("scaling", "missing", "categorical", "numeric", "ignore", "header")
    given = [name for name in foreign if getattr(options, name) != getattr(plain, name)]
    if given:
        raise UsageError(
            f"images do not take: {', '.join(given)}", remedy="They take size, mode, fit, skip_broken and held_out."
        )
    if not 0 <= options.held_out <= 0.5:
        raise UsageError(f"held_out: {options.held_out} is not a share from 0 to 0.5")


def _classes(
    labels: object, count: int, name: str, classes: Sequence[str]
) -> tuple[NDArray[np.int64] | None, tuple[str, ...]]:
    if labels is None:
        return None, ()
    given = np.asarray(labels)
    if given.shape != (count,) or given.dtype.kind not in "biuSU":
        raise DataError(
            f"{name}: labels of shape {given.shape} and type {given.dtype} for {count:,} images",
            remedy="One whole number or word for each image is taken.",
        )
    known, places = np.unique(given, return_inverse=True)
    if classes and given.dtype.kind in "biu" and known[0] >= 0 and known[-1] < len(classes):
        return given.astype(np.int64), tuple(classes)
    return places.astype(np.int64), tuple(str(label) for label in known.tolist())
