"""Random damage of bytes and plain JSON values."""

from __future__ import annotations

import copy
import re
from typing import Any

import numpy as np

HOSTILE_VALUES: tuple[Any, ...] = (
    None, True, -1, 0, 1, 10**9, 2**31, 2**63, 10**30, -(10**30), 0.5, -1e308, 1e308, float("nan"), float("inf"),
    "", "text", "|O", "object", "\x00", "\ud800", "9" * 30, "dictionary<values=string, indices=int8, ordered=0>",
    "timestamp[us, tz=Nowhere/None]", "decimal128(99, 1)", "list<item: int64>", "duration[us]", "U1000000000", "<f8",
    [], {}, [[]], [None], ["a", 1], [1e9], [[1, 2], [3]], {"a": {}}, [0] * 1000, [[[[[[[[]]]]]]]], {"": None},
)  # fmt: skip
"""Values that replace fields of JSON."""

_HOSTILE_BYTES = (
    b"\x00", b"\xff", b"\x00" * 8, b"\xff" * 8, b"\x7f\xff\xff\xff", b"\x00\x00\x00\x80", b"\xff\xff\xff\x7f", b"\n",
    b'"', b",", b"[" * 200, b"{" * 200, b"(" * 200, b"9" * 400, b"-1", b"1e999", b"nan", b"\xef\xbb\xbf", b"\xc3", b"'",
    b"\\", b"\r\n", b"=", b"PK\x03\x04", b"\x80\x04\x95", b"../../", b"|O", b"<U99999999", b"True", b"None", b"L",
    b"j", b"#",
)  # fmt: skip
_NUMBER = re.compile(rb"[0-9]+")


def damaged(content: bytes, rng: np.random.Generator) -> bytes:
    """The bytes with one to four faults: flips, cuts, insertions, repetitions, numbers that are too large."""
    changed = bytearray(content)
    for _ in range(int(rng.integers(1, 5))):
        # The first and the last bytes are chosen as often as all others: headers and directories are there.
        end = len(changed)
        low, high = [(0, min(end, 200)), (max(0, end - 200), end), (0, end)][int(rng.integers(3))]
        position = int(rng.integers(low, high)) if high > low else 0
        word = _HOSTILE_BYTES[int(rng.integers(len(_HOSTILE_BYTES)))]
        match int(rng.integers(8)):
            case 0 | 1 if end:
                changed[position] ^= 1 << int(rng.integers(8))
            case 2:
                changed[position : position + len(word)] = word
            case 3:
                changed[position:position] = word
            case 4:
                del changed[position : position + int(rng.integers(1, 64))]
            case 5:
                del changed[position:]
            case 6:
                length = int(rng.integers(1, 64))
                changed[position:position] = changed[position : position + length] * int(rng.integers(1, 4))
            case _:
                numbers = list(_NUMBER.finditer(changed, low, high))
                if numbers:
                    found = numbers[int(rng.integers(len(numbers)))]
                    changed[found.start() : found.end()] = [b"99999999999", b"-1", b"0", b"9" * 5000, b"4294967296"][
                        int(rng.integers(5))
                    ]
    return bytes(changed)


def edited(value: Any, rng: np.random.Generator) -> Any:
    """The JSON value with one entry, at any depth, replaced, removed or repeated."""
    changed = copy.deepcopy(value)
    entries = _entries(changed)
    if not entries:
        return HOSTILE_VALUES[int(rng.integers(len(HOSTILE_VALUES)))]
    container, key = entries[int(rng.integers(len(entries)))]
    match int(rng.integers(6)):
        case 0 if isinstance(container, dict):
            del container[key]
        case 1 if isinstance(container, list):
            container.append(copy.deepcopy(container[key]))
        case 2 if isinstance(container, list):
            del container[key]
        case 3 if type(container[key]) in (int, float):
            container[key] = container[key] * [-1, 10**6, 0, 1e300, 0.3][int(rng.integers(5))]
        case _:
            container[key] = copy.deepcopy(HOSTILE_VALUES[int(rng.integers(len(HOSTILE_VALUES)))])
    return changed


def _entries(value: Any) -> list[tuple[Any, Any]]:
    """Every entry of every object and list, as (container, key); only the first five of a list."""
    found: list[tuple[Any, Any]] = []
    items = list(value.items()) if isinstance(value, dict) else list(enumerate(value[:5]))
    for key, inner in items:
        found.append((value, key))
        if isinstance(inner, dict | list):
            found += _entries(inner)
    return found
