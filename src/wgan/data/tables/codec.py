"""The mapping between an Arrow table and what the networks see, column by column."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa
import torch
from torch import Tensor

from wgan.batch import Layout
from wgan.data.source import Kind
from wgan.data.tables.columns import HOW, Column, Number
from wgan.data.tables.compact import CompactRows, code_dtype
from wgan.data.tables.types import type_from_text


@dataclass(frozen=True, kw_only=True, eq=False)
class TableCodec:
    """The way between a table and what the networks see of it.

    Attributes:
        columns: In the table's order.
    """

    columns: tuple[Column, ...]
    kind: Kind = field(default="table", init=False)

    @property
    def layout(self) -> Layout:
        """The columns' entries side by side, with the one-hot blocks among them."""
        start = 0
        groups: list[tuple[int, int]] = []
        for column in self.columns:
            groups += column.groups(start)
            start += column.width
        return Layout(shape=(start,), groups=tuple(groups))

    @property
    def schema(self) -> pa.Schema:
        """Names and types of the tables that `decode` returns."""
        return pa.schema([(column.name, type_from_text(column.type)) for column in self.columns])

    def compact(self, arrays: Iterable[pa.Array], num_rows: int) -> CompactRows:
        """Encode plain arrays (see `wgan.data.tables.types.to_plain`) as numbers and category codes.

        Args:
            arrays: One for each column, each of `num_rows` cells. They are taken one after another, so that an iterator
                can release each before the next.
            num_rows: N.

        Returns:
            The N rows.
        """
        starts = list(itertools.accumulate((column.width for column in self.columns), initial=0))
        groups = self.layout.groups
        number_entries = [
            start for column, start in zip(self.columns, starts, strict=False) if isinstance(column, Number)
        ]
        largest = max((stop - start - 1 for start, stop in groups), default=0)
        numbers = torch.empty(num_rows, len(number_entries), dtype=torch.float32, device="cpu")
        codes = torch.empty(num_rows, len(groups), dtype=code_dtype(largest), device="cpu")
        number = group = 0
        for column, array in zip(self.columns, arrays, strict=True):
            if isinstance(column, Number):
                numbers[:, number] = torch.from_numpy(column.standardise(array))
                number += 1
            if column.groups(0):
                codes[:, group] = torch.from_numpy(column.codes(array))
                group += 1
        return CompactRows(
            width=starts[-1],
            numbers=numbers,
            number_entries=torch.tensor(number_entries, dtype=torch.int64, device="cpu"),
            codes=codes,
            block_starts=torch.tensor([start for start, _ in groups], dtype=torch.int64, device="cpu"),
        )

    def encode(self, arrays: Sequence[pa.Array]) -> Tensor:
        """Encode plain arrays (see `wgan.data.tables.types.to_plain`), one a column, to shape (N, D), float32."""
        return self.compact(arrays, len(arrays[0])).expand(slice(None))

    def decode(self, values: Tensor) -> pa.Table:
        """Map network units back to a table.

        Args:
            values: Shape (N, D): numbers in units of their standard deviation, categories as scores or probabilities,
                of which the largest is taken.

        Returns:
            The columns, types and category names that came in.
        """
        rows = values.detach().to("cpu").numpy()
        start, arrays = 0, []
        for column in self.columns:
            arrays.append(column.decode(rows[:, start : start + column.width].astype(np.float64)))
            start += column.width
        return pa.Table.from_arrays(arrays, schema=self.schema)

    def state(self) -> dict[str, object]:
        """Plain JSON values."""
        return {"kind": self.kind, "version": 1, "columns": [column.state() for column in self.columns]}

    @classmethod
    def from_state(cls, state: dict[str, Any]) -> TableCodec:
        """The inverse of `state`."""
        return cls(columns=tuple(HOW[column["how"]].from_state(column) for column in state["columns"]))
