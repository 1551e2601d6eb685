"""Warnings of other libraries that say nothing to a user, ignored while their cause is under way.

Python keeps one list of filters for the whole process. Blocks in several threads share one change of it, which is taken
back when the last of them ends: were each to put back what it had found, the first to end would do so for all.
"""

from __future__ import annotations

import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager


class _Filters:
    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.num_inside = 0
        self.kept: warnings.catch_warnings[None] | None = None


_FILTERS = _Filters()


@contextmanager
def quiet(modules: str) -> Iterator[None]:
    """Ignore within the block, in all threads, the warnings that arise in some modules.

    Args:
        modules: A regular expression that their names begin with.
    """
    with _FILTERS.lock:
        if _FILTERS.kept is None:
            _FILTERS.kept = warnings.catch_warnings()
            _FILTERS.kept.__enter__()
        _FILTERS.num_inside += 1
        warnings.filterwarnings("ignore", module=modules)
    try:
        yield
    finally:
        with _FILTERS.lock:
            _FILTERS.num_inside -= 1
            if not _FILTERS.num_inside and _FILTERS.kept is not None:
                _FILTERS.kept.__exit__(None, None, None)
                _FILTERS.kept = None
