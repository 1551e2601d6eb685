"""wgan: learn a probability distribution from samples with Wasserstein GANs, with a loss you can believe."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from wgan import errors

if TYPE_CHECKING:
    from wgan.batch import Batch, Layout
    from wgan.choices import register
    from wgan.constraints import CONSTRAINTS, Constraint
    from wgan.data import Source, open_data
    from wgan.data.embeddings import EMBEDDINGS
    from wgan.data.toys import TOYS
    from wgan.errors import CheckpointError, DataError, DataWarning, Interrupted, NumericError, UsageError, WganError
    from wgan.estimator import WGAN
    from wgan.experiment import begin, evaluate, finish, load, resume
    from wgan.game import Game
    from wgan.metrics import Judge
    from wgan.networks import NETWORKS
    from wgan.objectives import OBJECTIVES, Objective, Wasserstein
    from wgan.optimizers import OPTIMIZERS
    from wgan.own import setup
    from wgan.recipes import RECIPES, recipe
    from wgan.rules import Rules
    from wgan.settings import DataOptions, Settings
    from wgan.training import Setup, Step, train

__version__ = "0.1.0"

__all__ = [
    "CONSTRAINTS",
    "EMBEDDINGS",
    "NETWORKS",
    "OBJECTIVES",
    "OPTIMIZERS",
    "RECIPES",
    "TOYS",
    "WGAN",
    "Batch",
    "CheckpointError",
    "Constraint",
    "DataError",
    "DataOptions",
    "DataWarning",
    "Game",
    "Interrupted",
    "Judge",
    "Layout",
    "NumericError",
    "Objective",
    "Rules",
    "Settings",
    "Setup",
    "Source",
    "Step",
    "UsageError",
    "Wasserstein",
    "WganError",
    "__version__",
    "begin",
    "evaluate",
    "finish",
    "load",
    "open_data",
    "recipe",
    "register",
    "resume",
    "setup",
    "train",
]

# Public names live in their rooms and are fetched when first asked for, so that `wgan --help` never waits for torch.
_HOME = {
    "CONSTRAINTS": "constraints",
    "EMBEDDINGS": "data.embeddings",
    "NETWORKS": "networks",
    "OBJECTIVES": "objectives",
    "OPTIMIZERS": "optimizers",
    "RECIPES": "recipes",
    "TOYS": "data.toys",
    "WGAN": "estimator",
    "Batch": "batch",
    "CheckpointError": "errors",
    "Constraint": "constraints",
    "DataError": "errors",
    "DataOptions": "settings",
    "DataWarning": "errors",
    "Game": "game",
    "Interrupted": "errors",
    "Judge": "metrics",
    "Layout": "batch",
    "NumericError": "errors",
    "Objective": "objectives",
    "Rules": "rules",
    "Settings": "settings",
    "Setup": "training",
    "Source": "data",
    "Step": "training",
    "UsageError": "errors",
    "Wasserstein": "objectives",
    "WganError": "errors",
    "begin": "experiment",
    "evaluate": "experiment",
    "load": "experiment",
    "open_data": "data",
    "recipe": "recipes",
    "register": "choices",
    "resume": "experiment",
    "finish": "experiment",
    "setup": "own",
    "train": "training",
}


def _in_python(text: str, renamed: Mapping[str, str]) -> str:
    """The text of an error with Python's names; what it takes is imported only if an error is shown."""
    return importlib.import_module("wgan.settings").in_python(text, renamed)  # type: ignore[no-any-return]


errors.WganError.in_python = staticmethod(_in_python)


def __getattr__(name: str) -> Any:  # noqa: ANN401 - whatever the room holds under that name
    if name in _HOME:
        value = getattr(importlib.import_module(f"wgan.{_HOME[name]}"), name)
        globals()[name] = value
        return value
    raise AttributeError(f"module 'wgan' has no attribute '{name}'")


def __dir__() -> list[str]:
    return sorted(__all__)
