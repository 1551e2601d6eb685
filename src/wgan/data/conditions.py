"""Conditions: what samples may be asked for, from words to what the networks see, and back.

A condition has named parts, each a category, a number or a text. Each part has one *code* per row (a category's place,
a number in units of its standard deviation, a text's place), and the networks see the codes spread out: one-hot, as
they are, embedded.
"""

from __future__ import annotations

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

_MOST_KEPT = 10_000
_EQUAL_SHARE = 10**12


@dataclass(frozen=True, kw_only=True, eq=False)
class Conditions:
    """What rows are described by, and the descriptions that occur.

    Attributes:
        parts: What each entry of a description is.
        codes: The descriptions that occur among the training rows, each once, shape (K, parts), float32.
        counts: How many rows have each, shape (K,), int64.
        order: Names of all columns of the table that the parts were taken out of, in its order; empty for other data.
    """

    parts: tuple[Part, ...]
    codes: Tensor
    counts: Tensor
    order: tuple[str, ...] = ()

    @classmethod
    def of_rows(cls, parts: tuple[Part, ...], codes: Tensor, order: tuple[str, ...] = ()) -> Conditions:
        """Count the descriptions of rows.

        Args:
            parts: What each entry is.
            codes: A description for each row, shape (N, parts).
            order: As the attribute.
        """
        distinct, counts = torch.unique(codes.float(), dim=0, return_counts=True)
        return cls(parts=parts, codes=distinct, counts=counts, order=order)

    @property
    def names(self) -> list[str]:
        """The parts' names."""
        return [part.name for part in self.parts]

    @property
    def size(self) -> int:
        """Entries of a condition as the networks see it."""
        return sum(part.width for part in self.parts)

    def describe(self) -> str:
        """The parts in a few words."""
        return ", ".join(f"{part.name} ({_in_words(part)})" for part in self.parts)

    def expand(self, codes: Tensor) -> Tensor:
        """Spread descriptions out for the networks.

        Args:
            codes: Shape (N, parts).

        Returns:
            Shape (N, size), float32: each category one-hot, each number as it is, each text embedded.
        """
        blocks = []
        for place, part in enumerate(self.parts):
            code = codes[:, place]
            if isinstance(part, Category):
                blocks.append(F.one_hot(code.long(), part.width).float())
            else:
                blocks.append(part.expand(code) if isinstance(part, Text) else code[:, None].float())
        return torch.cat(blocks, dim=1)

    def collapse(self, condition: Tensor) -> Tensor:
        """The inverse of `expand`; of what is no description exactly, the nearest.

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
        """Bring descriptions in words to what the networks see.

        Args:
            words: A column for each part, N rows.

        Returns:
            Shape (N, size), float32.

        Raises:
            UsageError: A part is missing, or a value is not known: the known ones are listed.
        """
        table = words if isinstance(words, pa.Table) else pa.table({name: list(words[name]) for name in words})
        self._refuse_unknown(table.column_names)
        if missing := [name for name in self.names if name not in table.column_names]:
            raise UsageError(f"no {', '.join(map(repr, missing))} was given", remedy=f"Give {', '.join(self.names)}.")
        parts, columns = list(self.parts), []
        for place, part in enumerate(self.parts):
            values = table[part.name].to_pylist()
            # The same few words come again and again.
            known: dict[object, float] = {}
            if isinstance(part, Text):
                parts[place] = part.knowing([str(value) for value in values])
            for value in values:
                if value not in known:
                    known[value] = code_of(parts[place], value)
            columns.append(torch.tensor([known[value] for value in values], dtype=torch.float32, device="cpu"))
        return replace(self, parts=tuple(parts)).expand(torch.stack(columns, dim=1))

    def decode(self, condition: Tensor) -> pa.Table:
        """Bring conditions back to words.

        Args:
            condition: Shape (N, size).

        Returns:
            A column for each part, in the type that came in.
        """
        codes = self.collapse(condition).numpy()
        arrays = []
        for place, part in enumerate(self.parts):
            code = codes[:, place]
            if isinstance(part, Number):
                arrays.append(part.decode(code[:, None].astype(np.float64)))
            else:
                arrays.append(part.pick(code.astype(np.int64)))
        return pa.table(dict(zip(self.names, arrays, strict=True)))

    def draw(self, size: int, rng: torch.Generator) -> Tensor:
        """Draw conditions as they occur among the rows.

        Args:
            size: How many.
            rng: What decides which.

        Returns:
            Shape (size, self.size), float32.
        """
        ends = self.counts.cumsum(0)
        rows = torch.randint(int(ends[-1]), (size,), generator=rng, device="cpu")
        return self.expand(self.codes[torch.searchsorted(ends, rows, right=True)])

    def mismatched(self, condition: Tensor, rng: torch.Generator) -> Tensor:
        """For each condition draw another one, as it occurs among the rows whose condition is not the same.

        Args:
            condition: Shape (N, size), on the CPU.
            rng: What decides which.

        Returns:
            Shape (N, size), float32; no row equals that of `condition`.

        Raises:
            UsageError: All rows have the same condition.
        """
        if len(self.codes) < 2:
            raise UsageError(
                "all rows have the same condition, so none can be a wrong one", remedy="Set --mismatch to 0."
            )
        own = self._places(condition)
        ends = self.counts.cumsum(0)
        # What does not occur among the rows can be taken for none of theirs: nothing has to be passed over.
        begin, length = (ends - self.counts)[own], torch.where(own < 0, 0, self.counts[own])
        # Uniform over the rows without those of the own condition, which are passed over.
        left = int(ends[-1]) - length
        rows = (
            (torch.rand(len(own), generator=rng, dtype=torch.float64, device="cpu") * left).long().clamp(max=left - 1)
        )
        rows = torch.where(rows >= begin, rows + length, rows)
        return self.expand(self.codes[torch.searchsorted(ends, rows, right=True)])

    def _places(self, condition: Tensor) -> Tensor:
        """Which of the descriptions that occur each condition is, shape (N,); -1 for none of them."""
        place = self.__dict__.get("_place")
        if place is None:
            place = {row: number for number, row in enumerate(_bytes(self.expand(self.codes)))}
            object.__setattr__(self, "_place", place)
        return torch.tensor([place.get(row, -1) for row in _bytes(condition)], device="cpu")

    def where(self, wanted: Mapping[str, Any]) -> Conditions:
        """Those conditions that have the wanted values; parts of which nothing is said are drawn as in the data.

        Where no row has the wanted values together, what is not asked for is drawn as in the rows that have most of
        them: combinations that never occurred can be asked for. Numbers and texts are rarely the
        same in two rows: of these the nearest √N of N are looked at.

        Args:
            wanted: Name of a part to its value, or to a list of values that then come equally often.

        Returns:
            Conditions whose `draw` gives what is wanted.

        Raises:
            UsageError: A name or a value that is not known; the known ones are listed.
        """
        self._refuse_unknown(wanted)
        if not wanted:
            return self
        parts, places, codes = list(self.parts), [], []
        for name, value in wanted.items():
            place = self.names.index(name)
            values = value if isinstance(value, list | tuple | set | np.ndarray) else [value]
            if not len(values):
                raise UsageError(f"no value of {name!r} was given", remedy=known_values(self.parts[place]))
            part = parts[place]
            if isinstance(part, Text):
                parts[place] = part = part.knowing([str(value) for value in values])
            places.append(place)
            codes.append([code_of(part, value) for value in values])
        found = [self._narrowed(parts, places, combination) for combination in itertools.product(*codes)]
        share = 1 if len(found) == 1 else _EQUAL_SHARE
        counts = [part * max(1, share // int(part.sum())) if share > 1 else part for _, part in found]
        return replace(self, parts=tuple(parts), codes=torch.cat([rows for rows, _ in found]), counts=torch.cat(counts))

    def _narrowed(self, parts: Sequence[Part], places: list[int], wanted: tuple[float, ...]) -> tuple[Tensor, Tensor]:
        """The descriptions nearest to one combination of codes of `parts`, made to have it, and their counts."""
        target = torch.tensor(wanted, dtype=torch.float32, device="cpu")
        alike = torch.zeros(len(self.codes), dtype=torch.int64, device="cpu")
        apart = torch.zeros(len(self.codes), dtype=torch.float32, device="cpu")
        for place, value in zip(places, target, strict=True):
            part, codes = parts[place], self.codes[:, place]
            if isinstance(part, Category):
                alike += codes == value
            else:
                apart += part.apart(codes, value) if isinstance(part, Text) else (codes - value).square()
        near = (alike == alike.max()).nonzero()[:, 0]
        order = near[apart[near].argsort(stable=True)]
        ends = self.counts[order].cumsum(0)
        last = int(torch.searchsorted(ends, math.isqrt(int(ends[-1]))))
        near = near[apart[near] <= apart[order[last]]]
        codes = self.codes[near].clone()
        codes[:, places] = target
        distinct, inverse = torch.unique(codes, dim=0, return_inverse=True)
        return distinct, torch.zeros(len(distinct), dtype=torch.int64, device="cpu").index_add_(
            0, inverse, self.counts[near]
        )

    def _refuse_unknown(self, names: Sequence[str] | Mapping[str, Any]) -> None:
        for name in names:
            if name not in self.names:
                raise UsageError(f"there is no condition {name!r}", remedy=did_you_mean(str(name), self.names))

    def state(self) -> dict[str, object]:
        """Plain JSON values; of more than 10,000 descriptions, as many drawn among them."""
        parts, codes, counts = list(self.parts), self.codes, self.counts
        if len(codes) > _MOST_KEPT:
            rng = Randomness(0).at("descriptions that are kept")
            kept = torch.randperm(len(codes), generator=rng, device="cpu")[:_MOST_KEPT].sort().values
            codes, counts = codes[kept].clone(), counts[kept]
        columns: list[list[float]] = []
        for place, part in enumerate(parts):
            column = codes[:, place]
            if isinstance(part, Text):
                used, column = torch.unique(column, return_inverse=True)
                parts[place] = part.only(used.long().tolist())
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
            ValueError: Codes that no part has, or counts that count nothing.
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
            is_place = isinstance(part, Number) or bool(((codes >= 0) & (codes == codes.floor())).all())
            if not (is_place and codes.isfinite().all() and (codes < known).all()):
                raise ValueError(f"a code that {part.name!r} does not have")
        return read


def _bytes(rows: Tensor) -> list[bytes]:
    """Each row as bytes, the two zeros made one."""
    return [row.tobytes() for row in (rows + 0.0).numpy()]


def _in_words(part: Part) -> str:
    if isinstance(part, Number):
        return "number"
    if isinstance(part, Text):
        return f"text, {len(part.values):,} different, {part.width} entries each"
    return counted(part.width, "category", "categories")
