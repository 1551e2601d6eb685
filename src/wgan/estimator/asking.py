"""Samples for labels: one label for all of them, or a label for each."""

from __future__ import annotations

import datetime
import decimal
from collections.abc import Mapping, Sequence
from typing import Any

import pyarrow as pa
import torch

from wgan.batch import Batch
from wgan.data.source import Samples, decode_batch
from wgan.errors import UsageError
from wgan.estimator.forms import labels_of
from wgan.randomness import Randomness
from wgan.runs import Trained
from wgan.system.text import counted

_SINGLE = (str, int, float, bool, datetime.date, datetime.time, datetime.timedelta, decimal.Decimal)


def asked_for(y: Any, names: Sequence[str]) -> dict[str, Any] | pa.Table:  # noqa: ANN401 - as in `fit`
    """What y asks for: a value for all samples, by name, or a table with a row for each.

    Args:
        y: As the caller gave it.
        names: What was fitted as y.

    Raises:
        UsageError: Nothing was fitted as y, or something of another form.
    """
    if not names:
        raise UsageError("y cannot be asked for: nothing was fitted as y", remedy="Fit with y, or use where={...}.")
    if isinstance(y, _SINGLE) or getattr(y, "ndim", None) == 0:
        if len(names) > 1:
            raise UsageError(
                f"y has {counted(len(names), 'column')} ({', '.join(names)}), not one", remedy="Use where={...}."
            )
        return {names[0]: y}
    table = labels_of(y)
    if table.num_columns != len(names):
        raise UsageError(
            f"y has {counted(table.num_columns, 'column')}, but {len(names)} {'was' if len(names) == 1 else 'were'} "
            f"fitted: {', '.join(names)}"
        )
    if not table.num_rows:
        raise UsageError("y asks for no sample", remedy="Give at least one label.")
    return table.rename_columns([*names])


def sample_rows(
    trained: Trained,
    asked: pa.Table,
    where: Mapping[str, Any],
    seed: int,
    noise: Any = None,  # noqa: ANN401 - an array or a tensor
) -> Samples:
    """A sample for each row of what is asked for; what nothing is said of is drawn as it occurs in the data.

    Args:
        trained: The generator.
        asked: A column for each name that is asked for.
        where: What is asked for of all rows.
        seed: Of the noise, and of what is drawn.
        noise: A row for each sample; None for that of the seed.

    Raises:
        UsageError: A name or a value that is not known.
    """
    assert trained.conditions is not None
    rows: dict[tuple[Any, ...], list[int]] = {}
    for row, values in enumerate(zip(*(column.to_pylist() for column in asked.columns), strict=True)):
        rows.setdefault(values, []).append(row)
    streams, conditions = Randomness(seed), trained.conditions.where(where)
    condition = torch.empty(asked.num_rows, conditions.size, dtype=torch.float32, device="cpu")
    for number, (values, places) in enumerate(rows.items()):
        narrowed = conditions.where(dict(zip(asked.column_names, values, strict=True)))
        condition[places] = narrowed.draw(len(places), streams.at("conditions for labels", number))
    batch = Batch(trained.draw(condition, seed, noise=noise), condition)
    return decode_batch(trained.codec, conditions, batch, trained.codec.restore)
