"""What can embed text, by the name that settings call it. To add one, give it a row in `EMBEDDINGS`.

A callable of one's own is added where the program begins: `register(EMBEDDINGS, "mine", lambda: embed)`. Settings then
name it, and a run that was trained with it is sampled from in any program that has added it under the same name.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable

from wgan.data.texts import Embedding
from wgan.errors import UsageError
from wgan.settings.registry import Table
from wgan.system.text import did_you_mean


def _minilm() -> Embedding:
    from wgan.data.minilm import MiniLM

    return MiniLM()


def _fault(row: object) -> str:
    """What is wrong with a row: most often that it is the embedding itself."""
    if not callable(row):
        return f"must be a function without arguments that returns an embedding, not {row!r}"
    try:
        inspect.signature(row).bind()
    except (TypeError, ValueError):
        return "must be a function without arguments that returns the embedding: lambda: embed"
    return ""


EMBEDDINGS: Table[Callable[[], Embedding]] = Table("embedding", {"minilm": _minilm}, fault=_fault)


def find_embedding(name: str) -> Embedding:
    """The embedding of a name, made ready.

    Raises:
        UsageError: There is none of that name, or its package is not installed.
    """
    if name not in EMBEDDINGS:
        raise UsageError(f"embedding {name!r} is not known", remedy=did_you_mean(name, EMBEDDINGS))
    return EMBEDDINGS[name]()
