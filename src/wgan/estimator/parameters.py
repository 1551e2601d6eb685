"""The parameters of the estimator: read and set by scikit-learn's conventions, and checked together before a fit."""

from __future__ import annotations

import contextlib
import dataclasses
import inspect
import secrets
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Self

from wgan.errors import SPELLING, UsageError, WganError
from wgan.estimator.forms import name_of
from wgan.settings import PER_COLUMN, DataOptions, Settings, problems, refuse, settings_fields
from wgan.settings.recipes import recipe
from wgan.system.text import did_you_mean
from wgan.training.custom import Own, fault_of, own_parts
from wgan.training.factory import REGISTRIES, word_faults

DIRECT = (*REGISTRIES, "latent_dim", "steps", "batch_size", "critic_steps")
"""Settings that are separate parameters; all others are given in the parameter `settings`."""

_OPTIONS = frozenset(item.name for item in dataclasses.fields(DataOptions))
ELSEWHERE = {name: f"the parameter {name}" for name in (*DIRECT, "recipe")} | {
    "data": "X of fit",
    "seed": "the parameter random_state",
}
"""Names that cannot be given in `settings`, and where they are given."""

_OTHERS = tuple(name for name in settings_fields() if name not in ELSEWHERE)
_COLUMNS = ("categorical", "numeric", "ignore", "condition", "text")


class Parameters:
    """Reads and sets the parameters of a subclass, whose constructor stores each under its name."""

    settings: Mapping[str, Any] | None

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """Get the constructor's parameters by name. `deep` has no effect: no parameter is an estimator."""
        return {name: getattr(self, name) for name in self._defaults()}

    def set_params(self, **params: Any) -> Self:  # noqa: ANN401 - of any parameter
        """Set parameters; the fitted state stays as it is.

        Args:
            params: Parameters by name. `settings__NAME` sets one of the settings and keeps the others, so that
                `GridSearchCV` can search over it.

        Returns:
            This object.

        Raises:
            UsageError: A name that is not a parameter.
        """
        known = self._defaults()
        nested = {name: name.partition("settings__")[2] for name in params if name.startswith("settings__")}
        if unknown := [name for name in params if name not in known and name not in nested]:
            raise UsageError(
                f"{type(self).__name__} has no parameter {', '.join(map(repr, unknown))}",
                remedy=f"Known: {', '.join(known)}.",
            )
        for name in params.keys() - nested.keys():
            setattr(self, name, params[name])
        if nested:
            # A new mapping: clones may share the old one.
            changes = {setting: params[name] for name, setting in nested.items()}
            self.settings = {**(self.settings or {}), **changes}
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


@contextlib.contextmanager
def naming_parameters() -> Iterator[None]:
    """Within the block, errors and warnings name settings as the estimator's parameters."""
    token = SPELLING.set(as_parameter)
    try:
        yield
    except WganError as error:
        error.spelling = as_parameter
        raise
    finally:
        SPELLING.reset(token)


def as_parameter(name: str, value: str | None) -> str:
    """Write a setting and its value as a user of the estimator gives it: `steps=5`, `settings={"packing": 2}`.

    Args:
        name: A setting.
        value: Its value as Python code; None to name the setting alone.
    """
    name = "random_state" if name == "seed" else name
    if value is None:
        return name
    return f"{name}={value}" if name in (*DIRECT, "random_state") else f'settings={{"{name}": {value}}}'


def checked_parameters(params: Mapping[str, Any]) -> tuple[dict[str, Any], Own]:
    """Check all parameters together, and collect the settings that they give.

    Args:
        params: The estimator's parameters by name.

    Returns:
        The settings that are given and not None, by name, with words in place of the user's own parts; and the parts.

    Raises:
        UsageError: Parameters that cannot be used with any data; all of them are listed.
    """
    values, faults = _given(params)
    objects = {name: values[name] for name in REGISTRIES if not isinstance(values.get(name), str | None)}
    faulty = {name: fault for name, value in objects.items() if (fault := fault_of(name, value))}
    faults += [f"{name} {fault}" for name, fault in faulty.items()]
    own = own_parts({name: value for name, value in objects.items() if name not in faulty})
    values = {name: value for name, value in values.items() if name not in faulty} | dict(own.words)
    try:
        start = _start(params["recipe"])
    except UsageError as error:
        start = Settings()
        faults.append(error.in_full)
    settings = dataclasses.replace(start, **run_settings(values), input=data_options(values))
    faults += [problem.removeprefix("input.") for problem in problems(settings)]
    already = {fault.partition(" ")[0] for fault in faults}
    faults += [
        f"{name}: {fault.in_full}" for name, fault in word_faults(settings, own.parts).items() if name not in already
    ]
    faults += [
        fault for fault in (_state_fault(params["random_state"]), _directory_fault(params["directory"])) if fault
    ]
    refuse(faults, noun="parameters")
    return values, own


def run_settings(values: Mapping[str, Any]) -> dict[str, Any]:
    """The values that belong to `Settings` itself."""
    return {name: value for name, value in values.items() if name not in _OPTIONS}


def data_options(values: Mapping[str, Any]) -> DataOptions:
    """The values that say how data is read."""
    return DataOptions(**{name: value for name, value in values.items() if name in _OPTIONS})


def _given(params: Mapping[str, Any]) -> tuple[dict[str, Any], list[str]]:
    """Collect what parameters and the mapping `settings` give, and list names that cannot be used."""
    direct = {name: params[name] for name in DIRECT}
    more = {} if params["settings"] is None else params["settings"]
    if not isinstance(more, Mapping):
        return direct, [f"settings must map names of settings to values, not {more!r}"]
    faults = []
    for name in more:
        if name in ELSEWHERE:
            faults.append(f"settings cannot contain {name!r}: it is given as {ELSEWHERE[name]}")
        elif name not in _OTHERS:
            faults.append(f"settings: there is no setting {name!r}. {did_you_mean(str(name), _OTHERS)}")
    given = direct | {name: value for name, value in more.items() if name in _OTHERS}
    return {name: _as_setting(name, value) for name, value in given.items() if value is not None}, faults


def _start(name: object) -> Settings:
    if name is None:
        return Settings()
    if not isinstance(name, str):
        raise UsageError(f"recipe must be a text or None, not {name!r}")
    return recipe(name)


def seed_of(random_state: Any) -> int:  # noqa: ANN401 - what scikit-learn takes there
    """Get a seed from an integer, from a NumPy generator (which is advanced), or from None (a new one each time).

    Raises:
        UsageError: Another type, or more than 64 bits.
    """
    if fault := _state_fault(random_state):
        raise UsageError(fault)
    if random_state is None:
        return secrets.randbits(62)
    if hasattr(random_state, "__index__"):
        return int(random_state.__index__())
    if hasattr(random_state, "integers"):
        return int(random_state.integers(2**62))
    return int(random_state.randint(2**31 - 1))


def _state_fault(random_state: Any) -> str:  # noqa: ANN401
    is_number = hasattr(random_state, "__index__")
    if not (random_state is None or is_number or hasattr(random_state, "integers") or hasattr(random_state, "randint")):
        return f"random_state must be a whole number, None or a NumPy generator, not {random_state!r}"
    if is_number and not -(2**63) <= random_state.__index__() < 2**63:
        return f"random_state must be a 64-bit whole number, not {random_state!r}"
    return ""


def _directory_fault(directory: object) -> str:
    return "" if isinstance(directory, str | Path | None) else f"directory must be a path or None, not {directory!r}"


def _as_setting(name: str, value: Any) -> Any:  # noqa: ANN401 - what the caller gave
    """A value as the settings have it: tuples, Python's own numbers, and names of columns as text."""
    if name not in PER_COLUMN:
        return _column_names(_plain(value)) if name in _COLUMNS else _plain(value)
    if isinstance(value, Mapping):
        return tuple(f"{name_of(_plain(column))}={_as_word(word)}" for column, word in value.items())
    return (_as_word(value),) if isinstance(value, str | bool) else _plain(value)


def _as_word(value: Any) -> str:  # noqa: ANN401
    return {True: "yes", False: "no"}[value] if isinstance(value, bool) else str(value)


def _column_names(value: Any) -> Any:  # noqa: ANN401
    """Labels of columns as the names that the columns are read by; labels of a pandas frame need not be text."""
    if not isinstance(value, tuple):
        return value
    return tuple(label if isinstance(label, str) or label is None else name_of(_plain(label)) for label in value)


def _plain(value: Any) -> Any:  # noqa: ANN401
    """A list, array or index as a tuple, and a NumPy scalar, as in grids of parameters, as a Python number."""
    if isinstance(value, list):
        return tuple(value)
    if getattr(value, "ndim", 0) == 1 and hasattr(value, "tolist"):
        return tuple(value.tolist())
    return value.item() if type(value).__module__ == "numpy" and getattr(value, "ndim", 1) == 0 else value
