"""The condition of each row of a data set: from columns of a table, or from labels given with an array or images."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pyarrow as pa
import torch
from numpy.typing import NDArray
from torch import Tensor

from wgan.data.codes import Part, codes_of
from wgan.data.columns import Constant, Number
from wgan.data.columns.fitting import SHOWN_NAMES, dropped_note, fit_column, resolve_names, typed_columns
from wgan.data.columns.raw import RawTable
from wgan.data.columns.typed import TypedColumn
from wgan.data.columns.types import is_temporal
from wgan.data.embeddings import find_embedding
from wgan.data.texts import Text
from wgan.errors import DataError, UsageError
from wgan.settings import DataOptions
from wgan.system.text import listed, nearest, split_lists

LABEL = "label"
"""The name of class labels as a condition."""

# Whole numbers under these names are classes.
_CLASSES = frozenset({"label", "labels", "class", "classes", "target", "targets", "y"})


@dataclass(frozen=True, kw_only=True, eq=False)
class RowConditions:
    """The condition of each row of a data set.

    Attributes:
        parts: The parts of the conditions.
        codes: The codes of each row that is kept, shape (n, parts), float32.
        kept: Whether each of the N rows of the data is kept, shape (N,); None if all are.
        notes: Lines for the user.
    """

    parts: tuple[Part, ...]
    codes: Tensor
    kept: NDArray[np.bool_] | None = None
    notes: tuple[str, ...] = ()


def condition_names(options: DataOptions, known: Sequence[str], where: str) -> list[str]:
    """The names in the option `condition`. A word that is no name itself may hold several, separated by commas.

    Args:
        options: `condition` and `text` apply.
        known: The available conditions.
        where: The data, for errors.

    Raises:
        UsageError: A name is unknown or occurs twice.
    """
    names = list(split_lists(options.condition, known))
    if options.condition and not names:
        raise UsageError(f"{where}: --condition names nothing", remedy=_available("", known))
    for name in names:
        if name not in known:
            raise UsageError(f"{where}: there is no condition {name!r}", remedy=_available(name, known))
        if names.count(name) > 1:
            raise UsageError(f"{where}: the condition {name!r} is given twice", remedy="Give it once.")
    if wrong := [name for name in options.text if name not in names]:
        raise UsageError(
            f"{where}: --text {wrong[0]!r} is not a condition",
            remedy=f"Use --condition {wrong[0]!r} too, or leave it out.",
        )
    return names


def _available(name: str, known: Sequence[str]) -> str:
    if not known:
        return "The data has no labels and no tags, so nothing can be a condition."
    guess = "".join(f"Did you mean {near!r}? " for near in nearest(name, known))
    more = ", ..." if len(known) > SHOWN_NAMES else ""
    return f"{guess}There are: {listed(known[:SHOWN_NAMES])}{more}."


def fit_conditions(raw: RawTable, typed: list[TypedColumn], options: DataOptions) -> RowConditions:
    """Fit a part of the conditions to each column.

    Args:
        raw: The table, for errors.
        typed: The columns, with the rows that are kept.
        options: `text`, `embedding`, `categorical` and `numeric` apply.

    Raises:
        UsageError: A column that is to be embedded is not text, or the embedding is not available.
        DataError: Too many categories, a constant column, or missing numbers or texts.
    """
    parts = tuple(_fit_part(raw, column, options) for column in typed)
    codes = [codes_of(part, column.array) for part, column in zip(parts, typed, strict=True)]
    return RowConditions(parts=parts, codes=torch.stack(codes, dim=1))


def conditions_of_table(raw: RawTable, options: DataOptions) -> RowConditions:
    """The conditions of data whose conditions are in a separate table.

    Args:
        raw: A column for each available condition, and a row for each row of the data.
        options: `condition`, `text`, `embedding`, `categorical`, `numeric` and `missing` apply.

    Raises:
        UsageError: The options name columns that do not exist.
        DataError: Missing cells that are not to be dropped or kept, or as `fit_conditions`.
    """
    options = resolve_names(raw, options)
    names = condition_names(options, raw.table.column_names, raw.name)
    typed, is_kept = typed_columns(raw, names, options)
    notes = raw.notes + tuple(column.note for column in typed if column.note)
    if is_kept is not None:
        notes += (dropped_note(int((~is_kept).sum()), "conditions"),)
    return replace(fit_conditions(raw, typed, options), kept=is_kept, notes=notes)


def _fit_part(raw: RawTable, column: TypedColumn, options: DataOptions) -> Part:
    if column.name in options.text:
        return _fit_text(raw, column, options)
    is_whole = pa.types.is_integer(column.array.type) and not is_temporal(column.kind)
    if is_whole and column.name.lower() in _CLASSES and column.name not in options.numeric:
        column = replace(column, coded=True)
    part = fit_column(raw, column, options)
    if isinstance(part, Constant):
        raise DataError(
            f"{raw.name}: {column.name!r} is always {part.value!r}, so it cannot be a condition",
            remedy="Leave it out.",
        )
    if isinstance(part, Number) and part.may_miss:
        raise DataError(
            f"{raw.name}: numbers are missing in the condition {column.name!r}",
            remedy="Use --missing drop, or fill them in: only categories can be missing in a condition.",
        )
    if isinstance(part, Number):
        # A requested value is not moved to the step or calendar of the data, only rounded to its decimals.
        part = replace(part, calendar=None) if is_temporal(column.kind) else replace(part, step=1)
    return part


def _fit_text(raw: RawTable, column: TypedColumn, options: DataOptions) -> Text:
    if not pa.types.is_large_string(column.array.type):
        raise UsageError(f"{raw.name}: --text {column.name!r} is {column.kind}, not text", remedy="Leave it out.")
    if column.array.null_count:
        raise DataError(f"{raw.name}: texts are missing in {column.name!r}", remedy="Use --missing drop.")
    texts = sorted(column.array.unique().to_pylist())
    return Text.fit(column.name, str(column.kind), texts, find_embedding(options.embedding), options.embedding)


def conditions_of_labels(
    labels: NDArray[np.generic] | pa.Table | None,
    count: int,
    name: str,
    options: DataOptions,
    rows: NDArray[np.int64] | None = None,
) -> tuple[tuple[str, ...], RowConditions | None]:
    """The names of the available conditions of labelled data, and the condition of each row.

    Args:
        labels: Numbers or words of shape (count,), a table with several columns, or None.
        count: Number of rows of the data.
        name: The data's name, as the user gave it.
        options: `condition` and the options that belong to it apply.
        rows: Numbers of the rows to use, ascending; None for all.

    Returns:
        The names, and the conditions; None in an unconditional run.

    Raises:
        UsageError: An unknown condition.
        DataError: Labels of another number or type.
    """
    table = labels if labels is None or isinstance(labels, pa.Table) else label_column(labels, count, name)
    offers = () if table is None else tuple(table.column_names)
    if not options.condition:
        return offers, None
    condition_names(options, offers, name)
    assert table is not None
    if table.num_rows != count:
        raise DataError(f"{name}: {table.num_rows:,} labels for {count:,} rows", remedy="Give one for each row.")
    return offers, conditions_of_table(raw_labels(table if rows is None else table.take(pa.array(rows)), name), options)


def refuse_leftovers(options: DataOptions) -> None:
    """Refuse options that need a condition where there is none.

    Raises:
        UsageError: There are such.
    """
    if options.condition:
        return
    defaults = DataOptions()
    for option in ("text", "embedding", "unseen"):
        if getattr(options, option) != getattr(defaults, option):
            raise UsageError(f"--{option} has no effect without --condition", remedy="Name the conditions too.")


def label_column(labels: Any, count: int, name: str, classes: tuple[str, ...] = ()) -> pa.Table:  # noqa: ANN401
    """Labels as a table of one column.

    Args:
        labels: Shape (count,), numbers or words.
        count: Number of rows of the data.
        name: The data's name, for errors.
        classes: Names of the labels 0, 1, ..., if they have names.

    Raises:
        DataError: Labels of another number or type.
    """
    array = np.asarray(labels)
    if array.shape != (count,) or array.dtype.kind not in "biufSU":
        raise DataError(
            f"{name}: labels of shape {array.shape} and type {array.dtype} for {count:,} rows",
            remedy="Give one number or word for each row.",
        )
    if classes:
        indices = pa.array(array.astype(np.int32))
        return pa.table({LABEL: pa.DictionaryArray.from_arrays(indices, pa.array(classes))})
    if array.dtype.kind not in "SU":
        return pa.table({LABEL: pa.array(array.astype(array.dtype.newbyteorder("=")))})
    try:
        words = np.char.decode(array, "utf-8") if array.dtype.kind == "S" else array
    except UnicodeDecodeError as error:
        raise DataError(f"{name}: labels that are not UTF-8: {error.object!r}", remedy="Save them as text.") from None
    return pa.table({LABEL: pa.array(words.tolist())})


def raw_labels(table: pa.Table, name: str) -> RawTable:
    """A table of labels, its rows counted from 1."""
    return RawTable(
        table=table, name=name, untyped=False, places=lambda numbers: [f"row {number + 1:,}" for number in numbers]
    )
