"""Read damaged files, and see that each is refused by an error of this project's or read, soon and in little memory."""

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

MOST_SECONDS = 1.0
"""Processor time of one reading; a run is used in six ways, and has as much for each."""

MOST_BYTES = 500_000_000
"""What one reading may add to the memory of the process."""


@dataclass(frozen=True, kw_only=True)
class Fault:
    """A reading that went wrong.

    Attributes:
        reader: Its name.
        seed: Of the damage: with the reader's name it gives the same again.
        what: What went wrong, in a few words.
        trace: The traceback, where there is one.
        content: The damaged file.
    """

    reader: str
    seed: int
    what: str
    trace: str
    content: bytes


class TooLongError(BaseException):
    """Raised by the alarm."""


@contextlib.contextmanager
def bounded(seconds: float) -> Iterator[None]:
    """Within the block, no more memory can be taken than may be, and an alarm ends what hangs."""
    status = Path("/proc/self/status").read_text().split()
    now = int(status[status.index("VmSize:") + 1]) * 1024
    before = resource.getrlimit(resource.RLIMIT_AS)

    def ring(*_: object) -> None:
        raise TooLongError

    handler = signal.signal(signal.SIGALRM, ring)
    signal.setitimer(signal.ITIMER_REAL, 20 * seconds)
    # Threads of libraries reserve address space that they do not use; the resident memory is checked as well.
    resource.setrlimit(resource.RLIMIT_AS, (now + 3 * MOST_BYTES, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, before)
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, handler)


def damage(path: Path, rng: np.random.Generator, *, is_json: bool) -> bytes:
    """Damage a file in place, and return what it then holds."""
    content = path.read_bytes()
    if is_json and path.suffix in (".json", ".jsonl") and rng.random() < 0.8:
        lines = content.splitlines() if path.suffix == ".jsonl" else [content]
        place = int(rng.integers(len(lines)))
        lines[place] = json.dumps(edited(json.loads(lines[place]), rng)).encode()
        changed = b"\n".join(lines) + b"\n"
    else:
        changed = damaged(content, rng)
    path.write_bytes(changed)
    return changed


def try_once(name: str, seed: int) -> Fault | None:
    """Damage a file of one reader as the seed says, read it, and return what went wrong."""
    reader, rng = READERS[name], np.random.default_rng([seed, sum(name.encode())])
    most = MOST_SECONDS * (6 if reader.is_slow else 1)
    with tempfile.TemporaryDirectory(prefix="hostile-") as temporary:
        folder = Path(temporary)
        paths = reader.make(folder)
        path = paths[int(rng.integers(len(paths)))]
        content = damage(path, rng, is_json=reader.is_json)
        before, began = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.process_time()
        trace = what = ""
        try:
            with warnings.catch_warnings(), np.errstate(all="ignore"), bounded(most):
                warnings.simplefilter("ignore")
                reader.read(folder)
        except WganError:
            pass
        except (Exception, TooLongError) as error:
            what, trace = f"{type(error).__name__}: {error}", traceback.format_exc()
        taken = 1024 * (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
        spent = time.process_time() - began
        if not what and spent > most:
            what = f"took {spent:.1f} s"
        if not what and taken > MOST_BYTES:
            what = f"took {taken / 1e6:.0f} MB"
        return Fault(reader=name, seed=seed, what=what, trace=trace, content=content) if what else None


def main(names: list[str], seconds: float) -> int:
    """Try all readers in turn for so long, and print what went wrong, each kind once."""
    began, seed, seen, tried = time.monotonic(), 0, set[str](), 0
    while time.monotonic() - began < seconds:
        for name in names or READERS:
            for number in range(1 if READERS[name].is_slow else 12):
                fault = try_once(name, 1000 * seed + number)
                tried += 1
                if fault is not None:
                    places = [line for line in fault.trace.splitlines() if "/wgan/" in line]
                    key = f"{name} {fault.what.split(':')[0]} {places[-1:] or fault.what}"
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
