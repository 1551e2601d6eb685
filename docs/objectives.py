"""Train every objective on the ring and write docs/objectives.md: `python docs/objectives.py`.

One thread and one seed. Recipes named on the command line are trained again; the rows of the others are kept. Seconds
are processor time of the machine that it ran on, so only their ratios are meaningful.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from wgan.data import Source, open_data
from wgan.divergences import DIVERGENCES
from wgan.errors import WganError
from wgan.evaluation.metrics import SampleEvaluator
from wgan.randomness import Randomness
from wgan.runs.setups import build_setup
from wgan.settings import DataOptions, Settings
from wgan.settings.recipes import RECIPES
from wgan.training.loop import train

PAGE = Path(__file__).parent / "objectives.md"
MARK = "<!-- rows: "
OPENING = """# The objectives on the ring

Written by `make objectives`; do not edit. Eight Gaussians on a ring, batches of 256, Adam, eager float32.
Samples come from the moving average of the generator. Networks have three hidden layers, 256 wide in the generator and
128 in the critic, except in `ring` and `ring-unrolled`.

- *modes*: modes with at least one of 2,500 samples.
- *quality*: share of samples within three standard deviations of a mode.
- *W1*: exact W1 between 2,500 samples and as many held-out points, mean of four. In brackets its floor, between two
  sets of real points.
- *estimate*: last value of the training curve, and the quantity that it estimates.
- *time*: seconds of one core.

It is one seed: differences of a few hundredths of W1 are chance."""


@dataclass(frozen=True, kw_only=True)
class Row:
    """The result of one run, or why it was refused."""

    name: str
    objective: str
    constraint: str
    steps: int
    unit: str
    estimate: float | None = None
    modes: str = ""
    quality: float | None = None
    w1: float | None = None
    floor: float | None = None
    seconds: float | None = None
    fault: str = ""

    def cells(self) -> list[str]:
        """The cells of its line in the table."""
        if self.fault:
            return [f"`{self.name}`", self.objective, f"`{self.constraint}`", self.fault, *[""] * 5]
        return [
            f"`{self.name}`",
            self.objective,
            f"`{self.constraint}`",
            self.modes,
            f"{100 * (self.quality or 0):.0f} %",
            f"{self.w1:.3f} ({self.floor:.3f})",
            f"{self.estimate:.3g}",
            self.unit,
            f"{self.seconds or 0:.0f} s",
        ]


def runs() -> dict[str, Settings]:
    """Name to settings: each recipe on the ring, and that of the f-GAN once for each divergence."""
    found = {name: recipe.settings for name, recipe in RECIPES.items() if name.startswith("ring")}
    kl = found.pop("ring-fgan")
    return found | {f"ring-fgan, {word}": replace(kl, objective=f"fgan:divergence={word}") for word in DIVERGENCES}


def trained(name: str, settings: Settings, source: Source, evaluate: SampleEvaluator) -> Row:
    """Train and evaluate one."""
    setup = build_setup(settings, source)
    game = setup.game
    extra = [f", packed by {settings.packing}"] if settings.packing > 1 else []
    extra += [f", {settings.unrolled_steps} unrolled steps"] if settings.unrolled_steps else []
    row = Row(
        name=name,
        objective="".join([f"`{settings.objective}`", *extra]),
        constraint=settings.constraint,
        steps=settings.steps,
        unit=setup.objective.unit,
    )
    began = time.process_time()
    with game.engine.limits():
        estimate = float("nan")
        for step in train(setup):
            if step.number % 100 == 0 or step.number == settings.steps:
                estimate = step.estimate.item()
        seconds = time.process_time() - began
        noise = Randomness(settings.seed).at("noise of the judge")
        found = evaluate(lambda num: game.draw(game.prior.sample(num, noise)))
    return replace(
        row,
        estimate=estimate,
        modes=f"{found['modes']:.0f}/{found['num_modes']:.0f}",
        quality=found["high_quality"],
        w1=found["w1"],
        floor=found["w1_floor"],
        seconds=seconds,
    )


def kept() -> dict[str, Row]:
    """The rows of the page."""
    if not PAGE.exists():
        return {}
    _, mark, rest = PAGE.read_text(encoding="utf-8").partition(MARK)
    return {row["name"]: Row(**row) for row in json.loads(rest.partition(" -->")[0])} if mark else {}


def page(rows: list[Row]) -> str:
    """The whole file. Its rows are stored as JSON in a comment at the end, so that single rows can be replaced."""
    titles = ["recipe", "objective", "constraint", "modes", "quality", "W1 (floor)", "estimate", "estimates", "time"]
    lines = [titles, ["---"] * len(titles), *(row.cells() for row in rows)]
    table = "\n".join("| " + " | ".join(cells) + " |" for cells in lines)
    steps = ", ".join(sorted({f"{row.steps:,}" for row in rows}))
    data = f"{MARK}{json.dumps([asdict(row) for row in rows])} -->"
    return f"{OPENING} Each run has {steps} generator updates.\n\n{table}\n\n{data}\n"


def main() -> int:
    """Train, and write the page after each run."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", metavar="RECIPE", help="recipes to train again (default: all)")
    parser.add_argument("--steps", type=int, default=4000, help="generator updates of each")
    given = parser.parse_args()
    known = runs()
    if unknown := set(given.names) - known.keys():
        parser.error(f"no such recipe: {', '.join(sorted(unknown))}; known: {', '.join(known)}")
    source = open_data("ring", DataOptions(), seed=0)
    evaluate = SampleEvaluator(source, size=2500, seed=0, repeats=4)
    rows = kept()
    for name in given.names or known:
        settings = replace(known[name], steps=given.steps, threads=1, device="cpu", engine="eager", precision="float32")
        try:
            rows[name] = trained(name, settings, source, evaluate)
        except WganError as error:
            rows[name] = Row(
                name=name,
                objective=settings.objective,
                constraint=settings.constraint,
                steps=settings.steps,
                unit="",
                fault=error.message,
            )
        print(" | ".join(rows[name].cells()), flush=True)
        PAGE.write_text(page([rows[name] for name in known if name in rows]), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
