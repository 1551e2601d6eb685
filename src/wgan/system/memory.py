"""How much memory is available, and errors that say that there is none left."""

from __future__ import annotations

import contextlib
import errno
import re
from collections.abc import Iterator
from pathlib import Path

from wgan.errors import OutOfMemoryError, WganError

_KINDS = frozenset({"MemoryError", "OutOfMemoryError"})
_SAYS = re.compile(
    "|".join(
        (
            r"(not enough|out of|insufficient) memory",
            r"(can't|cannot|could not|failed to|unable to) (allocate|mmap|map segment)",
            r"DefaultCPUAllocator",
            r"(std::)?bad[_ ]alloc",
            r"(malloc|realloc) of size .* failed",
            r"ALLOC_FAILED",
            r"can't start new thread",
            r"could not create a (memory|primitive)",
            # Sizes beyond any machine.
            r"calculation overflowed",
            r"Overflow when unpacking long",
            r"array is too big",
            r"Maximum allowed dimension exceeded",
            r"Invalid buffer size",
        )
    ),
    re.IGNORECASE,
)
_CGROUP = Path("/sys/fs/cgroup")
_UNLIMITED = 1 << 60


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an error says that the machine or its accelerator is out of memory or threads.

    Libraries raise MemoryError and its subclasses, torch's own class for CUDA, a RuntimeError of the CPU allocator, an
    OSError with ENOMEM, and errors that only their message identifies.

    Args:
        error: Any error. Classes are compared by name, so that torch need not be imported.
    """
    if _KINDS & {kind.__name__ for kind in type(error).__mro__}:
        return True
    if isinstance(error, WganError):
        return False
    if isinstance(error, OSError):
        return error.errno == errno.ENOMEM or bool(_SAYS.search(str(error.strerror or error)))
    if isinstance(error, RuntimeError | ValueError | TypeError | ImportError | SystemError):
        return _SAYS.search(str(error)) is not None
    return False


@contextlib.contextmanager
def memory_faults(doing: str, remedy: str) -> Iterator[None]:
    """Raise `OutOfMemoryError` if the block runs out of memory. It also works as a decorator.

    Args:
        doing: What the memory is needed for, for the message.
        remedy: What would need less.

    Raises:
        OutOfMemoryError: Instead of the library's own error.
    """
    try:
        yield
    except OutOfMemoryError:
        raise
    except Exception as error:
        if not is_out_of_memory(error):
            raise
        raise OutOfMemoryError(f"out of memory {doing}", remedy=remedy) from error


def available() -> int | None:
    """Bytes that this process can still allocate, or None if the system does not say.

    The minimum of three numbers: memory of the machine that is free or can be freed, the rest of the control groups'
    limits, and the rest of the limits on address space and data (`ulimit -v`, `ulimit -d`).
    """
    found = [*_of_machine(), *_of_groups(), *_of_limits()]
    return max(0, min(found)) if found else None


def _of_machine() -> Iterator[int]:
    facts = _numbers(Path("/proc/meminfo"))
    if "MemAvailable" in facts:
        yield facts["MemAvailable"] + facts.get("SwapFree", 0)


def _of_groups() -> Iterator[int]:
    """What the control groups leave, version 2 and version 1; cached pages of files can be freed."""
    folder = _CGROUP
    with contextlib.suppress(OSError, IndexError):
        own = next(line for line in Path("/proc/self/cgroup").read_text().splitlines() if line.startswith("0::"))
        folder = _CGROUP / own[3:].strip().lstrip("/")
    folders = [path for path in (folder, *folder.parents) if path.is_relative_to(_CGROUP)]
    for path in folders:
        yield from _left(path / "memory.max", path / "memory.current", path / "memory.stat", "inactive_file")
    old = _CGROUP / "memory"
    yield from _left(
        old / "memory.limit_in_bytes", old / "memory.usage_in_bytes", old / "memory.stat", "total_inactive_file"
    )


def _left(most: Path, used: Path, stat: Path, freeable: str) -> Iterator[int]:
    with contextlib.suppress(OSError, ValueError):
        limit, taken = int(most.read_text()), int(used.read_text())
        if limit < _UNLIMITED:
            counted = dict(line.split() for line in stat.read_text().splitlines())
            yield limit - taken + int(counted.get(freeable, 0))


def _of_limits() -> Iterator[int]:
    try:
        import resource
    except ImportError:
        return
    used = _numbers(Path("/proc/self/status"))
    for kind, name in ((resource.RLIMIT_AS, "VmSize"), (resource.RLIMIT_DATA, "VmData")):
        most, _ = resource.getrlimit(kind)
        if 0 <= most < _UNLIMITED and name in used:
            yield most - used[name]


def _numbers(path: Path) -> dict[str, int]:
    """The sizes in a file of the kernel with lines such as "Name: 123 kB", in bytes."""
    try:
        lines = path.read_text(encoding="ascii", errors="replace").splitlines()
    except OSError:
        return {}
    found = (re.fullmatch(r"(\w+):\s+(\d+) kB", line) for line in lines)
    return {match[1]: int(match[2]) * 1024 for match in found if match}


def in_words(count: float) -> str:
    """Bytes with a unit, such as "3.2 GB"."""
    for unit in ("bytes", "kB", "MB", "GB", "TB", "PB"):
        if count < 1000:
            return f"{count:.0f} {unit}" if unit == "bytes" else f"{count:.1f} {unit}"
        count /= 1000
    return f"{count:.3g} EB"
