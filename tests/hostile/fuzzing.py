"""Check that damaged files are read or refused with a `WganError`, within bounds of time and memory."""

from __future__ import annotations

import contextlib
import json
import resource
import signal
import sys
import tempfile
import time
import traceback
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from mutations import damaged, edited
from readers import READERS

from wgan.errors import WganError

MAX_SECONDS = 1.0
"""Processor time to read one file; six times as much for a run, which is read in six ways."""

MAX_BYTES = 500_000_000
"""Memory that reading one file may add to the process."""


@dataclass(frozen=True, kw_only=True)
class Fault:
    """A file that was not handled as it should.

    Attributes:
        reader: The name of the reader.
        seed: With the name of the reader it reproduces the damage.
        what: A short description.
        trace: The traceback; empty if there is none.
        content: The damaged file.
    """

    reader: str
    seed: int
    what: str
    trace: str
    content: bytes


class TooLongError(BaseException):
    """Raised when the time is up."""


@contextlib.contextmanager
def bounded(seconds: float) -> Iterator[None]:
    """Limit the memory of the block, and raise `TooLongError` in it if it hangs."""
    status = Path("/proc/self/status").read_text().split()
    now = int(status[status.index("VmSize:") + 1]) * 1024
    before = resource.getrlimit(resource.RLIMIT_AS)

    def expire(*_: object) -> None:
        raise TooLongError

    handler = signal.signal(signal.SIGALRM, expire)
    signal.setitimer(signal.ITIMER_REAL, 20 * seconds)
    # Threads of libraries reserve address space that they do not use. Resident memory is checked afterwards.
    resource.setrlimit(resource.RLIMIT_AS, (now + 3 * MAX_BYTES, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, before)
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, handler)


def damage(path: Path, rng: np.random.Generator, *, is_json: bool) -> bytes:
    """Damage a file in place, and return its new content."""
    content = path.read_bytes()
    if is_json and path.suffix in (".json", ".jsonl") and rng.random() < 0.8:
        lines = content.splitlines() if path.suffix == ".jsonl" else [content]
        position = int(rng.integers(len(lines)))
        lines[position] = json.dumps(edited(json.loads(lines[position]), rng)).encode()
        changed = b"\n".join(lines) + b"\n"
    else:
        changed = damaged(content, rng)
    path.write_bytes(changed)
    return changed


def try_once(name: str, seed: int) -> Fault | None:
    """Damage a file of one reader by a seed, read it, and return the fault, if there is one."""
    reader, rng = READERS[name], np.random.default_rng([seed, sum(name.encode())])
    limit = MAX_SECONDS * (6 if reader.is_slow else 1)
    with tempfile.TemporaryDirectory(prefix="hostile-") as temporary:
        folder = Path(temporary)
        paths = reader.make(folder)
        path = paths[int(rng.integers(len(paths)))]
        content = damage(path, rng, is_json=reader.is_json)
        before, began = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.process_time()
        trace = what = ""
        try:
            with warnings.catch_warnings(), np.errstate(all="ignore"), bounded(limit):
                warnings.simplefilter("ignore")
                reader.read(folder)
        except WganError:
            pass
        except (Exception, TooLongError) as error:
            what, trace = f"{type(error).__name__}: {error}", traceback.format_exc()
        taken = 1024 * (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
        spent = time.process_time() - began
        if not what and spent > limit:
            what = f"took {spent:.1f} s"
        if not what and taken > MAX_BYTES:
            what = f"took {taken / 1e6:.0f} MB"
        return Fault(reader=name, seed=seed, what=what, trace=trace, content=content) if what else None


def main(names: list[str], seconds: float) -> int:
    """Try all readers in turn for a number of seconds, and print each kind of fault once."""
    began, seed, seen, tried = time.monotonic(), 0, set[str](), 0
    while time.monotonic() - began < seconds:
        for name in names or READERS:
            for number in range(1 if READERS[name].is_slow else 12):
                fault = try_once(name, 1000 * seed + number)
                tried += 1
                if fault is not None:
                    frames = [line for line in fault.trace.splitlines() if "/wgan/" in line]
                    key = f"{name} {fault.what.split(':')[0]} {frames[-1:] or fault.what}"
                    if key not in seen:
                        seen.add(key)
                        print(f"=== {name}, seed {fault.seed}: {fault.what[:300]}")
                        print("\n".join(line.strip()[-130:] for line in fault.trace.splitlines()[-14:-1]))
                        print(repr(fault.content[:200]), flush=True)
        seed += 1
    print(f"{tried} tried, {len(seen)} kinds of faults", flush=True)
    return int(bool(seen))


if __name__ == "__main__":
    sys.exit(main(sys.argv[2:], float(sys.argv[1])))
