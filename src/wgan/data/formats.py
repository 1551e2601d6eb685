"""File formats of arrays and of collections of images. Those of tables are in `wgan.data.tables.formats`.

This file does not import torch: readers are imported when they are called.
"""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from wgan.data.contents import Content, content_of

ARRAY_ENDINGS = (".npy", ".npz")
ARRAY_CONTENTS: tuple[Content, ...] = ("npy", "npz")


@dataclass(frozen=True, kw_only=True)
class ImageFormat:
    """A file format that holds several images.

    Attributes:
        name: Name for messages.
        endings: Endings of its files, the usual one first.
        content: What `content_of` returns for its files; empty if it does not recognise them.
        reader: "module:name" of a `Collection` of encoded images, or, if `is_decoded`, of a function that returns an
            array of images and their labels (or None). It is called with the path.
        is_decoded: Whether the files hold pixels, not encoded images.
        marker: Name of a file that marks a folder as one of this format; empty if the format is not a folder.
    """

    name: str
    endings: tuple[str, ...]
    content: Content
    reader: str
    is_decoded: bool = False
    marker: str = ""

    def open(self, path: Path) -> Any:  # noqa: ANN401 - a collection, or an array with labels
        """Call the reader."""
        module, _, name = self.reader.partition(":")
        return getattr(importlib.import_module(module), name)(path)


IMAGE_FORMATS: tuple[ImageFormat, ...] = (
    ImageFormat(name="zip archive", endings=(".zip",), content="zip", reader="wgan.data.images.archives:ZipArchive"),
    ImageFormat(
        name="tar archive",
        endings=(".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tbz2", ".tar.xz", ".txz"),
        content="tar",
        reader="wgan.data.images.archives:TarArchive",
    ),
    ImageFormat(
        name="IDX file",
        endings=("-ubyte.gz", "-ubyte", ".idx", ".idx.gz", "-idx3", "-idx3.gz"),
        content="idx",
        reader="wgan.data.images.idx:read_images",
        is_decoded=True,
    ),
    ImageFormat(name="LMDB", endings=(".mdb",), content="", reader="wgan.data.images.lsun:Database", marker="data.mdb"),
)
"""All formats of collections of images, besides folders of image files. A new one is a row here, with its reader."""


def image_format(path: Path) -> ImageFormat | None:
    """The format of a file, by its content, otherwise by its ending; of a folder, by its marker.

    Returns:
        The format; None for an unknown file and for a folder of image files.
    """
    if path.is_dir():
        return next((known for known in IMAGE_FORMATS if known.marker and (path / known.marker).exists()), None)
    content, name = content_of(path), path.name.lower()
    found = next((known for known in IMAGE_FORMATS if content and known.content == content), None)
    return found or next((known for known in IMAGE_FORMATS if name.endswith(known.endings)), None)
