"""wgan: learn a probability distribution from samples with Wasserstein GANs, with a loss you can believe."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from wgan import errors
from wgan.system.lazy import lazy_names

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

# Imported at their first use, so that `import wgan` and `wgan --help` do not import torch.
_find, __dir__ = lazy_names(
    __name__,
    {
        "data": "open_data",
        "estimator": "WGAN",
        "runs": "begin evaluate finish load resume setup",
        "settings": "DataOptions Settings",
        "settings.recipes": "recipe",
        "settings.registry": "register",
        "training": "Setup Step train",
    },
    submodules=[*__all__, "batch", "estimator", "randomness", "__version__"],
)


def __getattr__(name: str) -> Any:  # noqa: ANN401 - whatever the module holds under that name
    if name != "__version__":
        return _find(name)
    from importlib.metadata import version

    return version("wgan")
