"""Contenders in processes of their own, so that they do not share threads, memory or caches.

A process waits while the others take their turns.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any

from bench.contenders import JAX, JAX_ALL_CORES

_ROOT = Path(__file__).parent.parent


class Worker:
    """A contender in a process of its own. A process that ends early raises a RuntimeError here.

    Args:
        work: What it runs.
        name: Which contender it is.
        size: Units of one turn.
        threads: CPU threads.
        environment: Variables that differ from those of this process.
    """

    def __init__(
        self, work: str, name: str, size: int, threads: int, environment: Mapping[str, str] | None = None
    ) -> None:
        self.name, self._size = name, size
        variables = {**os.environ, **_thread_variables(name, threads), **(environment or {})}
        self._process = subprocess.Popen(
            [sys.executable, "-m", "bench.serve", work, name, str(size), str(threads)],
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
        """The contender's attributes: `num_weights`, `how`, `precision` and `compiles`."""
        if self._about is None:
            self._about = self._answer()
        return self._about

    def turn(self) -> float:
        """Run one turn. Returns its seconds."""
        return float(self._ask("turn")["seconds"])

    def flops(self) -> float:
        """Floating-point operations of one unit."""
        return float(self._ask("flops")["flops"])

    def peak_mib(self) -> float:
        """Peak resident memory of the process, in MiB."""
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
    """Environment variables that limit JAX's threads. torch's are set within its process."""
    if name == JAX_ALL_CORES:
        return {"JAX_PLATFORMS": "cpu"}
    if name != JAX:
        return {}
    flags = os.environ.get("XLA_FLAGS", "") + (" --xla_cpu_multi_thread_eigen=false" if threads == 1 else "")
    return {"JAX_PLATFORMS": "cpu", "NPROC": str(threads), "XLA_FLAGS": flags.strip()}
