"""wgan: learn a probability distribution from samples with Wasserstein GANs, with a loss you can believe."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from wgan import errors

if TYPE_CHECKING:
    from wgan import (
        constraints,
        data,
        divergences,
        evaluation,
        figures,
        kernels,
        networks,
        objectives,
        optimizers,
        report,
        runs,
        settings,
        studies,
        training,
        transport,
        trust,
    )
    from wgan.data import open_data
    from wgan.estimator import WGAN
    from wgan.runs import begin, evaluate, finish, load, resume, setup
    from wgan.settings import DataOptions, Settings
    from wgan.settings.recipes import recipe
    from wgan.settings.registry import register
    from wgan.training import Setup, Step, train

# Fetched at their first use, so that `import wgan` and `wgan --help` do not import torch.
_NAMES = {
    "WGAN": "estimator",
    "DataOptions": "settings",
    "Settings": "settings",
    "Setup": "training",
    "Step": "training",
    "begin": "runs",
    "evaluate": "runs",
    "finish": "runs",
    "load": "runs",
    "open_data": "data",
    "recipe": "settings.recipes",
    "register": "settings.registry",
    "resume": "runs",
    "setup": "runs",
    "train": "training",
}
_ROOMS = (
    "batch",
    "constraints",
    "data",
    "divergences",
    "errors",
    "estimator",
    "evaluation",
    "figures",
    "kernels",
    "networks",
    "objectives",
    "optimizers",
    "randomness",
    "report",
    "runs",
    "settings",
    "studies",
    "training",
    "transport",
    "trust",
)

__all__ = [
    "WGAN",
    "DataOptions",
    "Settings",
    "Setup",
    "Step",
    "begin",
    "constraints",
    "data",
    "divergences",
    "errors",
    "evaluate",
    "evaluation",
    "figures",
    "finish",
    "kernels",
    "load",
    "networks",
    "objectives",
    "open_data",
    "optimizers",
    "recipe",
    "register",
    "report",
    "resume",
    "runs",
    "settings",
    "setup",
    "studies",
    "train",
    "training",
    "transport",
    "trust",
]


def _in_python(text: str, spelling: errors.Spelling | None) -> str:
    """The text of an error with Python's parameters. The settings are imported only when an error is shown."""
    return importlib.import_module("wgan.settings").in_python(text, spelling)  # type: ignore[no-any-return]


errors.WganError.in_python = staticmethod(_in_python)


def __getattr__(name: str) -> Any:  # noqa: ANN401 - whatever the module holds under that name
    if name in _NAMES:
        value = getattr(importlib.import_module(f"wgan.{_NAMES[name]}"), name)
    elif name in _ROOMS:
        value = importlib.import_module(f"wgan.{name}")
    elif name == "__version__":
        from importlib.metadata import version

        value = version("wgan")
    else:
        raise AttributeError(f"module 'wgan' has no attribute '{name}'")
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*__all__, "__version__"})
