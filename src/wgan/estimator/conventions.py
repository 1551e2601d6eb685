"""What scikit-learn asks every estimator to refuse, in the words that its own checks and users look for."""

from __future__ import annotations

import sys

import numpy as np
import torch

from wgan.errors import DataError


def refuse_by_convention(X: object, y: object = None) -> None:  # noqa: N803 - scikit-learn's name
    """Refuse arrays that no estimator takes, before anything else is made of them.

    Args:
        X: As the caller gave it.
        y: Likewise.

    Raises:
        DataError: A sparse matrix, complex numbers, no columns, or a single row.
    """
    for name, given in (("X", X), ("y", y)):
        if _is_sparse(given):
            raise DataError(f"{name} is a sparse matrix, which is not supported", remedy=f"Give {name}.toarray().")
        if isinstance(given, np.ndarray | torch.Tensor) and _is_complex(given):
            raise DataError(
                f"Complex data not supported: {name} has shape {tuple(given.shape)} and dtype {given.dtype}",
                remedy="Give real and imaginary parts as columns of their own.",
            )
    if not isinstance(X, np.ndarray | torch.Tensor):
        return
    shape = tuple(X.shape)
    if len(shape) == 2 and shape[1] == 0 and shape[0] > 1:
        raise DataError(
            f"X has 0 feature(s) (shape={shape}) while a minimum of 1 is required.", remedy="Give at least 1 column."
        )
    if shape[:1] == (1,):
        raise DataError(
            f"X has 1 sample (shape {shape}); needs at least 2 rows",
            remedy="Give more data: a distribution cannot be learnt from less.",
        )


def _is_complex(array: np.ndarray | torch.Tensor) -> bool:
    return array.is_complex() if isinstance(array, torch.Tensor) else array.dtype.kind == "c"


def _is_sparse(data: object) -> bool:
    """Whether the data is one of SciPy's sparse matrices or arrays; SciPy is loaded if it is."""
    sparse = sys.modules.get("scipy.sparse")
    return sparse is not None and bool(sparse.issparse(data))
