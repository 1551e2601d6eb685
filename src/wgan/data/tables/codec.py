"""Encode tables for the networks, column by column, and decode samples."""

from __future__ import annotations

import itertools
import json
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, cast

import numpy as np
import pyarrow as pa
import torch
from torch import Tensor

from wgan.batch import Layout
from wgan.data.columns.kinds import KINDS, Column, Constant, Number
from wgan.data.columns.types import schema_from_text, schema_to_text
from wgan.data.source import Kind


@dataclass(frozen=True, kw_only=True, eq=False)
class TableCodec:
    """Encodes the rows of a table and decodes samples.

    Attributes:
        columns: The columns, in the table's order.
        given: The schema of the table that was read, with its metadata; None for a .csv, which has none.
        nan: Columns of floats whose missing cells are NaN, not null.
    """

    columns: tuple[Column, ...]
    given: pa.Schema | None = None
    nan: tuple[str, ...] = ()
    kind: Kind = field(default="table", init=False)

    @property
    def layout(self) -> Layout:
        """The entries of all columns side by side, and the one-hot blocks among them."""
        start = 0
        groups: list[tuple[int, int]] = []
        for column in self.columns:
            groups += column.groups(start)
            start += column.width
        return Layout(shape=(start,), groups=tuple(groups))

    @property
    def schema(self) -> pa.Schema:
        """The schema of the tables that `decode` returns, with the metadata of the table that was read."""
        return self.with_metadata(pa.schema([(column.name, column.sample_type) for column in self.columns]))

    def with_metadata(self, schema: pa.Schema) -> pa.Schema:
        """The schema with the metadata of the table that was read and of its columns."""
        if self.given is None:
            return schema
        fields = [self._field(field, self.given) for field in schema]
        return pa.schema(fields, metadata=_metadata(self.given, schema.names))

    def _field(self, field: pa.Field, given: pa.Schema) -> pa.Field:
        index = given.get_field_index(field.name)
        if index < 0 or given.field(index).type != field.type:
            return field
        return given.field(index)

    def compact(self, arrays: Iterable[pa.Array], num_rows: int) -> CompactRows:
        """Encode plain arrays (see `wgan.data.columns.types.to_plain`) as numbers and category codes.

        Args:
            arrays: One for each column, each of `num_rows` cells. An iterator can release each before the next.
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
        """Encode plain arrays (see `wgan.data.columns.types.to_plain`), one a column, to shape (N, D), float32."""
        return self.compact(arrays, len(arrays[0])).expand(slice(None))

    def decode(self, values: Tensor) -> pa.Table:
        """Map network units back to a table.

        Args:
            values: Shape (N, D): numbers in units of their standard deviation, categories as scores or probabilities,
                of which the largest is taken.

        Returns:
            The columns, types and categories of the table that was read.
        """
        rows = values.detach().to("cpu").numpy()
        start, arrays = 0, []
        for column in self.columns:
            array = column.decode(rows[:, start : start + column.width].astype(np.float64))
            arrays.append(array.fill_null(pa.scalar(math.nan, array.type)) if column.name in self.nan else array)
            start += column.width
        return pa.Table.from_arrays(arrays, schema=self.schema)

    def restore(self, values: Tensor) -> pa.Table:
        """Map network units back to a table, as `decode`."""
        return self.decode(values)

    def state(self) -> dict[str, object]:
        """Plain JSON values."""
        state: dict[str, object] = {
            "kind": self.kind,
            "version": 1,
            "columns": [column.state() for column in self.columns],
        }
        given: dict[str, object] = {} if self.given is None else {"schema": schema_to_text(self.given)}
        given |= {"nan": list(self.nan)} if self.nan else {}
        constant = [column for column in self.columns if isinstance(column, Constant)]
        dictionaries = {column.name: list(column.dictionary) for column in constant if column.dictionary is not None}
        given |= {"dictionaries": dictionaries} if dictionaries else {}
        return state | {"given": given} if given else state

    @classmethod
    def from_state(cls, state: dict[str, Any]) -> TableCodec:
        """The inverse of `state`."""
        given = state.get("given", {})
        dictionaries = given.get("dictionaries", {})
        columns = [KINDS[column["how"]].from_state(column) for column in state["columns"]]
        return cls(
            columns=tuple(
                replace(column, dictionary=tuple(dictionaries[column.name]))
                if isinstance(column, Constant) and column.name in dictionaries
                else column
                for column in columns
            ),
            given=schema_from_text(given["schema"]) if "schema" in given else None,
            nan=tuple(given.get("nan", ())),
        )


def _metadata(given: pa.Schema, names: list[str]) -> dict[bytes, bytes] | None:
    """The metadata of the table that was read, with these columns alone in pandas' metadata."""
    pandas = given.pandas_metadata
    if not pandas:
        return cast("dict[bytes, bytes] | None", given.metadata)
    columns = [column for column in pandas["columns"] if column["name"] in names]
    return {**given.metadata, b"pandas": json.dumps(pandas | {"columns": columns}).encode()}


@dataclass(frozen=True, kw_only=True, eq=False)
class CompactRows:
    """The rows of a table in memory: numbers as float32, categories as integer codes.

    A category among 300 takes two bytes here and 1,200 as a one-hot block of float32. Only the rows of a batch are
    expanded.

    Attributes:
        width: Entries of an expanded row, D.
        numbers: Shape (N, M), float32.
        number_entries: The entry of each number in an expanded row, shape (M,), int64.
        codes: Shape (N, K), in the smallest integer type that holds the largest code.
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
