"""Whether what a run keeps of its data can be used: files can be edited by hand, or come from elsewhere."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from wgan.data.columns import Category, Number
from wgan.data.conditions import Conditions
from wgan.data.points import PointsCodec
from wgan.data.scaling import Scaling
from wgan.data.source import Codec
from wgan.data.tables.codec import TableCodec

_LARGEST_SIDE = 1 << 16
_LARGEST_NUMBER = 16
_TRIED = 16


def check_codec(codec: Codec) -> None:
    """Look through a codec that was read, and undo the preprocessing of a few rows of made-up numbers with it.

    Raises:
        ValueError: A field has a value that no codec has. What the trial raises may be of any other kind.
    """
    if isinstance(codec, PointsCodec):
        _check_points(codec)
    elif isinstance(codec, TableCodec):
        _check_table(codec)
    else:
        if max(codec.layout.shape) > _LARGEST_SIDE:
            raise ValueError(f"images of {codec.layout.shape} are larger than any that can be read")
        return
    rng = np.random.default_rng(0)
    rows = 3 * rng.normal(size=(_TRIED, codec.layout.size))
    rows[0], rows[1:3] = 0.0, np.array([[-1e6], [1e6]])
    with np.errstate(all="ignore"):
        codec.decode(torch.from_numpy(rows).float())


def check_conditions(conditions: Conditions) -> None:
    """Draw a few conditions and put them into words.

    Raises:
        ValueError: A part has a value that none has. What the trial raises may be of any other kind.
    """
    for part in conditions.parts:
        if isinstance(part, Number):
            _check_number(part)
    order = conditions.order
    if not all(isinstance(name, str) for name in order) or len(set(order)) < len(order):
        raise ValueError("its order is not a list of names")
    if order and not set(conditions.names) <= set(order):
        raise ValueError("its order does not name its parts")
    drawn = conditions.draw(_TRIED, torch.Generator().manual_seed(0))
    if not drawn.isfinite().all():
        raise ValueError("its codes are not finite")
    conditions.decode(drawn)
    conditions.describe()


def _check_points(codec: PointsCodec) -> None:
    if codec.dtype.kind not in "biuf" or codec.dtype.itemsize > _LARGEST_NUMBER:
        raise ValueError(f"points of the dtype {codec.dtype.str[:40]} are not taken")
    columns = [column for column, _ in codec.constants]
    # What the scaling holds bounds the number of columns by the length of the file.
    if codec.num_columns < 1 or len(codec.scaling.low) + len(columns) != codec.num_columns:
        raise ValueError(
            f"num_columns is {codec.num_columns} where {len(codec.scaling.low)} columns are scaled and "
            f"{len(columns)} are constant"
        )
    if len(set(columns)) < len(columns) or not all(0 <= column < codec.num_columns for column in columns):
        raise ValueError(f"constants are of the columns {columns[:20]} of {codec.num_columns}")
    if len(codec.offsets) not in (0, len(codec.scaling.low)):
        raise ValueError(f"{len(codec.offsets)} offsets for {len(codec.scaling.low)} columns")
    _check_scaling(codec.scaling)


def _check_table(codec: TableCodec) -> None:
    names = [column.name for column in codec.columns]
    if not names or len(set(names)) < len(names):
        raise ValueError("a column is missing, or comes twice")
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
        raise ValueError(f"column {column.name!r}: {len(column.scaling.low)} numbers to scale it by")
    _check_scaling(column.scaling)


def _check_scaling(scaling: Scaling) -> None:
    fields = {name: getattr(scaling, name) for name in ("half", "low", "span", "mean", "spread")}
    for name, values in fields.items():
        if values.ndim != 1 or len(values) != len(scaling.low) or not np.isfinite(values).all():
            raise ValueError(f"scaling: {name} is not {len(np.atleast_1d(scaling.low))} finite numbers")
        if name in ("half", "span", "spread") and not (values > 0).all():
            raise ValueError(f"scaling: {name} is not above 0")
