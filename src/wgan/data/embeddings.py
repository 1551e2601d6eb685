"""What can embed text, by the name that settings call it. To add one, give it a row in `EMBEDDINGS`.

A callable of one's own is added where the program begins: `EMBEDDINGS["mine"] = lambda: embed`. Settings then name it,
and a run that was trained with it is sampled from in any program that has added it under the same name.
"""

from __future__ import annotations

from collections.abc import Callable

from wgan.choices import did_you_mean
from wgan.data.texts import Embedding
from wgan.errors import UsageError


def _minilm() -> Embedding:
    from wgan.data.minilm import MiniLM

    return MiniLM()


EMBEDDINGS: dict[str, Callable[[], Embedding]] = {"minilm": _minilm}


def find_embedding(name: str) -> Embedding:
    """The embedding of a name, made ready.

    Raises:
        UsageError: There is none of that name, or its package is not installed.
    """
    if name not in EMBEDDINGS:
        raise UsageError(f"embedding {name!r} is not known", remedy=did_you_mean(name, EMBEDDINGS))
    return EMBEDDINGS[name]()
