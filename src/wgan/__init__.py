"""wgan: learn a probability distribution from samples with Wasserstein GANs, with a loss you can believe."""

from __future__ import annotations

import importlib
from typing import Any

__version__ = "0.1.0"

# Public names live in their rooms and are fetched when first asked for, so that `wgan --help` never waits for torch.
_HOME: dict[str, str] = {}

__all__ = ["__version__", *_HOME]


def __getattr__(name: str) -> Any:  # noqa: ANN401 - whatever the room holds under that name
    if name in _HOME:
        return getattr(importlib.import_module(_HOME[name]), name)
    raise AttributeError(f"module 'wgan' has no attribute '{name}'")


def __dir__() -> list[str]:
    return sorted(__all__)
