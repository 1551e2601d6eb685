"""Conditions: what samples are conditioned on, converted between user values, codes and network inputs.

A condition has named parts, each a category, a number or a text. Each part has one *code* per row: the index of a
category, a number in units of its standard deviation, or the index of a text. The networks see a category one-hot, a
number as it is and a text as its embedding.
"""

from __future__ import annotations

import functools
import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pyarrow as pa
import torch
import torch.nn.functional as F
from torch import Tensor

from wgan.data.codes import Part, code_of, known_values, words_of
from wgan.data.columns import Category, Number
from wgan.data.texts import Text
from wgan.errors import UsageError
from wgan.randomness import Randomness
from wgan.system.text import counted, did_you_mean

_PARTS: dict[str, type[Category] | type[Number] | type[Text]] = {"category": Category, "number": Number, "text": Text}

_MAX_STORED = 10_000
_EQUAL_SHARE = 10**12


@dataclass(frozen=True, kw_only=True, eq=False)
class Conditions:
    """The parts of a condition and the distribution of conditions in the training rows.

    Attributes:
        parts: The parts of a condition.
        codes: The distinct conditions of the training rows, shape (K, parts), float32.
        counts: The number of rows with each, shape (K,), int64.
        order: Names of all columns of the table that the parts were taken from, in its order; empty for other data.
    """

    parts: tuple[Part, ...]
    codes: Tensor
    counts: Tensor
    order: tuple[str, ...] = ()

    @classmethod
    def of_rows(cls, parts: tuple[Part, ...], codes: Tensor, order: tuple[str, ...] = ()) -> Conditions:
        """Count the conditions of rows.

        Args:
            parts: The parts of a condition.
            codes: The codes of each row, shape (N, parts).
            order: As the attribute.
        """
        distinct, counts = torch.unique(codes.float(), dim=0, return_counts=True)
        return cls(parts=parts, codes=distinct, counts=counts, order=order)

    @property
    def names(self) -> list[str]:
        """The names of the parts."""
        return [part.name for part in self.parts]

    @property
    def size(self) -> int:
        """Number of entries of a condition as the networks see it."""
        return sum(part.width for part in self.parts)

    def describe(self) -> str:
        """The names and kinds of the parts, for a line that describes the data."""
        return ", ".join(f"{part.name} ({_kind_of(part)})" for part in self.parts)

    def expand(self, codes: Tensor) -> Tensor:
        """Convert codes to network inputs.

        Args:
            codes: Shape (N, parts).

        Returns:
            Shape (N, size), float32: categories one-hot, numbers as they are, texts as embeddings.
        """
        blocks = []
        for index, part in enumerate(self.parts):
            code = codes[:, index]
            if isinstance(part, Category):
                blocks.append(F.one_hot(code.long(), part.width).float())
            else:
                blocks.append(part.expand(code) if isinstance(part, Text) else code[:, None].float())
        return torch.cat(blocks, dim=1)

    def collapse(self, condition: Tensor) -> Tensor:
        """The inverse of `expand`. Other network inputs are mapped to the nearest codes.

        Args:
            condition: Shape (N, size).

        Returns:
            Shape (N, parts), float32, on the CPU.
        """
        codes, start = [], 0
        for part in self.parts:
            block = condition[:, start : start + part.width].detach().cpu()
            start += part.width
            if isinstance(part, Number):
                codes.append(block[:, 0])
            else:
                codes.append(block.argmax(dim=1) if isinstance(part, Category) else part.nearest(block))
        return torch.stack([code.float() for code in codes], dim=1)

    def encode(self, words: pa.Table | Mapping[str, Sequence[Any]]) -> Tensor:
        """Convert user values to network inputs.

        Args:
            words: A column for each part, N rows.

        Returns:
            Shape (N, size), float32.

        Raises:
            UsageError: A part is missing or a value is unknown. The known values are listed.
        """
        table = words if isinstance(words, pa.Table) else pa.table({name: list(words[name]) for name in words})
        self._refuse_unknown(table.column_names)
        if missing := [name for name in self.names if name not in table.column_names]:
            raise UsageError(f"no {', '.join(map(repr, missing))} was given", remedy=f"Give {', '.join(self.names)}.")
        parts, columns = list(self.parts), []
        for index, part in enumerate(self.parts):
            values = table[part.name].to_pylist()
            # Values are repeated, so each is looked up once.
            known: dict[object, float] = {}
            if isinstance(part, Text):
                parts[index] = part.with_texts([str(value) for value in values])
            for value in values:
                if value not in known:
                    known[value] = code_of(parts[index], value)
            columns.append(torch.tensor([known[value] for value in values], dtype=torch.float32, device="cpu"))
        return replace(self, parts=tuple(parts)).expand(torch.stack(columns, dim=1))

    def decode(self, condition: Tensor) -> pa.Table:
        """Convert network inputs to user values.

        Args:
            condition: Shape (N, size).

        Returns:
            A column for each part, in the type of the data.
        """
        codes = self.collapse(condition).numpy()
        arrays = []
        for index, part in enumerate(self.parts):
            code = codes[:, index]
            if isinstance(part, Number):
                arrays.append(part.decode(code[:, None].astype(np.float64)))
            else:
                arrays.append(part.pick(code.astype(np.int64)))
        return pa.table(dict(zip(self.names, arrays, strict=True)))

    def draw(self, size: int, rng: torch.Generator) -> Tensor:
        """Draw conditions from their distribution in the training rows.

        Args:
            size: Number of conditions.
            rng: Random generator.

        Returns:
            Shape (size, self.size), float32.
        """
        ends = self.counts.cumsum(0)
        rows = torch.randint(int(ends[-1]), (size,), generator=rng, device="cpu")
        return self.expand(self.codes[torch.searchsorted(ends, rows, right=True)])

    def mismatched(self, condition: Tensor, rng: torch.Generator) -> Tensor:
        """For each condition draw a different one, from the distribution in the rows with other conditions.

        Args:
            condition: Shape (N, size), on the CPU.
            rng: Random generator.

        Returns:
            Shape (N, size), float32; no row equals that of `condition`.

        Raises:
            UsageError: All rows have the same condition.
        """
        if len(self.codes) < 2:
            raise UsageError(
                "all rows have the same condition, so there is no other one", remedy="Set --mismatch to 0."
            )
        own = self._index_of(condition)
        ends = self.counts.cumsum(0)
        # A condition that does not occur in the rows excludes none of them.
        begin, length = (ends - self.counts)[own], torch.where(own < 0, 0, self.counts[own])
        # Uniform over the rows, without those of the own condition.
        num_others = int(ends[-1]) - length
        rows = (
            (torch.rand(len(own), generator=rng, dtype=torch.float64, device="cpu") * num_others)
            .long()
            .clamp(max=num_others - 1)
        )
        rows = torch.where(rows >= begin, rows + length, rows)
        return self.expand(self.codes[torch.searchsorted(ends, rows, right=True)])

    def _index_of(self, condition: Tensor) -> Tensor:
        """The index of each condition in `codes`, shape (N,); -1 if it does not occur."""
        return torch.tensor([self._indices.get(row, -1) for row in _bytes(condition)], device="cpu")

    @functools.cached_property
    def _indices(self) -> dict[bytes, int]:
        return {row: index for index, row in enumerate(_bytes(self.expand(self.codes)))}

    def where(self, wanted: Mapping[str, Any]) -> Conditions:
        """Restrict conditions to given values. Other parts are drawn from their distribution given these values.

        If no row has all of the values, other parts are drawn as in the rows that have most of them, so that
        combinations that never occurred can be requested. Numbers and texts are rarely equal in two rows; for these the
        nearest √N of N rows are used.

        Args:
            wanted: Maps the name of a part to its value, or to a list of values, which are then drawn equally often.

        Returns:
            The restricted conditions.

        Raises:
            UsageError: An unknown name or value. The known ones are listed.
        """
        self._refuse_unknown(wanted)
        if not wanted:
            return self
        parts, indices, codes = list(self.parts), [], []
        for name, value in wanted.items():
            index = self.names.index(name)
            values = value if isinstance(value, list | tuple | set | np.ndarray) else [value]
            if not len(values):
                raise UsageError(f"no value of {name!r} was given", remedy=known_values(self.parts[index]))
            part = parts[index]
            if isinstance(part, Text):
                parts[index] = part = part.with_texts([str(value) for value in values])
            indices.append(index)
            codes.append([code_of(part, value) for value in values])
        found = [self._nearest(parts, indices, combination) for combination in itertools.product(*codes)]
        share = 1 if len(found) == 1 else _EQUAL_SHARE
        counts = [part * max(1, share // int(part.sum())) if share > 1 else part for _, part in found]
        return replace(self, parts=tuple(parts), codes=torch.cat([rows for rows, _ in found]), counts=torch.cat(counts))

    def _nearest(self, parts: Sequence[Part], indices: list[int], wanted: tuple[float, ...]) -> tuple[Tensor, Tensor]:
        """The conditions nearest to one combination of codes, with these codes set, and their counts."""
        target = torch.tensor(wanted, dtype=torch.float32, device="cpu")
        num_equal = torch.zeros(len(self.codes), dtype=torch.int64, device="cpu")
        distance = torch.zeros(len(self.codes), dtype=torch.float32, device="cpu")
        for index, value in zip(indices, target, strict=True):
            part, codes = parts[index], self.codes[:, index]
            if isinstance(part, Category):
                num_equal += codes == value
            else:
                distance += part.distance_to(codes, value) if isinstance(part, Text) else (codes - value).square()
        near = (num_equal == num_equal.max()).nonzero()[:, 0]
        order = near[distance[near].argsort(stable=True)]
        ends = self.counts[order].cumsum(0)
        last = int(torch.searchsorted(ends, math.isqrt(int(ends[-1]))))
        near = near[distance[near] <= distance[order[last]]]
        codes = self.codes[near].clone()
        codes[:, indices] = target
        distinct, inverse = torch.unique(codes, dim=0, return_inverse=True)
        return distinct, torch.zeros(len(distinct), dtype=torch.int64, device="cpu").index_add_(
            0, inverse, self.counts[near]
        )

    def _refuse_unknown(self, names: Sequence[str] | Mapping[str, Any]) -> None:
        for name in names:
            if name not in self.names:
                raise UsageError(f"there is no condition {name!r}", remedy=did_you_mean(str(name), self.names))

    def state(self) -> dict[str, object]:
        """Plain JSON values, with at most 10,000 conditions: of more, a random subset."""
        parts, codes, counts = list(self.parts), self.codes, self.counts
        if len(codes) > _MAX_STORED:
            rng = Randomness(0).at("descriptions that are kept")
            kept = torch.randperm(len(codes), generator=rng, device="cpu")[:_MAX_STORED].sort().values
            codes, counts = codes[kept].clone(), counts[kept]
        columns: list[list[float]] = []
        for index, part in enumerate(parts):
            column = codes[:, index]
            if isinstance(part, Text):
                used, column = torch.unique(column, return_inverse=True)
                parts[index] = part.subset(used.long().tolist())
            columns.append(column.tolist() if isinstance(part, Number) else column.long().tolist())
        return {
            "parts": [part.state() for part in parts],
            "codes": columns,
            "counts": counts.tolist(),
            "order": list(self.order),
        }

    @classmethod
    def from_state(cls, state: Mapping[str, Any]) -> Conditions:
        """The inverse of `state`.

        Raises:
            ValueError: Codes that are out of range, or counts that are not positive.
        """
        read = cls(
            parts=tuple(_PARTS[part["how"]].from_state(part) for part in state["parts"]),
            codes=torch.tensor(state["codes"], dtype=torch.float32, device="cpu").T.contiguous(),
            counts=torch.tensor(state["counts"], dtype=torch.int64, device="cpu"),
            order=tuple(state["order"]),
        )
        if read.codes.shape != (len(read.counts), len(read.parts)) or not read.codes.numel():
            raise ValueError(f"codes of shape {(*read.codes.shape,)} for {len(read.counts)} counts")
        if not (read.counts > 0).all():
            raise ValueError("a count that is not positive")
        for part, codes in zip(read.parts, read.codes.T, strict=True):
            known = math.inf if isinstance(part, Number) else len(words_of(part))
            is_index = isinstance(part, Number) or bool(((codes >= 0) & (codes == codes.floor())).all())
            if not (is_index and codes.isfinite().all() and (codes < known).all()):
                raise ValueError(f"a code that {part.name!r} does not have")
        return read


def _bytes(rows: Tensor) -> list[bytes]:
    """Each row as bytes, with -0.0 as 0.0."""
    return [row.tobytes() for row in (rows + 0.0).numpy()]


def _kind_of(part: Part) -> str:
    if isinstance(part, Number):
        return "number"
    if isinstance(part, Text):
        return f"text, {len(part.values):,} different, {part.width} entries each"
    return counted(part.width, "category", "categories")
