"""Algorithm 1: the training loop, the state of both players, their batches, losses and updates.

`train` yields after each generator update; `wgan.setup` builds the `Setup` that it takes.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from wgan.training.factory import build_game, choose_parts
    from wgan.training.game import Game, Prior
    from wgan.training.hyperparameters import Hyperparameters
    from wgan.training.loop import Step, train
    from wgan.training.setup import Setup

# Fetched at their first use: the settings read `hyperparameters`, and do not wait for torch.
_HOME = {
    "Game": "game",
    "Hyperparameters": "hyperparameters",
    "Prior": "game",
    "Setup": "setup",
    "Step": "loop",
    "build_game": "factory",
    "choose_parts": "factory",
    "train": "loop",
}

__all__ = ["Game", "Hyperparameters", "Prior", "Setup", "Step", "build_game", "choose_parts", "train"]


def __getattr__(name: str) -> Any:  # noqa: ANN401 - whatever the room holds under that name
    if name in _HOME:
        return getattr(importlib.import_module(f"wgan.training.{_HOME[name]}"), name)
    raise AttributeError(f"module 'wgan.training' has no attribute '{name}'")


def __dir__() -> list[str]:
    return sorted(__all__)
