"""The data room: points, tables and images, all answering the same calls."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from wgan.batch import Batch
    from wgan.data.codec_state import codec_from_state, conditions_from_state
    from wgan.data.conditions import Conditions
    from wgan.data.differences import codec_differences
    from wgan.data.names import BUILT_IN, kind_of
    from wgan.data.opening import open_data
    from wgan.data.source import Codec, Labelled, Source

__all__ = [
    "BUILT_IN",
    "Batch",
    "Codec",
    "Conditions",
    "Labelled",
    "Source",
    "codec_differences",
    "codec_from_state",
    "conditions_from_state",
    "kind_of",
    "open_data",
]

# Fetched when first asked for: the command line looks names up here without waiting for torch.
_HOME = {
    "BUILT_IN": "wgan.data.names",
    "Batch": "wgan.batch",
    "Codec": "wgan.data.source",
    "Conditions": "wgan.data.conditions",
    "Labelled": "wgan.data.source",
    "Source": "wgan.data.source",
    "codec_differences": "wgan.data.differences",
    "codec_from_state": "wgan.data.codec_state",
    "conditions_from_state": "wgan.data.codec_state",
    "kind_of": "wgan.data.names",
    "open_data": "wgan.data.opening",
}


def __getattr__(name: str) -> Any:  # noqa: ANN401 - whatever the room holds under that name
    if name in _HOME:
        return getattr(importlib.import_module(_HOME[name]), name)
    raise AttributeError(f"module 'wgan.data' has no attribute '{name}'")


def __dir__() -> list[str]:
    return sorted(__all__)
