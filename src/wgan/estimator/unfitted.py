"""The error of an estimator that is asked for something before it was fitted, in scikit-learn's family where it is."""

from __future__ import annotations

from wgan.errors import UsageError

try:
    from sklearn.exceptions import NotFittedError as _Theirs
except ImportError:
    _Theirs = UsageError


class NotFittedError(*dict.fromkeys((UsageError, _Theirs))):  # type: ignore[misc]
    """Neither `fit` nor `load` was called; scikit-learn's `NotFittedError` too, where scikit-learn is installed."""

    def __init__(self) -> None:
        super().__init__("this WGAN is not fitted yet", remedy="Call fit(X) first.")

    def __reduce__(self) -> tuple[type[NotFittedError], tuple[()]]:
        """Errors of other processes come back pickled."""
        return type(self), ()
