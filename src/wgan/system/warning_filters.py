"""Ignore warnings of other libraries that do not help a user.

Python has one list of filters for the whole process. Blocks in several threads share one change of it, which is undone
when the last of them ends. If each block restored the list that it found, the first to end would do so for all.
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
    """Ignore the warnings of some modules within the block, in all threads.

    Args:
        modules: A regular expression that matches the beginning of their names.
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
