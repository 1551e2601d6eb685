"""The error of an estimator that is not fitted. If scikit-learn is installed, it is its `NotFittedError` too."""

from __future__ import annotations

from wgan.errors import UsageError

try:
    from sklearn.exceptions import NotFittedError as _SklearnError
except ImportError:
    _SklearnError = UsageError


class NotFittedError(*dict.fromkeys((UsageError, _SklearnError))):  # type: ignore[misc]
    """Neither `fit` nor `load` was called."""

    def __init__(self) -> None:
        super().__init__("this WGAN is not fitted yet", remedy="Call fit(X) first.")

    def __reduce__(self) -> tuple[type[NotFittedError], tuple[()]]:
        """Pickling, as between processes, needs the arguments of the constructor: there are none."""
        return type(self), ()
