"""Which options apply to which data: one that was set and means nothing is refused, not ignored."""

from __future__ import annotations

import dataclasses
from pathlib import Path

from wgan.data.contents import table_format
from wgan.data.names import format_of, kind_of
from wgan.errors import UsageError
from wgan.settings import PER_COLUMN, DataOptions

SAMPLER = frozenset({"condition"})
DESCRIBED = frozenset({"condition", "text", "embedding", "unseen"})
POINTS = frozenset({"held_out", "scaling", "missing"}) | DESCRIBED
_COLUMNS = frozenset({"categorical", "numeric", "missing", "max_categories"}) | set(PER_COLUMN)
TABLE = frozenset({"held_out", "ignore"}) | _COLUMNS | DESCRIBED
CSV = TABLE | {"header"}
PIXELS = frozenset({"held_out", "size", "mode", "fit", "range"}) | DESCRIBED
ENCODED_IMAGES = PIXELS | {"skip_broken"}
_OF_CONDITIONS = _COLUMNS
"""What applies to conditions that are no columns of the data, beside what applies to the data."""


def of_table(path: Path) -> frozenset[str]:
    """What applies to a file of a table."""
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
    return of_table(Path(data)) if form == "table" else ENCODED_IMAGES


def check_applies(options: DataOptions, applicable: frozenset[str], what: str) -> None:
    """Refuse options that were set and mean nothing for the data at hand.

    Args:
        options: As the user gave them.
        applicable: Those that mean something.
        what: The data, as a person says it.

    Raises:
        UsageError: All that do not apply, and those that do.
    """
    if options.condition and applicable >= DESCRIBED:
        applicable = applicable | _OF_CONDITIONS
    plain, names = DataOptions(), [field.name for field in dataclasses.fields(options)]
    wrong = [
        spelt(name, getattr(options, name))
        for name in names
        if name not in applicable and getattr(options, name) != getattr(plain, name)
    ]
    if wrong:
        known = ", ".join(spelt(name) for name in names if name in applicable)
        raise UsageError(f"{', '.join(wrong)} cannot be used with {what}", remedy=f"Those that can: {known or 'none'}.")


def spelt(name: str, value: object = None) -> str:
    """An option as the command line takes it, with its value where that is told."""
    flag = "--no-header" if name == "header" else "--" + name.replace("_", "-")
    return flag if value is None or isinstance(value, bool) else f"{flag} {value!r}"
