"""Algorithm 1: the training loop, the state of both players, their batches, losses and updates.

`train` yields after each generator update; `wgan.setup` builds the `Setup` that it takes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from wgan.system.lazy import lazy_names

if TYPE_CHECKING:
    from wgan.training.factory import build_game, choose_parts
    from wgan.training.game import Game, Prior
    from wgan.training.hyperparameters import Hyperparameters
    from wgan.training.loop import Step, train
    from wgan.training.setup import Setup

__all__ = ["Game", "Hyperparameters", "Prior", "Setup", "Step", "build_game", "choose_parts", "train"]

# The settings read `hyperparameters` without importing torch.
__getattr__, __dir__ = lazy_names(
    __name__,
    {
        "factory": "build_game choose_parts",
        "game": "Game Prior",
        "hyperparameters": "Hyperparameters",
        "loop": "Step train",
        "setup": "Setup",
    },
)
