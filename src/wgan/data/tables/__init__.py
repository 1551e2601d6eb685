"""Tables: .csv, .parquet and data frames, with numbers, categories, dates and missing cells."""

from __future__ import annotations

from wgan.data.tables.codec import TableCodec
from wgan.data.tables.source import TableSource, open_frame, open_table

__all__ = ["TableCodec", "TableSource", "open_frame", "open_table"]
