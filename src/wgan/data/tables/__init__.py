"""Tables: .csv, .parquet and data frames, with numbers, categories, dates and missing cells."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from wgan.data.tables.codec import TableCodec
    from wgan.data.tables.source import TableSource, open_frame, open_table

__all__ = ["TableCodec", "TableSource", "open_frame", "open_table"]

# Fetched when first asked for: conditions take a table's columns, and tables have conditions.
_HOME = {"TableCodec": "codec", "TableSource": "source", "open_frame": "source", "open_table": "source"}


def __getattr__(name: str) -> Any:  # noqa: ANN401 - whatever the room holds under that name
    if name in _HOME:
        return getattr(importlib.import_module(f"wgan.data.tables.{_HOME[name]}"), name)
    raise AttributeError(f"module 'wgan.data.tables' has no attribute '{name}'")


def __dir__() -> list[str]:
    return sorted(__all__)
