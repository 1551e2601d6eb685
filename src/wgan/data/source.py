"""The calls that every kind of data answers: draw a batch, keep rows apart for judging, undo the preprocessing."""

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
    """Decoded rows beside the conditions that they were drawn under.

    Attributes:
        values: The rows, but for those of tables, which have their conditions among their columns.
        words: A column for each condition, as many rows.
    """

    values: NDArray[np.generic]
    words: pa.Table

    def __len__(self) -> int:
        return len(self.values)

    def __getitem__(self, rows: slice) -> Labelled:
        return Labelled(values=self.values[rows], words=self.words[rows])


Samples: TypeAlias = Decoded | Labelled
"""What comes out of a run: rows as the user brought them, with their conditions where there are such."""

RowsOf = Literal["train", "held-out", "unseen"]
"""The rows trained on, those judged on, and those whose combination of conditions is kept from both."""


class Codec(Protocol):
    """The way back from what the networks see to what the user brought. It needs no data: a run can sample without."""

    @property
    def kind(self) -> Kind:
        """What sort of data comes out."""
        ...

    @property
    def layout(self) -> Layout:
        """The shape of one sample as the networks see it."""
        ...

    def decode(self, values: Tensor) -> Decoded:
        """Undo the preprocessing.

        Args:
            values: Shape (N, *layout.shape), as a generator puts them out.

        Returns:
            Points: array (N, D) of the dtype that came in. Tables: an Arrow table with the columns, types and
            categories that came in. Images: uint8 array (N, height, width, channels).
        """
        ...

    def restore(self, values: Tensor) -> Decoded:
        """Undo the preprocessing to the last: as `decode`, in the dtype, range and axes of the array that came in.

        Args:
            values: As in `decode`.
        """
        ...

    def state(self) -> dict[str, object]:
        """All that `codec_from_state` needs to build this codec again; plain JSON values, `kind` among them.

        What is only for `restore`, and nothing that the networks see depends on, is under `given`.
        """
        ...


@runtime_checkable
class _WithSchema(Protocol):
    """A codec that knows the schema of the table that was read."""

    def with_metadata(self, schema: pa.Schema) -> pa.Schema:
        """The schema with the metadata of the table that was read."""
        ...


class Source(Protocol):
    """A distribution to learn from, known by its samples."""

    @property
    def name(self) -> str:
        """As the user called it."""
        ...

    @property
    def codec(self) -> Codec:
        """The preprocessing that was applied, and its inverse."""
        ...

    @property
    def size(self) -> int | None:
        """Rows to train on; None for a sampler that never repeats itself."""
        ...

    @property
    def num_held_out(self) -> int | None:
        """Rows kept from training; None for a sampler that never repeats itself."""
        ...

    @property
    def notes(self) -> tuple[str, ...]:
        """What the user should be told about how the data was read, a line each."""
        ...

    @property
    def conditions(self) -> Conditions | None:
        """What samples may be asked for; None in an unconditional run."""
        ...

    @property
    def offers(self) -> tuple[str, ...]:
        """What could be a condition, by name."""
        ...

    def sample(self, size: int, rng: torch.Generator) -> Batch:
        """Draw a batch of independent training samples, shape (size, *layout.shape), float32, with their conditions."""
        ...

    def held_out(self, size: int, rng: torch.Generator) -> Tensor:
        """Draw rows that training never sees, without repetition: at most `size`, fewer where there are fewer."""
        ...

    def distinct(self, size: int, rng: torch.Generator) -> Tensor:
        """Draw rows that training sees, without repetition: at most `size`, fewer where there are fewer.

        A sampler that never repeats draws fresh ones.

        Args:
            size: How many at most.
            rng: What decides which.

        Returns:
            Shape (n, *layout.shape), float32.
        """
        ...

    def labelled(self, part: RowsOf, size: int, rng: torch.Generator) -> Batch:
        """Draw rows of one part with their conditions, without repetition: at most `size`, fewer where there are fewer.

        A sampler that never repeats draws fresh ones, and has none that are unseen.

        Args:
            part: Rows that training sees, rows that it does not, or those of combinations that are kept from it.
            size: How many at most.
            rng: What decides which.
        """
        ...

    def describe(self) -> str:
        """Say in one line what was found: kind, count, shape, columns, labels."""
        ...

    def fingerprint(self) -> str:
        """A digest of the data and of how it was read: equal for equal training, whatever the path."""
        ...


def decode_batch(
    codec: Codec, conditions: Conditions | None, batch: Batch, decode: Callable[[Tensor], Decoded] | None = None
) -> Samples:
    """Undo the preprocessing of rows and of their conditions.

    Args:
        codec: Of the rows.
        conditions: Of the conditions; None where there are none.
        batch: What the networks see.
        decode: Which of the codec's ways back to take; `decode` if None.

    Returns:
        Points and images with their conditions beside them, if there are such; tables with the columns that were
        conditions in the places that they came from.
    """
    decoded = (decode or codec.decode)(batch.values)
    if conditions is None or batch.condition is None:
        return decoded
    words = conditions.decode(batch.condition)
    if not isinstance(decoded, pa.Table):
        return Labelled(values=decoded, words=words)
    columns = {table.field(name): table[name] for table in (decoded, words) for name in table.column_names}
    order = {name: place for place, name in enumerate(conditions.order)}
    fields = sorted(columns, key=lambda field: order.get(field.name, len(order)))
    schema = codec.with_metadata(pa.schema(fields)) if isinstance(codec, _WithSchema) else pa.schema(fields)
    return pa.table([columns[field] for field in fields], schema=schema)
