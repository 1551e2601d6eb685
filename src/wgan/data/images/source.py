"""Images as a source of data."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from wgan.batch import Batch
from wgan.data.images.codec import ImageCodec
from wgan.data.rows import Rows
from wgan.data.source import RowsOf
from wgan.errors import DataError
from wgan.system.text import escaped

if TYPE_CHECKING:
    from wgan.data.tables.detecting import Described

_HASHED_BYTES = 1 << 24


class ImageSource:
    """Images held as bytes, in memory or in a mapped file, and turned into floats a batch at a time.

    Args:
        name: As the user called it.
        pixels: Shape (N, channels, height, width), uint8; may be a read-only file mapping larger than memory.
        codec: What the pixels mean.
        share: Share of the images to hold out, 0 to 0.5.
        seed: The run's seed, which decides the images that are held out.
        notes: What the user should be told about how the images were read.
        labels: Shape (N,), each image's place in `classes`; None where there are none.
        classes: Names of the classes.
        digest: Digest of the pixels where it is already known.
        offers: What could be a condition, by name.
        described: What each image is described by, where conditions are asked for.
        unseen: Share of the combinations of conditions that are kept from training.
        warning: The note that is issued as a warning too; empty if there is none.

    Attributes:
        size: Images to train on.
        num_held_out: Images kept from training.
        labels: As given.
        classes: As given.
        pixels: As given.
        offers: As given.
        conditions: What samples may be asked for, or None.
        warning: As given.
    """

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
        described: Described | None = None,
        unseen: float = 0.0,
        warning: str = "",
    ) -> None:
        if len(pixels) < 2:
            raise DataError(
                f"{escaped(name)}: needs at least 2 images, found {len(pixels)}",
                remedy="Give more images: a distribution cannot be learnt from less.",
            )
        assert pixels.dtype == np.uint8
        assert pixels.shape[1:] == codec.layout.shape
        assert labels is None or len(labels) == len(pixels)
        self.name = name
        self.pixels = pixels
        self.codec = codec
        self.notes = notes
        self.warning = warning
        self.labels = labels
        self.classes = classes
        self._digest = digest
        numbers: Tensor | int = len(pixels)
        if described is not None and described.kept is not None:
            numbers = torch.arange(len(pixels), device="cpu")[torch.from_numpy(described.kept)]
        self.offers = offers
        self._rows = Rows(self._gather, numbers, held_out=share, seed=seed, described=described, unseen=unseen)
        self.conditions = self._rows.conditions
        self.size: int | None = len(self._rows.train)
        self.num_held_out: int | None = len(self._rows.held)

    def sample(self, size: int, rng: torch.Generator) -> Batch:
        """Draw images to train on, each independently of the others.

        Args:
            size: How many.
            rng: What decides which.

        Returns:
            Shape (size, channels, height, width), float32, in [-1, 1], with their conditions where some are asked for.
        """
        return self._rows.sample(size, rng)

    def held_out(self, size: int, rng: torch.Generator) -> Tensor:
        """Draw images that training never sees, without repetition.

        Args:
            size: How many at most.
            rng: What decides which.

        Returns:
            Shape (min(size, num_held_out), channels, height, width), float32, in [-1, 1].
        """
        return self._rows.held_out(size, rng)

    def distinct(self, size: int, rng: torch.Generator) -> Tensor:
        """Draw images that training sees, without repetition.

        Args:
            size: How many at most.
            rng: What decides which.

        Returns:
            Shape (min(size, the source's size), channels, height, width), float32, in [-1, 1].
        """
        return self._rows.distinct(size, rng)

    def labelled(self, part: RowsOf, size: int, rng: torch.Generator) -> Batch:
        """Draw images of one part with their conditions, without repetition.

        Args:
            part: Images to train on, images held out, or those of combinations that are kept from training.
            size: How many at most.
            rng: What decides which.

        Returns:
            Shape (n, channels, height, width), float32, in [-1, 1].
        """
        return self._rows.labelled(part, size, rng)

    def _gather(self, rows: Tensor) -> Tensor:
        return self.codec.encode(self.pixels[rows.numpy()])

    def describe(self) -> str:
        """Say in one line what was found: count, height x width x channels, classes, split."""
        channels, height, width = self.codec.layout.shape
        parts = [f"{len(self.pixels):,} images of {height}x{width}x{channels} ({self.codec.mode})"]
        if self.classes:
            some = ", ".join(self.classes[:10]) + (", ..." if len(self.classes) > 10 else "")
            parts.append(f"{len(self.classes)} class{'es' if len(self.classes) > 1 else ''} ({some})")
        parts.append(f"{self.size:,} to train on, {self.num_held_out:,} held out")
        return f"{escaped(self.name)}: {'; '.join(parts)}{self._rows.describe()}"

    def fingerprint(self) -> str:
        """A digest of the pixels, their meaning, the labels and the images held out; the path does not enter."""
        if self._digest is None:
            hasher = hashlib.blake2b(digest_size=16)
            rows = max(1, _HASHED_BYTES // self.codec.layout.size)
            for start in range(0, len(self.pixels), rows):
                hasher.update(np.ascontiguousarray(self.pixels[start : start + rows]).data)
            self._digest = hasher.hexdigest()
        codec = self.codec
        # What is only for the way back does not enter, nor did it before there was such.
        seen = f"ImageCodec(mode={codec.mode!r}, height={codec.height}, width={codec.width}, kind={codec.kind!r})"
        hasher = hashlib.blake2b(f"{self._digest}|{self.pixels.shape}|{seen}|".encode(), digest_size=16)
        hasher.update(self._rows.held.numpy().astype("<i8").tobytes())
        hasher.update(self._rows.digest_of_conditions())
        if self.labels is not None:
            hasher.update(repr(self.classes).encode("utf-8", "surrogateescape"))
            hasher.update(np.ascontiguousarray(self.labels, dtype="<i8").data)
        return hasher.hexdigest()
