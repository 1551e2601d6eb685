"""Names of a package that are imported at their first use, so that importing the package is fast."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable, Collection, Mapping
from typing import Any


def lazy_names(
    package: str, names: Mapping[str, str], submodules: Collection[str] = ()
) -> tuple[Callable[[str], Any], Callable[[], list[str]]]:
    """`__getattr__` and `__dir__` of a package whose public names are imported at their first use.

    The package imports the same names under `TYPE_CHECKING`, for type checkers.

    Args:
        package: `__name__` of the package.
        names: Module, relative to the package, to its names, separated by spaces.
        submodules: Modules that are public themselves.
    """
    homes = {name: f"{package}.{module}" for module, joined in names.items() for name in joined.split()}

    def get(name: str) -> Any:  # noqa: ANN401 - whatever the module holds under that name
        if name in homes:
            value = getattr(importlib.import_module(homes[name]), name)
        elif name in submodules:
            value = importlib.import_module(f"{package}.{name}")
        else:
            raise AttributeError(f"module '{package}' has no attribute '{name}'")
        setattr(sys.modules[package], name, value)
        return value

    return get, lambda: sorted({*homes, *submodules})
