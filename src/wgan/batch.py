"""Samples as the networks see them, and their shape."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import NamedTuple

from torch import Tensor


class Batch(NamedTuple):
    """Samples and their conditions.

    Attributes:
        values: Shape (N, *layout.shape), float32, in the units that the networks see.
        condition: Shape (N, C), or None for an unconditional run.
    """

    values: Tensor
    condition: Tensor | None = None

    def packed(self, num: int) -> Batch:
        """Join each `num` samples to one, and likewise their conditions: vectors by columns, images by channels.

        Args:
            num: A divisor of N.

        Returns:
            Values of shape (N / num, num * shape[0], *shape[1:]).
        """
        if num == 1:
            return self
        return Batch(_joined(self.values, num), None if self.condition is None else _joined(self.condition, num))


@dataclass(frozen=True, kw_only=True)
class Layout:
    """The shape of one sample as the networks see it, and the range of its entries.

    Attributes:
        shape: (D,) for points and tables, (channels, height, width) for images.
        bounded: Whether every entry lies in [-1, 1], as in images: a generator then ends in tanh.
        groups: Half-open column ranges (start, stop) that hold one-hot blocks (categories of a table): a generator ends
            in a softmax over each.
    """

    shape: tuple[int, ...]
    bounded: bool = False
    groups: tuple[tuple[int, int], ...] = ()

    @property
    def size(self) -> int:
        """The number of entries of one sample."""
        size = 1
        for length in self.shape:
            size *= length
        return size

    def packed(self, num: int) -> Layout:
        """The layout of `num` samples joined to one."""
        groups = tuple(
            (index * self.shape[0] + start, index * self.shape[0] + stop)
            for index in range(num if self.groups else 0)
            for start, stop in self.groups
        )
        return replace(self, shape=(num * self.shape[0], *self.shape[1:]), groups=groups)

    @property
    def is_image(self) -> bool:
        """Whether a sample is (channels, height, width)."""
        return len(self.shape) == 3


def _joined(values: Tensor, num: int) -> Tensor:
    return values.reshape(len(values) // num, num * values.shape[1], *values.shape[2:])
