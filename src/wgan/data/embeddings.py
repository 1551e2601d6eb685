"""Text embeddings by name. To add one, give it a row in `EMBEDDINGS`.

A program registers its own callable when it starts: `register(EMBEDDINGS, "mine", lambda: embed)`. Settings then name
it. To sample from a run that was trained with it, register it under the same name.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

from wgan.errors import UsageError
from wgan.settings.registry import Table
from wgan.system.text import did_you_mean

Embedding = Callable[[list[str]], Any]
"""From N texts to an array or tensor of shape (N, K)."""


def _minilm() -> Embedding:
    from wgan.data.minilm import MiniLM

    return MiniLM()


def _fault(row: object) -> str:
    """Why a row is not valid, or an empty string. The most frequent mistake is to pass the embedding itself."""
    if not callable(row):
        return f"must be a function without arguments that returns an embedding, not {row!r}"
    try:
        inspect.signature(row).bind()
    except (TypeError, ValueError):
        return "must be a function without arguments that returns the embedding: lambda: embed"
    return ""


EMBEDDINGS: Table[Callable[[], Embedding]] = Table("embedding", {"minilm": _minilm}, fault=_fault)


def find_embedding(name: str) -> Embedding:
    """Load the embedding of a name.

    Raises:
        UsageError: There is none of that name, or its package is not installed.
    """
    if name not in EMBEDDINGS:
        raise UsageError(f"embedding {name!r} is not known", remedy=did_you_mean(name, EMBEDDINGS))
    return EMBEDDINGS[name]()
