"""What a fitted estimator offers: its attributes, samples for given labels, and its score."""

from __future__ import annotations

import dataclasses
import datetime
import decimal
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import torch
from torch import Tensor

from wgan.batch import Batch
from wgan.data.columns import Category
from wgan.data.source import Samples, decode_batch
from wgan.errors import UsageError
from wgan.estimator.forms import Form, encoded, labels_of
from wgan.estimator.parameters import as_parameter
from wgan.evaluation.metrics import harden
from wgan.randomness import Randomness
from wgan.runs import Trained
from wgan.settings import Settings, in_python
from wgan.system.text import counted
from wgan.system.threads import on_threads
from wgan.transport import exact, sliced
from wgan.trust.evidence import FIELDS
from wgan.trust.faults import VerdictSettings
from wgan.trust.verdict import verdict_of

_MAX_SCORED = 2500
_SCALARS = (str, int, float, bool, datetime.date, datetime.time, datetime.timedelta, decimal.Decimal)


def data_attributes(trained: Trained, form: Form) -> dict[str, Any]:
    """Describe the columns of X and the classes of y by scikit-learn's attributes.

    Args:
        trained: The fitted generator.
        form: The form of the caller's data.
    """
    found: dict[str, Any] = {"latent_dim_": trained.settings.latent_dim}
    codec, conditions = trained.codec, trained.conditions
    columns = getattr(codec, "columns", None)
    if columns is not None:
        # Columns that are conditions were columns of X too, except those of y.
        names = [column.name for column in columns] if conditions is None else conditions.order
        names = [name for name in names if name not in form.described_by]
        found |= {"feature_names_in_": np.array(names, dtype=object), "n_features_in_": len(names)}
    elif hasattr(codec, "num_columns"):
        found["n_features_in_"] = codec.num_columns
    parts = [] if conditions is None else [part for part in conditions.parts if part.name in form.described_by]
    if len(parts) == 1 and isinstance(parts[0], Category):
        found["classes_"] = np.array(parts[0].pick(np.arange(parts[0].width, dtype=np.int64)).to_pylist())
    return found


def trust_attributes(lines: Sequence[Mapping[str, Any]], settings: Settings) -> dict[str, Any]:
    """Get the last evidence on the critic's estimate, and the verdict on it.

    Args:
        lines: The lines of the record.
        settings: The settings of the run.
    """
    diagnoses = [line for line in lines if "verdict" in line]
    verdict = verdict_of(diagnoses, VerdictSettings.of(dataclasses.asdict(settings)))
    return {
        "evidence_": {name: diagnoses[-1][name] for name in FIELDS if name in diagnoses[-1]} if diagnoses else {},
        "verdict_": dataclasses.replace(
            verdict,
            reason=in_python(verdict.reason, as_parameter),
            remedy=in_python(verdict.remedy, as_parameter),
        ),
    }


def requested_labels(y: Any, names: Sequence[str]) -> dict[str, Any] | pa.Table:  # noqa: ANN401 - as in `fit`
    """Read the labels to sample for: one value for all samples, by name, or a table with one row for each sample.

    Args:
        y: Labels as the caller gave them.
        names: The names of the columns that were fitted as y.

    Raises:
        UsageError: Nothing was fitted as y, or y had another number of columns.
    """
    if not names:
        raise UsageError("y cannot be given: nothing was fitted as y", remedy="Fit with y, or use where={...}.")
    if isinstance(y, _SCALARS) or getattr(y, "ndim", None) == 0:
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
        raise UsageError("y is empty", remedy="Give at least one label.")
    return table.rename_columns([*names])


def sample_for_labels(
    trained: Trained,
    labels: pa.Table,
    where: Mapping[str, Any],
    seed: int,
    noise: Any = None,  # noqa: ANN401 - an array or a tensor
) -> Samples:
    """Draw a sample for each row of labels. Conditions that are not given are drawn as they occur in the data.

    Args:
        trained: The fitted generator.
        labels: A column for each condition that is given, a row for each sample.
        where: Conditions of all samples.
        seed: Seed of the noise and of the conditions that are drawn.
        noise: Noise of shape (num_rows, latent_dim); None to draw it.

    Raises:
        UsageError: A name or a value that is not known.
    """
    assert trained.conditions is not None
    rows: dict[tuple[Any, ...], list[int]] = {}
    for row, values in enumerate(zip(*(column.to_pylist() for column in labels.columns), strict=True)):
        rows.setdefault(values, []).append(row)
    streams, conditions = Randomness(seed), trained.conditions.where(where)
    condition = torch.empty(labels.num_rows, conditions.size, dtype=torch.float32, device="cpu")
    for number, (values, indices) in enumerate(rows.items()):
        narrowed = conditions.where(dict(zip(labels.column_names, values, strict=True)))
        condition[indices] = narrowed.draw(len(indices), streams.at("conditions for labels", number))
    batch = Batch(trained.draw(condition, seed, noise=noise), condition)
    return decode_batch(trained.codec, conditions, batch, trained.codec.restore)


@on_threads(1)  # the last digits depend on the number of threads, which differs between the workers of a grid search
def negative_distance(trained: Trained, X: object, seed: int) -> float:  # noqa: N803 - scikit-learn's name
    """Compute minus the W1 distance between data and as many samples: greater is better, 0 is best.

    Args:
        trained: The fitted generator.
        X: Data of the kind that was fitted.
        seed: Seed of the samples, and of the choice of rows if there are too many.

    Raises:
        DataError: Other columns or another shape than were fitted.
    """
    codec, streams = trained.codec, Randomness(seed)

    def choose(num_rows: int) -> Tensor | slice:
        if num_rows <= _MAX_SCORED:
            return slice(None)
        return torch.randperm(num_rows, generator=streams.at("rows to score"), device="cpu")[:_MAX_SCORED]

    real = encoded(X, codec, choose)
    fake = trained.values(len(real), seed)
    if codec.layout.is_image:
        return -float(sliced(fake, real, streams.at("directions of the score"), dtype=torch.float32).distance)
    unit = getattr(codec, "unit", None) or 1.0
    return -unit * float(exact(harden(fake, codec.layout.groups), real).cost)
