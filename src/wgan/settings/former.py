"""Names that runs on disk were written with before they got those of today.

Only what is read from files passes through here: settings, the settings noted in checkpoints, and lines of the record.
Python and the command line know today's names alone.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
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
"""Former names of settings, with those of today."""

PARAMETERS: dict[str, dict[str, str]] = {
    "adam": {"rate": "lr"},
    "dcgan": {"weights": "init"},
    "energy": {"pulling": "pull_away"},
    "penalty": {"place": "penalty_at", "sides=one": "one_sided=true", "sides=two": "one_sided=false"},
    "rmsprop": {"rate": "lr", "smoothing": "alpha"},
}
"""Former names of parameters, or of parameters with their values, by the word that they belong to."""

NUMBERS = {
    "astray": "off_support",
    "copied": "memorised",
    "copied_error": "memorised_error",
    "reached": "coverage",
}
"""Former names of numbers in the record."""

_CONDITIONAL = {
    "followed": "correlation",
    "ignored": "chance",
    "obeyed": "accuracy",
    "read": "classifier_accuracy",
}
_CONDITIONAL_KEY = re.compile(rf"(unseen_)?({'|'.join(_CONDITIONAL)})(_.*)?", re.DOTALL)


def todays_settings(values: Mapping[str, Any]) -> dict[str, Any]:
    """Settings as a file has them, under the names of today; what is no former name stays as it is."""
    return {SETTINGS.get(name, name): todays_word(value) for name, value in values.items()}


def todays_word(value: Any) -> Any:  # noqa: ANN401 - whatever a file holds
    """A word such as "adam:rate=0.001" with the parameters of today; any other value as it is."""
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
