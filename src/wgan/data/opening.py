"""Open data: choose the reader for a name, a path or an object. Also codecs and conditions from stored state."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import torch

from wgan.data.applying import SAMPLER, TABLE, check_applies, of_table
from wgan.data.arrays import open_array, open_array_file
from wgan.data.conditions import Conditions
from wgan.data.names import format_of
from wgan.data.points import PointsCodec
from wgan.data.row_conditions import refuse_leftovers
from wgan.data.soundness import check_codec, check_conditions
from wgan.data.source import Codec, Source
from wgan.data.tables.codec import TableCodec
from wgan.data.tables.source import open_frame, open_table
from wgan.data.toys import TOYS, ToySource
from wgan.errors import CheckpointError, DataError, UsageError, WganError
from wgan.settings import DataOptions, Settings, check
from wgan.system.memory import memory_faults
from wgan.system.text import escaped
from wgan.system.torch_state import in_usual_state


@in_usual_state
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
            raise UsageError("labels cannot be given beside a name or a path", remedy="Name a condition of the data.")
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


def codec_from_state(state: dict[str, Any]) -> Codec:
    """Build a codec from its `state`.

    Args:
        state: Plain JSON values, as stored in a run directory.

    Raises:
        CheckpointError: The state is of an unknown kind or incomplete.
    """
    kind = state.get("kind") if isinstance(state, dict) else None
    if kind not in ("points", "table", "images"):
        raise CheckpointError(
            f"the stored preprocessing of this run is of the kind {str(kind)[:80]!r}",
            remedy="Known: points, table, images.",
        )
    with _unreadable(f"the stored preprocessing of this run ({kind})"):
        codec: Codec = _codec_class(kind).from_state(state)
        check_codec(codec)
        return codec


@contextlib.contextmanager
def _unreadable(what: str) -> Iterator[None]:
    """Convert exceptions that damaged or edited values cause in the block into a `CheckpointError`."""
    try:
        yield
    except WganError:
        raise
    except Exception as error:
        reason = " ".join(str(error).split())[:300]
        raise CheckpointError(
            f"{what} cannot be read: {type(error).__name__}: {reason}", remedy="It is damaged or of another version."
        ) from None


def _codec_class(kind: str) -> Any:  # noqa: ANN401 - the classes share only a protocol
    if kind == "points":
        return PointsCodec
    if kind == "table":
        return TableCodec
    # Images are imported where they are needed: Pillow is slow to import.
    from wgan.data.images import ImageCodec

    return ImageCodec


def conditions_from_state(state: dict[str, Any] | None) -> Conditions | None:
    """Build conditions from their `state`; None in an unconditional run.

    Raises:
        CheckpointError: The state is incomplete or of another version.
    """
    if state is None:
        return None
    with _unreadable("the stored conditions of this run"):
        conditions = Conditions.from_state(state)
        check_conditions(conditions)
        return conditions


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
        check_applies(options, of_table(path), f"{name} (a table)")
        return open_table(path, options, name=name, seed=seed)
    from wgan.data.images import open_images

    return open_images(path, options, seed=seed, cache=cache)
