"""One label for each row, from wherever it came: as the condition that is called `label`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from wgan.errors import DataError, UsageError
from wgan.settings import DataOptions

if TYPE_CHECKING:
    from wgan.data.conditions import RowConditions
    from wgan.data.tables.reading import Raw

LABEL = "label"
"""What class labels are called as a condition."""


def conditions_of_labels(
    labels: NDArray[np.generic] | pa.Table | None,
    count: int,
    name: str,
    options: DataOptions,
    rows: NDArray[np.int64] | None = None,
) -> tuple[tuple[str, ...], RowConditions | None]:
    """What could be a condition, and what the conditions that are asked for say of each row.

    Args:
        labels: Shape (count,): numbers or words; a table for several at once; None where there are none.
        count: Rows of the data.
        name: The data, as the user called it.
        options: `condition` and what belongs to it apply.
        rows: Numbers of the rows that count, ascending; None for all.

    Returns:
        The names, and the description, None where no condition is asked for.

    Raises:
        UsageError: A condition that is not there.
        DataError: Labels of another number or type.
    """
    table = labels if labels is None or isinstance(labels, pa.Table) else label_column(labels, count, name)
    offers = () if table is None else tuple(table.column_names)
    if not options.condition:
        return offers, None
    from wgan.data.tables.detecting import condition_names, describe_rows

    condition_names(options, offers, name)
    assert table is not None
    if table.num_rows != count:
        raise DataError(f"{name}: {table.num_rows:,} labels for {count:,} rows", remedy="One for each row is taken.")
    return offers, describe_rows(raw_labels(table if rows is None else table.take(pa.array(rows)), name), options)


def refuse_leftovers(options: DataOptions) -> None:
    """Refuse options about conditions where no condition is asked for.

    Raises:
        UsageError: There are such.
    """
    plain = DataOptions()
    if options.condition:
        return
    for option in ("text", "embedding", "unseen"):
        if getattr(options, option) != getattr(plain, option):
            raise UsageError(f"--{option} means nothing without --condition", remedy="Name the conditions too.")


def label_column(labels: Any, count: int, name: str, classes: tuple[str, ...] = ()) -> pa.Table:  # noqa: ANN401
    """Labels as a table of one column.

    Args:
        labels: Shape (count,), numbers or words.
        count: Rows of the data.
        name: The data, for an error.
        classes: Names of the labels 0, 1, ..., where they have names.

    Raises:
        DataError: Labels of another number or type.
    """
    array = np.asarray(labels)
    if array.shape != (count,) or array.dtype.kind not in "biufSU":
        raise DataError(
            f"{name}: labels of shape {array.shape} and type {array.dtype} for {count:,} rows",
            remedy="One number or word for each row is taken.",
        )
    if classes:
        places = pa.array(array.astype(np.int32))
        return pa.table({LABEL: pa.DictionaryArray.from_arrays(places, pa.array(classes))})
    if array.dtype.kind not in "SU":
        return pa.table({LABEL: pa.array(array.astype(array.dtype.newbyteorder("=")))})
    try:
        words = np.char.decode(array, "utf-8") if array.dtype.kind == "S" else array
    except UnicodeDecodeError as error:
        raise DataError(f"{name}: labels that are not UTF-8: {error.object!r}", remedy="Save them as text.") from None
    return pa.table({LABEL: pa.array(words.tolist())})


def raw_labels(table: pa.Table, name: str) -> Raw:
    """Labels as a table that was read, its rows counted from 1."""
    from wgan.data.tables.reading import Raw

    return Raw(
        table=table, name=name, untyped=False, places=lambda numbers: [f"row {number + 1:,}" for number in numbers]
    )
