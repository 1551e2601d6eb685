"""The headers of .npy files, read so that no bytes of theirs raise anything but a ValueError."""

from __future__ import annotations

import math
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray

_READERS = {(1, 0): npy.read_array_header_1_0, (2, 0): npy.read_array_header_2_0}
_MOST_ENTRIES = 1 << 62


def read_header(file: IO[bytes]) -> tuple[tuple[int, ...], np.dtype[Any]]:
    """Read the header that a file begins with; the numbers follow.

    A header is a literal of Python, which NumPy reads with Python's own parser: on damaged bytes that raises errors of
    many families.

    Returns:
        Shape and dtype.

    Raises:
        ValueError: It is not such a header, is of a version for records, or tells of a shape that no array has.
    """
    version = npy.read_magic(file)
    if version not in _READERS:
        raise ValueError(f"it has the .npy version {version}, which holds records")
    try:
        shape, _, dtype = _READERS[version](file)
        fits = all(type(length) is int and 0 <= length < _MOST_ENTRIES for length in shape)
        fits = fits and math.prod(shape) * max(1, dtype.itemsize) < _MOST_ENTRIES
    except EOFError:
        raise ValueError("its header is cut off") from None
    except OSError:
        raise
    except Exception as error:
        reason = " ".join(str(error).split())[:200]
        raise ValueError(f"its header cannot be read: {type(error).__name__}: {reason}") from None
    if not fits:
        raise ValueError(f"its header tells of the shape {str(shape)[:200]}")
    return shape, dtype


def open_mapped(path: Path) -> NDArray[Any]:
    """Map an .npy file.

    Raises:
        ValueError: It is not such a file, holds Python objects, or is shorter than its header tells.
        OSError: It cannot be read.
    """
    with path.open("rb") as file:
        shape, dtype = read_header(file)
        missing = math.prod(shape) * dtype.itemsize - (path.stat().st_size - file.tell())
    if dtype.hasobject:
        raise ValueError("it holds Python objects")
    if missing > 0:
        raise ValueError(f"{missing:,} bytes are missing at its end")
    if not math.prod(shape) * dtype.itemsize:
        # What is empty cannot be mapped.
        return np.empty(shape, dtype)
    array: NDArray[Any] = np.load(path, mmap_mode="r", allow_pickle=False)
    return array
