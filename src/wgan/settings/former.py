"""Former names in the files of older runs, and the names of today.

Only what is read from files is renamed: settings, the settings noted in checkpoints, the parameters of saved
estimators, and lines of the record. Python and the command line accept only today's names.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

SETTINGS = {
    "average": "ema_decay",
    "decay": "lr_schedule",
    "examine": "diagnose",
    "judge_every": "eval_every",
    "judge_rounds": "eval_repeats",
    "judge_size": "eval_size",
    "most_critic_steps": "max_critic_steps",
    "noise_size": "latent_dim",
    "record_every": "log_every",
    "schedule": "critic_schedule",
}
"""Former name of a setting to the name of today."""

ESTIMATOR = {"fit_images": "fit", "pixel_range": "range"}
"""Settings that were parameters of the estimator under another name."""

PARAMETERS: dict[str, dict[str, str]] = {
    "adam": {"rate": "lr"},
    "dcgan": {"weights": "init"},
    "energy": {"pulling": "pull_away"},
    "penalty": {"place": "penalty_at", "sides=one": "one_sided=true", "sides=two": "one_sided=false"},
    "rmsprop": {"rate": "lr", "smoothing": "alpha"},
}
"""For each word, former parameters, or parameters with a value, to those of today."""

NUMBERS = {
    "astray": "off_support",
    "copied": "memorised",
    "copied_error": "memorised_error",
    "reached": "coverage",
}
"""Former name of a number in the record to the name of today."""

_CONDITIONAL = {
    "followed": "correlation",
    "ignored": "chance",
    "obeyed": "accuracy",
    "read": "classifier_accuracy",
}
_CONDITIONAL_KEY = re.compile(rf"(unseen_)?({'|'.join(_CONDITIONAL)})(_.*)?", re.DOTALL)


def todays_settings(values: Mapping[str, Any]) -> dict[str, Any]:
    """Settings as a file has them, under the names of today. Other names are kept."""
    return {SETTINGS.get(name, name): todays_word(value) for name, value in values.items()}


def todays_parameters(params: Mapping[str, Any], known: Iterable[str]) -> dict[str, Any]:
    """Parameters of the estimator as a file has them, under the names of today.

    Args:
        params: The parameters. Once each setting was a parameter; now most are given in the parameter `settings`.
        known: The names of the parameters of today.
    """
    named = {ESTIMATOR.get(name, name): value for name, value in todays_settings(params).items()}
    current = {name: named.pop(name) for name in known if name in named}
    others = {name: value for name, value in named.items() if value is not None}
    return current | ({"settings": others} if others else {})


def todays_word(value: Any) -> Any:  # noqa: ANN401 - whatever a file holds
    """A word such as "adam:rate=0.001" with the parameters of today. Other values are returned unchanged."""
    if not isinstance(value, str):
        return value
    name, colon, rest = value.partition(":")
    renamed = PARAMETERS.get(name.strip())
    if not colon or renamed is None:
        return value
    parts = []
    for part in rest.split(","):
        key, equals, given = part.partition("=")
        key, given = key.strip(), given.strip()
        parts.append(renamed.get(f"{key}={given}") or f"{renamed.get(key, key)}{equals}{given}")
    return f"{name}:{','.join(parts)}"


def todays_line(line: Mapping[str, Any]) -> dict[str, Any]:
    """A line of the record under the names of today."""
    return {_todays_number(name): value for name, value in line.items()}


def _todays_number(name: str) -> str:
    if found := _CONDITIONAL_KEY.fullmatch(name):
        return f"{found[1] or ''}{_CONDITIONAL[found[2]]}{found[3] or ''}"
    return NUMBERS.get(name, name)
