"""Text conditions: embedded by any callable, so that new texts can be requested."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pyarrow as pa
import torch
from numpy.typing import NDArray
from torch import Tensor

from wgan.data.columns.types import from_plain, type_from_text
from wgan.data.embeddings import Embedding, find_embedding
from wgan.errors import DataError, UsageError
from wgan.system.text import did_you_mean

_AT_ONCE = 1024


@dataclass(frozen=True, kw_only=True, eq=False)
class Text:
    """A text condition, which the networks see as an embedding.

    Embeddings are centred and divided by one factor, so that their entries are of order 1 like those of the noise.

    Attributes:
        name: The condition's name.
        type: Arrow's type as text.
        values: The known texts.
        vectors: Their embeddings in network units, shape (K, width), float32.
        centre: The mean of the embeddings, shape (width,), which is subtracted.
        scale: The factor that they are divided by.
        embedding: The name of the embedding in the settings; empty for a callable of the caller's own.
        embed: The embedding itself; None if it has to be looked up by its name, or is not available.
    """

    name: str
    type: str
    values: tuple[str, ...]
    vectors: Tensor
    centre: Tensor
    scale: float
    embedding: str = ""
    embed: Embedding | None = field(default=None, repr=False)

    @classmethod
    def fit(cls, name: str, kind: str, texts: Sequence[str], embed: Embedding, embedding: str = "") -> Text:
        """Embed the texts of the data, and find the centre and the scale.

        Raises:
            DataError: The embedding is not a finite matrix with a row for each text, or is the same for all texts.
        """
        raw = _embedded(embed, list(texts), name)
        centre = raw.mean(dim=0)
        scale = float((raw - centre).square().mean().sqrt())
        if not scale > 0:
            raise DataError(f"condition {name!r}: its texts all have the same embedding", remedy="Leave it out.")
        vectors = (raw - centre) / scale
        return cls(
            name=name, type=kind, values=tuple(texts), vectors=vectors, centre=centre, scale=scale,
            embedding=embedding, embed=embed,
        )  # fmt: skip

    @property
    def width(self) -> int:
        """Entries of an embedding."""
        return int(self.vectors.shape[1])

    def codes(self, array: pa.Array) -> NDArray[np.int64]:
        """The index of each cell among the known texts, shape (N,)."""
        indices = {text: index for index, text in enumerate(self.values)}
        return np.array([indices[text] for text in array.to_pylist()], dtype=np.int64)

    def pick(self, index: NDArray[np.int64]) -> pa.Array:
        """The inverse of `codes`, in the column's type."""
        kind = type_from_text(self.type)
        plain_kind = kind.value_type if pa.types.is_dictionary(kind) else kind
        return from_plain(pa.array(self.values, pa.large_string()).take(pa.array(index)), plain_kind)

    def expand(self, index: Tensor) -> Tensor:
        """The embeddings of known texts given by index, shape (N, width)."""
        return self.vectors[index.long()]

    def distance_to(self, index: Tensor, other: Tensor) -> Tensor:
        """Mean squared differences between the embeddings of known texts and of another, given by index, shape (N,)."""
        return (self.vectors - self.expand(other)).square().mean(dim=1)[index.long()]

    def nearest(self, vectors: Tensor) -> Tensor:
        """The indices of the known texts whose embeddings are nearest, shape (N,)."""
        parts = [torch.cdist(part, self.vectors).argmin(dim=1) for part in vectors.split(_AT_ONCE)]  # type: ignore[no-untyped-call]
        return torch.cat(parts)

    def with_texts(self, texts: Sequence[str]) -> Text:
        """The same condition with further known texts.

        Raises:
            UsageError: Some texts are new, and the embedding is not available.
        """
        new = [text for text in dict.fromkeys(texts) if text not in self.values]
        if not new:
            return self
        embed = self.embed or self._by_name(new[0])
        vectors = (_embedded(embed, new, self.name) - self.centre) / self.scale
        return replace(self, values=(*self.values, *new), vectors=torch.cat([self.vectors, vectors]), embed=embed)

    def _by_name(self, text: str) -> Embedding:
        if self.embedding:
            return find_embedding(self.embedding)
        raise UsageError(
            f"{self.name}: {text!r} is not among the texts of the data, and the embedding is not available",
            remedy=f"Pass the embedding that it was trained with. {did_you_mean(text, self.values[:30])}",
        )

    def subset(self, indices: Sequence[int]) -> Text:
        """The same condition with a subset of the known texts, given by index."""
        return replace(self, values=tuple(self.values[index] for index in indices), vectors=self.vectors[list(indices)])

    def state(self) -> dict[str, object]:
        """Plain JSON values, with the embeddings as float32 in base 64: the model may not be available later."""
        return {
            "name": self.name,
            "how": "text",
            "type": self.type,
            "values": list(self.values),
            "vectors": _to_text(self.vectors),
            "centre": _to_text(self.centre),
            "scale": self.scale,
            "embedding": self.embedding,
        }

    @classmethod
    def from_state(cls, state: dict[str, Any]) -> Text:
        """The inverse of `state`."""
        values, centre = tuple(state["values"]), _from_text(state["centre"])
        return cls(
            name=state["name"],
            type=state["type"],
            values=values,
            vectors=_from_text(state["vectors"]).reshape(len(values), len(centre)),
            centre=centre,
            scale=float(state["scale"]),
            embedding=state["embedding"],
        )


def _embedded(embed: Embedding, texts: list[str], name: str) -> Tensor:
    found = embed(texts)
    array = found.detach().cpu() if isinstance(found, Tensor) else torch.from_numpy(np.array(found, dtype=np.float32))
    if array.dim() != 2 or len(array) != len(texts) or not array.shape[1] or not array.isfinite().all():
        raise DataError(
            f"condition {name!r}: the embedding of {len(texts):,} texts has shape {tuple(array.shape)}"
            f"{'' if array.isfinite().all() else ' and numbers that are not finite'}",
            remedy="It must give one finite vector, all of one length, for each text.",
        )
    return array.float()


def _to_text(tensor: Tensor) -> str:
    return base64.b64encode(tensor.contiguous().numpy().astype("<f4").tobytes()).decode("ascii")


def _from_text(text: str) -> Tensor:
    return torch.from_numpy(np.frombuffer(base64.b64decode(text), dtype="<f4").astype(np.float32))
