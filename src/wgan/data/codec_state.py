"""Read the stored states of codecs and conditions, and check them: files may be edited by hand or damaged."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import numpy as np
import torch

from wgan.data.columns import Category, Number
from wgan.data.conditions import Conditions
from wgan.data.points import PointsCodec
from wgan.data.scaling import Scaling
from wgan.data.source import Codec
from wgan.data.tables.codec import TableCodec
from wgan.errors import CheckpointError, WganError

_MAX_SIDE = 1 << 16
_MAX_NUMBER_BYTES = 16
_TRIAL_ROWS = 16


def codec_from_state(state: dict[str, Any]) -> Codec:
    """Build a codec from its stored state.

    Args:
        state: Plain JSON values, as `Codec.state` returns them.

    Returns:
        The codec.

    Raises:
        CheckpointError: The state is of an unknown kind, incomplete or invalid.
    """
    kind = state.get("kind") if isinstance(state, dict) else None
    if kind not in ("points", "table", "images"):
        raise CheckpointError(
            f"the stored preprocessing of this run is of the kind {str(kind)[:80]!r}",
            remedy="Known: points, table, images.",
        )
    with _unreadable_as_errors(f"the stored preprocessing of this run ({kind})"):
        codec: Codec = _codec_class(kind).from_state(state)
        _check_codec(codec)
        return codec


@contextlib.contextmanager
def _unreadable_as_errors(what: str) -> Iterator[None]:
    """Turn any exception within the block, which invalid values may raise, into a CheckpointError."""
    try:
        yield
    except WganError:
        raise
    except Exception as error:
        reason = " ".join(str(error).split())[:300]
        raise CheckpointError(
            f"{what} cannot be read: {type(error).__name__}: {reason}", remedy="It is damaged or of another version."
        ) from None


def _codec_class(kind: str) -> Any:  # noqa: ANN401 - three classes without a common base
    if kind == "points":
        return PointsCodec
    if kind == "table":
        return TableCodec
    from wgan.data.images import ImageCodec

    return ImageCodec


def conditions_from_state(state: dict[str, Any] | None) -> Conditions | None:
    """Build conditions from their stored state; None for an unconditional run.

    Raises:
        CheckpointError: The state is incomplete, invalid or of another version.
    """
    if state is None:
        return None
    with _unreadable_as_errors("the stored conditions of this run"):
        conditions = Conditions.from_state(state)
        _check_conditions(conditions)
        return conditions


def _check_codec(codec: Codec) -> None:
    """Check the fields of a codec, and decode a few random rows with it.

    Raises:
        ValueError: A field is invalid. Decoding may raise any other exception.
    """
    if isinstance(codec, PointsCodec):
        _check_points(codec)
    elif isinstance(codec, TableCodec):
        _check_table(codec)
    else:
        if max(codec.layout.shape) > _MAX_SIDE:
            raise ValueError(f"images of {codec.layout.shape} are larger than any that can be read")
        return
    rng = np.random.default_rng(0)
    rows = 3 * rng.normal(size=(_TRIAL_ROWS, codec.layout.size))
    rows[0], rows[1:3] = 0.0, np.array([[-1e6], [1e6]])
    with np.errstate(all="ignore"):
        codec.decode(torch.from_numpy(rows).float())


def _check_conditions(conditions: Conditions) -> None:
    """Check the fields of conditions, and draw and decode a few.

    Raises:
        ValueError: A field is invalid. Decoding may raise any other exception.
    """
    for part in conditions.parts:
        if isinstance(part, Number):
            _check_number(part)
    order = conditions.order
    if not all(isinstance(name, str) for name in order) or len(set(order)) < len(order):
        raise ValueError("its order is not a list of names")
    if order and not set(conditions.names) <= set(order):
        raise ValueError("its order does not name its parts")
    drawn = conditions.draw(_TRIAL_ROWS, torch.Generator().manual_seed(0))
    if not drawn.isfinite().all():
        raise ValueError("its codes are not finite")
    conditions.decode(drawn)
    conditions.describe()


def _check_points(codec: PointsCodec) -> None:
    if codec.dtype.kind not in "biuf" or codec.dtype.itemsize > _MAX_NUMBER_BYTES:
        raise ValueError(f"points of the dtype {codec.dtype.str[:40]} are not supported")
    columns = [column for column, _ in codec.constants]
    # Bounds the number of columns by the length of the file.
    if codec.num_columns < 1 or len(codec.scaling.low) + len(columns) != codec.num_columns:
        raise ValueError(
            f"num_columns is {codec.num_columns} where {len(codec.scaling.low)} columns are scaled and "
            f"{len(columns)} are constant"
        )
    if len(set(columns)) < len(columns) or not all(0 <= column < codec.num_columns for column in columns):
        raise ValueError(f"constants are of the columns {columns[:20]} of {codec.num_columns}")
    if len(codec.offsets) not in (0, len(codec.scaling.low)):
        raise ValueError(f"there are {len(codec.offsets)} offsets for {len(codec.scaling.low)} columns")
    _check_scaling(codec.scaling)


def _check_table(codec: TableCodec) -> None:
    names = [column.name for column in codec.columns]
    if not names or len(set(names)) < len(names):
        raise ValueError("there are no columns, or two of the same name")
    for column in codec.columns:
        if isinstance(column, Number):
            _check_number(column)
        elif isinstance(column, Category) and type(column.may_miss) is not bool:
            raise ValueError(f"column {column.name!r}: may_miss is {column.may_miss!r}")


def _check_number(column: Number) -> None:
    faults: list[tuple[str, Any]] = []
    if type(column.step) is not int or not 1 <= column.step < 2**63:
        faults.append(("step", column.step))
    if column.decimals is not None and type(column.decimals) is not int:
        faults.append(("decimals", column.decimals))
    faults += [
        (name, getattr(column, name)) for name in ("whole", "may_miss") if type(getattr(column, name)) is not bool
    ]
    for name in ("low", "high"):
        value = getattr(column, name)
        if isinstance(value, bool) or not isinstance(value, int | float) or not abs(value) <= np.finfo(float).max:
            faults.append((name, value))
    if not faults and column.low > column.high:
        faults.append(("low", column.low))
    if faults:
        raise ValueError(f"column {column.name!r}: {faults[0][0]} is {str(faults[0][1])[:80]}")
    if len(column.scaling.low) != 1:
        raise ValueError(f"column {column.name!r}: {len(column.scaling.low)} numbers of scaling")
    _check_scaling(column.scaling)


def _check_scaling(scaling: Scaling) -> None:
    fields = {name: getattr(scaling, name) for name in ("half", "low", "span", "mean", "spread")}
    for name, values in fields.items():
        if values.ndim != 1 or len(values) != len(scaling.low) or not np.isfinite(values).all():
            raise ValueError(f"scaling: {name} is not {len(np.atleast_1d(scaling.low))} finite numbers")
        if name in ("half", "span", "spread") and not (values > 0).all():
            raise ValueError(f"scaling: {name} is not above 0")
