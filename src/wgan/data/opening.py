"""Open data: choose the reader for a name, a path or an object. Also codecs and conditions from stored state."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import torch

from wgan.data.arrays import open_array, open_array_file
from wgan.data.names import format_of
from wgan.data.options import SAMPLER, TABLE, check_applies, options_of_table
from wgan.data.row_conditions import refuse_leftovers
from wgan.data.source import Source
from wgan.data.tables.source import open_frame, open_table
from wgan.data.toy_source import ToySource
from wgan.data.toys import TOYS
from wgan.errors import DataError, UsageError
from wgan.settings import DataOptions, Settings, check
from wgan.system.memory import memory_faults
from wgan.system.text import escaped
from wgan.system.torch_state import in_default_state


@in_default_state
@memory_faults(
    "while the data was read", "Give fewer rows, smaller images, or data in a file that can be mapped (.npy)."
)
def open_data(
    data: str | Path | object,
    options: DataOptions,
    *,
    seed: int,
    cache: Path | None = None,
    labels: pa.Table | None = None,
) -> Source:
    """Open data as a source.

    Args:
        data: A built-in name, a path, an array, a tensor, or a data frame (pandas, polars, Arrow).
        options: How to read it. An option that does not apply to the data is an error.
        seed: Seed of the split into training and held-out rows.
        cache: A folder for decoded images, so that they are decoded once; None to keep them in memory.
        labels: Conditions for the rows of an array or a data frame, as many rows.

    Raises:
        UsageError: A missing path, an unknown ending, or an option that does not apply or is out of range.
        DataError: Data that cannot be read or learnt from.
    """
    check(Settings(input=options))
    refuse_leftovers(options)
    if isinstance(data, str | Path):
        if labels is not None:
            raise UsageError("labels cannot be given with a name or a path", remedy="Name a condition of the data.")
        return _open_named(str(data), options, seed, cache)
    if hasattr(data, "__arrow_c_stream__"):
        check_applies(options, TABLE, "a data frame")
        return open_frame(data, options, name="data frame", seed=seed, labels=labels)
    if isinstance(data, np.ndarray | torch.Tensor | list | tuple):
        return open_array(data, options, name="array", seed=seed, labels=labels)
    raise DataError(
        f"an object of type {type(data).__name__} cannot be read as data",
        remedy="Supported: a name or path, a NumPy array, a torch tensor, or a data frame (pandas, polars, Arrow).",
    )


def _open_named(name: str, options: DataOptions, seed: int, cache: Path | None) -> Source:
    form = format_of(name)
    if form == "built-in" and name in TOYS:
        check_applies(options, SAMPLER, f"the sampler {name}")
        return ToySource(name, options)
    if form == "built-in":
        from wgan.data.images import open_embedded

        return open_embedded(options, seed=seed, cache=cache)
    path, name = Path(name), escaped(name)
    if form == "array":
        return open_array_file(path, options, name=name, seed=seed)
    if form == "table":
        check_applies(options, options_of_table(path), f"{name} (a table)")
        return open_table(path, options, name=name, seed=seed)
    from wgan.data.images import open_images

    return open_images(path, options, seed=seed, cache=cache)
