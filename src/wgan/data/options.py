"""Which data options apply to which kind of data: options that have no effect are refused."""

from __future__ import annotations

import dataclasses
from pathlib import Path

from wgan.data.contents import table_format
from wgan.data.names import format_of, kind_of
from wgan.errors import UsageError
from wgan.settings import PER_COLUMN, DataOptions

SAMPLER = frozenset({"condition"})
CONDITIONS = frozenset({"condition", "text", "embedding", "unseen"})
POINTS = frozenset({"held_out", "scaling", "missing"}) | CONDITIONS
_COLUMNS = frozenset({"categorical", "numeric", "missing", "max_categories"}) | set(PER_COLUMN)
TABLE = frozenset({"held_out", "ignore"}) | _COLUMNS | CONDITIONS
CSV = TABLE | {"header"}
PIXELS = frozenset({"held_out", "size", "mode", "fit", "range"}) | CONDITIONS
ENCODED_IMAGES = PIXELS | {"skip_broken"}


def options_of_table(path: Path) -> frozenset[str]:
    """The options that apply to a file of a table."""
    known, _ = table_format(path)
    return TABLE if known is not None and known.named_columns else CSV


def applicable_to(data: str) -> frozenset[str]:
    """The options that apply to a built-in name or a path.

    Raises:
        UsageError: The path does not exist, or is of no known format.
    """
    form, kind = format_of(data), kind_of(data)
    if form == "built-in":
        return SAMPLER if kind == "points" else PIXELS
    if form == "array":
        return POINTS if kind == "points" else PIXELS
    return options_of_table(Path(data)) if form == "table" else ENCODED_IMAGES


def check_applies(options: DataOptions, applicable: frozenset[str], noun: str) -> None:
    """Refuse options that are set and do not apply to the data.

    Args:
        options: As the user gave them.
        applicable: Names of those that apply.
        noun: The data, for the message.

    Raises:
        UsageError: Names all options that do not apply, and those that do.
    """
    if options.condition and applicable >= CONDITIONS:
        # Conditions of points and images come from a table.
        applicable = applicable | _COLUMNS
    defaults, names = DataOptions(), [field.name for field in dataclasses.fields(options)]
    wrong = [
        option_text(name, getattr(options, name))
        for name in names
        if name not in applicable and getattr(options, name) != getattr(defaults, name)
    ]
    if wrong:
        known = ", ".join(option_text(name) for name in names if name in applicable)
        raise UsageError(
            f"{', '.join(wrong)} cannot be used with {noun}", remedy=f"Options that apply: {known or 'none'}."
        )


def option_text(name: str, value: object = None) -> str:
    """An option as the command line takes it, with its value if one is given."""
    flag = "--no-header" if name == "header" else "--" + name.replace("_", "-")
    return flag if value is None or isinstance(value, bool) else f"{flag} {value!r}"
