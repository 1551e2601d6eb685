"""The process of one contender: it reads a JSON command per line and answers with a JSON object per line.

`bench.workers.Worker` starts it as `python -m bench.serve WORK NAME SIZE THREADS`.
"""

from __future__ import annotations

import json
import os
import resource
import sys
import time
import warnings
from pathlib import Path
from typing import TextIO

from bench.contenders import JAX, JAX_ALL_CORES, Contender


def build(work: str, name: str, size: int, threads: int) -> Contender:
    """Build a contender.

    Args:
        work: A key of `bench.cases.CASES` or of `bench.sampling.SAMPLING`.
        name: One of the names in `bench.contenders`.
        size: Units of one turn.
        threads: CPU threads of torch. JAX reads environment variables instead.
    """
    if name in (JAX, JAX_ALL_CORES):
        # Without torch: its memory must not count as JAX's.
        from bench import jax_recipes

        return jax_recipes.contender(work, size)
    import torch

    from bench import sampling, training
    from wgan.training.engine import EngineWarning

    # A contender that falls back to another engine would be timed under the wrong name.
    warnings.filterwarnings("error", category=EngineWarning)
    torch.set_num_threads(threads)
    torch.manual_seed(0)
    return sampling.contender(work, name) if work in sampling.SAMPLING else training.contender(work, name)


def _serve(work: str, name: str, size: int, threads: int, answers: TextIO) -> None:
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
            assert contender.flops is not None, f"{name} does not count its operations"
            answer(flops=contender.flops())
        else:
            assert command == "memory", command
            answer(mib=_peak_mib())


def _peak_mib() -> float:
    """Peak resident memory of this process, in MiB."""
    status = Path("/proc/self/status")
    if status.exists():
        # `getrusage` would include the process that started this one.
        lines = status.read_text(encoding="ascii").splitlines()
        return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM")) / 2**10
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (2**20 if sys.platform == "darwin" else 2**10)


if __name__ == "__main__":
    # Libraries may print to stdout. Answers go to a copy of it, everything else to stderr.
    out = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    _serve(sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4]), out)
