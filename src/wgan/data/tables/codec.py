"""The way between an Arrow table and rows of float32, column by column."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa
import torch
from torch import Tensor

from wgan.batch import Layout
from wgan.data.source import Kind
from wgan.data.tables.columns import HOW, Column


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
        return pa.schema([(column.name, column.sample_type) for column in self.columns])

    def encode(self, arrays: list[pa.Array]) -> Tensor:
        """Map plain arrays (see `wgan.data.tables.types.to_plain`), one a column, to shape (N, D), float32."""
        rows = np.empty((len(arrays[0]), self.layout.size), dtype=np.float32)
        start = 0
        for column, array in zip(self.columns, arrays, strict=True):
            rows[:, start : start + column.width] = column.encode(array)
            start += column.width
        return torch.from_numpy(rows)

    def decode(self, values: Tensor) -> pa.Table:
        """Map network units back to a table.

        Args:
            values: Shape (N, D): numbers in units of their standard deviation, categories as scores or probabilities,
                of which the largest is taken.

        Returns:
            The columns, types and category names that came in.
        """
        rows = values.detach().to("cpu", torch.float64).numpy()
        start, arrays = 0, []
        for column in self.columns:
            arrays.append(column.decode(rows[:, start : start + column.width]))
            start += column.width
        return pa.Table.from_arrays(arrays, schema=self.schema)

    def state(self) -> dict[str, object]:
        """Plain JSON values."""
        return {"kind": self.kind, "version": 1, "columns": [column.state() for column in self.columns]}

    @classmethod
    def from_state(cls, state: dict[str, Any]) -> TableCodec:
        """The inverse of `state`."""
        return cls(columns=tuple(HOW[column["how"]].from_state(column) for column in state["columns"]))
