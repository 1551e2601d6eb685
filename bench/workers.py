"""Contenders in processes of their own: threads, memory and caches of one are none of another's.

A process waits while others have their turns. Run as a module this is its side: it reads a JSON command a line and
answers with a JSON object a line.
"""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, TextIO

from bench.contenders import JAX, JAX_ALL_CORES, build

_ROOT = Path(__file__).parent.parent


class Worker:
    """A contender in a process of its own; one that ends before its time is an error here.

    Args:
        work: What it does.
        name: Which contender it is.
        size: Units of one turn.
        threads: CPU threads.
        environment: Variables that differ from this process's own.
    """

    def __init__(
        self, work: str, name: str, size: int, threads: int, environment: Mapping[str, str] | None = None
    ) -> None:
        self.name, self._size = name, size
        variables = {**os.environ, **_thread_variables(name, threads), **(environment or {})}
        self._process = subprocess.Popen(
            [sys.executable, "-m", "bench.workers", work, name, str(size), str(threads)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=_ROOT,
            env=variables,
        )
        self._about: dict[str, Any] | None = None

    def __enter__(self) -> Worker:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        if kind is not None:
            self._process.kill()
        self._process.stdin.close()
        self._process.wait()
        self._process.stdout.close()

    @property
    def about(self) -> dict[str, Any]:
        """What the contender says of itself, once it is built."""
        if self._about is None:
            self._about = self._answer()
        return self._about

    def turn(self) -> float:
        """Seconds that a turn takes."""
        return float(self._ask("turn")["seconds"])

    def flops(self) -> float:
        """Floating-point operations of one unit."""
        return float(self._ask("flops")["flops"])

    def peak_mib(self) -> float:
        """The most memory that the process has held at once."""
        return float(self._ask("memory")["mib"])

    def _ask(self, command: str) -> dict[str, Any]:
        assert self.about
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(command) + "\n")
        self._process.stdin.flush()
        return self._answer()

    def _answer(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError(f"the process of '{self.name}' ended with status {self._process.wait()}; see above")
        answer: dict[str, Any] = json.loads(line)
        return answer


def _thread_variables(name: str, threads: int) -> dict[str, str]:
    """What tells JAX how many threads it may use; torch is told in its process."""
    if name == JAX_ALL_CORES:
        return {"JAX_PLATFORMS": "cpu"}
    if name != JAX:
        return {}
    flags = os.environ.get("XLA_FLAGS", "") + (" --xla_cpu_multi_thread_eigen=false" if threads == 1 else "")
    return {"JAX_PLATFORMS": "cpu", "NPROC": str(threads), "XLA_FLAGS": flags.strip()}


def _memory() -> float:
    """The most memory that this process has held at once, in MiB."""
    status = Path("/proc/self/status")
    if status.exists():
        # What `getrusage` says includes the process that this one was started by.
        lines = status.read_text(encoding="ascii").splitlines()
        return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM")) / 2**10
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (2**20 if sys.platform == "darwin" else 2**10)


def _serve(work: str, name: str, size: int, threads: int, answers: TextIO) -> None:
    """What runs in the process of a contender."""
    contender = build(work, name, size, threads)

    def answer(**values: object) -> None:
        print(json.dumps(values), file=answers, flush=True)

    answer(
        num_weights=contender.num_weights,
        how=contender.how,
        precision=contender.precision,
        compiles=contender.compiles,
    )
    for line in sys.stdin:
        command = json.loads(line)
        if command == "turn":
            start = time.perf_counter()
            contender.turn(size)
            answer(seconds=time.perf_counter() - start)
        elif command == "flops":
            assert contender.flops is not None, f"{name} does not count"
            answer(flops=contender.flops())
        else:
            assert command == "memory", command
            answer(mib=_memory())


if __name__ == "__main__":
    # Whatever a library prints goes where errors go: nothing but answers may be among the answers.
    kept = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    _serve(sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4]), kept)
