"""Describe how two codecs differ: why a run cannot be resumed with other data. This file does not import torch."""

from __future__ import annotations

from typing import Any

_MAX_SHOWN = 60
_DECODING_ONLY = ("given", "grid", "calendar")


def codec_differences(old: dict[str, Any], new: dict[str, Any]) -> list[str]:
    """List the differences between the data of a run and other data.

    Args:
        old: The codec's state that the run stored.
        new: The codec's state of the other data.

    Returns:
        A line for each field that differs; empty if there is none. Other fields are compared only if the kinds are
        equal.

    Example:
        >>> codec_differences({"kind": "points", "num_columns": 2}, {"kind": "points", "num_columns": 3})
        ['num columns: 3, was 2']
    """
    if old.get("kind") != new.get("kind"):
        return [f"kind: {new.get('kind')}, was {old.get('kind')}"]
    return list(_compare("", seen_by_networks(old), seen_by_networks(new)))


def seen_by_networks(state: dict[str, Any]) -> dict[str, Any]:
    """The state of a codec, a column or a condition without the fields that only decoding uses.

    Earlier versions did not store those fields, and their runs can be resumed: fingerprints and comparisons ignore
    them.

    Args:
        state: Plain JSON values.
    """
    seen = {name: value for name, value in state.items() if name not in _DECODING_ONLY}
    for name in ("columns", "conditions"):
        if isinstance(seen.get(name), list):
            seen[name] = [seen_by_networks(item) if isinstance(item, dict) else item for item in seen[name]]
    return seen


def _compare(where: str, old: Any, new: Any) -> list[str]:  # noqa: ANN401 - any JSON value
    if old == new:
        return []
    if isinstance(old, dict) and isinstance(new, dict):
        keys = [*old, *(key for key in new if key not in old)]
        # A column of another type differs in all other fields too.
        if "type" in keys and old.get("type") != new.get("type"):
            keys = ["type"]
        return [line for key in keys for line in _compare(_join(where, key), old.get(key), new.get(key))]
    if _are_named(old) and _are_named(new):
        return _compare_named(where, old, new)
    if isinstance(old, list) and isinstance(new, list):
        return [_compare_lists(where, old, new)]
    return [f"{where}: {_show(new)}, was {_show(old)}"]


def _compare_named(where: str, old: list[dict[str, Any]], new: list[dict[str, Any]]) -> list[str]:
    before, after = ({item["name"]: item for item in items} for items in (old, new))
    removed = [f"{where}: '{name}' is missing" for name in before if name not in after]
    added = [f"{where}: '{name}' is new" for name in after if name not in before]
    changed = [
        line for name in before if name in after for line in _compare(f"{where}, '{name}'", before[name], after[name])
    ]
    lines = removed + added + changed
    return lines or [f"{where}: in the order {_show(list(after))}, was {_show(list(before))}"]


def _compare_lists(where: str, old: list[Any], new: list[Any]) -> str:
    gained, lost = [item for item in new if item not in old], [item for item in old if item not in new]
    if all(isinstance(item, str) for item in old + new) and (gained or lost):
        parts = [f"gained {_show(gained)}"] * bool(gained) + [f"lost {_show(lost)}"] * bool(lost)
        return f"{where}: {', '.join(parts)}"
    return f"{where}: {_show(new)}, was {_show(old)}"


def _are_named(value: object) -> bool:
    return isinstance(value, list) and bool(value) and all(isinstance(item, dict) and "name" in item for item in value)


def _join(where: str, key: str) -> str:
    words = key.replace("_", " ")
    return f"{where}, {words}" if where else words


def _show(value: object) -> str:
    if isinstance(value, list):
        text = ", ".join(repr(item) if isinstance(item, str) else str(item) for item in value)
    else:
        text = "nothing" if value is None else str(value)
    return text if len(text) <= _MAX_SHOWN else f"{text[:_MAX_SHOWN]}..."
