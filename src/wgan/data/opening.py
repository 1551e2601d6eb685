"""From what the user named or brought to a `Source`: the one place that decides which reader takes it."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import torch

from wgan.data.arrays import as_array, open_array, open_array_file
from wgan.data.names import Format, format_of
from wgan.data.points import PointsCodec
from wgan.data.source import Codec, Source
from wgan.data.toys import TOYS, ToySource
from wgan.errors import CheckpointError, DataError, UsageError
from wgan.settings import DataOptions

_POINTS = frozenset({"held_out", "scaling", "missing"})
_TABLE = frozenset({"held_out", "missing", "categorical", "numeric", "ignore"})
_IMAGES = frozenset({"held_out", "size", "mode", "fit", "skip_broken"})


def open_data(data: str | Path | object, options: DataOptions, *, seed: int, cache: Path | None = None) -> Source:
    """Open whatever the user named or brought.

    Args:
        data: A built-in name, a path, an array, a tensor, or a data frame (pandas, polars, Arrow).
        options: How to read it. An option that does not apply to what is found is an error.
        seed: Of the split into rows to train on and rows to judge on.
        cache: A folder for packed images, so that they are decoded once; None for memory only.

    Returns:
        The source.

    Raises:
        UsageError: A missing path, an unknown ending, an option that does not apply.
        DataError: Data that cannot be read or learnt from.
    """
    _check_ranges(options)
    if isinstance(data, str | Path):
        return _open_named(str(data), options, seed, cache)
    if hasattr(data, "__arrow_c_stream__"):
        from wgan.data.tables import open_frame

        _check_applies(options, _TABLE, "a data frame")
        return open_frame(data, options, name="data frame", seed=seed)
    if isinstance(data, np.ndarray | torch.Tensor | list | tuple):
        array = as_array(data, "array")
        _check_applies(options, _IMAGES if array.ndim >= 3 else _POINTS, "an array")
        return open_array(array, options, name="array", seed=seed)
    raise DataError(
        f"an object of type {type(data).__name__} cannot be read as data",
        remedy="Taken: a name or path, a NumPy array, a torch tensor, or a data frame (pandas, polars, Arrow).",
    )


def codec_from_state(state: dict[str, Any]) -> Codec:
    """Build a codec from what its `state` returned.

    Args:
        state: Plain JSON values, as a run keeps them.

    Returns:
        The codec.

    Raises:
        CheckpointError: The state is of an unknown kind or lacks something.
    """
    kind = state.get("kind")
    try:
        if kind == "points":
            return PointsCodec.from_state(state)
        if kind == "table":
            from wgan.data.tables import TableCodec

            return TableCodec.from_state(state)
        if kind == "images":
            from wgan.data.images import ImageCodec

            return ImageCodec.from_state(state)
    except (KeyError, TypeError, ValueError, IndexError) as error:
        raise CheckpointError(
            f"the stored preprocessing of this run ({kind}) cannot be read: {type(error).__name__}: {error}",
            remedy="It is damaged or of another version.",
        ) from None
    raise CheckpointError(
        f"the stored preprocessing of this run is of the kind {kind!r}", remedy="Known: points, table, images."
    )


def _open_named(name: str, options: DataOptions, seed: int, cache: Path | None) -> Source:
    form = format_of(name)
    if form == "built-in" and name in TOYS:
        _check_applies(options, frozenset(), f"the sampler {name}")
        return ToySource(name)
    if form == "built-in":
        from wgan.data.images import open_embedded

        _check_applies(options, _IMAGES, name)
        return open_embedded(options, seed=seed, cache=cache)
    path = Path(name)
    # A line break in a file's name must not break the messages that show it.
    name = name if name.isprintable() else repr(name)[1:-1]
    _check_applies(options, _applicable(form, path), f"{name} ({_NOUNS[form]})")
    if form == "array":
        return open_array_file(path, options, name=name, seed=seed)
    if form == "table":
        from wgan.data.tables import open_table

        return open_table(path, options, name=name, seed=seed)
    from wgan.data.images import open_images

    return open_images(path, options, seed=seed, cache=cache)


_NOUNS = {"array": "an array", "table": "a table", "images": "images", "built-in": "built in"}


def _applicable(form: Format, path: Path) -> frozenset[str]:
    if form == "table":
        return _TABLE | {"header"} if path.name.lower().endswith(".csv") else _TABLE
    if form == "array":
        from wgan.data.names import kind_of

        return _IMAGES if kind_of(str(path)) == "images" else _POINTS
    return _IMAGES


def _check_applies(options: DataOptions, applicable: frozenset[str], what: str) -> None:
    """Refuse options that were set and mean nothing here; all of them are listed."""
    wrong = [
        f"{_spell(field.name)} {getattr(options, field.name)!r}" if field.name != "header" else _spell(field.name)
        for field in dataclasses.fields(options)
        if field.name not in applicable
        and getattr(options, field.name)
        != (field.default if field.default is not dataclasses.MISSING else getattr(DataOptions(), field.name))
    ]
    if wrong:
        known = ", ".join(_spell(field.name) for field in dataclasses.fields(options) if field.name in applicable)
        raise UsageError(f"{', '.join(wrong)} cannot be used with {what}", remedy=f"These can: {known or 'none'}.")


def _check_ranges(options: DataOptions) -> None:
    if not 0 <= options.held_out <= 0.5:
        raise UsageError(
            f"--held-out {options.held_out} is not a share between 0 and 0.5", remedy="The default is 0.1."
        )
    if len(options.size) != 2 or min(options.size) < 0:
        raise UsageError(f"--size {options.size} is not a height and a width", remedy="Example: --size 64 64.")


def _spell(name: str) -> str:
    return "--no-header" if name == "header" else "--" + name.replace("_", "-")
