"""The attributes by which scikit-learn knows what was fitted."""

from __future__ import annotations

from typing import Any

import numpy as np

from wgan.data.tables.columns import Category
from wgan.estimator.forms import Form
from wgan.experiment import Trained


def attributes(trained: Trained, form: Form) -> dict[str, Any]:
    """The columns of X and the classes of y, by the names that scikit-learn gives them.

    Args:
        trained: What was fitted.
        form: The form of the caller's data.
    """
    found: dict[str, Any] = {}
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
