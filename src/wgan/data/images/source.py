"""Images as a source of data."""

from __future__ import annotations

import hashlib

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from wgan.data.finite import FiniteSource
from wgan.data.images.codec import ImageCodec
from wgan.data.row_conditions import RowConditions
from wgan.errors import DataError
from wgan.system.text import escaped

_HASHED_BYTES = 1 << 24


class ImageSource(FiniteSource):
    """Images stored as bytes, in memory or memory-mapped, and converted to floats batch by batch.

    Args:
        name: As the user called it.
        pixels: Shape (N, channels, height, width), uint8; may be a read-only memory map larger than memory.
        codec: The codec of the pixels.
        share: Share of the images to hold out, 0 to 0.5.
        seed: Seed of the split.
        notes: Lines for the user about how the images were read.
        labels: Shape (N,), each image's index into `classes`, or None.
        classes: Names of the classes.
        digest: Digest of the pixels; None to compute it when it is needed.
        offers: Names of the available conditions.
        row_conditions: The conditions of the images that are kept; None in an unconditional run.
        unseen: Share of the combinations of conditions that are kept from training.
        warning: The note that is issued as a warning too; empty if there is none.

    Attributes:
        labels: As given.
        classes: As given.
        pixels: As given.
        warning: As given.
    """

    codec: ImageCodec

    def __init__(
        self,
        name: str,
        pixels: NDArray[np.uint8],
        codec: ImageCodec,
        *,
        share: float,
        seed: int,
        notes: tuple[str, ...] = (),
        labels: NDArray[np.int64] | None = None,
        classes: tuple[str, ...] = (),
        digest: str | None = None,
        offers: tuple[str, ...] = (),
        row_conditions: RowConditions | None = None,
        unseen: float = 0.0,
        warning: str = "",
    ) -> None:
        if len(pixels) < 2:
            raise DataError(
                f"{escaped(name)}: needs at least 2 images, found {len(pixels)}",
                remedy="Give more images: a distribution cannot be learnt from fewer.",
            )
        assert pixels.dtype == np.uint8
        assert pixels.shape[1:] == codec.layout.shape
        assert labels is None or len(labels) == len(pixels)
        rows: Tensor | int = len(pixels)
        if row_conditions is not None and row_conditions.kept is not None:
            rows = torch.from_numpy(np.flatnonzero(row_conditions.kept))
        super().__init__(
            name,
            codec,
            lambda rows: codec.encode(pixels[rows.numpy()]),
            rows,
            held_out=share,
            seed=seed,
            notes=notes,
            offers=offers,
            row_conditions=row_conditions,
            unseen=unseen,
        )
        self.pixels = pixels
        self.warning = warning
        self.labels = labels
        self.classes = classes
        self._digest = digest

    def describe(self) -> str:
        """The images in one line: count, height x width x channels, classes, split."""
        channels, height, width = self.codec.layout.shape
        parts = [f"{len(self.pixels):,} images of {height}x{width}x{channels} ({self.codec.mode})"]
        if self.classes:
            some = ", ".join(self.classes[:10]) + (", ..." if len(self.classes) > 10 else "")
            parts.append(f"{len(self.classes)} class{'es' if len(self.classes) > 1 else ''} ({some})")
        parts.append(f"{self.size:,} to train on, {self.num_held_out:,} held out")
        return f"{escaped(self.name)}: {'; '.join(parts)}{self._describe_conditions()}"

    def fingerprint(self) -> str:
        """A digest of the pixels, the codec, the labels and the split; independent of the path."""
        if self._digest is None:
            hasher = hashlib.blake2b(digest_size=16)
            rows = max(1, _HASHED_BYTES // self.codec.layout.size)
            for start in range(0, len(self.pixels), rows):
                hasher.update(np.ascontiguousarray(self.pixels[start : start + rows]).data)
            self._digest = hasher.hexdigest()
        codec = self.codec
        # Fields that only decoding uses are left out, as in earlier versions. The text is a constant of the format.
        seen = f"ImageCodec(mode={codec.mode!r}, height={codec.height}, width={codec.width}, kind={codec.kind!r})"
        hasher = hashlib.blake2b(f"{self._digest}|{self.pixels.shape}|{seen}|".encode(), digest_size=16)
        hasher.update(self._rows["held-out"].numpy().astype("<i8").tobytes())
        hasher.update(self._digest_of_conditions())
        if self.labels is not None:
            hasher.update(repr(self.classes).encode("utf-8", "surrogateescape"))
            hasher.update(np.ascontiguousarray(self.labels, dtype="<i8").data)
        return hasher.hexdigest()
