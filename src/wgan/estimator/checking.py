"""The estimator's parameters, checked all together before any data is read, and named as its users name them."""

from __future__ import annotations

import dataclasses
import secrets
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from wgan.assembly import word_faults
from wgan.errors import UsageError
from wgan.recipes import recipe
from wgan.settings import DataOptions, Settings, problems, refuse

_OPTIONS = frozenset(item.name for item in dataclasses.fields(DataOptions))
_SETTINGS = frozenset(item.name for item in dataclasses.fields(Settings)) - {"recipe"}
_RENAMED = {"fit_images": "fit"}


def given_settings(params: Mapping[str, Any]) -> dict[str, Any]:
    """The parameters that set something of a run and are not None, by the setting's name."""
    return {name: _plain(value) for name, value in params.items() if name in _SETTINGS and value is not None}


def given_options(params: Mapping[str, Any]) -> dict[str, Any]:
    """The parameters that set how data is read and are not None, by the option's name."""
    named = {_RENAMED.get(name, name): value for name, value in params.items()}
    return {name: _plain(value) for name, value in named.items() if name in _OPTIONS and value is not None}


def refuse_parameters(params: Mapping[str, Any]) -> None:
    """Raise one error that lists every parameter which cannot be used, whatever the data.

    Raises:
        UsageError: If there is any.
    """
    named = params["recipe"]
    faults = []
    try:
        start = Settings() if named is None else recipe(_text(named, "recipe"))
    except UsageError as error:
        start = Settings()
        faults.append(error.in_full)
    settings = dataclasses.replace(start, **given_settings(params), input=DataOptions(**given_options(params)))
    spelt = {f"input.{setting}": name for name, setting in _RENAMED.items()}
    for problem in problems(settings):
        setting, _, rest = problem.partition(" ")
        faults.append(f"{spelt.get(setting, setting.removeprefix('input.'))} {rest}")
    spoken_for = {fault.partition(" ")[0] for fault in faults}
    for setting, fault in word_faults(settings).items():
        if setting not in spoken_for:
            faults.append(f"{setting}: {fault.in_full}")
    for name, check in (("random_state", _refuse_state), ("directory", _refuse_directory)):
        try:
            check(params[name])
        except UsageError as error:
            faults.append(error.message)
    refuse(faults, noun="parameters")


def seed_of(random_state: Any) -> int:  # noqa: ANN401 - what scikit-learn takes there
    """A seed from an integer, a NumPy generator (which it advances), or None (another one each time).

    Raises:
        UsageError: It is none of these, or takes more than 64 bits.
    """
    _refuse_state(random_state)
    if random_state is None:
        return secrets.randbits(62)
    if hasattr(random_state, "__index__"):
        return int(random_state.__index__())
    if hasattr(random_state, "integers"):
        return int(random_state.integers(2**62))
    return int(random_state.randint(2**31 - 1))


def _refuse_state(random_state: Any) -> None:  # noqa: ANN401
    is_number = hasattr(random_state, "__index__")
    if not (random_state is None or is_number or hasattr(random_state, "integers") or hasattr(random_state, "randint")):
        raise UsageError(f"random_state must be a whole number, None or a NumPy generator, not {random_state!r}")
    if is_number and not -(2**63) <= random_state.__index__() < 2**63:
        raise UsageError(f"random_state must be a 64-bit whole number, not {random_state!r}")


def _refuse_directory(directory: Any) -> None:  # noqa: ANN401
    if directory is not None and not isinstance(directory, str | Path):
        raise UsageError(f"directory must be a path or None, not {directory!r}")


def _text(value: Any, name: str) -> str:  # noqa: ANN401
    if not isinstance(value, str):
        raise UsageError(f"{name} must be a text or None, not {value!r}")
    return value


def _plain(value: Any) -> Any:  # noqa: ANN401
    """A list as a tuple, and a number of NumPy's, as grids of parameters hold them, as Python's own."""
    if isinstance(value, list):
        return tuple(value)
    return value.item() if type(value).__module__ == "numpy" and getattr(value, "ndim", 1) == 0 else value
