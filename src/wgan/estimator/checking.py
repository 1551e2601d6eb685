"""The estimator's parameters, checked all together before any data is read, and named as its users name them."""

from __future__ import annotations

import dataclasses
import secrets
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from wgan.errors import UsageError
from wgan.estimator.forms import name_of
from wgan.settings import PER_COLUMN, DataOptions, Settings, problems, refuse
from wgan.settings.recipes import recipe
from wgan.training.custom import Own, fault_of, own_parts
from wgan.training.factory import REGISTRIES, word_faults

_OPTIONS = frozenset(item.name for item in dataclasses.fields(DataOptions))
_SETTINGS = frozenset(item.name for item in dataclasses.fields(Settings)) - {"recipe"}
_RENAMED = {"fit_images": "fit", "pixel_range": "range"}
_COLUMNS = ("categorical", "numeric", "ignore", "condition", "text")

CALLED = {"fit": "fit_images", "range": "pixel_range", "seed": "random_state"}
"""Settings that are parameters of the estimator under another name."""


def given_settings(params: Mapping[str, Any]) -> dict[str, Any]:
    """The parameters that set something of a run and are not None, by the setting's name."""
    return {name: _plain(value) for name, value in params.items() if name in _SETTINGS and value is not None}


def given_options(params: Mapping[str, Any]) -> dict[str, Any]:
    """The parameters that set how data is read and are not None, by the option's name."""
    named = {_RENAMED.get(name, name): value for name, value in params.items()}
    given = {name: value for name, value in named.items() if name in _OPTIONS and value is not None}
    return {name: _as_option(name, value) for name, value in given.items()}


def _as_option(name: str, value: Any) -> Any:  # noqa: ANN401 - what the caller gave
    if name in PER_COLUMN:
        return _in_words(value)
    return _names(_plain(value)) if name in _COLUMNS else _plain(value)


def usable_parameters(params: Mapping[str, Any]) -> tuple[dict[str, Any], Own]:
    """Put words in the place of the user's own parts, and raise one error that lists every faulty parameter.

    Args:
        params: The estimator's parameters by name.

    Returns:
        The parameters with words, and the parts.

    Raises:
        UsageError: If any parameter cannot be used, whatever the data.
    """
    given = {
        name: params[name] for name in REGISTRIES if params[name] is not None and not isinstance(params[name], str)
    }
    faulty = {name: fault for name, value in given.items() if (fault := fault_of(name, value))}
    own = own_parts({name: value for name, value in given.items() if name not in faulty})
    worded = {**params, **dict.fromkeys(faulty), **own.words}
    _refuse_parameters(worded, own, [f"{name} {fault}" for name, fault in faulty.items()])
    return worded, own


def _refuse_parameters(params: Mapping[str, Any], own: Own, faults: list[str]) -> None:
    named = params["recipe"]
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
    for setting, fault in word_faults(settings, own.parts).items():
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


def _in_words(value: Any) -> Any:  # noqa: ANN401 - what the caller gave
    """What is said of how numbers and dates are written, of all columns or by their names, as the options say it."""
    if isinstance(value, Mapping):
        return tuple(f"{name_of(_plain(name))}={_in_word(word)}" for name, word in value.items())
    return (_in_word(value),) if isinstance(value, str | bool) else _plain(value)


def _in_word(value: Any) -> str:  # noqa: ANN401
    return {True: "yes", False: "no"}[value] if isinstance(value, bool) else str(value)


def _names(value: Any) -> Any:  # noqa: ANN401
    """Labels of columns, which need not be text in a pandas frame, as the text that they are read by."""
    if not isinstance(value, tuple):
        return value
    return tuple(label if isinstance(label, str) or label is None else name_of(_plain(label)) for label in value)


def _plain(value: Any) -> Any:  # noqa: ANN401
    """A list, array or index as a tuple, and a number of NumPy's, as grids of parameters hold them, as Python's own."""
    if isinstance(value, list):
        return tuple(value)
    if getattr(value, "ndim", 0) == 1 and hasattr(value, "tolist"):
        return tuple(value.tolist())
    return value.item() if type(value).__module__ == "numpy" and getattr(value, "ndim", 1) == 0 else value
