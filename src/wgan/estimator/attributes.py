"""The attributes of what was fitted: its columns and classes, as scikit-learn knows them, and whether to believe it."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from wgan.data.columns import Category
from wgan.estimator.forms import Form
from wgan.runs import Trained
from wgan.settings import Settings, in_python
from wgan.trust.evidence import FIELDS
from wgan.trust.faults import VerdictSettings
from wgan.trust.verdict import verdict_of


def attributes(trained: Trained, form: Form) -> dict[str, Any]:
    """The columns of X and the classes of y, by the names that scikit-learn gives them.

    Args:
        trained: What was fitted.
        form: The form of the caller's data.
    """
    found: dict[str, Any] = {"noise_size_": trained.settings.latent_dim}
    codec, conditions = trained.codec, trained.conditions
    columns = getattr(codec, "columns", None)
    if columns is not None:
        # Columns that are conditions were fitted too, but for those of y.
        names = [column.name for column in columns] if conditions is None else conditions.order
        names = [name for name in names if name not in form.described_by]
        found |= {"feature_names_in_": np.array(names, dtype=object), "n_features_in_": len(names)}
    elif hasattr(codec, "num_columns"):
        found["n_features_in_"] = codec.num_columns
    parts = [] if conditions is None else [part for part in conditions.parts if part.name in form.described_by]
    if len(parts) == 1 and isinstance(parts[0], Category):
        found["classes_"] = np.array(parts[0].pick(np.arange(parts[0].width, dtype=np.int64)).to_pylist())
    return found


def believed(lines: Sequence[Mapping[str, Any]], settings: Settings) -> dict[str, Any]:
    """The last evidence on the critic's number, and the verdict on it.

    Args:
        lines: Of the record.
        settings: Of the run.
    """
    looks = [line for line in lines if "verdict" in line]
    verdict = verdict_of(looks, VerdictSettings.of(dataclasses.asdict(settings)))
    return {
        "evidence_": {name: looks[-1][name] for name in FIELDS if name in looks[-1]} if looks else {},
        "verdict_": dataclasses.replace(verdict, reason=in_python(verdict.reason), remedy=in_python(verdict.remedy)),
    }
