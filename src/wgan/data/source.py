"""The protocols of data: a source draws batches and held-out rows, a codec undoes the preprocessing."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, Protocol, TypeAlias, runtime_checkable

import numpy as np
import pyarrow as pa
import torch
from numpy.typing import NDArray
from torch import Tensor

from wgan.batch import Batch, Layout

if TYPE_CHECKING:
    from wgan.data.conditions import Conditions

Kind = Literal["points", "table", "images"]
Decoded: TypeAlias = NDArray[np.generic] | pa.Table


@dataclass(frozen=True, kw_only=True, eq=False)
class Labelled:
    """Decoded points or images with their conditions. Tables have their conditions among their columns instead.

    Attributes:
        values: The points or images.
        words: A column for each condition, as many rows.
    """

    values: NDArray[np.generic]
    words: pa.Table

    def __len__(self) -> int:
        return len(self.values)

    def __getitem__(self, rows: slice) -> Labelled:
        return Labelled(values=self.values[rows], words=self.words[rows])


Samples: TypeAlias = Decoded | Labelled
"""Decoded samples, with their conditions in a conditional run."""

RowsOf = Literal["train", "held-out", "unseen"]
"""The parts of the split: training rows, held-out rows, and rows whose combination of conditions is in neither."""


class Codec(Protocol):
    """Converts samples from network units to the form of the data. It does not need the data."""

    @property
    def kind(self) -> Kind:
        """The kind of data."""
        ...

    @property
    def layout(self) -> Layout:
        """The shape of one sample in network units."""
        ...

    def decode(self, values: Tensor) -> Decoded:
        """Undo the preprocessing.

        Args:
            values: Shape (N, *layout.shape), in network units.

        Returns:
            Points: array (N, D) in the dtype of the data. Tables: an Arrow table with the columns, types and categories
            of the data. Images: uint8 array (N, height, width, channels).
        """
        ...

    def restore(self, values: Tensor) -> Decoded:
        """As `decode`, but in the dtype, range and axes of the array that was given.

        Args:
            values: As in `decode`.
        """
        ...

    def state(self) -> dict[str, object]:
        """Plain JSON values, including `kind`, from which `codec_from_state` builds this codec again.

        Values that only `restore` needs, and that the networks do not depend on, are under `given`.
        """
        ...


@runtime_checkable
class _WithSchema(Protocol):
    """A codec that knows the schema of the table that was read."""

    def with_metadata(self, schema: pa.Schema) -> pa.Schema:
        """The schema with the metadata of the table that was read."""
        ...


class Source(Protocol):
    """A distribution to learn, given by samples."""

    @property
    def name(self) -> str:
        """The data's name, as the user gave it."""
        ...

    @property
    def codec(self) -> Codec:
        """The preprocessing, and its inverse."""
        ...

    @property
    def size(self) -> int | None:
        """Number of training rows; None for a sampler of fresh rows."""
        ...

    @property
    def num_held_out(self) -> int | None:
        """Number of held-out rows; None for a sampler of fresh rows."""
        ...

    @property
    def notes(self) -> tuple[str, ...]:
        """Lines for the user about how the data was read."""
        ...

    @property
    def conditions(self) -> Conditions | None:
        """The conditions; None in an unconditional run."""
        ...

    @property
    def offers(self) -> tuple[str, ...]:
        """Names of the available conditions."""
        ...

    def sample(self, size: int, rng: torch.Generator) -> Batch:
        """Draw independent training rows, shape (size, *layout.shape), float32, with their conditions."""
        ...

    def held_out(self, size: int, rng: torch.Generator) -> Tensor:
        """Draw held-out rows without replacement: at most `size`, shape (n, *layout.shape), float32."""
        ...

    def distinct(self, size: int, rng: torch.Generator) -> Tensor:
        """Draw training rows without replacement: at most `size`, shape (n, *layout.shape), float32.

        A sampler draws fresh rows.
        """
        ...

    def labelled(self, part: RowsOf, size: int, rng: torch.Generator) -> Batch:
        """Draw rows of one part of the split with their conditions, without replacement.

        A sampler draws fresh rows, and has no unseen ones.

        Args:
            part: The part of the split.
            size: Number of rows at most.
            rng: Random generator.
        """
        ...

    def describe(self) -> str:
        """Describe the data in one line: kind, number of rows, shape, columns, conditions."""
        ...

    def fingerprint(self) -> str:
        """A digest of the data and its preprocessing. It does not depend on the path."""
        ...


def decode_batch(
    codec: Codec, conditions: Conditions | None, batch: Batch, decode: Callable[[Tensor], Decoded] | None = None
) -> Samples:
    """Undo the preprocessing of rows and of their conditions.

    Args:
        codec: The codec of the rows.
        conditions: The conditions; None in an unconditional run.
        batch: The rows and their conditions, in network units.
        decode: A method of the codec; `decode` if None.

    Returns:
        Points and images, with their conditions in a conditional run; tables with the conditions among their columns,
        in the order of the data.
    """
    decoded = (decode or codec.decode)(batch.values)
    if conditions is None or batch.condition is None:
        return decoded
    words = conditions.decode(batch.condition)
    if not isinstance(decoded, pa.Table):
        return Labelled(values=decoded, words=words)
    columns = {table.field(name): table[name] for table in (decoded, words) for name in table.column_names}
    order = {name: index for index, name in enumerate(conditions.order)}
    fields = sorted(columns, key=lambda field: order.get(field.name, len(order)))
    schema = codec.with_metadata(pa.schema(fields)) if isinstance(codec, _WithSchema) else pa.schema(fields)
    return pa.table([columns[field] for field in fields], schema=schema)
