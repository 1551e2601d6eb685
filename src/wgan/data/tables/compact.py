"""Rows of a table as they are kept in memory: numbers as float32, categories as integer codes."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True, kw_only=True, eq=False)
class CompactRows:
    """N rows of a table, of which any can be expanded to what the networks see.

    A category among 300 takes one or two bytes here, and 1,200 as a one-hot block of float32. Only the rows of a batch
    are expanded.

    Attributes:
        width: Entries of an expanded row, D.
        numbers: Shape (N, M), float32.
        number_entries: The entry of each number in an expanded row, shape (M,), int64.
        codes: Shape (N, K), of the smallest integer type that holds the largest code.
        block_starts: The first entry of each one-hot block in an expanded row, shape (K,), int64.
    """

    width: int
    numbers: Tensor
    number_entries: Tensor
    codes: Tensor
    block_starts: Tensor

    def __len__(self) -> int:
        return len(self.numbers)

    @property
    def num_bytes(self) -> int:
        """Bytes that the rows take."""
        return self.numbers.nbytes + self.codes.nbytes

    def expand(self, rows: Tensor | slice) -> Tensor:
        """Expand rows for the networks.

        Args:
            rows: Row numbers, int64 of shape (n,), or a slice.

        Returns:
            Shape (n, D), float32: each number in its entry, each code as a one-hot block.
        """
        numbers, codes = self.numbers[rows], self.codes[rows]
        expanded = torch.zeros(len(numbers), self.width, dtype=torch.float32, device="cpu")
        expanded[:, self.number_entries] = numbers
        return expanded.scatter_(1, codes.long() + self.block_starts, 1.0)


def code_dtype(largest: int) -> torch.dtype:
    """The smallest integer type that holds the codes from 0 to `largest`."""
    for dtype in (torch.uint8, torch.int16):
        if largest <= torch.iinfo(dtype).max:
            return dtype
    return torch.int32
