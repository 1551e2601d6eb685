"""What scikit-learn asks of every estimator: its parameters are those of its constructor, and can be read and set."""

from __future__ import annotations

import contextlib
import inspect
from collections.abc import Iterator, Mapping
from typing import Any, Self

from wgan.errors import UsageError, WganError


@contextlib.contextmanager
def named_as(renamed: Mapping[str, str]) -> Iterator[None]:
    """Within the block errors name settings as their caller knows them.

    Args:
        renamed: Setting to parameter, where they differ.
    """
    try:
        yield
    except WganError as error:
        error.renamed = renamed
        raise


class Parameters:
    """Reads and sets what the constructor of a subclass stores under the names of its parameters."""

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """The constructor's parameters, by name."""
        return {name: getattr(self, name) for name in self._defaults()}

    def set_params(self, **params: Any) -> Self:  # noqa: ANN401 - of any parameter
        """Set parameters; what was fitted stays as it was.

        Raises:
            UsageError: A name that is no parameter.
        """
        known = self._defaults()
        if unknown := [name for name in params if name not in known]:
            raise UsageError(
                f"{type(self).__name__} has no parameter {', '.join(map(repr, unknown))}",
                remedy=f"Known: {', '.join(known)}.",
            )
        for name, value in params.items():
            setattr(self, name, value)
        return self

    def __repr__(self) -> str:
        """The parameters that differ from their defaults."""
        defaults = self._defaults()
        given = [f"{name}={value!r}" for name, value in self.get_params().items() if value is not defaults[name]]
        return f"{type(self).__name__}({', '.join(given)})"

    @classmethod
    def _defaults(cls) -> Mapping[str, Any]:
        """The constructor's parameters and their defaults."""
        signature = inspect.signature(cls.__init__)
        return {name: item.default for name, item in signature.parameters.items() if name != "self"}
