"""Open the data of a run: when it begins, and again later, when it may have moved."""

from __future__ import annotations

import dataclasses
import os
import shlex
from pathlib import Path

from wgan.data import codec_from_state, open_data
from wgan.data.names import BUILT_IN
from wgan.data.points import PointsCodec
from wgan.data.source import Source
from wgan.errors import UsageError
from wgan.runs.files import RunFiles
from wgan.runs.metadata import read_source
from wgan.settings import DataOptions, Settings

CACHE = ".wgan-cache"
"""The folder next to the runs where images are packed, once for all runs."""


def open_again(settings: Settings, files: RunFiles) -> Source:
    """Open the data that a run was begun with.

    Raises:
        UsageError: It was an object in memory, or its path no longer leads anywhere.
    """
    settings = dataclasses.replace(settings, input=_as_before(settings.input, files))
    try:
        return open_first(settings, files)
    except UsageError as error:
        if settings.data.startswith("<") or settings.data in BUILT_IN or Path(settings.data).exists():
            raise
        run = shlex.quote(str(files.root))
        raise UsageError(
            error.message,
            remedy="If the data has moved, say where it is now: "
            f"wgan train DATA --resume {run}, or wgan evaluate {run} --data DATA.",
        ) from None


def _as_before(options: DataOptions, files: RunFiles) -> DataOptions:
    """The options that a run of any version read its data with: booleans were once scaled like numbers."""
    codec = codec_from_state(read_source(files)["codec"])
    if not isinstance(codec, PointsCodec) or codec.dtype.kind != "b" or codec.bounded or options.scaling != "auto":
        return options
    return dataclasses.replace(options, scaling="each" if codec.unit is None else "common")


def open_first(settings: Settings, files: RunFiles) -> Source:
    """Open the data that a run is trained on.

    Raises:
        UsageError: It was an object in memory, or its path leads nowhere.
        DataError: It cannot be read or learnt from.
    """
    if settings.data.startswith("<"):
        raise UsageError(
            f"the run in '{files.root}' was trained on data in memory, {settings.data}, which is no longer there",
            remedy="Open the data in Python and pass it: source=open_data(...).",
        )
    return open_data(settings.data, settings.input, seed=settings.seed, cache=files.root.parent / CACHE)


def moved(settings: Settings, data: str) -> Settings:
    """The settings of a run whose data is elsewhere now."""
    return dataclasses.replace(settings, data=absolute(data, is_open=False))


def absolute(data: str, *, is_open: bool) -> str:
    """A path that is valid in any working directory; names of built-in data as they are."""
    if is_open or data in BUILT_IN or not data:
        return data
    try:
        return os.path.abspath(data) if Path(data).exists() else data  # noqa: PTH100 - links stay as they were named
    except (OSError, ValueError):
        return data
